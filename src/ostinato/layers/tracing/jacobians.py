"""How the new state of a step depends on the old one: the Jacobian, at some steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from ostinato.engine import split_result
from ostinato.layers.tracing.hear import Heard
from ostinato.layers.tracing.steps import old_states

__all__ = ["Jacobian", "jacobians"]


@dataclass(frozen=True)
class Jacobian:
    """D new state / d old state of one step of one row.

    Attributes:
        layer, direction: which cell.
        step, row: where.
        matrix: float64 [S, S], rows of the new state, columns of the old one, the states of the
            cell one after the other.
    """

    layer: str
    direction: int
    step: int
    row: int
    matrix: Tensor


def jacobians(heard: Heard, places: Sequence[tuple[int, int]]) -> list[Jacobian]:
    """The Jacobians of a walk at some places (step, row); a step of padding has none.

    One call of the cell a place: all its rows are the same, and each asks for another unit.
    """
    call, count = heard.call, len(heard.names)
    old = old_states(call, heard.states)
    lengths = None if call.lengths is None else call.lengths.tolist()
    widths = [part.shape[-1] for part in old[:count]]
    found = []
    for step, row in places:
        if lengths is not None and step >= lengths[row]:
            continue
        total = sum(widths)
        x = call.x[step, row].detach().expand(total, -1)
        state = [part[step, row].detach().expand(total, -1) for part in old]
        inner = [part.clone().requires_grad_() for part in state[:count]]
        with torch.enable_grad():
            result = _called(heard, (x, *inner, *state[count:]))
            new = split_result(result, len(old))[1][:count]
            asked = torch.split(torch.eye(total, dtype=x.dtype, device=x.device), widths, dim=1)
            ends = [(end, part) for end, part in zip(new, asked, strict=True) if end.requires_grad]
            parts = torch.autograd.grad(
                [end for end, _ in ends],
                inner,
                [part for _, part in ends],
                allow_unused=True,
                materialize_grads=True,
            )
        matrix = torch.cat(parts, dim=1).double().cpu()
        found.append(Jacobian(heard.layer, heard.direction, step, row, matrix))
    return found


def _called(heard: Heard, given: tuple[Tensor, ...]) -> object:
    call = heard.call
    buffers = {name: part.clone() for name, part in call.cell.named_buffers()}
    replaced = {name: part.detach() for name, part in (call.parameters or {}).items()}
    return functional_call(call.cell, {**replaced, **buffers}, given)
