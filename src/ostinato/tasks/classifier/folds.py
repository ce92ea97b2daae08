"""Cross-validation of a classifier: every row is scored once, by a model that has not seen it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.columns import TableError
from ostinato.tasks.classifier.fitting import Parts, cut, read_parts, spread
from ostinato.tasks.classifier.settings import ClassifierSettings

if TYPE_CHECKING:
    from ostinato.tasks.classifier.task import Classifier

__all__ = ["Folds", "cross_validate"]


@dataclass
class Folds:
    """What each fold scored.

    Attributes:
        accuracies: of the model, a number a fold.
        baselines: of simple guesses, by name, likewise.
        labels: names, by number.
        confusion: of all folds together; see `LabelScore`. None where there may be several labels.
    """

    labels: list[str] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    baselines: dict[str, list[float]] = field(default_factory=dict)
    confusion: Any = None

    @property
    def accuracy(self) -> float:
        """The mean over folds."""
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float:
        """The standard deviation over folds."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else 0.0

    def add(self, figures: Mapping[str, Any]) -> None:
        """Take in the figures of a fold."""
        held_out = figures["held_out"]
        self.accuracies.append(held_out["accuracy"])
        for name, accuracy in figures.get("baselines", {}).items():
            self.baselines.setdefault(name, []).append(accuracy)
        if "confusion" in held_out:
            counts = np.array(held_out["confusion"])
            self.confusion = counts if self.confusion is None else self.confusion + counts

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "folds": len(self.accuracies),
            "accuracy": self.accuracy,
            "deviation": self.deviation,
            "accuracies": self.accuracies,
            "baselines": {name: float(np.mean(each)) for name, each in self.baselines.items()},
            "labels": self.labels,
            "confusion": None if self.confusion is None else self.confusion.tolist(),
        }


def cross_validate(
    kind: type[Classifier],
    source: Any,
    folds: int,
    baselines: bool,
    watch: Callable[[int, Mapping[str, Any]], object] | None,
    *,
    config: Any = None,
    **options: Any,
) -> Folds:
    """See `Classifier.cross_validate`."""
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}.")
    named = {name: value for name, value in options.items() if name != "cell"}
    settings: ClassifierSettings = _settings(config).changed(**named)
    # neither part is drawn here: the folds are
    whole = read_parts(settings.changed(validation=0.0, held_out=0.0), source)
    rows, seed = whole.rows, settings.training.seed
    if len(rows) < folds:
        raise TableError(f"{len(rows)} row(s) cannot be dealt into {folds} folds. Give more rows.")
    order = spread(rows, whole.train, seed)
    found = Folds()
    for number in range(folds):
        asked = np.sort(order[number::folds])
        seen, val = cut(rows, np.setdiff1d(order, asked), settings.data.validation, seed + 1)
        model = kind.fit(
            Parts(rows, seen, val, asked),
            config=settings,
            cell=options.get("cell"),
            baselines=baselines,
            progress=False,
        )
        found.labels = model.labels
        found.add(model.figures)
        if watch is not None:
            watch(number, model.figures)
    return found


def _settings(config: Any) -> ClassifierSettings:
    if isinstance(config, ClassifierSettings):
        return config
    if isinstance(config, Mapping):
        return ClassifierSettings.from_dict(config)
    return ClassifierSettings() if config is None else ClassifierSettings.load(config)
