"""A tagger beside the most frequent tags, a chain of tags, and regressions on the words around."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.baselines.tag_chain import HiddenMarkovTags, WordsAround
from ostinato.baselines.tagging import MostFrequentTag
from ostinato.compare.history import History, ladder, trace_history
from ostinato.compare.result import Metric
from ostinato.compare.sources import confirm, nothing_held_out, recorded
from ostinato.compare.trial import Asked, Floats, Longs, Trial, network_candidate, tried
from ostinato.tasks.tagger.data import TagRows
from ostinato.tasks.tagger.fitting import cut_parts, kind_of, read_parts
from ostinato.tasks.task import digest_of

if TYPE_CHECKING:
    from ostinato.tasks.tagger.task import Tagger

__all__ = ["tagger_trial"]

# what a comparison takes that is not to take long: words that regressions learn from, and that are
# asked about with less of the sentence
_LEARNED, _PLACES = 200_000, 2_000

Row = Sequence[str]


class _Sentences:
    """Sentences of a part, as words and as numbers of `rows`."""

    def __init__(self, rows: TagRows, part: range) -> None:
        self.numbers: list[Longs] = [rows.word_rows[n].astype(np.int64) for n in part]
        self.tags: list[Longs] = [rows.tag_rows[n].astype(np.int64) for n in part]
        self.words: list[Row] = [[rows.words[k] for k in row] for row in self.numbers]

    def first(self, words: int | None) -> int:
        """How many sentences hold the first so many words, at least one."""
        if words is None:
            return len(self.words)
        ends = np.cumsum([len(row) for row in self.words])
        return max(int(np.searchsorted(ends, words, side="right")), 1)


def tagger_trial(model: Tagger, data: Any, asked: Asked) -> Trial:
    """Score a tagger and simple models on sentences that it has not seen.

    Args:
        model: fitted.
        data: the sentences that it was fitted on, or, with `asked.train`, others.
        asked: what is to be done.

    Raises:
        CompareError: nothing was held out, or the sentences are others.
    """
    asked.report("reading")
    rows, train, held_out, confirmed = _parts(model, data, asked)
    test = _Sentences(rows, held_out)
    lengths = np.array([len(row) for row in test.words])
    asked.report("scoring: the network")
    wrong: list[Any] = []

    def asked_network() -> Floats:
        wrong.extend(_wrong(model, rows, test.words, test.tags))
        return _summed(wrong)

    trial = Trial(
        "tagger",
        Metric("accuracy", higher=True),
        network_candidate(model, model.settings.model.cell, asked_network),
        [],
        lengths.astype(np.float64),
        "sentence",
        f"{lengths.sum():,} words of {len(lengths):,} sentences",
        # sentences of one document may be alike
        block=None,
        confirmed=confirmed,
    )
    _guess(trial, rows, train, test, asked)
    if asked.history:
        trial.notes.append("k counts words on each side of the one that is tagged.")
        trial.history = _history(model, rows, test, wrong, asked)
    return trial


def _guess(trial: Trial, rows: TagRows, train: range, test: _Sentences, asked: Asked) -> None:
    kinds = np.array([kind_of(word) for word in rows.words], dtype=np.int64)
    words, tags = len(rows.words), len(rows.tags)

    def told(predict: Callable[[Any], Iterable[Longs]], given: Any) -> Floats:
        pairs = zip(predict(given), test.tags, strict=True)
        return _summed([found != gold for found, gold in pairs])

    def frequent(name: str, by_word: bool) -> Any:
        # where all words are one word, its most frequent tag is that of all
        pieces = ((some if by_word else some * 0, told) for some, told in rows.pieces(train))
        guess: Any = MostFrequentTag(pieces, words, tags, kinds if by_word else None)
        guess.name, guess.looks_back = name, 0
        guess.parameters = words if by_word else 1
        return guess

    tried(
        trial,
        "most frequent tag",
        lambda: frequent("most frequent tag", False),
        lambda guess: told(lambda given: (guess.predict(row * 0) for row in given), test.numbers),
        asked,
    )
    tried(
        trial,
        "most frequent tag of each word",
        lambda: frequent("most frequent tag of each word", True),
        lambda guess: told(lambda given: map(guess.predict, given), test.numbers),
        asked,
    )
    sentences = ((rows.word_rows[n], rows.tag_rows[n]) for n in train)
    tried(
        trial,
        "hidden Markov model",
        lambda: HiddenMarkovTags(sentences, words, tags, kinds),
        lambda guess: told(guess.predict, test.numbers),
        asked,
    )
    seen = _Sentences(rows, train)
    some = seen.first(asked.most(_LEARNED))

    def around(reach: int) -> WordsAround:
        return WordsAround(reach).fit(seen.words[:some], seen.tags[:some])

    there = [
        tried(
            trial,
            f"logistic regression, {reach} words on each side",
            partial(around, reach),
            lambda guess: told(guess.predict, test.words),
            asked,
        )
        for reach in (0, 2)
    ]
    if any(there) and some < len(seen.words):
        trial.notes.append(
            f"The regressions learned from the first {some:,} of {len(seen.words):,} sentences."
        )


def _history(
    model: Tagger, rows: TagRows, test: _Sentences, wrong: Sequence[Any], asked: Asked
) -> History:
    """What the words further than k from a word, on either side, are worth for its tag."""
    places = [(s, k) for s, row in enumerate(test.words) for k in range(len(row))]
    places = [places[n] for n in asked.some_places(len(places), _PLACES).tolist()]
    longest = max(len(row) for row in test.words) - 1

    def ask(way: str, k: int, reach: int) -> Floats:
        asked.report(f"history: {way} beyond {k} words")
        rng = np.random.default_rng((asked.seed, k))
        made = [_without(test.words[s], place, k, way, rng) for s, place in places]
        gold = [test.tags[s][place : place + 1] for s, place in places]
        found = _tagged(model, rows, [row for row, _ in made])
        return np.array(
            [row[at] != tag[0] for row, (_, at), tag in zip(found, made, gold, strict=True)],
            dtype=np.float64,
        )

    full = np.array([wrong[s][place] for s, place in places], dtype=np.float64)
    return trace_history(
        full,
        ask,
        asked.steps or ladder(longest),
        higher=True,
        unit="word",
        longest=longest,
        # of few sentences, places lie near each other
        block=None,
        **asked.drawing,
    )


def _without(
    row: Row, place: int, k: int, way: str, rng: np.random.Generator
) -> tuple[list[str], int]:
    """A sentence without what is further than k from a word, and where that word stands now."""
    first, stop = max(place - k, 0), place + k + 1
    if way == "cut":
        return list(row[first:stop]), place - first
    far = np.concatenate([np.arange(first), np.arange(min(stop, len(row)), len(row))])
    order = np.arange(len(row))
    order[far] = rng.permutation(far)
    return [row[n] for n in order.tolist()], place


def _tagged(model: Tagger, rows: TagRows, sentences: Sequence[Row]) -> Iterable[Longs]:
    numbers = {tag: k for k, tag in enumerate(rows.tags)}
    for told in model.stream(sentences):
        # a tag that these data do not have is wrong in any case
        yield np.array([numbers.get(tag, -1) for _, tag in told], dtype=np.int64)


def _wrong(
    model: Tagger, rows: TagRows, sentences: Sequence[Row], gold: Sequence[Longs]
) -> list[Any]:
    pairs = zip(_tagged(model, rows, sentences), gold, strict=True)
    return [found != tags for found, tags in pairs]


def _summed(wrong: Sequence[Any]) -> Floats:
    return np.array([float(one.sum()) for one in wrong])


def _parts(model: Tagger, data: Any, asked: Asked) -> tuple[TagRows, range, range, bool]:
    settings = model.settings.data
    apart = asked.validation is not None
    if asked.train is None:
        rows = read_parts(settings, data, asked.validation, None)
        confirmed = confirm(model, rows.fingerprint, asked)
        train, _, held_out = cut_parts(rows, settings, apart, False)
        if not held_out:
            raise nothing_held_out()
        return rows, train, held_out, confirmed
    rows = read_parts(settings, asked.train, asked.validation, data)
    train, _, held_out = cut_parts(rows, settings, apart, True)
    if recorded(model) == digest_of(rows.fingerprint()):
        return rows, train, held_out, True
    # the run may have had a test part of its own, cut from what it was fitted on
    alone = read_parts(settings, asked.train, asked.validation, None)
    confirmed = confirm(model, alone.fingerprint, asked)
    if confirmed:
        train, _, _ = cut_parts(rows, settings, apart, False)
    return rows, train, held_out, confirmed
