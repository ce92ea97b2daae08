"""What makes recurrent nets trainable: teaching signals, optimisers, truncated backpropagation.

`fit` trains a `SequenceModule` under a `TrainingConfig`; `runs` keeps what comes out of it. Names
load when first used, so that run folders and settings can be read without waiting for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.training.clipping import Clipper
    from ostinato.training.config import TrainingConfig
    from ostinato.training.feed import TimeChunks
    from ostinato.training.module import SequenceModule
    from ostinato.training.runs import Run, RunError, load_run, save_run, update_weights
    from ostinato.training.seeds import seed_all
    from ostinato.training.teaching import TeachingSignal, sequence_loss
    from ostinato.training.trainer import FitResult, fit, make_trainer

_HOMES = {
    "Clipper": "clipping",
    "FitResult": "trainer",
    "Run": "runs",
    "RunError": "runs",
    "SequenceModule": "module",
    "TeachingSignal": "teaching",
    "TimeChunks": "feed",
    "TrainingConfig": "config",
    "fit": "trainer",
    "load_run": "runs",
    "make_trainer": "trainer",
    "save_run": "runs",
    "seed_all": "seeds",
    "sequence_loss": "teaching",
    "update_weights": "runs",
}

__all__ = [
    "Clipper",
    "FitResult",
    "Run",
    "RunError",
    "SequenceModule",
    "TeachingSignal",
    "TimeChunks",
    "TrainingConfig",
    "fit",
    "load_run",
    "make_trainer",
    "save_run",
    "seed_all",
    "sequence_loss",
    "update_weights",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ostinato.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ostinato.training.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
