"""The spectrum of a step: by how much one step stretches, shrinks and turns what it is handed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ostinato.inspect.pictures import COLOURS, save_picture, shown_of
from ostinato.layers.tracing.hear import Heard, hear
from ostinato.layers.tracing.jacobians import Jacobian, jacobians
from ostinato.tasks.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Spectrum", "StepSpectrum", "spectrum"]

# panels side by side
_MOST = 4


@dataclass(frozen=True)
class StepSpectrum:
    """The Jacobian d new state / d old state of one step of one row, and what it does.

    Attributes:
        layer, direction, step, row: which.
        eigenvalues: complex [S], the largest first; S the width of all states of the cell.
        singular_values: [S], the largest first.
    """

    layer: str
    direction: int
    step: int
    row: int
    eigenvalues: NDArray[np.complex128]
    singular_values: NDArray[np.float64]

    @property
    def radius(self) -> float:
        """The largest absolute eigenvalue."""
        return float(np.abs(self.eigenvalues[0]))


@dataclass(frozen=True)
class Spectrum:
    """Spectra at some steps; see `spectrum`."""

    steps: tuple[StepSpectrum, ...]

    @property
    def layers(self) -> tuple[tuple[str, int], ...]:
        """Layers and directions that are there."""
        return tuple(dict.fromkeys((one.layer, one.direction) for one in self.steps))

    def of(self, layer: str, direction: int = 0) -> tuple[StepSpectrum, ...]:
        """The spectra of one layer and direction."""
        return tuple(one for one in self.steps if (one.layer, one.direction) == (layer, direction))

    def words(self) -> str:
        """A line for each layer."""
        return "\n".join(self._line(*place) for place in self.layers)

    def _line(self, layer: str, direction: int) -> str:
        steps = self.of(layer, direction)
        radii = [one.radius for one in steps]
        stretch = max(float(one.singular_values[0]) for one in steps)
        middle = float(np.median(radii))
        if middle < 0.95:
            means = "what is handed on fades"
        elif middle <= 1.05:
            means = "something is kept"
        else:
            means = "something grows: over many such steps gradients may explode"
        spread = f" ({min(radii):.3g} to {max(radii):.3g})" if len(steps) > 1 else ""
        return (
            f"{layer}{' from the end' if direction else ''}: the largest eigenvalue of a step has "
            f"size {middle:.3g}{spread}: {means}. No push grows more than {stretch:.3g} times in "
            "one step."
        )

    def draw(self, path: str | Path) -> None:
        """Draw the eigenvalues on the complex plane; `path` as of `save_picture`."""
        _draw(self, path)


def spectrum(
    model: nn.Module,
    *inputs: Any,
    steps: Sequence[int] | int = 5,
    rows: Sequence[int] = (0,),
    layers: Sequence[str] | None = None,
    **keywords: Any,
) -> Spectrum:
    """Eigenvalues and singular values of single steps.

    With states of width S a step needs an S x S matrix; LSTMs hand on h and c, so S = 2 H.

    Args:
        model: a layer, a network that has recurrent layers, or a task.
        inputs: what it is called with; of a task, the rows as its `trace` takes them.
        steps: which; a number asks for so many, evenly spread. Steps of padding are left out.
        rows: of the batch.
        layers: names of modules or layers; None: all.
        keywords: further arguments of the call, such as lengths.

    Raises:
        ValueError: there is no recurrent layer, or no such step or row.

    Example:
        >>> import torch
        >>> from ostinato import Recurrent, cells
        >>> cell = cells.IndRNN(1, 2, activation="identity")
        >>> _ = cell.weight_hh.data.copy_(torch.tensor([0.5, -0.9]))
        >>> found = spectrum(Recurrent(cell), torch.ones(4, 1, 1), steps=[2])
        >>> found.steps[0].eigenvalues.real.round(2).tolist()
        [-0.9, 0.5]
    """
    if isinstance(model, Task):
        question = model.question(*inputs)
        heard, _ = hear(model, call=question.ask, layers=layers, training=False)
    else:
        heard, _ = hear(model, *inputs, layers=layers, **keywords)
    found = [
        _spectrum(one) for walk in heard for one in jacobians(walk, _places(walk, steps, rows))
    ]
    if not found:
        raise ValueError("spectrum: all these steps are padding. Name others, or other rows.")
    return Spectrum(tuple(found))


def _places(heard: Heard, steps: Sequence[int] | int, rows: Sequence[int]) -> list[tuple[int, int]]:
    T, B = heard.call.x.shape[:2]
    wrong = [row for row in rows if not 0 <= row < B]
    if wrong:
        raise ValueError(f"spectrum: rows must be in 0..{B - 1}, got {wrong[0]}.")
    places = []
    for row in rows:
        length = T if heard.call.lengths is None else int(heard.call.lengths[row])
        if isinstance(steps, int):
            if steps < 1:
                raise ValueError(f"spectrum: at least one step is needed, got {steps}.")
            # one alone stands in the middle: the first would have nothing but the initial state
            spread = [(length - 1) / 2] if steps == 1 else np.linspace(0, length - 1, steps)
            chosen = np.unique(np.round(spread).astype(int)).tolist()
        else:
            chosen = [int(step) for step in steps]
        for step in chosen if length else []:
            if not -T <= step < T:
                raise ValueError(f"spectrum: steps must be in 0..{T - 1}, got {step}.")
            places.append((step % T, row))
    return places


def _spectrum(one: Jacobian) -> StepSpectrum:
    matrix = one.matrix.numpy()
    values = np.linalg.eigvals(matrix).astype(np.complex128)
    order = np.argsort(-np.abs(values), kind="stable")
    singular = np.linalg.svd(matrix, compute_uv=False)
    return StepSpectrum(one.layer, one.direction, one.step, one.row, values[order], singular)


def _draw(found: Spectrum, path: str | Path) -> None:
    head = "Eigenvalues of single steps (circle: what keeps its size)"
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, found, shown_of(head, len(found.layers), _MOST)),
        plotly=lambda: _page(found, head),
        size=(2.0 + 4.6 * min(len(found.layers), _MOST), 5.0),
    )


def _name(layer: str, direction: int) -> str:
    return f"{layer}{' from the end' if direction else ''}"


def _drawn(figure: Figure, found: Spectrum, head: str) -> None:
    from matplotlib.patches import Circle

    places = found.layers[:_MOST]
    row = figure.subplots(1, len(places), squeeze=False)[0]
    for axes, place in zip(row, places, strict=True):
        axes.add_patch(Circle((0, 0), 1, fill=False, color="0.5", lw=1))
        axes.axhline(0, color="0.85", lw=0.8, zorder=0)
        axes.axvline(0, color="0.85", lw=0.8, zorder=0)
        for k, one in enumerate(found.of(*place)):
            axes.scatter(
                one.eigenvalues.real,
                one.eigenvalues.imag,
                s=14,
                color=COLOURS[k % len(COLOURS)],
                alpha=0.7,
                linewidths=0,
                label=f"step {one.step}, row {one.row}",
            )
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("real part")
        axes.set_title(_name(*place), fontsize=10)
        # walks of other lengths are looked at in other steps
        axes.legend(frameon=False, fontsize=7, loc="upper left", handletextpad=0.1)
    row[0].set_ylabel("imaginary part")
    figure.suptitle(head, x=0.01, ha="left")


def _page(found: Spectrum, head: str) -> Any:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    places = found.layers
    wide = min(len(places), 3 if len(places) == 3 else 2)
    high = -(-len(places) // wide)
    names = [_name(*place) for place in places]
    figure = make_subplots(rows=high, cols=wide, subplot_titles=names)
    for number, (place, name) in enumerate(zip(places, names, strict=True)):
        cell = {"row": number // wide + 1, "col": number % wide + 1}
        for k, one in enumerate(found.of(*place)):
            dots = go.Scatter(
                x=one.eigenvalues.real,
                y=one.eigenvalues.imag,
                mode="markers",
                name=f"step {one.step}, row {one.row}",
                # walks of other lengths are looked at in other steps
                legendgroup=name,
                legendgrouptitle_text=name,
                marker={"size": 6, "opacity": 0.7, "color": COLOURS[k % len(COLOURS)]},
                hovertemplate="%{x:.3f} %{y:+.3f} i<extra></extra>",
            )
            figure.add_trace(dots, **cell)
        circle = {"type": "circle", "x0": -1, "y0": -1, "x1": 1, "y1": 1, "line_color": "gray"}
        figure.add_shape(circle, **cell)
        # a circle is round, and no wider than its panel
        across = f"x{number + 1 if number else ''}"
        figure.update_yaxes(
            title_text="imaginary part", scaleanchor=across, constrain="domain", **cell
        )
        figure.update_xaxes(title_text="real part", constrain="domain", **cell)
    figure.update_layout(height=160 + 420 * high)
    figure.update_layout(title=head)
    return figure
