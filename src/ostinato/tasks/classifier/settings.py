"""Settings of a classifier: what the rows are, what the network is, how it is trained.

They are read and written without importing torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ostinato.tasks.checks import (
    FILLS,
    at_least,
    check,
    convex,
    needless,
    one_of,
    parts,
    shares,
    text_steps,
    vectors,
)
from ostinato.tasks.task_settings import StackSettings, TaskSettings
from ostinato.training.config import TrainingConfig

__all__ = ["ClassifierData", "ClassifierModel", "ClassifierSettings"]

_TEXT_ONLY = ("tokens", "lower", "split", "min_count", "vocabulary_size")


@dataclass(frozen=True)
class ClassifierData:
    """From rows to batches.

    Attributes:
        text: column of the texts.
        values: columns of numbers, in place of texts; "p*" stands for all whose names fit.
        label: column of the labels.
        label_separator: stands between the labels of a row that may have any number of them; none:
            one label a row, or lists of them in the column.
        id: column that says which sequence a row is a step of; none: each row is a whole sequence.
        time: column of the steps' times, which must rise within an id.
        width: numbers to a step, where each row is a whole sequence.
        fill: where a number is missing: "no" refuses it, "zero", or "forward" (the one before it).
        scale: bring each kind of number to mean 0 and deviation 1, by the training part.
        tokens: a text's steps: "words", "characters" or "subwords".
        vocabulary_size: tokens at most; none: all (of subwords 4096).
        min_count: what is rarer in the training part is unknown.
        lower: words in lower case.
        split: where words are cut: "punctuation" or "blanks".
        validation: share of the rows, drawn by the seed, that decides which weights are best.
        held_out: share of the rows, drawn by the seed, kept for the final score.
        batch_size: B, rows at most.
        batch_steps: rows times the longest of them in a batch, at most; none: no such limit.
    """

    text: str = "text"
    values: tuple[str, ...] = ()
    label: str = "label"
    label_separator: str | None = None
    id: str | None = None
    time: str | None = None
    width: int = 1
    fill: str = "no"
    scale: bool = True
    tokens: str = "words"
    vocabulary_size: int | None = None
    min_count: int = 1
    lower: bool = True
    split: str = "punctuation"
    validation: float = 0.1
    held_out: float = 0.1
    batch_size: int = 64
    batch_steps: int | None = None

    def __post_init__(self) -> None:
        parts(self)
        at_least(self, 1, "width", "vocabulary_size", "min_count", "batch_size", "batch_steps")
        one_of(self, fill=FILLS)
        text_steps(self)
        if self.values:
            needless(self, _TEXT_ONLY, "texts, not for values")
        check(self.id is None or bool(self.values), "id", self.id, "left out, or values named, too")
        check(self.id is not None or self.time is None, "time", self.time, "given with id")
        check(
            self.width == 1 or (bool(self.values) and self.id is None),
            "width",
            self.width,
            "1, unless values are given and rows are whole sequences",
        )


@dataclass(frozen=True)
class ClassifierModel(StackSettings):
    """The network: tokens or numbers -> a stack of cells -> one vector a row -> scores.

    Attributes (besides those of the stack):
        cell: None ("none") for a plain feed-forward network on the whole row: of texts, on the mean
            of their vectors; of numbers, on all (or their mean, where rows differ in length).
        bidirectional: read each row from its end, too.
        pooling: from all steps to one vector: "last", "mean", "max", "attention", or e.g.
            "mean+max".
        embedding_size: E, width of a token's vector; 0: tokens enter as if one-hot.
        embeddings: file of word vectors (GloVe's or word2vec's) that the words begin with; read by
            `fit` alone.
        tune_embeddings: vectors of tokens are trained; else they stay as they began.
        ngrams: add to each word the mean vector of its character n-grams, of which so many are
            told apart; 0: none.
        token_dropout: share of the tokens left out in training.
        input_dropout: share of the entries of what enters dropped in training, at all steps alike.
        output_dropout: the same of the one vector.
        label_smoothing: share of the target that is spread over all labels.
        class_weights: "equal" (each row counts alike), or "balanced" (each label does).
        members: networks that differ by their first weights, trained side by side; the mean of
            their probabilities is what counts.
    """

    cell: str | None = "lstm"  # type: ignore[assignment]
    bidirectional: bool = True
    pooling: str = "max"
    embedding_size: int = 128
    embeddings: str | None = None
    tune_embeddings: bool = True
    ngrams: int = 0
    token_dropout: float = 0.0
    input_dropout: float = 0.3
    output_dropout: float = 0.5
    label_smoothing: float = 0.0
    class_weights: str = "equal"
    members: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "embedding_size", "ngrams")
        shares(self, "token_dropout", "input_dropout", "output_dropout", "label_smoothing")
        at_least(self, 1, "members")
        one_of(self, class_weights=("equal", "balanced"))
        vectors(self)
        check(
            not self.ngrams or self.embedding_size > 0,
            "ngrams",
            self.ngrams,
            "0 without an embedding: give embedding_size",
        )


def _default_training() -> TrainingConfig:
    return TrainingConfig(
        lr=2e-3,
        weight_decay=0.01,
        clip=1.0,
        schedule="cosine",
        epochs=8,
        ema=0.995,
    )


@dataclass(frozen=True)
class ClassifierSettings(TaskSettings):
    """All settings of a classifier, in three sections."""

    TASK: ClassVar[str] = "classifier"
    RENAMED: ClassVar = {"data": {"max_steps": "batch_steps"}}

    data: ClassifierData = field(default_factory=ClassifierData)
    model: ClassifierModel = field(default_factory=ClassifierModel)
    training: TrainingConfig = field(default_factory=_default_training)

    def __post_init__(self) -> None:
        convex(self)
        data = self.data
        words = data.tokens == "words" and not data.values
        for name, none in (("ngrams", 0), ("embeddings", None)):
            given = getattr(self.model, name)
            need = f"{'none' if none is None else none}, unless texts are cut into words"
            check(given == none or words, name, given, need)
