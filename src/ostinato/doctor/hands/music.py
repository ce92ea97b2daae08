"""A composer's batches: pieces of music, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ostinato.doctor.findings import NotThere
from ostinato.doctor.hands.base import Hands
from ostinato.tasks.composer.task import Rolls

__all__ = ["MusicHands"]

# steps that are written after a piece, and pieces of a batch after which they are
_STEPS, _PIECES = 64, 4


class MusicHands(Hands):
    """Of a `Composer`."""

    def outputs(self, batch: Rolls) -> Tensor:
        said: Tensor = self.model.network.nats(batch.notes, batch.lengths)[..., None]
        return said

    def error(self, batch: Rolls) -> tuple[float, float]:
        nats = self.model.network.nats(batch.notes, batch.lengths)
        return float(nats.sum()), float(batch.lengths.sum())

    def stack(self) -> nn.Module:
        found: nn.Module = self.model.network.stack
        return found

    def other_padding(self, batch: Rolls) -> tuple[Rolls, float]:
        padded = ~_inside(batch)
        if not bool(padded.any()):
            raise NotThere("no piece of the batches is shorter than its neighbours")
        notes = torch.where(padded[..., None], 1 - batch.notes, batch.notes)
        return replace(batch, notes=notes), float(padded.float().mean())

    def rows(self, batch: Rolls) -> Sequence[bytes | None]:
        return [
            batch.notes[:length, b].to(torch.uint8).cpu().contiguous().numpy().tobytes()
            for b, length in enumerate(batch.lengths.tolist())
        ]

    def own(self, batches: Sequence[Rolls], draws: torch.Generator) -> tuple[float, int]:
        total, count = 0.0, 0
        for batch in batches:
            _, nats = self._composed(batch, draws)
            total, count = total + float(nats.sum()), count + nats.numel()
        return total, count

    def composed(self, batches: Sequence[Rolls], draws: torch.Generator) -> list[Tensor]:
        """What it writes after some pieces, each [T, 88] of 0 and 1."""
        made = [self._composed(batch, draws)[0] for batch in batches]
        return [roll for some in made for roll in some.transpose(0, 1)]

    def pieces(self, batches: Sequence[Rolls]) -> list[Tensor]:
        """The pieces themselves, each [T, 88] of 0 and 1."""
        return [
            batch.notes[:length, b]
            for batch in batches
            for b, length in enumerate(batch.lengths.tolist())
        ]

    def _composed(self, batch: Rolls, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Notes after the first pieces [T, B, 88], and -ln p of each step [T, B]."""
        network = self.model.network
        notes, lengths = batch.notes[:, :_PIECES], batch.lengths[:_PIECES]
        y, state = network(notes, lengths=lengths)
        h = y[lengths - 1, torch.arange(len(lengths), device=y.device)]
        written, nats = [], []
        for _ in range(_STEPS):
            drawn = network.notes.draw(h, 1.0, draws)
            nats.append(network.notes.nats(h, drawn))
            written.append(drawn)
            h, state = network.stack.step(drawn, state)
        return torch.stack(written), torch.stack(nats)


def _inside(batch: Rolls) -> Tensor:
    """Which steps are no padding, [T, B]."""
    return torch.arange(len(batch.notes), device=batch.notes.device)[:, None] < batch.lengths
