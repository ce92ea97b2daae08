"""The classifier: fitted on rows with labels, asked for the labels of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ostinato.data.batches import LengthBatches
from ostinato.data.columns import TableError
from ostinato.data.tables import LabelledSource, Rows, read_rows, rows_of
from ostinato.tasks.classifier.data import LabelCoder
from ostinato.tasks.classifier.fitting import layout_of
from ostinato.tasks.classifier.network import ClassifierNetwork, LabelBatch
from ostinato.tasks.classifier.score import LabelScore
from ostinato.tasks.classifier.settings import ClassifierSettings
from ostinato.tasks.coded import CodedTask
from ostinato.tasks.stack import Build
from ostinato.tasks.stream_learner import StreamLearner
from ostinato.tasks.task import Config, Plan, Prepared, evaluating
from ostinato.tasks.tracing import Question
from ostinato.training.hessian_free import Objective

if TYPE_CHECKING:
    from ostinato.tasks.classifier.folds import Folds

__all__ = ["Classifier"]

# one label, or all labels of a row that may have several
Given: TypeAlias = "str | tuple[str, ...]"
Probabilities: TypeAlias = NDArray[np.float32]

# batches that are looked at together: rows of like length side by side, given back in order
_WINDOW = 64


class Classifier(CodedTask):
    """Gives a row a label, or several: a text, or a sequence of numbers.

    `fit` takes tables (CSV, TSV, JSON lines, Parquet, data frames) with a column of texts and one
    of labels, or with columns of numbers (`values`), or pairs of row and label; see
    `ostinato.data.tables`. A tenth of the rows decides which weights are best (`validation`), a
    tenth is scored in the end (`held_out`), unless files are given for these.

    Made by `fit` or `load`, or from its parts, to be trained by a Lightning `Trainer` of one's own.

    Args:
        coder: rows and labels to numbers.
        settings: of data, network and training.
        cell: what builds the cell, in place of `settings.model.cell`.

    Attributes:
        network: rows to scores of the labels.
        figures: what `fit` measured, by name: "held_out" (see `LabelScore.to_dict`), "baselines"
            (accuracy of models that know no order), "training"; plain values.

    Example:
        >>> rows = [("a fine day", "good"), ("a foul day", "bad")] * 20
        >>> model = Classifier.fit(rows, hidden_size=8, epochs=3, progress=False, baselines=False)
        >>> model.predict("a fine day") in ("good", "bad")
        True
    """

    SETTINGS: ClassVar = ClassifierSettings
    CODER: ClassVar = LabelCoder
    settings: ClassifierSettings
    coder: LabelCoder

    def __init__(
        self,
        coder: LabelCoder,
        settings: ClassifierSettings | None = None,
        *,
        cell: Build | None = None,
    ) -> None:
        super().__init__(settings or ClassifierSettings())
        self.coder = coder
        self.network = ClassifierNetwork(
            coder.inputs,
            coder.labels.size,
            self.settings.model,
            several=coder.several,
            cell=cell,
        )
        self._online: StreamLearner | None = None

    @property
    def labels(self) -> list[str]:
        """The names of the labels, in the order of their numbers."""
        return list(self.coder.labels.entries)

    # training

    @classmethod
    def prepare(cls, plan: Plan, source: Any, validation: Any, test: Any) -> Prepared:
        from ostinato.tasks.classifier.fitting import prepare

        return prepare(cls, plan, source, validation, test)

    @classmethod
    def cross_validate(
        cls,
        source: LabelledSource,
        *,
        folds: int = 10,
        cell: str | Build | None = None,
        config: Config = None,
        baselines: bool = True,
        watch: Callable[[int, Mapping[str, Any]], object] | None = None,
        **settings: Any,
    ) -> Folds:
        """Fit to all folds of the rows but one, and score on that one, for each in turn.

        Rows are dealt by the seed of the training, each label evenly. Within what is trained on,
        `validation` decides which weights are best; 0: the last (averaged) ones are taken.

        Args:
            source: as `fit` takes it.
            folds: how many.
            cell: as of `fit`.
            config: as of `fit`.
            baselines: score simple guesses on the same folds.
            watch: called after each fold with its number and its figures.
            settings: as of `fit`.

        Raises:
            ValueError: there are fewer rows than folds, or a setting cannot be used.
        """
        from ostinato.tasks.classifier.folds import cross_validate

        return cross_validate(
            cls, source, folds, baselines, watch, cell=cell, config=config, **settings
        )

    def training_step(self, batch: LabelBatch, batch_idx: int) -> dict[str, Any]:
        loss = self.network.loss(self.network(batch), batch)
        return {"loss": loss, "tokens": int(batch.lengths.sum())}

    def objective(self, batch: LabelBatch) -> Objective:
        loss = partial(self.network.loss, batch=batch)
        return Objective(self.network(batch), loss, rows=len(batch.lengths))

    def validation_step(self, batch: LabelBatch, batch_idx: int) -> None:
        scores = self.network(batch)
        told = self.network.probabilities(scores)
        if self.coder.several:
            right = ((told >= 0.5) == (batch.labels > 0.5)).all(1)
        else:
            right = told.argmax(1) == batch.labels
        rows = len(batch.lengths)
        self.record("val_accuracy", right.float().mean(), weight=rows)
        self.record("val_loss", self.network.loss(scores, batch), weight=rows)

    def update(self, source: LabelledSource, *, lr: float | None = None) -> float:
        """Go on learning from further rows, once, as they come; memory stays constant.

        Vocabulary, labels and scales stay; the optimiser's state is kept from one call to the next,
        and is not saved. In place of Hessian-free steps, AdamW's are taken.

        Args:
            source: as `fit` takes it.
            lr: learning rate; None: a tenth of the one in the settings.

        Returns:
            The mean loss of a row, each measured before it was learned from.

        Raises:
            TableError: there is no row, or one has a label that the model does not know.
        """
        if self._online is None:
            self._online = StreamLearner(self, weight=lambda batch: len(batch.lengths))
        loss = self._online.learn(self._labelled(source), lr)
        if loss is None:
            raise TableError("update: there are no rows to learn from.")
        return loss

    def _labelled(self, source: LabelledSource) -> Iterator[LabelBatch]:
        size = self.settings.data.batch_size
        for rows in read_rows(source, layout_of(self.settings.data)):
            labels = self._numbers(rows)
            for first in range(0, len(rows.inputs), size):
                some = slice(first, first + size)
                yield self._batch(rows.inputs[some], labels[some])

    def _numbers(self, rows: Rows) -> list[list[int]]:
        assert rows.labels is not None
        self.coder.check_numbers(rows)
        return [self.coder.numbers(one, rows.where(k)) for k, one in enumerate(rows.labels)]

    # scoring

    def evaluate(self, source: LabelledSource) -> LabelScore:
        """Classify rows whose labels are known, and compare.

        Raises:
            FileNotFoundError, TableError: the rows cannot be used, or have a label that the
                training part did not.
        """
        score = LabelScore(self.labels, self.coder.several)
        for rows in read_rows(source, layout_of(self.settings.data)):
            score.add(self._numbers(rows), self._probabilities(rows.inputs))
        if not score.rows:
            raise TableError("evaluate: there are no rows to score.")
        return score

    def score(self, batches: Iterable[LabelBatch]) -> LabelScore:
        """What `evaluate` does, for rows that have been encoded already."""
        score = LabelScore(self.labels, self.coder.several)
        with evaluating(self):
            for batch in batches:
                told = self.network.probabilities(self.network(batch.to(self.device)))
                gold = _labels_of(batch, self.coder.several)
                score.add(gold, told.cpu().numpy())
        return score

    # answers

    def predict(self, source: Any, *, probabilities: bool = False) -> Any:
        """Classify rows.

        Args:
            source: a text or an array of numbers [T, I]; a list of these; or a table, as a `Path`,
                a data frame or a mapping.
            probabilities: give those of all labels, in place of the best.

        Returns:
            Of one row its label, or a tuple of them where there may be several, or a dictionary of
            probabilities; else a list of these.

        Raises:
            TableError: a text is empty, or numbers have another form than in training.
        """
        if isinstance(source, str) or (isinstance(source, np.ndarray) and source.ndim == 2):
            return next(self.stream([source], probabilities=probabilities))
        if isinstance(source, (Path, pl.DataFrame, Mapping)):
            told = self.read(source)
            return [self._answer(row, probabilities) for some in told for row in some[1]]
        return list(self.stream(source, probabilities=probabilities))

    def stream(self, rows: Iterable[Any], *, probabilities: bool = False) -> Iterator[Any]:
        """Classify rows one after the other, any number of them."""
        walk = iter(rows)
        while some := list(islice(walk, self._window)):
            taken = rows_of(some)
            self.coder.check_numbers(taken)
            for row in self._probabilities(taken.inputs):
                yield self._answer(row, probabilities)

    def read(self, source: Any) -> Iterator[tuple[Rows, Probabilities]]:
        """The rows of a table, which needs no labels, and the probabilities of each, [B, K]."""
        for rows in read_rows(source, layout_of(self.settings.data), labelled=False):
            self.coder.check_numbers(rows)
            yield rows, self._probabilities(rows.inputs)

    def _answer(self, told: Probabilities, probabilities: bool) -> Any:
        if probabilities:
            return dict(zip(self.labels, told.tolist(), strict=True))
        return self.best(told)

    def best(self, told: Probabilities) -> Given:
        """The label, or all labels, that probabilities [K] speak for."""
        if self.coder.several:
            return tuple(self.coder.labels.entry(int(k)) for k in np.flatnonzero(told >= 0.5))
        return self.coder.labels.entry(int(told.argmax()))

    @property
    def _window(self) -> int:
        return _WINDOW * self.settings.data.batch_size

    def _probabilities(self, inputs: Sequence[Any]) -> Probabilities:
        data = self.settings.data
        found = np.zeros((len(inputs), self.coder.labels.size), dtype=np.float32)
        words = self.coder.words()
        texts = bool(self.coder.inputs.tokens)
        coded = [self.coder.encode(one, words) for one in inputs] if texts else inputs
        batches: LengthBatches[NDArray[np.int64]] = LengthBatches(
            [len(one) for one in coded],
            lambda chosen: chosen,
            batch_size=data.batch_size,
            max_steps=data.batch_steps,
        )
        with evaluating(self):
            for chosen in batches:
                batch = self.coder.batch([coded[k] for k in chosen], words=words).to(self.device)
                told = self.network.probabilities(self.network(batch))
                found[chosen] = told.cpu().numpy()
        return found

    def _batch(self, inputs: Sequence[Any], labels: Sequence[Sequence[int]]) -> LabelBatch:
        words = self.coder.words()
        texts = bool(self.coder.inputs.tokens)
        coded = [self.coder.encode(one, words) for one in inputs] if texts else inputs
        return self.coder.batch(coded, labels, words).to(self.device)

    def question(self, source: Any) -> Question:
        from ostinato.tasks.classifier.tracing import question

        return question(self, source)


def _labels_of(batch: LabelBatch, several: bool) -> list[list[int]]:
    if several:
        return [row.nonzero().flatten().tolist() for row in batch.labels.cpu()]
    return [[number] for number in batch.labels.tolist()]
