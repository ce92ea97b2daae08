"""Pieces of music, as composers read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.music import KEYS, LOWEST, Piece, names_of
from ostinato.inspect.page.material import Answer, Axis
from ostinato.inspect.reading.base import Cut, Limits, Reading
from ostinato.tasks.composer.task import Composer

__all__ = ["chord", "composer"]

# steps whose chances are found together: where keys depend on each other, by 256 draws of each
_TOGETHER = 64


def composer(model: Composer, source: Any, limits: Limits) -> Reading:
    """A piece, read step by step from a silent one on; the answer is the chance of each key next.

    `source` is a `Piece`, which may have no steps, or a file of one.
    """
    piece = model._piece(Path(source) if isinstance(source, str) else source)
    kept = Piece(piece.steps[: limits.steps], piece.name)
    network = model.network
    before = torch.zeros(len(kept) + 1, 1, KEYS, device=model.device)
    before[1:, 0] = torch.from_numpy(kept.roll()).float()
    labels = ("(start)", *(chord(step) for step in kept.steps))

    def answers(said: Any) -> list[Answer]:
        rows = [_choices(p, limits.top) for p in _chances(model, said[0][:, 0])]
        nats = network.notes.nats(said[0][:-1, 0], before[1:, 0]).detach()
        known = [*zip(labels[1:], nats.neg().exp().tolist(), strict=True), (None, None)]
        return [Answer(row, *one) for row, one in zip(rows, known, strict=True)]

    def loss(said: Any) -> Tensor:
        # nobody knows what comes next: the likeliest notes are taken for it
        with torch.no_grad():
            likeliest = network.notes.draw(said[0][-1], 0.0, None)
        return network.notes.nats(said[0][-1], likeliest).sum()

    def whole(said: Any) -> list[str]:
        if not len(kept):
            return []
        nats = network.notes.nats(said[0][:-1, 0], before[1:, 0]).detach()
        return [f"{float(nats.mean()):.4f} nats a step on this piece."]

    return Reading(
        "composer",
        "Which keys sound next? (Each has a chance of its own.)",
        network,
        lambda: network(before),
        (Axis("steps read", labels, " | ", ("stack",)),),
        answers,
        loss,
        truth="next",
        whole=whole,
        first="stack",
        cut=None if len(kept) == len(piece) else Cut(len(piece), len(kept), "steps"),
    )


def chord(notes: Any) -> str:
    """The names of the notes of a step.

    Example:
        >>> chord((60, 64)), chord(())
        ('C4 E4', '-')
    """
    return " ".join(names_of(notes)) or "-"


def _choices(chances: Any, top: int) -> tuple[tuple[str, float], ...]:
    keys = np.argsort(-chances, kind="stable")[:top]
    names = names_of([int(key) + LOWEST for key in keys])
    return tuple(zip(names, chances[keys].tolist(), strict=True))


@torch.no_grad()
def _chances(model: Composer, h: Tensor) -> Any:
    parts = [model.network.notes.chances(part).cpu().numpy() for part in torch.split(h, _TOGETHER)]
    return np.concatenate(parts)
