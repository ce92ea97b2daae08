"""A language model beside n-grams and a hidden Markov model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from ostinato.baselines.hidden_markov import HiddenMarkovText
from ostinato.baselines.ngram import NGram
from ostinato.compare.history import History, ladder, shuffled, trace_history
from ostinato.compare.result import Metric
from ostinato.compare.sources import confirm, nothing_held_out, refuse_validation
from ostinato.compare.trial import Asked, Floats, Longs, Trial, network_candidate, tried
from ostinato.data.parts import split_documents
from ostinato.data.streams import IGNORED, Corpus, blocks, encode_documents
from ostinato.data.text import read_documents
from ostinato.tasks.language_model.fitting import fingerprint
from ostinato.tasks.task import evaluating

if TYPE_CHECKING:
    from ostinato.tasks.language_model.task import LanguageModel

__all__ = ["language_model_trial", "text_history"]

# what a comparison takes that is not to take long: tokens that are scored, counted, learned by the
# hidden Markov model, and asked about with less of the past
_SCORED, _COUNTED, _CHAINED, _PLACES = 200_000, 5_000_000, 50_000, 1_000
# steps of the past from which on more are tried only where they are missed, and tokens that are
# read at most to ask about so many
_FIRST, _READ = 160, 4_000_000
_ORDERS = {"characters": 8}
_SHORT_ORDER = 4
_STEPS = 512
# rows and tokens that are walked at a time
_ROWS, _TOKENS = 128, 1 << 16


class _Unigram(NGram):
    name = "how often each token occurs"
    looks_back = 0


class _Grams(NGram):
    @property
    def name(self) -> str:
        """What it is called in a table."""
        kind = "Kneser-Ney" if self.smoothing == "modified-kneser-ney" else "Witten-Bell"
        return f"{kind} {self.order}-gram"

    @property
    def looks_back(self) -> int:
        """Tokens that it reads."""
        return self.order - 1


def language_model_trial(model: LanguageModel, data: Any, asked: Asked) -> Trial:
    """Score a language model and simple models on the held-out end of a text.

    Args:
        model: fitted.
        data: the text that it was fitted on, or, with `asked.train`, another one.
        asked: what is to be done.

    Raises:
        CompareError: nothing was held out, or the text is another one.
    """
    refuse_validation(asked, "language model", "text")
    asked.report("reading")
    train, validation, test, confirmed = _parts(model, data, asked)
    kind, size = model.tokenizer.kind, model.tokenizer.size
    notes = []
    unit = kind.removesuffix("s")
    scored = asked.most(_SCORED)
    if scored is not None and len(test) > scored + 1:
        notes.append(f"Scored: the first {scored:,} of {len(test) - 1:,} {kind}.")
        test = _cut(test, scored + 1)
    wanted = _wanted(test)
    targets = np.flatnonzero(wanted) + 1
    asked.report("scoring: the network")
    nats = np.zeros(0)

    def walked() -> Floats:
        nonlocal nats
        nats = token_nats(model, test)
        return np.asarray(nats[wanted])

    network = network_candidate(model, model.settings.model.cell, walked)
    units = f"{len(targets):,} {kind}"
    metric = Metric(f"nats per {unit}")
    trial = Trial(
        "language_model",
        metric,
        network,
        [],
        np.ones(len(targets)),
        unit,
        units,
        block=None,
        confirmed=confirmed,
        notes=notes,
    )
    _guess(trial, train, validation, test, wanted, size, kind, asked)
    if asked.history:
        trial.history = text_history(model, test, targets, nats[targets - 1], unit, asked)
    return trial


def token_nats(model: LanguageModel, corpus: Corpus) -> Floats:
    """-ln p of each token but the first, the state carried all the way, [N - 1]."""
    found, state = [], None
    device = next(model.parameters()).device
    with evaluating(model):
        for block in blocks(corpus, 1, _STEPS):
            chunk = block.to(device)
            scores, state = model.network(chunk.inputs, state, reset=chunk.reset)
            losses = F.cross_entropy(
                scores.flatten(0, 1).float(),
                chunk.targets.flatten(),
                ignore_index=IGNORED,
                reduction="none",
            )
            found.append(losses.double().cpu().numpy())
    return np.concatenate(found)


def text_history(
    model: LanguageModel, corpus: Corpus, targets: Longs, nats: Floats, unit: str, asked: Asked
) -> History:
    """What the past is worth to a language model.

    A cut past begins from the initial state, k + 1 tokens before the one to be predicted. What is
    shuffled is the past from there to twice the most steps tried, before which nothing is read.
    Where k is not said, it is doubled until neither costs anything.

    Args:
        model: fitted.
        corpus: what is asked about.
        targets: places in it that are predicted, [n].
        nats: what each cost with all of the past, [n].
        unit: what a step is.
        asked: steps, places.
    """
    before = targets - _starts(corpus, targets)
    there = before >= 1
    targets, nats, before = targets[there], nats[there], before[there]
    longest = int(before.max(initial=1)) - 1
    chosen = asked.some_places(len(targets), _PLACES)
    targets, before = targets[chosen], before[chosen]
    tokens = np.asarray(corpus.tokens)

    def ask(way: str, k: int, reach: int) -> Floats:
        asked.report(f"history: {way} beyond {k} {unit}s")
        rng = np.random.default_rng((asked.seed, k))
        rows = []
        for target, have in zip(targets.tolist(), before.tolist(), strict=True):
            read = tokens[target - min(have, 1 + (k if way == "cut" else reach)) : target]
            rows.append(shuffled(read, k + 1, rng) if way == "shuffle" else read)
        return _last_nats(model, rows, tokens[targets])

    most = longest if asked.full else _READ // (2 * len(targets))
    return trace_history(
        nats[chosen],
        ask,
        asked.steps or ladder(longest, _FIRST),
        most=None if asked.steps else most,
        unit=unit,
        longest=longest,
        # of a short text, places lie near each other
        block=None,
        **asked.drawing,
    )


def _last_nats(model: LanguageModel, rows: Sequence[Any], targets: Any) -> Floats:
    """What the token after each row costs, every row read from the initial state."""
    found = np.zeros(len(rows))
    device = next(model.parameters()).device
    lengths = np.array([len(row) for row in rows])
    order = np.argsort(lengths, kind="stable")
    size = max(min(_ROWS, _TOKENS // int(lengths.max(initial=1))), 1)
    with evaluating(model):
        for first in range(0, len(rows), size):
            some = order[first : first + size]
            laid = np.zeros((int(lengths[some].max()), len(some)), dtype=np.int64)
            for b, row in enumerate(some.tolist()):
                laid[: lengths[row], b] = rows[row]
            have = torch.from_numpy(lengths[some]).to(device)
            y, _ = model.network.outputs(torch.from_numpy(laid).to(device), lengths=have)
            last = y[have - 1, torch.arange(len(some), device=device)]
            asked = torch.from_numpy(np.asarray(targets[some], dtype=np.int64)).to(device)
            scores = model.network.scores(last).float()
            found[some] = F.cross_entropy(scores, asked, reduction="none").double().cpu().numpy()
    return found


def _guess(
    trial: Trial,
    train: Longs,
    validation: Longs,
    test: Corpus,
    wanted: Any,
    size: int,
    kind: str,
    asked: Asked,
) -> None:
    counted = asked.most(_COUNTED)
    if counted is not None and len(train) > counted:
        trial.notes.append(f"Counted: the last {counted:,} of {len(train):,} {kind}.")
        train = train[-counted:]
    tokens = np.asarray(test.tokens, dtype=np.int64)

    def told(guess: Any) -> Floats:
        nats: Floats = guess.nats(tokens)[1:][wanted]
        return nats

    most = _ORDERS.get(kind, _SHORT_ORDER)
    tried(trial, "unigrams", lambda: _Unigram(train, size, order=1), told, asked)
    for smoothing in ("witten-bell", "modified-kneser-ney"):
        tried(
            trial,
            f"n-grams, {smoothing}",
            partial(_best_order, train, validation, size, most, smoothing),
            told,
            asked,
        )
    chained = asked.most(_CHAINED) or len(train)
    there = tried(
        trial,
        "hidden Markov model",
        lambda: HiddenMarkovText(train, size, most=chained, seed=asked.seed),
        told,
        asked,
    )
    if there and len(train) > chained:
        trial.notes.append(f"The hidden Markov model learned from the last {chained:,} {kind}.")


def _best_order(train: Longs, validation: Longs, size: int, most: int, smoothing: str) -> _Grams:
    """The n-gram whose order is the best on the validation part; without one, the longest."""
    found = [_Grams(train, size, order=most, smoothing=smoothing)]
    if len(validation) < 2:
        return found[0]
    found += [_Grams(train, size, order=n, smoothing=smoothing) for n in range(2, most)]
    return min(found, key=lambda model: float(model.nats(validation)[1:].mean()))


def _parts(model: LanguageModel, data: Any, asked: Asked) -> tuple[Longs, Longs, Corpus, bool]:
    settings = model.settings.data
    reads: dict[str, Any] = {"separator": settings.separator, "encoding": settings.encoding}
    documents = read_documents(asked.fitted_on(data), **reads)
    confirmed = confirm(model, lambda: fingerprint(documents), asked)
    whole = settings.tokens != "characters"
    shares = (settings.validation, settings.held_out)
    train, validation, held_out = split_documents(
        documents, shares, whole=whole, most=settings.most_apart
    )
    if asked.train is not None:
        held_out = read_documents(data, **reads)
    corpora = [
        encode_documents(model.tokenizer, part) if part else None
        for part in (train, validation, held_out)
    ]
    seen, chosen, test = corpora
    if test is None or len(test) < 3:
        raise nothing_held_out()
    assert seen is not None
    return _tokens(seen), _tokens(chosen), test, confirmed


def _tokens(corpus: Corpus | None) -> Longs:
    return np.asarray([] if corpus is None else corpus.tokens, dtype=np.int64)


def _cut(corpus: Corpus, tokens: int) -> Corpus:
    starts = tuple(start for start in corpus.starts if start < tokens)
    return replace(corpus, tokens=corpus.tokens[:tokens], starts=starts)


def _starts(corpus: Corpus, places: Longs) -> Longs:
    """Where the document of each token begins; a token that begins one belongs to the last."""
    starts = np.asarray(corpus.starts, dtype=np.int64)
    found: Longs = starts[np.maximum(np.searchsorted(starts, places, side="left") - 1, 0)]
    return found


def _wanted(corpus: Corpus) -> Any:
    """Of each token but the first, whether anything asks for it, [N - 1]."""
    places = np.arange(1, len(corpus))
    return np.ones(len(places), dtype=bool) if corpus.joined else ~np.isin(places, corpus.starts)
