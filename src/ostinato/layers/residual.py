"""Each layer adds its input to its output."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ostinato.layers.shapes import within

__all__ = ["with_input"]


def with_input(x: Tensor, y: Tensor, lengths: Tensor | None, width: int | None) -> Tensor:
    """The output y, with the input x where that is as wide.

    Args:
        x: [T, B, I], or [T, B] whole numbers that stand for one-hot vectors.
        y: [T, B, O].
        lengths: [B], steps of each row; None: all.
        width: I, of one-hot vectors.
    """
    if not x.is_floating_point():
        if width != y.shape[-1]:
            return y
        x = F.one_hot(x.long(), y.shape[-1]).to(y)
    if x.shape[-1] != y.shape[-1]:
        return y
    if lengths is not None:
        # padding of the input may hold anything, padding of the output holds zeros
        x = x.masked_fill(~within(lengths, len(x))[:, :, None], 0)
    return x + y
