"""A text continued token by token, and beside it what it would be with units held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.tokenizers import Ids, Tokenizer
from ostinato.studio.holding import Hold, Steps, Unit
from ostinato.studio.labels import label_of, most_probable
from ostinato.tasks.language_model.generation import allowed
from ostinato.tasks.language_model.sampling import Drawer, Recent, Sampling
from ostinato.tasks.language_model.task import LanguageModel
from ostinato.tasks.language_model.writing import read_prompt

__all__ = ["MOST_TOKENS", "Wish", "write_events"]

# of one answer; a text goes on from where it is with the next
MOST_TOKENS = 5_000

Event = dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """What is to be written.

    Attributes:
        prompt: text to go on from.
        written: tokens that were written after the prompt before: the text goes on behind them,
            with the draws that come next under the seed.
        written_held: the same of the second text; None: those of the first.
        length: tokens to write at most, 1..`MOST_TOKENS`.
        sampling: how each is chosen.
        seed: of the draws, 0 or more.
        holds: units that are held in the second text; without any there is only one text.
        hold_prompt: they are held while the prompt is read, too, not only from then on.
        watch: a unit whose value is told after each token, or None.
    """

    prompt: str
    written: Sequence[int] = ()
    written_held: Sequence[int] | None = None
    length: int = 200
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    holds: Sequence[Hold] = ()
    hold_prompt: bool = True
    watch: Unit | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MOST_TOKENS:
            raise ValueError(f"length must be in 1..{MOST_TOKENS:,}, got {self.length:,}.")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"The seed must be in 0..2^63 - 1, got {self.seed}.")


def write_events(model: LanguageModel, wish: Wish) -> Iterator[Event]:
    """Continue a text; what is wrong with the wish is said before the first event.

    Each event but the last is {"at": number of the token, "plain": row, "held": row}, the second
    row only if units are held, and None once its text has ended. A row has the `text` that the
    token adds (it may be empty while a letter is incomplete), its `label`, its probability `p`
    among those that could be drawn, the most probable ones as `top`, and the watched unit's `value`
    after the token was read. The last event is {"end": why, "parted": at}, `parted` the number of
    the first token in which the texts differ, or None.

    Raises:
        ValueError: a unit or token is not there, or the prompt has unseen characters.
    """
    ids = read_prompt(model.tokenizer, wish.prompt)
    rows = {"plain": _Row(model, wish, ids, wish.written, ())}
    if wish.holds:
        before = wish.written if wish.written_held is None else wish.written_held
        rows["held"] = _Row(model, wish, ids, before, wish.holds)
    return _events(rows, len(wish.written), wish.length)


def _events(rows: dict[str, _Row], first: int, length: int) -> Iterator[Event]:
    for row in rows.values():
        row.begin()
    parted = None
    for at in range(first, first + length):
        told = {name: row.next() for name, row in rows.items()}
        if all(each is None for each in told.values()):
            break
        if parted is None and len({row.token for row in rows.values()}) > 1:
            parted = at
        yield {"at": at, **told}
    ended = all(row.ended for row in rows.values())
    yield {"end": "the model ended the text" if ended else "length", "parted": parted}


class _Row:
    """One of the texts that are written side by side."""

    def __init__(
        self,
        model: LanguageModel,
        wish: Wish,
        prompt: Ids,
        written: Sequence[int],
        holds: Sequence[Hold],
    ) -> None:
        self.tokenizer: Tokenizer = model.tokenizer
        self.sampling, self.watch, self.hold_prompt = wish.sampling, wish.watch, wish.hold_prompt
        self.steps = Steps(model.network, holds)
        if wish.watch is not None:
            self.steps.check(wish.watch)
        wrong = [token for token in written if not 0 <= token < self.tokenizer.size]
        if wrong:
            raise ValueError(
                f"There is no token {wrong[0]}. Send those of earlier events, "
                f"0..{self.tokenizer.size - 1}."
            )
        self.prompt, self.written = prompt, np.array(written, dtype=np.int32)
        self.drawer = Drawer(1, wish.seed)
        self.recent = Recent(
            self.tokenizer.size,
            [np.concatenate([prompt, self.written])],
            wish.sampling.repetition_window,
        )
        self.decoder = self.tokenizer.decoder()
        self.ended = False
        self.token: int | None = None

    def begin(self) -> None:
        """Read what there is, and leave out the draws that it took."""
        for token in (int(self.prompt[-1]), *self.written.tolist()):
            self.decoder.feed(token)
        self.steps.holding = self.hold_prompt
        self.steps.read(self.prompt)
        self.steps.holding = True
        if len(self.written):
            self.steps.read(self.written)
        if not self.sampling.greedy:
            for _ in self.written:
                self.drawer.draw(torch.ones(1, 1))

    def next(self) -> Event | None:
        """Write a token; None if the text has ended."""
        if self.ended:
            self.token = None
            return None
        if self.token is not None:
            self.steps.step(self.token)
        p = self.sampling.probabilities(
            allowed(self.steps.scores, self.tokenizer), self.recent.mask
        )
        chosen = p.argmax(1) if self.sampling.greedy else self.drawer.draw(p)
        self.recent.add(chosen)
        self.token = int(chosen)
        if self.token == self.tokenizer.stop:
            self.ended, self.token = True, None
            return None
        return self._told(p[0])

    def _told(self, p: Tensor) -> Event:
        assert self.token is not None
        told: Event = {
            "token": self.token,
            "text": self.decoder.feed(self.token),
            "label": label_of(self.tokenizer, self.token),
            "p": float(p[self.token]),
            "top": most_probable(self.tokenizer, p),
        }
        if self.watch is not None:
            told["value"] = self.steps.value(self.watch)
        return told
