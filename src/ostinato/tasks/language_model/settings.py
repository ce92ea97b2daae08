"""Settings of a language model: what a token is, what the network is, how it is trained.

They are read and written without importing torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ostinato.tasks.checks import at_least, check, convex, parts, shares, text_steps, vectors
from ostinato.tasks.task_settings import StackSettings, TaskSettings
from ostinato.training.config import TrainingConfig

__all__ = ["DataSettings", "LanguageModelSettings", "ModelSettings"]


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
        most_apart: characters that these two parts have at most, each, however long the text is.
        batch_size: B, streams side by side.
        chunk_length: T, steps between two updates, which gradients go back.
        reach: steps that gradients go back in all, into the chunks before, too; None: those of the
            chunk. What is before the chunk is walked once more for that.
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
    most_apart: int = 1_000_000
    batch_size: int = 32
    chunk_length: int = 64
    reach: int | None = None
    shuffle: bool = True

    def __post_init__(self) -> None:
        parts(self)
        text_steps(self)
        at_least(self, 1, "vocabulary_size", "min_count")
        at_least(self, 1, "most_apart", "batch_size", "chunk_length")
        check(
            self.reach is None or self.reach >= self.chunk_length,
            "reach",
            self.reach,
            f"chunk_length ({self.chunk_length}) or more, or none",
        )


@dataclass(frozen=True)
class ModelSettings(StackSettings):
    """The network: tokens -> embedding -> a stack of cells -> scores of the next token.

    Attributes (besides those of the stack, of which `locked_dropout` holds for all dropouts here):
        embedding_size: E, width of a token's vector; 0: no embedding, tokens enter as if one-hot.
        embeddings: file of word vectors (GloVe's or word2vec's) that the embedding begins with,
            where tokens are words; read by `fit` alone.
        tune_embeddings: the embedding is trained; else it stays as it began.
        tied: the readout shares the embedding's matrix; where the width of the top layer is not E,
            a linear map comes between.
        token_dropout: share of the tokens that are dropped altogether in training.
        embedding_dropout: share of the entries of token vectors dropped in training.
        output_dropout: the same before the readout.
        activation_penalty: weight of the mean square of the (dropped-out) top outputs.
        slowness_penalty: weight of the mean square of the top outputs' change from step to step.
    """

    hidden_size: int = 384
    num_layers: int = 2
    dropout: float = 0.4
    embedding_size: int = 64
    embeddings: str | None = None
    tune_embeddings: bool = True
    tied: bool = False
    token_dropout: float = 0.0
    embedding_dropout: float = 0.0
    output_dropout: float = 0.4
    activation_penalty: float = 0.0
    slowness_penalty: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "embedding_size", "activation_penalty", "slowness_penalty")
        shares(self, "token_dropout", "embedding_dropout", "output_dropout")
        vectors(self)
        for name, nothing in (("token_dropout", 0), ("tied", False)):
            value = getattr(self, name)
            need = f"{nothing} without an embedding: give embedding_size"
            check(not value or self.embedding_size > 0, name, value, need)


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
class LanguageModelSettings(TaskSettings):
    """All settings of a language model, in three sections."""

    TASK: ClassVar[str] = "language_model"

    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingConfig = field(default_factory=_default_training)

    def __post_init__(self) -> None:
        convex(self, False, "a language model carries its state from chunk to chunk")
        check(
            self.model.embeddings is None or self.data.tokens == "words",
            "embeddings",
            self.model.embeddings,
            f"None unless tokens='words': they are vectors of words, not of {self.data.tokens}",
        )
