"""Saturation: gates that stand open or shut nearly all the time, and so learn little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.pictures import COLOURS, save_picture, shown_of
from ostinato.layers.tracing import Part, Trace
from ostinato.layers.tracing.watch import GATES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Saturation", "Saturations", "saturation"]

Floats = NDArray[np.float64]

# panels side by side
_MOST = 4
# smallest and largest value of each activation that has both
_ENDS = {**dict.fromkeys(GATES, (0.0, 1.0)), "tanh": (-1.0, 1.0), "hardtanh": (-1.0, 1.0)}


@dataclass(frozen=True)
class Saturation:
    """How often the units of one gate stand near one end of their range.

    Attributes:
        layer, direction, name: which gate.
        low: share of the steps at which each unit is near its smallest value, [units].
        high: the same for its largest value.
        units: which units these are.
    """

    layer: str
    direction: int
    name: str
    low: Floats
    high: Floats
    units: NDArray[np.int64]

    @property
    def share(self) -> float:
        """Share of all units and steps that is near either end."""
        return float((self.low + self.high).mean())

    def stuck(self, share: float = 0.99) -> NDArray[np.int64]:
        """Units that stand near one and the same end at this share of the steps or more."""
        return self.units[np.maximum(self.low, self.high) >= share]

    def words(self) -> str:
        """The saturation in a sentence."""
        stuck = self.stuck()
        kept = (
            f"; {len(stuck)} of {len(self.units)} units never leave one end" if len(stuck) else ""
        )
        where = " from the end" if self.direction else ""
        return (
            f"{self.layer}, {self.name}{where}: {self.share:.0%} saturated ({self.low.mean():.0%} "
            f"low, {self.high.mean():.0%} high){kept}."
        )


@dataclass(frozen=True)
class Saturations:
    """The saturation of each gate of each layer and direction; see `saturation`."""

    gates: tuple[Saturation, ...]

    def words(self) -> str:
        """A line for each gate."""
        return "\n".join(gate.words() for gate in self.gates)

    def draw(self, path: str | Path) -> None:
        """Draw, for each unit, how often it is low and how often high.

        As in Karpathy, Johnson, Li (2015), arXiv:1506.02078: a dot a unit. Dots near a corner on an
        axis are stuck; dots on the diagonal are never in between.

        Args:
            path: as of `save_picture`.
        """
        _draw(self.gates, path)


def saturation(
    trace: Trace, names: Sequence[str] | None = None, *, margin: float = 0.1
) -> Saturations:
    """How often gates are saturated.

    Args:
        trace: with the gates.
        names: of what; None: all that a sigmoid, softmax or tanh has made.
        margin: how near an end counts, as a share of the range.

    Raises:
        ValueError: a name is not there or has no ends, or the margin is not in (0, 0.5).

    Example:
        >>> import torch
        >>> from ostinato import GRU
        >>> layer = GRU(1, 2)
        >>> _ = torch.nn.init.constant_(layer.bias_ih_l0, 9.0)
        >>> print(saturation(layer.trace(torch.zeros(5, 1, 1)), ["z"]).words())
        0, z: 100% saturated (0% low, 100% high); 2 of 2 units never leave one end.
    """
    if not 0 < margin < 0.5:
        raise ValueError(f"saturation: margin must be in (0, 0.5), got {margin}.")
    for name in names or ():
        _ends(trace.part(name))
    parts = [
        part
        for part in trace.parts
        if (part.name in names if names is not None else part.function in _ENDS)
        and part.kind not in ("attention",)
    ]
    if not parts:
        raise ValueError(
            f"saturation: nothing in this trace has two ends ({', '.join(sorted(_ENDS))}). Trace "
            "the gates, too."
        )
    return Saturations(tuple(_saturation(trace, part, margin) for part in parts))


def _ends(part: Part) -> tuple[float, float]:
    if part.function not in _ENDS:
        made = f"is made by {part.function}" if part.function else "is not made by an activation"
        raise ValueError(
            f"saturation: {part.name!r} {made}, which has no two ends. Name what is made by "
            f"{', '.join(sorted(_ENDS))}."
        )
    return _ENDS[part.function]


def _saturation(trace: Trace, part: Part, margin: float) -> Saturation:
    low, high = _ends(part)
    near = margin * (high - low)
    values = part.values[alive(trace, part)]
    return Saturation(
        part.layer,
        part.direction,
        part.name,
        (values < low + near).mean(axis=0),
        (values > high - near).mean(axis=0),
        part.units,
    )


def alive(trace: Trace, part: Part) -> NDArray[np.bool_]:
    """Which steps of which rows are no padding, [T, B]."""
    layer = trace.layer(part.layer)
    mask: NDArray[np.bool_] = np.arange(len(part.values))[:, None] < layer.lengths
    return mask


def _draw(gates: Sequence[Saturation], path: str | Path) -> None:
    head = "Saturation: how often each unit is near one end of its range"
    layers = list(dict.fromkeys((gate.layer, gate.direction) for gate in gates))
    groups = [[g for g in gates if (g.layer, g.direction) == layer] for layer in layers]
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, groups, shown_of(head, len(groups), _MOST)),
        plotly=lambda: _page(groups, head),
        size=(1.6 + 3.9 * min(len(groups), _MOST), 4.6),
    )


def _title(gate: Saturation) -> str:
    return f"{gate.layer}{' from the end' if gate.direction else ''}"


def _drawn(figure: Figure, groups: Sequence[Sequence[Saturation]], head: str) -> None:
    shown = groups[:_MOST]
    row = figure.subplots(1, len(shown), squeeze=False, sharex=True, sharey=True)[0]
    for axes, gates in zip(row, shown, strict=True):
        axes.plot([0, 1], [1, 0], color="0.7", lw=1)
        for k, gate in enumerate(gates):
            axes.scatter(
                gate.high,
                gate.low,
                s=26,
                marker="os^Dv<>p"[k % 8],
                color=COLOURS[k % len(COLOURS)],
                alpha=0.65,
                linewidths=0,
                label=gate.name,
                clip_on=False,
            )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="share of steps near the top")
        axes.set_aspect("equal")
        axes.set_title(_title(gates[0]), fontsize=10)
    row[0].set_ylabel("share of steps near the bottom")
    row[-1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(head, x=0.01, ha="left")


def _page(groups: Sequence[Sequence[Saturation]], head: str) -> Any:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=1,
        cols=len(groups),
        subplot_titles=[_title(gates[0]) for gates in groups],
        shared_yaxes=True,
    )
    named: set[str] = set()
    for column, gates in enumerate(groups, start=1):
        diagonal = {"type": "line", "x0": 0, "y0": 1, "x1": 1, "y1": 0, "line_color": "lightgray"}
        figure.add_shape(diagonal, row=1, col=column, layer="below")
        for k, gate in enumerate(gates):
            dots = go.Scatter(
                x=gate.high,
                y=gate.low,
                mode="markers",
                name=gate.name,
                legendgroup=gate.name,
                showlegend=gate.name not in named,
                customdata=gate.units,
                marker={
                    "color": COLOURS[k % len(COLOURS)],
                    "opacity": 0.65,
                    "size": 8,
                    "symbol": ("circle", "square", "triangle-up", "diamond")[k % 4],
                },
                hovertemplate=f"{gate.name}, unit %{{customdata}}<br>near the top %{{x:.0%}}<br>"
                "near the bottom %{y:.0%}<extra></extra>",
            )
            named.add(gate.name)
            figure.add_trace(dots, row=1, col=column)
        figure.update_xaxes(
            title_text="share of steps near the top", range=[-0.03, 1.03], row=1, col=column
        )
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title_text="share of steps near the bottom", col=1)
    if len(groups) > 2:
        # titles side by side
        figure.update_annotations(font_size=11)
    figure.update_layout(title=head)
    return figure
