"""What the forward walk keeps for the reverse walk: as little as it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ostinato.engine.adjoint import Adjoint
from ostinato.engine.expressions import Node, Program, walk_nodes
from ostinato.engine.llvm.cuts import Cuts
from ostinato.engine.llvm.forward import LEAF, STANDING, pieces
from ostinato.engine.operations import CHEAP

__all__ = ["choose_saved", "step_nodes"]


def step_nodes(program: Program) -> set[Node]:
    """Every node of a step."""
    return set(walk_nodes((*program.new_states, *program.emits)))


def choose_saved(program: Program, adjoint: Adjoint) -> tuple[list[Node], list[Node]]:
    """(values to save, values to keep in rows): as few as the reverse step needs.

    In rows is what is multiplied, and what is read in part. What is a new state, or cheaply made of
    what is kept, is computed again.
    """
    forward = step_nodes(program)
    kept = {p for root in (*program.new_states, *program.emits) for _, p in pieces(root)}
    operands = [p.operand for p in adjoint.products if p.operand.op not in STANDING]
    needed, wholes = _reads(adjoint, forward)
    operands = [n for n in dict.fromkeys([*operands, *wholes]) if n in forward]
    kept.update(operands)
    order = [n for n in walk_nodes((*program.new_states, *program.emits)) if n in needed]
    saved: list[Node] = []
    flat = _alone(program)

    def at_hand(node: Node) -> bool:
        if node.op in LEAF or node in kept or node in saved or node in flat:
            return True
        if node.op in ("matmul", "sum"):
            return False
        once = node.op not in CHEAP and node.width != 1
        if once:
            return all(arg.op in LEAF or arg in kept for arg in node.args)
        return all(map(at_hand, node.args))

    for cheap in (False, True):
        # one by one: what is saved makes others easy to compute again
        for node in order:
            wanted = (node.op in CHEAP) is cheap and not at_hand(node)
            saved += [node] if wanted else []
    return saved + _found_flat(needed, flat, {*kept, *saved}), operands


def _alone(program: Program) -> set[Node]:
    """Products that leave the walk and are no term of a sum: they stay where they are made."""
    roots = (*program.new_states, *program.emits)
    nodes = list(walk_nodes(roots))
    found = {n for n in nodes if n.op == "matmul" and n.args[0].op in ("input", "vector")}
    uses = Counter(arg for node in nodes for arg in node.args)
    return {n for n in found if n.width > 1} - {
        arg for node in nodes if node.op == "add" for arg in node.args if uses[arg] < 2
    }


def _found_flat(needed: Iterable[Node], flat: set[Node], stop: set[Node]) -> list[Node]:
    """Those of `flat` from which values are computed again."""
    found: dict[Node, None] = {}
    seen, stack = set(stop), list(needed)
    while stack:
        node = stack.pop()
        if node in flat and node not in stop:
            found[node] = None
        elif node not in seen and node.op not in LEAF:
            seen.add(node)
            stack.extend(node.args)
    return sorted(found, key=lambda node: (node.data.static, node.data.row, node.data.column))


def _reads(adjoint: Adjoint, forward: set[Node]) -> tuple[set[Node], list[Node]]:
    """(forward values that the reverse step reads as they are, those that it reads a part of)."""
    cuts, needed, wholes = Cuts(forward), set(), []
    seen: set[Node] = set()
    stack = list(adjoint.roots())
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        found = None if node.op in CHEAP else cuts.find(node)
        if node in forward:
            needed.add(node)
        elif found is not None:
            wholes.append(found[0])
        else:
            stack.extend(node.args)
    return needed, wholes
