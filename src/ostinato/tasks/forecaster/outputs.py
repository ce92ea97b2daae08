"""What a forecaster says about each value to come: a number, quantiles, or a distribution.

An output turns R raw numbers, a location and a scale into its own parameters, and knows their
loss, their middle, their quantiles, and how to draw from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["OUTPUTS", "Output", "make_output"]

# spreads are at least this, in units of the training part's spread
_LEAST = 1e-3


class Output:
    """Base of all. Attributes: `raw`, R; `spread`: intervals follow from the parameters alone."""

    raw: int = 1
    spread: ClassVar[bool] = True

    def parameters(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        """Raw numbers [..., R], location and scale [...] -> parameters [..., K]."""
        raise NotImplementedError

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Mean loss of targets [...]."""
        raise NotImplementedError

    def training_loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        """What is learned from, where that is not the loss itself."""
        return self.loss(parameters, target)

    def middle(self, parameters: Tensor) -> Tensor:
        """The forecast as one number, [...]."""
        return parameters[..., 0]

    def quantile(self, parameters: Tensor, level: float) -> Tensor:
        """What the value is below with probability `level`, [...]."""
        return self.middle(parameters)

    def sample(self, parameters: Tensor, generator: torch.Generator | None) -> Tensor:
        """A draw of each value, [...]."""
        return self.middle(parameters)


class Point(Output):
    """A number, learned by the mean of a loss: "mse", "mae", or "huber" (linear from 1 on)."""

    spread = False

    def __init__(self, loss: str) -> None:
        losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "mse": F.mse_loss,
            "mae": F.l1_loss,
            "huber": F.huber_loss,
        }
        self._loss = losses[loss]

    def parameters(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        return raw * scale[..., None] + location[..., None]

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        return self._loss(parameters[..., 0], target)


class Gaussian(Output):
    """Mean and standard deviation of a normal distribution, by maximum likelihood.

    With `beta`, each value's loss is weighted by its spread to the power 2 beta, which takes no
    gradient: Seitzer, Tavakoli, Antic, Martius (2022), arXiv:2203.09168. It is a loss to learn
    from; what is scored is the likelihood.
    """

    raw = 2

    def __init__(self, beta: float = 0.0) -> None:
        self.beta = beta

    def parameters(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        mean = raw[..., 0] * scale + location
        deviation = (F.softplus(raw[..., 1]) + _LEAST) * scale
        return torch.stack([mean, deviation], dim=-1)

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        mean, deviation = parameters.unbind(-1)
        distance = (target - mean) / deviation
        return (distance.square() / 2 + deviation.log()).mean() + math.log(2 * math.pi) / 2

    def training_loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        if not self.beta:
            return self.loss(parameters, target)
        mean, deviation = parameters.unbind(-1)
        distance = (target - mean) / deviation
        weight = deviation.detach() ** (2 * self.beta)
        return (weight * (distance.square() / 2 + deviation.log())).mean()

    def quantile(self, parameters: Tensor, level: float) -> Tensor:
        mean, deviation = parameters.unbind(-1)
        distance: Tensor = torch.special.ndtri(deviation.new_tensor(level))
        return mean + deviation * distance

    def sample(self, parameters: Tensor, generator: torch.Generator | None) -> Tensor:
        mean, deviation = parameters.unbind(-1)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        return mean + deviation * noise


class StudentT(Output):
    """Location, scale and degrees of freedom (above 2) of Student's t, by maximum likelihood."""

    raw = 3

    def parameters(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        middle = raw[..., 0] * scale + location
        width = (F.softplus(raw[..., 1]) + _LEAST) * scale
        freedom = 2 + F.softplus(raw[..., 2] + 1)
        return torch.stack([middle, width, freedom], dim=-1)

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        middle, width, freedom = parameters.unbind(-1)
        distance = (target - middle) / width
        half = (freedom + 1) / 2
        log_c = torch.lgamma(half) - torch.lgamma(freedom / 2) - (math.pi * freedom).log() / 2
        log_density = log_c - width.log() - half * torch.log1p(distance.square() / freedom)
        return -log_density.mean()

    def quantile(self, parameters: Tensor, level: float) -> Tensor:
        middle, width, freedom = parameters.unbind(-1)
        return middle + width * _student_quantile(freedom, level)

    def sample(self, parameters: Tensor, generator: torch.Generator | None) -> Tensor:
        middle, width, freedom = parameters.unbind(-1)
        noise = torch.randn(middle.shape, generator=generator).to(middle)
        # a gamma of half the degrees, of twice the scale, is their chi-square
        gamma = torch._standard_gamma((freedom / 2).cpu(), generator=generator).to(middle)
        return middle + width * noise * torch.rsqrt(2 * gamma / freedom)


class Quantiles(Output):
    """Some quantiles, which never cross, by the pinball loss.

    Source: Koenker and Bassett (1978), "Regression quantiles", for the loss; that they cannot cross
    is by construction here: the middle one, and positive distances from each to the next.

    Args:
        levels: in 0..1, rising.
    """

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels = tuple(levels)
        self.raw = len(self.levels)
        self._middle = min(range(self.raw), key=lambda k: abs(self.levels[k] - 0.5))

    def parameters(self, raw: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        k = self._middle
        centre, widths = raw[..., :1], F.softplus(raw[..., 1:] - 1)
        above = centre + widths[..., k:].cumsum(-1)
        below = centre - widths[..., :k].flip(-1).cumsum(-1).flip(-1)
        values = torch.cat([below, centre, above], dim=-1)
        return values * scale[..., None] + location[..., None]

    def loss(self, parameters: Tensor, target: Tensor) -> Tensor:
        levels = torch.tensor(self.levels, device=target.device)
        error = target[..., None] - parameters
        return torch.maximum(levels * error, (levels - 1) * error).mean()

    def middle(self, parameters: Tensor) -> Tensor:
        return parameters[..., self._middle]

    def quantile(self, parameters: Tensor, level: float) -> Tensor:
        """Between two of the levels on a straight line; beyond the outermost, that line goes on."""
        if self.raw == 1:
            return parameters[..., 0]
        upper = next((k for k in range(1, self.raw) if self.levels[k] >= level), self.raw - 1)
        share = (level - self.levels[upper - 1]) / (self.levels[upper] - self.levels[upper - 1])
        return parameters[..., upper - 1].lerp(parameters[..., upper], share)

    def sample(self, parameters: Tensor, generator: torch.Generator | None) -> Tensor:
        draw = torch.rand(parameters.shape[:-1], generator=generator).to(parameters)
        if self.raw == 1:
            return parameters[..., 0]
        levels = torch.tensor(self.levels, device=draw.device)
        upper = torch.bucketize(draw, levels).clamp(1, self.raw - 1)
        low, high = levels[upper - 1], levels[upper]
        edges = [parameters.gather(-1, (upper - back)[..., None])[..., 0] for back in (1, 0)]
        return edges[0] + (draw - low) / (high - low) * (edges[1] - edges[0])


OUTPUTS = ("gaussian", "student_t", "quantile", "mse", "mae", "huber")


def make_output(name: str, quantiles: Sequence[float], beta: float = 0.0) -> Output:
    """The output of that name; see `OUTPUTS`.

    Example:
        >>> output = make_output("quantile", (0.1, 0.5, 0.9))
        >>> found = output.parameters(torch.zeros(3), torch.tensor(5.0), torch.tensor(2.0))
        >>> output.middle(found).item(), output.quantile(found, 0.9).item() > 5
        (5.0, True)
    """
    if name == "gaussian":
        return Gaussian(beta)
    if name == "student_t":
        return StudentT()
    if name == "quantile":
        return Quantiles(quantiles)
    return Point(name)


def _student_quantile(freedom: Tensor, level: float) -> Tensor:
    """Quantile of Student's t for each number of degrees of freedom, 2 or more."""
    table = torch.tensor(_student_table(level), device=freedom.device)
    place = (2 / freedom) * (len(table) - 1)
    below = place.long().clamp(max=len(table) - 2)
    return torch.lerp(table[below], table[below + 1], place - below)


@lru_cache(maxsize=64)
def _student_table(level: float, size: int = 513) -> list[float]:
    """Quantiles for size values of 1/v from 0 (the normal distribution) to 1/2.

    With t = sqrt(v) tan(a), the density is C cos(a)^(v-1) da, C = G((v+1)/2) / (sqrt(pi) G(v/2)),
    which is integrated by Gauss and Legendre's rule; the end of the integral is found by bisection.
    """
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(64))
    freedom = 1 / torch.linspace(0, 0.5, size, dtype=torch.float64)[1:]
    log_c = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) - math.log(math.pi) / 2
    low = torch.zeros_like(freedom)
    high = torch.full_like(freedom, math.pi / 2)
    for _ in range(50):
        end = (low + high) / 2
        angles = end[:, None] * (nodes + 1) / 2
        density = (log_c[:, None] + (freedom[:, None] - 1) * torch.log(torch.cos(angles))).exp()
        beyond = (density * weights).sum(1) * end / 2 > abs(level - 0.5)
        low, high = torch.where(beyond, low, end), torch.where(beyond, end, high)
    found = math.copysign(1, level - 0.5) * freedom.sqrt() * torch.tan((low + high) / 2)
    normal = torch.special.ndtri(torch.tensor([level], dtype=torch.float64))
    return [float(value) for value in torch.cat([normal, found]).float()]
