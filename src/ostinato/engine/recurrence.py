"""What tracing gives: the three parts of a recurrence, or the reason why there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, fx, nn

from ostinato.engine.calls import Label
from ostinato.engine.expressions import Node, Program, walk_nodes

__all__ = ["NotFusable", "Part", "Recurrence", "spell"]


class NotFusable(Exception):  # noqa: N818 - a property of the cell, not a mistake
    """A cell that the algebra cannot express.

    Attributes:
        operation: what stands in the way, as torch names it.
        line: where, as `file.py:12: code`; empty where unknown.
        reason: why, and what to do.
    """

    def __init__(self, operation: str, line: str, reason: str) -> None:
        super().__init__(f"{operation}: {reason}" + (f" ({line})" if line else ""))
        self.operation, self.line, self.reason = operation, line, reason


@dataclass(frozen=True)
class Part:
    """A piece of a cell's graph that runs as ordinary PyTorch.

    Attributes:
        module: takes the row tensors, then the named tensors; returns a tuple.
        rows: what the row tensors [N, ...] are: ("x", 0), ("input", i), ("emit", i), or, after
            the step, ("state", i).
        names: parameters, buffers and constants that it takes.
        identity: it returns the named tensors as they are.
    """

    module: fx.GraphModule
    rows: tuple[tuple[str, int], ...]
    names: tuple[str, ...]
    identity: bool = False

    def __call__(self, rows: Sequence[Tensor], tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        named = tuple(tensors[name] for name in self.names)
        if self.identity:
            return named
        result: tuple[Tensor, ...] = self.module(*rows, *named)
        return result


@dataclass(frozen=True)
class Recurrence:
    """A cell in its parts: `static` once, `before` and `after` over all steps, `program` by step.

    Attributes:
        program: the step.
        static: makes the static tensors of parameters and buffers.
        before: makes the input sequences of x; None where x itself is the one input sequence.
        after: makes the output of what the steps leave; None where `output` names that directly.
        output: ("state", i) for a new state, ("emit", i), or ("after", 0).
        constants: tensors that the cell made of numbers in its forward.
        state_names: as the arguments of the cell's forward.
        static_names: where each static tensor comes from.
        input_names: likewise.
        names: variables of the source that stand for a node.
        output_shape: shape of one row of the output.
        kept: of a `Keeper`: for each label where the value is found, ("state", i) or ("emit", i);
            None where nothing of the step tells it.
    """

    program: Program
    static: Part
    before: Part | None
    after: Part | None
    output: tuple[str, int]
    constants: Mapping[str, Tensor]
    state_names: tuple[str, ...]
    static_names: tuple[str, ...]
    input_names: tuple[str, ...]
    output_shape: tuple[int, ...]
    names: Mapping[Node, str] = field(default_factory=dict)
    kept: Mapping[Label, tuple[str, int] | None] = field(default_factory=dict)

    def tensors(
        self, cell: nn.Module, replaced: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Every tensor that the parts may ask for, by name."""
        found: dict[str, Tensor] = dict(self.constants)
        found.update(cell.named_parameters(remove_duplicate=False))
        found.update(cell.named_buffers(remove_duplicate=False))
        for name, tensor in (replaced or {}).items():
            old = found[name]
            found.update(dict.fromkeys((n for n, t in found.items() if t is old), tensor))
        return found

    def statics(
        self, cell: nn.Module, replaced: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, ...]:
        """The static tensors of a cell, differentiable in its parameters."""
        return self.static((), self.tensors(cell, replaced))

    def key(self) -> str:
        """A hash of the step's structure and widths, the same in every process."""
        return hashlib.sha256(spell(self.program).encode()).hexdigest()


def spell(program: Program) -> str:
    """A step as a text, the same in every process."""
    roots = (*program.new_states, *program.emits)
    numbers: dict[Node, int] = {}
    words = [repr((program.inputs, program.statics, program.states, len(program.emits)))]
    for node in walk_nodes(roots):
        numbers[node] = len(numbers)
        words.append(repr((node.op, node.width, node.data, [numbers[arg] for arg in node.args])))
    words.append(repr([numbers[root] for root in roots]))
    words += [repr(program.limits)] if any(program.limits) else []
    return "\n".join(words)
