"""What every cell is: a module that maps (x, old state) to the new state."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

__all__ = ["Cell", "Gates"]


class Cell(nn.Module):
    """Base of the cells: sizes and a zero initial state; a subclass adds the equations.

    `forward(x, *state)` takes one step and returns the new state: a tensor, or a tuple as long
    as the old state whose first entry is also the output, or `(output, (state, ...))`.

    Any `torch.nn.Module` with such a `forward` is a cell, too: this class only spares it
    writing `initial_state`.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        state_sizes: width of each state tensor; one state of width H unless given.
        state_names: a name for each state tensor, as the equations write it.
    """

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # kept so that a stack of layers can build more cells of the same kind
        self = super().__new__(cls)
        object.__setattr__(self, "_arguments", (args, kwargs))
        return self

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        state_sizes: Sequence[int] | None = None,
        state_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise ValueError(f"{type(self).__name__}: {name} must be at least 1, got {size}.")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.state_sizes = tuple(state_sizes) if state_sizes is not None else (hidden_size,)
        default_names = ("h", "c", "n", "m")[: len(self.state_sizes)]
        self.state_names = tuple(state_names) if state_names is not None else default_names

    def initial_state(
        self,
        batch_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> tuple[Tensor, ...]:
        """Zeros [B, S] for each state width S, on the device and in the type of the parameters."""
        like = next(self.parameters(), torch.empty(0))
        return tuple(
            torch.zeros(batch_size, size, device=device or like.device, dtype=dtype or like.dtype)
            for size in self.state_sizes
        )

    def rebuild(self, input_size: int) -> Self:
        """A new cell made with the same arguments but for its input width.

        Its parameters are its own and freshly drawn.

        Raises:
            TypeError: the constructor has no argument `input_size`.
        """
        args, kwargs = self._arguments
        cls = type(self)
        bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        if "input_size" not in bound.arguments:
            raise TypeError(
                f"{cls.__name__}: its constructor has no argument input_size, so no cell of "
                "another input width can be built from it. Pass a list of cells."
            )
        bound.arguments["input_size"] = input_size
        return cls(*copy.deepcopy(bound.args[1:]), **copy.deepcopy(bound.kwargs))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class Gates(nn.Module):
    """The affine part of a recurrent unit, once for each gate: W x + U h + b.

    Two equal forms are offered: a matrix each for x and h (the default), or one matrix on the
    concatenation [h, x] (`joint=True`).

    Args:
        names: the gates, separated by blanks, in the order of their rows in the matrices.
        input_size: I, width of x.
        hidden_size: H, number of units that each gate drives.
        state_size: width of h; H unless given.
        bias: True for one bias vector, "both" for one beside each matrix (as torch.nn has), or
            False.
        joint: one matrix on [h, x] in place of two.

    Shapes: x [B, I], h [B, S] -> one [B, H] for each of the G gates. Parameters: weight_ih [G*H, I]
    and weight_hh [G*H, S], or weight [G*H, S+I]; bias [G*H], or bias_ih and bias_hh [G*H].

    Example:
        >>> gates = Gates("i f", 3, 4)
        >>> i, f = gates(torch.zeros(2, 3), torch.zeros(2, 4))
        >>> i.shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        names: str,
        input_size: int,
        hidden_size: int,
        *,
        state_size: int | None = None,
        bias: bool | str = True,
        joint: bool = False,
    ) -> None:
        super().__init__()
        if bias not in (True, False, "both"):
            raise ValueError(f'Gates: bias must be True, False or "both", got {bias!r}.')
        if joint and bias == "both":
            raise ValueError('Gates: one matrix has one bias; give bias=True, not "both".')
        self.bias: nn.Parameter | None
        self.bias_ih: nn.Parameter | None
        self.bias_hh: nn.Parameter | None
        self.names = tuple(names.split())
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.state_size = state_size or hidden_size
        self.joint = joint
        rows = len(self.names) * hidden_size
        if joint:
            self.weight = nn.Parameter(torch.empty(rows, self.state_size + input_size))
        else:
            self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
            self.weight_hh = nn.Parameter(torch.empty(rows, self.state_size))
        for name in ("bias", "bias_ih", "bias_hh"):
            present = (name == "bias") if bias is True else (bias == "both" and name != "bias")
            self.register_parameter(name, nn.Parameter(torch.empty(rows)) if present else None)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Glorot-uniform input blocks, orthogonal recurrent blocks, zero biases."""
        for g in range(len(self.names)):
            block = slice(g * self.hidden_size, (g + 1) * self.hidden_size)
            recurrent, drive = self._blocks(block)
            nn.init.xavier_uniform_(drive)
            nn.init.orthogonal_(recurrent)
        for bias in (self.bias, self.bias_ih, self.bias_hh):
            if bias is not None:
                nn.init.zeros_(bias)

    def _blocks(self, rows: slice) -> tuple[Tensor, Tensor]:
        if self.joint:
            return self.weight[rows, : self.state_size], self.weight[rows, self.state_size :]
        return self.weight_hh[rows], self.weight_ih[rows]

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        if self.joint:
            drive = F.linear(torch.cat([h, x], dim=-1), self.weight, self.bias)
        else:
            first = self.bias if self.bias_ih is None else self.bias_ih
            drive = F.linear(x, self.weight_ih, first) + F.linear(h, self.weight_hh, self.bias_hh)
        return drive.chunk(len(self.names), dim=-1)

    def extra_repr(self) -> str:
        return f"{' '.join(self.names)!r}, {self.input_size}, {self.hidden_size}"


def uniform_(parameters: Sequence[Tensor], width: int) -> None:
    """Fill with U(-1/sqrt(width), 1/sqrt(width)), torch.nn's own start."""
    bound = 1 / math.sqrt(width)
    for parameter in parameters:
        nn.init.uniform_(parameter, -bound, bound)
