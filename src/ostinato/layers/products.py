"""Watching a cell's matrix products while it runs, whatever cell it is.

An option such as recurrent dropout acts on the products `U h` of a cell and on nothing else of it.
These modes see every torch function that the cell calls, so it works for cells that nobody here
has written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ostinato.engine import State, split_result

__all__ = ["MaskedProducts", "dry_step", "recurrent_matrices"]

# where each product has its first operand, a row a sample, and its matrix
_OPERANDS = {
    "linear": (0, 1),
    "matmul": (0, 1),
    "__matmul__": (0, 1),
    "mm": (0, 1),
    "bmm": (0, 1),
    "addmm": (1, 2),
}
_SCALINGS = {"mul", "__mul__", "__rmul__", "multiply"}
_VIEWS = {
    "__getitem__",
    "chunk",
    "contiguous",
    "flatten",
    "narrow",
    "reshape",
    "select",
    "split",
    "squeeze",
    "to",
    "unsqueeze",
    "view",
}
_JOINS = {"cat", "concat", "concatenate"}


def function_name(function: Callable[..., Any]) -> str:
    """The plain name of a torch function, as a `TorchFunctionMode` sees it."""
    return getattr(function, "__name__", "")


def joined(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sequence[Any] | None:
    """The members, if the function is a concatenation along the last axis."""
    if name not in _JOINS or not args or not isinstance(args[0], (tuple, list)):
        return None
    axis = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    first = args[0][0]
    return args[0] if axis in (-1, first.dim() - 1) else None


class _StateProducts(TorchFunctionMode):
    """Follows the old state through scalings (r * h), views and concatenations to the products.

    Each state tensor has a mark, a tensor of its shape; what is made of the state has its mark
    treated alike. Of a concatenation the members without a mark are marked with `filler`.
    """

    filler = 0.0

    def __init__(self, marks: Sequence[Tensor | None], state: State) -> None:
        super().__init__()
        # a tensor is kept beside its mark, as an id alone may come back for another tensor
        pairs = zip(state, marks, strict=True)
        self._marks = {id(part): (part, mark) for part, mark in pairs if mark is not None}

    def product(self, name: str, args: list[Any], first: int, second: int, mark: Tensor) -> None:
        """Called before a product of the marked operand args[first]; may change `args`."""
        raise NotImplementedError

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = function_name(func)
        places = _OPERANDS.get(name)
        if places is not None:
            mark = self._mark(args[places[0]]) if len(args) > places[1] else None
            if mark is not None:
                args = list(args)
                self.product(name, args, *places, mark)
            return func(*args, **kwargs)
        result = func(*args, **kwargs)
        if name in _SCALINGS:
            mark = next((m for m in map(self._mark, args) if m is not None), None)
            if mark is not None and result.shape == mark.shape:
                self._follow(result, mark)
        elif name in _VIEWS:
            mark = self._mark(args[0])
            if mark is not None:
                self._follow(result, func(mark, *args[1:], **kwargs))
        elif name in _JOINS:
            self._join(joined(name, args, kwargs) or (), result)
        return result

    def _mark(self, value: Any) -> Tensor | None:
        found = self._marks.get(id(value))
        return None if found is None else found[1]

    def _follow(self, result: Any, mark: Any) -> None:
        if isinstance(result, Tensor):
            self._marks[id(result)] = (result, mark)
            return
        for part, part_mark in zip(result, mark, strict=True):
            self._marks[id(part)] = (part, part_mark)

    def _join(self, members: Sequence[Tensor], result: Tensor) -> None:
        marks = [self._mark(member) for member in members]
        if any(mark is not None for mark in marks):
            wide = [
                torch.full_like(member, self.filler) if mark is None else mark
                for member, mark in zip(members, marks, strict=True)
            ]
            self._follow(result, torch.cat(wide, dim=-1))


class MaskedProducts(_StateProducts):
    """Multiplies by a mask the operand of a matrix product wherever it is the old state.

    Other uses of the state, such as the carry (1 - z) * h, see it whole.

    Args:
        marks: for each state the mask that its products see, or None.
        state: the state tensors that the cell is about to be given.
    """

    filler = 1.0

    def product(self, name: str, args: list[Any], first: int, second: int, mark: Tensor) -> None:
        args[first] = args[first] * mark


class _Matrices(_StateProducts):
    """Notes the matrices that meet the old state, and with which state each column meets."""

    def __init__(self, marks: Sequence[Tensor | None], state: State) -> None:
        super().__init__(marks, state)
        self.seen: list[tuple[Tensor, Tensor]] = []

    def product(self, name: str, args: list[Any], first: int, second: int, mark: Tensor) -> None:
        matrix = args[second] if name == "linear" else args[second].mT
        self.seen.append((matrix, mark[0]))


def recurrent_matrices(
    cell: nn.Module, input_size: int, sizes: Sequence[int]
) -> list[tuple[Tensor, Tensor]]:
    """The matrices [rows, columns] that a cell multiplies with its old state.

    Beside each stands, for each of its columns, the number of the state tensor that it meets,
    counted from 1; 0 for a column that meets something else.
    """
    like = next(cell.parameters(), torch.empty(0))
    # a tensor each, so that two equal states are still told apart
    state = tuple(like.new_zeros(1, size) for size in sizes)
    marks = [torch.full_like(part, i + 1.0) for i, part in enumerate(state)]
    watch = _Matrices(marks, state)
    with watch:
        dry_step(cell, like.new_zeros(1, input_size), state)
    return watch.seen


def dry_step(cell: nn.Module, x: Tensor, state: State) -> Tensor:
    """One step for what can be learned from it: in evaluation mode, no random number used up."""
    modes = [(module, module.training) for module in cell.modules()]
    cell.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            return split_result(cell(x, *state), len(state))[0]
    finally:
        for module, training in modes:
            module.training = training
