"""Finding normalisations in a step's equations, where they have become sums and square roots."""

from __future__ import annotations

from collections.abc import Iterable

from ostinato.engine.expressions import Node, make, walk_nodes

__all__ = ["NORMS", "with_norms"]

# what stands for (a - mean) / deviation, and for a / root mean square
NORMS = {"layer_norm": "LN", "rms_norm": "RMS"}


def with_norms(roots: Iterable[Node]) -> tuple[dict[Node, Node], tuple[Node, ...]]:
    """The same expressions with one node for each normalisation.

    Layer norm, (a - mean(a)) / sqrt(var(a) + eps), reaches the equations as two row sums, a root
    and a quotient, which several gates may share. What each of them makes of its own units becomes
    one node `layer_norm` (without the mean: `rms_norm`), with the values a as its operand.

    Returns:
        The new node of each old one, and the new roots.
    """
    listed = tuple(roots)
    new: dict[Node, Node] = {}
    for node in walk_nodes(listed):
        found = _normalised(node)
        if found is not None:
            kind, inner = found
            new[node] = make(kind, (new[inner],), node.width)
        else:
            new[node] = make(node.op, (new[arg] for arg in node.args), node.width, node.data)
    return new, tuple(new[root] for root in listed)


def _normalised(node: Node) -> tuple[str, Node] | None:
    """What a node normalises, if that is what it does."""
    if node.op == "div":
        value, root = node.args
        return _centred(value) if _is_root_of_sum(root) else None
    if node.op != "mul":
        return None
    for value, factor in (node.args, node.args[::-1]):
        if factor.op == "div" and factor.args[0].op == "const" and _is_root_of_sum(factor.args[1]):
            return _centred(value)
    return None


def _centred(value: Node) -> tuple[str, Node]:
    if value.op == "sub" and _is_mean(value.args[1]):
        return "layer_norm", value.args[0]
    return "rms_norm", value


def _is_mean(node: Node) -> bool:
    """A row sum times a number."""
    ops = sorted(arg.op for arg in node.args)
    return node.op in ("mul", "div") and node.width == 1 and ops == ["const", "sum"]


def _is_root_of_sum(node: Node) -> bool:
    """A square root of something with a row sum in it, one number a row."""
    inside = node.op == "sqrt" or (node.op == "pow" and node.args[1].data == 0.5)
    return inside and node.width == 1 and any(n.op == "sum" for n in walk_nodes([node]))
