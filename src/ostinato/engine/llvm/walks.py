"""Code around the blocks: the walk over the steps, passes over all rows, and who works on what.

A thread has its share of the sequences and walks them through all of time, with no word to the
others. `shares` tells which row blocks are a thread's; `steps` has for each step (cur, prev, how
many sequences are live), and one line more with none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ostinato.engine.llvm.blocks import Frame, emit_block, most_rows
from ostinato.engine.llvm.spec import Block
from ostinato.engine.llvm.text import Function, Int, Module

__all__ = ["WORKER", "emit_flat", "emit_walk", "share"]

# every piece of parallel work: the frame, this thread, how many threads
WORKER = ("ptr", "i64", "i64")
# looks at the counter before the processor is let go: some microseconds
_SPINS = 2000


class _Family:
    """A block for every number of rows, and for the unit blocks left over."""

    def __init__(
        self, module: Module, frame: Frame, block: Block, rows: Sequence[int], *, split: bool
    ) -> None:
        self.looped = block.is_long and len(rows) > 1
        rows = (1,) if self.looped else rows
        self.module, self.frame, self.block, self.rows = module, frame, block, rows
        self.abreast = block.abreast(module.lanes)
        self.count = block.unit_blocks(module.lanes)
        self.whole = self.count // self.abreast * self.abreast
        self.names: dict[tuple[int, int, bool], str] = {}
        widths = {self.abreast} | ({1} if self.whole < self.count else set())
        for width in widths:
            for n in rows:
                for s in (False, True) if split and n <= 2 and block.groups else (False,):
                    self.names[(n, width, s)] = emit_block(module, frame, block, n, width, split=s)

    def panels(
        self,
        f: Function,
        body: Callable[[Int, int], None],
        part: tuple[str, str, str] | None = None,
    ) -> None:
        """Unit blocks, several abreast; then, one by one, those left over.

        `part` is (1 if the threads share the unit blocks, thread, threads).
        """

        def several(ub: str, _: list[str]) -> None:
            body(ub, self.abreast)

        def single(ub: str, _: list[str]) -> None:
            body(ub, 1)

        low: Int = 0
        high: Int = self.whole
        end: Int = self.count
        if part is not None:
            shared, thread, threads = part
            mine = share(f, self.whole // self.abreast, thread, threads)
            on = f.compare("ne", shared, 0)
            low = f.let(f"select i1 {on}, i64 {f.mul(mine[0], self.abreast)}, i64 0")
            high = f.let(f"select i1 {on}, i64 {f.mul(mine[1], self.abreast)}, i64 {self.whole}")
            if self.whole < self.count:
                # the last thread takes what is left over
                first = f.compare("slt", f.add(thread, 1), threads)
                none = f.let(f"and i1 {on}, {first}")
                end = f.let(f"select i1 {none}, i64 {self.whole}, i64 {self.count}")
        if part is None and self.whole == self.abreast:
            body(0, self.abreast)
        else:
            f.loop(low, high, several, step=self.abreast)
        if self.whole < self.count:
            f.loop(self.whole, end, single)

    def call(
        self, f: Function, rows: Int, width: int, args: Sequence[Int], lone: str | None = None
    ) -> None:
        """Call the block for that many rows; none for 0."""
        if self.looped:
            self._call_each(f, rows, width, args)
            return
        listed = [("ptr", f.arguments[0]), *(("i64", a) for a in args)]

        def case(code: int) -> None:
            f.call(self.names[(code % 16, width, code >= 16)], *listed)

        cases = list(self.rows)
        if lone is not None and any(s for _, _, s in self.names):
            rows = f.add(rows, f.mul(lone, 16))
            cases += [n + 16 for n in self.rows if (n, width, True) in self.names]
            # more rows than are ever split cannot meet here
        f.switch(str(rows), cases, case)

    def _call_each(self, f: Function, rows: Int, width: int, args: Sequence[Int]) -> None:
        ub, *places, more = args

        def one(r: str, _: list[str]) -> None:
            here = [ub, *(f.add(place, r) for place in places), more]
            f.call(
                self.names[(1, width, False)],
                ("ptr", f.arguments[0]),
                *(("i64", arg) for arg in here),
            )

        f.loop(0, rows, one)


def share(f: Function, count: Int, thread: str, threads: str, unit: int = 1) -> tuple[Int, Int]:
    """A thread's part low..high of `count`, in multiples of `unit`."""
    units = f.divide(f.add(count, unit - 1), unit) if unit > 1 else count
    low = f.mul(f.divide(f.mul(units, thread), threads), unit)
    high = f.mul(f.divide(f.mul(units, f.add(thread, 1)), threads), unit)
    return f.minimum(low, count), f.minimum(high, count)


def rows_of(module: Module, blocks: Sequence[Block]) -> int:
    """The largest row block that suits all blocks of a walk."""
    return min((most_rows(module, block) for block in blocks), default=6)


def emit_walk(
    module: Module, frame: Frame, name: str, blocks: Sequence[Block], most: int, *, back: bool
) -> None:
    """Emit the worker that walks all steps, from the first or (`back`) from the last."""
    families = [_Family(module, frame, block, range(1, most + 1), split=True) for block in blocks]
    f = Function(module, name, WORKER)
    params, thread, threads = f.arguments
    word = {n: f.word(params, frame.index(n)) for n in ("T", "lone", "shared", "threads")}
    table = {n: f.pointer(params, frame.index(n)) for n in ("steps", "blocks", "shares")}
    # either the rows are shared out, or, where there are few, the unit blocks
    shared = f.compare("ne", word["shared"], 0)
    begin = f.let(f"select i1 {shared}, i64 0, i64 {thread}")
    end = f.let(f"select i1 {shared}, i64 {word['threads']}, i64 {f.add(thread, 1)}")
    low, high = f.word(table["shares"], begin), f.word(table["shares"], end)
    meeting = f.at(params, frame.index("meeting"), "i64")

    def step(s: str, _: list[str]) -> None:
        t: Int = f.sub(f.sub(word["T"], s), 1) if back else s
        line = f.mul(t, 3)
        cur, prev, live = (f.word(table["steps"], f.add(line, n)) for n in range(3))
        following = f.word(table["steps"], f.add(line, 3)) if back else 0
        going = f.word(table["steps"], f.add(line, 5)) if back else 0
        for number, family in enumerate(families):

            def panel(ub: Int, width: int, family: _Family = family) -> None:
                def block(n: str, _: list[str]) -> None:
                    first = f.word(table["blocks"], f.mul(n, 2))
                    size = f.word(table["blocks"], f.add(f.mul(n, 2), 1))
                    here = f.minimum(size, f.sub(live, first))
                    if not back:
                        args = [ub, first, f.add(cur, first), f.add(prev, first), 0, 1]
                        family.call(f, here, width, args, word["lone"])
                        return
                    there = f.maximum(f.minimum(size, f.sub(going, first)), 0)
                    rows = [f.add(base, first) for base in (cur, prev, following)]
                    family.call(f, there, width, [ub, first, *rows, 1], word["lone"])
                    # those whose last step this is
                    rest = [ub, f.add(first, there), *(f.add(row, there) for row in rows), 0]
                    family.call(f, f.sub(here, there), width, rest, word["lone"])

                f.loop(low, high, block)

            family.panels(f, panel, (word["shared"], thread, threads))
            met = f.add(f.mul(s, len(families)), number + 1)

            def meet(met: Int = met) -> None:
                _meet(f, meeting, f.mul(met, threads))

            f.when(shared, meet)

    f.loop(0, word["T"], step)
    f.finish()


def _meet(f: Function, counter: str, target: Int) -> None:
    """Wait until all threads have come here: spin for a while, then let others run."""
    f.do(f"atomicrmw add ptr {counter}, i64 1 seq_cst")
    before, head, again, leave = f.block, *(f.label(w) for w in ("wait", "again", "met"))
    pause, rest = f.label("pause"), f.label("rest")
    f.do(f"br label %{head}")
    f.start(head)
    tries = f.let("phi i64 @@")
    at = len(f.lines) - 1
    seen = f.let(f"load atomic i64, ptr {counter} acquire, align 8")
    f.do(f"br i1 {f.compare('sge', seen, target)}, label %{leave}, label %{pause}")
    f.start(pause)
    more = f.add(tries, 1)
    f.do(f"br i1 {f.compare('sgt', more, _SPINS)}, label %{rest}, label %{again}")
    f.start(rest)
    called = f.module.declare("sched_yield", "i32 {}()")
    f.let(f"call i32 {called}()")
    f.do(f"br label %{again}")
    f.start(again)
    f.do(f"br label %{head}")
    f.lines[at] = f"  {tries} = phi i64 [0, %{before}], [{more}, %{again}]"
    f.start(leave)


def emit_flat(
    module: Module,
    frame: Frame,
    name: str,
    block: Block,
    *,
    start: bool = False,
    chunk: int = 96,
) -> None:
    """Emit the worker that takes a block over rows first..last of the frame, or 0..B at `start`.

    It goes chunk by chunk, so that rows stay in the cache while the weights pass by.
    """
    most = most_rows(module, block)
    family = _Family(module, frame, block, range(1, most + 1), split=False)
    chunk = max(most, chunk // most * most)
    f = Function(module, name, WORKER)
    params, thread, threads = f.arguments
    base: Int = 0 if start else f.word(params, frame.index("first"))
    end = f.word(params, frame.index("B" if start else "last"))
    low, high = share(f, f.sub(end, base), thread, threads, most)
    low, high = f.add(low, base), f.add(high, base)

    def piece(first: str, _: list[str]) -> None:
        last = f.minimum(f.add(first, chunk), high)

        def panel(ub: Int, width: int) -> None:
            def rows(row: str, _: list[str]) -> None:
                here = f.minimum(f.sub(last, row), most)
                family.call(f, here, width, [ub, row, row, row, row, 1])

            f.loop(first, last, rows, step=most)

        family.panels(f, panel)

    f.loop(low, high, piece, step=chunk)
    f.finish()
