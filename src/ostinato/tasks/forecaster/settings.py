"""Settings of a forecaster: what the columns mean, what the network is, how it is trained.

They are read and written without importing torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ostinato.tasks.checks import at_least, check, convex, one_of, shares
from ostinato.tasks.task_settings import StackSettings, TaskSettings
from ostinato.training.config import TrainingConfig

__all__ = [
    "CALIBRATIONS",
    "LEVELS",
    "MODES",
    "ForecasterSettings",
    "ModelSettings",
    "SeriesSettings",
]

MODES = ("direct", "decoder", "recursive")
LEVELS = ("off", "last", "season", "instance")
CALIBRATIONS = ("off", "validation", "recent")
OUTPUTS = ("gaussian", "student_t", "quantile", "mse", "mae", "huber")
_FILLS = ("forward", "linear", "zero", "seasonal")
_SCALES = ("series", "all", "off")


@dataclass(frozen=True)
class SeriesSettings:
    """From a table to windows.

    Attributes:
        target: column(s) to forecast, together; (): the only one that is left.
        time: column of times; None: one of a usual name, or else rows are counted.
        id: column that names the series; None: all rows are one series.
        past: columns that are known as far as the target is.
        known: columns that are known in advance.
        separate: each target is a series of its own, all of them learned by one network.
        time_format: how times are spelled, e.g. "%d.%m.%Y %H:%M"; None: found out.
        frequency: the step, e.g. "1h"; None: the most frequent one.
        fill: what is put where rows or values are missing: "forward", "linear", "zero" or
            "seasonal"; None: they are an error.
        calendar: cycles of the calendar that the network reads ("hour", "day", "week", "month",
            "year"); (): none; None: the day of shorter steps, the week of days, the year of longer
            ones, if training sees it twice.
        scale: standardise "series" by series, "all" by one mean and spread, or "off". Measured on
            the training part.
        horizon: H, steps to forecast.
        train: what is trained on, from the beginning: a share of the rows, a number of rows, or
            the date at which it begins; None: all that the other parts leave.
        validation: what decides which weights are best, after it: a share, a number of rows, or
            its first date.
        held_out: what the final score is for, after that; the same.
        batch_size: B, windows at a time.
        epoch_windows: windows of an epoch at most, drawn anew for each; None: all there are.
        shuffle: windows in an order of its own for each epoch.
    """

    target: tuple[str, ...] | str = ()
    time: str | None = None
    id: str | None = None
    past: tuple[str, ...] | str = ()
    known: tuple[str, ...] | str = ()
    separate: bool = False
    time_format: str | None = None
    frequency: str | None = None
    fill: str | None = None
    calendar: tuple[str, ...] | str | None = None
    scale: str = "series"
    horizon: int = 24
    train: int | float | str | None = None
    validation: int | float | str = 0.1
    held_out: int | float | str = 0.1
    batch_size: int = 64
    epoch_windows: int | None = 50_000
    shuffle: bool = True

    def __post_init__(self) -> None:
        for name in ("target", "past", "known", "calendar"):
            value: Any = getattr(self, name)
            if value is not None:
                names = (value,) if isinstance(value, str) else tuple(value)
                object.__setattr__(self, name, names)
        at_least(self, 1, "horizon", "batch_size", "epoch_windows")
        for name in ("train", "validation", "held_out"):
            value = getattr(self, name)
            number = isinstance(value, (int, float))
            check(not number or value >= 0, name, value, "0 or more, or a date")
            check(
                not isinstance(value, float) or value < 1 or value == int(value),
                name,
                value,
                "a share below 1, a whole number of rows, or a date",
            )
        one_of(self, fill=(None, *_FILLS), scale=_SCALES)


@dataclass(frozen=True)
class ModelSettings(StackSettings):
    """The network: the past -> a stack of cells -> what is said about each step to come.

    Attributes (besides those of the stack):
        history: rows that the cells read; None: four seasons.
        lags: rows of the target that enter the forecast through one linear map, beside the cells;
            0: none; None: fourteen seasons.
        season: steps of the cycle; None: a day of hours or minutes, a week of days, a year of
            months or weeks; without any, the horizon.
        mode: "direct" (all steps of the horizon at once), "decoder" (a second stack of cells walks
            over the horizon and reads what is known in advance), or "recursive" (one step, which
            is then read like an observed one).
        level: what forecasts are relative to: "last" (the last value), "season" (the value a season
            before), "instance" (mean and spread of the history), or "off" (nothing).
        output: "gaussian", "student_t", "quantile", or a number alone, by "mse", "mae" or "huber".
        beta: in 0..1, of the output "gaussian": 0 is plain maximum likelihood, under which the mean
            is learned where spreads are small; at 1 it is learned as by "mse".
        quantiles: levels of the output "quantile".
        intervals: probabilities of the intervals that are scored and kept calibrated.
        calibration: how intervals are corrected: "recent" (by the errors of the last forecasts
            whose outcome is known), "validation" (by those of the validation part), or "off".
        calibration_windows: how many forecasts count as the last ones.
        output_dropout: share of the entries of the stack's output dropped in training.
        series_embedding: width of a learned vector for each series; 0: none.
        samples: paths drawn for a "recursive" forecast.
        update_lr: learning rate of `update`; None: a tenth of the training's.
    """

    cell: str = "gru"
    hidden_size: int = 32
    history: int | None = None
    lags: int | None = None
    season: int | None = None
    mode: str = "direct"
    level: str = "last"
    output: str = "gaussian"
    beta: float = 0.0
    quantiles: tuple[float, ...] = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    intervals: tuple[float, ...] = (0.8, 0.95)
    calibration: str = "recent"
    calibration_windows: int = 168
    output_dropout: float = 0.0
    series_embedding: int = 0
    samples: int = 100
    update_lr: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "history", "season", "calibration_windows", "samples")
        at_least(self, 0, "lags", "series_embedding")
        one_of(self, mode=MODES, level=LEVELS, output=OUTPUTS, calibration=CALIBRATIONS)
        check(0 <= self.beta <= 1, "beta", self.beta, "in 0..1")
        check(
            not self.beta or self.output == "gaussian",
            "beta",
            self.beta,
            f"0 where the output is {self.output!r}, not 'gaussian'",
        )
        shares(self, "output_dropout")
        for name in ("quantiles", "intervals"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            fine = all(0 < value < 1 for value in values) and list(values) == sorted(set(values))
            check(fine and len(values) > 0, name, values, "rising, each between 0 and 1")
        rate = self.update_lr
        check(rate is None or rate > 0, "update_lr", rate, "positive")


def _default_training() -> TrainingConfig:
    return TrainingConfig(
        lr=1e-3,
        weight_decay=0.01,
        clip=1.0,
        warmup_steps=50,
        schedule="cosine",
        epochs=10,
        ema=0.995,
    )


@dataclass(frozen=True)
class ForecasterSettings(TaskSettings):
    """All settings of a forecaster, in three sections."""

    TASK: ClassVar[str] = "forecaster"

    data: SeriesSettings = field(default_factory=SeriesSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingConfig = field(default_factory=_default_training)

    def __post_init__(self) -> None:
        fit = self.model.output in ("mse", "huber")
        convex(self, fit, "it needs the output mse or huber, whose loss is convex and curved")
