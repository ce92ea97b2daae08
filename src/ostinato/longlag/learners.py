"""What learns a problem: by gradients, by Hessian-free steps, or by a readout alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ostinato.data.problems import Examples
from ostinato.data.problems.examples import one_hot
from ostinato.longlag.network import Network, Tensors
from ostinato.reservoirs.equations import SingularRidgeError
from ostinato.reservoirs.layer import Reservoir
from ostinato.reservoirs.readouts import Ridge
from ostinato.training.clipping import Clipper
from ostinato.training.hessian_free import (
    Bernoulli,
    CrossEntropy,
    HessianFree,
    Objective,
    SquaredError,
)
from ostinato.training.hessian_free.losses import KnownLoss

__all__ = ["GradientLearner", "HessianFreeLearner", "Learner", "ReservoirLearner"]

Scores = np.ndarray[Any, Any]

# numbers of a reservoir's states that are held at a time
_HELD = 2**23


class Learner(Protocol):
    """Learns from rows, an update at a time, and answers.

    Attributes:
        batch: rows of an update.
        every: updates between two looks at how good it is.
        scores: what it says of classes and bits are scores that the losses take.
    """

    batch: int
    every: int
    scores: bool

    def learn(self, rows: Examples) -> float | None:
        """Make one update.

        Returns:
            The mean loss before it; None where there is none.
        """

    def answer(self, rows: Examples) -> Scores:
        """Numbers, or scores of classes or bits, [T, N, O]."""


class GradientLearner:
    """A network, and an optimiser that walks down its gradient.

    Args:
        network: with its weights as they start.
        optimiser: over its parameters.
        batch: rows of an update.
        clip: the largest norm of a gradient; None: any.
        after: called after each update: bounds on the weights.
    """

    every = 50
    scores = True

    def __init__(
        self,
        network: Network,
        optimiser: torch.optim.Optimizer,
        *,
        batch: int,
        clip: float | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        self.network, self.optimiser, self.batch = network, optimiser, batch
        self.clipper = Clipper(clip)
        self._after = after

    def learn(self, rows: Examples) -> float:
        self.optimiser.zero_grad()
        loss = self.network.loss(Tensors.of(rows))
        loss.backward()  # type: ignore[no-untyped-call]
        self.clipper(self.network.parameters())
        self.optimiser.step()
        if self._after is not None:
            self._after()
        return loss.item()

    def answer(self, rows: Examples) -> Scores:
        return self.network.answer(rows)


class HessianFreeLearner:
    """A network, and Hessian-free steps.

    The loss is summed over the steps of a row and averaged over rows, as in the sources of the
    damping's size. The curvature is that of the first rows of each batch, the gradient that of the
    others: what a step gains on rows that its gradient has not seen is no chance.

    Args:
        network: with its weights as they start.
        batch: rows of an update.
        share: of these, what is for the curvature.
        options: of `HessianFree`.
    """

    every = 1
    scores = True

    def __init__(self, network: Network, *, batch: int, share: float, **options: Any) -> None:
        self.network, self.batch, self.share = network, batch, share
        self.optimiser = HessianFree(network, **options)

    def learn(self, rows: Examples) -> float:
        count = max(1, int(self.share * rows.mask.shape[1]))
        return self.optimiser.step(
            lambda: self._objective(rows, slice(count, None)),
            lambda: self._objective(rows, slice(count)),
        )

    def _objective(self, rows: Examples, part: slice) -> Objective:
        inputs = torch.from_numpy(rows.inputs[:, part])
        counted = torch.from_numpy(rows.mask[:, part]).to(inputs)
        targets = torch.from_numpy(rows.targets[:, part])
        states = self.network.states(inputs)
        loss = _KNOWN[rows.loss](targets, weight=counted, rows=inputs.shape[1])
        return Objective(self.network.readout(states), loss, states)

    def answer(self, rows: Examples) -> Scores:
        return self.network.answer(rows)


_KNOWN: dict[str, Callable[..., KnownLoss]] = {
    "squared": SquaredError,
    "classes": CrossEntropy,
    "bits": Bernoulli,
}


class ReservoirLearner:
    """A reservoir, and a readout by ridge of all rows so far, found anew when it is asked.

    Classes and bits are learned as numbers, 1 and 0, or 1 and -1.

    Args:
        reservoir: one layer; the readout sees its states and the inputs.
        outputs: O.
        penalty: of the ridge; more where the features are combinations of others.
        batch: rows of an update.
    """

    every = 10
    scores = False

    def __init__(self, reservoir: Reservoir, outputs: int, *, penalty: float, batch: int) -> None:
        self.reservoir, self.batch = reservoir, batch
        self.readout = Ridge(penalty)
        self._penalty = penalty
        cell = reservoir.units[0]
        like = torch.empty(0, dtype=torch.float64)
        self.readout.begin(cell.input_size + cell.hidden_size, outputs, like)
        self._found = False

    @torch.no_grad()
    def learn(self, rows: Examples) -> None:
        for part in self._parts(rows):
            counted = rows.mask[:, part]
            features = self._features(rows.inputs[:, part])[torch.from_numpy(counted)]
            self.readout.add(features, _numbers(rows, part))
        self._found = False

    @torch.no_grad()
    def answer(self, rows: Examples) -> Scores:
        if not self._found:
            self._solve(self._penalty)
            self._found = True
        found = [self.readout(self._features(rows.inputs[:, p])) for p in self._parts(rows)]
        answer: Scores = torch.cat(found, dim=1).numpy()
        return answer

    def _solve(self, penalty: float) -> None:
        """Find the readout, with a larger penalty where this one is too small."""
        self.readout.penalty = penalty
        try:
            self.readout.end()
        except SingularRidgeError:
            self._solve(max(10 * penalty, 1e-12))

    def _parts(self, rows: Examples) -> list[slice]:
        """Rows that are walked at a time, so that their states fit in memory."""
        T, N = rows.mask.shape
        width = self.readout.weight.shape[1]
        step = max(1, _HELD // (T * width))
        return [slice(first, first + step) for first in range(0, N, step)]

    def _features(self, inputs: Scores) -> Tensor:
        x = torch.from_numpy(inputs).double()
        return torch.cat([self.reservoir(x)[0], x], dim=2)


def _numbers(rows: Examples, part: slice) -> Tensor:
    """What is learned at the steps that count, float64 [n, O]."""
    wanted = rows.targets[:, part][rows.mask[:, part]]
    if rows.loss == "classes":
        wanted = one_hot(wanted, rows.outputs)
    if rows.loss == "bits":
        wanted = 2 * wanted - 1
    return torch.from_numpy(wanted).double()
