"""A tagger's batches: sentences side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ostinato.data.streams import IGNORED
from ostinato.doctor.findings import NotThere
from ostinato.doctor.hands.base import Clue, Hands
from ostinato.tasks.tagger.network import TagBatch

__all__ = ["TagHands"]

# share of the words that spell their own tag
_SPELT = 0.5
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


class TagHands(Hands):
    """Of a `Tagger`."""

    def outputs(self, batch: TagBatch) -> Tensor:
        scores: Tensor = self.model.network(batch)
        steps = torch.arange(len(scores), device=scores.device)[:, None, None]
        return scores.masked_fill(steps >= batch.lengths[:, None], 0.0)

    def error(self, batch: TagBatch) -> tuple[float, float]:
        words = float(batch.lengths.sum())
        return float(self.model.network.loss(self.model.network(batch), batch)) * words, words

    def stack(self) -> nn.Module:
        found: nn.Module = self.model.network.stack
        return found

    def other_padding(self, batch: TagBatch) -> tuple[TagBatch, float]:
        padded = _padded(batch)
        if not bool(padded.any()) or len(batch.words) < 2:
            raise NotThere("no sentence of the batches is shorter than its neighbours")
        others = (batch.places + 1) % len(batch.words)
        places = torch.where(padded, others, batch.places)
        return replace(batch, places=places), float(padded.float().mean())

    def rows(self, batch: TagBatch) -> Sequence[bytes | None]:
        words = self._words(batch)
        keys: list[bytes | None] = []
        for b, length in enumerate(batch.lengths.tolist()):
            row = [words[place] for place in batch.places[:length, b].tolist()]
            whole = "\n".join(row)
            keys.append(None if _UNKNOWN in whole else whole.encode())
        return keys

    weighed = "words in whole sentences"

    def weight(self, row: bytes) -> int:
        return row.count(b"\n") + 1

    def unknown(self, batch: TagBatch) -> tuple[int, int]:
        inside = batch.places[~_padded(batch)]
        return int((batch.words[inside] == 0).sum()), inside.numel()

    def answers(self, batch: TagBatch) -> tuple[Tensor, Tensor, Sequence[str]]:
        network = self.model.network
        given = network.best(network(batch), batch.lengths)
        inside = ~_padded(batch) & (batch.tags != IGNORED)
        return batch.tags[inside], given[inside], self.model.coder.tags.entries

    def clue(self, batches: Sequence[TagBatch]) -> Clue | None:
        spelt = count = 0
        example = ""
        tags = self.model.coder.tags
        for batch in batches:
            words = self._words(batch)
            inside = ~_padded(batch) & (batch.tags != IGNORED)
            pairs = zip(batch.places[inside].tolist(), batch.tags[inside].tolist(), strict=True)
            for place, number in pairs:
                tag = tags.entry(number)
                count += 1
                if _spells(words[place], tag):
                    spelt, example = spelt + 1, example or f"{words[place]!r} is a {tag}"
        if not count or spelt / count < _SPELT:
            return None
        return Clue(
            "the words themselves",
            f"{spelt:,} of {count:,} words spell their own tag ({example}).",
            "Mend the file: words and tags belong into columns of their own, as in CoNLL-U.",
            figures={"spelt": spelt, "words": count},
        )

    def _words(self, batch: TagBatch) -> list[str]:
        """The distinct words as the network reads them, unknown letters marked."""
        letters = self.model.coder.letters
        known = [_UNKNOWN, *letters.entries]
        spelt = []
        for w, length in enumerate(batch.letter_lengths.tolist()):
            spelt.append("".join(known[k] for k in batch.letters[:length, w].tolist()))
        return spelt


def _spells(word: str, tag: str) -> bool:
    """Whether a word has its tag in it, set apart.

    Example:
        >>> _spells("dog_NOUN", "NOUN"), _spells("noun", "NOUN"), _spells("xenon", "X")
        (True, False, False)
    """
    found = re.search(rf"(^|[\W_]){re.escape(tag)}([\W_]|$)", word, re.IGNORECASE)
    return found is not None and word.lower() != tag.lower()


def _padded(batch: TagBatch) -> Tensor:
    steps = torch.arange(len(batch.places), device=batch.places.device)[:, None]
    return steps >= batch.lengths
