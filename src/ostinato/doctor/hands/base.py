"""What any task's batches can be asked; a task's own hands can do more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.doctor.findings import NotAsked

__all__ = ["Clue", "Hands", "Written", "drawn_nats"]


@dataclass(frozen=True)
class Clue:
    """A part of the input that tells the answer.

    Attributes:
        where: what it is, e.g. "the column price".
        told: the evidence, in a sentence.
        remedy: what to do.
        settings: to fit again with, by name.
        figures: the numbers.
        severe: or else it may be in order.
    """

    where: str
    told: str
    remedy: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    severe: bool = True


@dataclass(frozen=True)
class Written:
    """A text that was written for an input.

    Attributes:
        source: the input's own tokens, where it is a text.
        right: the tokens that were to be written, without the end.
        given: those that were, always the most probable next.
        ended: the end was written before the longest length was reached.
    """

    source: tuple[str, ...] | None
    right: tuple[str, ...]
    given: tuple[str, ...]
    ended: bool


class Hands:
    """Base: knows the loss of training alone.

    Args:
        model: a task.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def loss(self, batch: Any) -> Tensor:
        """The loss of training, in the mode that the model is in."""
        # of a task that carries its state, each batch is to begin anew
        self.model.forget()
        loss: Tensor = self.model.training_step(batch, 0)["loss"]
        self.model.forget()
        return loss

    def outputs(self, batch: Any) -> Tensor:
        """What the network says, rows along axis 1."""
        raise NotAsked("its outputs are not looked at")

    def error(self, batch: Any) -> tuple[float, float]:
        """How wrong it is on a batch, summed, and over how many answers."""
        raise NotAsked("its errors are not compared")

    def stack(self) -> nn.Module:
        """The recurrent layer whose rows are the rows of the outputs."""
        raise NotAsked("its rows are not looked at")

    def other_padding(self, batch: Any) -> tuple[Any, float]:
        """The batch with something else behind the end of its rows, and the share of padding."""
        raise NotAsked("its rows have no padding")

    def rows(self, batch: Any) -> Sequence[bytes | None]:
        """Each row as the network reads it; None where it holds something unknown."""
        raise NotAsked("its rows are not compared")

    # what `weight` counts
    weighed = "rows"

    def weight(self, row: bytes) -> int:
        """How many answers a row of `rows` asks for."""
        return 1

    def unknown(self, batch: Any) -> tuple[int, int]:
        """How many tokens are unknown, and how many there are."""
        raise NotAsked("it reads no tokens")

    def unreadable(self, data: Any) -> tuple[int, int, str] | None:
        """Characters that keep the data from being read at all, of how many, and which; or None."""
        return None

    def columns(self, batch: Any) -> dict[str, Tensor]:
        """Numbers that enter, by name, at all valid steps, [N] each."""
        raise NotAsked("it reads no numbers")

    def answers(self, batch: Any) -> tuple[Tensor, Tensor, Sequence[str]]:
        """Right and given answers as numbers of labels, [N] each, and the names of the labels."""
        raise NotAsked("it gives no labels")

    def others(self, batch: Any) -> Any:
        """The batch with the inputs of other rows, each row's answer as it was."""
        raise NotAsked("it has no input that stands apart from its answer")

    def written(self, batches: Sequence[Any]) -> Sequence[Written]:
        """What it writes for some inputs."""
        raise NotAsked("it writes no texts")

    def guessed(self, batch: Any) -> tuple[int, int]:
        """How many tokens of its texts are the most probable, the true ones read, of how many."""
        raise NotAsked("it writes no texts")

    def own(self, batches: Sequence[Any], draws: torch.Generator) -> tuple[float, int]:
        """-ln p of steps that it draws, its own read before each, summed, and how many."""
        raise NotAsked("it does not go on by itself")

    def clue(self, batches: Sequence[Any]) -> Clue | None:
        """A part of the input that tells the answer."""
        raise NotAsked("its inputs are not searched for the answer")


def drawn_nats(scores: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """A token for each row of scores [B, V], drawn by them, and -ln p of each, [B].

    Example:
        >>> tokens, nats = drawn_nats(torch.tensor([[0.0, 50.0]]), torch.Generator())
        >>> tokens.tolist(), round(abs(float(nats)), 3)
        ([1], 0.0)
    """
    log = torch.log_softmax(scores.double(), dim=-1)
    tokens = torch.multinomial(log.exp(), 1, generator=draws)
    return tokens.squeeze(1), -log.gather(1, tokens).squeeze(1)
