"""Fitting a language model: from a text to batches, a model with its first weights, and a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.parts import split_documents
from ostinato.data.streams import Corpus, TokenStreams, encode_documents
from ostinato.data.text import Document, Source, TextError, read_documents
from ostinato.data.tokenizers import Tokenizer, fit_tokenizer
from ostinato.data.words import WordTokenizer
from ostinato.tasks.language_model.scoring import COUNTED, baseline_nats
from ostinato.tasks.language_model.settings import DataSettings
from ostinato.tasks.task import Plan, Prepared, digest_of, first_weights, rebuilt
from ostinato.tasks.word_vectors import use_vectors

if TYPE_CHECKING:
    from ostinato.tasks.language_model.task import LanguageModel

__all__ = ["fingerprint", "prepare"]


def prepare(kind: type[LanguageModel], plan: Plan, source: Source) -> Prepared:
    """Read the text, cut it into parts, and build the model; see `LanguageModel.fit`."""
    data: DataSettings = plan.settings.data
    documents = read_documents(source, separator=data.separator, encoding=data.encoding)
    digest = digest_of(fingerprint(documents))
    plan.check_data(digest)
    shares = (data.validation, data.held_out)
    whole = data.tokens != "characters"
    parts = split_documents(documents, shares, whole=whole, most=data.most_apart)
    if plan.earlier is None:
        tokenizer = _tokenizer(documents, parts[0], data)
    else:
        tokenizer = rebuilt(kind, plan.earlier, plan.cell).tokenizer
    train, validation, held_out = (
        _corpus(tokenizer, part, least) for part, least in zip(parts, (0, 2, 2), strict=True)
    )
    assert train is not None
    model = first_weights(plan, lambda: kind(tokenizer, plan.settings, cell=plan.cell))
    if plan.settings.model.embeddings is not None and plan.earlier is None:
        assert isinstance(tokenizer, WordTokenizer)
        assert model.network.embedding is not None
        # the first two are <unk> and <eos>
        use_vectors(
            model.network.embedding, tokenizer.words[2:], plan.settings.model.embeddings, first=2
        )
    streams = TokenStreams(
        train,
        data.batch_size,
        data.chunk_length,
        shuffle=data.shuffle,
        seed=plan.settings.training.seed,
    )

    def measure() -> Mapping[str, Any]:
        if held_out is None:
            return {}
        figures: dict[str, Any] = {"held_out": model.score(held_out).to_dict()}
        if plan.baselines:
            seen = _joined(train, validation)
            guesses = baseline_nats(tokenizer.kind, seen, held_out, tokenizer.size)
            figures["baselines"] = dict(guesses)
        return figures

    return Prepared(
        model,
        streams,
        digest,
        None if validation is None else _validation_streams(validation, data),
        measure,
    )


def fingerprint(documents: Sequence[Document]) -> Iterator[bytes]:
    """A text as bytes, for `digest_of`."""
    return (piece.encode("utf-8", "surrogatepass") for piece in _pieces(documents))


def _joined(train: Corpus, validation: Corpus | None) -> Corpus:
    # a count needs no validation, so that it may learn from that part, too
    if validation is None or len(train) > COUNTED:
        return train
    return replace(train, tokens=np.concatenate([validation.tokens, train.tokens]))


def _tokenizer(
    documents: Sequence[Document], train: Sequence[Document], data: DataSettings
) -> Tokenizer:
    kinds: set[str] = set()
    for piece in _pieces(documents):
        kinds.update(piece)
    if len(kinds) < 2:
        raise TextError(
            f"The text has only one kind of character, {''.join(kinds)!r}: there is nothing to "
            "predict. Give a longer text."
        )
    options: dict[str, Any] = {"size": data.vocabulary_size}
    if data.min_count is not None:
        options["min_count"] = data.min_count
    if data.tokens == "words":
        options |= {"lower": data.lower, "split": data.split}
    else:
        options["end"] = len(documents) > 1
    learned_from = documents if data.tokens == "characters" else train
    if not learned_from:
        raise TextError("Nothing of the text is left to train on. Give a longer text.")
    return fit_tokenizer(data.tokens, _pieces(learned_from), **options)


def _pieces(documents: Sequence[Document]) -> Iterator[str]:
    return (piece for document in documents for piece in document.pieces())


def _corpus(tokenizer: Tokenizer, part: Sequence[Document], least: int) -> Corpus | None:
    corpus = encode_documents(tokenizer, part)
    return corpus if len(corpus) >= least else None


def _validation_streams(corpus: Corpus, data: DataSettings) -> TokenStreams:
    steps = min(data.chunk_length, len(corpus) - 1)
    rows = min(data.batch_size, (len(corpus) - 1) // steps)
    return TokenStreams(corpus, rows, steps)
