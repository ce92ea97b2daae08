"""One step of a few rows as one call: a stream's kernel, which reads the weights where they stand.

A walk over many steps packs the weights first, into the order in which it reads them. For a single
step of one or two rows that costs four times the arithmetic, and a packing that is kept for the
next step would not see weights that someone has written since. So here each square of a
matrix is turned round in registers on its way to the same sums, in the same order: the results are
those of the walk, bit for bit.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from ostinato.engine.expressions import Matrix, Program
from ostinato.engine.llvm import drafts
from ostinato.engine.llvm.blocks import SETS, Emitter, Frame
from ostinato.engine.llvm.compile import Library, cached, code_key, compile_text
from ostinato.engine.llvm.forward import Forward
from ostinato.engine.llvm.spec import Block, Group, Place
from ostinato.engine.llvm.text import Function, Int, Module, Target
from ostinato.engine.llvm.walks import rows_of
from ostinato.engine.llvm.weights import load_square, transpose

__all__ = ["MOST_ROWS", "OneStep"]

# with more rows, packing first is no slower
MOST_ROWS = 2
# matrices summed in one loop: with more the registers do not hold what is turned round
_TOGETHER = 2


class OneStep:
    """A program's step for a number of rows as machine code.

    Args:
        program: the step.
        rows: B, at most `MOST_ROWS`.
        output: ("state", i) or ("emit", i), what each call returns.
        dtype: torch.float32 or torch.float64.
        target: what the code is made for.

    Attributes:
        frame: addresses that the code expects: statics S, old states Y, new states V, emitted E,
            records R, rows in between Z, inputs U; and the numbers N and ldU.
        sizes: elements of each of these but the statics and inputs.
        function: takes the addresses of the frame, of x and of the output; new states are copied
            to where the old ones stood.
    """

    def __init__(
        self,
        program: Program,
        rows: int,
        output: tuple[str, int],
        *,
        dtype: torch.dtype,
        target: Target,
    ) -> None:
        self.program, self.rows, self.output = program, rows, output
        self.module = Module(target, "float" if dtype == torch.float32 else "double")
        self.frame = Frame()
        self.forward = Forward(program)
        self.frame.records.update(self.forward.slots)
        walk = list(self.forward.walk.values())
        # rows that a walk takes at once, on which its sums depend
        self.together = min(rows, rows_of(self.module, walk))
        key = drafts.draft_key(f"step {rows} {output}", program, dtype, target)
        draft = drafts.load(key)
        library = None if draft is None else cached(draft.code, target, draft.names)
        if draft is None or library is None:
            self._emit(walk)
            text = str(self.module)
            library = compile_text(text, target, ["step"])
            drafts.save(key, drafts.Draft(code_key(text, target), ("step",), self.frame.slots))
        else:
            self.frame.slots.update(draft.slots)
        self._library: Library = library
        self.sizes = self._sizes()
        # the lock of the interpreter is kept: letting it go costs as much as a small step
        kind = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self.function = kind(self._library.address("step"))

    def _sizes(self) -> dict[str, int]:
        lanes, rows, program = self.module.lanes, self.rows, self.program
        widths = self.forward.widths
        sizes = {
            name: -(-widths[name] // lanes) * lanes * slots * rows
            for name, slots in self.forward.slots.items()
        }
        sizes.update({name: width * rows for name, (_, width) in self.forward.buffers.items()})
        for i, width in enumerate(program.states):
            sizes[f"Y{i}"] = sizes[f"V{i}"] = width * rows
        for i, node in enumerate(program.emits):
            sizes[f"E{i}"] = node.width * rows
        return sizes

    def _emit(self, walk: Sequence[Block]) -> None:
        calls = [(self._block(block, False), block) for block in self.forward.flat]
        calls += [(self._block(block, True), block) for block in walk]
        f = Function(self.module, "step", ("ptr", "ptr", "ptr"), public=True)
        params, x, y = f.arguments
        self._point(f, "U0", x)
        kind, index = self.output
        self._point(f, f"{'V' if kind == 'state' else 'E'}{index}", y)
        for names, block in calls:
            self._panels(f, names, block)
        for i, width in enumerate(self.program.states):
            size = width * self.rows * self.module.bytes
            new, old = (f.pointer(params, self.frame.index(f"{part}{i}")) for part in "VY")
            copy = self.module.declare("llvm.memcpy.p0.p0.i64", "void {}(ptr, ptr, i64, i1 immarg)")
            f.do(f"call void {copy}(ptr {old}, ptr {new}, i64 {size}, i1 false)")
        f.finish()

    def _point(self, f: Function, name: str, pointer: str) -> None:
        f.do(f"store ptr {pointer}, ptr {f.at(f.arguments[0], self.frame.index(name), 'i64')}")

    def _block(self, block: Block, split: bool) -> dict[int, str]:
        """The block's functions, by how many unit blocks they take at once."""
        count, abreast = block.unit_blocks(self.module.lanes), block.abreast(self.module.lanes)
        widths = {abreast} if count % abreast == 0 else {abreast, 1}
        names = {}
        for width in widths:
            name = names[width] = f"{block.name}_{width}"
            code = _Unpacked(self.module, self.frame, block, self.together, width, split, name)
            code.statics = self.program.statics
            code.run()
        return names

    def _panels(self, f: Function, names: dict[int, str], block: Block) -> None:
        count, abreast = block.unit_blocks(self.module.lanes), block.abreast(self.module.lanes)
        whole = count // abreast * abreast

        def panel(width: int, ub: Int) -> None:
            for row in range(0, self.rows, self.together):
                args: list[tuple[str, Int]] = [("i64", n) for n in (ub, row, row, row, row, 1)]
                f.call(names[width], ("ptr", f.arguments[0]), *args)

        f.loop(0, whole, lambda ub, _: panel(abreast, ub), step=abreast)
        if whole < count:
            f.loop(whole, count, lambda ub, _: panel(1, ub))


class _Unpacked(Emitter):
    """A block that reads its matrices from the static tensors, a square of lanes at a time."""

    statics: Sequence[tuple[int, ...]]

    def _multiply(self, group: Group) -> None:
        count = len(self.block.accs)
        matrices = [
            (q * count + acc, q, matrix)
            for q in range(self.abreast)
            for acc, matrix in zip(group.accumulators, group.matrices, strict=True)
        ]
        for n in range(0, len(matrices), _TOGETHER):
            self._sum(group, matrices[n : n + _TOGETHER])

    def _sum(self, group: Group, matrices: list[tuple[int, int, Matrix]]) -> None:
        """Add products to accumulators, given (accumulator, unit block, matrix) of each."""
        assert isinstance(group.operand, Place)
        heads = [self._address(group.operand, i, 0, units=False) for i in range(self.rows)]
        starts = [self._starts(matrix, q) for _, q, matrix in matrices]
        inner = group.inner
        # the sets and the order of `Emitter._dot`, for the same bits
        sets = SETS.get(self.rows, 1) if self.split and inner >= 8 else 1
        tile = max(self.lanes, sets)
        full, even = inner // tile * tile, inner // sets * sets
        first = [self.accs[i][c] for i in range(self.rows) for c, _, _ in matrices]
        sums = [first, *(["zeroinitializer"] * len(first) for _ in range(sets - 1))]

        def square(k: Int, width: int, sums: list[list[str]]) -> list[list[str]]:
            """Columns k..k + width of all matrices, dealt to the sets in turn."""
            sums = [list(values) for values in sums]
            for n, (_, q, matrix) in enumerate(matrices):
                for j, column in enumerate(self._columns(matrix, q, starts[n], k, width)):
                    mine = sums[j % len(sums)]
                    for i, head in enumerate(heads):
                        a = self.f.broadcast(self.f.at(head, self.f.add(k, j)))
                        at = i * len(matrices) + n
                        mine[at] = self.f.fma(a, column, mine[at])
            return sums

        def body(k: str, values: list[str]) -> list[str]:
            return [v for part in square(k, tile, _cut(values, sets)) for v in part]

        carried = [(self.module.vector, value) for values in sums for value in values]
        sums = _cut(self.f.loop(0, full, body, step=tile, carried=carried), sets)
        sums = square(full, even - full, sums) if full < even else sums
        total = sums[0]
        for other in sums[1:]:
            total = [self.f.binary("fadd", a, b) for a, b in zip(total, other, strict=True)]
        if even < inner:
            total = square(even, inner - even, [total])[0]
        for n, value in enumerate(total):
            self.accs[n // len(matrices)][matrices[n % len(matrices)][0]] = value

    def _starts(self, matrix: Matrix, q: int) -> list[str]:
        """Where the matrix has its rows for the unit block's lanes, or its first row if turned."""
        f, lanes = self.f, self.lanes
        stride = self.statics[matrix.static][1]
        base = f.at(self._pointer(f"S{matrix.static}"), matrix.row * stride + matrix.column)
        unit = f.add(self.first, q * lanes)
        if matrix.transposed:
            return [f.at(base, unit)]
        if self.masks[q] is None:
            base = f.at(base, f.mul(unit, stride))
            return [f.at(base, i * stride) for i in range(lanes)]
        # lanes that are not there read the last row, and are dropped
        rows = [f.minimum(f.add(unit, i), self.block.width - 1) for i in range(lanes)]
        return [f.at(base, f.mul(row, stride)) for row in rows]

    def _columns(self, matrix: Matrix, q: int, starts: list[str], k: Int, width: int) -> list[str]:
        """Columns k..k + width of a matrix: a lane for each unit of the unit block."""
        f, lanes = self.f, self.lanes
        if matrix.transposed:
            stride = self.statics[matrix.static][1]
            at = f.at(starts[0], f.mul(k, stride))
            return [f.load(f.at(at, j * stride), self.masks[q]) for j in range(width)]
        found: list[str] = []
        for part in range(0, width, lanes):
            there = min(lanes, width - part)
            here = [f.at(f.at(start, k), part) for start in starts]
            if there == lanes:
                found += load_square(f, here)
            else:
                mask = f.lanes_below(there)
                found += transpose(f, [f.load(at, mask) for at in here])[:there]
        return found


def _cut(values: Sequence[str], count: int) -> list[list[str]]:
    """In as many equal parts."""
    size = len(values) // count
    return [list(values[n * size : (n + 1) * size]) for n in range(count)]
