"""Penalties on what a layer puts out, to be added to a loss."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.layers.shapes import within

__all__ = ["activation_penalty", "slowness_penalty"]


def activation_penalty(
    output: Tensor, lengths: Tensor | None = None, *, batch_first: bool = False
) -> Tensor:
    """Activation regularisation (AR): the mean square of the outputs, which keeps them small.

    Source: Merity, McCann, Socher (2017), arXiv:1708.01009, as its authors' code has it
    (github.com/salesforce/awd-lstm-lm, main.py): on the last layer's output after dropout.

    Args:
        output: [T, B, O].
        lengths: valid steps of each row, [B]; padding does not count.
        batch_first: output is [B, T, O].

    Returns:
        A scalar, to be weighted; 0 where no step is valid.

    Example:
        >>> activation_penalty(torch.full((5, 2, 3), 2.0))
        tensor(4.)
    """
    output = output.transpose(0, 1) if batch_first else output
    return _mean(output.square(), None if lengths is None else within(lengths, len(output)))


def slowness_penalty(
    output: Tensor, lengths: Tensor | None = None, *, batch_first: bool = False
) -> Tensor:
    """Temporal activation regularisation (TAR): the mean square of changes from step to step.

    Source: as for `activation_penalty`: on the last layer's output before dropout.

    Args:
        output: [T, B, O].
        lengths: valid steps of each row, [B]; padding does not count.
        batch_first: output is [B, T, O].

    Returns:
        A scalar, to be weighted; 0 where no row has two valid steps.

    Example:
        >>> slowness_penalty(torch.arange(4.0).reshape(4, 1, 1))
        tensor(1.)
    """
    output = output.transpose(0, 1) if batch_first else output
    change = (output[1:] - output[:-1]).square()
    return _mean(change, None if lengths is None else within(lengths, len(output))[1:])


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        return values.mean() if values.numel() else torch.zeros_like(values).sum()
    valid = valid.to(values.device)
    count = (valid.sum() * values.shape[-1]).clamp(min=1)
    return values.masked_fill(~valid[:, :, None], 0).sum() / count
