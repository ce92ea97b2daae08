"""The engine that is parallel in time: a sequence by scans, where the cell's states allow it.

See `affine` for which do, `associative` for the scan and `newton` for states that are not affine.
All is ordinary PyTorch, on any device.
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ostinato.engine.affine import Block, Plan, plan_of
from ostinato.engine.associative import scan
from ostinato.engine.calls import Call, State, Walk
from ostinato.engine.expressions import LEAVES, Node
from ostinato.engine.fused import EngineWarning, recurrence_of
from ostinato.engine.interpret import evaluate
from ostinato.engine.newton import ITERATIONS, fixed_point, implicit
from ostinato.engine.recurrence import NotFusable, Recurrence
from ostinato.engine.trace import compiling

__all__ = ["how", "walk"]

# with fewer steps than this a loop is as quick
_FEW = 16
_UNSETTLED = f"Newton's iteration did not settle in {ITERATIONS} rounds"


def how(recurrence: Recurrence) -> str:
    """Whether and how a cell's states can be had for all steps at once, in a line."""
    names = recurrence.state_names
    plan = plan_of(recurrence.program, names)
    if isinstance(plan, str):
        return f"no: {plan}"
    ways = [
        (plan.states_by(affine=True), "by a scan"),
        (plan.states_by(affine=False), f"by Newton's iteration, walked if {ITERATIONS} fall short"),
    ]
    told = [f"{', '.join(names[i] for i in found)} {way}" for found, way in ways if found]
    return f"yes: {'; '.join(told) or 'no state hears its own past'}"


def walk(call: Call, *, forced: bool = True) -> Walk | None:
    """Find all steps at once, or return None where that cannot be.

    Args:
        call: the walk. Tensors that no compiled engine takes either (other types, transforms) are
            left to the reference.
        forced: do it wherever it can be done, and say in one `EngineWarning` why it cannot; else
            only where it was measured to be quicker than the cell called step by step.
    """
    if not _fits(call) or not (forced or len(call.x) >= _FEW):
        return None
    kind = call.x.device.type
    if torch.is_autocast_enabled(kind):
        with torch.autocast(kind, enabled=False):
            return walk(_widened(call), forced=forced)
    found = recurrence_of(call.cell, call.x, call.state)
    if isinstance(found, NotFusable):
        return None
    plan = plan_of(found.program, found.state_names)
    if isinstance(plan, str):
        if forced:
            _warn(call.cell, f"it cannot be scanned, {plan}")
        return None
    statics = found.statics(call.cell, call.parameters)
    if any(s.dtype != call.x.dtype or s.device != call.x.device for s in statics):
        return None
    if not forced and not (_quicker(call, plan) and _UNSETTLED not in _told.get(call.cell, ())):
        return None
    sweep = _Sweep(call, found, plan, statics)
    if not sweep.solve():
        _warn(call.cell, _UNSETTLED)
        return None
    return sweep.result()


def _quicker(call: Call, plan: Plan) -> bool:
    """Whether it beats the cell called step by step; `benchmarks/scan.py` shows where it does."""
    numbers = call.state[0].shape[0] * sum(part.shape[1] for part in call.state)
    newton = bool(plan.states_by(affine=False))
    if call.x.device.type != "cpu":
        # there a step costs its launches, some dozens in all here, some for every step there
        return not newton
    if newton:
        return len(call.x) >= 1000 and numbers <= 64
    return numbers <= 4096


def _fits(call: Call) -> bool:
    """Whether the tensors are of a kind that this engine takes."""
    if compiling() or torch._C._are_functorch_transforms_active():
        return False
    tensors, device = (call.x, *call.state), call.x.device
    plain = all(type(t) in (Tensor, nn.Parameter) and t.device == device for t in tensors)
    if not plain or call.x.dim() != 3 or call.x.numel() == 0:
        return False
    if torch.is_autocast_enabled(device.type):
        return all(t.is_floating_point() for t in tensors)
    dtype = call.x.dtype
    return dtype in (torch.float32, torch.float64) and all(t.dtype == dtype for t in call.state)


def _widened(call: Call) -> Call:
    """The call in float32, whatever autocast made of its tensors."""

    def wide(state: State) -> State:
        return tuple(part.float() for part in state)

    fresh = call.reset_state
    return replace(
        call,
        x=call.x.float(),
        state=wide(call.state),
        reset_state=None if fresh is None else wide(fresh),
    )


_told: weakref.WeakKeyDictionary[nn.Module, set[str]] = weakref.WeakKeyDictionary()


def _warn(cell: nn.Module, reason: str) -> None:
    told = _told.setdefault(cell, set())
    if reason not in told:
        told.add(reason)
        warnings.warn(
            f"{type(cell).__name__} is walked step by step: {reason}. See ostinato.explain(cell).",
            EngineWarning,
            stacklevel=4,
        )


@dataclass(frozen=True)
class _Masks:
    """What is the same for every state of a walk.

    Attributes:
        reverse: from the last step to the first.
        alive: [T, B, 1], False in the padding, where a step changes nothing; None for all True.
        reset: [T, B, 1], True where a state is forgotten before the step; None for all False.
    """

    reverse: bool
    alive: Tensor | None
    reset: Tensor | None

    @staticmethod
    def of(call: Call) -> _Masks:
        alive = reset = None
        if call.lengths is not None:
            steps = torch.arange(len(call.x), device=call.x.device)
            alive = (steps[:, None] < call.lengths[None, :])[:, :, None]
        if call.reset is not None:
            reset = call.reset[:, :, None].to(torch.bool)
            # a mark in the padding is no step's
            reset = reset if alive is None else reset & alive
        return _Masks(call.reverse, alive, reset)

    def before(self, states: Tensor, start: Tensor, fresh: Tensor | None) -> Tensor:
        """The state before each step, given that after each."""
        edge = start[None]
        old = torch.cat([states[1:], edge] if self.reverse else [edge, states[:-1]])
        return old if self.reset is None or fresh is None else torch.where(self.reset, fresh, old)

    def zero_padding(self, values: Tensor) -> Tensor:
        """[T, B, ...] with zeros where no step is."""
        if self.alive is None:
            return values
        alive = self.alive.reshape(*self.alive.shape[:2], *(1,) * (values.dim() - 2))
        return torch.where(alive, values, values.new_zeros(()))


@dataclass(frozen=True)
class _Own:
    """The equation of one state that is not affine; see `newton.Equation`.

    Its tensors: start, state after a reset (or the start again), inputs, statics, old states.
    """

    block: Block
    masks: _Masks
    inputs: int
    statics: int

    @property
    def reverse(self) -> bool:
        return self.masks.reverse

    def before(self, states: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        return self.masks.before(states, tensors[0], tensors[1])

    def step(self, old: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        a, b = 2 + self.inputs, 2 + self.inputs + self.statics
        states = list(tensors[b:])
        states[self.block.state] = old.flatten(0, 1)
        leaves = {"input": tensors[2:a], "vector": tensors[a:b], "state": states}
        slope_node = self.block.slope
        assert slope_node is not None
        found = evaluate((self.block.value, slope_node), leaves)
        made, slope = (_steps(found[node], old) for node in (self.block.value, slope_node))
        masks = self.masks
        if masks.alive is not None:
            made = torch.where(masks.alive, made, old)
            slope = torch.where(masks.alive, slope, slope.new_ones(()))
        if masks.reset is not None:
            slope = torch.where(masks.reset, slope.new_zeros(()), slope)
        return made, slope


def _steps(rows: Tensor, like: Tensor) -> Tensor:
    """[T * B, S], or broadcastable to it, as [T, B, S]."""
    T, B, S = like.shape
    return rows.expand(T * B, S).view(T, B, S)


class _Sweep:
    """One call on its way through the scans."""

    def __init__(
        self, call: Call, found: Recurrence, plan: Plan, statics: Sequence[Tensor]
    ) -> None:
        self.call, self.found, self.plan, self.statics = call, found, plan, statics
        self.T, self.B = call.x.shape[:2]
        self.masks = _Masks.of(call)
        # padding may hold anything, NaN too
        self.rows = self.masks.zero_padding(call.x).flatten(0, 1)
        inputs = [self.rows] if found.before is None else found.before([self.rows], self.tensors)
        self.inputs = [part.reshape(self.T * self.B, -1) for part in inputs]
        count = len(plan.pieces)
        blank = self.rows[:, :0]
        # what blocks find, as the sequences of rows that later ones read
        self.new, self.old = [blank] * count, [blank] * count
        self.states: list[Tensor] = [blank] * count
        self.start = self._pieces(call.state)
        self.fresh = None if call.reset_state is None else self._pieces(call.reset_state)

    @functools.cached_property
    def tensors(self) -> dict[str, Tensor]:
        return self.found.tensors(self.call.cell, self.call.parameters)

    def _pieces(self, state: State) -> list[Tensor]:
        widths = self.plan.program.states
        return [
            state[i][:, a : a + width]
            for (i, a), width in zip(self.plan.pieces, widths, strict=True)
        ]

    def _fresh(self, k: int) -> Tensor:
        return self.start[k] if self.fresh is None else self.fresh[k]

    def _evaluate(self, nodes: Sequence[Node]) -> list[Tensor]:
        leaves = {
            "input": [*self.inputs, *self.new],
            "vector": self.statics,
            "state": self.old,
        }
        found = evaluate(nodes, leaves)
        return [found[node].expand(self.T * self.B, node.width) for node in nodes]

    def _steps(self, rows: Tensor, k: int) -> Tensor:
        """[T, B, S] of what is known of state k for all rows; a number may stand for its units."""
        width = self.plan.program.states[k]
        return rows.expand(-1, width).view(self.T, self.B, width)

    def solve(self) -> bool:
        """Find the states; False where one cannot be found."""
        for block in self.plan.blocks:
            k = block.state
            states = self._states(block)
            if states is None:
                return False
            self.states[k] = states
            self.new[k] = states.flatten(0, 1)
            if k in self.plan.recalled:
                old = self.masks.before(states, self.start[k], self._fresh(k))
                self.old[k] = old.flatten(0, 1)
        return True

    def _states(self, block: Block) -> Tensor | None:
        if not block.affine:
            return self._newton(block)
        if block.value.op == "state" and block.slope is not None and self.masks.reset is None:
            # a state that stays as it is
            return self.start[block.state].expand(self.T, -1, -1)
        return self._affine(block)

    def _affine(self, block: Block) -> Tensor:
        masks, assumed = self.masks, block.offset
        assert assumed is not None
        if block.slope is None:
            (b,) = self._evaluate([assumed])
            if masks.alive is None:
                # what is given goes on, but not by the same name
                return self._steps(b.clone() if assumed.op in LEAVES else b, block.state)
            a = b.new_zeros(()).expand(b.shape)
        else:
            a, b = self._evaluate([block.slope, assumed])
        a, b = self._steps(a, block.state), self._steps(b, block.state)
        if masks.reset is not None:
            b = torch.where(masks.reset, torch.addcmul(b, a, self._fresh(block.state)), b)
            a = torch.where(masks.reset, a.new_zeros(()), a)
        if masks.alive is not None:
            a = torch.where(masks.alive, a, a.new_ones(()))
            b = torch.where(masks.alive, b, b.new_zeros(()))
        return scan(a, b, self.start[block.state], reverse=masks.reverse)

    def _newton(self, block: Block) -> Tensor | None:
        k, inputs = block.state, [*self.inputs, *self.new]
        equation = _Own(block, self.masks, len(inputs), len(self.statics))
        start, fresh = self.start[k], self._fresh(k)
        tensors = [start, fresh, *inputs, *self.statics, *self.old]
        guess = start.new_zeros(self.T, self.B, start.shape[1])
        solution, _ = fixed_point(equation, guess, tensors)
        return None if solution is None else implicit(equation, solution, tensors)

    def result(self) -> Walk:
        """The walk, once the states are found."""
        last = 0 if self.masks.reverse else -1
        # copies, or who keeps the last state would keep them all
        final = self._whole([states[last].clone() for states in self.states])
        states = tuple(map(self.masks.zero_padding, self._whole(self.states)))
        output = self._output().reshape(self.T, self.B, *self.found.output_shape)
        return Walk(
            self.masks.zero_padding(output), final, states if self.call.all_states else None
        )

    def _whole(self, pieces: Sequence[Tensor]) -> State:
        """States of the cell from their pieces."""
        owners = [i for i, _ in self.plan.pieces]
        parts = [
            [piece for piece, owner in zip(pieces, owners, strict=True) if owner == i]
            for i in range(len(self.call.state))
        ]
        return tuple(part[0] if len(part) == 1 else torch.cat(part, -1) for part in parts)

    def _output(self) -> Tensor:
        sequences = [part.flatten(0, 1) for part in self._whole(self.states)]
        emits = self._evaluate(self.plan.emits) if self.plan.emits else []
        kinds = {"x": [self.rows], "input": self.inputs, "emit": emits, "state": sequences}
        after = self.found.after
        if after is None:
            kind, index = self.found.output
            return kinds[kind][index]
        return after([kinds[kind][index] for kind, index in after.rows], self.tensors)[0]
