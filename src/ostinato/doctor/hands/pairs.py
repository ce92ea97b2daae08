"""A translator's batches: lines with their translations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.doctor.findings import NotAsked, NotThere
from ostinato.doctor.hands.base import Hands, Written
from ostinato.doctor.plain import disturbed
from ostinato.tasks.beam import BeamSettings, beam_search
from ostinato.tasks.translator.fitting import PairBatch
from ostinato.tasks.translator.tokens import spelled

__all__ = ["PairHands"]

# lines of a batch that are translated
_LINES = 16


class PairHands(Hands):
    """Of a `Translator`."""

    def outputs(self, batch: PairBatch) -> Tensor:
        said: Tensor = self._network(batch)[0]
        steps = torch.arange(len(said), device=said.device)[:, None, None]
        return said.masked_fill(steps >= batch.lengths[:, None], 0.0)

    def error(self, batch: PairBatch) -> tuple[float, float]:
        nats, count = self.model._nats(batch)
        return float(nats), float(count)

    def stack(self) -> nn.Module:
        found: nn.Module = self.model.network.encoder
        return found

    def other_padding(self, batch: PairBatch) -> tuple[PairBatch, float]:
        padded = ~_inside(batch.source, batch.source_lengths)
        if not bool(padded.any()):
            raise NotThere("no line of the batches is shorter than its neighbours")
        source = torch.where(padded, disturbed(batch.source), batch.source)
        return replace(batch, source=source), float(padded.float().mean())

    def rows(self, batch: PairBatch) -> Sequence[bytes | None]:
        unknown = self.model.vocabularies.source.unknown
        keys: list[bytes | None] = []
        for b, length in enumerate(batch.source_lengths.tolist()):
            row = batch.source[:length, b].cpu()
            lost = unknown is not None and bool((row == unknown).any())
            keys.append(None if lost else row.contiguous().numpy().tobytes())
        return keys

    def unknown(self, batch: PairBatch) -> tuple[int, int]:
        number = self.model.vocabularies.source.unknown
        if number is None:
            raise NotAsked("no token is unknown to it")
        inside = batch.source[_inside(batch.source, batch.source_lengths)]
        return int((inside == number).sum()), inside.numel()

    def others(self, batch: PairBatch) -> PairBatch:
        if len(batch.lengths) < 2:
            raise NotThere("the batches have one row only")
        source, lengths = batch.source.roll(1, dims=1), batch.source_lengths.roll(1)
        return replace(batch, source=source, source_lengths=lengths)

    def written(self, batches: Sequence[PairBatch]) -> Sequence[Written]:
        return [one for batch in batches for one in self._written(batch)]

    def guessed(self, batch: PairBatch) -> tuple[int, int]:
        words = _inside(batch.targets, batch.lengths - 1)
        scores = self.model.network.readout(self._network(batch)[0][words])
        return int((scores.argmax(-1) == batch.targets[words]).sum()), int(words.sum())

    def attention(self, batch: PairBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Weights [T, B, S], and which steps of target [T, B] and source [S, B] are words."""
        weights = self._network(batch)[1]
        if weights is None:
            raise NotAsked("it has no attention")
        return (
            weights,
            _inside(batch.targets, batch.lengths),
            _inside(batch.source, batch.source_lengths),
        )

    def _network(self, batch: PairBatch) -> Any:
        return self.model.network(batch.source, batch.source_lengths, batch.inputs, batch.lengths)

    def _written(self, batch: PairBatch) -> list[Written]:
        vocabularies = self.model.vocabularies
        source, lengths = batch.source[:, :_LINES], batch.source_lengths[:_LINES]
        unknown = vocabularies.target.unknown
        found = beam_search(
            self.model.network.step,
            self.model.network.begin(source, lengths),
            start=vocabularies.end,
            end=vocabularies.end,
            longest=[2 * n + 10 for n in lengths.tolist()],
            settings=BeamSettings(1),
            forbidden=() if unknown is None else (unknown,),
            source_lengths=lengths.tolist(),
        )
        made = []
        for b, (one, *_) in enumerate(found):
            read = source[: int(lengths[b]) - 1, b].tolist()
            right = batch.targets[: int(batch.lengths[b]) - 1, b].tolist()
            told = spelled(vocabularies.source, read), spelled(vocabularies.target, right)
            given = spelled(vocabularies.target, one.tokens)
            made.append(Written(tuple(told[0]), tuple(told[1]), tuple(given), one.ended))
        return made


def _inside(rows: Tensor, lengths: Tensor) -> Tensor:
    """Which steps of rows [T, B] are no padding."""
    return torch.arange(len(rows), device=rows.device)[:, None] < lengths
