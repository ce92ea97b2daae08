"""word2vec: word vectors that foretell a word's neighbours; gensim does the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.extras import needed

__all__ = ["word2vec"]


def word2vec(
    sentences: Sequence[Sequence[str]],
    words: Sequence[str],
    *,
    dimensions: int = 100,
    epochs: int = 5,
    window: int = 5,
    skip_gram: bool = True,
    negative: int = 5,
    seed: int = 0,
    watch: Callable[[int, float], object] | None = None,
) -> NDArray[np.float32]:
    """Fit word vectors with negative sampling, on one thread, so that a seed settles them.

    Source: Mikolov, Sutskever, Chen, Corrado, Dean (2013), arXiv:1310.4546.

    Args:
        sentences: the words of each, read once for each epoch.
        words: the vocabulary; other words are left out of the sentences.
        dimensions: E.
        epochs: passes over the text.
        window: the farthest neighbour.
        skip_gram: foretell the neighbours from the word; else the word from its neighbours.
        negative: words drawn against each true one.
        seed: of everything drawn.
        watch: called after each pass with its number and the loss of the pass, per sentence.

    Returns:
        float32 [V, E], in the order of `words`.

    Raises:
        MissingExtraError: gensim is not installed.
        ValueError: none of the words is in the sentences.
    """
    models = needed("gensim.models", extra="vectors", why="word2vec")
    model = models.Word2Vec(
        vector_size=dimensions,
        window=window,
        sg=int(skip_gram),
        negative=negative,
        min_count=1,
        seed=seed,
        workers=1,
    )
    known = set(words)
    text = _Known(sentences, known)
    model.build_vocab(text)
    if not model.wv.key_to_index:
        raise ValueError("word2vec: none of the words is in the text. Give a longer text.")
    model.train(
        text,
        total_examples=model.corpus_count,
        epochs=epochs,
        compute_loss=True,
        callbacks=[] if watch is None else [_watcher(watch, model.corpus_count)],
    )
    draws = np.random.default_rng(seed)
    matrix = ((draws.random((len(words), dimensions)) - 0.5) / dimensions).astype(np.float32)
    for n, word in enumerate(words):
        if word in model.wv.key_to_index:
            matrix[n] = model.wv[word]
    return matrix


class _Known:
    """The sentences without the words that are not known; can be walked again and again."""

    def __init__(self, sentences: Iterable[Sequence[str]], known: set[str]) -> None:
        self.sentences = sentences
        self.known = known

    def __iter__(self) -> Any:
        for sentence in self.sentences:
            kept = [word for word in sentence if word in self.known]
            if kept:
                yield kept


def _watcher(watch: Callable[[int, float], object], sentences: int) -> Any:
    base = needed("gensim.models.callbacks", extra="vectors", why="word2vec").CallbackAny2Vec

    class Watcher(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            self.epoch, self.before = 0, 0.0

        def on_epoch_end(self, model: Any) -> None:
            loss = float(model.get_latest_training_loss())
            watch(self.epoch, (loss - self.before) / max(sentences, 1))
            self.epoch, self.before = self.epoch + 1, loss

    return Watcher()
