"""A cell's step as torch exports it, and what no part of a step may do."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export

from ostinato.engine.calls import Label, State, split_kept
from ostinato.engine.recurrence import NotFusable
from ostinato.engine.sources import error_line, source_line
from ostinato.engine.tracer import operator_name

__all__ = ["exported_step"]


def exported_step(
    cell: nn.Module, x: Tensor, state: State
) -> tuple[ExportedProgram, dict[Label, bool]]:
    """Export (output, *new states, *what is kept) as a function of x and states.

    Args:
        cell: maps (x, *state) to the new state.
        x: an example of one step's input, [B, I]; only its type and width count.
        state: likewise for each state, [B, S].

    Returns:
        The program; and what a `Keeper` keeps, by label: whether it is among the results.

    Raises:
        NotFusable: torch cannot export it, or a step does what no part of a step may do.
    """
    labels: dict[Label, bool] = {}
    exported = _export(_Normal(cell, labels.update), x, state)
    _refuse(exported)
    return exported, labels


class _Normal(nn.Module):
    """A cell whose result has the one form (output, *states, *kept)."""

    def __init__(self, cell: nn.Module, note: Callable[[Iterable[tuple[Label, bool]]], None]):
        super().__init__()
        self.cell = cell
        self._note = note

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, ...]:
        output, new, kept = split_kept(self.cell(x, *state), len(state))
        self._note((label, value is not None) for label, value in kept.items())
        return (output, *new, *(value for value in kept.values() if value is not None))


def _export(cell: nn.Module, x: Tensor, state: State) -> ExportedProgram:
    batch = Dim("batch", min=2)
    example = tuple(part.new_zeros(5, *part.shape[1:]) for part in (x, *state))
    shapes = ({0: batch}, tuple({0: batch} for _ in state))
    arguments = (example[0], example[1:])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = export(cell, arguments, dynamic_shapes=shapes, strict=False)
            # operations in place have to become new values
            return exported.run_decompositions({}) if _writes(exported) else exported
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().split(chr(10))[0]}"
        raise NotFusable("torch.export", error_line(error), reason) from error


def _writes(exported: ExportedProgram) -> bool:
    for node in exported.graph.nodes:
        overload = isinstance(node.target, torch._ops.OpOverload)
        # a tensor made of numbers is detached in place, which writes nothing
        if overload and node.target._schema.is_mutable and operator_name(node) != "detach_":
            return True
    return False


def _refuse(exported: ExportedProgram) -> None:
    """What no part of a cell may do."""
    changed = list(exported.graph_signature.buffers_to_mutate.values())
    if changed:
        raise NotFusable("buffer", "", f"the cell changes {changed[0]!r} at every step")
    for name, tensor in exported.constants.items():
        if isinstance(tensor, Tensor) and tensor.requires_grad:
            reason = f"{name} needs a gradient but is no parameter; make it an nn.Parameter"
            raise NotFusable("tensor", "", reason)
    for node in exported.graph.nodes:
        if node.op == "call_function":
            _refuse_operation(node)


def _refuse_operation(node: fx.Node) -> None:
    name = operator_name(node)
    if not isinstance(node.target, torch._ops.OpOverload):
        pure = getattr(operator, name, None) is node.target
        if not pure and not node.users:
            raise NotFusable(name, source_line(node), "it acts on more than its result")
        return
    draws = torch.Tag.nondeterministic_seeded in node.target.tags or name.endswith("dropout")
    if draws and not (name.endswith("dropout") and not (node.args[1] and node.args[2])):
        raise NotFusable(name, source_line(node), "it draws random numbers at every step")
