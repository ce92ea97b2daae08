"""Readouts: linear maps from what a reservoir does to what is wanted, and how they are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.reservoirs.equations import Choice, NormalEquations

__all__ = ["KINDS", "LMS", "RLS", "Force", "Gradient", "Readout", "Ridge"]

PENALTIES = tuple(10.0**power for power in range(-12, 3))


class Readout:
    """Base of the readouts: y = W f + b.

    `begin` is told the sizes, `add` gets rows in the order of time, `end` leaves the weights.

    Attributes:
        weight: W [O, F].
        bias: b [O].
    """

    online = False
    folds = 1
    weight: Tensor
    bias: Tensor

    def begin(self, features: int, outputs: int, like: Tensor) -> None:
        """Forget everything; rows will be of these sizes, and of the type and device of `like`."""
        self.weight = like.new_zeros(outputs, features)
        self.bias = like.new_zeros(outputs)

    def add(self, features: Tensor, targets: Tensor, fold: int = 0) -> None:
        """Learn from rows [n, F] and [n, O]."""
        raise NotImplementedError

    def end(self) -> None:
        """No more rows will come."""

    def __call__(self, features: Tensor) -> Tensor:
        """Outputs [..., O] of features [..., F]."""
        return nn.functional.linear(features, self.weight.to(features), self.bias.to(features))

    def options(self) -> dict[str, Any]:
        """What it was built with, as plain values: `type(self)(**options)` builds it again."""
        raise NotImplementedError

    def learned(self) -> dict[str, Tensor]:
        """What it has learned, enough to answer, and to go on where that can be."""
        return {"weight": self.weight, "bias": self.bias}

    def restore(self, learned: dict[str, Tensor]) -> None:
        """Put back what `learned` gave."""
        self.weight, self.bias = learned["weight"], learned["bias"]


class Ridge(Readout):
    """Least squares with a penalty on the weights, by Cholesky; see `NormalEquations`.

    Args:
        penalty: added to the diagonal of X'X; "cv": the best of `penalties`.
        penalties: to choose from.
        folds: stretches of time, each of which is left out once to choose.

    Attributes:
        choice: for "cv", the chosen penalty and the error of each.

    Raises:
        ValueError: the penalty is negative or another word, or there are fewer than two folds.
    """

    def __init__(
        self,
        penalty: float | str = 1e-8,
        *,
        penalties: Sequence[float] = PENALTIES,
        folds: int = 5,
    ) -> None:
        if isinstance(penalty, str) and penalty != "cv":
            raise ValueError(f'Ridge: penalty must be a number or "cv", got {penalty!r}.')
        if not isinstance(penalty, str) and not penalty >= 0:
            raise ValueError(f"Ridge: penalty must not be negative, got {penalty}.")
        if penalty == "cv" and folds < 2:
            raise ValueError(f"Ridge: to choose, at least 2 folds are needed, got {folds}.")
        self.penalty = penalty
        self.penalties = tuple(penalties)
        self.folds = folds if penalty == "cv" else 1
        self.choice: Choice | None = None

    def begin(self, features: int, outputs: int, like: Tensor) -> None:
        super().begin(features, outputs, like)
        self.equations = NormalEquations(features, outputs, folds=self.folds, device=like.device)

    def add(self, features: Tensor, targets: Tensor, fold: int = 0) -> None:
        self.equations.add(features, targets, fold)

    def end(self) -> None:
        penalty = self.penalty
        if isinstance(penalty, str):
            self.choice = self.equations.choose(self.penalties)
            penalty = self.choice.penalty
        self.weight, self.bias = self.equations.solve(penalty)

    def options(self) -> dict[str, Any]:
        # the folds of a given penalty are not asked for
        folds = {"folds": self.folds} if self.penalty == "cv" else {}
        return {"penalty": self.penalty, "penalties": self.penalties, **folds}


class _Online(Readout):
    """Learns row by row, and can go on at any time; the constant is one more feature."""

    online = True
    _held: Tensor

    def learned(self) -> dict[str, Tensor]:
        return {"held": self._held}

    def restore(self, learned: dict[str, Tensor]) -> None:
        self._held = learned["held"]
        self._split(self._held)

    def _split(self, held: Tensor) -> None:
        self.weight, self.bias = held[:-1].T.contiguous(), held[-1].clone()

    def _with_one(self, features: Tensor) -> Tensor:
        return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


class RLS(_Online):
    r"""Recursive least squares: after each row the weights that fit all rows so far.

        P[t] = (P[t-1] - P r r' P / (lambda + r' P r)) / lambda,   w[t] = w[t-1] - P[t] r e'

    with the error e before the change, and P[0] = I / alpha. Source: Sussillo and Abbott (2009),
    doi:10.1016/j.neuron.2009.07.018; with forgetting as in Waegeman, Wyffels, Schrauwen (2012),
    doi:10.1109/TNNLS.2012.2208655. Rows that come together are taken together, by the
    same equations for several rows at once.

    Args:
        alpha: how strongly the weights are held at zero in the beginning.
        forgetting: lambda in (0, 1], the weight of a row against the next.

    Raises:
        ValueError: a value is out of range.
    """

    def __init__(self, alpha: float = 1e-6, *, forgetting: float = 1.0) -> None:
        if alpha <= 0 or not 0 < forgetting <= 1:
            raise ValueError(
                f"{type(self).__name__}: alpha must be positive and forgetting in (0, 1], got "
                f"{alpha} and {forgetting}."
            )
        self.alpha, self.forgetting = alpha, forgetting

    def options(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "forgetting": self.forgetting}

    def learned(self) -> dict[str, Tensor]:
        return {**super().learned(), "p": self._p}

    def restore(self, learned: dict[str, Tensor]) -> None:
        self._p = learned["p"]
        super().restore(learned)

    def begin(self, features: int, outputs: int, like: Tensor) -> None:
        super().begin(features, outputs, like)
        like = like.double()
        self._held = like.new_zeros(features + 1, outputs)
        self._p = torch.eye(features + 1, dtype=like.dtype, device=like.device) / self.alpha

    def add(self, features: Tensor, targets: Tensor, fold: int = 0) -> None:
        rows = self._with_one(features.double())
        for start in range(0, len(rows), 32):
            self._update(rows[start : start + 32], targets[start : start + 32].double())
        self._split(self._held)

    def _update(self, rows: Tensor, targets: Tensor) -> None:
        count = len(rows)
        powers = torch.arange(count - 1, -1, -1, dtype=rows.dtype, device=rows.device)
        weights = self.forgetting**powers
        scaled = rows * weights.sqrt()[:, None]
        p = self._p / self.forgetting**count
        heard = p @ scaled.T
        inner = torch.eye(count, dtype=rows.dtype, device=rows.device) + scaled @ heard
        p = p - heard @ torch.linalg.solve(inner, heard.T)
        self._p = (p + p.T) / 2
        errors = targets - rows @ self._held
        self._held = self._held + self._p @ (rows * weights[:, None]).T @ errors


class Force(RLS):
    """FORCE: recursive least squares while the network hears its own outputs, not the targets.

    The error is kept small from the first steps on, so what is fed back is nearly right, and
    what the network would do wrong by itself is put right as it learns. Needs feedback.

    Source: Sussillo and Abbott (2009), doi:10.1016/j.neuron.2009.07.018.

    Args:
        alpha: how strongly the weights are held at zero in the beginning; the larger, the slower.
        every: steps from one change of the weights to the next.
        forgetting: the weight of a row against the next.

    Raises:
        ValueError: a value is out of range.
    """

    def __init__(self, alpha: float = 1.0, *, every: int = 1, forgetting: float = 1.0) -> None:
        super().__init__(alpha, forgetting=forgetting)
        if every < 1:
            raise ValueError(f"Force: every must be at least 1, got {every}.")
        self.every = every

    def options(self) -> dict[str, Any]:
        return {**super().options(), "every": self.every}


class LMS(_Online):
    """Least mean squares: a step down the gradient of each row's squared error.

        w[t] = w[t-1] - rate r e'

    Args:
        rate: size of a step; above 2 / (r' r) the weights grow without end.
        epochs: how often the rows of one call are walked through.

    Raises:
        ValueError: a value is out of range, or the weights have grown without end.
    """

    def __init__(self, rate: float = 1e-3, *, epochs: int = 1) -> None:
        if rate <= 0 or epochs < 1:
            raise ValueError(
                f"LMS: rate must be positive and epochs at least 1, got {rate} and {epochs}."
            )
        self.rate, self.epochs = rate, epochs

    def options(self) -> dict[str, Any]:
        return {"rate": self.rate, "epochs": self.epochs}

    def begin(self, features: int, outputs: int, like: Tensor) -> None:
        super().begin(features, outputs, like)
        self._held = like.new_zeros(features + 1, outputs)

    def add(self, features: Tensor, targets: Tensor, fold: int = 0) -> None:
        rows = self._with_one(features)
        for _ in range(self.epochs):
            for row, target in zip(rows, targets.to(rows), strict=True):
                error = row @ self._held - target
                self._held = self._held - self.rate * torch.outer(row, error)
        if not torch.isfinite(self._held).all():
            most = 2 / float((rows**2).sum(1).max())
            raise ValueError(
                f"LMS: the weights have grown without end at rate {self.rate:g}. Take one below "
                f"{most:.1e}."
            )
        self._split(self._held)


class Gradient(Readout):
    """Any loss, by gradient descent on rows that are kept.

    Args:
        loss: maps outputs [n, O] and targets (as they were given) to a number.
        outputs: O; None: as wide as the targets. Needed where these are classes.
        epochs: how often all rows are walked through.
        batch_size: rows of a step.
        optimiser: makes one from parameters; None: Adam at 0.01.
        seed: of the order of the rows.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(
        self,
        loss: Callable[[Tensor, Tensor], Tensor],
        *,
        outputs: int | None = None,
        epochs: int = 50,
        batch_size: int = 256,
        optimiser: Callable[[Any], torch.optim.Optimizer] | None = None,
        seed: int = 0,
    ) -> None:
        if epochs < 1 or batch_size < 1:
            raise ValueError(
                f"Gradient: epochs and batch_size must be at least 1, got {epochs} and "
                f"{batch_size}."
            )
        self.loss, self.outputs, self.epochs = loss, outputs, epochs
        self.batch_size, self.seed = batch_size, seed
        self.optimiser = optimiser or (lambda parameters: torch.optim.Adam(parameters, lr=0.01))

    def begin(self, features: int, outputs: int, like: Tensor) -> None:
        super().begin(features, self.outputs or outputs, like)
        self._rows: list[tuple[Tensor, Tensor]] = []

    def add(self, features: Tensor, targets: Tensor, fold: int = 0) -> None:
        self._rows.append((features.clone(), targets.clone()))

    def end(self) -> None:
        features, targets = (torch.cat(parts) for parts in zip(*self._rows, strict=True))
        self._rows = []
        weight = nn.Parameter(self.weight.clone())
        bias = nn.Parameter(self.bias.clone())
        optimiser = self.optimiser([weight, bias])
        order = torch.Generator().manual_seed(self.seed)
        for _ in range(self.epochs):
            shuffled = torch.randperm(len(features), generator=order)
            for chosen in torch.split(shuffled, self.batch_size):
                optimiser.zero_grad()
                loss = self.loss(
                    nn.functional.linear(features[chosen], weight, bias), targets[chosen]
                )
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        self.weight, self.bias = weight.detach(), bias.detach()


# those that can be built again from plain values
KINDS: dict[str, type[Readout]] = {kind.__name__: kind for kind in (Ridge, RLS, Force, LMS)}
