"""A classifier beside the most frequent label, and models of whole rows or of chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.baselines.labels import (
    BoostedLabels,
    FeedForwardLabels,
    HiddenMarkovLabels,
    LabelGuess,
    LabelRegression,
    MostFrequentLabel,
)
from ostinato.compare.history import History, ladder, shuffled, trace_history
from ostinato.compare.result import Metric
from ostinato.compare.sources import confirm, nothing_held_out, recorded
from ostinato.compare.trial import (
    Asked,
    Floats,
    Longs,
    Trial,
    evenly,
    network_candidate,
    tried,
)
from ostinato.tasks.classifier.data import LabelledRows
from ostinato.tasks.classifier.fitting import read_parts
from ostinato.tasks.task import digest_of, evaluating

if TYPE_CHECKING:
    from ostinato.tasks.classifier.task import Classifier

__all__ = ["classifier_trial"]

# what a comparison takes that is not to take long: rows that others learn from, rows that are
# scored, and rows that are asked about with less of them
_LEARNED, _SCORED, _PLACES = 20_000, 20_000, 1_000


class _Rows:
    """Some rows with their labels, in the network's own order."""

    def __init__(self, model: Classifier, rows: LabelledRows, part: Longs) -> None:
        self.width = rows.width
        self.inputs: list[Any] = [
            rows.values(int(n)) if rows.width else rows.text(int(n)) for n in part
        ]
        # a label that training did not have has no column, and its row is wrong in any case
        known = model.coder.labels.numbers(rows.labels)
        self.targets = np.zeros((len(part), model.coder.labels.size), dtype=np.int64)
        self.strange = np.zeros(len(part), dtype=bool)
        for k, n in enumerate(part):
            numbers = known[rows.label_rows[int(n)]]
            self.targets[k, numbers[numbers >= 0]] = 1
            self.strange[k] = bool((numbers < 0).any())

    def wrong(self, told: Any) -> Floats:
        """Which rows have a label wrong."""
        missed = (np.asarray(told, dtype=bool) != self.targets.astype(bool)).any(axis=1)
        return np.asarray(missed | self.strange, dtype=np.float64)

    def plain(self, steps: int | None) -> Any:
        """Rows as models without time take them: texts; or all numbers of a row, or their mean."""
        if not self.width:
            return self.inputs
        if steps is not None:
            return np.stack([one.ravel() for one in self.inputs]).astype(np.float64)
        return np.stack([one.mean(axis=0) for one in self.inputs]).astype(np.float64)

    def steps(self) -> int | None:
        """Steps of each row of numbers, where all have as many."""
        lengths = {len(one) for one in self.inputs}
        return lengths.pop() if self.width and len(lengths) == 1 else None


def classifier_trial(model: Classifier, data: Any, asked: Asked) -> Trial:
    """Score a classifier and simple models on rows that it has not seen.

    Args:
        model: fitted.
        data: the rows that it was fitted on, or, with `asked.train`, others.
        asked: what is to be done.

    Raises:
        CompareError: nothing was held out, or the rows are others.
    """
    asked.report("reading")
    train, test, confirmed, notes = _parts(model, data, asked)
    coded = _Coded(model, test.inputs)
    asked.report("scoring: the network")
    wrong = np.zeros(0)

    def asked_network() -> Floats:
        nonlocal wrong
        wrong = test.wrong(coded.told(coded.rows))
        return wrong

    cell = model.settings.model.cell
    network = network_candidate(
        model,
        cell or "feed-forward network of our own",
        asked_network,
        looks_back=None if cell else 0,
    )
    trial = Trial(
        "classifier",
        Metric("accuracy", higher=True),
        network,
        [],
        np.ones(len(wrong)),
        "row",
        f"{len(wrong):,} rows",
        confirmed=confirmed,
        notes=notes,
    )
    _guess(trial, model, train, test, asked)
    if asked.history and cell is not None:
        trial.notes.append("k counts steps before the last one of a row.")
        trial.history = _history(test, coded, wrong, asked)
    return trial


def _guess(trial: Trial, model: Classifier, train: _Rows, test: _Rows, asked: Asked) -> None:
    several = model.coder.several

    def one(name: str, make: Callable[[], LabelGuess], seen: Any, rows: Any) -> None:
        def told(guess: LabelGuess) -> Floats:
            return test.wrong(guess.predict(rows))

        tried(trial, name, lambda: make().fit(seen, train.targets), told, asked)

    steps = train.steps()
    if steps != test.steps():
        steps = None
    seen, rows = train.plain(steps), test.plain(steps)
    one("most frequent label", MostFrequentLabel, seen, rows)
    one("logistic regression", lambda: LabelRegression(several=several), seen, rows)
    if train.width:
        one("gradient boosting", lambda: BoostedLabels(several=several), seen, rows)
        one("feed-forward network", lambda: FeedForwardLabels(several=several), seen, rows)
        if not several:
            one("hidden Markov models", HiddenMarkovLabels, train.inputs, test.inputs)


def _history(test: _Rows, coded: _Coded, wrong: Floats, asked: Asked) -> History:
    """What all but the last k + 1 steps of a row are worth."""
    chosen = asked.some_places(len(coded.rows), _PLACES)
    rows = [coded.rows[n] for n in chosen.tolist()]
    longest = max(len(one) for one in rows) - 1

    def ask(way: str, k: int, reach: int) -> Floats:
        asked.report(f"history: {way} beyond {k} steps")
        rng = np.random.default_rng((asked.seed, k))
        told = np.zeros(test.targets.shape, dtype=bool)
        less = [row[-k - 1 :] if way == "cut" else shuffled(row, k + 1, rng) for row in rows]
        told[chosen] = coded.told(less)
        return test.wrong(told)[chosen]

    return trace_history(
        wrong[chosen],
        ask,
        asked.steps or ladder(longest),
        higher=True,
        unit="step",
        longest=longest,
        **asked.drawing,
    )


class _Coded:
    """Rows as the network reads them, and what it says of them.

    Attributes:
        rows: tokens [T], places among distinct words [T], or numbers [T, I].
    """

    def __init__(self, model: Classifier, inputs: Sequence[Any]) -> None:
        self.model = model
        self._words = model.coder.words()
        self.rows: list[Any] = list(inputs)
        if model.coder.inputs.tokens:
            self.rows = [model.coder.encode(one, self._words) for one in inputs]

    def told(self, rows: Sequence[Any]) -> Any:
        """Whether each row has each label, [M, K]."""
        model = self.model
        found = np.zeros((len(rows), model.coder.labels.size), dtype=bool)
        size = model.settings.data.batch_size
        order = np.argsort([len(one) for one in rows], kind="stable")
        with evaluating(model):
            for first in range(0, len(rows), size):
                some = order[first : first + size]
                batch = model.coder.batch([rows[n] for n in some.tolist()], words=self._words)
                told = model.network.probabilities(model.network(batch.to(model.device)))
                found[some] = _decided(told.cpu().numpy(), model.coder.several)
        return found


def _decided(told: Any, several: bool) -> Any:
    if several:
        return told >= 0.5
    return told.argmax(axis=1)[:, None] == np.arange(told.shape[1])


def _parts(model: Classifier, data: Any, asked: Asked) -> tuple[_Rows, _Rows, bool, list[str]]:
    settings = model.settings
    last = None if asked.train is None else data
    parts = read_parts(settings, asked.fitted_on(data), asked.validation, last)
    held_out, confirmed = parts.held_out, True
    rows = parts.rows
    if asked.train is None:
        confirmed = confirm(model, rows.fingerprint, asked)
    elif recorded(model) != digest_of(rows.fingerprint()):
        # the run may have had a test part of its own, drawn from what it was fitted on
        alone = read_parts(settings, asked.train, asked.validation)
        confirmed = confirm(model, alone.rows.fingerprint, asked)
        if confirmed:
            # rows of `train` come first in both
            parts = type(parts)(rows, alone.train, alone.validation, held_out)
    if not len(held_out):
        raise nothing_held_out()
    notes = []
    chosen = []
    for what, among, most in (
        ("Learned from", parts.train, _LEARNED),
        ("Scored", held_out, _SCORED),
    ):
        some = among[evenly(len(among), asked.most(most))]
        if len(some) < len(among):
            notes.append(f"{what}: {len(some):,} of {len(among):,} rows, spread evenly.")
        chosen.append(_Rows(model, rows, some))
    return chosen[0], chosen[1], confirmed, notes
