"""Rows between the order in which the user has them, with padding, and packed by length.

Each way is the derivative of the other, so that none needs a sum over an index.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ostinato.engine.llvm.batch import Ragged
from ostinato.engine.llvm.pool import passing

__all__ = ["pack", "spread", "unpack"]


def pack(rows: Tensor, packed: Ragged) -> Tensor:
    """[N, I] packed rows of [T * B, I]."""
    made: Tensor = _Pack.apply(rows, packed)  # type: ignore[no-untyped-call]
    return made


def unpack(rows: Tensor, packed: Ragged) -> Tensor:
    """[T * B, I] from packed rows [N, I]; zeros in the padding."""
    made: Tensor = _Unpack.apply(rows, packed)  # type: ignore[no-untyped-call]
    return made


def spread(rows: Tensor, packed: Ragged, out: Tensor) -> Tensor:
    """`unpack` into memory that is there, with no graph."""
    return torch.index_select(rows, 0, packed.place, out=out).index_fill_(0, packed.padding, 0)


class _Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, packed: Ragged) -> Tensor:
        ctx.packed = packed
        out = passing(packed.layout.rows, rows.shape[1], rows.dtype)
        return torch.index_select(rows, 0, packed.source, out=out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return unpack(grads[0], ctx.packed), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return pack(tangents[0], ctx.packed)


class _Unpack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, packed: Ragged) -> Tensor:
        ctx.packed = packed
        return spread(rows, packed, rows.new_empty(len(packed.place), rows.shape[1]))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return pack(grads[0], ctx.packed), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return unpack(tangents[0], ctx.packed)
