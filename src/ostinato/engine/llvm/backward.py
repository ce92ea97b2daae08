"""Laying out the reverse walk, which is turned by part of a step.

The gradient of an old state is products of this step's gradient nodes, and a direct part. The
products are left to the step before, where they start the accumulators of its state gradients, so
that they run straight into the pointwise work. What the direct part gives waits in one
row for each sequence.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from ostinato.engine.adjoint import Adjoint
from ostinato.engine.algebra import add, const, narrow_outer, widen
from ostinato.engine.expressions import Matrix, Node, Program, walk_nodes
from ostinato.engine.llvm.cuts import Cuts
from ostinato.engine.llvm.forward import LEAF, STANDING, Forward, is_heavy, pieces
from ostinato.engine.llvm.late import write_late
from ostinato.engine.llvm.saved import step_nodes
from ostinato.engine.llvm.spec import (
    Acc,
    Block,
    Colsum,
    Group,
    Place,
    Record,
    Rowsum,
    WeightProduct,
    terms,
)
from ostinato.engine.operations import CHEAP
from ostinato.engine.recurrence import NotFusable

__all__ = ["Backward"]


class Backward:
    """The blocks of one reverse step, and what follows the walk: gradients of x, states, weights.

    Attributes:
        walk: blocks of a step, in order.
        inputs: for each input, the blocks that finish its gradient over all rows.
        initial: for each state, the blocks that give the gradient of the initial state.
        weights: products for the gradients of matrices.
        colsums: sums for the gradients of vectors.
        row_sums: such sums of what the walk has added up for each row.
        slots: slots of each record buffer of gradients.
    """

    def __init__(self, program: Program, adjoint: Adjoint, forward: Forward) -> None:
        self.program, self.adjoint, self.forward = program, adjoint, forward
        self.known = step_nodes(program)
        self.cuts = Cuts(self.known)
        self.in_rows = {node for node, home in forward.homes.items() if home.row == "cur"}
        self.walk: dict[tuple[int, int], Block] = {}
        self.homes: dict[Node, Place] = {}
        self.records: dict[Node, Record] = {}
        self.added: dict[Node, Place] = {}
        self.apart: set[Node] = set()
        self.slots: dict[str, int] = {}
        self.widths: dict[str, int] = {}
        self.buffers: dict[str, tuple[str, int]] = {}
        self.levels: dict[Node, int] = {}
        self.pure: dict[Node, bool] = {}
        self.carried: list[list[tuple[int, int, Node]]] = []
        self.direct: list[list[tuple[int, int, Node]]] = []
        self.made = self._made()
        for index, root in enumerate(adjoint.d_states):
            self._part(index, root)
        self._lay_out()
        self.inputs = [self._input(j, node) for j, node in enumerate(adjoint.d_inputs)]
        self.initial = [self._initial(i) for i in range(len(program.states))]
        self._walk_sorted()

    def _made(self) -> set[Node]:
        """What the reverse step computes; the rest was kept."""
        made: set[Node] = set()
        stack = list(self.adjoint.roots())
        while stack:
            node = stack.pop()
            if node in made or node in self.known or self._cut(node) is not None:
                continue
            if node.op in ("matmul", "sum") and self.is_pure(node):
                raise NotFusable(node.op, "", "the reverse step needs what was not kept")
            made.add(node)
            stack.extend(node.args)
        return made

    def _part(self, index: int, root: Node | None) -> None:
        """Which products of a state's gradient are left to the step before, and which are not."""
        carried: list[tuple[int, int, Node]] = []
        direct: list[tuple[int, int, Node]] = []
        found = pieces(root) if root is not None else []
        cuts = [(start, start + piece.width) for start, piece in found]
        turned = all(
            any(a <= start and start + piece.width <= b for a, b in cuts)
            or all(b <= start or start + piece.width <= a for a, b in cuts)
            for start, piece in pieces(self.program.new_states[index])
        )
        for start, piece in found:
            for part in terms(piece):
                later = turned and part.op == "matmul"
                (carried if later else direct).append((start, piece.width, part))
        self.carried.append(carried)
        self.direct.append(direct)

    # levels

    def is_pure(self, node: Node) -> bool:
        """Made of forward values alone."""
        if node not in self.pure:
            leaf = node.op in ("gradient", "emit_gradient")
            self.pure[node] = not leaf and all(map(self.is_pure, node.args))
        return self.pure[node]

    def _cut(self, node: Node) -> Place | None:
        """Where a part of a forward value stands that is not made again."""
        if node in self.known or node.op in LEAF or node.op in CHEAP:
            return None
        found = self.cuts.find(node)
        home = None if found is None else self.forward.homes.get(found[0])
        if found is None or home is None or home.row != "cur":
            return None
        return replace(home, column=home.column + found[1])

    def level(self, node: Node) -> int:
        if node not in self.levels:
            self.levels[node] = self._level(node)
        return self.levels[node]

    def _level(self, node: Node) -> int:
        if node in self.known or self._cut(node) is not None:
            return 0
        if self.is_pure(node) and node.op not in ("matmul", "sum"):
            return 0
        if node.op in ("matmul", "sum"):
            return self.level(node.args[0]) + 1
        late = [a.width == 1 and node.width > 1 and self._sums(a) for a in node.args]
        return max(
            (self.level(a) + wait for a, wait in zip(node.args, late, strict=True)), default=0
        )

    def _sums(self, node: Node) -> bool:
        """A value of width 1 that a pass accumulates."""
        if node.op == "gradient":
            return bool(self.carried[node.data[0]])
        return node.op == "matmul"

    # blocks

    def _block(self, level: int, width: int) -> Block:
        key = (level, width)
        if key not in self.walk:
            self.walk[key] = Block(f"b{level}_{width}", width)
        return self.walk[key]

    def _lay_out(self) -> None:
        products = [p.d for p in self.adjoint.products]
        wanted = products + [v.d for v in self.adjoint.vectors]
        roots = [n for n in self.adjoint.roots() if n not in self.known or n in wanted]
        multiplied = [n.args[0] for n in walk_nodes(roots) if n.op == "matmul" and n in self.made]
        many = {*products, *multiplied}
        inner = {p.d for p in self.adjoint.products if p.operand.op != "input"}
        if inner and any(self.level(node) for node in many):
            # what only the input meets is read by other passes; in one pass, all is in one place
            self.apart = set(products) - inner
        for node in dict.fromkeys([*wanted, *multiplied]):
            if node in many or node.width == 1 or node not in self.made:
                self._slot(node)
            else:
                self._add_up(node)
        for node, record in list(self.records.items()):
            self._keep(node, record)
        for node, place in self.added.items():
            level = self.level(node)
            block = self._block(level, node.width)
            self._visit(node, block, level)
            block.adds.append((node, place))
        for index in range(len(self.program.states)):
            self._keep_direct(index)
        for index, root in enumerate(self.adjoint.d_inputs):
            self._keep_input(index, root)
        done: set[Node] = set()
        while len(done) < len(self.homes):
            for node, place in list(self.homes.items()):
                if node not in done:
                    done.add(node)
                    self._keep(node, place)

    def _add_up(self, node: Node) -> None:
        """Have a value that only the gradients of vectors need added up over the steps of a row."""
        name = f"A{len(self.added)}"
        self.buffers[name] = ("local", node.width)
        self.added[node] = Place(name, node.width, "local")

    def _slot(self, node: Node) -> None:
        name = f"D{self.level(node)}_{node.width}"
        if node in self.apart:
            name += "x"
        slot = self.slots.get(name, 0)
        self.slots[name], self.widths[name] = slot + 1, node.width
        self.records[node] = Record(name, node.width, 0, slot)

    def _keep_direct(self, index: int) -> None:
        width = self.program.states[index]
        views: dict[tuple[int, int], list[Node]] = {}
        for start, size, node in self.direct[index]:
            views.setdefault((start, size), []).append(node)
        for start, size, _ in self.carried[index]:
            views.setdefault((start, size), [])
        if not views:
            views[(0, width)] = []
        for (start, size), nodes in views.items():
            self._keep(_total(nodes, size), Place(f"C{index}", width, "local", start))

    def _keep_input(self, index: int, root: Node | None) -> None:
        for start, piece in pieces(root) if root is not None else []:
            rest = [p for p in terms(piece) if p.op != "matmul"]
            if rest:
                place = Place(f"dU{index}", self.program.inputs[index], "cur", start)
                self._keep(_total(rest, piece.width), place)

    def _keep(self, node: Node, place: Place | Record) -> None:
        if node.op == "sum" and isinstance(place, Place):
            arg = node.args[0]
            block = self._block(self.level(arg), arg.width)
            self._visit(arg, block, self.level(arg))
            block.sums.append((arg, place))
            return
        level = self.level(node)
        block = self._block(level, node.width)
        self._visit(node, block, level)
        block.stores.append((node, place))

    def _rows(self, node: Node) -> Place:
        if node not in self.homes:
            name = f"X{len(self.buffers)}"
            self.buffers[name] = ("local", node.width)
            self.homes[node] = Place(name, node.width, "local")
        return self.homes[node]

    def _visit(self, node: Node, block: Block, level: int) -> None:
        if node in block.fetch or any(acc.node is node for acc in block.accs):
            return
        cut = self._cut(node)
        if cut is not None:
            block.fetch[node] = cut
        elif node in self.known or node.op in LEAF:
            self._read_back(node, block, level)
        elif node.op == "sum":
            block.fetch[node] = self._rows(node)
        elif self.level(node) < level and self._follows(node):
            for arg in node.args:
                self._visit(arg, block, level)
        elif self.level(node) < level and not self.is_pure(node):
            wide = node.width > 1 or self._sums(node)
            block.fetch[node] = (
                self.records[node] if node in self.records and wide else self._rows(node)
            )
        elif node.op == "matmul" or node.op == "gradient":
            if node.width < block.width and self._sums(node):
                block.fetch[node] = self._rows(node)
            else:
                self._accumulate(node, block)
        elif node.width == 1 < block.width and is_heavy(node, self.homes):
            block.fetch[node] = self._rows(node)
        elif node.op == "emit_gradient":
            k, start = node.data
            block.fetch[node] = Place(f"dE{k}", f"lddE{k}", "cur", start)
        else:
            for arg in node.args:
                self._visit(arg, block, level)

    def _follows(self, node: Node) -> bool:
        """An earlier pass's value that is sooner made again, of one other and what is at hand."""
        if node.op not in CHEAP or node in self.homes or node in self.records or node.width == 1:
            return False
        free = [arg for arg in node.args if not self._at_hand(arg)]
        return len(free) == 1 and free[0].width == node.width and not self.is_pure(free[0])

    def _at_hand(self, node: Node) -> bool:
        """A number of a row, or what is read without a computation."""
        if node.width == 1 or node.op in ("vector", "const"):
            return True
        return node in self.forward.records or node in self.in_rows

    def _read_back(self, node: Node, block: Block, level: int) -> None:
        forward = self.forward
        if node.op in ("state", "input"):
            block.fetch[node] = forward.leaf(node)
        elif node.op in ("vector", "const"):
            return
        elif node in forward.records:
            block.fetch[node] = forward.records[node]
        elif node in forward.homes and forward.homes[node].row == "cur":
            block.fetch[node] = forward.homes[node]
        elif node.op in ("matmul", "sum"):
            raise NotFusable(node.op, "", "the reverse step needs what was not kept")
        elif node.width == 1 < block.width and is_heavy(node, self.in_rows):
            block.fetch[node] = self._rows(node)
        else:
            for arg in node.args:
                self._visit(arg, block, level)

    def _accumulate(self, node: Node, block: Block) -> None:
        start: tuple[Place, ...] = ()
        found: list[tuple[Node, Matrix]] = []
        row = "cur"
        if node.op == "gradient":
            index, first = node.data
            width = self.program.states[index]
            start = (
                Place(f"dY{index}", f"lddY{index}", "cur", first),
                Place(f"C{index}", width, "local", first),
            )
            found, row = self._arriving(index, first, node.width), "next"
        else:
            found = [(node.args[0], node.data)]
        block.accs.append(Acc(node, start))
        self._multiply(block, len(block.accs) - 1, found, row)

    def _multiply(self, block: Block, acc: int, found: list[tuple[Node, Matrix]], row: str) -> None:
        by_record: dict[str, list[tuple[Node, Matrix]]] = {}
        for d, matrix in found:
            by_record.setdefault(self.records[d].pointer, []).append((d, matrix))
        for chosen in by_record.values():
            chosen.sort(key=lambda pair: self.records[pair[0]].slot)
            slots = tuple(
                Record(r.pointer, r.width, 0, r.slot, "next" if row == "next" else "cur")
                for r in (self.records[d] for d, _ in chosen)
            )
            name = f"W{block.name}_{len(block.groups)}"
            matrices = tuple(matrix for _, matrix in chosen)
            block.groups.append(Group(name, slots, (acc,), matrices))

    def _arriving(self, index: int, first: int, width: int) -> list[tuple[Node, Matrix]]:
        """The products that the following step leaves to units first..first+width of a state."""
        found = []
        for start, size, product in self.carried[index]:
            if start + size <= first or first + width <= start:
                continue
            matrix = narrow_outer(product.data, first - start, first - start + width)
            found.append((product.args[0], matrix))
        return found

    # after the walk

    def _input(self, index: int, root: Node | None) -> list[Block]:
        width, blocks = self.program.inputs[index], []
        for start, piece in pieces(root) if root is not None else []:
            parts = terms(piece)
            found = [(p.args[0], p.data) for p in parts if p.op == "matmul"]
            if not found:
                continue
            place = Place(f"dU{index}", width, "cur", start)
            direct = len(found) < len(parts)
            block = Block(f"i{index}_{start}", piece.width)
            block.accs.append(Acc(piece, (place,) if direct else ()))
            self._multiply(block, 0, found, "cur")
            block.stores.append((piece, place))
            blocks.append(block)
        return blocks

    def _initial(self, index: int) -> list[Block]:
        width = self.program.states[index]
        views: dict[tuple[int, int], list[Node]] = {}
        for start, size, product in self.carried[index]:
            views.setdefault((start, size), []).append(product)
        blocks = []
        for (start, size), products in views.items():
            # whichever of them has the width of the block stands for their sum
            node = products[0]
            found = [(product.args[0], product.data) for product in products]
            place = Place(f"C{index}", width, "local", start)
            block = Block(f"s{index}_{start}", size)
            block.accs.append(Acc(node, (place,)))
            self._multiply(block, 0, found, "cur")
            block.stores.append((node, place))
            blocks.append(block)
        return blocks

    def _walk_sorted(self) -> None:
        for index, width in enumerate(self.program.states):
            self.buffers |= write_late(self.walk, index, width)
        self.walk = dict(sorted(self.walk.items()))
        self.weights = [
            WeightProduct(p.matrix, self._operand(p.operand), self.records[p.d])
            for p in self.adjoint.products
        ]
        self.colsums: list[Colsum] = []
        self.row_sums: list[Rowsum] = []
        for v in self.adjoint.vectors:
            if v.d in self.records:
                self.colsums.append(Colsum(v.static, v.start, self.records[v.d]))
            else:
                self.row_sums.append(Rowsum(v.static, v.start, self.added[v.d], v.width))

    def _operand(self, node: Node) -> Place:
        if node.op in STANDING:
            return self.forward.leaf(node)
        if node in self.forward.homes and self.forward.homes[node].row == "cur":
            return self.forward.homes[node]
        raise NotFusable(node.op, "", "the operand of a product was not kept")


def _total(nodes: list[Node], width: int) -> Node:
    return widen(reduce(add, nodes), width) if nodes else const(0.0, width)
