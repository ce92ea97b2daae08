"""Writing LLVM IR as text: a module, a function, and the few shapes of control flow needed.

Values are the names of SSA registers or literals, both strings; Python integers are folded where
they meet. No optimisation pass runs afterwards, so what is written here is what the code
generator sees: clean SSA, loops with their carried values as phi nodes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Function", "Int", "Module", "Target"]

Int: TypeAlias = "int | str"


@dataclass(frozen=True)
class Target:
    """What code is made for.

    Attributes:
        cpu: processor name, as LLVM spells it.
        features: its features, as LLVM takes them.
        vector_bytes: width of a vector register.
        registers: number of vector registers.
        scalef: has AVX-512's instruction for p * 2^n.
    """

    cpu: str
    features: str
    vector_bytes: int
    registers: int
    scalef: bool


@dataclass
class Module:
    """One module of IR text for one element type."""

    target: Target
    element: str
    declared: dict[str, str] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return 4 if self.element == "float" else 8

    @property
    def lanes(self) -> int:
        return self.target.vector_bytes // self.bytes

    @property
    def vector(self) -> str:
        return f"<{self.lanes} x {self.element}>"

    @property
    def suffix(self) -> str:
        return f"v{self.lanes}f{self.bytes * 8}"

    def number(self, value: float) -> str:
        """A constant of the element type, exact."""
        if self.element == "float":
            value = struct.unpack("f", struct.pack("f", value))[0]
        return "0x" + struct.pack(">d", value).hex().upper()

    def splat(self, value: float) -> str:
        return f"splat ({self.element} {self.number(value)})"

    def declare(self, name: str, signature: str) -> str:
        """Declare a function that others provide; `signature` has {} where the name goes."""
        self.declared[name] = "declare " + signature.format("@" + name)
        return "@" + name

    def __str__(self) -> str:
        return "\n".join([*self.declared.values(), "", *self.functions, ""])


class Function:
    """One function under construction: a cursor into its current basic block."""

    def __init__(
        self, module: Module, name: str, arguments: Sequence[str], *, public: bool = False
    ) -> None:
        self.module, self.name = module, name
        self.lines: list[str] = []
        self.count = 0
        self.block = "entry"
        self.arguments = [f"%a{i}" for i in range(len(arguments))]
        listed = ", ".join(f"{t} {a}" for t, a in zip(arguments, self.arguments, strict=True))
        linkage = "" if public else "internal "
        self.head = f"define {linkage}void @{name}({listed}) nounwind {{"

    def finish(self) -> None:
        self.lines.append("  ret void")
        body = "\n".join([self.head, "entry:", *self.lines, "}"])
        self.module.functions.append(body)

    def let(self, expression: str) -> str:
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {expression}")
        return name

    def do(self, statement: str) -> None:
        self.lines.append(f"  {statement}")

    def label(self, hint: str) -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    # integers

    def add(self, *terms: Int) -> Int:
        number = sum(term for term in terms if isinstance(term, int))
        names = [term for term in terms if isinstance(term, str)]
        if number or not names:
            if not names:
                return number
            names.append(str(number))
        total = names[0]
        for name in names[1:]:
            total = self.let(f"add i64 {total}, {name}")
        return total

    def mul(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if isinstance(a, int):
            a, b = b, a
        if b == 0:
            return 0
        if b == 1:
            return a
        return self.let(f"mul i64 {a}, {b}")

    def sub(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.let(f"sub i64 {a}, {b}")

    def divide(self, a: Int, b: Int) -> Int:
        return self.let(f"sdiv i64 {a}, {b}")

    def minimum(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        less = self.let(f"icmp slt i64 {a}, {b}")
        return self.let(f"select i1 {less}, i64 {a}, i64 {b}")

    def maximum(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        less = self.let(f"icmp slt i64 {a}, {b}")
        return self.let(f"select i1 {less}, i64 {b}, i64 {a}")

    def compare(self, how: str, a: Int, b: Int) -> str:
        return self.let(f"icmp {how} i64 {a}, {b}")

    # memory

    def at(self, pointer: str, index: Int, element: str | None = None) -> str:
        """Address of an element."""
        if index == 0:
            return pointer
        return self.let(
            f"getelementptr {element or self.module.element}, ptr {pointer}, i64 {index}"
        )

    def word(self, table: str, index: Int) -> str:
        """An i64 of a table."""
        return self.let(f"load i64, ptr {self.at(table, index, 'i64')}")

    def pointer(self, table: str, index: Int) -> str:
        """A pointer of a table."""
        return self.let(f"load ptr, ptr {self.at(table, index, 'i64')}")

    def load(self, pointer: str, mask: str | None = None) -> str:
        """A vector, unaligned; lanes outside the mask are zero and not touched."""
        m = self.module
        if mask is None:
            return self.let(f"load {m.vector}, ptr {pointer}, align {m.bytes}")
        name = m.declare(
            f"llvm.masked.load.{m.suffix}.p0",
            f"{m.vector} {{}}(ptr, i32, <{m.lanes} x i1>, {m.vector})",
        )
        return self.let(
            f"call {m.vector} {name}(ptr {pointer}, i32 {m.bytes}, "
            f"<{m.lanes} x i1> {mask}, {m.vector} zeroinitializer)"
        )

    def store(self, value: str, pointer: str, mask: str | None = None) -> None:
        m = self.module
        if mask is None:
            self.do(f"store {m.vector} {value}, ptr {pointer}, align {m.bytes}")
            return
        name = m.declare(
            f"llvm.masked.store.{m.suffix}.p0",
            f"void {{}}({m.vector}, ptr, i32, <{m.lanes} x i1>)",
        )
        self.do(
            f"call void {name}({m.vector} {value}, ptr {pointer}, i32 {m.bytes}, "
            f"<{m.lanes} x i1> {mask})"
        )

    def broadcast(self, pointer: str) -> str:
        """One element, in every lane."""
        m = self.module
        scalar = self.let(f"load {m.element}, ptr {pointer}, align {m.bytes}")
        return self.spread(scalar)

    def spread(self, scalar: str) -> str:
        m = self.module
        first = self.let(f"insertelement {m.vector} poison, {m.element} {scalar}, i32 0")
        return self.let(
            f"shufflevector {m.vector} {first}, {m.vector} poison, "
            f"<{m.lanes} x i32> zeroinitializer"
        )

    def lanes_below(self, count: Int) -> str:
        """Mask of the first `count` lanes."""
        m = self.module
        first = self.let(f"insertelement <{m.lanes} x i64> poison, i64 {count}, i32 0")
        wide = self.let(
            f"shufflevector <{m.lanes} x i64> {first}, <{m.lanes} x i64> poison, "
            f"<{m.lanes} x i32> zeroinitializer"
        )
        lanes = ", ".join(f"i64 {lane}" for lane in range(m.lanes))
        return self.let(f"icmp slt <{m.lanes} x i64> <{lanes}>, {wide}")

    # vectors

    def binary(self, op: str, a: str, b: str) -> str:
        return self.let(f"{op} {self.module.vector} {a}, {b}")

    def intrinsic(self, name: str, *args: str) -> str:
        m = self.module
        listed = ", ".join(m.vector for _ in args)
        full = m.declare(f"llvm.{name}.{m.suffix}", f"{m.vector} {{}}({listed})")
        given = ", ".join(f"{m.vector} {arg}" for arg in args)
        return self.let(f"call {m.vector} {full}({given})")

    def fma(self, a: str, b: str, c: str) -> str:
        # fused where the processor can, two roundings where it cannot
        return self.intrinsic("fmuladd", a, b, c)

    def floats(self, how: str, a: str, b: str) -> str:
        return self.let(f"fcmp {how} {self.module.vector} {a}, {b}")

    def select(self, mask: str, yes: str, no: str) -> str:
        m = self.module
        return self.let(f"select <{m.lanes} x i1> {mask}, {m.vector} {yes}, {m.vector} {no}")

    # control flow

    def loop(
        self,
        low: Int,
        high: Int,
        body: Callable[[str, list[str]], Sequence[str] | None],
        *,
        step: Int = 1,
        carried: Sequence[tuple[str, str]] = (),
    ) -> list[str]:
        """For i in range(low, high, step): carried = body(i, carried), each with its type."""
        before, head, inner, end = self.block, *(self.label(w) for w in ("head", "body", "end"))
        self.do(f"br label %{head}")
        self.start(head)
        index = self.let("phi i64 @@")
        at = len(self.lines) - 1
        held = [self.let("phi @@") for _ in carried]
        test = self.compare("slt", index, high)
        self.do(f"br i1 {test}, label %{inner}, label %{end}")
        self.start(inner)
        new = list(body(index, held) or ())
        after = self.add(index, step)
        last = self.block
        self.do(f"br label %{head}")
        self.lines[at] = f"  {index} = phi i64 [{low}, %{before}], [{after}, %{last}]"
        for n, ((kind, first), value) in enumerate(zip(carried, new, strict=True)):
            self.lines[at + 1 + n] = (
                f"  {held[n]} = phi {kind} [{first}, %{before}], [{value}, %{last}]"
            )
        self.start(end)
        return held

    def when(self, condition: str, body: Callable[[], None]) -> None:
        """If condition: body()."""
        yes, after = self.label("then"), self.label("after")
        self.do(f"br i1 {condition}, label %{yes}, label %{after}")
        self.start(yes)
        body()
        self.do(f"br label %{after}")
        self.start(after)

    def switch(self, value: str, cases: Sequence[int], body: Callable[[int], None]) -> None:
        """One of the cases, or none."""
        after = self.label("after")
        labels = [self.label("case") for _ in cases]
        listed = " ".join(f"i64 {c}, label %{b}" for c, b in zip(cases, labels, strict=True))
        self.do(f"switch i64 {value}, label %{after} [{listed}]")
        for case, label in zip(cases, labels, strict=True):
            self.start(label)
            body(case)
            self.do(f"br label %{after}")
        self.start(after)

    def call(self, name: str, *args: tuple[str, Int]) -> None:
        self.do(f"call void @{name}({', '.join(f'{kind} {value}' for kind, value in args)})")
