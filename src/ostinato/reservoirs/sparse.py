"""A reservoir's walk that touches only the connections there are.

The state of some rows stands unit by unit, each unit's values of all rows side by side in one
vector. A connection is then one multiply-add of whole vectors, wherever in the state it reads, and
no gathering of single numbers. Units are taken as many at once as a vector has lanes, which lets
as many sums run side by side, and turns their results round into rows of the output.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.engine.llvm.compile import Library, compile_text, host_target
from ostinato.engine.llvm.maths import lower
from ostinato.engine.llvm.text import Function, Int, Module
from ostinato.engine.llvm.weights import transpose

__all__ = ["ACTIVATIONS", "Connections", "Rows", "Steps", "lanes_for", "walk"]

# those of which the kernel knows the code
ACTIVATIONS = ("tanh", "sigmoid", "relu", "identity", "softplus")

# the table of addresses (and two-word constants) that the kernel is called with: steps T, unit
# blocks, columns and values of the connections, starts of the blocks in them, biases, inputs
# [T, count, lanes] and their count, the state before and room for the next, output, its strides
# from step to step and from row to row, where each unit block goes, rows and units that are there,
# keep and renew, drive [T, units, lanes]
FIELDS = (
    "steps",
    "blocks",
    "columns",
    "values",
    "starts",
    "bias",
    "inputs",
    "count",
    "here",
    "there",
    "out",
    "step",
    "lane",
    "where",
    "rows",
    "width",
    "leak",
    "drive",
)


@dataclass(frozen=True)
class Connections:
    """The weights of a reservoir in the order in which the kernel reads them.

    Attributes:
        columns: for each connection where its operand starts in the state, [n] int32.
        values: their weights, [n].
        starts: the first connection of each unit block, and the end, int64.
        bias: [blocks * lanes], zero for units that are not there.
        units: H.
        inputs: I, how many inputs stand behind the units in the state.
    """

    columns: Tensor
    values: Tensor
    starts: Tensor
    bias: Tensor
    units: int
    inputs: int

    @property
    def blocks(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, recurrent: Tensor, inward: Tensor, bias: Tensor) -> Connections:
        """From U [H, H], W [H, I] and b [H]; zeros are kept only where blocks are uneven."""
        lanes = lanes_for(recurrent.dtype)
        units, inputs = inward.shape
        blocks = -(-units // lanes)
        whole = torch.cat([recurrent, inward], dim=1)
        unit, column = whole.nonzero().unbind(1)
        counts = torch.bincount(unit, minlength=blocks * lanes)
        longest = counts.view(blocks, lanes).amax(1)
        starts = torch.zeros(blocks + 1, dtype=torch.int64)
        starts[1:] = (longest * lanes).cumsum(0)
        # the how-manieth of its unit each connection is
        first = counts.cumsum(0) - counts
        nth = torch.arange(len(unit)) - first[unit]
        place = starts[unit // lanes] + nth * lanes + unit % lanes
        columns = torch.zeros(int(starts[-1]), dtype=torch.int32)
        values = torch.zeros(int(starts[-1]), dtype=recurrent.dtype)
        # inputs stand behind the last block of units
        at = torch.where(column < units, column, column - units + blocks * lanes)
        columns[place] = (at * lanes).int()
        values[place] = whole[unit, column]
        padded = torch.zeros(blocks * lanes, dtype=recurrent.dtype)
        padded[:units] = bias
        return cls(columns, values, starts, padded, units, inputs)


@dataclass(frozen=True)
class Rows:
    """Where the kernel writes what it finds.

    Attributes:
        out: memory that holds it.
        step: elements from one step to the next.
        lane: elements from one row to the next.
        where: first element of each unit block, int64.
    """

    out: Tensor
    step: int
    lane: int
    where: Tensor

    @classmethod
    def plain(cls, out: Tensor, blocks: int) -> Rows:
        """The usual form, [T, B, H], which may be a part of a larger one."""
        lanes = lanes_for(out.dtype)
        return cls(out, out.stride(0), out.stride(1), torch.arange(blocks) * lanes)


@dataclass(frozen=True)
class Steps:
    """What drives some rows through some steps.

    Attributes:
        inputs: [T, I, lanes].
        state: [units and inputs, lanes], changed in place to the state after the last step.
        rows: how many of the lanes are there.
        drive: added to what each unit hears, [T, blocks * lanes, lanes]; None: nothing.
    """

    inputs: Tensor
    state: Tensor
    rows: int
    drive: Tensor | None = None


def lanes_for(dtype: torch.dtype) -> int:
    """How many rows go side by side."""
    return host_target().vector_bytes // dtype.itemsize


def walk(
    connections: Connections, steps: Steps, rows: Rows, *, leak: float, activation: str
) -> None:
    """Take all steps of some rows."""
    T = steps.inputs.shape[0]
    leaks = torch.tensor([1 - leak, leak], dtype=steps.state.dtype)
    other = torch.zeros_like(steps.state)
    drive = steps.drive
    values = {
        "steps": T,
        "blocks": connections.blocks,
        "columns": connections.columns.data_ptr(),
        "values": connections.values.data_ptr(),
        "starts": connections.starts.data_ptr(),
        "bias": connections.bias.data_ptr(),
        "inputs": steps.inputs.data_ptr(),
        "count": connections.inputs,
        "here": steps.state.data_ptr(),
        "there": other.data_ptr(),
        "out": rows.out.data_ptr(),
        "step": rows.step,
        "lane": rows.lane,
        "where": rows.where.data_ptr(),
        "rows": steps.rows,
        "width": connections.units,
        "leak": leaks.data_ptr(),
        "drive": 0 if drive is None else drive.data_ptr(),
    }
    frame = torch.tensor([values[name] for name in FIELDS])
    _library(steps.state.dtype, activation, drive is not None).functions["walk"](
        frame.data_ptr(), 0
    )
    if T % 2:
        steps.state.copy_(other)


@functools.cache
def _library(dtype: torch.dtype, activation: str, driven: bool) -> Library:
    module = Module(host_target(), "float" if dtype == torch.float32 else "double")
    _Walk(module, activation, driven).emit()
    return compile_text(str(module), module.target, ["walk"])


class _Walk:
    """Writes the kernel."""

    def __init__(self, module: Module, activation: str, driven: bool) -> None:
        self.m, self.lanes = module, module.lanes
        self.activation, self.driven = activation, driven
        self.f = Function(module, "walk", ("ptr", "i64"), public=True)

    def emit(self) -> None:
        f, table = self.f, self.f.arguments[0]
        self.word = {name: f.word(table, i) for i, name in enumerate(FIELDS)}
        self.pointer = {name: f.pointer(table, i) for i, name in enumerate(FIELDS)}
        self.keep = f.broadcast(self.pointer["leak"])
        self.renew = f.broadcast(f.at(self.pointer["leak"], 1))
        states = [("ptr", self.pointer["here"]), ("ptr", self.pointer["there"])]
        f.loop(0, self.word["steps"], self._step, carried=states)
        f.finish()

    def _step(self, t: str, states: list[str]) -> list[str]:
        f, (here, there) = self.f, states
        count = f.mul(self.word["count"], self.lanes)
        source = f.at(self.pointer["inputs"], f.mul(t, count))
        units = f.mul(self.word["blocks"], self.lanes)
        target = f.at(here, f.mul(units, self.lanes))

        def copy(i: str, _: list[str]) -> None:
            f.store(f.load(f.at(source, i)), f.at(target, i))

        f.loop(0, count, copy, step=self.lanes)
        out = f.at(self.pointer["out"], f.mul(t, self.word["step"]))
        drive = f.at(self.pointer["drive"], f.mul(t, f.mul(units, self.lanes)))

        def block(number: str, _: list[str]) -> None:
            self._block(number, here, there, out, drive)

        f.loop(0, self.word["blocks"], block)
        return [there, here]

    def _block(self, number: str, here: str, there: str, out: str, drive: str) -> None:
        f = self.f
        first = f.mul(number, self.lanes)
        held = f.mul(first, self.lanes)
        done = []
        for u, heard in enumerate(self._heard(number, first, held, here, drive)):
            at = f.add(held, u * self.lanes)
            y = heard if self.activation == "identity" else lower(f, self.activation, [heard])
            y = f.fma(self.renew, y, f.binary("fmul", self.keep, f.load(f.at(here, at))))
            f.store(y, f.at(there, at))
            done.append(y)
        mask = f.lanes_below(f.sub(self.word["width"], first))
        base = f.at(out, f.word(self.pointer["where"], number))
        for row, units in enumerate(transpose(f, done)):

            def store(row: int = row, units: str = units) -> None:
                f.store(units, f.at(base, f.mul(self.word["lane"], row)), mask)

            f.when(f.compare("slt", row, self.word["rows"]), store)

    def _heard(self, number: str, first: Int, held: Int, here: str, drive: str) -> list[str]:
        """What each unit of a block hears, a vector for all rows."""
        f, starts = self.f, self.pointer["starts"]
        sums = [f.broadcast(f.at(self.pointer["bias"], f.add(first, u))) for u in range(self.lanes)]
        if self.driven:
            added = [f.load(f.at(drive, f.add(held, u * self.lanes))) for u in range(self.lanes)]
            sums = [f.binary("fadd", a, b) for a, b in zip(sums, added, strict=True)]

        def connection(k: str, sums: list[str]) -> list[str]:
            found = []
            for u, total in enumerate(sums):
                at = f.at(self.pointer["columns"], f.add(k, u), "i32")
                column = f.let(f"zext i32 {f.let(f'load i32, ptr {at}')} to i64")
                weight = f.broadcast(f.at(self.pointer["values"], f.add(k, u)))
                found.append(f.fma(weight, f.load(f.at(here, column)), total))
            return found

        low, high = f.word(starts, number), f.word(starts, f.add(number, 1))
        carried = [(self.m.vector, value) for value in sums]
        return f.loop(low, high, connection, step=self.lanes, carried=carried)
