"""Losses whose curvature by the outputs is known, and the curvature of any other.

A loss is called with the outputs and gives their objective, a scalar. The matrix of its second
derivatives by the outputs, H, is what stands in the middle of the Gauss-Newton matrix J' H J. Where
the outputs enter the loss through its "matching" link (linear with squared error, softmax with
cross-entropy, logistic with the likelihood of a coin), H is positive, and so is the whole.

Source: Schraudolph (2002), doi:10.1162/08997660260028683; Martens and Sutskever (2012),
doi:10.1007/978-3-642-35289-8_27.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Bernoulli", "CrossEntropy", "KnownLoss", "Loss", "SquaredError", "curvature_of", "like"]

Outputs: TypeAlias = "Tensor | Sequence[Tensor]"
Loss: TypeAlias = Callable[..., Tensor]
Product: TypeAlias = Callable[[list[Tensor]], list[Tensor]]


class KnownLoss(ABC):
    """A mean of losses of single predictions, with a known matrix of second derivatives.

    The loss is the sum over all predictions of weight * loss, divided by `rows`.

    Args:
        targets: what the outputs should be.
        weight: of each prediction, shaped as the outputs without their last axis, or so that it
            broadcasts to that; 0 leaves a prediction out. All count 1 unless given.
        rows: what the sum is divided by; the sum of the weights unless given. Give the number of
            sequences for a sum over time and a mean over sequences.
    """

    def __init__(
        self, targets: Tensor, *, weight: Tensor | None = None, rows: float | None = None
    ) -> None:
        if rows is not None and not rows > 0:
            raise ValueError(
                f"{type(self).__name__}: rows divides the sum of the losses and must be positive, "
                f"got {rows}."
            )
        self.targets, self.weight, self._rows = targets, weight, rows

    def rows(self, outputs: Tensor) -> float:
        """What the sum is divided by."""
        if self._rows is not None:
            return float(self._rows)
        if self.weight is None:
            return float(outputs[..., 0].numel())
        total = float(self.weight.expand(outputs.shape[:-1]).sum())
        if not total:
            raise ValueError(
                f"{type(self).__name__}: the weights are all 0, so that no prediction counts. Give "
                "some a weight, or leave the batch out."
            )
        return total

    def __call__(self, outputs: Tensor) -> Tensor:
        each = self._each(outputs)
        if self.weight is not None:
            each = each * self.weight
        return each.sum() / self.rows(outputs)

    def curvature(self, outputs: Tensor) -> Callable[[Tensor], Tensor]:
        """The product of H at these outputs with any change of them."""
        scale = torch.ones((), dtype=outputs.dtype, device=outputs.device) / self.rows(outputs)
        if self.weight is not None:
            scale = self.weight.unsqueeze(-1) * scale
        curved = self._curved(outputs)
        return lambda change: scale * curved(change)

    @abstractmethod
    def _each(self, outputs: Tensor) -> Tensor:
        """The losses of the single predictions."""

    @abstractmethod
    def _curved(self, outputs: Tensor) -> Callable[[Tensor], Tensor]:
        """The product with the second derivatives of the single losses."""


class SquaredError(KnownLoss):
    """Half the sum of squares of a prediction, 1/2 |z - y|^2.

    Args:
        targets: y, shaped as the outputs [..., O].
        weight: of each prediction, [...]; see `KnownLoss`.
        rows: what the sum is divided by; see `KnownLoss`.

    Raises:
        ValueError: targets are not shaped as the outputs.

    Example:
        >>> SquaredError(torch.zeros(2, 3))(torch.ones(2, 3))
        tensor(1.5000)
    """

    def _each(self, outputs: Tensor) -> Tensor:
        _same_shape(self, outputs, self.targets)
        return 0.5 * (outputs - self.targets).square().sum(-1)

    def _curved(self, outputs: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda change: change


class Bernoulli(KnownLoss):
    """Cross-entropy of coins, -y log s(z) - (1 - y) log (1 - s(z)), summed over a prediction.

    Args:
        targets: y in 0..1, shaped as the outputs [..., O], which are logits.
        weight: of each prediction, [...]; see `KnownLoss`.
        rows: what the sum is divided by; see `KnownLoss`.

    Raises:
        ValueError: targets are not shaped as the outputs.

    Example:
        >>> Bernoulli(torch.ones(2, 3))(torch.zeros(2, 3))
        tensor(2.0794)
    """

    def _each(self, outputs: Tensor) -> Tensor:
        _same_shape(self, outputs, self.targets)
        return F.binary_cross_entropy_with_logits(outputs, self.targets, reduction="none").sum(-1)

    def _curved(self, outputs: Tensor) -> Callable[[Tensor], Tensor]:
        p = outputs.sigmoid()
        spread = p * (1 - p)
        return lambda change: spread * change


class CrossEntropy(KnownLoss):
    """Cross-entropy of a class, -log softmax(z)[y].

    Args:
        targets: y, whole numbers shaped as the outputs [..., V] without their last axis.
        weight: of each prediction, [...]; see `KnownLoss`.
        rows: what the sum is divided by; see `KnownLoss`.

    Raises:
        ValueError: targets are not shaped as the outputs without their last axis.

    Example:
        >>> CrossEntropy(torch.tensor([0, 2]))(torch.zeros(2, 3))
        tensor(1.0986)
    """

    def _each(self, outputs: Tensor) -> Tensor:
        _same_shape(self, outputs[..., 0], self.targets)
        scores, classes = outputs.flatten(0, -2), self.targets.flatten()
        return F.cross_entropy(scores, classes, reduction="none").view(self.targets.shape)

    def _curved(self, outputs: Tensor) -> Callable[[Tensor], Tensor]:
        p = outputs.softmax(-1)
        return lambda change: p * (change - (p * change).sum(-1, keepdim=True))


def curvature_of(loss: Loss, outputs: Sequence[Tensor], as_given: Outputs) -> Product:
    """The product of H, the second derivatives of a loss by the outputs, with a change of them.

    A loss of another kind than the known ones is differentiated twice, at these outputs alone; the
    graph is kept for all products.

    Args:
        loss: of the outputs.
        outputs: the tensors, without a graph.
        as_given: the same in the form that the loss takes: a tensor or a sequence.

    Returns:
        A function from one change for each output to one product for each.
    """
    if isinstance(loss, KnownLoss):
        product = loss.curvature(outputs[0])
        return lambda changes: [product(changes[0])]
    own = [output.detach().requires_grad_() for output in outputs]
    with torch.enable_grad():
        value = loss(like(as_given, own))
        slopes = torch.autograd.grad(value, own, create_graph=True, materialize_grads=True)
    bent = [slope for slope in slopes if slope.requires_grad]

    def twice(changes: list[Tensor]) -> list[Tensor]:
        if not bent:
            return [torch.zeros_like(change) for change in changes]
        given = [
            change for slope, change in zip(slopes, changes, strict=True) if slope.requires_grad
        ]
        return list(
            torch.autograd.grad(bent, own, given, retain_graph=True, materialize_grads=True)
        )

    return twice


def like(given: Outputs, tensors: Sequence[Tensor]) -> Outputs:
    """The tensors in the form of others: one tensor alone, or a tuple."""
    return tensors[0] if isinstance(given, Tensor) else tuple(tensors)


def _same_shape(loss: KnownLoss, outputs: Tensor, targets: Tensor) -> None:
    if outputs.shape != targets.shape:
        raise ValueError(
            f"{type(loss).__name__}: targets must be {list(outputs.shape)} for these outputs, got "
            f"{list(targets.shape)}. Reshape the one or the other."
        )
