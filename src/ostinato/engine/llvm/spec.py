"""What a piece of kernel does, before any code: where values come from, are added up, and go.

Rows are the rows of the packed batch: at step t the live sequences stand side by side, the longest
first, and `cur` counts rows over all steps. A *record* holds several vectors for each unit block
and row, side by side: [unit blocks, rows, slots, lanes]. Everything else is row-major.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ostinato.engine.expressions import Matrix, Node

__all__ = ["Acc", "Block", "Colsum", "Group", "Place", "Record", "Rowsum", "WeightProduct"]

# cur: this step's rows; prev: the rows of the old states; next: the following step's rows; local:
# one row for each sequence
RowKind = Literal["cur", "prev", "next", "local"]


# values that a block reads and writes from which on its code is made for one row alone
_LONG = 16


@dataclass(frozen=True)
class Place:
    """Columns of a row-major buffer.

    Attributes:
        pointer: name of its address in the frame.
        stride: elements from row to row, or the frame's name for it.
        row: which row is meant.
        column: first column.
    """

    pointer: str
    stride: int | str
    row: RowKind
    column: int = 0


@dataclass(frozen=True)
class Record:
    """One slot of a record buffer for values of `width` units."""

    pointer: str
    width: int
    slots: int
    slot: int
    row: RowKind = "cur"


@dataclass(frozen=True)
class Group:
    """Products of one operand, each added to an accumulator.

    `operand` is a row-major place of `inner` columns, with a matrix for each accumulator; or slots
    of one record, multiplied one after the other, with a matrix for each slot and one accumulator.
    The weights are packed into the frame's buffer `packed`.
    """

    packed: str
    operand: Place | tuple[Record, ...]
    accumulators: tuple[int, ...]
    matrices: tuple[Matrix, ...]

    @property
    def inner(self) -> int:
        """Length of the sum; for a record in units of its width."""
        return self.matrices[0].inner


@dataclass
class Acc:
    """One accumulator: what it starts from; `node` is what it holds with `rest` added."""

    node: Node
    start: tuple[Place | Record | Node, ...]
    rest: tuple[Node, ...] = ()


@dataclass
class Block:
    """Work on unit blocks of one width: accumulate, compute, store.

    Attributes:
        name: of the function.
        width: units.
        accs: accumulators for each unit block.
        groups: products.
        fetch: where the values that are not computed here are read.
        stores: (value, where to).
        sums: (value, where its sum over the units goes).
        adds: (value, where it is added up over the steps of a row, the last step first).
    """

    name: str
    width: int
    accs: list[Acc] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    fetch: dict[Node, Place | Record] = field(default_factory=dict)
    stores: list[tuple[Node, Place | Record]] = field(default_factory=list)
    sums: list[tuple[Node, Place]] = field(default_factory=list)
    adds: list[tuple[Node, Place]] = field(default_factory=list)

    def unit_blocks(self, lanes: int) -> int:
        return -(-self.width // lanes)

    @property
    def is_long(self) -> bool:
        """So much work on one row, and no product, that several rows at once gain nothing."""
        passing = len(self.fetch) + len(self.stores) + len(self.adds) + 2 * len(self.sums)
        return not self.groups and passing >= _LONG

    def abreast(self, lanes: int) -> int:
        """How many unit blocks are worked on at once, to fill the registers."""
        busy = max((len(group.accumulators) for group in self.groups), default=4)
        most = max(1, min(4 // max(busy, len(self.accs), 1), self.unit_blocks(lanes)))
        even = [q for q in range(most, 0, -1) if self.unit_blocks(lanes) % q == 0]
        return most if even[0] * 2 < most else even[0]


@dataclass(frozen=True)
class WeightProduct:
    """dM[row + n, column + k] += sum over rows of record[n] operand[k]."""

    matrix: Matrix
    operand: Place
    record: Record


@dataclass(frozen=True)
class Colsum:
    """d static[start + n] += sum over rows of record[n]."""

    static: int
    start: int
    record: Record


@dataclass(frozen=True)
class Rowsum:
    """d static[start + n] += sum over sequences of place[n]."""

    static: int
    start: int
    place: Place
    width: int


def terms(node: Node, through: Sequence[str] = ("add",)) -> list[Node]:
    """The terms of a sum, in order."""
    if node.op not in through:
        return [node]
    return [term for arg in node.args for term in terms(arg, through)]
