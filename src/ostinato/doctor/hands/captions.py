"""A captioner's batches: vectors with their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.data.streams import IGNORED
from ostinato.doctor.findings import NotThere
from ostinato.doctor.hands.base import Hands, Written
from ostinato.tasks.beam import BeamSettings, beam_search
from ostinato.tasks.captioner.network import CaptionBatch

__all__ = ["CaptionHands"]

# vectors of a batch for which a text is written
_ROWS = 16


class CaptionHands(Hands):
    """Of a `Captioner`."""

    def outputs(self, batch: CaptionBatch) -> Tensor:
        scores: Tensor = self.model.network(batch)
        steps = torch.arange(len(scores), device=scores.device)[:, None, None]
        return scores.masked_fill(steps >= batch.lengths[:, None], 0.0)

    def error(self, batch: CaptionBatch) -> tuple[float, float]:
        scores = self.model.network(batch).flatten(0, 1).float()
        nats = F.cross_entropy(
            scores, batch.targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        return float(nats), float(batch.lengths.sum())

    def stack(self) -> nn.Module:
        found: nn.Module = self.model.network.stack
        return found

    def rows(self, batch: CaptionBatch) -> Sequence[bytes | None]:
        return [vector.numpy().tobytes() for vector in batch.vectors.cpu()]

    def others(self, batch: CaptionBatch) -> CaptionBatch:
        if len(batch.lengths) < 2:
            raise NotThere("the batches have one row only")
        return replace(batch, vectors=batch.vectors.roll(1, dims=0))

    def written(self, batches: Sequence[CaptionBatch]) -> Sequence[Written]:
        return [one for batch in batches for one in self._written(batch)]

    def guessed(self, batch: CaptionBatch) -> tuple[int, int]:
        steps = torch.arange(len(batch.targets), device=batch.targets.device)[:, None]
        words = steps < batch.lengths - 1
        scores = self.model.network(batch)[words]
        return int((scores.argmax(-1) == batch.targets[words]).sum()), int(words.sum())

    def _written(self, batch: CaptionBatch) -> list[Written]:
        coder = self.model.coder
        unknown = coder.tokenizer.unknown
        vectors = batch.vectors[:_ROWS]
        found = beam_search(
            self.model.network.step,
            self.model.network.begin(vectors),
            start=coder.end,
            end=coder.end,
            longest=[coder.longest + coder.longest // 2 + 1] * len(vectors),
            settings=BeamSettings(1, length_penalty=0.0),
            forbidden=() if unknown is None else (unknown,),
        )
        right = [
            batch.targets[: n - 1, b].tolist() for b, n in enumerate(batch.lengths[:_ROWS].tolist())
        ]
        return [
            Written(None, self._spelled(told), self._spelled(one.tokens), one.ended)
            for told, (one, *_) in zip(right, found, strict=True)
        ]

    def _spelled(self, tokens: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.model.coder.decode([token]) for token in tokens)
