"""What a layer makes once and keeps, made before torch.compile or torch.export looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

if TYPE_CHECKING:
    from ostinato.layers.intime import InTime

__all__ = ["ready"]


# run for real while tracing, so that the trace finds modules that stand where they will stay
@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def ready(
    options: InTime, cell: nn.Module, training: bool, dtype: torch.dtype, device: torch.device
) -> bool:
    """Have the options of a cell make their wrappers."""
    with unset_fake_temporarily():
        options.chain(cell, training, False, torch.empty(0, dtype=dtype, device=device))
    return True
