"""The reference engine: the cell itself, called once a step.

Slow, plain, and what all others must equal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.engine.calls import Call, State, Walk, split_result

__all__ = ["walk"]


def walk(call: Call) -> Walk:
    """Walk the sequence in Python, one call of the cell a step."""
    if call.parameters is None:
        return _loop(call.cell, call)
    # a functional call of the whole loop, not of each step: the exchange of parameters costs once
    wrapped = {f"cell.{name}": value for name, value in call.parameters.items()}
    result: Walk = torch.func.functional_call(_Loop(call.cell), wrapped, (call,))
    return result


class _Loop(nn.Module):
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, call: Call) -> Walk:
        return _loop(self.cell, call)


def _loop(cell: nn.Module, call: Call) -> Walk:
    T = call.x.shape[0]
    state = call.state
    outputs: list[Tensor] = []
    history: list[State] = []
    alive = None if call.lengths is None else _alive(call.lengths, T)
    # padding may hold anything, NaN too, and a NaN passes through the gradient of `where`
    x = call.x if alive is None else call.x.masked_fill(~alive[:, :, None], 0)
    inputs = x.unbind(0)
    # a mark in the padding is no step's, and must leave the last valid state alone
    reset = call.reset if call.reset is None or alive is None else call.reset & alive
    for t in reversed(range(T)) if call.reverse else range(T):
        if reset is not None:
            assert call.reset_state is not None
            state = _where(reset[t], call.reset_state, state)
        if alive is None:
            output, state = split_result(cell(inputs[t], *state), len(state))
            kept = state
        else:
            output, new = split_result(cell(inputs[t], *state), len(state))
            state = _where(alive[t], new, state)
            output = _zero_unless(alive[t], output)
            kept = tuple(_zero_unless(alive[t], part) for part in state)
        outputs.append(output)
        if call.all_states:
            history.append(kept)
    if call.reverse:
        outputs.reverse()
        history.reverse()
    if not outputs:
        return _empty(cell, call)
    states = tuple(torch.stack(part) for part in zip(*history, strict=True))
    return Walk(torch.stack(outputs), state, states if call.all_states else None)


def _alive(lengths: Tensor, T: int) -> Tensor:
    steps = torch.arange(T, device=lengths.device)
    return steps[:, None] < lengths[None, :]


def _where(mask: Tensor, yes: State, no: State) -> State:
    return tuple(torch.where(mask[:, None], a, b) for a, b in zip(yes, no, strict=True))


def _zero_unless(mask: Tensor, value: Tensor) -> Tensor:
    return torch.where(
        mask[:, None], value, torch.zeros((), dtype=value.dtype, device=value.device)
    )


def _empty(cell: nn.Module, call: Call) -> Walk:
    # no step to take: one call on zeros tells the width and type of the output
    with torch.no_grad():
        zero = call.x.new_zeros(call.x.shape[1:])
        output, _ = split_result(cell(zero, *call.state), len(call.state))
    states = tuple(part.new_zeros(0, *part.shape) for part in call.state)
    return Walk(output.new_zeros(0, *output.shape), call.state, states if call.all_states else None)
