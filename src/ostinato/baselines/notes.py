"""Guesses of the next notes by counting: how often each key sounds, and whether it stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["held_nats", "key_chances", "often_nats"]

Roll = NDArray[np.uint8]


def key_chances(rolls: Sequence[Roll]) -> NDArray[np.float64]:
    """How often each key sounds, counted once more on and once more off, [K]."""
    counted = np.concatenate(list(rolls))
    chances: NDArray[np.float64] = (counted.sum(axis=0) + 1) / (len(counted) + 2)
    return chances


def often_nats(train: Sequence[Roll], test: Sequence[Roll]) -> float:
    """Nats per step, from the second of a piece on, by how often each key sounds in training.

    Args:
        train: rolls [T, K] to count in (each key once more on, once more off).
        test: rolls to guess.
    """
    chance = key_chances([roll[1:] for roll in train])
    targets = np.concatenate([roll[1:] for roll in test])
    return _nats(np.broadcast_to(chance, targets.shape), targets)


def held_nats(train: Sequence[Roll], test: Sequence[Roll]) -> float:
    """The same by how often each key sounds after it sounded, and after it did not."""
    before = np.concatenate([roll[:-1] for roll in train]).astype(bool)
    after = np.concatenate([roll[1:] for roll in train]).astype(bool)
    stays = ((before & after).sum(axis=0) + 1) / (before.sum(axis=0) + 2)
    comes = ((~before & after).sum(axis=0) + 1) / ((~before).sum(axis=0) + 2)
    context = np.concatenate([roll[:-1] for roll in test])
    targets = np.concatenate([roll[1:] for roll in test])
    return _nats(np.where(context, stays, comes), targets)


def _nats(chance: NDArray[np.float64], targets: Roll) -> float:
    return float(-np.log(np.where(targets, chance, 1 - chance)).sum(axis=1).mean())
