"""Equations kept on disk, as text: a cell that was read once is not read again in other processes.

A file holds a magic line, a checksum of the rest, and the recurrence as JSON: the step as a list
of nodes, the parts around it as lists of operators of PyTorch's. Nothing in it is ever run but
operators that it names. A file that is not what it says, or that cannot be written, is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import operator
from typing import Any

import torch
from torch import fx, nn

from ostinato.engine.expressions import Matrix, Node, Program, make, walk_nodes
from ostinato.engine.limits import Limit
from ostinato.engine.llvm.compile import cache_folder, write_file
from ostinato.engine.recurrence import Part, Recurrence

__all__ = ["Unwritable", "load", "read_text", "save", "text_of"]

_MAGIC = "ostinato equations 3"
_ARITHMETIC = ("getitem", "add", "sub", "mul", "floordiv", "mod", "neg")


class Unwritable(Exception):  # noqa: N818 - it says what is not so, not that something broke
    """There is no text for this."""


def load(key: str) -> Recurrence | None:
    """What was saved under a key; None for nothing, or nothing that can be trusted."""
    try:
        text = (cache_folder("equations") / f"{key}.json").read_text(encoding="utf-8")
        return read_text(text)
    except Exception:
        # whatever is wrong with a file, the cell itself is there to be read
        return None


def save(key: str, found: Recurrence) -> None:
    """Keep a recurrence, if there is a text for it and a folder to hold that."""
    with contextlib.suppress(Unwritable, RuntimeError):
        write_file(cache_folder("equations"), f"{key}.json", text_of(found).encode())


def text_of(found: Recurrence) -> str:
    """A recurrence as text."""
    if found.constants:
        raise Unwritable("tensors made in forward")
    program = found.program
    roots = (*program.new_states, *program.emits)
    numbers: dict[Node, int] = {}
    nodes = []
    for node in walk_nodes(roots):
        numbers[node] = len(numbers)
        nodes.append([node.op, node.width, [numbers[arg] for arg in node.args], _data(node.data)])
    body = {
        "inputs": program.inputs,
        "statics": program.statics,
        "states": program.states,
        "nodes": nodes,
        "new_states": [numbers[root] for root in program.new_states],
        "emits": [numbers[root] for root in program.emits],
        "limits": [_limit(limit) for limit in program.limits],
        "static": _part(found.static),
        "before": None if found.before is None else _part(found.before),
        "after": None if found.after is None else _part(found.after),
        "output": found.output,
        "state_names": found.state_names,
        "static_names": found.static_names,
        "input_names": found.input_names,
        "output_shape": found.output_shape,
        "names": {numbers[node]: name for node, name in found.names.items() if node in numbers},
        "kept": list(found.kept.items()),
    }
    text = json.dumps(body, indent=None, separators=(",", ":"), allow_nan=False)
    return "\n".join([_MAGIC, _sum(text), text])


def read_text(text: str) -> Recurrence:
    """The recurrence that a text tells of.

    Raises:
        ValueError: it is no such text, or has been damaged.
    """
    magic, checksum, body = text.split("\n", 2)
    if magic != _MAGIC or checksum != _sum(body):
        raise ValueError("Equations: a text of another kind, or a damaged one. Delete the file.")
    told = json.loads(body)
    nodes: list[Node] = []
    for op, width, args, data in told["nodes"]:
        nodes.append(make(op, [nodes[n] for n in args], width, _read_data(op, data)))
    program = Program(
        tuple(told["inputs"]),
        tuple(map(tuple, told["statics"])),
        tuple(told["states"]),
        tuple(nodes[n] for n in told["new_states"]),
        tuple(nodes[n] for n in told["emits"]),
        tuple(map(_read_limit, told["limits"])),
    )
    kind, index = told["output"]
    return Recurrence(
        program=program,
        static=_read_part(told["static"]),
        before=None if told["before"] is None else _read_part(told["before"]),
        after=None if told["after"] is None else _read_part(told["after"]),
        output=(kind, index),
        constants={},
        state_names=tuple(told["state_names"]),
        static_names=tuple(told["static_names"]),
        input_names=tuple(told["input_names"]),
        output_shape=tuple(told["output_shape"]),
        names={nodes[int(n)]: name for n, name in told["names"].items()},
        kept={tuple(label): None if at is None else (at[0], at[1]) for label, at in told["kept"]},
    )


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# nodes


def _data(data: Any) -> Any:
    if data is None:
        return None
    if isinstance(data, float):
        return data.hex()
    if isinstance(data, Matrix):
        return [data.static, data.row, data.column, data.rows, data.columns, data.transposed]
    index, start = data
    return [index, start]


def _limit(limit: Limit | None) -> Any:
    return None if limit is None else [limit.bound.hex(), limit.norm, limit.static]


def _read_limit(told: Any) -> Limit | None:
    return None if told is None else Limit(float.fromhex(told[0]), told[1], told[2])


def _read_data(op: str, data: Any) -> Any:
    if data is None:
        return None
    if isinstance(data, str):
        return float.fromhex(data)
    return Matrix(*data) if op == "matmul" else tuple(data)


# parts


def _part(part: Part) -> Any:
    numbers: dict[fx.Node, int] = {}
    lines = []
    for node in part.module.graph.nodes:
        if node.op == "placeholder":
            lines.append(["placeholder", str(node.target)])
        elif node.op == "call_function":
            told = [_argument(node.args, numbers), _argument(dict(node.kwargs), numbers)]
            lines.append([_target(node.target), *told])
        elif node.op == "output":
            lines.append(["output", _argument(node.args, numbers)])
        else:
            raise Unwritable(node.op)
        numbers[node] = len(numbers)
    return {"rows": part.rows, "names": part.names, "identity": part.identity, "graph": lines}


def _read_part(told: Any) -> Part:
    graph = fx.Graph()
    nodes: list[fx.Node] = []
    for name, *rest in told["graph"]:
        if name == "placeholder":
            nodes.append(graph.placeholder(rest[0]))
        elif name == "output":
            nodes.append(graph.output(_read_argument(rest[0], nodes)[0]))
        else:
            args, kwargs = (_read_argument(given, nodes) for given in rest)
            nodes.append(graph.call_function(_read_target(name), args, kwargs))
    rows = tuple((kind, index) for kind, index in told["rows"])
    module = fx.GraphModule(nn.Module(), graph)
    return Part(module, rows, tuple(told["names"]), told["identity"])


def _target(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload) and target.namespace == "aten":
        return str(target)
    name = getattr(target, "__name__", "")
    if name in _ARITHMETIC and getattr(operator, name) is target:
        return f"operator.{name}"
    raise Unwritable(str(target))


def _read_target(name: str) -> Any:
    home, called, *overload = name.split(".")
    if home == "operator" and called in _ARITHMETIC:
        return getattr(operator, called)
    if home != "aten":
        raise ValueError(f"Equations: no operator {name!r} is known here. Delete the file.")
    return getattr(getattr(torch.ops.aten, called), overload[0])


def _argument(value: Any, numbers: dict[fx.Node, int]) -> Any:
    """An argument of an operator: numbers and texts as they are, the rest as [kind, ...]."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return ["float", value.hex()]
    if isinstance(value, fx.Node):
        return ["node", numbers[value]]
    if isinstance(value, dict):
        return ["dict", [[name, _argument(part, numbers)] for name, part in value.items()]]
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return [kind, [_argument(part, numbers) for part in value]]
    if isinstance(value, torch.dtype):
        return ["dtype", str(value).removeprefix("torch.")]
    if isinstance(value, torch.device):
        return ["device", str(value)]
    raise Unwritable(type(value).__name__)


def _read_argument(told: Any, nodes: list[fx.Node]) -> Any:
    if not isinstance(told, list):
        return told
    kind, value = told
    if kind == "float":
        return float.fromhex(value)
    if kind == "node":
        return nodes[value]
    if kind == "dict":
        return {name: _read_argument(part, nodes) for name, part in value}
    if kind in ("list", "tuple"):
        parts = [_read_argument(part, nodes) for part in value]
        return parts if kind == "list" else tuple(parts)
    if kind == "device":
        return torch.device(value)
    found = getattr(torch, value)
    if kind != "dtype" or not isinstance(found, torch.dtype):
        raise ValueError(f"Equations: no argument {told} is known here. Delete the file.")
    return found
