"""Hessian-free optimisation: Newton's method with the Gauss-Newton matrix, never formed."""

from __future__ import annotations

import logging
import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.training.hessian_free.conjugate import Solution, conjugate_gradients
from ostinato.training.hessian_free.damping import (
    DROP,
    back_track,
    line_search,
    next_damping,
    reduction_ratio,
)
from ostinato.training.hessian_free.objective import Batch, Closures
from ostinato.training.hessian_free.products import DISTANCES, Curvature, neither
from ostinato.training.hessian_free.report import Report
from ostinato.training.hessian_free.space import Space

__all__ = ["HessianFree"]

_log = logging.getLogger(__name__)

# relative; the passes of a float32 model that are each other's transpose differ by a thousandth
_TRANSPOSED = 0.05


class HessianFree(torch.optim.Optimizer):
    r"""Hessian-free optimisation, for any model, recurrent or not.

    At each step the objective is taken for a quadratic in the change of the parameters,

        q(d) = f + g' d + 1/2 d' (G + lambda I + lambda mu S) d

    with the gradient g, the Gauss-Newton matrix G = J' H J and, for structural damping, the matrix
    S of the change of the hidden states. Conjugate gradients minimise it by products with the
    matrix alone; each costs one walk in forward mode and one back, for which recurrent layers have
    kernels. The iterate is taken where the objective stops to fall, shortened until it falls
    enough, and lambda follows how well q foretold the fall.

    Sources: Martens (2010), "Deep learning via Hessian-free optimization"; Martens and Sutskever
    (2011), "Learning recurrent neural networks with Hessian-free optimization", for structural
    damping; Martens and Sutskever (2012), doi:10.1007/978-3-642-35289-8_27. What differs: the
    squared gradients of the preconditioner are those of single predictions, estimated by passes
    with random signs; the fall that q foretells is that on the batch of the curvature, by its own
    gradient; a step that is refused raises lambda, unless all that it could gain is lost in
    rounding; a solution after which the objective rose is no start for the next.

    Args:
        module: its parameters that require a gradient are optimised; closures call it.
        damping: lambda at the start. It belongs to an objective that is a mean, and decides how
            soon the first steps are good: where `report.ratio` stays below 1/4 raise it, where it
            stays above 3/4 lower it.
        structural: mu, the strength of structural damping as a share of lambda; 0: none. With it
            the closures of the curvature return hidden states, too.
        distance: between hidden states: "squared", or "cross-entropy" for states in -1..1, which
            counts the change of a saturated unit for more.
        iterations: of conjugate gradients, at most.
        progress: they stop once the last tenth of them (ten at least) lowered q by less than this
            share an iteration.
        decay: what the last step's solution is multiplied by to start from; 0: start from zero.
        precondition: a, for the diagonal (d + lambda)^a of the preconditioner, d being the mean
            of the squared gradients; 0: none.
        draws: passes by which d is estimated.

    Attributes:
        report: a `Report` of the last step; None before the first.

    Raises:
        ValueError: an option is out of its range, or nothing is trainable.

    Example:
        >>> from ostinato.training.hessian_free import SquaredError
        >>> _ = torch.manual_seed(0)
        >>> layer = nn.RNN(2, 8)
        >>> x, y = torch.randn(5, 16, 2), torch.zeros(5, 16, 8)
        >>> def closure():
        ...     hidden, _ = layer(x)
        ...     return hidden, SquaredError(y, rows=16), hidden
        >>> optimizer = HessianFree(layer, damping=0.1, structural=0.03)
        >>> first = optimizer.step(closure)
        >>> for _ in range(4):
        ...     last = optimizer.step(closure)
        >>> f"{first:.2f} -> {last:.2f}"
        '2.28 -> 0.00'
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        damping: float = 1.0,
        structural: float = 0.0,
        distance: str = "squared",
        iterations: int = 250,
        progress: float = 5e-4,
        decay: float = 0.95,
        precondition: float = 0.75,
        draws: int = 4,
    ) -> None:
        _check(damping > 0, "damping", damping, "must be positive")
        _check(structural >= 0, "structural", structural, "must not be negative")
        _check(distance in DISTANCES, "distance", distance, f"must be one of {list(DISTANCES)}")
        _check(iterations >= 1, "iterations", iterations, "must be at least 1")
        _check(progress >= 0, "progress", progress, "must not be negative")
        _check(0 <= decay <= 1, "decay", decay, "must be in 0..1")
        _check(0 <= precondition <= 1, "precondition", precondition, "must be in 0..1")
        _check(draws >= 1, "draws", draws, "must be at least 1")
        self._space = Space(module)
        self._forward: bool | None = None
        self._next_start: Tensor | None = None
        self.report: Report | None = None
        defaults = {
            "damping": damping,
            "structural": structural,
            "distance": distance,
            "iterations": iterations,
            "progress": progress,
            "decay": decay,
            "precondition": precondition,
            "draws": draws,
            "steps": 0,
        }
        super().__init__(self._space.parameters, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """All parameters are one group: they share one quadratic.

        Raises:
            ValueError: there is a group already.
        """
        if self.param_groups:
            raise ValueError(
                "HessianFree: the parameters of the module are one group, since they share one "
                "quadratic. Set requires_grad before the optimiser is made, or make another one."
            )
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Closures, curvature: Closures | None = None
    ) -> float:
        """Make one step.

        Closures take no argument and return (outputs, loss), (outputs, loss, hidden) or an
        `Objective`. Each is called many times a step and must give the same batch each time;
        what torch's generators give inside it (dropout) is repeated for it.

        Args:
            closure: the batch of the gradient and of the line search. A sequence of closures is a
                batch in chunks: one chunk's graph is in memory at a time.
            curvature: the batch whose curvature is taken, and on which an iterate is chosen and
                the damping judged; usually a part of the other. None: the same. The graphs of
                all its chunks are kept for the step.

        Returns:
            The objective on the batch of the gradient, before the step.

        Raises:
            TypeError: a closure returns something else.
            ValueError: structural damping is asked for, and no hidden states are returned.
            NoProductError: the model has neither forward mode nor a second derivative.
        """
        batch = Batch(closure, "closure", self._space.device)
        small = batch
        if curvature is not None:
            small = Batch(curvature, "curvature", self._space.device)
        self._next_start = None
        report, end = self._solve(batch, small, self._space.read())
        if not report.refused:
            self._space.write(end)
        self._settle(report)
        return report.objective

    def _solve(self, batch: Batch, small: Batch, start: Tensor) -> tuple[Report, Tensor]:
        """Find a step: what is known of it, and where it ends."""
        group = self.param_groups[0]
        report = Report(group["steps"] + 1, group["damping"])
        report.objective, grads = batch.gradient(self._space.parameters)
        report.objective_after = report.objective
        gradient = self._space.flat(grads)
        report.gradient_norm = gradient.norm().item()
        if not math.isfinite(report.objective + report.gradient_norm):
            return _refused(report, "the objective or its gradient is not finite"), start
        matrix = self._matrix(small, gradient)
        solution = self._minimise(matrix, gradient)
        report.iterations, report.stopped = solution.count, solution.reason
        if solution.reason == "not finite" or not math.isfinite(sum(solution.values)):
            return _refused(report, "a product with the curvature is not finite"), start
        if solution.reason == "curvature" and not solution.iterates[-1].any():
            # a loss that is not convex; damping makes the matrix positive
            return _refused(report, "the curvature along the gradient is not positive"), start
        step = self._choose(matrix, small, solution, start, report)
        if not math.isfinite(report.curvature_after):
            return _refused(report, "the objective is not finite after any iterate"), start
        if _unresolved(report, step):
            # no damping makes that better
            report.refused = "the fall that is foretold is lost in the rounding of the objective"
            report.damping_after = report.damping
            return report, start
        return self._shorten(batch, gradient, start, step, report)

    def _matrix(self, small: Batch, probe: Tensor) -> Curvature:
        """The curvature; at the first step, in forward mode if that is to be had."""
        if self._forward is None:
            self._forward = self._has_forward(small, probe)
        group = self.param_groups[0]
        return Curvature(
            self._space,
            small,
            structural=group["damping"] * group["structural"],
            distance=group["distance"],
            forward=self._forward,
        )

    def _has_forward(self, small: Batch, probe: Tensor) -> bool:
        try:
            far = Curvature(self._space, small).disagreement(probe)
        except (NotImplementedError, RuntimeError) as error:
            why = str(error).strip().split("\n", 1)[0]
        else:
            # where products are not finite, there is nothing to be compared
            if not far > _TRANSPOSED:
                return True
            why = f"it and the pass back disagree by {far:.0%}"
        warnings.warn(
            f"HessianFree: forward mode cannot be used ({why}). Products with the curvature take "
            "two passes back instead, which is slower and holds more.",
            stacklevel=8,
        )
        far = Curvature(self._space, small, forward=False).disagreement(probe)
        if far > _TRANSPOSED:
            raise neither(f"the passes back disagree by {far:.0%}, and forward mode fails ({why})")
        return False

    def _minimise(self, matrix: Curvature, gradient: Tensor) -> Solution:
        group = self.param_groups[0]
        damping, power = group["damping"], group["precondition"]
        scale = None
        if power:
            signs = torch.Generator().manual_seed(group["steps"])
            scale = (matrix.squared_gradients(signs, group["draws"]) + damping) ** power
        return conjugate_gradients(
            lambda v: matrix(v) + damping * v,
            gradient,
            group["decay"] * self._remembered(),
            preconditioner=scale,
            iterations=group["iterations"],
            progress=group["progress"],
        )

    def _choose(
        self, matrix: Curvature, small: Batch, solution: Solution, start: Tensor, report: Report
    ) -> Tensor:
        """The iterate to take, and how well the quadratic knew it."""
        report.curvature_objective = matrix.value()
        choice = back_track(
            lambda step: self._after(small, start, step),
            solution.iterates,
            report.curvature_objective,
        )
        step = solution.iterates[int(choice.place)]
        report.chosen = solution.iterations[int(choice.place)]
        report.curvature_after = choice.value
        rise, bend = matrix.gradient(), matrix.undamped(step)
        report.foretold = (torch.dot(rise, step) + 0.5 * torch.dot(step, bend)).item()
        change = report.curvature_after - report.curvature_objective
        report.ratio = reduction_ratio(change, report.foretold)
        if math.isfinite(report.ratio):
            self._next_start = solution.iterates[-1]
        return step

    def _shorten(
        self, batch: Batch, gradient: Tensor, start: Tensor, step: Tensor, report: Report
    ) -> tuple[Report, Tensor]:
        choice = line_search(
            lambda rate: self._after(batch, start, rate * step),
            report.objective,
            torch.dot(gradient, step).item(),
        )
        if not choice.place:
            return _refused(report, "no part of the step lowers the objective"), start
        report.rate, report.objective_after = choice
        report.damping_after = next_damping(report.damping, report.ratio)
        report.step_norm = report.rate * step.norm().item()
        return report, start + report.rate * step

    def _after(self, batch: Batch, start: Tensor, step: Tensor) -> float:
        """The objective that a step would lead to."""
        moved = dict(zip(self._space.named, self._space.shaped(start + step), strict=True))
        value: float = self._space.called_with(moved, batch.value)
        return value

    def _settle(self, report: Report) -> None:
        group = self.param_groups[0]
        group["steps"], group["damping"] = report.step, report.damping_after
        self._remember(self._next_start)
        self.report = report
        _log.log(logging.WARNING if report.refused else logging.INFO, "%s", report)

    def _remember(self, solution: Tensor | None) -> None:
        self.state.clear()
        if solution is not None:
            for parameter, part in zip(
                self._space.parameters, self._space.shaped(solution), strict=True
            ):
                self.state[parameter]["solution"] = part.clone()

    def _remembered(self) -> Tensor:
        parameters = self._space.parameters
        return self._space.flat(
            [self.state[p].get("solution", torch.zeros_like(p)) for p in parameters]
        )


def _refused(report: Report, why: str) -> Report:
    report.refused = why
    report.damping_after = report.damping / DROP
    return report


def _unresolved(report: Report, step: Tensor) -> bool:
    smallest = torch.finfo(step.dtype).eps * abs(report.curvature_objective)
    return abs(report.foretold) <= smallest


def _check(holds: bool, name: str, value: object, need: str) -> None:
    if not holds:
        raise ValueError(f"HessianFree: {name} {need}, got {value!r}.")
