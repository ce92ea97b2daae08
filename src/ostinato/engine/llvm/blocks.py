"""Code for one block: some rows by some units, accumulated, computed and stored in registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ostinato.engine.expressions import Node
from ostinato.engine.llvm.maths import lower
from ostinato.engine.llvm.spec import Block, Group, Place, Record
from ostinato.engine.llvm.text import Function, Int, Module

__all__ = ["SETS", "Emitter", "Frame", "emit_block", "most_rows"]

# arguments of every block: the frame, unit block, local row, cur row, prev row, next row, 1 if the
# next step's products are to be added
ARGUMENTS = ("ptr", "i64", "i64", "i64", "i64", "i64", "i64")
# rows 1 and 2 split their sums over several sets of accumulators, to hide the latency of an FMA
SETS = {1: 4, 2: 2}
# sums of a block from which on they are laid down before a long chain: registers that the chain
# wants would else be taken from the sums while they are made
_CROWD = 8
# rows whose long chains go side by side
_SIDE = 3
# made of a dozen instructions that wait for each other
_CHAINS = frozenset({"exp", "tanh", "sigmoid", "softplus", "log", "sin", "cos", "pow", "erf"})


@dataclass
class Frame:
    """The table of addresses and sizes that a kernel is called with: name -> index."""

    slots: dict[str, int] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)

    def index(self, name: str) -> int:
        return self.slots.setdefault(name, len(self.slots))


def most_rows(module: Module, block: Block) -> int:
    """Rows that fit the registers beside the weights of one step of a sum."""
    abreast = block.abreast(module.lanes)
    budget = 24 if module.target.registers >= 32 else 12
    busy = max((len(g.accumulators) * abreast for g in block.groups), default=4)
    return max(1, min(6, budget // busy))


def emit_block(
    module: Module, frame: Frame, block: Block, rows: int, abreast: int, *, split: bool = False
) -> str:
    """Emit the function for `rows` rows by `abreast` unit blocks; returns its name."""
    name = f"{block.name}_{rows}_{abreast}" + ("s" if split else "")
    Emitter(module, frame, block, rows, abreast, split, name).run()
    return name


class Emitter:
    """Writes the function of one block; `run` does."""

    def __init__(
        self,
        module: Module,
        frame: Frame,
        block: Block,
        rows: int,
        abreast: int,
        split: bool,
        name: str,
    ) -> None:
        self.module, self.frame, self.block = module, frame, block
        self.rows, self.abreast, self.split = rows, abreast, split
        self.lanes = module.lanes
        self.f = Function(module, name, ARGUMENTS)
        self.params, self.ub, self.local, self.cur, self.prev, self.next, self.more = (
            self.f.arguments
        )
        self.bases: dict[tuple[object, ...], str] = {}
        self.values: dict[tuple[Node, int, int], str] = {}
        self.fixed: dict[tuple[Node, int], str] = {}
        self.accs: list[list[str]] = []
        self.parked = ""
        self.flags: dict[str, str] = {}

    def run(self) -> None:
        f = self.f
        slow = self._slow()
        many = len(self.block.accs) * self.rows * self.abreast
        if slow and self.block.groups and many >= _CROWD:
            self.parked = f.let(f"alloca [{many} x {self.module.vector}], align 64")
        self.masks = self._masks()
        self.first = f.mul(self.ub, self.lanes)
        self._start()
        for group in self.block.groups:
            self._multiply(group)
        if self.parked:
            self._park()
        if slow:
            for i in range(0, self.rows, _SIDE):
                self._finish(range(i, min(i + _SIDE, self.rows)))
        else:
            for i in range(self.rows):
                # row by row, so that few values wait to be written
                self._finish([i])
        f.finish()

    def _finish(self, rows: Sequence[int]) -> None:
        """Compute and write what the block gives for some rows."""
        block, abreast = self.block, range(self.abreast)
        stored, added, summed = [], [], []
        for i in rows:
            stored += [(p, i, q, self._value(n, i, q)) for n, p in block.stores for q in abreast]
            added += [(p, i, q, self._added(n, p, i, q)) for n, p in block.adds for q in abreast]
            summed += [(p, i, self._units_sum(n, i)) for n, p in block.sums]
        # all is read before anything is written, since records are written where others were read
        for place, i, q, value in (*stored, *added):
            self._store(value, place, i, q)
        for place, i, total in summed:
            self._add_sum(place, i, total)

    def _park(self) -> None:
        """Lay down the sums, and with them the registers that they have."""
        for i in range(self.rows):
            for n, value in enumerate(self.accs[i]):
                self.f.store(value, self._parked(i, n))

    def _parked(self, i: int, n: int) -> str:
        return self.f.at(self.parked, (i * len(self.accs[i]) + n) * self.lanes)

    def _slow(self) -> bool:
        """Whether it has long chains of operations: those of several rows then go side by side."""
        block = self.block
        given = {acc.node for acc in block.accs} | set(block.fetch)
        stack = [node for node, _ in (*block.stores, *block.adds, *block.sums)]
        stack += [term for acc in block.accs for term in acc.rest]
        seen: set[Node] = set()
        while stack:
            node = stack.pop()
            if node not in seen and node not in given:
                if node.op in _CHAINS:
                    return True
                seen.add(node)
                stack.extend(node.args)
        return False

    def _masks(self) -> list[str | None]:
        if self.block.width % self.lanes == 0:
            return [None] * self.abreast
        left = self.f.sub(self.block.width, self.f.mul(self.ub, self.lanes))
        return [
            self.f.lanes_below(self.f.sub(left, q * self.lanes) if q else left)
            for q in range(self.abreast)
        ]

    # addresses

    def _word(self, name: str) -> str:
        key = ("word", name)
        if key not in self.bases:
            self.bases[key] = self.f.word(self.params, self.frame.index(name))
        return self.bases[key]

    def _pointer(self, name: str) -> str:
        key = ("pointer", name)
        if key not in self.bases:
            self.bases[key] = self.f.pointer(self.params, self.frame.index(name))
        return self.bases[key]

    def _row(self, kind: str) -> str:
        return {"cur": self.cur, "prev": self.prev, "next": self.next, "local": self.local}[kind]

    def _stride(self, place: Place) -> Int:
        return place.stride if isinstance(place.stride, int) else self._word(place.stride)

    def _base(self, place: Place, units: bool) -> str:
        """Address of the first row, at the block's first unit or at the first column."""
        key = ("base", place, units)
        if key not in self.bases:
            f = self.f
            offset = f.add(f.mul(self._row(place.row), self._stride(place)), place.column)
            if units:
                offset = f.add(offset, self.first)
            self.bases[key] = f.at(self._pointer(place.pointer), offset)
        return self.bases[key]

    def _address(self, place: Place, i: int, q: int, units: bool) -> str:
        f = self.f
        return f.at(
            self._base(place, units),
            f.add(f.mul(self._stride(place), i), q * self.lanes if units else 0),
        )

    def _record_base(self, record: Record, q: int) -> str:
        """Address of the first row of a record in the block's unit block q."""
        key = ("record", record.pointer, record.row, q)
        if key not in self.bases:
            f = self.f
            slots = self.frame.records[record.pointer]
            ub = f.add(self.ub, q)
            row = f.add(f.mul(ub, self._word("N")), self._row(record.row))
            self.bases[key] = f.at(self._pointer(record.pointer), f.mul(row, slots * self.lanes))
        return self.bases[key]

    def _record(self, record: Record, i: int, q: int) -> str:
        slots = self.frame.records[record.pointer]
        return self.f.at(self._record_base(record, q), (i * slots + record.slot) * self.lanes)

    # values

    def _load(self, source: Place | Record, node: Node, i: int, q: int) -> str:
        if isinstance(source, Record):
            return self.f.load(self._record(source, i, q))
        if node.width == 1 and self.block.width > 1:
            return self.f.broadcast(self._address(source, i, q, units=False))
        return self.f.load(self._address(source, i, q, units=True), self.masks[q])

    def _vector(self, node: Node, q: int) -> str:
        key = (node, q)
        if key not in self.fixed:
            static, start = node.data
            pointer = self.f.at(self._pointer(f"S{static}"), start)
            if node.width == 1 and self.block.width > 1:
                self.fixed[key] = self.f.broadcast(pointer)
            else:
                at = self.f.at(pointer, self.f.add(self.first, q * self.lanes))
                self.fixed[key] = self.f.load(at, self.masks[q])
        return self.fixed[key]

    def _value(self, node: Node, i: int, q: int) -> str:
        if node.op == "const":
            return self.module.splat(node.data)
        if node.op == "vector":
            return self._vector(node, q)
        key = (node, i, q)
        if key not in self.values:
            self.values[key] = self._compute(node, i, q)
        return self.values[key]

    def _compute(self, node: Node, i: int, q: int) -> str:
        for n, acc in enumerate(self.block.accs):
            if acc.node is node:
                at = q * len(self.block.accs) + n
                value = self.f.load(self._parked(i, at)) if self.parked else self.accs[i][at]
                for term in acc.rest:
                    value = self.f.binary("fadd contract", value, self._value(term, i, q))
                return value
        if node in self.block.fetch:
            return self._load(self.block.fetch[node], node, i, q)
        if node.op == "start":
            start = next(acc.start for acc in self.block.accs if acc.node is node.args[0])
            return self._first(start, i, q, node)
        if node.op == "product":
            # another operation than that of a product which is fused with a sum, and the same value
            a, b = (self._value(arg, i, q) for arg in node.args)
            return self.f.fma(a, b, self.module.splat(-0.0))
        return lower(self.f, node.op, [self._value(arg, i, q) for arg in node.args])

    # accumulators

    def _start(self) -> None:
        """Every accumulator's first value."""
        for i in range(self.rows):
            self.accs.append(
                [
                    self._first(acc.start, i, q, acc.node)
                    for q in range(self.abreast)
                    for acc in self.block.accs
                ]
            )

    def _first(self, start: Sequence[Place | Record | Node], i: int, q: int, node: Node) -> str:
        total = None
        for source in start:
            if isinstance(source, Node):
                value = self._vector(source, q)
            else:
                value = self._load(source, node, i, q)
            total = value if total is None else self.f.binary("fadd", total, value)
        return total or "zeroinitializer"

    def _multiply(self, group: Group) -> None:
        count = len(self.block.accs)
        chosen = [q * count + a for q in range(self.abreast) for a in group.accumulators]
        sums = [self.accs[i][c] for i in range(self.rows) for c in chosen]
        if isinstance(group.operand, Place):
            weights = self._weights(group, group.inner, len(chosen))
            heads = [self._address(group.operand, i, 0, units=False) for i in range(self.rows)]
            sums = self._dot(sums, heads, weights, group.inner, len(chosen))
        else:
            sums = self._dot_records(sums, group, group.operand, len(chosen))
        for n, value in enumerate(sums):
            self.accs[n // len(chosen)][chosen[n % len(chosen)]] = value

    def _weights(self, group: Group, inner: int, vectors: int) -> str:
        each = inner * len(group.accumulators) * self.lanes
        return self.f.at(self._pointer(group.packed), self.f.mul(self.ub, each))

    def _dot(
        self, sums: list[str], heads: list[str], weights: str, inner: Int, vectors: int
    ) -> list[str]:
        """sums[i, j] += sum over k of operand[i, k] weights[k, j]."""
        sets = SETS.get(self.rows, 1) if self.split else 1
        if isinstance(inner, int) and inner < 8:
            sets = 1
        kind = self.module.vector
        held = [*sums, *["zeroinitializer"] * (len(sums) * (sets - 1))]
        whole = inner // sets * sets if isinstance(inner, int) else inner

        def body(k: str, values: list[str]) -> list[str]:
            values = list(values)
            for s in range(sets):
                part = slice(s * len(sums), (s + 1) * len(sums))
                at = self.f.add(k, s)
                values[part] = self._step(values[part], heads, weights, at, vectors)
            return values

        carried = [(kind, value) for value in held]
        done = self.f.loop(0, whole, body, step=sets, carried=carried)
        for s in range(1, sets):
            for n in range(len(sums)):
                other = done[s * len(sums) + n]
                done[n] = self.f.binary("fadd", done[n], other)
        done = done[: len(sums)]
        if isinstance(inner, int) and isinstance(whole, int):
            for k in range(whole, inner):
                done = self._step(done, heads, weights, k, vectors)
        return done

    def _step(
        self, sums: list[str], heads: list[str], weights: str, k: Int, vectors: int
    ) -> list[str]:
        f = self.f
        row = f.at(weights, f.mul(k, vectors * self.lanes))
        loaded = [f.load(f.at(row, j * self.lanes)) for j in range(vectors)]
        new = []
        for i, head in enumerate(heads):
            a = f.broadcast(f.at(head, k))
            new += [f.fma(a, loaded[j], sums[i * vectors + j]) for j in range(vectors)]
        return new

    def _dot_records(
        self, sums: list[str], group: Group, slots: tuple[Record, ...], vectors: int
    ) -> list[str]:
        f, first = self.f, slots[0]
        blocks = -(-first.width // self.lanes)
        count = self.frame.records[first.pointer]
        weights = self._weights(group, blocks * len(slots) * self.lanes, vectors)
        apart = f.mul(self._word("N"), count * self.lanes)
        row = f.mul(self._row(first.row), count * self.lanes)
        base = f.at(self._pointer(first.pointer), row)
        high: Int = blocks
        if first.row == "next":
            high = f.mul(self.more, blocks)
        runs = _runs([record.slot for record in slots])

        def body(block: str, values: list[str]) -> list[str]:
            at = f.at(base, f.mul(block, apart))
            done = f.mul(block, len(slots) * self.lanes * vectors * self.lanes)
            here = f.at(weights, done)
            for start, length in runs:
                heads = [f.at(at, (i * count + start) * self.lanes) for i in range(self.rows)]
                values = self._dot(values, heads, here, length * self.lanes, vectors)
                here = f.at(here, length * self.lanes * vectors * self.lanes)
            return values

        return f.loop(0, high, body, carried=[(self.module.vector, v) for v in sums])

    # results

    def _store(self, value: str, place: Place | Record, i: int, q: int) -> None:
        if isinstance(place, Place):
            self.f.store(value, self._address(place, i, q, units=True), self.masks[q])
            return
        if self.masks[q] is not None:
            # what multiplies a whole record must not meet a NaN in lanes that are not there
            value = self.f.select(str(self.masks[q]), value, "zeroinitializer")
        self.f.store(value, self._record(place, i, q))

    def _added(self, node: Node, place: Place, i: int, q: int) -> str:
        """A value and what the later steps of its row have left; of the last step, the value."""
        f, kind = self.f, self.module.vector
        if "going" not in self.flags:
            self.flags["going"] = f.compare("ne", self.more, 0)
        old = f.load(self._address(place, i, q, units=True), self.masks[q])
        held = f.let(f"select i1 {self.flags['going']}, {kind} {old}, {kind} zeroinitializer")
        return f.binary("fadd", held, self._value(node, i, q))

    def _units_sum(self, node: Node, i: int) -> str:
        total = self._masked(node, i, 0)
        for q in range(1, self.abreast):
            total = self.f.binary("fadd", total, self._masked(node, i, q))
        return total

    def _add_sum(self, place: Place, i: int, value: str) -> None:
        """Add to a row's sum; the first unit block begins it."""
        f, m = self.f, self.module
        called = m.declare(
            f"llvm.vector.reduce.fadd.{m.suffix}", f"{m.element} {{}}({m.element}, {m.vector})"
        )
        added = f.let(
            f"call reassoc {m.element} {called}({m.element} {m.number(-0.0)}, {m.vector} {value})"
        )
        at = self._address(place, i, 0, units=False)
        old = f.let(f"load {m.element}, ptr {at}")
        fresh = f.compare("eq", self.ub, 0)
        old = f.let(f"select i1 {fresh}, {m.element} {m.number(0.0)}, {m.element} {old}")
        f.do(f"store {m.element} {f.let(f'fadd {m.element} {old}, {added}')}, ptr {at}")

    def _masked(self, node: Node, i: int, q: int) -> str:
        value = self._value(node, i, q)
        if self.masks[q] is None:
            return value
        return self.f.select(str(self.masks[q]), value, "zeroinitializer")


def _runs(slots: list[int]) -> list[tuple[int, int]]:
    """Neighbouring slots as (first, how many)."""
    runs: list[tuple[int, int]] = []
    for slot in slots:
        if runs and sum(runs[-1]) == slot:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((slot, 1))
    return runs
