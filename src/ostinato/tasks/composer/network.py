"""The network of a composer: the notes so far in, the chances of the next ones out."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.layers.dropout import locked_dropout
from ostinato.tasks.composer.settings import ModelSettings
from ostinato.tasks.stack import Build, build_stack, output_size

__all__ = ["ComposerNetwork", "IndependentNotes", "NoteByNote"]


class IndependentNotes(nn.Module):
    """Each key sounds or not, given the past alone: K Bernoulli variables.

    Args:
        input_size: H.
        keys: K.

    Shapes: h [N, H], notes [N, K] of 0 and 1.
    """

    def __init__(self, input_size: int, keys: int) -> None:
        super().__init__()
        self.readout = nn.Linear(input_size, keys)

    def nats(self, h: Tensor, notes: Tensor) -> Tensor:
        """-ln p of each set of notes, [N]."""
        scores = self.readout(h)
        return F.binary_cross_entropy_with_logits(scores, notes, reduction="none").sum(-1)

    def chances(self, h: Tensor) -> Tensor:
        """The chance of each key, [N, K]."""
        return torch.sigmoid(self.readout(h))

    def draw(self, h: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """A set of notes for each row, [N, K]."""
        return _flip(self.readout(h), temperature, generator)


class NoteByNote(nn.Module):
    r"""Each key sounds or not, given the past and the lower keys of the same step.

        a_k = c + U h + W_{:,<k} v_{<k}
        p(v_k = 1 | v_{<k}, h) = sigmoid(b_k + R_k h + V_k sigmoid(a_k))

    Source: NADE (Larochelle and Murray 2011), its biases given by a recurrent net as in RNN-NADE
    (Boulanger-Lewandowski, Bengio, Vincent 2012, arXiv:1206.6392).

    Args:
        input_size: H.
        keys: K.
        hidden_size: width of a.

    Shapes: h [N, H], notes [N, K] of 0 and 1. Memory N K hidden_size in training.
    """

    def __init__(self, input_size: int, keys: int, hidden_size: int) -> None:
        super().__init__()
        self.past = nn.Linear(input_size, hidden_size)
        self.readout = nn.Linear(input_size, keys)
        self.weight_in = nn.Parameter(torch.empty(keys, hidden_size).normal_(0, 0.1))
        self.weight_out = nn.Parameter(torch.empty(keys, hidden_size).normal_(0, 0.1))

    def nats(self, h: Tensor, notes: Tensor) -> Tensor:
        """-ln p of each set of notes, [N]."""
        each = notes.unsqueeze(-1) * self.weight_in
        lower = each.cumsum(1) - each
        hidden = torch.sigmoid(self.past(h).unsqueeze(1) + lower)
        scores = self.readout(h) + (hidden * self.weight_out).sum(-1)
        return F.binary_cross_entropy_with_logits(scores, notes, reduction="none").sum(-1)

    def chances(self, h: Tensor) -> Tensor:
        """The chance of each key, [N, K], by the mean of 256 draws of the whole step."""
        generator = torch.Generator(h.device).manual_seed(0)
        drawn = self.draw(h.repeat_interleave(256, 0), 1.0, generator)
        return drawn.reshape(len(h), 256, -1).mean(1)

    def draw(self, h: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """A set of notes for each row, [N, K], from the lowest up."""
        a, scores = self.past(h), self.readout(h)
        notes = torch.zeros_like(scores)
        for k in range(scores.shape[1]):
            score = scores[:, k] + torch.sigmoid(a) @ self.weight_out[k]
            notes[:, k] = _flip(score, temperature, generator)
            a = a + notes[:, k : k + 1] * self.weight_in[k]
        return notes


class ComposerNetwork(nn.Module):
    """A `Recurrent` stack of any cell over sets of notes, and a distribution of the next set.

    Args:
        keys: K.
        settings: widths, cell and regularisers.
        cell: what builds the cell, in place of `settings.cell`.

    Shapes: notes [T, B, K] -> what is known before each further step [T, B, H].
    """

    def __init__(self, keys: int, settings: ModelSettings, *, cell: Build | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.keys = keys
        self.stack = build_stack(settings, keys, cell=cell)
        top = output_size(self.stack)
        self.notes: IndependentNotes | NoteByNote = (
            IndependentNotes(top, keys)
            if settings.output == "independent"
            else NoteByNote(top, keys, settings.note_size)
        )

    def forward(
        self, notes: Tensor, state: Any = None, *, lengths: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """What is known after each step, [T, B, H], and the last state."""
        x = notes
        if self.training and self.settings.input_dropout:
            x = F.dropout(x, self.settings.input_dropout)
        y, state = self.stack(x, state, lengths=lengths)
        if self.training and self.settings.output_dropout:
            y = locked_dropout(y, self.settings.output_dropout)
        return y, state

    @torch.no_grad()
    def begin_with(self, chances: ArrayLike) -> None:
        """Let the output begin at how often each key sounds, [K]: what is then learnt is why."""
        scores = torch.as_tensor(chances).logit()
        self.notes.readout.bias.copy_(scores)

    def nats(self, notes: Tensor, lengths: Tensor) -> Tensor:
        """-ln p of each step given those before it, [T, B]; 0 behind the end of a row.

        Before the first step stands a silent one, so that the first is predicted, too.
        """
        h, inside = self._known(notes, lengths)
        nats = torch.zeros(inside.shape, dtype=h.dtype, device=h.device)
        nats[inside] = self.notes.nats(h[inside], notes[inside])
        return nats

    def scores(self, notes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of independent notes [T, B, K], and which steps are within their rows [T, B]."""
        h, inside = self._known(notes, lengths)
        return self.notes.readout(h), inside

    def _known(self, notes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What is known before each step [T, B, H], and which steps are within their rows."""
        before = torch.cat([torch.zeros_like(notes[:1]), notes[:-1]])
        h, _ = self(before, lengths=lengths)
        return h, torch.arange(len(notes), device=notes.device)[:, None] < lengths


def _flip(scores: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    if temperature == 0:
        return (scores > 0).to(scores.dtype)
    return torch.bernoulli(torch.sigmoid(scores / temperature), generator=generator)
