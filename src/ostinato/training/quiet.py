"""Lightning, with nothing to say that is not the user's concern."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning", "pytorch_lightning")

# advice about things that are as they are on purpose
_MESSAGES = (
    r".*does not have many workers.*",
    r".*GPU available but not used.*",
    r".*MPS available but not used.*",
    r".*srun.*command is available.*",
    r".*infer the .?batch_size.? from an ambiguous collection.*",
    r".*in eval mode at the start of training.*",
    r".*resuming from a checkpoint that ended before the epoch ended.*",
    r".*lr_scheduler\.step\(\).*before.*optimizer\.step\(\).*",
    r".*TreeSpec.*",
    r".*LeafSpec.*",
    r".*defined a .?validation_step.? but have no .?val_dataloader.*",
    r".*torch\.jit.*",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's notices within a `with` block; all other warnings pass."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _MESSAGES:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
