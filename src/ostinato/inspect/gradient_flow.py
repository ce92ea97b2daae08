"""Gradient flow: how much what happened k steps ago still moves the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ostinato.inspect.pictures import COLOURS, save_picture
from ostinato.layers.tracing import Part, Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Flow", "GradientFlow", "gradient_flow"]

Floats = NDArray[np.float64]

# as far back as the words look, where the rows reach that far
_LAG = 40
# names that a legend inside the picture can hold
_INSIDE = 4
# within this of 1, gradients keep their size
_STEADY = 0.002


@dataclass(frozen=True)
class Flow:
    """Of one state of one layer and direction, how gradients change on their way back.

    Attributes:
        layer, direction, state: which.
        norms: size of d loss / d state at each lag behind the last step, root mean square over
            rows, [L]; NaN where it is not finite.
        units: the same for each unit, [L, units].
        rate: what the norm is multiplied by with each step back, by the straight line that fits
            the logarithms of `norms` best; 0 where all but the first are 0, NaN where two are
            not known.
    """

    layer: str
    direction: int
    state: str
    norms: Floats
    units: Floats
    rate: float

    def ratio(self, lag: int) -> float:
        """How many times less a state `lag` steps back moves the loss than the last one.

        Raises:
            ValueError: no row reaches that far back.
        """
        if not 0 <= lag < len(self.norms):
            raise ValueError(
                f"gradient flow: lag must be in 0..{len(self.norms) - 1}, got {lag}. Trace longer "
                "rows to look further back."
            )
        now, then = float(self.norms[0]), float(self.norms[lag])
        return math.inf if then == 0 else now / then

    def words(self, lag: int | None = None) -> str:
        """The flow in a sentence; `lag` is the one that is spoken of, 40 unless given."""
        lag = min(_LAG, len(self.norms) - 1) if lag is None else lag
        if len(self.norms) == 1:
            return "the loss hears one step alone: there is no way back to be followed."
        ratio = self.ratio(lag) if len(self.norms) else math.nan
        if math.isnan(self.rate) or math.isnan(ratio) or not lag or not ratio:
            return "there is too little to tell: no two lags with a gradient that is finite."
        if self.rate == 0 or math.isinf(ratio):
            reach = int(np.flatnonzero(self.norms > 0)[-1]) if (self.norms > 0).any() else 0
            return f"gradients stop: what happened more than {reach} steps ago moves nothing."
        # over the steps that are spoken of, so that both halves of the sentence say the same
        rate = ratio ** (-1 / lag)
        if abs(rate - 1) < _STEADY:
            how = "gradients keep their size"
        else:
            how = f"gradients {'shrink' if rate < 1 else 'grow'} by {rate:.3g} a step"
        return f"{how}: what happened {lag} steps ago moves the loss {_compared(ratio)}."


@dataclass(frozen=True)
class GradientFlow:
    """The flow of each state of each layer and direction; see `gradient_flow`."""

    flows: tuple[Flow, ...]

    def __getitem__(self, key: tuple[str, str] | tuple[str, str, int]) -> Flow:
        """By state and layer, and direction (0 unless given)."""
        wanted = (*key, 0)[:3]
        for flow in self.flows:
            if (flow.state, flow.layer, flow.direction) == wanted:
                return flow
        known = ", ".join(f"{(f.state, f.layer, f.direction)}" for f in self.flows)
        raise KeyError(f"gradient flow: there is no {wanted}. There are {known}.")

    def words(self, lag: int | None = None) -> str:
        """A line for each state."""
        return "\n".join(f"{_title(flow)}: {flow.words(_within(flow, lag))}" for flow in self.flows)

    def draw(self, path: str | Path) -> None:
        """Draw the norms against the lag; `path` as of `save_picture`."""
        _draw(self.flows, path)


def gradient_flow(trace: Trace) -> GradientFlow:
    """How gradients flow back through time, from a trace that has them.

    Lags count from the last step of each row that moves the loss (for the walk from the end: from
    the first one). The norm at a lag is that of d loss / d state there, through all steps between.
    To read it as "what happened k steps ago", trace the loss of the last step: `model.trace(text,
    gradients="last")`, or `layer.trace(x, gradients=lambda out: ...)` with a loss of the last
    output.

    Args:
        trace: all steps, with gradients.

    Raises:
        ValueError: it has no gradients of states, or not all steps.

    Example:
        >>> import torch
        >>> from ostinato import Recurrent, cells
        >>> cell = cells.IndRNN(1, 1, activation="identity")
        >>> _ = torch.nn.init.constant_(cell.weight_hh, 0.5)
        >>> layer = Recurrent(cell)
        >>> trace = layer.trace(torch.ones(9, 2, 1), gradients=lambda out: out[0][-1].sum())
        >>> print(gradient_flow(trace).words())
        0, h: gradients shrink by 0.5 a step: what happened 8 steps ago moves the loss 256 times
        less than what happened now.
    """
    parts = [part for part in trace.parts if part.kind == "state" and part.gradients is not None]
    if not parts:
        raise ValueError(
            "gradient flow: the trace has no gradients of states. Trace with gradients=, e.g. "
            'gradients="last" of a task.'
        )
    return GradientFlow(tuple(_flow(trace, part) for part in parts))


def _flow(trace: Trace, part: Part) -> Flow:
    assert part.gradients is not None
    layer = trace.layer(part.layer)
    if len(layer.steps) and not np.array_equal(layer.steps, np.arange(len(layer.steps))):
        raise ValueError("gradient flow: all steps are needed. Trace without steps=.")
    squares = part.gradients.astype(np.float64) ** 2
    longest = int(layer.lengths.max(initial=0))
    sums, counts = np.zeros((longest, squares.shape[-1])), np.zeros(longest)
    for row, length in enumerate(layer.lengths.tolist()):
        walk = squares[:length, row]
        back = _from_the_loss(walk if part.direction else walk[::-1])
        sums[: len(back)] += back
        counts[: len(back)] += 1
    reached = int((counts > 0).sum())
    sums, counts = sums[:reached], counts[:reached]
    mean = sums / np.maximum(counts, 1)[:, None]
    norms = np.sqrt(mean.sum(axis=1))
    norms[~np.isfinite(norms)] = np.nan
    return Flow(part.layer, part.direction, part.name, norms, np.sqrt(mean), _rate(norms))


def _from_the_loss(squares: Floats) -> Floats:
    """Steps back in time, from the first one that moves the loss."""
    heard = np.flatnonzero(squares.any(axis=1))
    return squares[heard[0] :] if len(heard) else squares[:0]


def _rate(norms: Floats) -> float:
    """The factor a step, over the lags at which anything flows."""
    heard = np.flatnonzero(np.isfinite(norms) & (norms > 0))
    if len(heard) < 2:
        later = norms[heard[0] + 1 :] if len(heard) else norms[:0]
        return 0.0 if len(later) and not later.any() else math.nan
    slope = np.polyfit(heard.astype(np.float64), np.log(norms[heard]), 1)[0]
    return float(np.exp(slope))


def _within(flow: Flow, lag: int | None) -> int | None:
    return None if lag is None else min(lag, len(flow.norms) - 1)


def _compared(ratio: float) -> str:
    if 1 / 1.05 < ratio < 1.05:
        return "as much as what happened now"
    times = max(ratio, 1 / ratio)
    told = f"{times:.2g}" if times < 100 else f"{float(f'{times:.3g}'):,.0f}"
    return f"{told} times {'less' if ratio > 1 else 'more'} than what happened now"


def _title(flow: Flow) -> str:
    return f"{flow.layer}, {flow.state}" + (" from the end" if flow.direction else "")


def _draw(flows: Sequence[Flow], path: str | Path) -> None:
    head = "Gradient flow: how much a state k steps back moves the loss"
    save_picture(
        path,
        matplotlib=lambda figure: _drawn(figure, flows, head),
        plotly=lambda: _page(flows, head),
        size=(12.5 if len(flows) > _INSIDE else 9.0, 5.0),
    )


def _label(flow: Flow) -> str:
    return _title(flow) if math.isnan(flow.rate) else f"{_title(flow)}: x {flow.rate:.3g} a step"


def _drawn(figure: Figure, flows: Sequence[Flow], head: str) -> None:
    axes = figure.subplots()
    for k, flow in enumerate(flows):
        lags = np.arange(len(flow.norms))
        style = ("-", "--", ":", "-.")[k // len(COLOURS) % 4]
        colour = COLOURS[k % len(COLOURS)]
        axes.plot(lags, _positive(flow.norms), style, color=colour, lw=1.8, label=_label(flow))
    axes.set_yscale("log")
    axes.set_xlabel("steps before the last one")
    axes.set_ylabel("size of d loss / d state")
    axes.set_title(head)
    axes.grid(alpha=0.25)
    # many names would stand on the lines
    beside: Any = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(flows) > _INSIDE else {}
    axes.legend(frameon=False, **beside)


def _page(flows: Sequence[Flow], head: str) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for k, flow in enumerate(flows):
        figure.add_trace(
            go.Scatter(
                y=_positive(flow.norms),
                name=_label(flow),
                mode="lines",
                line={"dash": ("solid", "dash", "dot", "dashdot")[k // len(COLOURS) % 4]},
                hovertemplate="%{x} steps back: %{y:.3g}<extra></extra>",
            )
        )
    figure.update_yaxes(type="log", title_text="size of d loss / d state", exponentformat="power")
    heard = np.concatenate([flow.norms[flow.norms > 0] for flow in flows])
    if len(heard) and heard.max() > 30 * heard.min():
        # the digits between powers of ten would crowd them
        figure.update_yaxes(dtick=1)
    figure.update_layout(title=head, xaxis_title="steps before the last one")
    return figure


def _positive(norms: Floats) -> Floats:
    """What a logarithmic axis can show."""
    return np.where(norms > 0, norms, np.nan)
