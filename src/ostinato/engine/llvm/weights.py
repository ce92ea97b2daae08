"""Weights: packed before a walk into the order in which it reads them, their gradients after it.

The gradient of a matrix is one large product over all rows of all steps. A thread has some unit
blocks and sums their rows in a fixed order, so that the result does not depend on the threads.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ostinato.engine.llvm.blocks import Frame
from ostinato.engine.llvm.spec import Colsum, Record, Rowsum, WeightProduct
from ostinato.engine.llvm.text import Function, Int, Module
from ostinato.engine.llvm.walks import WORKER, share

__all__ = ["JOB", "emit_pack", "emit_row_sums", "emit_weight_gradients", "load_square", "transpose"]

# one packing job, seven numbers: frame index of the source and of the destination, element offsets
# into each, source stride, how many lanes are there, how many rows k
JOB = ("source", "target", "from", "to", "stride", "lanes", "rows", "step", "turned")


def emit_pack(module: Module, frame: Frame, name: str) -> None:
    """Emit the worker that does the jobs of the table `jobs`.

    A job fills `rows` vectors, `step` elements apart. Turned, vector k is column k of the source,
    its lanes are rows `stride` apart; else vector k is row k.
    """
    f = Function(module, name, WORKER)
    params, thread, threads = f.arguments
    jobs = f.pointer(params, frame.index("jobs"))
    low, high = share(f, f.word(params, frame.index("job_count")), thread, threads)
    lanes = module.lanes

    def job(n: str, _: list[str]) -> None:
        line = f.mul(n, len(JOB))
        field = {key: f.word(jobs, f.add(line, i)) for i, key in enumerate(JOB)}
        source = f.at(f.pointer(params, field["source"]), field["from"])
        target = f.at(f.pointer(params, field["target"]), field["to"])
        stride, count, step = field["stride"], field["rows"], field["step"]
        mask = f.lanes_below(field["lanes"])
        straight = f.compare("eq", field["turned"], 0)

        def copy() -> None:
            def row(k: str, _: list[str]) -> None:
                value = f.load(f.at(source, f.mul(k, stride)), mask)
                f.store(value, f.at(target, f.mul(k, step)))

            f.loop(0, count, row)

        f.when(straight, copy)

        def turn() -> None:
            full = f.compare("eq", field["lanes"], lanes)
            whole = f.let(f"select i1 {full}, i64 {f.mul(f.divide(count, lanes), lanes)}, i64 0")

            def tile(k: str, _: list[str]) -> None:
                rows = [f.load(f.at(source, f.add(f.mul(stride, i), k))) for i in range(lanes)]
                for i, value in enumerate(transpose(f, rows)):
                    f.store(value, f.at(target, f.mul(f.add(k, i), step)))

            f.loop(0, whole, tile, step=lanes)

            def scattered(k: str, _: list[str]) -> None:
                to = f.at(target, f.mul(k, step))
                f.store("zeroinitializer", to)

                def lane(i: str, _: list[str]) -> None:
                    at = f.at(source, f.add(f.mul(i, stride), k))
                    value = f.let(f"load {module.element}, ptr {at}")
                    f.do(f"store {module.element} {value}, ptr {f.at(to, i)}")

                f.loop(0, field["lanes"], lane)

            f.loop(whole, count, scattered)

        f.when(f.compare("ne", field["turned"], 0), turn)

    f.loop(low, high, job)
    f.finish()


def transpose(f: Function, rows: list[str]) -> list[str]:
    """The columns of a square: as many vectors as one has lanes.

    First pairs inside of 16 bytes, then blocks of 16 bytes: for each of these a processor has a
    quick instruction, and for mixing all lanes of two vectors a slow one.
    """
    lanes = f.module.lanes
    block = _block(f.module)
    # vectors by their first row and first column
    held = _inside({(row, 0): vector for row, vector in enumerate(rows)}, f)
    size = block
    while size < lanes:
        blocks = range(0, 2 * lanes, 2 * block)
        even = [i for start in blocks for i in range(start, start + block)]
        held = _paired(f, held, size, even, [i + block for i in even], size)
        size *= 2
    return [held[0, column] for column in range(lanes)]


def load_square(f: Function, starts: list[str]) -> list[str]:
    """The columns of a square that stands in memory, given where each of its rows begins.

    Blocks of 16 bytes are put together as they are loaded, which leaves half of the mixing.
    """
    lanes, block = f.module.lanes, _block(f.module)
    columns = []
    for column in range(0, lanes, block):
        # vector n has rows n, n + block, n + 2 block ...
        held = {
            (n, 0): _gathered(f, [f.at(start, column) for start in starts[n::block]])
            for n in range(block)
        }
        held = _inside(held, f)
        columns += [held[0, k] for k in range(block)]
    return columns


def _block(module: Module) -> int:
    """Lanes in 16 bytes."""
    return min(16 // module.bytes, module.lanes)


def _gathered(f: Function, starts: list[str]) -> str:
    """A vector of blocks of 16 bytes."""
    lanes, block, element = f.module.lanes, _block(f.module), f.module.element
    whole = ""
    for n, start in enumerate(starts):
        small = f"<{block} x {element}>"
        part = f.let(f"load {small}, ptr {start}, align {f.module.bytes}")
        if lanes == block:
            return part
        spread = ", ".join(f"i32 {i % block}" for i in range(lanes))
        wide = f.let(f"shufflevector {small} {part}, {small} poison, <{lanes} x i32> <{spread}>")
        if not whole:
            whole = wide
            continue
        picked = ", ".join(f"i32 {i + lanes if i // block == n else i}" for i in range(lanes))
        pair = f"{f.module.vector} {whole}, {f.module.vector} {wide}"
        whole = f.let(f"shufflevector {pair}, <{lanes} x i32> <{picked}>")
    return whole


def _inside(held: dict[tuple[int, int], str], f: Function) -> dict[tuple[int, int], str]:
    """Squares within blocks of 16 bytes turned round."""
    lanes, block = f.module.lanes, _block(f.module)
    size = 1
    while size < block:
        low = [
            i + of
            for start in range(0, lanes, block)
            for j in range(start, start + block // 2, size)
            for of in (0, lanes)
            for i in range(j, j + size)
        ]
        high = [i + block // 2 for i in low]
        held = _paired(f, held, size, low, high, block // 2 // size)
        size *= 2
    return held


def _paired(
    f: Function,
    held: dict[tuple[int, int], str],
    size: int,
    first: list[int],
    second: list[int],
    apart: int,
) -> dict[tuple[int, int], str]:
    """Vectors of `size` rows joined to some of twice as many rows and half as many columns."""
    kind, found = f.module.vector, {}
    for (row, column), vector in held.items():
        if row % (2 * size) == 0:
            pair = f"{kind} {vector}, {kind} {held[row + size, column]}"
            for lanes, at in ((first, column), (second, column + apart)):
                picked = ", ".join(f"i32 {lane}" for lane in lanes)
                mask = f"<{len(lanes)} x i32> <{picked}>"
                found[row, at] = f.let(f"shufflevector {pair}, {mask}")
    return found


def emit_weight_gradients(
    module: Module,
    frame: Frame,
    name: str,
    products: Sequence[WeightProduct],
    colsums: Sequence[Colsum],
) -> None:
    """Emit the worker for all weight gradients that come of one width of record."""
    width = (products[0].record if products else colsums[0].record).width
    tiles = {product: _tile_width(module, product) for product in products}
    blocks = {
        (rows, vectors, masked): _emit_tile(module, name, rows, vectors, masked)
        for vectors, masked in set(tiles.values())
        for rows in _row_sizes(module)
    }
    f = Function(module, name, WORKER)
    params, thread, threads = f.arguments
    count = -(-width // module.lanes)
    low, high = share(f, count, thread, threads)
    runs = f.pointer(params, frame.index("runs"))
    chunks = f.pointer(params, frame.index("chunks"))

    def chunk(n: str, _: list[str]) -> None:
        first, last = f.word(chunks, n), f.word(chunks, f.add(n, 1))

        def unit_block(ub: str, _: list[str]) -> None:
            work = _Work(f, frame, params, runs, first, last, ub, width)
            for colsum in colsums:
                work.colsum(colsum)
            for product in products:
                work.product(product, *tiles[product], blocks)

        f.loop(low, high, unit_block)

    f.loop(0, f.word(params, frame.index("chunk_count")), chunk)
    f.finish()


def emit_row_sums(module: Module, frame: Frame, name: str, sums: Sequence[Rowsum]) -> None:
    """Emit the worker for the gradients of vectors that the walk has added up row by row."""
    f = Function(module, name, WORKER)
    _, thread, threads = f.arguments
    for one in sums:
        low, high = share(f, -(-one.width // module.lanes), thread, threads)
        f.loop(low, high, functools.partial(_row_sum, f, frame, one))
    f.finish()


def _row_sum(f: Function, frame: Frame, one: Rowsum, ub: str, _: list[str]) -> None:
    """Sum one unit block over all sequences."""
    m, params, stride = f.module, f.arguments[0], one.place.stride
    assert isinstance(stride, int)
    first = f.mul(ub, m.lanes)
    mask = f.lanes_below(f.sub(one.width, first)) if one.width % m.lanes else None
    source = f.at(f.pointer(params, frame.index(one.place.pointer)), f.add(first, one.place.column))

    def row(r: str, values: list[str]) -> list[str]:
        return [f.binary("fadd", values[0], f.load(f.at(source, f.mul(r, stride)), mask))]

    zero = [(m.vector, "zeroinitializer")]
    total = f.loop(0, f.word(params, frame.index("B")), row, carried=zero)[0]
    at = f.at(f.pointer(params, frame.index(f"dS{one.static}")), f.add(first, one.start))
    f.store(f.binary("fadd", f.load(at, mask), total), at, mask)


def _row_sizes(module: Module) -> tuple[int, ...]:
    most = 6 if module.target.registers >= 32 else 3
    return tuple(range(1, min(most, module.lanes) + 1))


def _tile_width(module: Module, product: WeightProduct) -> tuple[int, bool]:
    vectors = min(4, -(-product.matrix.columns // module.lanes))
    return vectors, product.matrix.columns % (vectors * module.lanes) != 0


class _Work:
    """What one thread does for one unit block and one chunk of rows."""

    def __init__(
        self,
        f: Function,
        frame: Frame,
        params: str,
        runs: str,
        first: str,
        last: str,
        ub: str,
        width: int,
    ) -> None:
        self.f, self.frame, self.params = f, frame, params
        self.runs, self.first, self.last, self.ub = runs, first, last, ub
        self.width = width
        self.lanes = f.module.lanes
        left = f.sub(width, f.mul(ub, self.lanes))
        self.there = f.minimum(left, self.lanes)

    def _record(self, record: Record) -> tuple[str, int]:
        """Address of row 0 of the slot, and the stride."""
        f = self.f
        stride = self.frame.records[record.pointer] * self.lanes
        rows = f.word(self.params, self.frame.index("N"))
        base = f.pointer(self.params, self.frame.index(record.pointer))
        start = f.add(f.mul(f.mul(self.ub, rows), stride), record.slot * self.lanes)
        return f.at(base, start), stride

    def colsum(self, colsum: Colsum) -> None:
        f, m = self.f, self.f.module
        base, stride = self._record(colsum.record)

        def run(n: str, values: list[str]) -> list[str]:
            cur = f.word(self.runs, f.mul(n, 3))
            count = f.word(self.runs, f.add(f.mul(n, 3), 2))

            def row(r: str, values: list[str]) -> list[str]:
                at = f.at(base, f.mul(f.add(cur, r), stride))
                return [f.binary("fadd", values[0], f.load(at))]

            return f.loop(0, count, row, carried=[(m.vector, values[0])])

        zero = [(m.vector, "zeroinitializer")]
        total = f.loop(self.first, self.last, run, carried=zero)[0]
        mask = f.lanes_below(self.there)
        pointer = f.pointer(self.params, self.frame.index(f"dS{colsum.static}"))
        at = f.at(pointer, f.add(f.mul(self.ub, self.lanes), colsum.start))
        f.store(f.binary("fadd", f.load(at, mask), total), at, mask)

    def product(
        self,
        product: WeightProduct,
        vectors: int,
        masked: bool,
        blocks: dict[tuple[int, int, bool], str],
    ) -> None:
        f, matrix, operand = self.f, product.matrix, product.operand
        record, record_stride = self._record(product.record)
        source = f.at(f.pointer(self.params, self.frame.index(operand.pointer)), operand.column)
        stride: Int = (
            operand.stride
            if isinstance(operand.stride, int)
            else f.word(self.params, self.frame.index(operand.stride))
        )
        target = f.pointer(self.params, self.frame.index(f"dS{matrix.static}"))
        target_stride = f.word(self.params, self.frame.index(f"wS{matrix.static}"))
        row0 = f.add(f.mul(self.ub, self.lanes), matrix.row)
        sizes = _row_sizes(f.module)

        def tile(k: str, _: list[str]) -> None:
            def lanes(i: str, _: list[str]) -> None:
                rows = f.minimum(f.sub(self.there, i), sizes[-1])
                at = f.add(f.mul(f.add(row0, i), target_stride), matrix.column)
                args = [
                    ("ptr", f.at(source, k)),
                    ("i64", stride),
                    ("ptr", f.at(record, i)),
                    ("i64", record_stride),
                    ("ptr", f.at(target, f.add(at, k))),
                    ("i64", target_stride),
                    ("i64", f.sub(matrix.columns, k)),
                    ("ptr", self.runs),
                    ("i64", self.first),
                    ("i64", self.last),
                    ("i64", 1 if operand.row == "prev" else 0),
                ]
                f.switch(str(rows), sizes, lambda n: f.call(blocks[(n, vectors, masked)], *args))

            f.loop(0, self.there, lanes, step=sizes[-1])

        f.loop(0, matrix.columns, tile, step=vectors * self.lanes)


def _emit_tile(module: Module, name: str, rows: int, vectors: int, masked: bool) -> str:
    """target[rows, vectors] += sum over the runs' rows of record[row, i] operand[row, j]."""
    name = f"{name}_{rows}_{vectors}" + ("m" if masked else "")
    kinds = ("ptr", "i64", "ptr", "i64", "ptr", "i64", "i64", "ptr", "i64", "i64", "i64")
    f = Function(module, name, kinds)
    source, stride, record, apart, target, width, left, runs, first, last, column = f.arguments
    masks: list[str | None] = [
        f.lanes_below(f.sub(left, j * module.lanes)) if masked else None for j in range(vectors)
    ]

    def run(n: str, values: list[str]) -> list[str]:
        line = f.mul(n, 3)
        cur, count = f.word(runs, line), f.word(runs, f.add(line, 2))
        start = f.word(runs, f.add(line, column))
        a = f.at(source, f.mul(start, stride))
        d = f.at(record, f.mul(cur, apart))

        def row(r: str, values: list[str]) -> list[str]:
            at = f.at(a, f.mul(r, stride))
            loaded = [f.load(f.at(at, j * module.lanes), masks[j]) for j in range(vectors)]
            here = f.at(d, f.mul(r, apart))
            new = []
            for i in range(rows):
                g = f.broadcast(f.at(here, i))
                new += [f.fma(g, loaded[j], values[i * vectors + j]) for j in range(vectors)]
            return new

        return f.loop(0, count, row, carried=[(module.vector, v) for v in values])

    zeros = [(module.vector, "zeroinitializer")] * (rows * vectors)
    sums = f.loop(first, last, run, carried=zeros)
    for i in range(rows):
        for j in range(vectors):
            at = f.at(target, f.add(f.mul(width, i), j * module.lanes))
            f.store(f.binary("fadd", f.load(at, masks[j]), sums[i * vectors + j]), at, masks[j])
    f.finish()
    return name
