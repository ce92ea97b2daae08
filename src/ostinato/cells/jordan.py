"""The network that hears its own last output."""

from __future__ import annotations

from torch import Tensor, nn

from ostinato.cells.activations import Activation, activation_function
from ostinato.cells.base import Cell
from ostinato.cells.gates import Gates

__all__ = ["Jordan"]


class Jordan(Cell):
    r"""Jordan network: the output of the last step is fed back.

        a    = act(W x[t] + U y[t-1] + b)
        y[t] = out(V a + c)

    Source: Jordan (1986), Serial Order: A Parallel Distributed Processing Approach, ICS Report
    8604. There the fed-back units also hold a trace of earlier outputs; here they hold the last.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the hidden layer a, which is not a state.
        output_size: O, width of the output and so of the state; H unless given.
        activation: act, by name or any function of a tensor.
        output_activation: out, likewise.
        bias: True for b and c, "both" for a second b beside U, or False for none.
        joint: one matrix on [y, x] in place of W and U.

    Shapes: x [B, I], y [B, O] -> y [B, O]. Parameters: gates.weight_ih [H, I] and gates.weight_hh
    [H, O], or gates.weight [H, O+I]; gates.bias [H]; readout.weight [O, H], readout.bias [O].

    Raises:
        ValueError: `output_size` is below 1, or an activation or `bias` is unknown.

    Example:
        >>> import torch
        >>> cell = Jordan(3, 4, output_size=2)
        >>> cell(torch.ones(5, 3), *cell.initial_state(5)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        output_size: int | None = None,
        activation: str | Activation = "tanh",
        output_activation: str | Activation = "identity",
        bias: bool | str = True,
        joint: bool = False,
    ) -> None:
        width = hidden_size if output_size is None else output_size
        super().__init__(input_size, hidden_size, state_sizes=(width,), state_names=("y",))
        if width < 1:
            raise ValueError(f"Jordan: output_size must be at least 1, got {output_size}.")
        self.activation = activation_function(activation)
        self.output_activation = activation_function(output_activation)
        self.gates = Gates("a", input_size, hidden_size, state_size=width, bias=bias, joint=joint)
        self.readout = nn.Linear(hidden_size, width, bias=bool(bias))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        (drive,) = self.gates(x, y)
        a = self.activation(drive)
        return self.output_activation(self.readout(a))
