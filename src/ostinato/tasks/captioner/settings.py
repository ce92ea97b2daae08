"""Settings of a captioner: what the vectors and texts are, what the network is, how it is trained.

They are read and written without importing torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ostinato.tasks.checks import FILLS, at_least, check, convex, one_of, parts, shares, text_steps
from ostinato.tasks.task_settings import StackSettings, TaskSettings
from ostinato.training.config import TrainingConfig

__all__ = ["CaptionerData", "CaptionerModel", "CaptionerSettings"]


@dataclass(frozen=True)
class CaptionerData:
    """From vectors with texts to batches.

    Attributes:
        values: column (or, in an NPZ file, array) that holds the vectors; or columns of numbers,
            "p*" for all whose names fit.
        text: column or array of the texts.
        fill: where a number of a table is missing: "no" refuses it, "zero", or "forward".
        scale: bring each entry of the vectors to mean 0 and deviation 1, by the training part.
        tokens: a text's steps: "characters", "words" or "subwords".
        vocabulary_size: tokens at most; none: all (of subwords 4096).
        min_count: what is rarer in the training part is unknown.
        lower: words in lower case.
        split: where words are cut: "punctuation" or "blanks".
        validation: share of the rows, drawn by the seed, that decides which weights are best.
        held_out: share of the rows, drawn by the seed, kept for the final score.
        batch_size: B, rows at most.
    """

    values: tuple[str, ...] = ("vector",)
    text: str = "text"
    fill: str = "no"
    scale: bool = True
    tokens: str = "characters"
    vocabulary_size: int | None = None
    min_count: int = 1
    lower: bool = False
    split: str = "punctuation"
    validation: float = 0.1
    held_out: float = 0.1
    batch_size: int = 32

    def __post_init__(self) -> None:
        parts(self)
        at_least(self, 1, "vocabulary_size", "min_count", "batch_size")
        check(bool(self.values), "values", self.values, "the name of a column at least")
        one_of(self, fill=FILLS)
        text_steps(self)


@dataclass(frozen=True)
class CaptionerModel(StackSettings):
    """The network: vector -> encoder -> where a stack of cells begins, or what it reads -> text.

    Attributes (besides those of the stack, of which `initial_state` is left alone):
        feed: where the vector enters: "start" (it is what the stack begins from), "every" (it is
            read at every step, beside the token), or "both".
        encoder_size: C, width of the encoder's layers.
        encoder_layers: of the feed-forward encoder; 0: the vector enters as it is.
        embedding_size: E, width of a token's vector.
        input_dropout: share of the vector's entries dropped in training.
        output_dropout: share of the entries dropped in the encoder, and before the readout.
    """

    hidden_size: int = 128
    feed: str = "start"
    encoder_size: int = 128
    encoder_layers: int = 1
    embedding_size: int = 32
    input_dropout: float = 0.1
    output_dropout: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, feed=("start", "every", "both"))
        at_least(self, 1, "encoder_size", "embedding_size")
        at_least(self, 0, "encoder_layers")
        shares(self, "input_dropout", "output_dropout")
        check(
            self.feed == "every" or self.initial_state == "zeros",
            "initial_state",
            self.initial_state,
            "left alone where the vector is what the stack begins from: choose feed=every",
        )


def _default_training() -> TrainingConfig:
    return TrainingConfig(
        lr=3e-3,
        weight_decay=0.01,
        clip=1.0,
        schedule="cosine",
        epochs=40,
        ema=0.99,
    )


@dataclass(frozen=True)
class CaptionerSettings(TaskSettings):
    """All settings of a captioner, in three sections."""

    TASK: ClassVar[str] = "captioner"

    data: CaptionerData = field(default_factory=CaptionerData)
    model: CaptionerModel = field(default_factory=CaptionerModel)
    training: TrainingConfig = field(default_factory=_default_training)

    def __post_init__(self) -> None:
        convex(self)
