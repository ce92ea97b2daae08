"""The captioner: fitted on vectors with texts, asked for the texts of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from torch.nn import functional as F

from ostinato.data.captions import Captioned, CaptionSource, Vector, read_captions
from ostinato.data.columns import TableError
from ostinato.data.streams import IGNORED
from ostinato.tasks.beam import BeamSettings, beam_search
from ostinato.tasks.captioner.data import CaptionCoder, layout_of
from ostinato.tasks.captioner.network import CaptionBatch, CaptionerNetwork
from ostinato.tasks.captioner.settings import CaptionerSettings
from ostinato.tasks.coded import CodedTask
from ostinato.tasks.stack import Build
from ostinato.tasks.task import Plan, Prepared, evaluating
from ostinato.training.hessian_free import CrossEntropy, Objective

__all__ = ["CaptionScore", "Captioner"]

# batches that are looked at together
_WINDOW = 16


@dataclass(frozen=True)
class CaptionScore:
    """How well texts were foretold.

    Attributes:
        exact: share of the rows whose text was written to the letter.
        token_accuracy: share of the tokens (ends counted) that are most probable, given the right
            ones before them.
        nats_per_token: mean of -ln p of a token, given the vector and the right tokens before it.
        rows: how many there were.
        tokens: theirs, ends counted.
    """

    exact: float
    token_accuracy: float
    nats_per_token: float
    rows: int
    tokens: int

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values."""
        return asdict(self)


class Captioner(CodedTask):
    """Writes a text for a vector: what an image shows, from its numbers.

    `fit` takes tables whose columns hold vectors and texts, NPZ files, or pairs of vector and text;
    see `ostinato.data.captions`. A tenth of the rows decides which weights are best (`validation`),
    a tenth is scored in the end (`held_out`), unless files are given for these.

    Args:
        coder: texts to tokens and back.
        settings: of data, network and training.
        cell: what builds the cell, in place of `settings.model.cell`.

    Attributes:
        network: vectors and tokens to scores of the next token.
        figures: what `fit` measured, by name: "held_out" (see `CaptionScore`), "baselines" (share
            of exact texts of simple guesses), "training"; plain values.

    Example:
        >>> rows = [([0.0, 1.0], "up"), ([1.0, 0.0], "down")] * 20
        >>> model = Captioner.fit(rows, hidden_size=8, max_steps=3, progress=False)
        >>> isinstance(model.predict([0.0, 1.0]), str)
        True
    """

    SETTINGS: ClassVar = CaptionerSettings
    CODER: ClassVar = CaptionCoder
    settings: CaptionerSettings
    coder: CaptionCoder

    def __init__(
        self,
        coder: CaptionCoder,
        settings: CaptionerSettings | None = None,
        *,
        cell: Build | None = None,
    ) -> None:
        super().__init__(settings or CaptionerSettings())
        self.coder = coder
        self.network = CaptionerNetwork(
            coder.width, coder.tokenizer.size, self.settings.model, cell=cell
        )

    # training

    @classmethod
    def prepare(cls, plan: Plan, source: Any, validation: Any, test: Any) -> Prepared:
        from ostinato.tasks.captioner.fitting import prepare

        return prepare(cls, plan, source, validation, test)

    def training_step(self, batch: CaptionBatch, batch_idx: int) -> dict[str, Any]:
        return {"loss": self._loss(batch), "tokens": int(batch.lengths.sum())}

    def objective(self, batch: CaptionBatch) -> Objective:
        told = (batch.targets != IGNORED).float()
        targets = batch.targets.clamp(min=0)
        return Objective(self.network(batch), CrossEntropy(targets, weight=told))

    def validation_step(self, batch: CaptionBatch, batch_idx: int) -> None:
        self.record("val_loss", self._loss(batch), weight=int(batch.lengths.sum()))

    def _loss(self, batch: CaptionBatch) -> torch.Tensor:
        scores = self.network(batch).flatten(0, 1)
        return F.cross_entropy(scores, batch.targets.flatten(), ignore_index=IGNORED)

    # scoring

    def evaluate(self, source: CaptionSource, *, beam: int = 1) -> CaptionScore:
        """Write the texts of vectors whose texts are known, and compare.

        Args:
            source: as `fit` takes it.
            beam: as of `predict`.

        Raises:
            FileNotFoundError, TableError: the rows cannot be used.
        """
        rows = list(read_captions(source, layout_of(self.settings.data)))
        if not rows:
            raise TableError("evaluate: there are no rows to score.")
        for one in rows:
            self.coder.check(one)
        return self.score([one.vector for one in rows], [str(one.text) for one in rows], beam=beam)

    def score(
        self, vectors: Sequence[Vector] | Any, texts: Sequence[str], *, beam: int = 1
    ) -> CaptionScore:
        """What `evaluate` does, for rows that are at hand."""
        spelled = [self.coder.decode(self.coder.encode(text)) for text in texts]
        written = self.predict(list(vectors), beam=beam)
        plain = [" ".join(text.split()) for text in texts]
        # by words, blanks between signs are put back by rule: spelled as the model would
        exact = sum(a in (b, c) for a, b, c in zip(written, plain, spelled, strict=True))
        nats = right = tokens = 0.0
        size = self.settings.data.batch_size
        with evaluating(self):
            for first in range(0, len(texts), size):
                some = slice(first, first + size)
                coded = [self.coder.encode(text) for text in texts[some]]
                batch = self.coder.batch(list(vectors[some]), coded).to(self.device)
                scores = self.network(batch).flatten(0, 1).float()
                targets = batch.targets.flatten()
                nats += float(
                    F.cross_entropy(scores, targets, ignore_index=IGNORED, reduction="sum")
                )
                right += int((scores.argmax(1) == targets).sum())
                tokens += int((targets != IGNORED).sum())
        return CaptionScore(
            exact / len(texts), right / tokens, nats / tokens, len(texts), int(tokens)
        )

    # answers

    def predict(
        self,
        source: Any,
        *,
        beam: int = 1,
        length_penalty: float = 0.0,
        length: int | None = None,
    ) -> Any:
        """Write the texts of vectors.

        Args:
            source: a vector [F] (or any array of F numbers), a list of them, an array [N, F]; or a
                table or NPZ file, as a `Path`, a data frame or a mapping.
            beam: hypotheses side by side; 1 always takes the most probable token.
            length_penalty: above 0, longer texts are favoured; see `BeamSettings`.
            length: tokens at most; None: one and a half times the longest text of training.

        Returns:
            A text, or a list of texts.

        Raises:
            TableError: a vector has another width than in training, or holds no finite numbers.
        """
        options: dict[str, Any] = {
            "beam": beam,
            "length_penalty": length_penalty,
            "length": length,
        }
        if isinstance(source, (Path, pl.DataFrame, Mapping)):
            rows = read_captions(source, layout_of(self.settings.data), captioned=False)
            return [text for _, text in self.write(rows, **options)]
        given, single = _as_vectors(source, self.coder.width)
        rows = (Captioned(one, None, f"the rows, row {k}") for k, one in enumerate(given))
        texts = [text for _, text in self.write(rows, **options)]
        return texts[0] if single else texts

    def write(
        self,
        rows: Iterable[Captioned],
        *,
        beam: int = 1,
        length_penalty: float = 0.0,
        length: int | None = None,
    ) -> Iterator[tuple[Captioned, str]]:
        """Each of any number of rows, with the text for it; the options are those of `predict`."""
        search = BeamSettings(width=beam, length_penalty=length_penalty)
        if length is not None and length < 1:
            raise ValueError(f"length must be at least 1, got {length}.")
        longest = length or self.coder.longest + self.coder.longest // 2 + 1
        walk = iter(rows)
        while some := list(islice(walk, _WINDOW * self.settings.data.batch_size)):
            for one in some:
                self.coder.check(one)
                if not np.isfinite(one.vector).all():
                    raise TableError(f"{one.where}: a number is missing (NaN) or infinite.")
            yield from zip(some, self._write(some, search, longest), strict=True)

    def _write(self, rows: Sequence[Captioned], search: BeamSettings, longest: int) -> list[str]:
        unknown = self.coder.tokenizer.unknown
        vectors = torch.from_numpy(np.stack([one.vector for one in rows])).to(self.device)
        with evaluating(self):
            found = beam_search(
                self.network.step,
                self.network.begin(vectors),
                start=self.coder.end,
                end=self.coder.end,
                longest=[longest] * len(rows),
                settings=search,
                # "unknown" is nothing that could be written
                forbidden=() if unknown is None else (unknown,),
            )
        return [self.coder.decode(hypotheses[0].tokens) for hypotheses in found]


def _as_vectors(source: Any, width: int) -> tuple[list[Vector], bool]:
    """Vectors from an array or a list, and whether it was one alone."""
    try:
        whole = np.asarray(source, dtype=np.float32)
    except (TypeError, ValueError):
        # of different widths: each is looked at by itself
        return [np.asarray(one, dtype=np.float32).ravel() for one in source], False
    if whole.ndim <= 1 or (whole.size == width and len(whole) != 1):
        return [whole.ravel()], True
    return [one.ravel() for one in whole], False
