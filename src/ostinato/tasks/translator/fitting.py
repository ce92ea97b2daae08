"""Fitting a translator: from pairs of lines to batches, a model with its first weights, a score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ostinato.data.batches import Indices, LengthBatches, pad, padding_share
from ostinato.data.pairs import PairError, Pairs, PairSource, read_pairs
from ostinato.data.store import RowStore, RowWriter
from ostinato.data.words import WordTokenizer
from ostinato.tasks.task import Plan, Prepared, digest_of, first_weights, rebuilt
from ostinato.tasks.translator.settings import PairSettings
from ostinato.tasks.translator.tokens import Vocabularies

if TYPE_CHECKING:
    from ostinato.tasks.translator.task import Translator

__all__ = ["PairBatch", "pair_batches", "prepare"]

# of a vocabulary of words the first two are no words: the unknown one, and the end
_SPECIAL = 2

Open: TypeAlias = Callable[[], Iterable[tuple[str, str]]]


# not frozen: Lightning makes copies of batches field by field
@dataclass
class PairBatch:
    """Some pairs side by side, time first.

    Attributes:
        source: tokens [S, B], each row with its end.
        source_lengths: [B].
        inputs: what the decoder reads, [T, B]: the end, then the target.
        targets: what it is to say, [T, B]: the target, then the end.
        lengths: [B].
    """

    source: Tensor
    source_lengths: Tensor
    inputs: Tensor
    targets: Tensor
    lengths: Tensor


def prepare(
    kind: type[Translator], plan: Plan, source: PairSource, validation: Any, test: Any
) -> Prepared:
    """Read the pairs, settle the vocabularies, and build the model; see `Translator.fit`."""
    data: PairSettings = plan.settings.data
    given = [_open(part, data) for part in (source, validation, test)]
    counts: list[int] = []
    digest = digest_of(_counted(given, counts))
    plan.check_data(digest)
    parts = _parts(given, counts, data)
    if plan.earlier is None:
        vocabularies = Vocabularies.fit(parts[0], data)
    else:
        vocabularies = rebuilt(kind, plan.earlier, plan.cell).vocabularies
    model = first_weights(plan, lambda: kind(vocabularies, plan.settings, cell=plan.cell))
    file = plan.settings.model.embeddings
    # a run that is resumed has them in its checkpoint
    if file is not None and plan.earlier is None:
        assert isinstance(vocabularies.source, WordTokenizer)
        words, seed = vocabularies.source.words[_SPECIAL:], plan.settings.training.seed
        model.network.use_vectors(words, file, first=_SPECIAL, seed=seed)
    batches = pair_batches(
        vocabularies, parts[0](), data, shuffle=True, seed=plan.settings.training.seed
    )
    val = list(islice(parts[1](), 1))
    held_out = list(islice(parts[2](), 1))
    if held_out:
        _need_bleu()

    def measure() -> Mapping[str, Any]:
        figures: dict[str, Any] = {"padding": padding_share(batches)}
        if held_out:
            figures["held_out"] = model.evaluate(list(parts[2]())).to_dict()
            if plan.baselines:
                figures["baselines"] = {"copied_source": _copied(parts[2])}
        return figures

    return Prepared(
        model,
        batches,
        digest,
        pair_batches(vocabularies, parts[1](), data, limit=False) if val else None,
        measure,
    )


def pair_batches(
    vocabularies: Vocabularies,
    pairs: Iterable[tuple[str, str]],
    settings: PairSettings,
    *,
    shuffle: bool = False,
    seed: int = 0,
    limit: bool = True,
) -> LengthBatches[PairBatch]:
    """Batches of pairs of like length, their numbers in a file that is mapped into memory.

    Args:
        vocabularies: of both sides.
        pairs: a stream of them, which is walked once.
        settings: sizes of the batches.
        shuffle: draw an order for each epoch.
        seed: of the orders.
        limit: leave out pairs that are longer than `settings.max_length`.

    Raises:
        PairError: no pair is left.
    """
    longest = settings.max_length if limit else None
    sources, targets = _encoded(vocabularies, pairs, longest)
    if not len(sources):
        raise PairError(
            f"No pair is left to train on that is at most {settings.max_length} tokens long. "
            "Give more pairs, or raise max_length."
        )

    def make(rows: Indices) -> PairBatch:
        return batch_of([sources[n] for n in rows], [targets[n] for n in rows], vocabularies.end)

    # pairs of one target length in the order of their source lengths: little padding on both sides
    lengths = targets.lengths + 1e-6 * sources.lengths
    return LengthBatches(
        lengths,
        make,
        batch_size=settings.batch_size,
        max_steps=settings.batch_tokens,
        shuffle=shuffle,
        seed=seed,
    )


def batch_of(sources: list[Any], targets: list[Any], end: int) -> PairBatch:
    """A batch of rows of tokens, each with its end.

    Args:
        sources: B rows.
        targets: B rows.
        end: of the targets.
    """
    # the vocabulary of the sources may have another end, and fewer tokens
    source, source_lengths = pad([np.asarray(row, np.int64) for row in sources])
    target, lengths = pad([np.asarray(row, np.int64) for row in targets], end)
    first = torch.full_like(target[:1], end)
    inputs = torch.cat([first, target[:-1]])
    return PairBatch(source, source_lengths, inputs, target, lengths)


def _encoded(
    vocabularies: Vocabularies, pairs: Iterable[tuple[str, str]], longest: int | None
) -> tuple[RowStore, RowStore]:
    with RowWriter(dtype=np.int32) as sources, RowWriter(dtype=np.int32) as targets:
        for source, target in pairs:
            rows = vocabularies.encode_source(source), vocabularies.encode_target(target)
            if longest is None or max(map(len, rows)) <= longest + 1:
                sources.add(rows[0])
                targets.add(rows[1])
    return sources.store, targets.store


def _open(part: Any, data: PairSettings) -> Pairs | None:
    if part is None:
        return None
    return read_pairs(part, encoding=data.encoding, skip_empty=data.skip_empty)


def _counted(given: list[Pairs | None], counts: list[int]) -> Iterator[bytes]:
    """All the data, once; and how many pairs each part has."""
    for part in given:
        count = 0
        for count, (source, target) in enumerate(part or (), 1):  # noqa: B007
            yield source.encode("utf-8", "surrogatepass")
            yield target.encode("utf-8", "surrogatepass")
        counts.append(count)
        if part is not None and not count:
            raise PairError(f"There are no pairs in {part.name}. Give at least one.")


def _parts(given: list[Pairs | None], counts: list[int], data: PairSettings) -> list[Open]:
    """What opens training, validation and test part, of which the last two may be given."""
    source, validation, test = given
    assert source is not None
    last = counts[0] if test is not None else counts[0] - int(counts[0] * data.held_out)
    cut = last if validation is not None else last - int(counts[0] * data.validation)

    def stretch(first: int, end: int) -> Open:
        return lambda: islice(iter(source), first, end)

    def whole(part: Pairs) -> Open:
        return lambda: part

    return [
        stretch(0, cut),
        stretch(cut, last) if validation is None else whole(validation),
        stretch(last, counts[0]) if test is None else whole(test),
    ]


def _copied(part: Open) -> float:
    from ostinato.tasks.translator.score import score_lines

    pairs = list(part())
    return score_lines([source for source, _ in pairs], [target for _, target in pairs]).bleu


def _need_bleu() -> None:
    # before hours of training, not after them
    from ostinato.tasks.translator.score import sacrebleu

    sacrebleu()
