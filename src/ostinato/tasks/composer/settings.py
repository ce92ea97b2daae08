"""Settings of a composer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ostinato.tasks.checks import at_least, check, convex, one_of, parts, shares
from ostinato.tasks.task_settings import StackSettings, TaskSettings
from ostinato.training.config import TrainingConfig

__all__ = ["ComposerSettings", "DataSettings", "ModelSettings"]


@dataclass(frozen=True)
class DataSettings:
    """From pieces of music to batches.

    Attributes:
        steps_per_quarter: steps in a quarter note, where MIDI files are read or written.
        transpose: each piece is moved by up to so many semitones up or down, drawn anew each time
            it is trained on (Walder 2016, arXiv:1606.01368, trains on all keys). It makes more of
            few pieces, but where all music is in a few keys, it gives away that knowledge.
        validation: share of the pieces that decide which weights are best, where no file says so.
        held_out: share of the pieces kept for the final score, where no file says so.
        chunk_length: longer pieces are trained on in parts of so many steps.
        batch_size: B, pieces side by side.
    """

    steps_per_quarter: int = 1
    transpose: int = 0
    validation: float = 0.1
    held_out: float = 0.1
    chunk_length: int = 512
    batch_size: int = 4

    def __post_init__(self) -> None:
        parts(self)
        at_least(self, 1, "steps_per_quarter", "chunk_length", "batch_size")
        check(0 <= self.transpose <= 11, "transpose", self.transpose, "in 0..11 semitones")


@dataclass(frozen=True)
class ModelSettings(StackSettings):
    """The network: notes -> a stack of cells -> the next set of notes.

    Attributes (besides those of the stack):
        output: "independent": each key sounds or not, given the past alone; "note_by_note": given
            the past and the lower notes of the same step.
        note_size: width of the hidden layer of "note_by_note".
        input_dropout: share of the input's entries dropped in training.
        output_dropout: the same before the output, one mask for all steps.
    """

    cell: str = "gru"
    hidden_size: int = 256
    recurrent_dropout: float = 0.2
    output: str = "independent"
    note_size: int = 64
    input_dropout: float = 0.2
    output_dropout: float = 0.35

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, output=("independent", "note_by_note"))
        at_least(self, 1, "note_size")
        shares(self, "input_dropout", "output_dropout")


def _default_training() -> TrainingConfig:
    return TrainingConfig(
        lr=4e-3,
        weight_decay=0.01,
        clip=1.0,
        warmup_steps=50,
        schedule="cosine",
        final_lr=0.02,
        epochs=100,
        ema=0.99,
    )


@dataclass(frozen=True)
class ComposerSettings(TaskSettings):
    """All settings of a composer, in three sections."""

    TASK: ClassVar[str] = "composer"

    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingConfig = field(default_factory=_default_training)

    def __post_init__(self) -> None:
        independent = self.model.output == "independent"
        convex(self, independent, "note_by_note reads the notes that it foretells")
