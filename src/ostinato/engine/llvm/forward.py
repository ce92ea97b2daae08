"""Laying out the forward walk: which value is computed in which pass over the units, kept where.

A pass (a block) reads only what is complete for all units: products of a value that this step
computes, and sums over units, end a pass and begin the next. The *level* of a value counts
those ends before it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from ostinato.engine.expressions import Matrix, Node, Program, walk_nodes
from ostinato.engine.llvm.spec import Acc, Block, Group, Place, Record, terms
from ostinato.engine.operations import CHEAP

__all__ = ["Forward", "pieces"]

LEAF = frozenset({"state", "input", "vector", "const"})
# leaves that stand in memory, so that a product can read them
STANDING = frozenset({"state", "input", "vector"})


# operations on a row's number from which on it is computed once, not for every vector of units
_HEAVY = 3


def is_heavy(node: Node, at_hand: Container[Node]) -> bool:
    """Whether a value of width 1 takes more than a few instructions, from what is in memory."""
    seen: set[Node] = set()
    weight, stack = 0, [node]
    while stack and weight < _HEAVY:
        one = stack.pop()
        if one in seen or one.op in LEAF or one.op == "sum" or one in at_hand:
            continue
        seen.add(one)
        weight += 1 if one.op in CHEAP else _HEAVY
        stack.extend(one.args)
    return weight >= _HEAVY


def pieces(node: Node) -> list[tuple[int, Node]]:
    """(first unit, node) of each piece of a `cat`, or the node itself."""
    parts = node.args if node.op == "cat" else (node,)
    starts = [sum(part.width for part in parts[:n]) for n in range(len(parts))]
    return list(zip(starts, parts, strict=True))


class Forward:
    """The blocks of one step, in order, and where each value stands.

    Args:
        program: the step, without transposed matrices.
        saved: values that the reverse walk reads back, kept in records (of width 1: in rows).
        operands: values that it multiplies, kept in rows.
    """

    def __init__(
        self, program: Program, saved: Iterable[Node] = (), operands: Iterable[Node] = ()
    ) -> None:
        self.program = program
        self.saved, self.operands = list(saved), list(operands)
        self.homes: dict[Node, Place] = {}
        self.walk: dict[tuple[int, int], Block] = {}
        self.flat: list[Block] = []
        self.slots: dict[str, int] = {}
        self.widths: dict[str, int] = {}
        self.buffers: dict[str, tuple[str, int]] = {}
        self.records: dict[Node, Record] = {}
        self.levels: dict[Node, int] = {}
        self._count_uses()
        self._settle()
        self._lay_out()

    # which values stand alone

    def _count_uses(self) -> None:
        roots = (*self.program.new_states, *self.program.emits)
        self.uses: dict[Node, int] = {}
        self.nodes = list(walk_nodes(roots))
        for node in self.nodes:
            for arg in node.args:
                self.uses[arg] = self.uses.get(arg, 0) + 1
        named = {piece for root in roots for _, piece in pieces(root)}
        self.named = named | set(self.saved) | set(self.operands)

    def _terms(self, node: Node) -> list[Node]:
        """Terms of a sum, down to values that something else needs, too."""
        found = []
        for arg in node.args if node.op == "add" else ():
            alone = self.uses.get(arg, 0) < 2 and arg not in self.named and arg.width == node.width
            found += self._terms(arg) if arg.op == "add" and alone else [arg]
        return found or [node]

    def _own(self, product: Node) -> bool:
        """A product that nothing but the sum that it is a term of needs."""
        return self.uses.get(product, 0) < 2 and product not in self.named

    def is_affine(self, node: Node) -> bool:
        if node.op == "matmul":
            return True
        return any(term.op == "matmul" and self._own(term) for term in self._terms(node))

    def _is_flat(self, node: Node) -> bool:
        """Made of products that leave the walk, and of nothing else."""
        return self.is_affine(node) and all(
            part.op == "vector"
            or (
                part.op == "matmul"
                and part.args[0].op in ("input", "vector")
                and (part is node or self._own(part))
            )
            for part in self._terms(node)
        )

    def level(self, node: Node) -> int:
        if node not in self.levels:
            self.levels[node] = self._level(node)
        return self.levels[node]

    def _level(self, node: Node) -> int:
        if node.op in LEAF:
            return 0
        if node.op == "sum":
            return self.level(node.args[0]) + 1
        if node.op == "matmul":
            operand = node.args[0]
            return 0 if operand.op in STANDING else self.level(operand) + 1
        parts = self._terms(node)
        if parts == [node]:
            parts = list(node.args)
        # a scalar product is complete only after its own pass
        late = [p.width == 1 and node.width > 1 and self.is_affine(p) for p in parts]
        return max(self.level(p) + wait for p, wait in zip(parts, late, strict=True))

    # where values stand

    def _settle(self) -> None:
        for kind, roots in (("V", self.program.new_states), ("E", self.program.emits)):
            for index, root in enumerate(roots):
                for start, piece in pieces(root):
                    place = Place(f"{kind}{index}", root.width, "cur", start)
                    if piece.op not in LEAF:
                        self.homes.setdefault(piece, place)
        for node in [*self.operands, *(n for n in self.saved if n.width == 1)]:
            self._give_rows(node, "cur")
        for node in self.nodes:
            if node.op == "matmul" and node.args[0].op not in STANDING:
                self._give_rows(node.args[0], "local")
            elif node.op == "sum":
                self._give_rows(node, "local")

    def _give_rows(self, node: Node, row: str) -> Place:
        if node in self.homes or node.op in STANDING:
            return self.homes.get(node) or self.leaf(node)
        name = f"Z{len(self.buffers)}"
        self.buffers[name] = (row, node.width)
        place = Place(name, node.width, "cur" if row == "cur" else "local")
        self.homes[node] = place
        return place

    def leaf(self, node: Node) -> Place:
        """Where a state, an input or a static vector is read."""
        index, start = node.data
        if node.op == "state":
            return Place(f"Y{index}", self.program.states[index], "prev", start)
        if node.op == "vector":
            # one row for all
            return Place(f"S{index}", 0, "cur", start)
        return Place(f"U{index}", f"ldU{index}", "cur", start)

    # the blocks

    def _block(self, node: Node) -> Block:
        key = (self.level(node), node.width)
        if key not in self.walk:
            self.walk[key] = Block(f"f{key[0]}_{key[1]}", node.width)
        return self.walk[key]

    def _lay_out(self) -> None:
        for node in self.saved:
            if node.width > 1:
                self._slot(node)
        for kind, roots in (("V", self.program.new_states), ("E", self.program.emits)):
            for index, root in enumerate(roots):
                for start, piece in pieces(root):
                    self._keep(piece, Place(f"{kind}{index}", root.width, "cur", start))
        for node in self.saved:
            if node.width > 1:
                self._keep(node, self.records[node])
        # more homes appear while values cross from pass to pass
        done: set[Node] = set()
        while len(done) < len(self.homes):
            for node, place in list(self.homes.items()):
                if node not in done:
                    done.add(node)
                    if not any(value is node and to == place for value, to in self._stores()):
                        self._keep(node, place)
        self._hoist()
        self.walk = dict(sorted(self.walk.items()))

    def _stores(self) -> Iterable[tuple[Node, Place | Record]]:
        for block in self.walk.values():
            yield from block.stores

    def _keep(self, node: Node, place: Place | Record) -> None:
        if node.op == "sum":
            arg = node.args[0]
            assert isinstance(place, Place)
            block = self._block(arg)
            self._visit(arg, block)
            block.sums.append((arg, place))
            return
        block = self._block(node)
        self._visit(node, block)
        block.stores.append((node, place))

    def _slot(self, node: Node) -> Record:
        name = f"R{self.level(node)}_{node.width}"
        slot = sum(record.pointer == name for record in self.records.values())
        self.records[node] = Record(name, node.width, 0, slot)
        return self.records[node]

    def _visit(self, node: Node, block: Block) -> None:
        """See that the block can compute a value."""
        level = next(k[0] for k, b in self.walk.items() if b is block)
        if node in block.fetch or any(acc.node is node for acc in block.accs):
            return
        if node.op in ("state", "input"):
            block.fetch[node] = self.leaf(node)
        elif node.op in ("vector", "const"):
            return
        elif node.op == "sum" or (node.width == 1 < block.width and self._by_row(node)):
            block.fetch[node] = self._give_rows(node, "local")
        elif self.level(node) < level and not self._plain(node):
            self._cross(node, block)
        elif self.is_affine(node):
            self._accumulate(node, block)
        else:
            for arg in node.args:
                self._visit(arg, block)

    def _by_row(self, node: Node) -> bool:
        """A number that is computed once for each row."""
        return node in self.homes or self.is_affine(node) or is_heavy(node, self.homes)

    def _cross(self, node: Node, block: Block) -> None:
        """Have a value at hand in a later pass than its own."""
        if node not in self.records and node.width == block.width and self._is_flat(node):
            self._keep(node, self._slot(node))
        if node in self.records:
            block.fetch[node] = self.records[node]
        elif node.op in CHEAP and all(self._stays(arg, node) for arg in node.args):
            for arg in node.args:
                self._visit(arg, block)
        else:
            block.fetch[node] = self._give_rows(node, "local")

    def _stays(self, arg: Node, node: Node) -> bool:
        """Whether an operand is in memory anyway, for its own pass was an earlier one."""
        return arg.op in LEAF or arg.width == 1 or self.level(arg) < self.level(node)

    def _plain(self, node: Node) -> bool:
        """Cheap to compute again from leaves, or of width 1."""
        if node.op in LEAF:
            return True
        if node.op in ("matmul", "sum") or self.is_affine(node):
            return False
        return node.width == 1 and all(a.op == "sum" or self._plain(a) for a in node.args)

    def _accumulate(self, node: Node, block: Block) -> None:
        parts = self._terms(node)
        products = [p for p in parts if p.op == "matmul" and (p is node or self._own(p))]
        vectors = [p for p in parts if p.op == "vector" and p.width == node.width]
        rest = [p for p in parts if p not in products and p not in vectors]
        acc = Acc(node, tuple(vectors), tuple(rest))
        block.accs.append(acc)
        index = len(block.accs) - 1
        for product in products:
            operand = product.args[0]
            place = self.leaf(operand) if operand.op in STANDING else self.homes[operand]
            _join(block, place, index, product.data, f"W{block.name}")
        for part in rest:
            self._visit(part, block)

    def _hoist(self) -> None:
        """Products of inputs and static vectors leave the walk: a flat pass fills records."""
        for (level, width), block in self.walk.items():
            flat = Block("x" + block.name, width)
            outside = [g for g in block.groups if _is_input(g)]
            block.groups = [g for g in block.groups if not _is_input(g)]
            chosen = sorted({acc for g in outside for acc in g.accumulators})
            name = f"R{level}_{width}"
            kept = sum(record.pointer == name for record in self.records.values())
            free = self._slots(block, chosen, kept)
            for index in chosen:
                acc = block.accs[index]
                record = Record(name, width, 0, free[index])
                if self._is_flat(acc.node):
                    # what is to stay is where it is to stay
                    block.stores = [pair for pair in block.stores if pair != (acc.node, record)]
                flat.accs.append(Acc(acc.node, acc.start))
                flat.stores.append((acc.node, record))
                acc.start = (record,)
            for g in outside:
                new = tuple(chosen.index(a) for a in g.accumulators)
                flat.groups.append(Group("x" + g.packed, g.operand, new, g.matrices))
            if chosen:
                self.flat.append(flat)
            if chosen or kept:
                self.slots[name] = max([kept, *(slot + 1 for slot in free.values())])
                self.widths[name] = width

    def _slots(self, block: Block, chosen: list[int], kept: int) -> dict[int, int]:
        """A slot for each product that has left the walk; others may be written over it later."""
        own = {n: self.records.get(block.accs[n].node) for n in chosen}
        found = {n: record.slot for n, record in own.items() if record is not None}
        free = [slot for slot in range(kept + len(chosen)) if slot not in found.values()]
        rest = [n for n in chosen if n not in found]
        return found | dict(zip(rest, free, strict=False))


def _is_input(group: Group) -> bool:
    return isinstance(group.operand, Place) and group.operand.pointer.startswith(("U", "S"))


def _join(block: Block, place: Place, acc: int, matrix: Matrix, prefix: str) -> None:
    for n, group in enumerate(block.groups):
        if group.operand == place and acc not in group.accumulators and len(group.matrices) < 6:
            block.groups[n] = Group(
                group.packed, place, (*group.accumulators, acc), (*group.matrices, matrix)
            )
            return
    block.groups.append(Group(f"{prefix}_{len(block.groups)}", place, (acc,), (matrix,)))


__all__ += ["terms"]
