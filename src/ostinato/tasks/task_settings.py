"""What the settings of every task have in common: three sections, read, changed and written alike.

They are read and written without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ostinato.config import ConfigError, build, merge, nearest, presets, read_config, to_dict
from ostinato.tasks.checks import at_least, check, one_of, shares
from ostinato.training.config import TrainingConfig, unused_by

__all__ = ["StackSettings", "TaskSettings", "recorded_settings"]

S = TypeVar("S", bound="TaskSettings")

_PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class StackSettings:
    """The recurrent part of a network; `ostinato.tasks.stack.build_stack` builds it.

    Attributes:
        cell: a name such as "lstm", or "module:Class" of any cell.
        cell_options: further arguments of the cell.
        hidden_size: H, width of each layer (of each direction).
        num_layers: L.
        dropout: share of the entries dropped between layers.
        locked_dropout: what is dropped, is dropped at all steps of a row.
        recurrent_dropout: share dropped inside the recurrent product, one mask for all steps.
        zoneout: share of the units that keep their old state for a step.
        weight_drop: share of the recurrent weights dropped for a batch.
        residual: each layer adds its input to its output.
        initial_state: what a sequence starts from: "zeros", "ones", "random" or "learned".
        initialise: start of the recurrent weights, by name ("orthogonal", "identity", "radius",
            "sparse", "uniform", ...; see `ostinato.initialise`), or, with commas between, one for
            each layer; None: as the cell starts them.
        initialise_input: likewise of the input's weights.
        initialise_gain: of `initialise`: singular values, or the spectral radius.
        forget_bias: bias of the gates that keep the state; None: as the cell starts it.
        chrono: longest lag in steps, by which these gates start instead; None: not by lags.
        clip_gradient: largest norm (or entry, by `clip_gradient_by`) of a state's gradient at each
            step back through time; None: no limit.
        clip_gradient_by: "norm" or "value".
    """

    cell: str = "lstm"
    cell_options: Mapping[str, Any] = field(default_factory=dict)
    hidden_size: int = 128
    num_layers: int = 1
    dropout: float = 0.0
    locked_dropout: bool = False
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    weight_drop: float = 0.0
    residual: bool = False
    initial_state: str = "zeros"
    initialise: str | None = None
    initialise_input: str | None = None
    initialise_gain: float = 1.0
    forget_bias: float | None = None
    chrono: int | None = None
    clip_gradient: float | None = None
    clip_gradient_by: str = "norm"

    def __post_init__(self) -> None:
        at_least(self, 1, "hidden_size", "num_layers")
        shares(self, "dropout", "recurrent_dropout", "zoneout", "weight_drop")
        self._check_long_ranges()

    def _check_long_ranges(self) -> None:
        gain, chrono, clip = self.initialise_gain, self.chrono, self.clip_gradient
        at_least(self, 0, "initialise_gain")
        check(
            gain == 1.0 or self.initialise is not None,
            "initialise_gain",
            gain,
            "1 where initialise names no start",
        )
        check(chrono is None or chrono > 2, "chrono", chrono, "above 2 steps, or none")
        check(
            chrono is None or self.forget_bias is None,
            "chrono",
            chrono,
            "none where forget_bias sets the same gates",
        )
        check(clip is None or clip > 0, "clip_gradient", clip, "above 0, or none")
        one_of(self, clip_gradient_by=("norm", "value"))


@dataclass(frozen=True)
class TaskSettings:
    """Base of a task's settings: a subclass has the fields `data`, `model` and `training`.

    `data` and `model` are frozen dataclasses of the task's own; their fields have different names,
    so that one setting can be named without its section.

    Example:
        >>> from ostinato.tasks.language_model.settings import LanguageModelSettings
        >>> settings = LanguageModelSettings().changed(cell="gru", lr=1e-3)
        >>> settings.model.cell, settings.training.lr
        ('gru', 0.001)
        >>> LanguageModelSettings().changed(hiden_size=3)
        Traceback (most recent call last):
        ostinato.config.ConfigError: Unknown setting hiden_size. Did you mean hidden_size?
    """

    # the task's name: of its folder of presets, and in what a run folder records
    TASK: ClassVar[str] = ""
    # what settings were called in earlier run folders: section -> old name -> name
    RENAMED: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    data: Any
    model: Any
    training: TrainingConfig

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All settings as plain values, a dictionary a section."""
        plain: dict[str, dict[str, Any]] = to_dict(self)
        return plain

    @classmethod
    def from_dict(cls: type[S], settings: Mapping[str, Any]) -> S:
        """The defaults, changed where `settings` (sections that map to settings) says so.

        Raises:
            ConfigError: an unknown section or setting, named with the nearest known one, or a
                value of the wrong kind or out of its range.
        """
        return cls().updated(settings)  # type: ignore[call-arg]

    @classmethod
    def load(cls: type[S], name: str | Path) -> S:
        """The defaults, changed as a TOML file says, or a preset of that name.

        Raises:
            ConfigError: there is neither, or it cannot be used.
        """
        return cls.from_dict(cls.read(name))

    @classmethod
    def read(cls, name: str | Path) -> dict[str, Any]:
        """The content of a TOML file, or of the task's preset of that name, as it is written.

        Raises:
            ConfigError: there is neither, or it is not TOML.
        """
        return read_config(name, folder=_PRESETS / cls.TASK)

    @classmethod
    def preset_names(cls) -> list[str]:
        """The settings that come with the package, by name."""
        return presets(_PRESETS / cls.TASK)

    def updated(self: S, *settings: Mapping[str, Any]) -> S:
        """The same, changed where each of `settings` (sections that map to settings) says so.

        What is given later counts, and only what all come to is checked. Of `epochs` and
        `max_steps`, the one that is given alone takes the place of the other, so that a training
        has the length that was asked for last. Given together, what comes first ends it.
        """
        merged: dict[str, Any] = self.to_dict()
        for given in settings:
            table = self._by_their_names(given)
            merged = merge(merged, table)
            training = table.get("training", {})
            if isinstance(training, Mapping):
                merged["training"].update(_replaced(training))
        return build(type(self), merged)

    def _by_their_names(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        table = dict(settings)
        for section, names in self.RENAMED.items():
            if isinstance(table.get(section), Mapping):
                told = table[section].items()
                table[section] = {names.get(name, name): value for name, value in told}
        return table

    def changed(self: S, **settings: Any) -> S:
        """The same with some settings changed, named without their sections.

        Raises:
            ConfigError: an unknown setting, named with the nearest known one, or a wrong value.
        """
        homes = self.homes()
        changes: dict[str, dict[str, Any]] = {}
        for name, value in settings.items():
            if name not in homes:
                raise ConfigError(f"Unknown setting {name}{nearest(name, homes)}")
            changes.setdefault(homes[name], {})[name] = value
        return self.updated(changes)

    def homes(self) -> dict[str, str]:
        """The section of each setting."""
        sections = [entry.name for entry in fields(self)]
        return {
            entry.name: section for section in sections for entry in fields(getattr(self, section))
        }

    def check_resumes(self, earlier: TaskSettings) -> None:
        """See that a run begun under `earlier` may go on under these settings.

        Raises:
            ValueError: a setting differs that would change the course of the run.
        """
        before, after = earlier.to_dict(), self.to_dict()
        for section in ("data", "model"):
            for name, value in after[section].items():
                if before[section][name] != value:
                    raise ValueError(
                        f"resume: {name} is {value!r} but the run was begun with "
                        f"{before[section][name]!r}. A resumed run keeps its settings; leave "
                        f"{name} as it was, or start a new run."
                    )
        self.training.check_resumes(earlier.training.to_dict())


def _replaced(training: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen along with something that `training` gives anew, and goes with it."""
    gone: dict[str, Any] = {}
    if "optimizer" in training:
        gone |= {"beta2": None, **unused_by(training["optimizer"])}
    if training.get("optimizer") == "hessian-free":
        # an average over the few steps that it takes would lag behind
        gone["ema"] = None
    for end, other in (("max_steps", "epochs"), ("epochs", "max_steps")):
        if training.get(end) is not None:
            gone[other] = None
    return {name: value for name, value in gone.items() if name not in training}


def recorded_settings(kind: type[S], folder: str | Path) -> S:
    """The settings that a run was begun with.

    Raises:
        RunError: the folder is no whole run.
        ConfigError: it is the run of another task, or of another Ostinato.
    """
    from ostinato.training.runs import load_run

    run = load_run(folder, weights=False)
    recorded = run.settings.get("settings")
    if run.task != kind.TASK or not isinstance(recorded, Mapping):
        raise ConfigError(f"{folder} is not the run of a {kind.TASK.replace('_', ' ')}.")
    return kind.from_dict(recorded)
