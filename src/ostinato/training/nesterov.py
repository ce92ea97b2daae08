"""Gradient descent with Nesterov's momentum that grows over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["MomentumSchedule", "Nesterov"]


class MomentumSchedule:
    """The momentum of Sutskever et al. (2013): quickly past 0.5, slowly towards its largest value.

        mu[t] = min(1 - 2 ** (-1 - log2(floor(t / 250) + 1)), mu_max)

    For the last `final_steps` updates (1000 there), at most a tenth of the run, it is no more than
    `final`, so that the fine structure of the loss is followed at the end.

    Source: Sutskever, Martens, Dahl, Hinton (2013), "On the importance of initialization and
    momentum in deep learning", ICML, equation 5; mu_max there is 0, 0.9, 0.99, 0.995 or 0.999. The
    share of a tenth is ours: those runs have 750,000 updates.

    Args:
        largest: mu_max, in [0, 1).
        total_steps: updates in the whole run; infinite if nobody knows: no end, then.
        final_steps: how many updates the end has.
        final: momentum of the end.

    Raises:
        ValueError: a momentum is outside [0, 1), or `final_steps` is negative.

    Example:
        >>> schedule = MomentumSchedule(0.99)
        >>> [round(schedule(t), 4) for t in (0, 249, 250, 750, 1_000_000)]
        [0.5, 0.5, 0.75, 0.875, 0.99]
    """

    def __init__(
        self,
        largest: float = 0.995,
        *,
        total_steps: float = math.inf,
        final_steps: int = 1000,
        final: float = 0.9,
    ) -> None:
        for name, value in (("largest", largest), ("final", final)):
            if not 0 <= value < 1:
                raise ValueError(
                    f"MomentumSchedule: {name} must be in 0..1, 1 excluded, got {value}."
                )
        if final_steps < 0:
            raise ValueError(f"MomentumSchedule: final_steps must be 0 or more, got {final_steps}.")
        self.largest = largest
        self.final = final
        self.end = total_steps - min(final_steps, total_steps / 10 if final_steps else 0)

    def __call__(self, step: int) -> float:
        """The momentum of the update number `step`, counted from 0."""
        grown = 1 - 2 ** (-1 - math.log2(step // 250 + 1))
        momentum = min(grown, self.largest)
        return momentum if step < self.end else min(momentum, self.final)


class Nesterov(Optimizer):
    """Nesterov's accelerated gradient as in Sutskever et al. (2013), with any course of momentum.

        v[t+1]     = mu[t] v[t] - lr gradient(theta[t] + mu[t] v[t])
        theta[t+1] = theta[t] + v[t+1]

    The parameters hold theta + mu v, where the gradient is asked for, so that a plain training loop
    takes exactly these steps also while mu changes (torch.optim.SGD(nesterov=True) does so only
    while it stays). `theta` gives theta itself.

    Args:
        params: as any optimiser of torch takes them.
        lr: learning rate.
        momentum: mu: a number in [0, 1), or a function of the update's number, from 0, such as a
            `MomentumSchedule`.
        weight_decay: times the parameter, added to its gradient.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = Nesterov([weight], lr=0.1, momentum=MomentumSchedule(0.99))
        >>> weight.square().sum().backward(); optimizer.step()
        >>> weight, optimizer.theta(weight)
        (Parameter containing: tensor([0.7000], requires_grad=True), tensor([0.8000]))
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        momentum: float | Callable[[int], float] = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value in (("lr", lr), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"Nesterov: {name} must be 0 or more, got {value}.")
        if not callable(momentum) and not 0 <= momentum < 1:
            raise ValueError(f"Nesterov: momentum must be in 0..1, 1 excluded, got {momentum}.")
        self.momentum: Callable[[int], float]
        self.momentum = momentum if callable(momentum) else lambda step: momentum
        # the number of the update is kept where state dicts keep plain numbers
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "updates": 0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one update; `closure`, if given, computes the loss and its gradient anew.

        Raises:
            RuntimeError: a gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._update(group)
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        t: int = group["updates"]
        now, then = self.momentum(t), self.momentum(t + 1)
        parameters = [p for p in group["params"] if p.grad is not None]
        group["updates"] = t + 1
        self._look_ahead_anew([p for p in group["params"] if p.grad is None], then - now)
        if not parameters:
            return
        gradients = [self._gradient(p) for p in parameters]
        if group["weight_decay"]:
            decay = group["weight_decay"]
            gradients = list(torch._foreach_add(gradients, parameters, alpha=decay))
        for parameter in parameters:
            if "velocity" not in self.state[parameter]:
                self.state[parameter]["velocity"] = torch.zeros_like(parameter)
        velocities: list[Tensor] = [self.state[p]["velocity"] for p in parameters]
        # from theta + mu v back to theta, and from there to the next point of that kind
        torch._foreach_add_(parameters, velocities, alpha=-now)
        torch._foreach_mul_(velocities, now)
        torch._foreach_add_(velocities, gradients, alpha=-group["lr"])
        torch._foreach_add_(parameters, velocities, alpha=1 + then)

    def _look_ahead_anew(self, idle: list[Tensor], change: float) -> None:
        """Move parameters without a gradient to theta + mu v of the next mu; theta stays."""
        for parameter in idle:
            if change and "velocity" in self.state[parameter]:
                parameter.add_(self.state[parameter]["velocity"], alpha=change)

    @staticmethod
    def _gradient(parameter: Tensor) -> Tensor:
        gradient = parameter.grad
        assert gradient is not None
        if gradient.is_sparse:
            raise RuntimeError(
                "Nesterov: sparse gradients are not supported; build with sparse=False."
            )
        return gradient

    @torch.no_grad()
    def theta(self, parameter: Tensor) -> Tensor:
        """The parameter without the step ahead, theta."""
        state = self.state.get(parameter, {})
        if "velocity" not in state:
            return parameter.detach().clone()
        updates = next(
            group["updates"]
            for group in self.param_groups
            if any(parameter is own for own in group["params"])
        )
        ahead: Tensor = parameter - self.momentum(updates) * state["velocity"]
        return ahead
