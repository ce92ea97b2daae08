"""The gated recurrent unit, with the reset gate on either side of the recurrent product."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.cells.base import Cell, TorchKernel, keeps_equations
from ostinato.cells.gates import Gates

__all__ = ["GRU"]


class GRU(Cell):
    r"""Gated recurrent unit.

        r    = sigmoid(W_r x[t] + U_r h[t-1] + b_r)
        z    = sigmoid(W_z x[t] + U_z h[t-1] + b_z)
        n    = tanh(W_n x[t] + b_n + r (U_n h[t-1] + d_n))    reset="after"
        n    = tanh(W_n x[t] + b_n + U_n (r h[t-1]))          reset="before"
        h[t] = (1 - z) n + z h[t-1]

    "after" is torch's and cuDNN's form, and that of the first version of the source; "before" is
    that of its later versions. d_n is there with bias="both".

    Source: Cho et al. (2014), arXiv:1406.1078. Layer norm, after Ba, Kiros, Hinton (2016),
    arXiv:1607.06450, normalises each product over the rows of all its gates at once (there those
    of n apart).

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        reset: "after" or "before": where the reset gate acts, seen from the recurrent product.
        bias: True for b, "both" for one beside each matrix (as torch.nn.GRU has), or False.
        joint: one matrix on [h, x] in place of two.
        layer_norm: normalise W x and U h.

    Shapes: x [B, I], h [B, H] -> h [B, H]. Parameters, under `gates`, rows r z n: weight_ih [3H, I]
    and weight_hh [3H, H], or weight [3H, H+I]; bias [3H], or bias_ih and bias_hh [3H]. With
    reset="before" the rows of n are those of `candidate` in place of `gates`.

    Raises:
        ValueError: `reset` is neither "after" nor "before", `bias` is unknown, or two biases for
            one matrix.

    Example:
        >>> cell = GRU(3, 4, reset="before")
        >>> cell(torch.ones(2, 3), *cell.initial_state(2)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        reset: str = "after",
        bias: bool | str = True,
        joint: bool = False,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if reset not in ("after", "before"):
            raise ValueError(f'GRU: reset must be "after" or "before", got {reset!r}.')

        def gates(names: str) -> Gates:
            return Gates(
                names, input_size, hidden_size, bias=bias, joint=joint, layer_norm=layer_norm
            )

        self.reset = reset
        self.gates = gates("r z n" if reset == "after" else "r z")
        self.candidate = gates("n") if reset == "before" else None

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        if self.candidate is None:
            (r, z, n), (r_h, z_h, n_h) = self.gates.apart(x, h)
            r = torch.sigmoid(r + r_h)
            z = torch.sigmoid(z + z_h)
            n = torch.tanh(n + r * n_h)
        else:
            r, z = self.gates(x, h)
            r = torch.sigmoid(r)
            z = torch.sigmoid(z)
            (n,) = self.candidate(x, r * h)
            n = torch.tanh(n)
        return (1 - z) * n + z * h

    def torch_kernel(self) -> TorchKernel | None:
        """torch.nn.GRU's kernel, for reset="after" without layer norm."""
        if not keeps_equations(self, GRU) or self.reset != "after" or self.gates.layer_norm:
            return None
        return TorchKernel("gru", self.gates.torch_weights())
