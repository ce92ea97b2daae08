"""The network of a language model: tokens in, scores of the next token out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.cells import resolve
from ostinato.layers import Recurrent
from ostinato.layers.dropout import locked_dropout
from ostinato.layers.embedding import Embedding, TiedReadout
from ostinato.layers.regularise import activation_penalty, slowness_penalty
from ostinato.tasks.settings import ModelSettings

__all__ = ["LanguageNetwork", "build_cell", "select_rows"]


class LanguageNetwork(nn.Module):
    """Embedding (or one-hot input), a `Recurrent` stack of any cell, a readout.

    Args:
        vocabulary_size: V.
        settings: widths, cell and regularisers.
        cell: what builds the cell, in place of `settings.cell`.

    Shapes: tokens int64 [T, B] -> scores [T, B, V]; the state is that of the stack.

    Example:
        >>> network = LanguageNetwork(65, ModelSettings(hidden_size=8, embedding_size=4))
        >>> scores, state = network(torch.zeros(5, 2, dtype=torch.int64))
        >>> scores.shape
        torch.Size([5, 2, 65])
    """

    def __init__(
        self,
        vocabulary_size: int,
        settings: ModelSettings,
        *,
        cell: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        width = settings.embedding_size
        self.embedding = (
            Embedding(vocabulary_size, width, dropout=settings.token_dropout) if width else None
        )
        self.stack = _stack(settings, width or vocabulary_size, cell)
        top = self._output_size()
        self.readout: nn.Module
        if settings.tied and self.embedding is not None:
            # one matrix serves both ends; the readout wants it small at the start
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            self.readout = TiedReadout(self.embedding, top)
        else:
            self.readout = nn.Linear(top, vocabulary_size)

    def forward(
        self,
        tokens: Tensor,
        state: Any = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Scores [T, B, V] of the token after each of `tokens` [T, B], and the last state."""
        outputs, state = self.outputs(tokens, state, lengths=lengths, reset=reset)
        return self.scores(self.dropped(outputs)), state

    def outputs(
        self,
        tokens: Tensor,
        state: Any = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """What the top layer says at each step, [T, B, H], and the last state."""
        y, state = self.stack(self._enter(tokens), state, lengths=lengths, reset=reset)
        return y, state

    def step(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores [B, V] after one more token for each row, [B]: the numbers of `forward`."""
        y, state = self.stack.step(self._enter(tokens), state)
        return self.scores(self.dropped(y)), state

    def dropped(self, outputs: Tensor) -> Tensor:
        """Top outputs under the dropout before the readout."""
        return self._drop(outputs, self.settings.output_dropout)

    def scores(self, outputs: Tensor) -> Tensor:
        """The readout alone: [..., H] -> [..., V]."""
        scores: Tensor = self.readout(outputs)
        return scores

    def penalty(self, outputs: Tensor, dropped: Tensor) -> Tensor | float:
        """What the activation regularisers add to the loss."""
        settings = self.settings
        penalty: Tensor | float = 0.0
        if settings.activation_penalty:
            penalty = penalty + settings.activation_penalty * activation_penalty(dropped)
        if settings.slowness_penalty:
            penalty = penalty + settings.slowness_penalty * slowness_penalty(outputs)
        return penalty

    def _enter(self, tokens: Tensor) -> Tensor:
        if self.embedding is None:
            return tokens
        x: Tensor = self.embedding(tokens)
        return self._drop(x, self.settings.embedding_dropout)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        if not (self.training and rate):
            return x
        return locked_dropout(x, rate) if self.settings.locked_dropout else F.dropout(x, rate)

    @torch.no_grad()
    def _output_size(self) -> int:
        if self.stack.output_size is not None:
            return self.stack.output_size
        y, _ = self.stack(self._enter(torch.zeros(1, 1, dtype=torch.int64)))
        return int(y.shape[-1])


def _stack(
    settings: ModelSettings, input_size: int, build: Callable[..., nn.Module] | None
) -> Recurrent:
    # built layer by layer, so that any class will do, also one that cannot rebuild itself
    cells: list[nn.Module] = []
    width = input_size
    for _ in range(settings.num_layers):
        cells.append(build_cell(settings, width, build))
        alone = Recurrent(cells[-1], input_size=width, state_sizes=_state_sizes(cells[-1]))
        width = alone.output_size or settings.hidden_size
    return Recurrent(
        cells,
        num_layers=settings.num_layers,
        dropout=settings.dropout if settings.num_layers > 1 else 0.0,
        locked_dropout=settings.locked_dropout and settings.num_layers > 1 and settings.dropout > 0,
        residual=settings.residual,
        recurrent_dropout=settings.recurrent_dropout,
        zoneout=settings.zoneout,
        weight_drop=settings.weight_drop,
        initial_state=None if settings.initial_state == "zeros" else settings.initial_state,
        input_size=input_size,
        state_sizes=_state_sizes(cells[0]),
    )


def _state_sizes(cell: nn.Module) -> tuple[int, ...] | None:
    # torch's own cells with one state say how wide it is by this name
    size = getattr(cell, "hidden_size", None)
    told = hasattr(cell, "state_sizes") or hasattr(cell, "initial_state")
    return None if told or not isinstance(size, int) else (size,)


def build_cell(
    settings: ModelSettings, input_size: int, build: Callable[..., nn.Module] | None = None
) -> nn.Module:
    """The cell that the settings name.

    Raises:
        ValueError: it does not take the options given, or what is named is no module.
    """
    build = resolve(settings.cell) if build is None else build
    if isinstance(build, type) and not issubclass(build, nn.Module):
        raise ValueError(f"cell: {settings.cell!r} is no torch.nn.Module.")
    try:
        cell = build(input_size, settings.hidden_size, **settings.cell_options)
    except TypeError as error:
        raise ValueError(
            f"cell: {settings.cell!r} cannot be built with (input_size={input_size}, hidden_size="
            f"{settings.hidden_size}, **{dict(settings.cell_options)}): {error}."
        ) from error
    if not isinstance(cell, nn.Module):
        raise ValueError(f"cell: {settings.cell!r} makes no torch.nn.Module.")
    return cell


def select_rows(state: Any, rows: Tensor) -> Any:
    """The state of some rows of the batch (in that order), of any nest of [..., B, S] tensors."""
    if isinstance(state, Tensor):
        return state.index_select(-2, rows.to(state.device))
    return tuple(select_rows(part, rows) for part in state)
