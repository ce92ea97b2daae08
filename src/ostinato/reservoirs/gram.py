"""Sums of products of all pairs of columns: what a linear readout is found from.

Rows stand in panels: a few vectors of columns, row after row, then the next columns. Of the
symmetric result only one half is summed, a tile at a time, which stays in registers for all rows.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ostinato.engine.llvm.compile import Library, compile_text, host_target
from ostinato.engine.llvm.text import Function, Module

__all__ = ["Panels", "fits"]

# vectors in a panel
_VECTORS = 3
# the most columns that each of them meets at once, by the number of registers
_ACROSS = {32: 8, 16: 4}


def fits(values: Tensor) -> bool:
    """Whether the kernel takes values of this kind."""
    return values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64)


def panel_width(dtype: torch.dtype) -> int:
    """Columns in a panel."""
    target = host_target()
    return _VECTORS * (target.vector_bytes // dtype.itemsize)


class Panels:
    """Room for some rows, from which sums of products are made.

    Args:
        columns: F.
        rows: the most that there is room for.
        dtype: torch.float32 or torch.float64.

    Attributes:
        values: [panels, rows, width of a panel]; columns beyond F stay zero.
    """

    def __init__(self, columns: int, rows: int, dtype: torch.dtype) -> None:
        self.columns, self.rows, self.dtype = columns, rows, dtype
        self.width = panel_width(dtype)
        self.count = -(-columns // self.width)
        self.values = torch.zeros(self.count, rows, self.width, dtype=dtype)

    def zeros(self) -> Tensor:
        """Where sums begin, [panels * width, panels * width]; its upper half gets filled."""
        side = self.count * self.width
        return torch.zeros(side, side, dtype=self.dtype)

    def where(self, first: Tensor) -> Tensor:
        """For columns [n], the place of each in row 0, in elements of `values`."""
        panel, inside = first // self.width, first % self.width
        return panel * self.rows * self.width + inside

    def fill(self, start: int, values: Tensor, column: int) -> None:
        """Put values [n, k] into rows from `start`, columns from `column`."""
        done = 0
        while done < values.shape[1]:
            panel, inside = divmod(column + done, self.width)
            here = min(self.width - inside, values.shape[1] - done)
            target = self.values[panel, start : start + len(values), inside : inside + here]
            target.copy_(values[:, done : done + here])
            done += here

    def add(self, sums: Tensor, start: int, count: int) -> None:
        """Add to the upper half of `sums` the products of rows start..start + count."""
        if count <= 0:
            return
        frame = torch.tensor(
            [
                self.values[0, start:].data_ptr(),
                count,
                self.rows * self.width,
                self.count,
                sums.data_ptr(),
                sums.stride(0),
            ]
        )
        _library(self.dtype).functions["gram"](frame.data_ptr(), 0)

    def whole(self, sums: Tensor) -> Tensor:
        """Both halves of the sums, [F, F]."""
        half = sums[: self.columns, : self.columns].triu()
        return half + half.triu(1).T


@functools.cache
def _library(dtype: torch.dtype) -> Library:
    module = Module(host_target(), "float" if dtype == torch.float32 else "double")
    width, most = _VECTORS * module.lanes, _ACROSS[module.target.registers]
    _emit(module, _VECTORS, max(n for n in range(1, most + 1) if width % n == 0))
    return compile_text(str(module), module.target, ["gram"])


def _emit(m: Module, vectors: int, across: int) -> None:
    """The frame: first row, how many, elements of a panel, panels, sums, their stride."""
    f = Function(m, "gram", ("ptr", "i64"), public=True)
    table, width = f.arguments[0], vectors * m.lanes
    source, rows, apart, panels = (
        f.pointer(table, 0),
        *(f.word(table, i) for i in (1, 2, 3)),
    )
    sums, stride = f.pointer(table, 4), f.word(table, 5)

    def tile(p: str, q: str, left: str, first: int) -> None:
        """Columns of panel p by `across` columns of panel q, which is not after p."""
        right = f.at(f.at(source, f.mul(q, apart)), first)

        def row(n: str, totals: list[str]) -> list[str]:
            at = f.mul(n, width)
            here = f.at(left, at)
            loaded = [f.load(f.at(here, v * m.lanes)) for v in range(vectors)]
            there = f.at(right, at)
            new = []
            for i in range(across):
                one = f.broadcast(f.at(there, i))
                new += [f.fma(one, loaded[v], totals[i * vectors + v]) for v in range(vectors)]
            return new

        zeros = [(m.vector, "zeroinitializer")] * (across * vectors)
        totals = f.loop(0, rows, row, carried=zeros)
        corner = f.add(f.mul(f.add(f.mul(q, width), first), stride), f.mul(p, width))
        for i in range(across):
            for v in range(vectors):
                at = f.at(sums, f.add(corner, f.mul(stride, i), v * m.lanes))
                f.store(f.binary("fadd", f.load(at), totals[i * vectors + v]), at)

    def panel(p: str, _: list[str]) -> None:
        left = f.at(source, f.mul(p, apart))

        def other(q: str, _: list[str]) -> None:
            for first in range(0, width, across):
                tile(p, q, left, first)

        f.loop(0, f.add(p, 1), other)

    f.loop(0, panels, panel)
    f.finish()
