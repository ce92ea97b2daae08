"""Text from a language model, a token at a time, at a cost that does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ostinato.data.tokenizers import Ids, Tokenizer
from ostinato.tasks.language_model.network import LanguageNetwork
from ostinato.tasks.language_model.sampling import Drawer, Recent, Sampling
from ostinato.tasks.stack import select_rows

__all__ = ["Reader", "allowed", "beam_search", "sample_tokens"]

# steps of a prompt that are read at once: what bounds the memory that a long prompt takes
_READ = 512


class Reader:
    """B texts being read side by side: holds the network's state after what was read so far.

    Args:
        network: in evaluation mode.
        rows: B.

    Attributes:
        scores: of the token that comes next in each row, [B, V]; None before anything is read.
    """

    def __init__(self, network: LanguageNetwork, rows: int = 1) -> None:
        self.network = network
        self.rows = rows
        self.scores: Tensor | None = None
        self._state: Any = None
        self._device = next(network.parameters()).device

    @torch.inference_mode()
    def read(self, texts: Sequence[Ids]) -> None:
        """Read more tokens of each row, of any number, 0 too (once a row has begun)."""
        ends = torch.tensor([len(text) for text in texts])
        longest = int(ends.max())
        for first in range(0, longest, _READ):
            steps = min(_READ, longest - first)
            tokens = torch.zeros(steps, len(texts), dtype=torch.int64)
            for row, text in enumerate(texts):
                part = torch.as_tensor(text[first : first + steps], dtype=torch.int64)
                tokens[: len(part), row] = part
            self._read_block(tokens, (ends - first).clamp(0, steps))

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> None:
        """Read one more token of each row, [B]."""
        scores, self._state = self.network.step(tokens.to(self._device), self._state)
        self.scores = scores

    @torch.inference_mode()
    def select(self, rows: Tensor) -> None:
        """Go on with these rows only, in this order; a row may be taken more than once."""
        if self.scores is not None:
            self.scores = self.scores[rows.to(self._device)]
            self._state = select_rows(self._state, rows)
        self.rows = len(rows)

    def _read_block(self, tokens: Tensor, lengths: Tensor) -> None:
        full = bool((lengths == len(tokens)).all())
        outputs, self._state = self.network.outputs(
            tokens.to(self._device),
            self._state,
            lengths=None if full else lengths.to(self._device),
        )
        last = (lengths - 1).clamp(min=0).to(self._device)
        scores = self.network.scores(outputs[last, torch.arange(len(last), device=last.device)])
        if self.scores is not None and not full:
            scores = torch.where((lengths > 0).to(self._device)[:, None], scores, self.scores)
        self.scores = scores


def sample_tokens(
    network: LanguageNetwork,
    tokenizer: Tokenizer,
    prompts: Sequence[Ids],
    sampling: Sampling,
    *,
    length: int | None,
    seed: int | None = None,
) -> Iterator[list[int | None]]:
    """Continue each prompt; yields a token for each row, None for a row whose text has ended.

    Args:
        network: in evaluation mode.
        tokenizer: of the network.
        prompts: tokens that come before, at least one each.
        sampling: how to choose.
        length: tokens at most; None: no end but that of all texts.
        seed: of the draws.
    """
    reader = Reader(network, len(prompts))
    reader.read(prompts)
    recent = Recent(tokenizer.size, prompts, sampling.repetition_window)
    drawer = Drawer(len(prompts), seed)
    ended = [False] * len(prompts)
    tokens: Tensor | None = None
    made = 0
    while (length is None or made < length) and not all(ended):
        if tokens is not None:
            reader.step(tokens)
        p = sampling.probabilities(allowed(reader.scores, tokenizer), recent.mask)
        tokens = p.argmax(1) if sampling.greedy else drawer.draw(p)
        recent.add(tokens)
        made += 1
        chosen = tokens.tolist()
        ended = [e or token == tokenizer.stop for e, token in zip(ended, chosen, strict=True)]
        yield [None if e else token for e, token in zip(ended, chosen, strict=True)]


def beam_search(
    network: LanguageNetwork,
    tokenizer: Tokenizer,
    prompt: Ids,
    sampling: Sampling,
    *,
    width: int,
    length: int,
) -> list[int]:
    """The most probable continuation that `width` hypotheses side by side come upon.

    A hypothesis that ends its text stays in the race with the probability it has.

    Args:
        network: in evaluation mode.
        tokenizer: of the network.
        prompt: tokens that come before, at least one.
        sampling: only its repetition penalty is used.
        width: hypotheses kept at each step.
        length: tokens at most.
    """
    reader = Reader(network)
    reader.read([prompt])
    recent = Recent(tokenizer.size, [prompt], sampling.repetition_window)
    totals = torch.zeros(1, dtype=torch.float64)
    lines: list[list[int]] = [[]]
    best, best_total = None, -torch.inf
    for step in range(length):
        scores = sampling.penalised(allowed(reader.scores, tokenizer).double(), recent.mask)
        ranked = totals[:, None] + torch.log_softmax(scores, 1)
        if tokenizer.stop is not None:
            total, row = ranked[:, tokenizer.stop].max(0)
            if float(total) > best_total:
                best, best_total = lines[int(row)], float(total)
            ranked[:, tokenizer.stop] = -torch.inf
        totals, places = ranked.flatten().topk(min(width, int(ranked.isfinite().sum())))
        if not len(totals) or best_total >= float(totals[0]):
            break
        rows, tokens = places // tokenizer.size, places % tokenizer.size
        lines = [[*lines[r], t] for r, t in zip(rows.tolist(), tokens.tolist(), strict=True)]
        if step + 1 < length:
            reader.select(rows)
            recent.select(rows)
            reader.step(tokens)
            recent.add(tokens)
    if len(totals) and float(totals[0]) > best_total:
        best = lines[0]
    assert best is not None
    return best


def allowed(scores: Tensor | None, tokenizer: Tokenizer) -> Tensor:
    """Scores on the host, where the choice is made; "unknown" is nothing that could be written."""
    assert scores is not None
    scores = scores.float().cpu()
    if tokenizer.unknown is not None:
        scores = scores.clone()
        scores[:, tokenizer.unknown] = -torch.inf
    return scores
