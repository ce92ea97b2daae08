"""A sequence layer from any cell."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ostinato.layers.checkpoint import CheckpointEvery, check_every
from ostinato.layers.clamp import Clamp
from ostinato.layers.clip_gradient import ClipGradient, clip_gradient_from
from ostinato.layers.dropout import check_rate
from ostinato.layers.initial import initial_state_from
from ostinato.layers.intime import InTime, Options
from ostinato.layers.products import dry_step
from ostinato.layers.sequence import SequenceLayer
from ostinato.layers.shapes import Lengths
from ostinato.layers.states import StateForm, sizes_of
from ostinato.layers.zoneout import zoneout_rates

__all__ = ["Recurrent"]


class Recurrent(SequenceLayer):
    """Walks a cell over sequences: one layer or a stack, one direction or both.

    Args:
        cell: any module with forward(x [B, I], *state); see `ostinato.Cell`. A stack builds its
            other cells by `cell.rebuild(input_size)`; for a module without that, give all cells
            as a list, layer by layer and direction inside.
        num_layers: L; each further layer reads the outputs of the one below.
        bidirectional: walk also from the end; the two outputs stand side by side, forward first.
        dropout: rate on the outputs of each layer but the last, in training.
        residual: add its input to a layer's output, wherever both have the same width.
        batch_first: sequences are [B, T, I], not [T, B, I]. States never change their form.
        locked_dropout: `dropout` drops a unit at all steps of a row, or at none.
        recurrent_dropout: rate on the state as the recurrent products read it, one mask for all
            steps, in training.
        zoneout: probability that a unit keeps its old value, for all states or one for each. In
            evaluation, the expectation is taken.
        weight_drop: rate on the entries of the recurrent matrices, once a forward pass, in
            training.
        initial_state: what a sequence starts from: "zeros", "ones", "random", "learned", a number,
            tensors, or an `InitialState`; None leaves it to the cell.
        clamp: units that are held at given values at every step.
        clip_gradient: largest norm of a state's gradient as it enters a step on its way back, in
            training, or a `ClipGradient`.
        checkpoint_every: in training, keep the states at every k-th step alone and walk each
            segment again for its gradient: less memory for a third more time. True or "sqrt" takes
            the square root of the length.
        input_size: I, where the cell does not say it.
        state_sizes: widths of the states, where the cell does not say them.

    Shapes: x [T, B, I] -> y [T, B, D*O], for D directions and O the width of the cell's output.
    The state of a single cell is a tensor [B, S], or a tuple of them as the cell has them; of N
    = L*D cells it is [N, B, S] each, or, where their widths differ, a tuple with the state of each.
    One sequence may come without B; then the state has no B either.

    Raises:
        ValueError: a size or rate is out of range, or further cells are needed and cannot be built.

    Example:
        >>> from ostinato import cells
        >>> layer = Recurrent(cells.GRU(3, 4), num_layers=2)
        >>> y, h = layer(torch.zeros(5, 2, 3), lengths=[5, 0])
        >>> y.shape, h.shape
        (torch.Size([5, 2, 4]), torch.Size([2, 2, 4]))
    """

    def __init__(
        self,
        cell: nn.Module | Sequence[nn.Module],
        num_layers: int = 1,
        bidirectional: bool = False,
        *,
        dropout: float = 0.0,
        residual: bool = False,
        batch_first: bool = False,
        locked_dropout: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        weight_drop: float = 0.0,
        initial_state: Any = None,
        clamp: Clamp | None = None,
        clip_gradient: float | ClipGradient | None = None,
        checkpoint_every: CheckpointEvery = None,
        input_size: int | None = None,
        state_sizes: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"Recurrent: num_layers must be at least 1, got {num_layers}.")
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.batch_first = batch_first
        self.dropout = check_rate("Recurrent: dropout", dropout, top=True)
        self.residual = residual
        self.locked_dropout = locked_dropout
        self.checkpoint_every = check_every("Recurrent", checkpoint_every)
        given = list(cell) if isinstance(cell, (Sequence, nn.ModuleList)) else [cell]
        self.input_size = getattr(given[0], "input_size", input_size)
        self._build(given, state_sizes)
        if self.dropout and num_layers == 1:
            warnings.warn(
                f"Recurrent: dropout={dropout} acts between layers, and there is one layer only. "
                "Drop its output with torch.nn.Dropout, or give num_layers=2.",
                stacklevel=2,
            )
        check_stack(self)
        sizes = tuple(sizes_of(one, state_sizes) for one in self.cells)
        self._states = StateForm(self._name, list(self.cells), sizes, alone=True)
        self._in_time = in_time(
            self,
            recurrent_dropout,
            zoneout,
            weight_drop,
            clamp,
            self._input_sizes,
            clip_gradient,
        )
        self.initial = initial_state_from(initial_state)
        if self.initial is not None:
            like = next(self.cells.parameters(), torch.empty(0)).detach()
            self.initial.bind(sizes, like)

    @property
    def cell(self) -> nn.Module:
        """The first cell."""
        return self.cells[0]

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: Any = None,
        lengths: Lengths | None = None,
        reset: Tensor | None = None,
        all_states: bool = False,
        *,
        context: Any = None,
        clamp: Tensor | None = None,
    ) -> Any:
        """Walk over a batch of sequences.

        Args:
            x: [T, B, I] ([B, T, I] with batch_first), [T, I] for one sequence, or a
                PackedSequence. Whole numbers without the axis I stand for one-hot vectors.
            state: what to start from; None: the layer's initial state.
            lengths: valid steps of each row, [B] on any device; the rest is padding, which may
                hold anything, gives zeros, and touches no state and no gradient.
            reset: bool [T, B], laid out as x: where set, the row begins anew at this step, from
                the layer's initial state.
            all_states: also return every state at every step.
            context: what the encoder of the initial state reads, where there is one.
            clamp: values of the clamped units, [T, B, n], laid out as x.

        Returns:
            y and the last valid state; with `all_states`, as a third, the states at all steps:
            in the form of the state, with an axis of time put in as x has it.

        Raises:
            ValueError: a shape is wrong, or lengths are outside 0..T.
            TypeError: lengths are not whole, reset is not bool, or the state is not of tensors.
        """
        return self._forward(x, state, lengths, reset, all_states, context, clamp)

    def _cell(self, place: int) -> nn.Module:
        return self.cells[place]

    def _fixed(self) -> list[tuple[dict[str, Any], str]]:
        cells: dict[str, Any] = self.cells._modules
        return [(self._modules, "cells"), *((cells, name) for name in cells)]

    def _build(self, given: list[nn.Module], state_sizes: Sequence[int] | None) -> None:
        directions = 2 if self.bidirectional else 1
        count = self.num_layers * directions
        if len(given) not in (1, count):
            raise ValueError(
                f"Recurrent: {self.num_layers} layer(s) in {directions} direction(s) need {count} "
                f"cells, got {len(given)}. Give one cell, or all of them."
            )
        width = self.input_size
        self._input_sizes: list[int | None] = []
        cells: list[nn.Module] = []
        outputs: list[int | None] = []
        for place in range(count):
            if place and place % directions == 0:
                below = outputs[-directions:]
                width = None if None in below else sum(size for size in below if size)
            cell = given[place % len(given)]
            if place and len(given) == 1:
                cell = _another(cell, width)
            self._input_sizes.append(width)
            outputs.append(_output_size(cell, width, sizes_of(cell, state_sizes)))
            cells.append(cell)
        self.cells = nn.ModuleList(cells)
        last = outputs[-directions:]
        self.output_size = None if None in last else sum(size for size in last if size)

    def extra_repr(self) -> str:
        parts = [f"num_layers={self.num_layers}"] if self.num_layers > 1 else []
        flags = ("bidirectional", "residual", "batch_first", "locked_dropout")
        parts += [f"{name}=True" for name in flags if getattr(self, name)]
        if self.dropout:
            parts.append(f"dropout={self.dropout}")
        if self.checkpoint_every is not None:
            parts.append(f"checkpoint_every={self.checkpoint_every!r}")
        return ", ".join(parts)


def check_stack(layer: SequenceLayer) -> None:
    """Refuse options of a stack that would do nothing."""
    if layer.locked_dropout and not layer.dropout:
        raise ValueError(f"{layer._name}: locked_dropout needs a rate. Give dropout, too.")
    sizes = (layer.input_size, layer.output_size)
    if layer.residual and layer.num_layers == 1 and sizes[0] != sizes[1]:
        raise ValueError(
            f"{layer._name}: residual adds input to output, which are {sizes[0]} and {sizes[1]} "
            "wide. Make them equal."
        )


def in_time(
    layer: SequenceLayer,
    recurrent_dropout: float,
    zoneout: float | Sequence[float],
    weight_drop: float,
    clamp: Clamp | None,
    input_sizes: Sequence[int | None],
    clip_gradient: float | ClipGradient | None = None,
) -> tuple[InTime, ...]:
    """The options inside time for each cell of a layer; also says which act when."""
    name = layer._name
    directions = 2 if layer.bidirectional else 1
    sizes = layer._states.sizes
    made = []
    for place, (width, widths) in enumerate(zip(input_sizes, sizes, strict=True)):
        options = Options(
            check_rate(f"{name}: recurrent_dropout", recurrent_dropout),
            zoneout_rates(name, zoneout, len(widths) or 1),
            check_rate(f"{name}: weight_drop", weight_drop),
            clamp if clamp is not None and clamp.holds(place // directions) else None,
            clip_gradient_from(clip_gradient),
        )
        made.append(InTime(layer._cell(place), width, widths, options))
    if clamp is not None and all(one.options.clamp is None for one in made):
        last = layer.num_layers - 1
        raise ValueError(
            f"{name}: clamp is for layer {clamp.layer}, and there are 0..{last}. Name one of them."
        )
    layer._plain = all(one.options.idle for one in made)
    layer._only_trains = all(one.options.only_trains for one in made)
    return tuple(made)


def _another(cell: nn.Module, input_size: int | None) -> nn.Module:
    rebuild = getattr(cell, "rebuild", None)
    if rebuild is None or input_size is None:
        raise ValueError(
            f"Recurrent: more cells like {type(cell).__name__} are needed, and it has no "
            "rebuild(input_size). Give a list with a cell for each layer and direction."
        )
    made: nn.Module = rebuild(input_size)
    return made


def _output_size(cell: nn.Module, input_size: int | None, sizes: tuple[int, ...]) -> int | None:
    if input_size is None or not sizes:
        return None
    like = next(cell.parameters(), torch.empty(0)).detach()
    state = tuple(like.new_zeros(1, size) for size in sizes)
    with torch.no_grad():
        return dry_step(cell, like.new_zeros(1, input_size), state).shape[-1]
