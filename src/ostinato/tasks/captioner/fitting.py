"""Fitting a captioner: from vectors with texts to batches, a model, and a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ostinato.baselines.captions import most_frequent_exact, nearest_exact
from ostinato.data.batches import LengthBatches, padding_share
from ostinato.data.captions import read_captions
from ostinato.data.columns import TableError
from ostinato.data.store import RowStore
from ostinato.data.tokenizers import CharTokenizer, Tokenizer, fit_tokenizer
from ostinato.tasks.captioner.data import CaptionCoder, CaptionRows, layout_of
from ostinato.tasks.captioner.network import CaptionBatch
from ostinato.tasks.captioner.settings import CaptionerData, CaptionerSettings
from ostinato.tasks.task import Plan, Prepared, digest_of, first_weights, rebuilt

if TYPE_CHECKING:
    from ostinato.tasks.captioner.task import Captioner

__all__ = ["prepare"]

Longs = NDArray[np.int64]

# vectors that the nearest is looked for among
_NEAREST = 50_000
# rows that are looked at together for their mean and deviation
_BLOCK = 1 << 14


def prepare(kind: type[Captioner], plan: Plan, source: Any, validation: Any, test: Any) -> Prepared:
    """Read the rows, settle the vocabulary, build the model; see `Captioner.fit`."""
    settings: CaptionerSettings = plan.settings
    layout = layout_of(settings.data)
    given = (source, validation, test)
    rows = CaptionRows(*(() if one is None else read_captions(one, layout) for one in given))
    digest = digest_of(rows.fingerprint())
    plan.check_data(digest)
    train, val, held_out = _parts(rows, settings, validation is not None, test is not None)
    if plan.earlier is None:
        coder = _coder(rows, train, settings.data)
    else:
        coder = rebuilt(kind, plan.earlier, plan.cell).coder
    model = first_weights(plan, lambda: kind(coder, settings, cell=plan.cell))
    if settings.data.scale:
        _scale(model, rows, train)
    tokens = RowStore.of((coder.encode(rows.text(n)) for n in range(len(rows))), dtype="int32")

    def batches(part: Longs, **options: Any) -> LengthBatches[CaptionBatch]:
        def make(chosen: Longs) -> CaptionBatch:
            taken = [int(n) for n in part[chosen]]
            return coder.batch([rows.vectors[n] for n in taken], [tokens[n] for n in taken])

        size = settings.data.batch_size
        return LengthBatches(tokens.lengths[part], make, batch_size=size, **options)

    shuffled = batches(train, shuffle=True, seed=settings.training.seed)

    def measure() -> Mapping[str, Any]:
        figures: dict[str, Any] = {"padding": padding_share(shuffled)}
        if len(held_out):
            asked = [rows.text(int(n)) for n in held_out]
            vectors = rows.matrix(held_out)
            figures["held_out"] = model.score(vectors, asked).to_dict()
            if plan.baselines:
                near = train[:_NEAREST]
                seen = [rows.text(int(n)) for n in near]
                figures["baselines"] = {
                    "most_frequent": most_frequent_exact(seen, asked),
                    "nearest_vector": nearest_exact(rows.matrix(near), seen, vectors, asked),
                }
        return figures

    return Prepared(model, shuffled, digest, batches(val) if len(val) else None, measure)


def _parts(
    rows: CaptionRows, settings: CaptionerSettings, validation: bool, test: bool
) -> tuple[Longs, Longs, Longs]:
    """Training, validation and held-out part: what was given apart is no share of the rest."""
    data = settings.data
    given, val, held = (np.arange(part.start, part.stop) for part in rows.parts)
    order = np.random.default_rng(settings.training.seed).permutation(given)
    first = 0 if validation else int(len(order) * data.validation)
    last = len(order) if test else len(order) - int(len(order) * data.held_out)
    if first >= last:
        raise TableError(f"{len(given)} row(s) leave nothing to train on. Give more.")
    train = np.sort(order[first:last])
    return (
        train,
        val if validation else np.sort(order[:first]),
        held if test else np.sort(order[last:]),
    )


def _coder(rows: CaptionRows, train: Longs, data: CaptionerData) -> CaptionCoder:
    options: dict[str, Any] = {"size": data.vocabulary_size, "min_count": data.min_count}
    if data.tokens == "words":
        options |= {"lower": data.lower, "split": data.split}
    else:
        options["end"] = True
    if data.tokens == "subwords":
        # pairs that occur once are no subwords
        options["min_count"] = max(data.min_count, 2)
    tokenizer: Tokenizer = fit_tokenizer(data.tokens, _Texts(rows, train), **options)
    if isinstance(tokenizer, CharTokenizer) and tokenizer.unknown is None:
        # texts to be scored may hold characters that these do not
        tokenizer = CharTokenizer(tokenizer.symbols, unknown=True, end=True)
    coder = CaptionCoder(tokenizer, rows.width, 0)
    coder.longest = max(len(coder.encode(rows.text(int(n)))) for n in train)
    return coder


class _Texts(Sequence[str]):
    """Texts of some rows, read from the disk as they are asked for, in one line each."""

    def __init__(self, rows: CaptionRows, among: Longs) -> None:
        self.rows = rows
        self.among = among

    def __len__(self) -> int:
        return len(self.among)

    def __getitem__(self, n: int) -> str:  # type: ignore[override]
        return " ".join(self.rows.text(int(self.among[n])).split())


def _scale(model: Captioner, rows: CaptionRows, train: Longs) -> None:
    blocks = [train[k : k + _BLOCK] for k in range(0, len(train), _BLOCK)]
    mean = sum(rows.matrix(block).sum(axis=0, dtype=np.float64) for block in blocks) / len(train)
    squares = sum(np.square(rows.matrix(block) - mean).sum(axis=0) for block in blocks)
    deviation = np.sqrt(squares / len(train))
    # what never changes says nothing, and is not to be divided by nothing
    deviation[deviation < 1e-12 * np.maximum(np.abs(mean), 1)] = 1
    model.network.mean.copy_(torch.from_numpy(mean))
    model.network.deviation.copy_(torch.from_numpy(deviation))
