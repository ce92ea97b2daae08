"""Vectors for which a captioner writes a text."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.data.captions import read_captions
from ostinato.inspect.reading import reading_of
from ostinato.inspect.reading.captions import Caption, captions, vector_in
from ostinato.studio.asked import Asked
from ostinato.studio.figures import SIGNED, Figure, packed
from ostinato.studio.holding import Holding
from ostinato.studio.prompts.base import LIMITS, Prompt, Row, Told, as_file
from ostinato.studio.prompts.lines import MOST_BEAM, search_of
from ostinato.tasks.captioner.data import layout_of

__all__ = ["Vector", "vector_figure"]

# rows of a file that are offered, and numbers of them in all: what a page can hold
_ROWS, _NUMBERS = 200, 100_000
# entries from which a vector of a square number of them is drawn as a picture
_PICTURE = 25


class Vector(Prompt):
    """A vector and how its text is searched for."""

    verb = "Caption"
    form = "vector"
    fields = ("text", "beam", "length_penalty", "length")
    files = (".csv", ".npz", ".parquet")

    def told(self, model: Any, asked: Asked, holding: Holding) -> Told:
        vector = vector_in(model, asked.text("text"))
        search, longest = search_of(asked, penalty=0.0)
        with holding.within():
            found = captions(model, vector, search, longest=longest)
        best = found[0]
        facts = {
            "text": model.coder.decode(best.tokens),
            "log_probability": best.log_probability,
            "others": [[model.coder.decode(h.tokens), h.log_probability, h.score] for h in found],
        }
        made = reading_of(model, Caption(vector, best.tokens, best.ended), LIMITS)
        return Told(made, facts, vector)

    def start(self, model: Any) -> dict[str, Any]:
        mean = model.network.mean.cpu().numpy()
        return {
            "text": _spelled(mean),
            "width": len(mean),
            "beam": 1,
            "length_penalty": 0.0,
            "most_beam": MOST_BEAM,
        }

    def figures(self, plain: Row, held: Row | None) -> list[Figure]:
        words = "What the model was given, an entry a cell."
        figure = vector_figure(plain.told.data)
        return [{"title": "The vector", "words": words, "figure": figure}]

    def opened(self, model: Any, name: str, content: bytes) -> dict[str, Any]:
        with as_file(name, content) as path:
            rows = read_captions(path, layout_of(model.settings.data), captioned=False)
            most = max(1, min(_ROWS, _NUMBERS // max(1, model.coder.width)))
            found = list(islice(rows, most))
            for one in found:
                model.coder.check(one)
        if not found:
            raise ValueError(f"{name} has no row. Give a file with a vector in it.")
        return {"rows": [_spelled(one.vector) for one in found]}


def vector_figure(vector: NDArray[np.float32]) -> Figure:
    """A vector as cells: a square picture where its length is a square, else one row.

    Example:
        >>> vector_figure(np.zeros(64, np.float32))["data"][0]["z"]["shape"]
        '8, 8'
        >>> vector_figure(np.zeros(5, np.float32))["data"][0]["z"]["shape"]
        '1, 5'
    """
    side = math.isqrt(len(vector))
    square = side * side == len(vector) >= _PICTURE
    cells = vector.reshape(side, side) if square else vector[None]
    top = float(np.abs(vector).max(initial=0.0)) or 1.0
    heat = {
        "type": "heatmap",
        "z": packed(cells),
        "colorscale": SIGNED,
        "zmin": -top,
        "zmax": top,
        "colorbar": {"thickness": 12},
        "hovertemplate": "%{x}, %{y}: %{z:.4g}<extra></extra>",
    }
    shown = {"visible": False} if square else {"title": {"text": "entry"}}
    down = {"visible": False, "autorange": "reversed"}
    if square:
        down |= {"scaleanchor": "x"}
    return {
        "data": [heat],
        "layout": {"height": 300 if square else 150, "xaxis": shown, "yaxis": down},
    }


def _spelled(vector: NDArray[np.float32]) -> str:
    return " ".join(f"{value:.6g}" for value in vector)
