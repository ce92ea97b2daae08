"""One page that shows what a model did with an input: `ostinato inspect` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ostinato.inspect.page.data import add_values, page_data
from ostinato.inspect.page.facts import describe, draw
from ostinato.inspect.page.gather import Wishes, fill
from ostinato.inspect.page.html import to_html
from ostinato.inspect.page.material import Answer, Attention, Axis, Material, PageError, Track
from ostinato.inspect.page.pack import BUDGET
from ostinato.inspect.page.readers import read
from ostinato.inspect.trace import Trace

__all__ = [
    "LARGEST",
    "Answer",
    "Attention",
    "Axis",
    "Material",
    "Page",
    "PageError",
    "Track",
    "Wishes",
    "page_of_model",
    "page_of_trace",
]


# bytes of a page, if every step is to be shown with one unit at least
LARGEST = 4_800_000


@dataclass(frozen=True)
class Page:
    """A page, ready to be written.

    Attributes:
        material: what it shows, in full.
        units: numbers of units that are shown in any case.
        budget: bytes of values on the page; beyond, the units that vary least are left out, and so
            they are where the whole page would be larger than `LARGEST`.
    """

    material: Material
    units: tuple[int, ...] = ()
    budget: int = BUDGET

    @cached_property
    def _made(self) -> tuple[str, tuple[str, ...]]:
        data, notes = page_data(self.material)
        notes = [*self.material.notes, *notes]
        # what else is on the page takes room, too; as base64, three bytes of values are four
        rest = len(to_html(self.material, data, notes).encode())
        room = min(self.budget, max(LARGEST - rest, 0) * 3 // 4)
        notes += add_values(data, self.material, budget=room, wanted=self.units)
        return to_html(self.material, data, notes), tuple(notes)

    @property
    def html(self) -> str:
        """The whole page, which needs nothing but itself."""
        return self._made[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, and why."""
        return self._made[1]

    def save(self, path: str | Path, *, data: str | Path | None = None) -> None:
        """Write the page.

        Args:
            path: of the page; ends in .html.
            data: a .npz file for all values in full, beside the page; None: none.

        Raises:
            ValueError: a name ends in something else.
            OSError: a file cannot be written.
        """
        path = Path(path)
        for given, ending in ((path, ".html"), (data, ".npz")):
            if given is not None and Path(given).suffix.lower() != ending:
                raise ValueError(f"inspect: the name must end in {ending}, got {str(given)!r}.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html, encoding="utf-8")
        if data is not None:
            Path(data).parent.mkdir(parents=True, exist_ok=True)
            arrays: dict[str, Any] = self.material.arrays()
            np.savez_compressed(data, **arrays)


def page_of_model(
    model: Any,
    source: Any,
    *,
    title: str = "",
    names: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    units: Sequence[int] = (),
    max_steps: int = 2000,
    top: int = 8,
    gradients: bool = True,
    budget: int = BUDGET,
) -> Page:
    r"""Let a fitted model read an input, and show on a page what it did.

    Args:
        model: of any task.
        source: what it reads: a text; for a classifier of numbers an array [T, I] or a table's
            name; for a forecaster a table, as `predict` takes it; for a captioner a vector [F] or a
            file of vectors; for a composer a `Piece` or a file of one.
        title: of the page.
        names: names or kinds of values, as `ostinato.trace` takes them; None: states, gates and
            what is made between.
        layers: names of modules or layers; None: all.
        units: numbers of units that are shown in any case.
        max_steps: a longer input is cut, with a note.
        top: how many choices are kept at each step.
        gradients: also follow the loss of the last step back through time.
        budget: bytes of values; of what does not fit, the units that vary most are shown.

    Raises:
        PageError: there is nothing to show.
        ValueError: a name, layer or unit is not there; the message names the nearest.

    Example:
        >>> import ostinato as ost
        >>> lm = ost.LanguageModel.fit("to be or not to be\n" * 9, hidden_size=8, num_layers=1,
        ...     batch_size=1, chunk_length=8, max_steps=2, progress=False)
        >>> page = page_of_model(lm, "to be")
        >>> [track.name for track in page.material.tracks]
        ['h', 'c', 'f', 'i', 'g', 'o']
        >>> "https://" in page.html
        False
    """
    wishes = Wishes(
        None if names is None else tuple(names),
        None if layers is None else tuple(layers),
        max_steps,
        top,
        gradients,
    )
    material = read(model, source, wishes)
    _check_units(material, units)
    if "training" not in model.figures:
        material.notes.append(
            "The run has not been trained to its end: there are no figures of the fit yet, and its "
            "weights are those that were saved last."
        )
    material.title = title or f"What a {material.task} did"
    describe(material, model)
    draw(material, model.network)
    return Page(material, tuple(units), budget)


def page_of_trace(
    trace: Trace,
    model: nn.Module | None = None,
    *,
    title: str = "What a network did",
    row: int = 0,
    units: Sequence[int] = (),
    budget: int = BUDGET,
) -> Page:
    """Show any trace on a page: of one's own model, or of torch's layers.

    Args:
        trace: what `ostinato.trace` gave.
        model: what was traced, to be drawn; None: no diagrams.
        title: of the page.
        row: which row of the trace is shown.
        units: as of `page_of_model`.
        budget: likewise.

    Raises:
        PageError: there is no such row, or nothing in the trace.

    Example:
        >>> import torch
        >>> import ostinato as ost
        >>> layer = ost.GRU(3, 4)
        >>> page = page_of_trace(layer.trace(torch.zeros(5, 1, 3)), layer)
        >>> page.material.tracks[0].values.shape
        (5, 4)
    """
    rows = len(trace.lengths)
    if not 0 <= row < rows:
        raise PageError(f"page_of_trace: row must be 0 to {rows - 1}, got {row}.")
    axes = []
    if trace.labels is not None:
        length = int(trace.lengths[row])
        axes.append(Axis("steps", trace.labels[row][:length], " ", (trace.layers[0].name,)))
    material = Material(title, "network", "", axes, [])
    fill(material, _one_row(trace, row))
    _check_units(material, units)
    if model is not None:
        draw(material, model)
    return Page(material, tuple(units), budget)


def _check_units(material: Material, units: Sequence[int]) -> None:
    widest = max(int(track.units.max()) for track in material.tracks)
    for unit in units:
        if not 0 <= unit <= widest:
            raise PageError(f"inspect: there is no unit {unit}. There are 0 to {widest}.")


def _one_row(trace: Trace, row: int) -> Trace:
    some = slice(row, row + 1)
    layers = [replace(one, lengths=one.lengths[some], rows=one.rows[some]) for one in trace.layers]
    parts = [
        replace(
            part,
            values=part.values[:, some],
            gradients=None if part.gradients is None else part.gradients[:, some],
        )
        for part in trace.parts
    ]
    return Trace(layers, parts)
