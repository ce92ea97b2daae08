"""Decoders: recurrent stacks that may attend to what an encoder read, in one of four places.

Each is used in two ways that give the same numbers: over a whole sequence whose inputs are known
(as one walk wherever nothing has to go from step to step but the state), and step by step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.layers import Recurrent
from ostinato.layers.attention import Memory, attention_by_name
from ostinato.layers.bridge import Bridge, first_state
from ostinato.tasks.stack import Build, build_stack, output_size, select_rows
from ostinato.tasks.translator.settings import TranslatorModelSettings

__all__ = ["Decoder", "DecoderState", "Encoded", "build_decoder"]


class Encoded(NamedTuple):
    """What an encoder made of a batch of sources.

    Attributes:
        outputs: of its top layer, [S, B, M].
        last: its last state, cell by cell.
        lengths: steps of each source, [B].
    """

    outputs: Tensor
    last: Any
    lengths: Tensor


class DecoderState(NamedTuple):
    """All that a decoder carries from step to step.

    Attributes:
        stack: state of the recurrent layers.
        fed: what the step before hands on besides, [B, F]; None where it hands on nothing.
        memory: what is attended to; None without attention.
    """

    stack: Any
    fed: Tensor | None
    memory: Memory | None

    def select(self, rows: Tensor) -> DecoderState:
        """The state of some rows of the batch, as many for each source that is left, in order.

        A source's memory is kept once, however many rows belong to it.
        """
        memory = self.memory
        if memory is not None:
            sources = len(memory.values)
            each = _rows_of(self.stack) // sources
            left = torch.unique_consecutive(rows // each)
            memory = memory if len(left) == sources else memory.select(left)
        fed = None if self.fed is None else self.fed.index_select(0, rows.to(self.fed.device))
        return DecoderState(select_rows(self.stack, rows), fed, memory)


class Decoder(nn.Module):
    """Without attention: y_t = tanh(W h_t), h_t from h_{t-1} and x_t, h_0 from the encoder.

    Base of the others, which say what is between h_t and y_t.

    Args:
        settings: of the network.
        bridge_sizes: widths of the encoder's states, cell by cell.
        memory_size: M, width of the encoder's outputs.
        cell: what builds the cell, in place of `settings.cell`.

    Shapes: x [T, B, E] -> y [T, B, E], weights [T, B, S] (None without attention).
    """

    def __init__(
        self,
        settings: TranslatorModelSettings,
        bridge_sizes: Any,
        memory_size: int,
        cell: Build | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._bridge_sizes = bridge_sizes
        self._memory_size = memory_size
        self._cell = cell
        self._build()

    def _build(self) -> None:
        self.stack = self._stack(self.settings, self.settings.embedding_size)
        self.combine = nn.Linear(output_size(self.stack), self.settings.embedding_size)

    def begin(self, encoded: Encoded) -> DecoderState:
        """The state before the first step."""
        return DecoderState(self._start(self.stack, encoded), None, None)

    def forward(self, x: Tensor, state: DecoderState, lengths: Tensor) -> tuple[Tensor, Any]:
        """Outputs and weights at all steps of rows of these lengths; see Shapes."""
        y, _ = self.stack(x, state.stack, lengths=lengths)
        return torch.tanh(self.combine(y)), None

    def step(self, x: Tensor, state: DecoderState) -> tuple[Tensor, Any, DecoderState]:
        """Output [B, E], weights [B, S] and state after one more input [B, E]."""
        y, last = self.stack.step(x, state.stack)
        return torch.tanh(self.combine(y)), None, state._replace(stack=last)

    def walk(self, x: Tensor, state: DecoderState) -> tuple[Tensor, Tensor]:
        """`forward` as a loop of `step`, for decoders whose steps need more than the state."""
        outputs, weights = [], []
        for now in x:
            y, seen, state = self.step(now, state)
            outputs.append(y)
            weights.append(seen)
        return torch.stack(outputs), torch.stack(weights)

    def _stack(self, settings: TranslatorModelSettings, width: int) -> Recurrent:
        bridge = Bridge(self._bridge_sizes, 2)
        return build_stack(settings, width, cell=self._cell, initial_state=bridge)

    @staticmethod
    def _start(stack: Recurrent, encoded: Encoded) -> Any:
        return first_state(stack, encoded.outputs.shape[1], encoded.outputs, encoded.last)


class AfterDecoder(Decoder):
    """The top output asks: y_t = tanh(W [c_t; h_t]), c_t = attend(h_t).

    Source: Luong, Pham, Manning (2015), arXiv:1508.04025, equation 5. Here with a bias.
    """

    def _build(self) -> None:
        settings, M = self.settings, self._memory_size
        self.stack = self._stack(settings, settings.embedding_size + self._fed_size())
        H = output_size(self.stack)
        self.attend = attention_by_name(str(settings.attention), H, M)
        self.combine = nn.Linear(M + H, settings.embedding_size)

    def _fed_size(self) -> int:
        return 0

    def begin(self, encoded: Encoded) -> DecoderState:
        memory = self.attend.memory(encoded.outputs, encoded.lengths)
        return DecoderState(self._start(self.stack, encoded), None, memory)

    def forward(self, x: Tensor, state: DecoderState, lengths: Tensor) -> tuple[Tensor, Any]:
        h, _ = self.stack(x, state.stack, lengths=lengths)
        return self._look(h, state.memory)

    def step(self, x: Tensor, state: DecoderState) -> tuple[Tensor, Any, DecoderState]:
        h, last = self.stack.step(x, state.stack)
        y, weights = self._look(h, state.memory)
        return y, weights, state._replace(stack=last)

    def _look(self, h: Tensor, memory: Memory | None) -> tuple[Tensor, Tensor]:
        context, weights = self.attend(h, memory)
        return torch.tanh(self.combine(torch.cat([context, h], dim=-1))), weights


class FeedingDecoder(AfterDecoder):
    """As `AfterDecoder`, and the stack reads [x_t; y_{t-1}], y_0 = 0.

    Source: Luong, Pham, Manning (2015), arXiv:1508.04025, section 3.3 ("input feeding").
    """

    def _fed_size(self) -> int:
        return self.settings.embedding_size

    def begin(self, encoded: Encoded) -> DecoderState:
        outputs = encoded.outputs
        fed = outputs.new_zeros(outputs.shape[1], self.settings.embedding_size)
        return super().begin(encoded)._replace(fed=fed)

    def forward(self, x: Tensor, state: DecoderState, lengths: Tensor) -> tuple[Tensor, Any]:
        return self.walk(x, state)

    def step(self, x: Tensor, state: DecoderState) -> tuple[Tensor, Any, DecoderState]:
        assert state.fed is not None
        y, weights, after = super().step(torch.cat([x, state.fed.to(x)], dim=-1), state)
        return y, weights, after._replace(fed=y)


class BeforeDecoder(Decoder):
    """The step before asks: c_t = attend(h_{t-1}).

        h_t from [x_t; c_t],  y_t = tanh(W [x_t; c_t; h_t])

    Source: Bahdanau, Cho, Bengio (2015), arXiv:1409.0473, appendix A.2.2, which reads h_{t-1} where
    this y_t has h_t, by maxout where this has tanh.
    """

    def _build(self) -> None:
        settings, M = self.settings, self._memory_size
        E = settings.embedding_size
        self.stack = self._stack(settings, E + M)
        H = output_size(self.stack)
        self.attend = attention_by_name(str(settings.attention), H, M)
        self.combine = nn.Linear(E + M + H, E)

    def begin(self, encoded: Encoded) -> DecoderState:
        memory = self.attend.memory(encoded.outputs, encoded.lengths)
        start = self._start(self.stack, encoded)
        return DecoderState(start, self._first_query(start, encoded.outputs), memory)

    def forward(self, x: Tensor, state: DecoderState, lengths: Tensor) -> tuple[Tensor, Any]:
        return self.walk(x, state)

    def step(self, x: Tensor, state: DecoderState) -> tuple[Tensor, Any, DecoderState]:
        context, weights = self.attend(state.fed, state.memory)
        seen = torch.cat([x, context.to(x)], dim=-1)
        h, last = self.stack.step(seen, state.stack)
        y = torch.tanh(self.combine(torch.cat([seen, h], dim=-1)))
        return y, weights, state._replace(stack=last, fed=h)

    def _first_query(self, start: Any, like: Tensor) -> Tensor:
        # the top layer's first state is its output in nearly all cells
        top = start
        while not isinstance(top, Tensor):
            top = top[0] if all(isinstance(part, Tensor) for part in top) else top[-1]
        top = top[-1] if top.dim() == 3 else top
        H = self.attend.query_size
        return top if top.shape[-1] == H else like.new_zeros(like.shape[1], H)


class BetweenDecoder(Decoder):
    """The first layer asks: c_t = attend(g_t), and the layers above read [g_t; c_t].

        g_t from x_t,  h_t from [g_t; c_t],  y_t = tanh(W [c_t; h_t])

    The layers above so know what was looked up at all earlier steps, and yet both walks run without
    a break. Wu et al. (2016), arXiv:1609.08144, section 3, also ask from the first layer, but read
    c_t of the step before.
    """

    def _build(self) -> None:
        settings, M = self.settings, self._memory_size
        E = settings.embedding_size
        # the parts are plain stacks; what is between them is settled here
        part = replace(settings, attention=None)
        self.lower = self._stack(replace(part, num_layers=1), E)
        G = output_size(self.lower)
        self.attend = attention_by_name(str(settings.attention), G, M)
        self.stack = self._stack(replace(part, num_layers=settings.num_layers - 1), G + M)
        self.combine = nn.Linear(M + output_size(self.stack), E)

    def begin(self, encoded: Encoded) -> DecoderState:
        memory = self.attend.memory(encoded.outputs, encoded.lengths)
        starts = (self._start(self.lower, encoded), self._start(self.stack, encoded))
        return DecoderState(starts, None, memory)

    def forward(self, x: Tensor, state: DecoderState, lengths: Tensor) -> tuple[Tensor, Any]:
        g, _ = self.lower(x, state.stack[0], lengths=lengths)
        context, weights = self.attend(g, state.memory)
        h, _ = self.stack(self._up(g, context), state.stack[1], lengths=lengths)
        return torch.tanh(self.combine(torch.cat([context, h], dim=-1))), weights

    def step(self, x: Tensor, state: DecoderState) -> tuple[Tensor, Any, DecoderState]:
        g, below = self.lower.step(x, state.stack[0])
        context, weights = self.attend(g, state.memory)
        h, above = self.stack.step(self._up(g, context), state.stack[1])
        y = torch.tanh(self.combine(torch.cat([context, h], dim=-1)))
        return y, weights, state._replace(stack=(below, above))

    def _up(self, g: Tensor, context: Tensor) -> Tensor:
        return F.dropout(
            torch.cat([g, context.to(g)], dim=-1), self.settings.dropout, self.training
        )


_PLACES: dict[str, type[Decoder]] = {
    "after": AfterDecoder,
    "between": BetweenDecoder,
    "feeding": FeedingDecoder,
    "before": BeforeDecoder,
}


def build_decoder(
    settings: TranslatorModelSettings,
    bridge_sizes: Any,
    memory_size: int,
    cell: Build | None = None,
) -> Decoder:
    """The decoder that the settings name; arguments as of `Decoder`."""
    kind = Decoder if settings.attention is None else _PLACES[settings.attention_place]
    return kind(settings, bridge_sizes, memory_size, cell)


def _rows_of(state: Any) -> int:
    while not isinstance(state, Tensor):
        state = state[0]
    return int(state.shape[-2])
