"""What every cell is: a module that maps (x, old state) to the new state."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Self

from ostinato.cells.gates import Gates

__all__ = ["Cell", "Gates", "TorchKernel"]


class TorchKernel(NamedTuple):
    """One of torch's own recurrences, and the weights with which it equals a cell.

    Attributes:
        kind: which recurrence.
        weights: weight_ih, weight_hh, bias_ih, bias_hh and, for an LSTM with a projection,
            weight_hr: torch's order and shapes. A bias that the cell lacks is None: a zero.
    """

    kind: Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]
    weights: tuple[Tensor | None, ...]


class Cell(nn.Module):
    """Base of the cells: sizes and a zero initial state; a subclass adds the equations.

    `forward(x, *state)` takes one step and returns the new state: a tensor, or a tuple as long
    as the old state whose first entry is also the output, or `(output, (state, ...))`.

    Any `torch.nn.Module` with such a `forward` is a cell, too: this class only spares it
    writing `initial_state` and `rebuild`.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, width of the state.
        state_sizes: width of each state tensor; one state of width H unless given.
        state_names: a name for each state tensor, as the equations write it.

    Raises:
        ValueError: a size is below 1, or names and sizes differ in number.
    """

    _arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # what the constructor was given is what `rebuild` needs, also for a user's subclass
        cell = super().__new__(cls)
        object.__setattr__(cell, "_arguments", (args, kwargs))
        return cell

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
        default_names = _state_names(len(self.state_sizes))
        self.state_names = tuple(state_names) if state_names is not None else default_names
        if len(self.state_names) != len(self.state_sizes):
            raise ValueError(
                f"{type(self).__name__}: {len(self.state_sizes)} state_sizes need as many "
                f"state_names, got {len(self.state_names)}."
            )

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
        """A fresh cell with the same options for inputs of another width.

        It has parameters of its own, freshly drawn, on the device and in the type of this cell's;
        modules that were given as options are copied. A subclass is built by its own constructor,
        of which the argument called `input_size`, or else the first one, changes.

        Raises:
            TypeError: the constructor has no such argument.
        """
        args, kwargs = copy.deepcopy(self._arguments)
        parameters = inspect.signature(type(self).__init__).parameters
        position = list(parameters).index("input_size") - 1 if "input_size" in parameters else 0
        if "input_size" in kwargs:
            kwargs["input_size"] = input_size
        elif position < len(args) and args[position] == self.input_size:
            args = (*args[:position], input_size, *args[position + 1 :])
        else:
            raise TypeError(
                f"{type(self).__name__}: its constructor has no argument input_size, so no cell of "
                "another input width can be built from it. Name it so, override "
                "rebuild(input_size), or pass a list of cells."
            )
        fresh = type(self)(*args, **kwargs)
        like = next(self.parameters(), None)
        if like is not None:
            fresh.to(device=like.device, dtype=like.dtype)
        return fresh.train(self.training)

    def torch_kernel(self) -> TorchKernel | None:
        """The kernel of torch that computes exactly this cell, if there is one."""
        return None

    def extra_repr(self) -> str:
        args, kwargs = self._arguments
        shown = [_shown(value) for value in args if not isinstance(value, nn.Module)]
        named = [f"{k}={_shown(v)}" for k, v in kwargs.items() if not isinstance(v, nn.Module)]
        return ", ".join(shown + named)


def keeps_equations(cell: nn.Module, owner: type[nn.Module]) -> bool:
    """Whether calling this cell runs `owner.forward` on plain `Gates`, and nothing else."""
    own = type(cell).forward is owner.forward and "forward" not in vars(cell)
    gates = getattr(cell, "gates", None)
    plain = isinstance(gates, Gates) and type(gates).forward is Gates.forward
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in cell.modules())
    return own and plain and not hooked


def _shown(value: object) -> str:
    return value.__name__ if inspect.isroutine(value) else repr(value)


def _state_names(count: int) -> tuple[str, ...]:
    return ("h", "c", "n", "m")[:count] if count <= 4 else tuple(f"s{k}" for k in range(count))
