"""Teaching signals: which units are told what they should have been, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["TeachingSignal", "sequence_loss"]

Loss: TypeAlias = "str | Callable[[Tensor, Tensor], Tensor]"
When: TypeAlias = "str | int | Tensor"

# name -> (loss of each entry or step, whether the target holds class numbers)
_LOSSES: dict[str, tuple[Callable[..., Tensor], bool]] = {
    "cross_entropy": (F.cross_entropy, True),
    "mse": (F.mse_loss, False),
    "l1": (F.l1_loss, False),
    "huber": (F.huber_loss, False),
    "bce": (F.binary_cross_entropy_with_logits, False),
}


@dataclass(frozen=True)
class TeachingSignal:
    """What a network's output should be: for which units, at which steps.

    Attributes:
        loss: "cross_entropy" (outputs are logits, targets are class numbers), "mse", "l1",
            "huber", "bce" (outputs are logits, targets are in 0..1), or a function of
            (output, target) that returns one loss an entry.
        when: "every" step; the "last" step; the last k steps (an int k); or a bool mask [T, B].
            With `lengths`, last means each row's own last steps.
        units: outputs that are taught (their numbers); None: all. For class targets, the classes
            that take part; targets then count within them.
        ignore_index: a class target of this value is no signal. A NaN target never is one.
        reduction: "mean" over everything that has a signal, "sum", or "none": the losses, zero
            where there is no signal.

    Raises:
        ValueError: `loss`, `when` or `reduction` is none of these.

    Example:
        >>> output = torch.zeros(3, 1, 2)                          # [T, B, O]
        >>> target = torch.tensor([[[1.0, 2.0]], [[torch.nan, 3.0]], [[9.0, 9.0]]])
        >>> signal = TeachingSignal("mse", when=2, units=[0])
        >>> float(signal(output, target[:, :, :1]))                # (0 - 9)^2; the NaN is no signal
        81.0
    """

    loss: Loss = "cross_entropy"
    when: When = "every"
    units: Sequence[int] | None = None
    ignore_index: int = -100
    reduction: str = "mean"

    def __post_init__(self) -> None:
        if isinstance(self.loss, str) and self.loss not in _LOSSES:
            raise ValueError(
                f"TeachingSignal: loss {self.loss!r} is none of {', '.join(_LOSSES)}. Choose one, "
                "or give a function of (output, target)."
            )
        whole = isinstance(self.when, int) and not isinstance(self.when, bool) and self.when > 0
        masked = isinstance(self.when, Tensor) and self.when.dtype == torch.bool
        if not (whole or masked or (isinstance(self.when, str) and self.when in ("every", "last"))):
            raise ValueError(
                'TeachingSignal: when must be "every", "last", a positive number of last steps, or '
                f"a bool mask [T, B], got {self.when!r}."
            )
        if self.reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f'TeachingSignal: reduction must be "mean", "sum" or "none", got '
                f"{self.reduction!r}."
            )

    def __call__(self, output: Tensor, target: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """The loss of `output` against `target`.

        Args:
            output: [T, B, O].
            target: class numbers [T, B], or values [T, B, U] with U the taught units; a target
                without the time axis ([B] or [B, U]) holds for every taught step.
            lengths: valid steps of each row, [B]; what lies beyond is no signal.

        Returns:
            A scalar; with reduction "none" [T, B] for class targets and [T, B, U] for values. Zero,
            with zero gradient, where nothing has a signal.

        Raises:
            ValueError: the shapes do not fit together.
        """
        if self.units is not None:
            output = output[..., torch.as_tensor(self.units, device=output.device)]
        by_class = isinstance(self.loss, str) and _LOSSES[self.loss][1]
        target = _on_every_step(target, output, by_class)
        taught = self._taught(output, lengths)
        if by_class:
            losses, taught = self._class_losses(output, target, taught)
        else:
            losses, taught = self._value_losses(output, target, taught)
        if self.reduction == "none":
            return losses
        total = losses.sum()
        return total if self.reduction == "sum" else total / taught.sum().clamp(min=1)

    def _class_losses(
        self, output: Tensor, target: Tensor, taught: Tensor
    ) -> tuple[Tensor, Tensor]:
        if target.is_floating_point():
            taught = taught & ~target.isnan()
            target = target.nan_to_num().long()
        taught = taught & (target != self.ignore_index)
        target = torch.where(taught, target, -100)
        flat = F.cross_entropy(
            output.flatten(0, 1), target.flatten(), ignore_index=-100, reduction="none"
        )
        return _only(taught, flat.view(target.shape)), taught

    def _value_losses(
        self, output: Tensor, target: Tensor, taught: Tensor
    ) -> tuple[Tensor, Tensor]:
        taught = taught.unsqueeze(-1) & ~target.isnan()
        # both sides are replaced where there is no signal: a NaN or an infinite output there must
        # not reach the gradient through the loss's derivative
        output = torch.where(taught, output, torch.zeros_like(output))
        target = torch.where(taught, target, torch.zeros_like(target))
        if isinstance(self.loss, str):
            losses = _LOSSES[self.loss][0](output, target.to(output.dtype), reduction="none")
        else:
            losses = self.loss(output, target)
        if losses.shape != output.shape:
            raise ValueError(
                f"TeachingSignal: the loss function must return one loss an entry, "
                f"{list(output.shape)}, got {list(losses.shape)}."
            )
        return _only(taught, losses), taught

    def _taught(self, output: Tensor, lengths: Tensor | None) -> Tensor:
        T, B = output.shape[:2]
        steps = torch.arange(T, device=output.device).unsqueeze(1)
        ends = torch.full((B,), T) if lengths is None else lengths
        ends = ends.to(output.device)
        valid = steps < ends
        if isinstance(self.when, Tensor):
            if self.when.shape != (T, B):
                raise ValueError(
                    f"TeachingSignal: the mask must be [{T}, {B}] (steps, batch), got "
                    f"{list(self.when.shape)}."
                )
            return valid & self.when.to(output.device)
        if self.when == "every":
            return valid
        count = 1 if self.when == "last" else int(self.when)
        return valid & (steps >= ends - count)


def sequence_loss(
    output: Tensor,
    target: Tensor,
    *,
    loss: Loss = "cross_entropy",
    when: When = "every",
    units: Sequence[int] | None = None,
    lengths: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The loss of `output` [T, B, O] against `target`: `TeachingSignal` in one call.

    Example:
        >>> logits = torch.zeros(5, 2, 10)
        >>> loss = sequence_loss(logits, torch.zeros(5, 2, dtype=torch.long), when="last")
        >>> round(float(loss), 3)                                  # log 10
        2.303
    """
    signal = TeachingSignal(loss, when, units, ignore_index, reduction)
    return signal(output, target, lengths=lengths)


def _only(taught: Tensor, losses: Tensor) -> Tensor:
    return torch.where(taught, losses, torch.zeros_like(losses))


def _on_every_step(target: Tensor, output: Tensor, by_class: bool) -> Tensor:
    T, B, O = output.shape  # noqa: E741
    wanted = (T, B) if by_class else (T, B, O)
    if tuple(target.shape) == wanted[1:]:
        target = target.expand(wanted)
    if tuple(target.shape) != wanted:
        names = "(steps, batch)" if by_class else "(steps, batch, taught units)"
        raise ValueError(
            f"TeachingSignal: the target must be {list(wanted)} {names}, or that without the steps,"
            f" got {list(target.shape)}."
        )
    return target.to(output.device)
