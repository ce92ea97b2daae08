"""Settings of a translator: what a token is, what the network is, how it is trained.

They are read and written without importing torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ostinato.tasks.checks import (
    at_least,
    check,
    convex,
    one_of,
    parts,
    shares,
    text_steps,
    vectors,
)
from ostinato.tasks.task_settings import StackSettings, TaskSettings
from ostinato.training.config import TrainingConfig

__all__ = ["PairSettings", "TranslatorModelSettings", "TranslatorSettings"]

ATTENTIONS = (None, "dot", "general", "concat", "additive")
PLACES = ("after", "between", "feeding", "before")
DECAYS = (None, "linear", "exponential", "sigmoid")


@dataclass(frozen=True)
class PairSettings:
    """From pairs of lines to batches.

    Attributes:
        tokens: "subwords", "words" or "characters".
        vocabulary_size: tokens at most, of each side, or of both together if `joint`; None: 6000
            subwords, all words or characters.
        min_count: what is rarer in the training text gets no token of its own; None: 1, of
            subwords 2.
        joint: one vocabulary for both sides, and one vector for a token on either side.
        lower: words in lower case.
        split: where words are cut: "punctuation" or "blanks".
        encoding: how the bytes of files spell characters.
        skip_empty: leave out pairs of which one side is empty; else they are an error.
        max_length: longer pairs (in tokens, of either side) are not trained on.
        held_out: share of the pairs, the last ones, that is kept for the final score.
        validation: share of the pairs, those before the held-out ones, that decides which weights
            are best.
        batch_size: pairs in a batch, at most.
        batch_tokens: target tokens in a batch, padding among them, at most.
    """

    tokens: str = "subwords"
    vocabulary_size: int | None = None
    min_count: int | None = None
    joint: bool = True
    lower: bool = False
    split: str = "punctuation"
    encoding: str = "utf-8"
    skip_empty: bool = False
    max_length: int = 100
    held_out: float = 0.05
    validation: float = 0.05
    batch_size: int = 64
    batch_tokens: int = 2000

    def __post_init__(self) -> None:
        text_steps(self)
        at_least(self, 1, "vocabulary_size", "min_count", "max_length")
        at_least(self, 1, "batch_size", "batch_tokens")
        parts(self)


@dataclass(frozen=True)
class TranslatorModelSettings(StackSettings):
    """The network; `ostinato.tasks.stack.StackSettings` tells what it shares with other tasks.

    Cell, widths and regularisers hold for encoder and decoder alike, unless told apart.

    Attributes:
        hidden_size: H, width of each decoder layer.
        num_layers: L, of the decoder.
        encoder_cell: None: that of the decoder.
        encoder_size: width of each encoder layer in each of its two directions; None: H.
        encoder_layers: None: L.
        embedding_size: E, width of the tokens' vectors, and of what the readout reads.
        attention: how the decoder scores the steps of the source: "dot", "general" or "concat"
            (Luong), "additive" (Bahdanau), or None: it knows the source by its first state alone.
        attention_place: where it does so:
            "after": each output of the top layer asks (Luong); the walk runs without a break.
            "between": each output of the first layer asks, and the layers above read what was
            found; both walks run without a break. It needs two layers.
            "feeding": as "after", and each step also reads what the step before found (Luong's
            input feeding); the walk is a loop over steps.
            "before": the output of the step before asks, and the step reads what was found
            (Bahdanau); the walk is a loop over steps.
        embedding_dropout: share of the embedding's outputs that is dropped.
        encoder_dropout: share of the encoder's outputs that is dropped.
        output_dropout: share dropped before the readout.
        tied: the readout shares the target embedding's vectors.
        label_smoothing: share of the target's probability that is spread over all tokens.
        sampling: how the share of true tokens among the decoder's inputs falls while training
            (scheduled sampling): "linear", "exponential" or "sigmoid", and the walk is a loop over
            steps; None: it stays 1.
        sampling_rate: k of the decay; see `ostinato.tasks.translator.sampling`.
        sampling_floor: the least share of true tokens.
        embeddings: file of word vectors (GloVe's or word2vec's) that the source's words begin with
            (with one vocabulary for both sides, all words), brought to the scale that the network
            wants; read by `fit` alone.
        tune_embeddings: the source's vectors are trained; else they stay as they began, which
            needs a vocabulary of its own for each side.

    In a loop over steps, recurrent_dropout and weight_drop are drawn anew at each step.
    """

    hidden_size: int = 256
    encoder_cell: str | None = None
    encoder_size: int | None = None
    encoder_layers: int | None = None
    embedding_size: int = 256
    attention: str | None = "additive"
    attention_place: str = "after"
    embedding_dropout: float = 0.3
    encoder_dropout: float = 0.0
    output_dropout: float = 0.3
    tied: bool = True
    label_smoothing: float = 0.1
    sampling: str | None = None
    sampling_rate: float = 1000.0
    sampling_floor: float = 0.0
    embeddings: str | None = None
    tune_embeddings: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, attention=ATTENTIONS, attention_place=PLACES, sampling=DECAYS)
        at_least(self, 1, "embedding_size", "encoder_size", "encoder_layers")
        shares(self, "embedding_dropout", "encoder_dropout", "output_dropout", "label_smoothing")
        floor = self.sampling_floor
        check(0 <= floor <= 1, "sampling_floor", floor, "a share, in 0..1")
        check(self.sampling_rate > 0, "sampling_rate", self.sampling_rate, "above 0")
        vectors(self)
        if self.attention is not None and self.attention_place == "between":
            check(self.num_layers >= 2, "num_layers", self.num_layers, '2 or more for "between"')


@dataclass(frozen=True)
class TranslatorSettings(TaskSettings):
    """All settings of a translator, by section; see `TaskSettings` for what can be done with them.

    Example:
        >>> TranslatorSettings().changed(attention="dot", lr=1e-3).model.attention
        'dot'
    """

    TASK: ClassVar[str] = "translator"

    data: PairSettings = field(default_factory=PairSettings)
    model: TranslatorModelSettings = field(default_factory=TranslatorModelSettings)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            optimizer="adam", lr=1e-3, weight_decay=0.0, warmup_steps=200, final_lr=0.05, ema=0.999
        )
    )

    def __post_init__(self) -> None:
        convex(self, False, "a translator's decoder may feed on what it wrote")
        vectors = self.model.embeddings is not None
        words = self.data.tokens == "words"
        check(
            words or not vectors, "tokens", self.data.tokens, '"words" where embeddings are given'
        )
        apart = self.model.tune_embeddings or not self.data.joint
        check(apart, "joint", self.data.joint, "false where tune_embeddings is")
