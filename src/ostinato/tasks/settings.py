"""Settings of a language model: what a token is, what the network is, how it is trained.

They are read and written without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ostinato.config import ConfigError, build, merge, nearest, presets, read_config, to_dict
from ostinato.training.config import TrainingConfig

__all__ = [
    "DataSettings",
    "LanguageModelSettings",
    "ModelSettings",
    "preset_names",
    "read_settings",
    "recorded_settings",
]

_PRESETS = Path(__file__).parent / "presets" / "language_model"
_SECTIONS = ("data", "model", "training")
_SHARES = (
    "token_dropout",
    "dropout",
    "embedding_dropout",
    "output_dropout",
    "recurrent_dropout",
    "zoneout",
    "weight_drop",
)


@dataclass(frozen=True)
class DataSettings:
    """From text to batches.

    Attributes:
        tokens: "characters", "words" or "subwords".
        vocabulary_size: tokens at most; None: all characters or words, 4096 subwords.
        min_count: what is rarer in the training text gets no token of its own; None: 1, of
            subwords 2.
        lower: words in lower case.
        split: where words are cut: "punctuation" or "blanks".
        separator: a text is cut into documents wherever this stands; None: each file is one.
        encoding: how the bytes of files spell characters.
        held_out: share of the text, at its end, that is kept for the final score.
        validation: share of the text, at its beginning, that decides which weights are best and
            when to stop; 0: all is trained on, and the last weights are kept.
        batch_size: B, streams side by side.
        chunk_length: T, steps that gradients go back.
        shuffle: each epoch starts at another place of the text.
    """

    tokens: str = "characters"
    vocabulary_size: int | None = None
    min_count: int | None = None
    lower: bool = False
    split: str = "punctuation"
    separator: str | None = None
    encoding: str = "utf-8"
    held_out: float = 0.1
    validation: float = 0.05
    batch_size: int = 32
    chunk_length: int = 64
    shuffle: bool = True

    def __post_init__(self) -> None:
        for name in ("held_out", "validation"):
            _check(0 <= getattr(self, name) < 1, name, getattr(self, name), "in 0..1, 1 excluded")
        _check(
            self.held_out + self.validation < 1,
            "held_out + validation",
            self.held_out + self.validation,
            "below 1, or nothing is left to train on",
        )
        for name in ("batch_size", "chunk_length"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("lower", "split"):
            _check(
                self.tokens == "words" or getattr(self, name) == getattr(type(self), name),
                name,
                getattr(self, name),
                f"left alone: it is for tokens='words', not {self.tokens!r}",
            )


@dataclass(frozen=True)
class ModelSettings:
    """The network: tokens -> embedding -> a stack of cells -> scores of the next token.

    Attributes:
        cell: a name such as "lstm", or "module:Class" of any cell.
        cell_options: further arguments of the cell.
        hidden_size: H, width of each layer.
        num_layers: L.
        embedding_size: E, width of a token's vector; 0: no embedding, tokens enter as if one-hot.
        tied: the readout shares the embedding's matrix; where the width of the top layer is not E,
            a linear map comes between.
        token_dropout: share of the tokens that are dropped altogether in training.
        embedding_dropout: share of the entries of token vectors dropped in training.
        dropout: the same between layers.
        output_dropout: the same before the readout.
        locked_dropout: these three drop an entry at all steps of a chunk, or at none.
        recurrent_dropout: the same inside the recurrent product, one mask for a whole chunk.
        zoneout: share of the units that keep their old state for a step.
        weight_drop: share of the recurrent weights dropped for a chunk.
        residual: each layer adds its input to its output.
        initial_state: what a document starts from: "zeros", "ones", "random" or "learned".
        activation_penalty: weight of the mean square of the (dropped-out) top outputs.
        slowness_penalty: weight of the mean square of the top outputs' change from step to step.
    """

    cell: str = "lstm"
    cell_options: Mapping[str, Any] = field(default_factory=dict)
    hidden_size: int = 384
    num_layers: int = 2
    embedding_size: int = 64
    tied: bool = False
    token_dropout: float = 0.0
    embedding_dropout: float = 0.0
    dropout: float = 0.4
    output_dropout: float = 0.4
    locked_dropout: bool = False
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    weight_drop: float = 0.0
    residual: bool = False
    initial_state: str = "zeros"
    activation_penalty: float = 0.0
    slowness_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_layers"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("embedding_size", "activation_penalty", "slowness_penalty"):
            _check(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in _SHARES:
            _check(0 <= getattr(self, name) < 1, name, getattr(self, name), "in 0..1, 1 excluded")
        _check(
            not (self.token_dropout and not self.embedding_size),
            "token_dropout",
            self.token_dropout,
            "0 without an embedding: give embedding_size",
        )
        _check(
            not (self.tied and not self.embedding_size),
            "tied",
            True,
            "False without an embedding: give embedding_size",
        )


def _default_training() -> TrainingConfig:
    return TrainingConfig(
        lr=3e-3,
        beta2=0.99,
        weight_decay=0.05,
        clip=1.0,
        warmup_steps=100,
        schedule="cosine",
        epochs=10,
    )


@dataclass(frozen=True)
class LanguageModelSettings:
    """All settings of a language model, in three sections.

    Example:
        >>> settings = LanguageModelSettings().changed(cell="gru", lr=1e-3)
        >>> settings.model.cell, settings.training.lr
        ('gru', 0.001)
        >>> LanguageModelSettings().changed(hiden_size=3)
        Traceback (most recent call last):
        ostinato.config.ConfigError: Unknown setting hiden_size. Did you mean hidden_size?
    """

    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingConfig = field(default_factory=_default_training)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All settings as plain values, a dictionary a section."""
        plain: dict[str, dict[str, Any]] = to_dict(self)
        plain["model"]["cell_options"] = dict(self.model.cell_options)
        return plain

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> LanguageModelSettings:
        """The defaults, changed where `settings` (sections that map to settings) says so.

        Raises:
            ConfigError: an unknown section or setting, named with the nearest known one, or a
                value of the wrong kind or out of its range.
        """
        return cls().updated(settings)

    @classmethod
    def load(cls, name: str | Path) -> LanguageModelSettings:
        """The defaults, changed as a TOML file says, or a preset of that name.

        Raises:
            ConfigError: there is neither, or it cannot be used.
        """
        return cls.from_dict(read_settings(name))

    def updated(self, settings: Mapping[str, Any]) -> LanguageModelSettings:
        """The same, changed where `settings` (sections that map to settings) says so."""
        merged = merge(self.to_dict(), settings)
        training = settings.get("training", {})
        if isinstance(training, Mapping) and "optimizer" in training and "beta2" not in training:
            # it was chosen for the optimizer that is replaced
            merged["training"]["beta2"] = None
        return build(type(self), merged)

    def changed(self, **settings: Any) -> LanguageModelSettings:
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
        return {
            entry.name: section for section in _SECTIONS for entry in fields(getattr(self, section))
        }


def preset_names() -> list[str]:
    """The settings that come with the package, by name."""
    return presets(_PRESETS)


def read_settings(name: str | Path) -> dict[str, Any]:
    """The content of a TOML file, or of the preset of that name, as it is written.

    Raises:
        ConfigError: there is neither, or it is not TOML.
    """
    return read_config(name, folder=_PRESETS)


def recorded_settings(folder: str | Path) -> LanguageModelSettings:
    """The settings that a run was begun with.

    Raises:
        RunError: the folder is no whole run.
        ConfigError: it is not that of a language model that this Ostinato can read.
    """
    from ostinato.training.runs import load_run

    recorded = load_run(folder, weights=False).settings.get("settings")
    if not isinstance(recorded, Mapping):
        raise ConfigError(f"{folder} is not the run of a language model.")
    return LanguageModelSettings.from_dict(recorded)


def _check(fine: bool, name: str, value: object, need: str) -> None:
    if not fine:
        raise ValueError(f"{name} must be {need}, got {value!r}.")
