"""Long short-term memory and its usual variants."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.cells.base import Cell, TorchKernel, keeps_equations
from ostinato.cells.gates import Gates, uniform_

__all__ = ["LSTM"]


class LSTM(Cell):
    r"""Long short-term memory: a memory c that gates write, keep and read.

        i    = sigmoid(W_i x[t] + U_i h[t-1] + p_i c[t-1] + b_i)
        f    = sigmoid(W_f x[t] + U_f h[t-1] + p_f c[t-1] + b_f)
        g    = tanh(W_g x[t] + U_g h[t-1] + b_g)
        c[t] = f c[t-1] + i g
        o    = sigmoid(W_o x[t] + U_o h[t-1] + p_o c[t] + b_o)
        h[t] = R (o tanh(c[t]))

    The peepholes p are there with `peephole`, the projection R with `proj_size`. With `coupled`,
    i = 1 - f. With `layer_norm` it is LN(W x) + LN(U h) + b in every gate, normalised over the
    rows of all gates at once, and tanh(LN(c[t])).

    Sources: Hochreiter, Schmidhuber (1997), doi:10.1162/neco.1997.9.8.1735; coupled gates and
    peepholes: Greff et al. (2015), arXiv:1503.04069 (coupled, the rows of f stay and `forget_bias`
    holds); projection: Sak, Senior, Beaufays (2014), arXiv:1402.1128; layer
    norm: Ba, Kiros, Hinton (2016), arXiv:1607.06450.

    The forget gate's bias starts at `forget_bias`, 1 unless given, the start that Jozefowicz,
    Zaremba, Sutskever (2015) found to close the gap between LSTM and GRU; torch.nn.LSTM starts it
    near 0. With two biases the one beside W takes all of it.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the memory c.
        peephole: gates hear the memory, each unit its own.
        coupled: one gate for writing and forgetting.
        proj_size: P < H, width of h where it is projected; 0 for no projection.
        layer_norm: normalise W x, U h and c.
        forget_bias: start of the forget gate's bias.
        bias: True for b, "both" for one beside each matrix (as torch.nn.LSTM has), or False.
        joint: one matrix on [h, x] in place of two.

    Shapes: x [B, I], h [B, P or H], c [B, H] -> (h, c) likewise. Parameters, under `gates`, rows
    i f g o (f g o if coupled): weight_ih [4H, I] and weight_hh [4H, P or H], or weight
    [4H, (P or H)+I]; bias [4H], or bias_ih and bias_hh [4H]. Beside them weight_hr [P, H];
    weight_ci, weight_cf, weight_co [H]; norm_c.weight, norm_c.bias [H].

    Raises:
        ValueError: `proj_size` is not in 0..H-1, `bias` is unknown, two biases for one matrix, or
            a `forget_bias` other than 1 without a bias to start.

    Example:
        >>> cell = LSTM(3, 4, proj_size=2)
        >>> h, c = cell(torch.ones(5, 3), *cell.initial_state(5))
        >>> h.shape, c.shape
        (torch.Size([5, 2]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peephole: bool = False,
        coupled: bool = False,
        proj_size: int = 0,
        layer_norm: bool = False,
        forget_bias: float = 1.0,
        bias: bool | str = True,
        joint: bool = False,
    ) -> None:
        if not 0 <= proj_size < max(hidden_size, 1):
            raise ValueError(
                f"LSTM: proj_size must be smaller than hidden_size {hidden_size}, or 0 for no "
                f"projection, got {proj_size}."
            )
        width = proj_size or hidden_size
        sizes, names = (width, hidden_size), ("h", "c")
        super().__init__(input_size, hidden_size, state_sizes=sizes, state_names=names)
        check_forget_bias(self, forget_bias, bias)
        self.coupled = coupled
        self.peephole = peephole
        self.proj_size = proj_size
        self.forget_bias = forget_bias
        self.gates = Gates(
            "f g o" if coupled else "i f g o",
            input_size,
            hidden_size,
            state_size=width,
            bias=bias,
            joint=joint,
            layer_norm=layer_norm,
        )
        self.weight_ci = _vector(hidden_size, peephole and not coupled)
        self.weight_cf = _vector(hidden_size, peephole)
        self.weight_co = _vector(hidden_size, peephole)
        self.weight_hr = nn.Parameter(torch.empty(width, hidden_size)) if proj_size else None
        self.norm_c = nn.LayerNorm(hidden_size) if layer_norm else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As `Gates`, the forget bias set; peepholes and projection U(-1/sqrt(H), 1/sqrt(H))."""
        self.gates.reset_parameters()
        if has_bias(self.gates):
            self.gates.start_bias("f", self.forget_bias)
        own = (self.weight_ci, self.weight_cf, self.weight_co, self.weight_hr)
        uniform_([weight for weight in own if weight is not None], self.hidden_size)
        if self.norm_c is not None:
            self.norm_c.reset_parameters()

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        *i, f, g, o = self.gates(x, h)
        f = torch.sigmoid(_peep(f, self.weight_cf, c))
        i = 1 - f if self.coupled else torch.sigmoid(_peep(i[0], self.weight_ci, c))
        g = torch.tanh(g)
        c = f * c + i * g
        o = torch.sigmoid(_peep(o, self.weight_co, c))
        h = o * torch.tanh(c if self.norm_c is None else self.norm_c(c))
        if self.weight_hr is not None:
            h = F.linear(h, self.weight_hr)
        return h, c

    def torch_kernel(self) -> TorchKernel | None:
        """torch.nn.LSTM's kernel, for a cell without peepholes, coupled gates and layer norm."""
        if not keeps_equations(self, LSTM):
            return None
        if self.peephole or self.coupled or self.gates.layer_norm:
            return None
        projection = () if self.weight_hr is None else (self.weight_hr,)
        return TorchKernel("lstm", (*self.gates.torch_weights(), *projection))


def check_forget_bias(cell: Cell, forget_bias: float, bias: bool | str) -> None:
    """Refuse a forget bias that no bias could take."""
    if not bias and forget_bias != 1.0:
        raise ValueError(
            f"{type(cell).__name__}: forget_bias={forget_bias} needs a bias to start; leave it "
            "out, or give bias=True."
        )


def has_bias(gates: Gates) -> bool:
    """Whether the gates have any bias."""
    return gates.bias is not None or gates.bias_ih is not None


def _vector(width: int, present: bool) -> nn.Parameter | None:
    return nn.Parameter(torch.empty(width)) if present else None


def _peep(drive: Tensor, weight: Tensor | None, c: Tensor) -> Tensor:
    return drive if weight is None else drive + weight * c
