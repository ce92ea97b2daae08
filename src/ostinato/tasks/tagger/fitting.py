"""Fitting a tagger: from files to batches, a model with its first weights, and a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ostinato.baselines.tagging import MostFrequentTag
from ostinato.data.batches import padding_share
from ostinato.data.tags import Sentence, TagError, TagSource, read_sentences
from ostinato.tasks.tagger.data import Coder, TagRows, fit_coder
from ostinato.tasks.tagger.settings import TaggerData
from ostinato.tasks.task import Plan, Prepared, digest_of, first_weights, rebuilt
from ostinato.tasks.word_vectors import use_vectors

if TYPE_CHECKING:
    from ostinato.tasks.tagger.task import Tagger

__all__ = ["cut_parts", "kind_of", "prepare", "read_parts"]


def prepare(
    kind: type[Tagger], plan: Plan, source: TagSource, validation: Any, test: Any
) -> Prepared:
    """Read the sentences into rows on disk, cut them into parts, build the model."""
    data: TaggerData = plan.settings.data
    rows = read_parts(data, source, validation, test)
    digest = digest_of(rows.fingerprint())
    plan.check_data(digest)
    train, val, held_out = cut_parts(rows, data, validation is not None, test is not None)
    if plan.earlier is None:
        coder = fit_coder(rows, train, data)
        _check_tags(rows, coder, data)
    else:
        coder = rebuilt(kind, plan.earlier, plan.cell).coder
    counts = _vocabulary_counts(rows, train, coder)
    model = first_weights(plan, lambda: kind(coder, plan.settings, counts=counts, cell=plan.cell))
    _use_vectors(model, plan)
    coded = coder.code(rows.words)
    seed = plan.settings.training.seed
    batches = rows.batches(train, coder, coded, data, shuffle=True, seed=seed)

    def measure() -> Mapping[str, Any]:
        figures: dict[str, Any] = {"padding": padding_share(batches)}
        if held_out:
            figures["held_out"] = model.evaluate(_again(rows, held_out)).to_dict()
            if plan.baselines:
                figures["baselines"] = {"most_frequent_tag": _guess(rows, train, held_out)}
        return figures

    return Prepared(
        model,
        batches,
        digest,
        rows.batches(val, coder, coded, data) if val else None,
        measure,
    )


def read_parts(data: TaggerData, source: TagSource, validation: Any, test: Any) -> TagRows:
    """Sentences of what is given, one part each; a part that is None is empty."""
    return TagRows(*(_sentences(part, data) for part in (source, validation, test)))


def _sentences(part: Any, data: TaggerData) -> Iterator[Sentence]:
    return iter(()) if part is None else read_sentences(part, column=data.column)


def cut_parts(
    rows: TagRows, data: TaggerData, validation: bool, test: bool
) -> tuple[range, range, range]:
    """Training, validation and test part: what was given apart is no share of the rest."""
    given, val, held_out = rows.parts
    first = 0 if validation else int(len(given) * data.validation)
    last = len(given) if test else len(given) - int(len(given) * data.held_out)
    return (
        given[first:last],
        val if validation else given[:first],
        held_out if test else given[last:],
    )


def _check_tags(rows: TagRows, coder: Coder, data: TaggerData) -> None:
    """See that no part has a tag that the training part lacks, unless that is allowed."""
    missing = [tag for tag in rows.tags if tag not in coder.tags]
    if missing and data.unseen == "error":
        raise TagError(
            f"{rows.tag_places[missing[0]]}: no sentence that is trained on has the tag "
            f"{missing[0]!r} ({len(missing)} such tag(s)). Give training sentences with it, mend "
            "the tag, or set data.unseen to 'wrong', to count it as a mistake."
        )


def _vocabulary_counts(rows: TagRows, train: range, coder: Coder) -> torch.Tensor:
    counts = np.zeros(coder.words.size, dtype=np.int64)
    np.add.at(counts, coder.code(rows.words).numbers, rows.word_counts(train))
    # what is unknown is read as unknown in any case
    counts[0] = 0
    return torch.from_numpy(counts)


def _use_vectors(model: Tagger, plan: Plan) -> None:
    file = plan.settings.model.embeddings
    # a run that is resumed has them in its checkpoint
    if file is not None and plan.earlier is None:
        assert model.network.words is not None
        # the first number is that of unknown words
        use_vectors(model.network.words, model.coder.words.entries, file, first=1)


def _again(rows: TagRows, part: range) -> Iterator[Sentence]:
    for n in part:
        words, tags = rows.word_rows[n], rows.tag_rows[n]
        yield Sentence(
            tuple(rows.words[k] for k in words), tuple(rows.tags[k] for k in tags), f"sentence {n}"
        )


def _guess(rows: TagRows, train: range, held_out: range) -> float:
    kinds = np.array([kind_of(word) for word in rows.words])
    guess = MostFrequentTag(rows.pieces(train), len(rows.words), len(rows.tags), kinds)
    return guess.accuracy(rows.pieces(held_out))


def kind_of(word: str) -> int:
    """What a word looks like at a glance: with a digit, a sign, a capital, or none of these."""
    if any(letter.isdigit() for letter in word):
        return 0
    if not any(letter.isalpha() for letter in word):
        return 1
    return 2 if word[0].isupper() else 3
