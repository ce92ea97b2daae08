"""Noise on gradients that fades as the training goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["GradientNoise"]


class GradientNoise:
    """Adds normal noise to every gradient.

        g = g + N(0, sigma^2),   sigma^2 = eta / (1 + t) ** decay

    Source: Neelakantan et al. (2015), arXiv:1511.06807, who take eta from 0.01, 0.3 and 1, and a
    decay of 0.55. The draws depend on the seed and on t alone, so that all devices of a run draw
    the same, and a run that is taken up again what it would have drawn.

    Args:
        eta: variance at the first step, above 0.
        decay: how fast it fades; 0: not at all.
        seed: of the draws.

    Raises:
        ValueError: eta is not above 0, or the decay is negative.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(1000)); weight.grad = torch.zeros(1000)
        >>> noise = GradientNoise(0.01)
        >>> noise([weight], step=0)
        >>> noise.deviation(0), round(noise.deviation(999), 4), round(float(weight.grad.std()), 2)
        (0.1, 0.015, 0.1)
    """

    def __init__(self, eta: float, *, decay: float = 0.55, seed: int = 0) -> None:
        if not eta > 0:
            raise ValueError(
                f"GradientNoise: eta must be above 0, got {eta}. Leave it out for none."
            )
        if not decay >= 0:
            raise ValueError(f"GradientNoise: decay must be 0 or more, got {decay}.")
        self.eta = eta
        self.decay = decay
        self.seed = seed

    def deviation(self, step: int) -> float:
        """The noise's standard deviation at a step, counted from 0."""
        return math.sqrt(self.eta / (1 + step) ** self.decay)

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor], step: int) -> None:
        """Add the noise of a step to the gradients, in place; those without one are passed over."""
        deviation = self.deviation(step)
        generators: dict[torch.device, torch.Generator] = {}
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None:
                continue
            if gradient.device not in generators:
                fresh = torch.Generator(gradient.device)
                generators[gradient.device] = fresh.manual_seed(self.seed * 1_000_003 + step)
            drawn = torch.randn(
                gradient.shape,
                generator=generators[gradient.device],
                dtype=gradient.dtype,
                device=gradient.device,
            )
            gradient.add_(drawn, alpha=deviation)
