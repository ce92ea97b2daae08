"""From sequences to the rows that a readout learns from."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.engine import Call
from ostinato.layers.recurrent import Recurrent
from ostinato.reservoirs import fast
from ostinato.reservoirs.cell import ReservoirCell
from ostinato.reservoirs.equations import NormalEquations
from ostinato.reservoirs.layer import Reservoir
from ostinato.reservoirs.readouts import Readout, Ridge
from ostinato.reservoirs.segments import Segments
from ostinato.reservoirs.sparse import Rows

__all__ = ["Gatherer"]

# steps whose states are held at a time
_CHUNK = 1024


class Gatherer:
    """Walks a reservoir over sequences and says what its readout sees.

    Args:
        reservoir: its layers.
        direct: whether the readout sees the inputs, too.
        noise: added to what each unit hears while it learns: U(-noise, noise).
        seed: of the noise.
    """

    def __init__(self, reservoir: Reservoir, *, direct: bool, noise: float, seed: int) -> None:
        self.reservoir, self.direct, self.noise = reservoir, direct, noise
        self._generator = torch.Generator().manual_seed(seed)
        self._noisy: list[Recurrent] = []
        if noise:
            self._noisy = [Recurrent(_Noisy(cell)) for cell in reservoir.units]

    @property
    def features(self) -> int:
        """F: the states of all layers and directions, and the inputs if they are seen."""
        cell = self.reservoir.units[0]
        inputs = cell.input_size if self.direct else 0
        return cell.hidden_size * len(self.reservoir.cells) + inputs

    @property
    def noise_state(self) -> Tensor:
        """Where the generator of the noise stands."""
        return self._generator.get_state()

    @noise_state.setter
    def noise_state(self, state: Tensor) -> None:
        self._generator.set_state(state)

    def fresh(self, rows: int) -> list[Tensor]:
        """Zero states [B, H], cell by cell."""
        return [cell.initial_state(rows)[0] for cell in self.reservoir.units]

    @torch.no_grad()
    def chunks(
        self, x: Tensor, states: list[Tensor], *, noisy: bool = False
    ) -> Iterator[tuple[int, Tensor]]:
        """Features [n, B, F] of x [T, B, I], some steps at a time; changes `states` as it goes."""
        # the second direction begins at the end, so that nothing can be done before all is there
        size = max(1, len(x)) if self.reservoir.bidirectional else _CHUNK
        for start in range(0, len(x), size):
            part = x[start : start + size]
            found = self._walk(part, states, noisy and bool(self.noise))
            yield start, torch.cat([*found, part], dim=2) if self.direct else torch.cat(found, 2)

    def _walk(self, x: Tensor, states: list[Tensor], noisy: bool) -> list[Tensor]:
        if noisy:
            return self._walk_noisy(x, states)
        alone = len(states) == 1
        given = states[0] if alone else torch.stack(states)
        _, last, history = self.reservoir(x, given, all_states=True)
        states[:] = [last] if alone else list(last)
        return [history] if alone else list(history)

    def _walk_noisy(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        directions = 2 if self.reservoir.bidirectional else 1
        found: list[Tensor] = []
        for place, layer in enumerate(self._noisy):
            backward = place % directions == 1
            given = x.flip(0) if backward else x
            shape = (*x.shape[:2], states[place].shape[1])
            noise = torch.rand(shape, generator=self._generator, dtype=torch.float64)
            noise = (2 * noise - 1).to(x) * self.noise
            y, states[place] = layer(torch.cat([given, noise], dim=2), states[place])
            found.append(y.flip(0) if backward else y)
            if place % directions == directions - 1:
                x = torch.cat(found[-directions:], dim=2)
        return found

    @torch.no_grad()
    def learn(
        self, x: Tensor, y: Tensor, washout: int, readout: Readout, states: list[Tensor]
    ) -> None:
        """Let a readout learn from one sequence, x [T, I] and y [T, O], without its first steps.

        `states` [1, H] are changed to those after the last step.
        """
        if isinstance(readout, Ridge) and self._quickly(x, y, washout, readout, states):
            return
        for start, features in self.chunks(x[:, None], states, noisy=True):
            first = max(0, washout - start)
            rows, targets = features[first:, 0], y[start + first : start + len(features)]
            for begin, end, fold in _folds(
                start + first, start + len(features), len(x), washout, readout.folds
            ):
                part = slice(begin - start - first, end - start - first)
                readout.add(rows[part], targets[part], fold)

    def _quickly(
        self, x: Tensor, y: Tensor, washout: int, readout: Ridge, states: list[Tensor]
    ) -> bool:
        """Learn in segments side by side, whose states go to the sums at once, if that can be."""
        cell, panels = self.reservoir.units[0], readout.equations.panels
        if self.noise or panels is None or x.dtype != panels.dtype or len(states) != 1:
            return False
        if not fast.suits(Call(cell, x[:, None], (states[0],))):
            return False
        walker = fast.walker_of(cell)
        few = walker.connections.inputs == cell.input_size
        threads = torch.get_num_threads()
        cut = fast.cut_of(walker, x, washout, groups=threads) if few else None
        if cut is None:
            return False
        parts = [Segments(walker, x, part, states[0][0]) for part in cut.parts(walker.lanes)]
        learned = [readout.equations.another() for _ in parts]
        tasks = [
            _Part(segments, equations, x, y, washout, self.direct)
            for segments, equations in zip(parts, learned, strict=True)
        ]
        with ThreadPoolExecutor(len(parts)) as team:
            list(team.map(_Part.run, tasks))
        before = [None, *parts[:-1]]
        if not all(one.agree(other) for one, other in zip(parts, before, strict=True)):
            walker.forgets = -1
            return False
        for equations in learned:
            readout.equations.join(equations)
        states[0] = parts[-1].end()[None]
        left = x[cut.last :]
        for start, features in self.chunks(left[:, None], states):
            targets = y[cut.last + start : cut.last + start + len(features)]
            readout.add(features[:, 0], targets, readout.folds - 1)
        return True


@dataclass(frozen=True)
class _Part:
    """Segments, whose states go to the sums of some equations."""

    segments: Segments
    equations: NormalEquations
    x: Tensor
    y: Tensor
    washout: int
    direct: bool

    @torch.no_grad()
    def run(self) -> None:
        equations, cut, walker = self.equations, self.segments.cut, self.segments.walker
        panels, units = equations.panels, walker.connections.units
        assert panels is not None
        where = panels.where(torch.arange(walker.connections.blocks) * walker.lanes)
        for start, steps in self.segments.chunks(panels.rows // cut.count):
            count = len(steps.inputs)
            # the rows of a segment stand together, so that those of a fold do
            walker.take(steps, Rows(panels.values, panels.width, count * panels.width, where))
            firsts = [cut.first + lane * cut.length + start for lane in range(cut.count)]
            targets = torch.cat([self.y[first : first + count] for first in firsts])
            if self.direct:
                inputs = steps.inputs.permute(2, 0, 1).reshape(cut.count * count, -1)
                panels.fill(0, inputs, units)
            equations.fill_rest(targets.new_ones(len(targets), 1), targets)
            for begin, end, fold in _rows_of_folds(
                firsts, count, len(self.x), self.washout, equations.folds
            ):
                equations.add_rows(begin, end - begin, fold)


class _Noisy(nn.Module):
    """A reservoir's cell that hears noise beside its inputs: x is [inputs, noise]."""

    def __init__(self, cell: ReservoirCell) -> None:
        super().__init__()
        self.cell = cell
        self.input_size = cell.input_size + cell.hidden_size
        self.hidden_size = cell.hidden_size
        self.state_sizes = cell.state_sizes

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        return self.cell.initial_state(batch_size)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        cell = self.cell
        inputs, noise = x[:, : cell.input_size], x[:, cell.input_size :]
        drive = F.linear(inputs, cell.weight_ih, cell.bias) + F.linear(h, cell.weight_hh) + noise
        return (1 - cell.leak) * h + cell.leak * cell.activation(drive)


def _folds(
    first: int, last: int, length: int, washout: int, folds: int
) -> list[tuple[int, int, int]]:
    """Steps first..last as (begin, end, fold): folds are stretches of time of equal length."""
    found = []
    while first < last:
        fold = (first - washout) * folds // (length - washout)
        # the first step of the next fold
        after = washout + -(-(fold + 1) * (length - washout) // folds)
        end = min(last, after)
        found.append((first, end, fold))
        first = end
    return found


def _rows_of_folds(
    firsts: list[int], count: int, length: int, washout: int, folds: int
) -> list[tuple[int, int, int]]:
    """Rows of some segments, `count` of each, as (begin, end, fold), joined where they touch."""
    joined: list[tuple[int, int, int]] = []
    for lane, first in enumerate(firsts):
        for begin, end, fold in _folds(first, first + count, length, washout, folds):
            moved = (begin - first + lane * count, end - first + lane * count, fold)
            if joined and joined[-1][2] == fold and joined[-1][1] == moved[0]:
                joined[-1] = (joined[-1][0], moved[1], fold)
            else:
                joined.append(moved)
    return joined
