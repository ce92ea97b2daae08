"""What a decoder starts from: the last state of the encoder, whatever the cells of the two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ostinato.engine import State
from ostinato.layers.initial import InitialState, Sizes
from ostinato.layers.sequence import SequenceLayer

__all__ = ["Bridge", "first_state", "states_by_cell"]


class Bridge(InitialState):
    """Starts each layer of a decoder from the last state of the same layer of an encoder.

    Where the states of both have the same widths, they are handed over as they are. Elsewhere, and
    from two directions, a layer of the decoder starts from s = tanh(W [all states of the encoder's
    layer] + b); Bahdanau et al. (2015, arXiv:1409.0473, appendix A.2.2) start from the backward
    direction's alone, without b. A decoder that is deeper than its encoder goes on with the
    encoder's last layer; of a deeper encoder, the last layers count. A state of width 1 beside
    wider ones is taken for a clock, and starts from 0.

    The context of the call is the encoder's last state, as `states_by_cell` gives it.

    Args:
        sizes: for each cell of the encoder (layer by layer, direction inside) the widths of its
            states.
        directions: of the encoder.

    Example:
        >>> from ostinato import GRU, LSTM
        >>> encoder = LSTM(3, 4, bidirectional=True)
        >>> decoder = GRU(5, 6, initial_state=Bridge([(4, 4)] * 2, directions=2))
        >>> _, last = encoder(torch.ones(7, 2, 3))
        >>> decoder(torch.zeros(8, 2, 5), context=states_by_cell(encoder, last, 2))[1].shape
        torch.Size([1, 2, 6])
    """

    def __init__(self, sizes: Sizes | list[tuple[int, ...]], directions: int = 1) -> None:
        super().__init__()
        # the widths of each layer's states, all directions side by side
        self._given = [
            tuple(size for cell in sizes[k : k + directions] for size in cell)
            for k in range(0, len(sizes), directions)
        ]
        self.directions = directions
        self.maps = nn.ModuleList()

    def bind(self, sizes: Sizes, like: Tensor) -> None:
        super().bind(sizes, like)
        if not all(sizes):
            raise ValueError(
                "Bridge: the cell does not say how wide its states are. Give it initial_state("
                "batch_size), or the layer state_sizes."
            )
        if len(self.maps):
            return
        for place, wanted in enumerate(sizes):
            given, made = self._given[self._layer(place)], sum(_no_clocks(wanted))
            self.maps.append(
                nn.Identity()
                if given == wanted
                else nn.Linear(sum(given), made, device=like.device, dtype=like.dtype)
            )

    def forward(self, batch_size: int, like: Tensor, context: Any = None) -> list[State]:
        if context is None:
            raise ValueError("Bridge: no context. Pass the encoder's last states as context=.")
        return [self._start(place, context) for place in range(len(self.sizes))]

    def _start(self, place: int, context: list[State]) -> State:
        first = self._layer(place) * self.directions
        states = [part for cell in context[first : first + self.directions] for part in cell]
        made = self.maps[place]
        if isinstance(made, nn.Identity):
            return tuple(states)
        wanted = self.sizes[place]
        start = torch.tanh(made(torch.cat(states, dim=-1))).to(states[0])
        parts = iter(torch.split(start, list(_no_clocks(wanted)), dim=-1))
        clocks = len(_no_clocks(wanted)) < len(wanted)
        return tuple(
            start.new_zeros(len(start), 1) if clocks and size == 1 else next(parts)
            for size in wanted
        )

    def _layer(self, place: int) -> int:
        # of a deeper encoder the last layers count, of a shallower one the last as often as needed
        deeper = len(self._given) - len(self.sizes)
        return place + deeper if deeper > 0 else min(place, len(self._given) - 1)


def _no_clocks(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in sizes if size > 1) or sizes


def first_state(layer: SequenceLayer, batch_size: int, like: Tensor, context: Any = None) -> Any:
    """The state that a layer starts from, in the form in which it returns its last one.

    Args:
        layer: any sequence layer.
        batch_size: B.
        like: device and type of the state.
        context: what the layer's initial state reads, where it reads something.
    """
    return layer._states.join(layer._start(batch_size, like, context))


def states_by_cell(layer: SequenceLayer, state: Any, batch_size: int) -> list[State]:
    """The state of a layer as a tuple of [B, S] tensors for each cell, whatever its form."""
    return layer._states.split(state, batch_size)
