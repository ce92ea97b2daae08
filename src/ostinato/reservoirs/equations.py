"""Normal equations, summed up in one pass, from which ridge readouts of any penalty follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reservoirs import gram

__all__ = ["Choice", "NormalEquations", "SingularRidgeError"]


class SingularRidgeError(ValueError):
    """A penalty is too small for the features: they are, or nearly are, combinations of others."""


@dataclass(frozen=True)
class Choice:
    """A penalty that was chosen.

    Attributes:
        penalty: it.
        errors: mean squared error on the rows left out, by penalty; inf where it was too small.
    """

    penalty: float
    errors: dict[float, float]


class NormalEquations:
    """Sums of products of features, a constant and targets: all that ridge regression needs.

    Rows may be dealt to folds, each with its own sums. What is fitted without a fold
    follows from the difference, so that a penalty is chosen without a second pass over the data.

        W = (X'X + penalty I)^-1 X'Y    with X and Y less their means

    Source: Lukosevicius (2012), "A practical guide to applying echo state networks", section 4.
    Unlike there, the constant is not punished.

    Args:
        features: F.
        targets: O.
        folds: how many.
        device: where the sums are, in float64.

    Raises:
        ValueError: a size is below 1.

    Example:
        >>> x = torch.randn(100, 3).double()
        >>> equations = NormalEquations(3, 1)
        >>> equations.add(x, x[:, :1] + 2 * x[:, 1:2] + 5)
        >>> weight, bias = equations.solve(1e-9)
        >>> [round(10 * w) for w in weight[0].tolist()], round(bias.item(), 6)
        ([10, 20, 0], 5.0)
    """

    def __init__(
        self,
        features: int,
        targets: int,
        *,
        folds: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        for name, size in (("features", features), ("targets", targets), ("folds", folds)):
            if size < 1:
                raise ValueError(f"normal equations: {name} must be at least 1, got {size}.")
        self.features, self.targets, self.folds = features, targets, folds
        columns = features + 1 + targets
        like = torch.empty(0, dtype=torch.float64, device=device)
        self.panels: gram.Panels | None = None
        if gram.fits(like):
            self.panels = gram.Panels(columns, 768, torch.float64)
            self._sums = [self.panels.zeros() for _ in range(folds)]
        else:
            self._sums = [like.new_zeros(columns, columns) for _ in range(folds)]

    def add(self, features: Tensor, targets: Tensor, fold: int = 0) -> None:
        """Add rows.

        Args:
            features: [n, F].
            targets: [n, O].
            fold: which they belong to.
        """
        ones = features.new_ones(len(features), 1)
        if self.panels is None:
            rows = torch.cat([features, ones, targets.to(features)], dim=1).to(self._sums[0])
            self._sums[fold] += rows.T @ rows
            return
        for start in range(0, len(features), self.panels.rows):
            part = slice(start, start + self.panels.rows)
            self.panels.fill(0, features[part], 0)
            self.fill_rest(ones[part], targets[part])
            self.add_rows(0, len(features[part]), fold)

    def fill_rest(self, ones: Tensor, targets: Tensor) -> None:
        """Put the constant and the targets behind the features that stand in the panels."""
        assert self.panels is not None
        self.panels.fill(0, ones, self.features)
        self.panels.fill(0, targets, self.features + 1)

    def add_rows(self, start: int, count: int, fold: int) -> None:
        """Add rows that stand in the panels."""
        assert self.panels is not None
        self.panels.add(self._sums[fold], start, count)

    def another(self) -> NormalEquations:
        """Empty sums of the same kind, to be joined to these later."""
        return NormalEquations(
            self.features, self.targets, folds=self.folds, device=self._sums[0].device
        )

    def join(self, other: NormalEquations) -> None:
        """Add the rows of another."""
        for sums, more in zip(self._sums, other._sums, strict=True):
            sums += more

    def solve(self, penalty: float) -> tuple[Tensor, Tensor]:
        """The readout of a penalty: weight [O, F] and bias [O].

        Raises:
            SingularRidgeError: the penalty is too small.
            ValueError: it is negative, no row was added, or a value was not finite.
        """
        sums = sum(self._sums[1:], self._sums[0])
        self._check(sums, penalty)
        found = self._solved(sums, penalty)
        if found is None:
            raise SingularRidgeError(self._singular(sums, penalty))
        return found

    def choose(self, penalties: Sequence[float]) -> Choice:
        """The penalty with the smallest error on folds left out, one after the other.

        Where the error is so small that the sums cannot tell it from rounding, the largest of the
        penalties that reach it.

        Raises:
            ValueError: fewer than two folds, or no penalty.
            SingularRidgeError: all penalties are too small.
        """
        if self.folds < 2 or not penalties:
            raise ValueError(
                f"cross-validation: at least 2 folds and 1 penalty are needed, got {self.folds} "
                f"and {len(penalties)}."
            )
        folds = self._sums
        total = sum(folds[1:], folds[0])
        self._check(total, min(penalties))
        errors = {p: self._left_out(folds, total, p) for p in sorted(penalties)}
        best, floor = min(error for error, _ in errors.values()), 0.0
        if best == float("inf"):
            raise SingularRidgeError(self._singular(total, max(penalties)))
        floor = max(noise for error, noise in errors.values() if error == best)
        good = [p for p, (error, _) in errors.items() if error <= best + floor]
        return Choice(max(good), {p: error for p, (error, _) in errors.items()})

    def _left_out(self, folds: list[Tensor], total: Tensor, penalty: float) -> tuple[float, float]:
        """Mean squared error on the rows left out, and how far rounding may have moved it."""
        error = noise = rows = 0.0
        split = self.features + 1
        for fold in folds:
            found = self._solved(total - fold, penalty)
            if found is None:
                return float("inf"), 0.0
            weight = torch.cat([found[0], found[1][:, None]], dim=1)
            product = weight @ self._whole(fold)[:split, :split]
            parts = (
                fold.diagonal()[split : split + self.targets],
                -2 * (weight * fold[:split, split : split + self.targets].T).sum(1),
                (weight * product).sum(1),
            )
            error += float(sum(part.sum() for part in parts))
            noise += float((weight * product).abs().sum()) * torch.finfo(weight.dtype).eps
            rows += float(fold[self.features, self.features])
        return max(error, 0.0) / rows, noise / rows

    def _whole(self, sums: Tensor) -> Tensor:
        return sums if self.panels is None else self.panels.whole(sums)

    def _solved(self, sums: Tensor, penalty: float) -> tuple[Tensor, Tensor] | None:
        F = self.features
        count = sums[F, F]
        # of all sums the upper half is there
        means, middle = sums[:F, F] / count, sums[F, F + 1 : F + 1 + self.targets] / count
        square = torch.addr(sums[:F, :F], sums[:F, F], means, alpha=-1)
        cross = sums[:F, F + 1 : F + 1 + self.targets] - count * torch.outer(means, middle)
        square.diagonal().add_(penalty)
        factor, failed = torch.linalg.cholesky_ex(square, upper=True)
        if int(failed):
            return None
        weight = torch.cholesky_solve(cross, factor, upper=True).T
        return (weight, middle - weight @ means) if torch.isfinite(weight).all() else None

    def _check(self, sums: Tensor, penalty: float) -> None:
        if not penalty >= 0:
            raise ValueError(f"ridge: the penalty must not be negative, got {penalty}.")
        if not torch.isfinite(sums.diagonal()).all():
            raise ValueError(
                "ridge: a feature or target is NaN or infinite. Look for it in the data; states "
                "of units that are not bounded (relu) grow without end under a large spectral "
                "radius."
            )
        if float(sums[self.features, self.features]) < 1:
            raise ValueError("ridge: no row was added, so there is nothing to fit.")

    def _singular(self, sums: Tensor, penalty: float) -> str:
        size = float(sums.diagonal()[: self.features].max())
        enough = max(penalty, 1e-17 * max(size, 1e-300))
        while self._solved(sums, enough) is None:
            enough *= 10
        rows = int(sums[self.features, self.features])
        return (
            f"ridge: {self.features} features from {rows} rows are, to the last digit, not "
            f"independent of each other, so a penalty of {penalty:g} has no solution. {enough:.0e} "
            'is enough; take that or more, or let it be chosen by ridge="cv".'
        )
