"""A classifier's batches: texts or sequences of numbers, each with its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ostinato.doctor.findings import NotAsked, NotThere
from ostinato.doctor.hands.base import Clue, Hands
from ostinato.doctor.plain import disturbed
from ostinato.tasks.classifier.network import LabelBatch

__all__ = ["LabelHands"]

# rows without which a clean cut may be chance
_ROWS = 40
# a token is the label's own if it is in nearly all of its rows and in nearly no others
_OWN = 0.99


class LabelHands(Hands):
    """Of a `Classifier`."""

    def outputs(self, batch: LabelBatch) -> Tensor:
        scores: Tensor = self.model.network(batch)
        return scores

    def error(self, batch: LabelBatch) -> tuple[float, float]:
        rows = float(len(batch.lengths))
        return float(self.model.network.loss(self.outputs(batch), batch)) * rows, rows

    def stack(self) -> nn.Module:
        member = self.model.network.members[0]
        if not hasattr(member, "stack"):
            raise NotAsked("it has no recurrent layer")
        found: nn.Module = member.stack
        return found

    def other_padding(self, batch: LabelBatch) -> tuple[LabelBatch, float]:
        steps = torch.arange(len(batch.x), device=batch.x.device)[:, None]
        padded = steps >= batch.lengths
        if not bool(padded.any()):
            raise NotThere("no row of the batches is shorter than its neighbours")
        mask = padded if batch.x.dim() == 2 else padded[..., None]
        x = torch.where(mask, disturbed(batch.x), batch.x)
        return replace(batch, x=x), float(padded.float().mean())

    def rows(self, batch: LabelBatch) -> Sequence[bytes | None]:
        keys: list[bytes | None] = []
        tokens = self._tokens(batch)
        unknown = self._unknown_token()
        for b, length in enumerate(batch.lengths.tolist()):
            row = tokens[:length, b].cpu()
            lost = unknown is not None and bool((row == unknown).any())
            keys.append(None if lost else row.contiguous().numpy().tobytes())
        return keys

    def unknown(self, batch: LabelBatch) -> tuple[int, int]:
        number = self._unknown_token()
        if number is None:
            raise NotAsked("no token is unknown to it")
        tokens = self._tokens(batch)[self._inside(batch)]
        return int((tokens == number).sum()), tokens.numel()

    def columns(self, batch: LabelBatch) -> dict[str, Tensor]:
        width = self.model.coder.inputs.width
        if not width:
            raise NotAsked("it reads texts")
        names = self.names()
        inside = self._inside(batch)
        return {names[k]: batch.x[..., k][inside] for k in range(width)}

    def names(self) -> list[str]:
        """Of the numbers that enter at a step."""
        width = self.model.coder.inputs.width
        told = list(self.model.settings.data.values)
        named = len(told) == width and "*" not in told
        return told if named else [f"number {k}" for k in range(width)]

    def answers(self, batch: LabelBatch) -> tuple[Tensor, Tensor, Sequence[str]]:
        if self.model.coder.several:
            raise NotAsked("its rows have several labels")
        told = self.model.network.probabilities(self.outputs(batch))
        return batch.labels, told.argmax(1), self.model.labels

    def clue(self, batches: Sequence[LabelBatch]) -> Clue | None:
        if self.model.coder.several:
            raise NotAsked("its rows have several labels")
        labels = torch.cat([batch.labels for batch in batches])
        if len(labels) < _ROWS or _kinds(labels) < 2:
            raise NotThere(f"fewer than {_ROWS} rows, or one label, are in the batches")
        if self.model.coder.inputs.tokens:
            return self._telling_tokens(batches, labels)
        return self._telling_column(batches, labels)

    def _telling_column(self, batches: Sequence[LabelBatch], labels: Tensor) -> Clue | None:
        """A column whose mean over the row is cut into the labels."""
        kinds = _kinds(labels)
        for k, name in enumerate(self.names()):
            means = torch.cat([_means(batch.x[..., k], batch.lengths) for batch in batches])
            ordered = labels[means.argsort(stable=True)]
            groups = 1 + int((ordered[1:] != ordered[:-1]).sum())
            if groups == kinds and _kinds(means) >= kinds:
                left = [other for other in self.model.settings.data.values if other != name]
                return Clue(
                    f"the column {name}",
                    f"The mean of {name} over a row alone sorts {len(labels):,} rows into their "
                    f"{kinds} labels, without a mistake.",
                    f"Unless {name} is known before the label is, leave it out.",
                    {"values": left} if name in self.model.settings.data.values and left else {},
                    figures={"column": name, "rows": len(labels), "labels": kinds},
                )
        return None

    def _telling_tokens(self, batches: Sequence[LabelBatch], labels: Tensor) -> Clue | None:
        """For each label but one a token that is in its rows and in no others."""
        size = self.model.coder.inputs.tokens
        there = torch.zeros(len(labels), size, dtype=torch.bool)
        first = 0
        for batch in batches:
            tokens, inside = self._tokens(batch).cpu(), self._inside(batch).cpu()
            for b in range(tokens.shape[1]):
                there[first + b, tokens[inside[:, b], b]] = True
            first += tokens.shape[1]
        found: dict[str, str] = {}
        for number in sorted(set(labels.tolist())):
            mine = labels == number
            recall = there[mine].float().mean(0)
            purity = there[mine].sum(0) / there.sum(0).clamp(min=1)
            best = int(torch.minimum(recall, purity).argmax())
            if min(float(recall[best]), float(purity[best])) >= _OWN:
                found[self.model.labels[number]] = self._spelt(best)
        if len(found) < _kinds(labels) - 1:
            return None
        told = ", ".join(f"{token!r} of {label}" for label, token in found.items())
        return Clue(
            "single tokens of the text",
            f"In {len(labels):,} rows, a token that is in at least {_OWN:.0%} of the rows of a "
            f"label and of hardly any other: {told}.",
            "If the text spells its label, take that out of the file; else a recurrent net is more "
            "than is needed.",
            figures={"tokens": found, "rows": len(labels)},
            severe=False,
        )

    def _spelt(self, token: int) -> str:
        told: str = self.model.coder.tokenizer.decode([token])
        return told

    def _tokens(self, batch: LabelBatch) -> Tensor:
        """What stands at each step; where words have n-grams, the words' own tokens."""
        return batch.words[batch.x] if self.model.coder.ngrams else batch.x

    def _unknown_token(self) -> int | None:
        tokenizer = self.model.coder.tokenizer
        number: int | None = None if tokenizer is None else tokenizer.unknown
        return number

    def _inside(self, batch: LabelBatch) -> Tensor:
        steps = torch.arange(len(batch.x), device=batch.x.device)[:, None]
        return steps < batch.lengths


def _means(values: Tensor, lengths: Tensor) -> Tensor:
    steps = torch.arange(len(values), device=values.device)[:, None]
    return values.masked_fill(steps >= lengths, 0).sum(0) / lengths.clamp(min=1)


def _kinds(values: Tensor) -> int:
    return len(set(values.tolist()))
