"""One-hot input that is never made: a whole number picks a column of the cell's input matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ostinato.engine import State
from ostinato.layers.products import dry_step, function_name, joined
from ostinato.layers.wrapper import Wrapper

__all__ = ["OneHotInput"]

_PRODUCTS = {"linear": (0, 1), "matmul": (0, 1), "__matmul__": (0, 1), "mm": (0, 1)}
# what may be asked of x without reading its numbers
_HARMLESS = {"__get__", "size", "dim", "numel", "new_zeros", "new_ones", "new_empty", "__len__"}


class OneHotInput(Wrapper):
    """Around a cell: it runs as if x were one-hot, while the product W x is looked up.

    For a one-hot x, W x is a column of W. The columns for all steps are gathered before time, and
    arrive as x; the cell is given a stand-in of the right width for x, and each of its products
    with that is replaced by the gathered columns.

    Works for any cell that uses x in matrix products only (also on the concatenation [h, x]).

    Args:
        cell: the cell inside.
        sizes: widths of its states.
        classes: I, the width of the one-hot vectors.

    Shapes: x [B, n], n the rows of all input matrices; states as the cell's.
    """

    def __init__(self, cell: nn.Module, sizes: Sequence[int], classes: int) -> None:
        super().__init__(cell, sizes)
        self.classes = classes

    def look_up(self, tokens: Tensor, parameters: Mapping[str, Tensor] | None) -> Tensor:
        """The columns for whole numbers [T, B], as x [T, B, n].

        Raises:
            IndexError: a number is not in 0..I-1.
            ValueError: the cell uses x otherwise than in a product.
        """
        matrices = self._matrices(parameters)
        tokens = tokens.long()
        try:
            found = [F.embedding(tokens, matrix.t()) for matrix in matrices]
        except IndexError:
            low, high = (int(end) for end in tokens.aminmax())
            raise IndexError(
                f"one-hot input: whole numbers must be in 0..{self.classes - 1}, got {low}..{high}."
            ) from None
        return found[0] if len(found) == 1 else torch.cat(found, dim=-1)

    def _matrices(self, parameters: Mapping[str, Tensor] | None) -> list[Tensor]:
        # asked anew each time, as a cell may make them from its parameters
        probe = _Probe(self.cell)
        given = {f"cell.{name}": value for name, value in (parameters or {}).items()}
        like = next(iter(given.values()), None)
        like = next(self.cell.parameters()) if like is None else like
        state = tuple(like.new_zeros(1, size) for size in self.sizes)
        x = _stand_in(like, 1, self.classes)
        watch = _Recorded(x)
        with watch:
            torch.func.functional_call(probe, given, (x, state))
        if not watch.matrices:
            raise ValueError(
                f"one-hot input: {type(self.cell).__name__} has no product with x. Give it vectors."
            )
        return watch.matrices

    def forward(self, x: Tensor, *state: Tensor) -> Any:
        stand_in = _stand_in(x, x.shape[0], self.classes)
        with _Replaced(stand_in, x):
            return self.cell(stand_in, *state)

    def extra_repr(self) -> str:
        return f"{self.classes}"


class _Probe(nn.Module):
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, state: State) -> Tensor:
        return dry_step(self.cell, x, state)


def _stand_in(like: Tensor, batch_size: int, width: int) -> Tensor:
    # one number in memory, whatever the width
    return like.new_zeros(()).expand(batch_size, width)


class _OneHotProducts(TorchFunctionMode):
    """Finds the products with x, or with a concatenation that x is in."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        # id -> the tensor itself, and its members along the last axis; x is the member None
        self._made: dict[int, tuple[Tensor, list[Tensor | None]]] = {id(x): (x, [None])}
        self.width = x.shape[-1]

    def column(self, matrix: Tensor) -> Tensor:
        """What W x is, for the block W of a matrix that meets x."""
        raise NotImplementedError

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = function_name(func)
        members = joined(name, args, kwargs)
        if members is not None and any(id(member) in self._made for member in members):
            return self._join(members)
        touched = [arg for arg in args if id(arg) in self._made]
        if not touched or name in _HARMLESS:
            return func(*args, **kwargs)
        if name == "addmm" and touched[0] is args[1]:
            return args[0] + self._product(args[1], args[2].t(), None)
        if name not in _PRODUCTS or touched[0] is not args[0]:
            raise ValueError(
                f"one-hot input: the cell uses x in {name!r}, not only in matrix products. Give it "
                "vectors (torch.nn.functional.one_hot) in place of whole numbers."
            )
        if name == "linear":
            bias = args[2] if len(args) > 2 else kwargs.get("bias")
            return self._product(args[0], args[1], bias)
        return self._product(args[0], args[1].t(), None)

    def _join(self, members: Sequence[Tensor]) -> Tensor:
        flat: list[Tensor | None] = []
        for member in members:
            flat.extend(self._made[id(member)][1] if id(member) in self._made else [member])
        other = next((member for member in flat if member is not None), members[0])
        width = sum(self.width if member is None else member.shape[-1] for member in flat)
        made = _stand_in(other, members[0].shape[0], width)
        self._made[id(made)] = (made, flat)
        return made

    def _product(self, operand: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
        members = self._made[id(operand)][1]
        widths = [self.width if member is None else member.shape[-1] for member in members]
        terms = [
            self.column(block) if member is None else F.linear(member, block)
            for member, block in zip(members, torch.split(matrix, widths, dim=1), strict=True)
        ]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total if bias is None else total + bias


class _Recorded(_OneHotProducts):
    """Notes each matrix that meets x, in the order in which the cell uses them."""

    def __init__(self, x: Tensor) -> None:
        super().__init__(x)
        self.matrices: list[Tensor] = []

    def column(self, matrix: Tensor) -> Tensor:
        self.matrices.append(matrix)
        return matrix[:, 0].unsqueeze(0)


class _Replaced(_OneHotProducts):
    """Gives out the gathered columns in the same order."""

    def __init__(self, x: Tensor, gathered: Tensor) -> None:
        super().__init__(x)
        self._gathered = gathered
        self._next = 0

    def column(self, matrix: Tensor) -> Tensor:
        start = self._next
        self._next = start + matrix.shape[0]
        return self._gathered[:, start : self._next]
