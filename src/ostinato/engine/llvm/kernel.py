"""One kernel: the code for a program, and the tables that do not depend on the batch."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

import torch

from ostinato.engine.adjoint import Adjoint, Product, adjoint
from ostinato.engine.expressions import Matrix, Program, walk_nodes
from ostinato.engine.llvm import drafts
from ostinato.engine.llvm.backward import Backward
from ostinato.engine.llvm.blocks import Frame
from ostinato.engine.llvm.compile import Library, cached, code_key, compile_text, openmp
from ostinato.engine.llvm.forward import Forward
from ostinato.engine.llvm.saved import choose_saved
from ostinato.engine.llvm.sharing import Known
from ostinato.engine.llvm.spec import Block, Group, Place
from ostinato.engine.llvm.text import Function, Module, Target
from ostinato.engine.llvm.walks import emit_flat, emit_walk, rows_of
from ostinato.engine.llvm.weights import emit_pack, emit_row_sums, emit_weight_gradients

__all__ = ["Kernel", "Packing"]

# numbers that every call sets
_NUMBERS = (
    "T",
    "first",
    "last",
    "B",
    "N",
    "lone",
    "shared",
    "meeting",
    "threads",
    "job_count",
    "chunk_count",
)
_TABLES = ("steps", "blocks", "shares", "jobs", "runs", "chunks")


@dataclass
class Packing:
    """Packed weights of some blocks: the jobs that fill them and the size of each buffer."""

    jobs: list[tuple[int, ...]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    @functools.cached_property
    def table(self) -> torch.Tensor:
        return torch.tensor(self.jobs, dtype=torch.int64).reshape(-1, 9)


class Kernel:
    """A program as machine code.

    Args:
        program: the step.
        train: also make the reverse.
        dtype: torch.float32 or torch.float64.
        target: what the code is made for.
    """

    def __init__(
        self, program: Program, *, train: bool, dtype: torch.dtype, target: Target
    ) -> None:
        self.program, self.train, self.dtype = program, train, dtype
        self.module = Module(target, "float" if dtype == torch.float32 else "double")
        self.lanes = self.module.lanes
        self.frame = Frame()
        for name in (*_NUMBERS, *_TABLES):
            self.frame.index(name)
        self.twins: dict[int, int] = {}
        self.names: list[str] = []
        self.ways = Known()
        self.backward: Backward | None = None
        if train:
            derived = self._straight(adjoint(program))
            self.derived = derived
            saved, operands = choose_saved(program, derived)
            self.forward = Forward(program, saved, operands)
            self.backward = Backward(program, derived, self.forward)
        else:
            self.forward = Forward(program)
        self._name_records()
        walks = [*self.forward.walk.values()]
        if self.backward is not None:
            walks += self.backward.walk.values()
        self.most = rows_of(self.module, walks)
        self.library: Library = self._from_disk(target) or self._made(target)

    def _from_disk(self, target: Target) -> Library | None:
        """The code as it was made before, and without writing its text."""
        draft = drafts.load(self._draft_key(target))
        library = None if draft is None else cached(draft.code, target, draft.names)
        if draft is not None and library is not None:
            self.names = list(draft.names)
            self.frame.slots.update(draft.slots)
            self._pack_all()
        return library

    def _draft_key(self, target: Target) -> str | None:
        kind = "training" if self.train else "inference"
        return drafts.draft_key(f"{kind} {sorted(openmp())}", self.program, self.dtype, target)

    def _made(self, target: Target) -> Library:
        self._emit()
        for index in range(len(self.program.states)):
            # a state that no step reads has its place all the same
            self.frame.index(f"Y{index}")
        text = str(self.module)
        library = compile_text(text, target, self.names)
        draft = drafts.Draft(code_key(text, target), tuple(self.names), self.frame.slots)
        drafts.save(self._draft_key(target), draft)
        return library

    def _pack_all(self) -> None:
        """The packed weights of all blocks."""
        self.packing = self._pack([*self.forward.flat, *self.forward.walk.values()])
        back = self.backward
        if back is not None:
            initial = [block for blocks in back.initial for block in blocks]
            self.back_packing = self._pack([*back.walk.values(), *initial])
            self.input_packings = [self._pack(blocks) for blocks in back.inputs]

    def _straight(self, derived: Adjoint) -> Adjoint:
        """A matrix that the step uses transposed gets a transposed twin for its gradient."""
        products = []
        # of two factors the gradient is the one that is no value of the step
        known = set(walk_nodes((*self.program.new_states, *self.program.emits)))
        for product in derived.products:
            if product.operand in known:
                products.append(product)
                continue
            m = product.matrix
            twin = self.twins.setdefault(m.static, len(self.program.statics) + len(self.twins))
            turned = Matrix(twin, m.column, m.row, m.columns, m.rows)
            products.append(Product(turned, product.d, product.operand))
        return replace(derived, products=tuple(products))

    def _name_records(self) -> None:
        slots = dict(self.forward.slots)
        self.widths = dict(self.forward.widths)
        self.alias: dict[str, str] = {}
        back = self.backward
        if back is not None:
            slots.update(back.slots)
            self.widths.update(back.widths)
            one = len(back.walk) == 1 and len(back.slots) == 1
            name = next(iter(back.slots), "")
            same = [r for r, w in self.forward.widths.items() if w == back.widths.get(name)]
            if one and len(same) == 1:
                # gradients are written where the values were that they are made of
                self.alias[name] = same[0]
                slots[name] = slots[same[0]] = max(slots[name], slots[same[0]])
        self.slots = slots
        self.frame.records.update(slots)

    # code

    def _emit(self) -> None:
        emit_pack(self.module, self.frame, "pack")
        self._entry("pack_all", ["pack"])
        walk = list(self.forward.walk.values())
        self.packing = self._pack([*self.forward.flat, *walk])
        for block in self.forward.flat:
            emit_flat(self.module, self.frame, f"all_{block.name}", block)
        emit_walk(self.module, self.frame, "walk", walk, self.most, back=False)
        flats = [f"all_{block.name}" for block in self.forward.flat]
        self._entry("forward", [*flats, "walk"])
        if self.backward is not None:
            self._emit_back(self.backward)

    def _emit_back(self, back: Backward) -> None:
        walk = list(back.walk.values())
        initial = [block for blocks in back.initial for block in blocks]
        self.back_packing = self._pack([*walk, *initial])
        emit_walk(self.module, self.frame, "walk_back", walk, self.most, back=True)
        for block in initial:
            emit_flat(self.module, self.frame, f"all_{block.name}", block, start=True)
        starts = [f"all_{block.name}" for block in initial]
        self._entry("backward", ["walk_back"])
        if starts:
            self._entry("initial", starts)
        self.input_packings = [self._pack(blocks) for blocks in back.inputs]
        for index, blocks in enumerate(back.inputs):
            for block in blocks:
                emit_flat(self.module, self.frame, f"all_{block.name}", block)
            if blocks:
                self._entry(f"input{index}", [f"all_{b.name}" for b in blocks])
        self._emit_weights(back)

    def _emit_weights(self, back: Backward) -> None:
        workers = []
        for n, width in enumerate(sorted(set(back.widths.values()))):
            products = [p for p in back.weights if p.record.width == width]
            colsums = [c for c in back.colsums if c.record.width == width]
            if products or colsums:
                products.sort(key=lambda p: (p.operand.pointer, p.operand.column, p.record.slot))
                emit_weight_gradients(self.module, self.frame, f"weights{n}", products, colsums)
                workers.append(f"weights{n}")
        if workers:
            # of a part of the rows
            self._entry("products", workers)
        if back.row_sums:
            emit_row_sums(self.module, self.frame, "vectors", back.row_sums)
            self._entry("row_sums", ["vectors"])
            workers.append("vectors")
        if workers:
            self._entry("weights", workers)

    def _entry(self, name: str, workers: list[str]) -> None:
        """A public function that has the workers done one after the other, each by all threads."""
        m = self.module
        team = bool(openmp())
        bodies = [self._body(worker) for worker in workers] if team else []
        f = Function(m, name, ("ptr", "i64"), public=True)
        params, threads = f.arguments
        alone = f.compare("sle", threads, 1) if team else "true"

        def by_one() -> None:
            for worker in workers:
                f.call(worker, ("ptr", params), ("i64", 0), ("i64", 1))

        f.when(alone, by_one)
        if team:
            many = f.compare("sgt", threads, 1)
            start = m.declare("GOMP_parallel", "void {}(ptr, ptr, i32, i32)")

            def by_all() -> None:
                count = f.let(f"trunc i64 {threads} to i32")
                for body in bodies:
                    f.do(f"call void {start}(ptr @{body}, ptr {params}, i32 {count}, i32 0)")

            f.when(many, by_all)
        f.finish()
        self.names.append(name)

    def _body(self, worker: str) -> str:
        """What each OpenMP thread runs: its shares of the work, however many threads there are."""
        m = self.module
        name = f"{worker}_team"
        if any(f"@{name}(" in text.split("\n", 1)[0] for text in m.functions):
            return name
        number = m.declare("omp_get_thread_num", "i32 {}()")
        size = m.declare("omp_get_num_threads", "i32 {}()")
        f = Function(m, name, ("ptr",))
        params = f.arguments[0]
        first = f.let(f"sext i32 {f.let(f'call i32 {number}()')} to i64")
        step = f.let(f"sext i32 {f.let(f'call i32 {size}()')} to i64")
        threads = f.word(params, self.frame.index("threads"))

        # threads that wait for each other must all be there: as many as have come
        together = f.compare("ne", f.word(params, self.frame.index("shared")), 0)
        count = f.let(f"select i1 {together}, i64 {step}, i64 {threads}")

        def part(n: str, _: list[str]) -> None:
            f.call(worker, ("ptr", params), ("i64", n), ("i64", count))

        f.loop(first, count, part, step=step)
        f.finish()
        return name

    # packed weights

    def _pack(self, blocks: list[Block]) -> Packing:
        packing = Packing()
        for block in blocks:
            for group in block.groups:
                self._pack_group(packing, block, group)
        return packing

    def _pack_group(self, packing: Packing, block: Block, group: Group) -> None:
        lanes, abreast = self.lanes, block.abreast(self.lanes)
        count = block.unit_blocks(lanes)
        whole = count // abreast * abreast
        accs = len(group.accumulators)
        if isinstance(group.operand, Place):
            inner, strips = (
                group.inner,
                [(0, n, m, group.inner, 0) for n, m in enumerate(group.matrices)],
            )
        else:
            width, slots = group.operand[0].width, len(group.operand)
            unit_blocks = -(-width // lanes)
            inner = unit_blocks * slots * lanes
            strips = [
                ((u * slots + s) * lanes, 0, m, min(lanes, width - u * lanes), u * lanes)
                for u in range(unit_blocks)
                for s, m in enumerate(group.matrices)
            ]
        packing.sizes[group.packed] = count * inner * accs * lanes
        for ub in range(count):
            width = abreast if ub < whole else 1
            base = (ub // abreast * abreast if ub < whole else ub) * inner * accs * lanes
            column = (ub - ub // abreast * abreast if ub < whole else 0) * accs
            step = width * accs * lanes
            for row, acc, matrix, rows, first in strips:
                to = base + row * step + (column + acc) * lanes
                there = min(lanes, block.width - ub * lanes)
                packing.jobs.append(
                    self._job(group.packed, matrix, ub * lanes, first, to, there, rows, step)
                )

    def _job(
        self,
        packed: str,
        m: Matrix,
        outer: int,
        inner: int,
        to: int,
        lanes: int,
        rows: int,
        step: int,
    ) -> tuple[int, ...]:
        stride = self.program.statics[m.static][1]
        if m.transposed:
            start = (m.row + inner) * stride + m.column + outer
        else:
            start = (m.row + outer) * stride + m.column + inner
        source, target = self.frame.index(f"S{m.static}"), self.frame.index(packed)
        return (source, target, start, to, stride, lanes, rows, step, int(not m.transposed))
