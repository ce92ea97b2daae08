"""Lines that a translator translates."""

from __future__ import annotations

from typing import Any

import numpy as np

from ostinato.inspect.page.material import Attention
from ostinato.inspect.pictures import SCALE
from ostinato.inspect.reading import reading_of
from ostinato.inspect.reading.pairs import translations
from ostinato.studio.asked import Asked
from ostinato.studio.figures import Figure, literal, packed
from ostinato.studio.holding import Holding
from ostinato.studio.labels import visible
from ostinato.studio.prompts.base import LIMITS, Prompt, Row, Told
from ostinato.tasks.beam import BeamSettings

__all__ = ["MOST_BEAM", "Line", "alignment_figure", "search_of"]

# hypotheses side by side, and tokens written: what a page waits for
MOST_BEAM, MOST_WRITTEN = 50, 1_000


class Line(Prompt):
    """A line and how it is searched for its translation."""

    verb = "Translate"
    form = "line"
    fields = ("text", "beam", "length_penalty", "length")

    def told(self, model: Any, asked: Asked, holding: Holding) -> Told:
        search, longest = search_of(asked, penalty=1.0)
        with holding.within():
            found = translations(model, asked.text("text"), search, longest=longest)
        pair, best = found[0]
        facts = {
            "text": pair.text,
            "log_probability": best.log_probability,
            "others": [[one.text, h.log_probability, h.score] for one, h in found],
        }
        made = reading_of(model, pair, LIMITS)
        return Told(made, facts)

    def start(self, model: Any) -> dict[str, Any]:
        line = "a man is standing ."
        try:
            model.vocabularies.encode_source(line)
        except ValueError:
            line = ""
        return {"text": line, "beam": 5, "length_penalty": 1.0, "most_beam": MOST_BEAM}

    def figures(self, plain: Row, held: Row | None) -> list[Figure]:
        made = []
        for row, title in ((plain, "Where it looked"), (held, "Where it looked, units held")):
            for look in row.looks if row is not None else ():
                words = "A row is a piece that was written, a column one that was read."
                made.append({"title": title, "words": words, "figure": alignment_figure(look)})
        return made


def search_of(asked: Asked, *, penalty: float) -> tuple[BeamSettings, int | None]:
    """How a request wants a text to be searched for, and its tokens at most.

    Raises:
        ValueError: a number is out of range; the message names it.

    Example:
        >>> search_of(Asked({"beam": "3"}), penalty=1.0)
        (BeamSettings(width=3, length_penalty=1.0, coverage_penalty=0.0), None)
    """
    width, longest = asked.whole("beam", 5), asked.whole("length")
    if not 1 <= width <= MOST_BEAM:
        raise ValueError(f"The beam must be in 1..{MOST_BEAM}, got {width}.")
    if longest is not None and not 1 <= longest <= MOST_WRITTEN:
        raise ValueError(f"length must be in 1..{MOST_WRITTEN:,}, got {longest:,}.")
    return BeamSettings(width, asked.number("length_penalty", penalty)), longest


def alignment_figure(look: Attention) -> Figure:
    """Attention as a heat map: written pieces downwards, read pieces along.

    Example:
        >>> weights = np.eye(2, dtype=np.float32)
        >>> figure = alignment_figure(Attention("attention", weights, ("x", "y"), ("u", "v")))
        >>> figure["layout"]["xaxis"]["ticktext"]
        ['u', 'v']
    """
    rows, columns = look.weights.shape
    heat = {
        "type": "heatmap",
        "z": packed(look.weights),
        "x": list(range(columns)),
        "y": list(range(rows)),
        "zmin": 0.0,
        "zmax": 1.0,
        "colorscale": SCALE.capitalize(),
        "colorbar": {"title": {"text": "weight"}, "thickness": 12},
        "customdata": [[literal(visible(name))] * columns for name in look.written],
        "text": [[literal(visible(name)) for name in look.read]] * rows,
        "hovertemplate": "%{customdata} looked at %{text}: %{z:.3f}<extra></extra>",
    }
    layout = {
        "height": 140 + 26 * min(rows, 60),
        "xaxis": _axis(look.read, "read", -40) | {"side": "top"},
        "yaxis": _axis(look.written, "written", 0) | {"autorange": "reversed"},
        "margin": {"l": 110, "r": 16, "t": 110, "b": 16},
    }
    return {"data": [heat], "layout": layout}


def _axis(labels: tuple[str, ...], title: str, angle: int) -> Figure:
    every = max(1, len(labels) // 60)
    places = list(np.arange(0, len(labels), every))
    return {
        "tickvals": [int(k) for k in places],
        "ticktext": [literal(visible(labels[k])) for k in places],
        "title": {"text": title},
        "tickangle": angle,
        "automargin": True,
    }
