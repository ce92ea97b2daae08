"""The tagger: fitted on sentences whose words have tags, asked for the tags of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ostinato.data.batches import LengthBatches
from ostinato.data.streams import IGNORED
from ostinato.data.tags import Sentence, TagError, TagSource, read_sentences
from ostinato.data.words import cut_words
from ostinato.tasks.coded import CodedTask
from ostinato.tasks.stack import Build
from ostinato.tasks.stream_learner import StreamLearner
from ostinato.tasks.tagger.data import Coder
from ostinato.tasks.tagger.network import TagBatch, TaggerNetwork
from ostinato.tasks.tagger.score import TagScore
from ostinato.tasks.tagger.settings import TaggerSettings
from ostinato.tasks.task import Plan, Prepared, evaluating
from ostinato.tasks.tracing import Question
from ostinato.training.hessian_free import Objective

__all__ = ["Tagger"]

Tagged: TypeAlias = list[tuple[str, str]]

# sentences that are looked at together: of like length in a batch, and given back in order
_WINDOW = 64


class Tagger(CodedTask):
    r"""Gives each word of a sentence a tag: a part of speech, or where a name begins and ends.

    `fit` takes CoNLL-U, two columns (word, tab, tag; an empty line between sentences), or rows of
    (word, tag); see `ostinato.data.tags`. Of the sentences, the first tenth decides which weights
    are best (`validation`) and the last is scored in the end (`held_out`), unless files are given
    for these.

    Made by `fit` or `load`, or from its parts, to be trained by a Lightning `Trainer` of one's own.

    Args:
        coder: words, letters and tags to numbers.
        settings: of data, network and training.
        counts: how often each word of the vocabulary occurs in training; once, unless given.
        cell: what builds the cells, in place of `settings.model.cell`.

    Attributes:
        network: words to scores of the tags.
        figures: what `fit` measured, by name: "held_out" (see `TagScore.to_dict`), "baselines"
            (accuracy of simple guesses), "training"; plain values.

    Example:
        >>> rows = [[("Time", "NOUN"), ("flies", "VERB")], [("Fruit", "NOUN"), ("rots", "VERB")]]
        >>> tagger = Tagger.fit(rows * 20, hidden_size=8, batch_size=4, epochs=2, progress=False)
        >>> [word for word, tag in tagger.predict("Time rots.")]
        ['Time', 'rots', '.']
    """

    SETTINGS: ClassVar = TaggerSettings
    CODER: ClassVar = Coder
    settings: TaggerSettings
    coder: Coder

    def __init__(
        self,
        coder: Coder,
        settings: TaggerSettings | None = None,
        *,
        counts: torch.Tensor | None = None,
        cell: Build | None = None,
    ) -> None:
        super().__init__(settings or TaggerSettings())
        self.coder = coder
        seen = torch.ones(coder.words.size) if counts is None else counts
        self.network = TaggerNetwork(
            seen, coder.letters.size, coder.tags.size, self.settings.model, cell=cell
        )
        self._online: StreamLearner | None = None

    # training

    @classmethod
    def prepare(cls, plan: Plan, source: TagSource, validation: Any, test: Any) -> Prepared:
        from ostinato.tasks.tagger.fitting import prepare

        return prepare(cls, plan, source, validation, test)

    def training_step(self, batch: TagBatch, batch_idx: int) -> dict[str, Any]:
        loss = self.network.loss(self.network(batch), batch)
        return {"loss": loss, "tokens": int(batch.lengths.sum())}

    def objective(self, batch: TagBatch) -> Objective:
        loss = partial(self.network.loss, batch=batch)
        return Objective(self.network(batch), loss, rows=float((batch.tags != IGNORED).sum()))

    def validation_step(self, batch: TagBatch, batch_idx: int) -> None:
        scores = self.network(batch)
        right = (self.network.best(scores, batch.lengths) == batch.tags).sum()
        words = int(batch.lengths.sum())
        self.record("val_accuracy", right.float() / words, weight=words)
        self.record("val_loss", self.network.loss(scores, batch), weight=words)

    def update(self, source: TagSource, *, lr: float | None = None) -> float:
        """Go on learning from further sentences, once, as they come; memory stays constant.

        Words and letters that were unknown stay so; the optimiser's state is kept from one call to
        the next, and is not saved. In place of Hessian-free steps, AdamW's are taken.

        Args:
            source: as `fit` takes it.
            lr: learning rate; None: a tenth of the one in the settings.

        Returns:
            The mean loss of a word, each measured before it was learned from.

        Raises:
            TagError: there is no sentence, or one has a tag that the model does not know.
        """
        if self._online is None:
            self._online = StreamLearner(self, weight=lambda batch: int(batch.lengths.sum()))
        loss = self._online.learn(self._labelled(source), lr)
        # a source without sentences has been refused by now
        assert loss is not None
        return loss

    def _labelled(self, source: TagSource) -> Iterator[TagBatch]:
        sentences = read_sentences(source, column=self.settings.data.column)
        size = self.settings.data.batch_size
        while some := list(islice(sentences, size)):
            for sentence in some:
                self._check_tags(sentence)
            tags = [self.coder.tags.numbers(sentence.tags) for sentence in some]
            yield self._batch([sentence.words for sentence in some], tags)

    def _check_tags(self, sentence: Sentence) -> None:
        for k, tag in enumerate(sentence.tags):
            if tag not in self.coder.tags:
                raise TagError(
                    f"{sentence.place(k)}: the model has not been trained on the tag {tag!r} (it "
                    f"knows {', '.join(self.coder.tags.entries)}). Mend the tag, or fit anew."
                )

    # scoring

    def evaluate(self, source: TagSource) -> TagScore:
        """Tag sentences whose tags are known, and compare.

        Args:
            source: as `fit` takes it.

        Raises:
            FileNotFoundError, TagError: the sentences cannot be used, or have a tag that training
                did not (unless `unseen` is "wrong").
        """
        score = TagScore(self.coder.tags.entries)
        strict = self.settings.data.unseen == "error"
        sentences = read_sentences(source, column=self.settings.data.column)
        while some := list(islice(sentences, self._window)):
            if strict:
                for sentence in some:
                    self._check_tags(sentence)
            for sentence, given in zip(some, self._tag(some), strict=True):
                known = self.coder.known(sentence.words)
                score.add(sentence.tags, given, known)
        return score

    # answers

    def predict(
        self, source: str | Iterable[str] | Iterable[Sequence[str]], *, split: str = "punctuation"
    ) -> Any:
        """Tag sentences.

        Args:
            source: a sentence as a string; several; or several as rows of words.
            split: where a string is cut into words: "punctuation" makes each sign a word,
                "blanks" cuts at blanks only.

        Returns:
            Of one string, its words with their tags, a list of (word, tag); else a list of these.

        Raises:
            TagError: a sentence has no words.
        """
        if isinstance(source, str):
            return next(self.stream([cut_words(source, split)]))
        rows = (cut_words(row, split) if isinstance(row, str) else row for row in source)
        return list(self.stream(rows))

    def stream(self, rows: Iterable[Sequence[str]]) -> Iterator[Tagged]:
        """Tag sentences, given as rows of words, one after the other; any number of them."""
        walk = iter(rows)
        number = 0
        while some := list(islice(walk, self._window)):
            for k, words in enumerate(some, start=number + 1):
                if not len(words) or isinstance(words, str):
                    raise TagError(f"Sentence {k} must be a row of words, got {words!r}.")
            number += len(some)
            for words, given in zip(some, self._tag_words(some), strict=True):
                yield list(zip(words, self._names(given), strict=True))

    def _names(self, given: NDArray[np.int64]) -> list[str]:
        return [self.coder.tags.entry(int(k)) for k in given]

    @property
    def _window(self) -> int:
        return _WINDOW * self.settings.data.batch_size

    def _tag(self, sentences: Sequence[Sentence]) -> list[NDArray[np.int64]]:
        return self._tag_words([sentence.words for sentence in sentences])

    def _tag_words(self, rows: Sequence[Sequence[str]]) -> list[NDArray[np.int64]]:
        data = self.settings.data
        found: list[Any] = [None] * len(rows)
        batches: LengthBatches[NDArray[np.int64]] = LengthBatches(
            [len(row) for row in rows],
            lambda chosen: chosen,
            batch_size=data.batch_size,
            max_steps=data.max_words,
        )
        with evaluating(self):
            for chosen in batches:
                batch = self._batch([rows[k] for k in chosen])
                best = self.network.best(self.network(batch), batch.lengths).cpu().numpy()
                for b, k in enumerate(chosen):
                    found[k] = best[: len(rows[k]), b]
        return found

    def _batch(
        self, rows: Sequence[Sequence[str]], tags: Sequence[NDArray[np.int64]] = ()
    ) -> TagBatch:
        numbers: dict[str, int] = {}
        coded_rows = [
            np.array([numbers.setdefault(word, len(numbers)) for word in row]) for row in rows
        ]
        batch = self.coder.batch(self.coder.code(list(numbers)), coded_rows, tags)
        return batch.to(self.device)

    def question(self, source: Any) -> Question:
        from ostinato.tasks.tagger.tracing import question

        return question(self, source)
