"""Connectivity: how much each input moves an output that comes later.

As in Madsen (2019), "Visualizing memorization in RNNs", Distill: sizes of gradients of an output
with respect to what was read at each step before it. Here the input is what the recurrent layers
read (embedding vectors, where there are any).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ostinato.inspect.heat_maps import shown_label
from ostinato.inspect.pictures import SCALE, save_picture
from ostinato.inspect.text_colours import draw_text
from ostinato.layers.tracing.hear import hear
from ostinato.tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Connectivity", "connectivity"]

_LABELS = 90


@dataclass(frozen=True)
class Connectivity:
    """How much inputs move outputs.

    Attributes:
        sizes: |d y_t / d x_s|, [outputs, T], of each output t that was asked for.
        steps: which outputs these are, [outputs].
        labels: what stood at each step, or None.
    """

    sizes: NDArray[np.float64]
    steps: NDArray[np.int64]
    labels: tuple[str, ...] | None

    def shares(self) -> NDArray[np.float64]:
        """The sizes of each output as shares of 1."""
        total = self.sizes.sum(axis=1, keepdims=True)
        shares = np.zeros_like(self.sizes)
        np.divide(self.sizes, total, out=shares, where=total > 0)
        return shares

    def reach(self, step: int, share: float = 0.9) -> int:
        """How many steps back from an output one must go for this share of what moves it.

        Raises:
            ValueError: the output was not asked for, or hears no input up to its step.
        """
        sizes = self.sizes[self._place(step), : step + 1][::-1]
        if not sizes.any():
            raise ValueError(f"connectivity: no input up to step {step} moves the output there.")
        return int(np.searchsorted(np.cumsum(sizes) / sizes.sum(), share))

    def draw(self, path: str | Path, *, step: int | None = None) -> None:
        """Draw shares, a row for each output; or, of one output, the text coloured by them.

        Args:
            path: a picture's name; see `save_picture`.
            step: the one output; needs labels.

        Raises:
            ValueError: there is no such output, or there are no labels.
        """
        if step is None:
            _draw(self, path)
            return
        shares = self.shares()[self._place(step)]
        if self.labels is None:
            raise ValueError("connectivity: there are no labels to colour. Give labels=.")
        told = shown_label(self.labels[step])
        title = f"What moves the output at step {step}, {told!r}"
        draw_text(self.labels, shares, path, title=title)

    def _place(self, step: int) -> int:
        found = np.flatnonzero(self.steps == step)
        if not len(found):
            raise ValueError(
                f"connectivity: output {step} was not asked for. There are {self.steps.tolist()}."
            )
        return int(found[0])


def connectivity(
    model: nn.Module,
    *inputs: Any,
    steps: Sequence[int] | None = None,
    row: int = 0,
    outputs: Callable[[Any], Tensor] | None = None,
    labels: Sequence[str] | None = None,
    layer: str | None = None,
    **keywords: Any,
) -> Connectivity:
    """How much what was read at each step moves the outputs of one row.

    Takes a backward pass for each output: ask for few of a long row.

    Args:
        model: a layer, a network that has recurrent layers, or a task.
        inputs: what it is called with; of a task, the rows as its `trace` takes them.
        steps: outputs; None: all.
        row: of the batch.
        outputs: maps what the module returned to numbers y, one for each step of the row, [T];
            None: of scores [T, B, K] the largest at each step; of a layer's outputs likewise.
        labels: what stood at each step of the row; of a task its own unless given.
        layer: name of the module whose inputs are meant; None: the one that is walked first, of a
            task its main one.
        keywords: further arguments of the call, such as lengths.

    Raises:
        ValueError: there is no recurrent layer, no such row or step, or no number for each step.

    Example:
        >>> from ostinato import Recurrent, cells
        >>> cell = cells.IndRNN(1, 1, activation="identity")
        >>> for parameter in cell.parameters():
        ...     _ = torch.nn.init.constant_(parameter, 0.5)
        >>> found = connectivity(Recurrent(cell), torch.ones(4, 1, 1), steps=[2])
        >>> found.sizes[0]
        array([0.125, 0.25 , 0.5  , 0.   ])
    """
    if isinstance(model, Task):
        question = model.question(*inputs)
        given = None if not 0 <= row < len(question.labels) else question.labels[row]
        labels = given if labels is None else labels
        layer = question.main if layer is None else layer
        heard, told = hear(model, call=question.ask, pushed=True, training=False)
    else:
        heard, told = hear(model, *inputs, pushed=True, **keywords)
    module = heard[0].module if layer is None else layer
    own = [one for one in heard if one.module == module]
    # the first layer of a stack: of a walk in both directions, both read the same
    own = [one for one in own if one.layer == own[0].layer]
    if not own or len({one.direction for one in own}) < len(own):
        names = ", ".join(dict.fromkeys(one.module for one in heard))
        raise ValueError(
            f"connectivity: one walk of one module is looked at, and {module!r} has {len(own)}. "
            f"There are {names}."
        )
    T, B = own[0].call.x.shape[:2]
    if not 0 <= row < B:
        raise ValueError(f"connectivity: row must be in 0..{B - 1}, got {row}.")
    values = (outputs or _largest(row))(told)
    length = T if own[0].call.lengths is None else int(own[0].call.lengths[row])
    if not isinstance(values, Tensor) or values.dim() != 1 or len(values) < length:
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"connectivity: a number for each of {length} steps is needed, [T], got {shape}. Give "
            "outputs=, which maps what the model returns to them."
        )
    chosen = list(range(length)) if steps is None else [int(step) for step in steps]
    for step in chosen:
        if not 0 <= step < length:
            raise ValueError(f"connectivity: steps must be in 0..{length - 1}, got {step}.")
    pushes = [one.push for one in own if one.push is not None]
    sizes = [_sizes(values[step], pushes, row, length) for step in chosen]
    table = np.stack(sizes) if sizes else np.zeros((0, length))
    plain = None if labels is None else tuple(labels)[:length]
    return Connectivity(table, np.array(chosen, dtype=np.int64), plain)


def _largest(row: int) -> Callable[[Any], Tensor]:
    def largest(told: Any) -> Tensor:
        scores = told[0] if isinstance(told, tuple) else told
        if not isinstance(scores, Tensor) or scores.dim() != 3:
            raise ValueError(
                "connectivity: the model returns no scores [T, B, K]. Give outputs=, which maps "
                "what it returns to a number for each step."
            )
        return scores[:, row].max(dim=-1).values

    return largest


def _sizes(value: Tensor, pushes: Sequence[Tensor], row: int, length: int) -> NDArray[np.float64]:
    found = torch.autograd.grad(
        value, pushes, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    total = torch.stack(found).sum(0)[:length, row]
    sizes: NDArray[np.float64] = total.double().norm(dim=-1).cpu().numpy()
    return sizes


def _draw(found: Connectivity, path: str | Path) -> None:
    head = "Connectivity: what moves each output (each row sums to 1)"
    rows, columns = found.sizes.shape
    if not rows:
        raise ValueError("connectivity: no output was asked for. Give at least one step.")
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, found, head),
        plotly=lambda: _page(found, head),
        size=(min(3 + 0.16 * columns, 16), min(2 + 0.16 * rows, 14)),
    )


def _brightest(table: NDArray[np.float64]) -> float:
    """Where the colours end: a few large shares are not to leave all others dark."""
    some = table[table > 0]
    return float(np.quantile(some, 0.97)) if some.size else 1.0


def _drawn(figure: Figure, found: Connectivity, head: str) -> None:
    axes = figure.subplots()
    table = found.shares()
    most = _brightest(table)
    image = axes.imshow(
        table, cmap=SCALE, vmin=0, vmax=most, aspect="auto", interpolation="nearest"
    )
    axes.set_xlabel("input")
    axes.set_ylabel("output")
    if found.labels is not None and len(found.labels) <= _LABELS:
        told = [shown_label(label) for label in found.labels]
        turn = 0 if max(map(len, told)) == 1 else 90
        axes.set_xticks(range(len(told)), told, rotation=turn, family="monospace", fontsize=8)
        if len(found.steps) <= _LABELS:
            rows = [told[step] for step in found.steps]
            axes.set_yticks(range(len(rows)), rows, family="monospace", fontsize=8)
    else:
        places = np.unique(
            np.linspace(0, len(found.steps) - 1, min(len(found.steps), 10)).astype(int)
        )
        axes.set_yticks(places, found.steps[places])
    axes.set_title(head)
    bar = figure.colorbar(image, ax=axes, pad=0.01, extend="max")
    bar.set_label("share")


def _page(found: Connectivity, head: str) -> Any:
    import plotly.graph_objects as go

    told = [""] * found.sizes.shape[1]
    if found.labels is not None:
        told = [shown_label(label) for label in found.labels]
    figure = go.Figure(
        go.Heatmap(
            z=found.shares(),
            y=[str(step) for step in found.steps],
            customdata=[[(told[s], told[int(t)]) for s in range(len(told))] for t in found.steps],
            colorscale=SCALE,
            zmin=0,
            zmax=_brightest(found.shares()),
            colorbar={"title": "share"},
            hovertemplate="input %{x} %{customdata[0]}<br>output %{y} %{customdata[1]}<br>"
            "%{z:.1%}<extra></extra>",
        )
    )
    figure.update_layout(title=head, xaxis_title="input", yaxis_title="output")
    figure.update_yaxes(autorange="reversed", type="category")
    if found.labels is not None and len(told) <= _LABELS:
        figure.update_xaxes(tickvals=list(range(len(told))), ticktext=told)
    return figure
