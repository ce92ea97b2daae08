"""Fitting a classifier: from rows to batches, a model with its first weights, and a score."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ostinato.baselines.labels import can_regress, majority_accuracy, regression_accuracy
from ostinato.data.batches import LengthBatches, padding_share
from ostinato.data.columns import TableError
from ostinato.data.sequences import Layout
from ostinato.data.store import RowStore
from ostinato.data.tables import LabelledSource, read_rows
from ostinato.data.tokenizers import CharTokenizer, Tokenizer, fit_tokenizer
from ostinato.data.vocabulary import Vocabulary
from ostinato.data.words import WordTokenizer
from ostinato.tasks.classifier.data import LabelCoder, LabelledRows, Words, pieces
from ostinato.tasks.classifier.network import Inputs, LabelBatch
from ostinato.tasks.classifier.settings import ClassifierData, ClassifierSettings
from ostinato.tasks.task import Plan, Prepared, digest_of, first_weights, rebuilt
from ostinato.tasks.word_vectors import use_vectors

if TYPE_CHECKING:
    from ostinato.tasks.classifier.task import Classifier

__all__ = ["Parts", "cut", "layout_of", "prepare", "read_parts"]

Longs = NDArray[np.int64]

# rows that a regression reads at most: it keeps them all in memory
_REGRESSED = 100_000


@dataclass(frozen=True)
class Parts:
    """Rows, and which of them are trained on, validated and scored; each int64 [N]."""

    rows: LabelledRows
    train: Longs
    validation: Longs
    held_out: Longs


def layout_of(data: ClassifierData) -> Layout:
    """Which columns hold what."""
    return Layout(
        data.text,
        tuple(data.values),
        data.label,
        data.label_separator,
        data.id,
        data.time,
        data.width,
        data.fill,
    )


def read_parts(
    settings: ClassifierSettings,
    source: LabelledSource | Parts,
    validation: Any = None,
    test: Any = None,
) -> Parts:
    """Read rows onto the disk, and draw parts of them by the seed of the training.

    What is given apart is no share of the rest. Labels are spread evenly over the parts.

    Raises:
        TableError: nothing is left to train on, or a part has a label that the training part lacks.
    """
    if isinstance(source, Parts):
        return source
    data, layout = settings.data, layout_of(settings.data)
    given = (source, validation, test)
    rows = LabelledRows(*(() if one is None else read_rows(one, layout) for one in given))
    whole, val, held = (np.arange(part.start, part.stop) for part in rows.parts)
    if test is None:
        whole, held = cut(rows, whole, data.held_out, settings.training.seed)
    if validation is None:
        whole, val = cut(rows, whole, data.validation, settings.training.seed + 1)
    if not len(whole):
        raise TableError(f"{len(rows)} row(s) leave nothing to train on. Give more.")
    return Parts(rows, whole, val, held)


def cut(rows: LabelledRows, among: Longs, share: float, seed: int) -> tuple[Longs, Longs]:
    """Draw a share of some rows, each label's share alike; a label of few rows stays whole.

    Returns:
        The rest, and what was drawn, in the order of their numbers.
    """
    count = int(len(among) * share + 1e-9)
    if not count:
        return np.sort(among), among[:0]
    places = np.ceil(np.arange(1, count + 1) / share - 1e-9).astype(np.int64) - 1
    drawn = spread(rows, among, seed)[np.minimum(places, len(among) - 1)]
    left = np.zeros(len(rows), dtype=bool)
    left[among] = True
    left[drawn] = False
    # one up, as rows without a label have -1
    labels = rows.first_labels() + 1
    seen = np.bincount(labels[left], minlength=len(rows.labels) + 1)
    lost = seen[labels[drawn]] == 0
    left[drawn[lost]] = True
    return np.flatnonzero(left), np.sort(drawn[~lost])


def spread(rows: LabelledRows, among: Longs, seed: int) -> Longs:
    """Rows in a drawn order, those of a label together: each k-th has its share of each label."""
    order = np.random.default_rng(seed).permutation(among)
    kept: Longs = order[np.argsort(rows.first_labels()[order], kind="stable")]
    return kept


def prepare(
    kind: type[Classifier], plan: Plan, source: Any, validation: Any, test: Any
) -> Prepared:
    """Read the rows, settle the vocabulary, build the model; see `Classifier.fit`."""
    settings: ClassifierSettings = plan.settings
    parts = read_parts(settings, source, validation, test)
    rows = parts.rows
    digest = digest_of(rows.fingerprint())
    plan.check_data(digest)
    if plan.earlier is None:
        coder = _coder(parts, settings)
    else:
        coder = rebuilt(kind, plan.earlier, plan.cell).coder
    _check_labels(parts, coder)
    model = first_weights(plan, lambda: kind(coder, settings, cell=plan.cell))
    _scale(model, parts, settings)
    _use_vectors(model, plan)
    words = coder.words()
    store = rows.inputs if rows.width else _encoded(rows, coder, words)
    known = coder.labels.numbers(rows.labels)

    def make(part: Longs) -> Any:
        def batch(chosen: Longs) -> LabelBatch:
            taken = part[chosen]
            labels = [known[rows.label_rows[int(n)]].tolist() for n in taken]
            return coder.batch([store[int(n)] for n in taken], labels, words)

        return batch

    def batches(part: Longs, **options: Any) -> LengthBatches[LabelBatch]:
        return LengthBatches(
            store.lengths[part],
            make(part),
            batch_size=settings.data.batch_size,
            max_steps=settings.data.batch_steps,
            **options,
        )

    train = batches(parts.train, shuffle=True, seed=settings.training.seed)

    def measure() -> Mapping[str, Any]:
        figures: dict[str, Any] = {"padding": padding_share(train)}
        if len(parts.held_out):
            score = model.score(batches(parts.held_out))
            figures["held_out"] = score.to_dict()
            if plan.baselines:
                figures["baselines"] = _guesses(kind, plan, parts, coder)
        return figures

    val = batches(parts.validation) if len(parts.validation) else None
    return Prepared(model, train, digest, val, measure)


def _coder(parts: Parts, settings: ClassifierSettings) -> LabelCoder:
    rows, data = parts.rows, settings.data
    counts = rows.label_counts(parts.train)
    found = [label for label, n in zip(rows.labels, counts.tolist(), strict=True) if n]
    if len(found) < (1 if rows.several else 2):
        raise TableError(
            f"There is nothing to learn: all rows that are trained on have the label "
            f"{found[0] if found else '(none)'!r}. Give rows with different labels."
        )
    labels = Vocabulary(sorted(found, key=_natural), unknown=False)
    if rows.width:
        # with a cell, rows may be of any length
        steps = _common_length(rows) if settings.model.cell is None else None
        return LabelCoder(labels, Inputs(0, rows.width, steps), several=rows.several)
    tokenizer = _tokenizer(parts, data)
    ngrams = settings.model.ngrams
    return LabelCoder(
        labels, Inputs(tokenizer.size), tokenizer, several=rows.several, ngrams=ngrams
    )


def _common_length(rows: LabelledRows) -> int | None:
    lengths = rows.inputs.lengths
    return int(lengths[0]) if (lengths == lengths[0]).all() else None


def _tokenizer(parts: Parts, data: ClassifierData) -> Tokenizer:
    options: dict[str, Any] = {"size": data.vocabulary_size, "min_count": data.min_count}
    if data.tokens == "words":
        options |= {"lower": data.lower, "split": data.split}
    elif data.tokens == "subwords":
        # pairs that occur once are no subwords
        options["min_count"] = max(data.min_count, 2)
    texts = _Texts(parts.rows, parts.train)
    tokenizer = fit_tokenizer(data.tokens, texts, **options)
    if isinstance(tokenizer, CharTokenizer) and tokenizer.unknown is None:
        # rows to come may hold characters that these do not
        return CharTokenizer(tokenizer.symbols, unknown=True)
    return tokenizer


class _Texts(Sequence[str]):
    """Texts of some rows, read from the disk as they are asked for."""

    def __init__(self, rows: LabelledRows, among: Longs) -> None:
        self.rows = rows
        self.among = among

    def __len__(self) -> int:
        return len(self.among)

    def __getitem__(self, n: int) -> str:  # type: ignore[override]
        return self.rows.text(int(self.among[n]))


def _natural(label: str) -> tuple[Any, ...]:
    # 2 before 10
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", label)
        if part
    )


def _check_labels(parts: Parts, coder: LabelCoder) -> None:
    for label in parts.rows.labels:
        if label not in coder.labels:
            raise TableError(
                f"{parts.rows.label_places[label]}: no row that is trained on has the label "
                f"{label!r}. Give training rows with it, or mend the label."
            )


def _scale(model: Classifier, parts: Parts, settings: ClassifierSettings) -> None:
    network, rows = model.network, parts.rows
    if rows.width and settings.data.scale:
        mean, deviation = _moments(rows, parts.train)
        network.mean.copy_(torch.from_numpy(mean))
        network.deviation.copy_(torch.from_numpy(deviation))
    if settings.model.class_weights == "balanced":
        counts = np.zeros(model.coder.labels.size)
        counts[model.coder.labels.numbers(rows.labels)] = rows.label_counts(parts.train)
        total = len(parts.train)
        rarity = (total - counts) / counts if rows.several else total / (len(counts) * counts)
        network.weights.copy_(torch.from_numpy(rarity))


def _use_vectors(model: Classifier, plan: Plan) -> None:
    file = plan.settings.model.embeddings
    # a run that is resumed has them in its checkpoint
    if file is not None and plan.earlier is None:
        tokenizer = model.coder.tokenizer
        assert isinstance(tokenizer, WordTokenizer)
        for embedding in model.network.embeddings:
            # the first two numbers are those of unknown words and of line ends
            use_vectors(embedding, tokenizer.words[2:], file, first=2)


def _moments(rows: LabelledRows, among: Longs) -> tuple[NDArray[Any], NDArray[Any]]:
    # the mean first, then what is around it, so that large numbers keep their digits
    steps = int(rows.inputs.lengths[among].sum())
    total = np.zeros(rows.width)
    for values in pieces(rows.inputs, among):
        total += values.sum(axis=0, dtype=np.float64)
    mean = total / steps
    squares = np.zeros(rows.width)
    for values in pieces(rows.inputs, among):
        squares += np.square(values - mean).sum(axis=0)
    deviation = np.sqrt(squares / steps)
    # what never changes says nothing, and is not to be divided by nothing
    deviation[deviation < 1e-12 * np.maximum(np.abs(mean), 1)] = 1
    return mean, deviation


def _encoded(rows: LabelledRows, coder: LabelCoder, words: Words | None) -> RowStore:
    tokens = (coder.encode(rows.text(n), words) for n in range(len(rows)))
    return RowStore.of(tokens, dtype="int32")


def _guesses(
    kind: type[Classifier], plan: Plan, parts: Parts, coder: LabelCoder
) -> dict[str, float]:
    """Accuracy of what knows no order."""
    rows = parts.rows
    seen, asked = (_targets(parts, coder, part) for part in (parts.train, parts.held_out))
    guesses = {"most_frequent": majority_accuracy(seen, asked)}
    if can_regress():
        some = slice(_REGRESSED)
        train, test = (_plain(rows, part) for part in (parts.train[some], parts.held_out))
        name = "logistic_regression" if rows.width else "tfidf_pairs_regression"
        guesses[name] = regression_accuracy(train, seen[some], test, asked, several=rows.several)
    if plan.settings.model.cell is not None:
        plain = plan.settings.changed(
            cell="none", ngrams=0, members=1, devices=1, nodes=1, strategy="auto"
        )
        model = kind.fit(parts, config=plain, baselines=False, progress=False)
        guesses["feed_forward"] = model.figures["held_out"]["accuracy"]
    return guesses


def _targets(parts: Parts, coder: LabelCoder, among: Longs) -> Longs:
    targets = np.zeros((len(among), coder.labels.size), dtype=np.int64)
    known = coder.labels.numbers(parts.rows.labels)
    for k, row in enumerate(among):
        targets[k, known[parts.rows.label_rows[int(row)]]] = 1
    return targets


def _plain(rows: LabelledRows, among: Longs) -> Any:
    if not rows.width:
        return list(_texts(rows, among))
    whole = _common_length(rows) is not None
    values = (rows.values(int(row)) for row in among)
    return np.stack([one.ravel() if whole else one.mean(axis=0) for one in values])


def _texts(rows: LabelledRows, among: Longs) -> Iterator[str]:
    return (rows.text(int(row)) for row in among)
