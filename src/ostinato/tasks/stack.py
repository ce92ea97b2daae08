"""The recurrent part of every task's network: a stack of any cell, as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ostinato.cells import resolve
from ostinato.layers import Recurrent
from ostinato.layers.clip_gradient import ClipGradient
from ostinato.tasks.task_settings import StackSettings
from ostinato.training.initialise import initialise

__all__ = ["Build", "build_cell", "build_stack", "output_size", "select_rows"]

# what makes a cell of (input_size, hidden_size, **options): a class, as a rule
Build: TypeAlias = Callable[..., nn.Module]


def build_stack(
    settings: StackSettings,
    input_size: int,
    *,
    cell: Build | None = None,
    bidirectional: bool = False,
    batch_first: bool = False,
    initial_state: Any = None,
) -> Recurrent:
    """A `Recurrent` of the cell that the settings name.

    Built cell by cell, so that any class will do, also one that cannot rebuild itself.

    Args:
        settings: cell, widths, regularisers.
        input_size: I.
        cell: what builds the cell, in place of `settings.cell`.
        bidirectional: walk also from the end.
        batch_first: sequences are [B, T, I].
        initial_state: of the layer, in place of `settings.initial_state`.

    Raises:
        ValueError: the cell cannot be built, see `build_cell`, or not started as the settings say,
            see `initialise`.

    Example:
        >>> stack = build_stack(StackSettings("gru", num_layers=2), 3, bidirectional=True)
        >>> stack(torch.zeros(5, 2, 3))[0].shape
        torch.Size([5, 2, 256])
    """
    cells: list[nn.Module] = []
    width = input_size
    directions = 2 if bidirectional else 1
    for _ in range(settings.num_layers):
        cells += [build_cell(settings, width, cell) for _ in range(directions)]
        width = directions * _output_size(cells[-1], width, settings.hidden_size)
    start = settings.initial_state if initial_state is None else initial_state
    deep = settings.num_layers > 1
    stack = Recurrent(
        cells,
        num_layers=settings.num_layers,
        bidirectional=bidirectional,
        dropout=settings.dropout if deep else 0.0,
        locked_dropout=settings.locked_dropout and deep and settings.dropout > 0,
        residual=settings.residual,
        batch_first=batch_first,
        recurrent_dropout=settings.recurrent_dropout,
        zoneout=settings.zoneout,
        weight_drop=settings.weight_drop,
        initial_state=None if isinstance(start, str) and start == "zeros" else start,
        clip_gradient=_clip_gradient(settings),
        input_size=input_size,
        state_sizes=_state_sizes(cells[0]),
    )
    _start(stack, settings)
    return stack


def _clip_gradient(settings: StackSettings) -> ClipGradient | None:
    limit = settings.clip_gradient
    return None if limit is None else ClipGradient(limit, by=settings.clip_gradient_by)


def _start(stack: Recurrent, settings: StackSettings) -> None:
    """Start the weights as the settings say; where they say nothing, the cells have done it."""
    chosen = (settings.initialise, settings.initialise_input, settings.forget_bias, settings.chrono)
    if all(one is None for one in chosen):
        return
    initialise(
        stack,
        settings.initialise,
        input=settings.initialise_input,
        gain=settings.initialise_gain,
        forget_bias=settings.forget_bias,
        chrono=settings.chrono,
    )


def build_cell(settings: StackSettings, input_size: int, build: Build | None = None) -> nn.Module:
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


@torch.no_grad()
def output_size(stack: Recurrent) -> int:
    """Width of what a stack says at each step; where no cell tells it, by asking it once."""
    if stack.output_size is not None:
        return stack.output_size
    y, _ = stack(torch.zeros(1, 1, int(stack.input_size or 1)))
    return int(y.shape[-1])


def _output_size(cell: nn.Module, input_size: int, hidden_size: int) -> int:
    alone = Recurrent(cell, input_size=input_size, state_sizes=_state_sizes(cell))
    return alone.output_size or hidden_size


def _state_sizes(cell: nn.Module) -> tuple[int, ...] | None:
    # torch's own cells with one state say how wide it is by this name
    size = getattr(cell, "hidden_size", None)
    told = hasattr(cell, "state_sizes") or hasattr(cell, "initial_state")
    return None if told or not isinstance(size, int) else (size,)
