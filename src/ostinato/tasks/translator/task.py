"""The translator: fitted on pairs of lines, asked for the other half of a pair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ostinato.data.pairs import PairSource, read_pairs
from ostinato.tasks.beam import BeamSettings, Hypothesis, beam_search
from ostinato.tasks.stack import Build
from ostinato.tasks.task import Plan, Prepared, Task, evaluating
from ostinato.tasks.tracing import Question
from ostinato.tasks.translator.fitting import PairBatch, batch_of, pair_batches, prepare
from ostinato.tasks.translator.network import TranslatorNetwork
from ostinato.tasks.translator.sampling import true_share
from ostinato.tasks.translator.score import TranslationScore, score_lines
from ostinato.tasks.translator.settings import TranslatorSettings
from ostinato.tasks.translator.tokens import Vocabularies, pieces_of, spelled

__all__ = ["Translation", "Translator"]

# lines that are sorted by length and translated in batches before the next ones are read
_POOL = 1024
_END = "end"


@dataclass(frozen=True)
class Translation:
    """A line, what became of it, and how.

    Attributes:
        source: as it was given.
        text: the translation.
        score: log-probability with its penalties, by which hypotheses are ranked.
        log_probability: of the translation.
        source_pieces: what the encoder read, piece by piece; the last is the end.
        pieces: what the decoder wrote, piece by piece.
        weights: of attention, [pieces, source pieces]; None without attention.
    """

    source: str
    text: str
    score: float
    log_probability: float
    source_pieces: tuple[str, ...]
    pieces: tuple[str, ...]
    weights: NDArray[np.float32] | None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        weights = None if self.weights is None else self.weights.round(4).tolist()
        return {**self.__dict__, "weights": weights}


class Translator(Task):
    """A recurrent encoder and decoder, with attention or without: lines in, lines out.

    `fit` takes two aligned files, a file with two columns, or pairs of texts; see
    `ostinato.data.pairs.read_pairs`. `validation` and `test` are the like; left out, the last pairs
    of the training data are taken.

    Args:
        vocabularies: of source and target.
        settings: of data, network and training.
        cell: what builds the cell, in place of `settings.model.cell`.

    Example:
        >>> pairs = [("one two", "eins zwei"), ("two one", "zwei eins")] * 20
        >>> translator = Translator.fit(pairs, tokens="words", hidden_size=16, embedding_size=16,
        ...     embedding_dropout=0.0, output_dropout=0.0, lr=0.02, batch_size=8, epochs=12,
        ...     warmup_steps=0, baselines=False, progress=False)
        >>> translator.predict("two one")
        'zwei eins'
    """

    SETTINGS: ClassVar = TranslatorSettings
    settings: TranslatorSettings

    def __init__(
        self,
        vocabularies: Vocabularies,
        settings: TranslatorSettings | None = None,
        *,
        cell: Build | None = None,
    ) -> None:
        super().__init__(settings or TranslatorSettings())
        self.vocabularies = vocabularies
        self.network = TranslatorNetwork(
            vocabularies.source.size,
            None if vocabularies.joint else vocabularies.target.size,
            self.settings.model,
            cell=cell,
        )

    @classmethod
    def prepare(cls, plan: Plan, source: Any, validation: Any, test: Any) -> Prepared:
        return prepare(cls, plan, source, validation, test)

    # training

    def training_step(self, batch: PairBatch, batch_idx: int) -> dict[str, Any]:
        model = self.settings.model
        outputs = self._outputs(batch)
        valid = _valid(batch)
        # the readout is the largest product: padding is spared it
        scores = self.network.readout(self.network.dropped(outputs[valid])).float()
        loss = F.cross_entropy(scores, batch.targets[valid], label_smoothing=model.label_smoothing)
        return {"loss": loss, "tokens": len(scores)}

    def _outputs(self, batch: PairBatch) -> Tensor:
        model, network = self.settings.model, self.network
        share = true_share(
            model.sampling,
            self.global_step,
            rate=model.sampling_rate,
            floor=model.sampling_floor,
        )
        if share == 1.0:
            outputs, _ = network(batch.source, batch.source_lengths, batch.inputs, batch.lengths)
            return outputs  # type: ignore[no-any-return]
        return network.sampled(
            batch.source,
            batch.source_lengths,
            batch.inputs,
            lambda tokens: torch.rand(tokens.shape, device=tokens.device) < share,
        )

    def validation_step(self, batch: PairBatch, batch_idx: int) -> None:
        loss, count = self._nats(batch)
        self.record("val_loss", loss / count, weight=count)

    def _nats(self, batch: PairBatch) -> tuple[Tensor, int]:
        outputs, _ = self.network(batch.source, batch.source_lengths, batch.inputs, batch.lengths)
        valid = _valid(batch)
        scores = self.network.readout(outputs[valid]).float()
        return F.cross_entropy(scores, batch.targets[valid], reduction="sum"), len(scores)

    # asking

    def predict(
        self,
        lines: str | Iterable[str],
        *,
        beam: int = 5,
        length_penalty: float = 1.0,
        coverage_penalty: float = 0.0,
        copy_unknown: bool = True,
        max_length: int | None = None,
        batch_size: int = 64,
    ) -> Any:
        """Translate a line, or many.

        Args:
            lines: one text, or several; an empty one stays empty.
            beam: hypotheses side by side; 1 always takes the most probable token.
            length_penalty: alpha; see `ostinato.tasks.beam.BeamSettings`.
            coverage_penalty: beta; see there.
            copy_unknown: of words: where the translation has an unknown one, put the source's word
                that attention looked at most. Without attention, or if not set, no unknown word is
                written.
            max_length: tokens at most; None: 10 more than twice those of the source.
            batch_size: lines side by side.

        Returns:
            The translation, or a list of them.

        Raises:
            ValueError: a setting is out of range, or a text holds what the vocabulary lacks.
        """
        options: dict[str, Any] = {
            "beam": beam,
            "length_penalty": length_penalty,
            "coverage_penalty": coverage_penalty,
            "copy_unknown": copy_unknown,
            "max_length": max_length,
            "batch_size": batch_size,
        }
        asked = [lines] if isinstance(lines, str) else lines
        texts = [made[0].text for made in self.translate(asked, **options)]
        return texts[0] if isinstance(lines, str) else texts

    def translate(
        self,
        lines: Iterable[str],
        *,
        beam: int = 5,
        length_penalty: float = 1.0,
        coverage_penalty: float = 0.0,
        copy_unknown: bool = True,
        max_length: int | None = None,
        batch_size: int = 64,
    ) -> Iterator[list[Translation]]:
        """For each line the best translations (up to `beam`), best first; lines are read as needed.

        Takes what `predict` takes.
        """
        settings = BeamSettings(beam, length_penalty, coverage_penalty)
        if batch_size < 1:
            raise ValueError(f"translate: batch_size must be at least 1, got {batch_size}.")
        if max_length is not None and max_length < 1:
            raise ValueError(f"translate: max_length must be at least 1, got {max_length}.")
        if coverage_penalty and self.settings.model.attention is None:
            raise ValueError(
                "translate: coverage_penalty needs attention, and this model has none. Leave it 0."
            )
        copy = copy_unknown and self.settings.model.attention is not None
        stream = iter(lines)
        size = max(_POOL, batch_size)
        while pool := list(islice(stream, size)):
            yield from self._pool(pool, settings, copy, max_length, batch_size)

    def _pool(
        self,
        lines: Sequence[str],
        settings: BeamSettings,
        copy: bool,
        max_length: int | None,
        batch_size: int,
    ) -> list[list[Translation]]:
        rows = [self.vocabularies.encode_source(line.strip()) for line in lines]
        made: list[list[Translation]] = [[_empty(line)] for line in lines]
        full = [n for n, line in enumerate(lines) if line.strip()]
        # like lengths together
        full.sort(key=lambda n: -len(rows[n]))
        with evaluating(self):
            for k in range(0, len(full), batch_size):
                part = full[k : k + batch_size]
                found = self._search([rows[n] for n in part], settings, copy, max_length)
                for n, hypotheses in zip(part, found, strict=True):
                    made[n] = [self._translation(lines[n], one) for one in hypotheses]
        return made

    def _search(
        self, rows: Sequence[Any], settings: BeamSettings, copy: bool, max_length: int | None
    ) -> list[list[Hypothesis]]:
        end, target = self.vocabularies.end, self.vocabularies.target
        batch = batch_of(list(rows), [[end]] * len(rows), end)
        lengths = batch.source_lengths
        state = self.network.begin(batch.source.to(self.device), lengths.to(self.device))
        unknown = [] if target.unknown is None or copy else [target.unknown]
        return beam_search(
            lambda tokens, now: self.network.step(tokens.to(self.device), now),
            state,
            start=end,
            end=end,
            longest=[max_length or 2 * n + 10 for n in lengths.tolist()],
            settings=settings,
            forbidden=unknown,
            source_lengths=lengths.tolist(),
        )

    def _translation(self, line: str, one: Hypothesis) -> Translation:
        source = [*pieces_of(self.vocabularies.source, line.strip()), _END]
        target = self.vocabularies.target
        pieces = spelled(target, one.tokens)
        weights = None
        instead: list[str] = []
        if one.weights is not None:
            weights = one.weights[: len(pieces)].numpy()
            unknown = [t for t, token in enumerate(one.tokens) if token == target.unknown]
            # the end is no word that could be copied
            instead = [source[int(weights[t, :-1].argmax())] for t in unknown]
            for t, word in zip(unknown, instead, strict=True):
                pieces[t] = word
        return Translation(
            line,
            self.vocabularies.decode(one.tokens, instead),
            one.score,
            one.log_probability,
            tuple(source),
            tuple(pieces),
            weights,
        )

    def evaluate(self, source: PairSource, **options: Any) -> TranslationScore:
        """Translate the first halves of pairs, and score them against the second.

        Args:
            source: pairs, as `fit` takes them.
            options: of `predict`.

        Raises:
            FileNotFoundError, ValueError: the pairs cannot be used.
            ostinato.extras.MissingExtraError: sacrebleu is not installed.
        """
        data = self.settings.data
        pairs = list(read_pairs(source, encoding=data.encoding, skip_empty=data.skip_empty))
        written = self.predict([left for left, _ in pairs], **options)
        score = score_lines(written, [right for _, right in pairs])
        nats, count = 0.0, 0
        with evaluating(self):
            for batch in pair_batches(self.vocabularies, pairs, data, limit=False):
                loss, tokens = self._nats(_on(batch, self.device))
                nats, count = nats + float(loss), count + tokens
        return replace(score, nats_per_token=nats / count)

    def question(self, source: Any) -> Question:
        from ostinato.tasks.translator.tracing import question

        return question(self, source)

    # files

    def texts(self) -> dict[str, str]:
        return self.vocabularies.texts()

    @classmethod
    def restore(
        cls, settings: TranslatorSettings, texts: Mapping[str, str], cell: Build | None = None
    ) -> Translator:
        return cls(Vocabularies.from_texts(texts), settings, cell=cell)


def _valid(batch: PairBatch) -> Tensor:
    steps = torch.arange(len(batch.targets), device=batch.targets.device)
    return steps[:, None] < batch.lengths


def _on(batch: PairBatch, device: torch.device) -> PairBatch:
    return PairBatch(*(part.to(device) for part in batch.__dict__.values()))


def _empty(line: str) -> Translation:
    return Translation(line, "", 0.0, 0.0, (_END,), (), None)
