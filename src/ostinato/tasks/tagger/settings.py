"""Settings of a tagger: what the tags are, what the network is, how it is trained.

They are read and written without importing torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ostinato.tasks.checks import at_least, check, convex, one_of, parts, shares, vectors
from ostinato.tasks.task_settings import StackSettings, TaskSettings
from ostinato.training.config import TrainingConfig

__all__ = ["TaggerData", "TaggerModel", "TaggerSettings"]


@dataclass(frozen=True)
class TaggerData:
    """From sentences to batches.

    Attributes:
        column: of CoNLL-U, which column is the tag: upos, xpos, feats, deprel, lemma or misc.
        lower: words are looked up in lower case; their letters are read as they are.
        vocabulary_size: words at most, one for all unknown ones among them; None: all.
        min_count: a word that is rarer in the training part has no vector of its own.
        longest_word: letters at most; of a longer word, the middle is left out.
        unseen: what to do where a sentence to be validated or scored has a tag that the training
            part lacks: "error", or "wrong": go on, and count it as a mistake.
        validation: share of the sentences, at the beginning, that decides which weights are best;
            of no account where a validation file is given. 0: all is trained on.
        held_out: share of the sentences, at the end, kept for the final score; of no account where
            a test file is given.
        batch_size: B, sentences at most.
        max_words: words of a batch at most, padding counted; None: only `batch_size` counts.
    """

    column: str = "upos"
    lower: bool = True
    vocabulary_size: int | None = None
    min_count: int = 1
    longest_word: int = 40
    unseen: str = "error"
    validation: float = 0.1
    held_out: float = 0.1
    batch_size: int = 32
    max_words: int | None = None

    def __post_init__(self) -> None:
        parts(self)
        at_least(self, 1, "min_count", "longest_word", "batch_size", "vocabulary_size", "max_words")
        one_of(self, unseen=("error", "wrong"))


@dataclass(frozen=True)
class TaggerModel(StackSettings):
    """The network: a word's vector and letters -> a bidirectional stack -> scores of the tags.

    Attributes (besides those of the stack):
        embedding_size: width of a word's vector; 0: letters alone.
        letter_size: width of a letter's vector.
        letter_hidden_size: width of the net that reads letters, in each direction; 0: no letters.
        word_dropout: a; in training, a word that occurs n times is read as unknown with the
            probability a / (a + n).
        input_dropout: share of the entries of word vectors and letter features dropped in training.
        output_dropout: the same before the readout.
        crf: score a sentence's tags as a whole, each tag with the one before.
        embeddings: file of word vectors (GloVe's or word2vec's) that the words begin with; read by
            `fit` alone.
        tune_embeddings: word vectors are trained; else they stay as they began.
    """

    hidden_size: int = 128
    num_layers: int = 1
    embedding_size: int = 100
    letter_size: int = 32
    letter_hidden_size: int = 64
    word_dropout: float = 0.25
    input_dropout: float = 0.3
    output_dropout: float = 0.3
    crf: bool = False
    embeddings: str | None = None
    tune_embeddings: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "letter_size")
        at_least(self, 0, "embedding_size", "letter_hidden_size", "word_dropout")
        check(
            self.embedding_size + self.letter_hidden_size > 0,
            "embedding_size",
            self.embedding_size,
            "at least 1 where letter_hidden_size is 0, or there is nothing to read",
        )
        shares(self, "input_dropout", "output_dropout")
        vectors(self)


def _default_training() -> TrainingConfig:
    return TrainingConfig(
        lr=5e-3,
        beta2=0.99,
        clip=1.0,
        schedule="cosine",
        warmup_steps=50,
        epochs=10,
        monitor="val_accuracy",
        monitor_mode="max",
    )


@dataclass(frozen=True)
class TaggerSettings(TaskSettings):
    """All settings of a tagger, in three sections."""

    TASK: ClassVar[str] = "tagger"

    data: TaggerData = field(default_factory=TaggerData)
    model: TaggerModel = field(default_factory=TaggerModel)
    training: TrainingConfig = field(default_factory=_default_training)

    def __post_init__(self) -> None:
        convex(self, not self.model.crf, "the transitions of crf stand inside the loss")
