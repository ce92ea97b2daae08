"""A language model's batches: chunks of streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.data.streams import IGNORED, Chunk
from ostinato.data.text import read_documents
from ostinato.doctor.findings import NotAsked, NotThere
from ostinato.doctor.hands.base import Clue, Hands, drawn_nats
from ostinato.training import sequence_loss

__all__ = ["LanguageHands"]

# tokens that are written after each row of a batch
_STEPS = 100


class LanguageHands(Hands):
    """Of a `LanguageModel`."""

    def outputs(self, batch: Chunk) -> Tensor:
        scores: Tensor = self.model.network(batch.inputs, None, reset=batch.reset)[0]
        return scores

    def error(self, batch: Chunk) -> tuple[float, float]:
        asked = int((batch.targets != IGNORED).sum())
        if not asked:
            return 0.0, 0.0
        return float(sequence_loss(self.outputs(batch), batch.targets)) * asked, float(asked)

    def stack(self) -> nn.Module:
        found: nn.Module = self.model.network.stack
        return found

    def own(self, batches: Sequence[Chunk], draws: torch.Generator) -> tuple[float, int]:
        network = self.model.network
        total, count = 0.0, 0
        for batch in batches:
            scores, state = network(batch.inputs, None, reset=batch.reset)
            now = scores[-1]
            for _ in range(_STEPS):
                tokens, nats = drawn_nats(now, draws)
                total, count = total + float(nats.sum()), count + nats.numel()
                scores, state = network(tokens[None], state)
                now = scores[0]
        return total, count

    def unknown(self, batch: Chunk) -> tuple[int, int]:
        number = self.model.tokenizer.unknown
        if number is None:
            raise NotAsked("no token is unknown to it")
        return int((batch.inputs == number).sum()), batch.inputs.numel()

    def unreadable(self, data: Any) -> tuple[int, int, str] | None:
        tokenizer, settings = self.model.tokenizer, self.model.settings.data
        if tokenizer.kind != "characters" or tokenizer.unknown is not None:
            return None
        counts: Counter[str] = Counter()
        for document in read_documents(
            data, separator=settings.separator, encoding=settings.encoding
        ):
            for piece in document.pieces():
                counts.update(piece)
        foreign = {sign: n for sign, n in counts.items() if sign not in set(tokenizer.symbols)}
        if not foreign:
            return None
        return sum(foreign.values()), sum(counts.values()), "".join(sorted(foreign))

    def clue(self, batches: Sequence[Chunk]) -> Clue | None:
        # the target of a step is the input of the next one
        batch = batches[0]
        steps = len(batch.inputs)
        if steps < 4 or self.model.tokenizer.size < 2:
            raise NotThere("the chunks are too short")
        cut = steps // 2
        other = batch.inputs.clone()
        other[cut:] = (other[cut:] + 1) % self.model.tokenizer.size
        with torch.no_grad():
            before = self.outputs(batch)[:cut]
            after = self.outputs(replace(batch, inputs=other))[:cut]
        change = float((before - after).abs().max())
        scale = max(float(before.abs().max()), 1e-6)
        if change <= 1e-4 * scale:
            return None
        return Clue(
            "the tokens to come",
            f"Other tokens from step {cut} on changed the scores of the {cut} steps before by up "
            f"to {change:.3g} (scores reach {scale:.3g}): the network reads what it is to predict.",
            "Read the text in one direction, with the task's own network.",
            figures={"change": change, "scale": scale, "step": cut},
        )


def without_past(batch: Chunk, model: Any) -> tuple[Chunk, Tensor]:
    """The chunk with other tokens before the last reset of each row, and which steps follow one.

    Raises:
        NotThere: no row starts afresh in the middle of the chunk.
    """
    if batch.reset is None or not bool(batch.reset[1:].any()):
        raise NotThere("no document ends within the batches")
    steps = torch.arange(len(batch.inputs), device=batch.inputs.device)[:, None]
    last = torch.where(batch.reset, steps, torch.zeros_like(steps)).amax(dim=0)
    before = steps < last
    other = torch.where(before, (batch.inputs + 1) % model.tokenizer.size, batch.inputs)
    return replace(batch, inputs=other), ~before & (last > 0)
