"""All steps of a walk taken again, side by side: what each cell computed on the way.

The states of all steps are known from the walk, which ran at full speed. So no step has to wait
for the one before: one call of the cell on the rows of all steps gives every gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ostinato.engine import Call, State
from ostinato.layers.shapes import within
from ostinato.layers.tracing.selection import Selection, numbers
from ostinato.layers.tracing.watch import Named, watched_step
from ostinato.layers.wrapper import Wrapper

__all__ = ["Recorded", "Walked", "innermost", "old_states", "record"]

# numbers in the widest tensor of a block: few enough for the caches, enough for large products
_BLOCK = 1 << 19
# the same where everything is kept
_WHOLE = 1 << 25
# rows of a block that are held against the walk: a cell that cannot be asked again is off in all
_LOOKED_AT = 128


@dataclass(frozen=True)
class Walked:
    """A walk that has been made.

    Attributes:
        call: as the engine had it, wrappers around the cell included.
        states: at every step, each [T, B, S]; those of wrappers last.
        names: of the cell's own states.
        random: state of torch's random numbers before the walk.
        adjoints: d loss / d what a step hands on, [T, B, ...]: for each of the cell's own states,
            then for the output if that is none of them; None: not asked for.
    """

    call: Call
    states: State
    names: tuple[str, ...]
    random: Tensor
    adjoints: State | None = None


@dataclass
class Recorded:
    """A name with all that was recorded of it, [T, B, units]."""

    kind: str
    function: str
    units: Tensor
    values: Tensor
    gradients: Tensor | None = None


@dataclass(frozen=True)
class _Block:
    """Some steps of some rows, and where they go; None: nowhere, they are on the way only."""

    steps: Tensor
    rows: Tensor
    place: slice | None

    @property
    def size(self) -> int:
        return len(self.steps) * len(self.rows)

    def cut(self, whole: Tensor) -> Tensor:
        """These of [T, B, ...], one after the other."""
        first, last = int(self.steps[0]), int(self.steps[-1])
        if last - first + 1 == len(self.steps):
            part = whole[first : last + 1]
        else:
            part = whole[self.steps.to(whole.device)]
        if not torch.equal(self.rows, torch.arange(whole.shape[1])):
            part = part[:, self.rows.to(whole.device)]
        return part.reshape(-1, *whole.shape[2:])


def innermost(cell: nn.Module) -> nn.Module:
    """The cell inside all wrappers."""
    while isinstance(cell, Wrapper):
        cell = cell.cell
    return cell


def old_states(call: Call, states: State) -> State:
    """What each step began from, each [T, B, S]; at steps of padding it means nothing."""
    fresh = call.reset_state or (None,) * len(states)
    return tuple(map(_old, [call] * len(states), states, call.state, fresh))


def _old(call: Call, states: Tensor, first: Tensor, fresh: Tensor | None) -> Tensor:
    first = first.to(states).expand(states.shape[1:])
    if call.reverse:
        old = torch.cat([states[1:], first[None]])
        if call.lengths is not None:
            # a row's walk begins at its own last step
            rows = call.lengths.nonzero()[:, 0]
            old[call.lengths[rows] - 1, rows] = first[rows]
    else:
        old = torch.cat([first[None], states[:-1]])
    if call.reset is not None and fresh is not None:
        old = torch.where(call.reset[:, :, None], fresh.to(old), old)
    return old


def record(walked: Walked, selection: Selection) -> dict[str, Recorded]:
    """What was asked for of a walk, by name.

    Raises:
        RuntimeError: the cell, asked again, does not give the states that were seen.
    """
    recorder = _Recorder(walked, selection)
    if not recorder.deep:
        return recorder.states()
    if recorder.take(recorder.blocks()):
        return recorder.found
    # rows that hear each other, or random numbers drawn inside the cell: step by step, as it was
    recorder = _Recorder(walked, selection)
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(walked.random)
        if recorder.take(recorder.single_steps()):
            return recorder.found
    raise RuntimeError(
        f"trace: {type(innermost(walked.call.cell)).__name__}, called again with the same input "
        "and state, does not give the same new state, so its gates cannot be told. Ask for states "
        'alone: only=["state"].'
    )


class _Recorder:
    """Takes the steps of a walk again and keeps what is asked for."""

    def __init__(self, walked: Walked, selection: Selection) -> None:
        call = walked.call
        T, B = call.x.shape[:2]
        self.walked, self.selection = walked, selection
        self.found: dict[str, Recorded] = {}
        self.chosen_steps = numbers("steps", selection.steps, T, "the walk has")
        self.chosen_rows = numbers("rows", selection.rows, B, "the batch has")
        self.deep = walked.adjoints is not None or selection.beyond(walked.names)
        self.alive = None if call.lengths is None else within(call.lengths, T)
        x = call.x.detach()
        self.x = x if self.alive is None else x.masked_fill(~self.alive[:, :, None], 0)

    # which steps

    def blocks(self) -> Iterator[_Block]:
        """All that is asked for, in as few blocks as memory allows."""
        widest = max([self.x.shape[-1], *(4 * part.shape[-1] for part in self.walked.states)])
        # what is kept as it comes needs no second place
        most = _WHOLE if self.selection.only is None else _BLOCK
        many = max(1, most // max(1, widest * len(self.chosen_rows)))
        for start in range(0, len(self.chosen_steps), many):
            place = slice(start, min(start + many, len(self.chosen_steps)))
            yield _Block(self.chosen_steps[place], self.chosen_rows, place)

    def single_steps(self) -> Iterator[_Block]:
        """All steps of all rows, in the order of the walk."""
        T, B = self.x.shape[:2]
        places = {int(step): place for place, step in enumerate(self.chosen_steps)}
        for t in reversed(range(T)) if self.walked.call.reverse else range(T):
            place = places.get(t)
            kept = None if place is None else slice(place, place + 1)
            yield _Block(torch.tensor([t]), torch.arange(B), kept)

    # what they give

    def states(self) -> dict[str, Recorded]:
        """The states alone, which need no step to be taken again."""
        whole = _Block(self.chosen_steps, self.chosen_rows, slice(0, len(self.chosen_steps)))
        for name, part in zip(self.walked.names, self.walked.states, strict=False):
            if self.selection.wants(name, "state"):
                self._keep(whole, Named(name, "state", "", whole.cut(part.detach())), None)
        return self.found

    def take(self, blocks: Iterator[_Block]) -> bool:
        """Take all steps again; False where the states are not those that were seen."""
        self.old = old_states(self.walked.call, tuple(p.detach() for p in self.walked.states))
        replaced = self._replaced()
        for block in blocks:
            output, new, named, spare = self._step(block, replaced)
            seen = [block.cut(part.detach()) for part in self.walked.states]
            alive = None if self.alive is None else block.cut(self.alive)
            pairs = zip(new, seen, strict=True)
            if not all(_same(part[: block.size], known, alive) for part, known in pairs):
                return False
            if block.place is None:
                continue
            wanted = [one for one in named if self.selection.wants(one.name, one.kind)]
            known = dict(zip(self.walked.names, seen, strict=False))
            gradients = self._gradients(block, output, new, wanted, spare)
            for one, gradient in zip(wanted, gradients, strict=True):
                if one.kind == "state":
                    # as it was, to the last bit
                    one = Named(one.name, one.kind, one.function, known[one.name])
                self._keep(block, one, gradient)
        return True

    def _replaced(self) -> dict[str, Tensor]:
        """Parameters of the call, and copies of buffers, which a cell may write to."""
        call = self.walked.call
        buffers = {name: part.clone() for name, part in call.cell.named_buffers()}
        return {**{n: part.detach() for n, part in (call.parameters or {}).items()}, **buffers}

    def _step(
        self, block: _Block, replaced: dict[str, Tensor]
    ) -> tuple[Tensor, State, list[Named], int]:
        call, graded = self.walked.call, self.walked.adjoints is not None
        x, *old = (block.cut(part) for part in (self.x, *self.old))
        # among as many rows as a matrix has, the matrix could not be told from a gate
        spare = _spare(call, block.size) if len(block.steps) > 1 else 0
        if spare:
            x, *old = (torch.cat([part, part[-1:].expand(spare, -1)]) for part in (x, *old))
        if graded:
            x, *old = (part.detach().requires_grad_() for part in (x, *old))
        with torch.set_grad_enabled(graded):
            watched = _Watched(call.cell, self.walked.names)
            prefixed = {f"cell.{name}": value for name, value in replaced.items()}
            output, new, named = functional_call(watched, prefixed, (x, tuple(old)))
        return output, new, named, spare

    def _gradients(
        self, block: _Block, output: Tensor, new: State, named: Sequence[Named], spare: int
    ) -> Sequence[Tensor | None]:
        """D loss / d each of `named`, from what the loss makes of states and output."""
        adjoints = self.walked.adjoints
        if adjoints is None or not named:
            return [None] * len(named)
        ends = [*new[: len(self.walked.names)], output]
        handed = [
            _with_zeros(block.cut(part), spare).to(end)
            for end, part in zip(ends, adjoints, strict=False)
        ]
        known = dict(zip(self.walked.names, handed, strict=False))
        pairs = [(e, part) for e, part in zip(ends, handed, strict=False) if e.requires_grad]
        # a state that is handed on as it was is no function of this step
        inside = [one.tensor for one in named if one.tensor.grad_fn is not None]
        found: Iterator[Tensor] = iter(())
        if pairs and inside:
            tensors, outer = zip(*pairs, strict=True)
            found = iter(
                torch.autograd.grad(
                    tensors, inside, outer, allow_unused=True, materialize_grads=True
                )
            )
        return [
            next(found)
            if one.tensor.grad_fn is not None
            else known.get(one.name, torch.zeros_like(one.tensor, dtype=self.x.dtype))
            for one in named
        ]

    # where it goes

    def _keep(self, block: _Block, one: Named, gradient: Tensor | None) -> None:
        values = self._shaped(block, one.tensor)
        flat = None if gradient is None else self._shaped(block, gradient)
        if one.name not in self.found:
            units = self.selection.units_of(one.name, values.shape[-1])
            shape = (len(self.chosen_steps), len(self.chosen_rows), len(units))
            if values.shape == shape and self.selection.only is None:
                whole = values.cpu(), None if flat is None else flat.cpu()
                self.found[one.name] = Recorded(one.kind, one.function, units, *whole)
                return
            self.found[one.name] = Recorded(
                one.kind,
                one.function,
                units,
                torch.empty(shape, dtype=values.dtype),
                None if flat is None else torch.empty(shape, dtype=flat.dtype),
            )
        kept = self.found[one.name]
        kept.values[block.place] = _some(values, kept.units)
        if flat is not None and kept.gradients is not None:
            kept.gradients[block.place] = _some(flat, kept.units)

    def _shaped(self, block: _Block, value: Tensor) -> Tensor:
        """[steps, rows, units] of the rows that are asked for, zeros for padding."""
        flat = value.detach()[: block.size].reshape(block.size, -1)
        if self.alive is not None:
            flat = flat.masked_fill(~block.cut(self.alive)[:, None], 0)
        shaped = flat.view(len(block.steps), len(block.rows), -1)
        if len(block.rows) != len(self.chosen_rows) or block.rows is not self.chosen_rows:
            # a single step has all rows
            shaped = shaped[:, self.chosen_rows.to(shaped.device)]
        return shaped


class _Watched(nn.Module):
    """A watched step as a module, so that parameters can be replaced in it."""

    def __init__(self, cell: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.cell = cell
        self.names = names

    def forward(self, x: Tensor, old: State) -> tuple[Tensor, State, list[Named]]:
        return watched_step(self.cell, innermost(self.cell), x, old, self.names)


def _spare(call: Call, rows: int) -> int:
    parts = [*call.cell.parameters(), *call.cell.buffers(), *(call.parameters or {}).values()]
    taken = {part.shape[0] for part in parts if part.dim()}
    spare = 0
    while rows + spare in taken:
        spare += 1
    return spare


def _with_zeros(rows: Tensor, spare: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(spare, rows.shape[-1])]) if spare else rows


def _some(values: Tensor, units: Tensor) -> Tensor:
    """Some units of [..., units]; all of them without a copy."""
    if len(units) == values.shape[-1] and torch.equal(units, torch.arange(len(units))):
        return values
    return values[..., units.to(values.device)]


def _same(new: Tensor, seen: Tensor, alive: Tensor | None) -> bool:
    """Whether steps gave what the walk gave, but for rounding: by some rows of each block."""
    some = slice(None, None, max(1, len(seen) // _LOOKED_AT))
    new, seen = new[some], seen[some]
    if alive is not None:
        new, seen = new[alive[some]], seen[alive[some]]
    loose = 1e-6 if new.dtype == torch.float64 else 2e-3
    return torch.allclose(new.detach(), seen.to(new), rtol=loose, atol=loose, equal_nan=True)
