"""From an input that is ready for a network to what a page shows of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ostinato.inspect.page.gather import KINDS, Wishes, add_spectrum, fill, width_of
from ostinato.inspect.page.material import Material, PageError
from ostinato.inspect.page.series import input_track

if TYPE_CHECKING:
    from ostinato.inspect.reading import Reading

__all__ = ["read"]


def read(model: Any, source: Any, wishes: Wishes) -> Material:
    """Let a fitted model read an input, and note what it did.

    Raises:
        PageError: the model is of a task that no reader knows, or the input is empty.
        ValueError: the input or a wish cannot be used.
    """
    # pages of traces need no task
    from ostinato.inspect.reading import Limits, ReadingError, reading_of

    before = model.training
    model.eval()
    try:
        made = reading_of(model, source, Limits(wishes.max_steps, top=wishes.top))
        return _material(made, wishes)
    except ReadingError as error:
        raise PageError(f"inspect: {error}") from error
    finally:
        model.train(before)


def _material(made: Reading, wishes: Wishes) -> Material:
    from ostinato.inspect.reading.base import spectra, traced

    if made.truth == "next" and len(made.axes[0].labels) < 2:
        unit = made.axes[0].name.split()[0].removesuffix("s")
        raise PageError(
            f"inspect: the input has 1 {unit}, which foretells nothing. Give at least two."
        )
    material = Material("", made.task, made.question, list(made.axes), [])
    material.notes += _notes(made)
    found = traced(
        made,
        gradients=wishes.gradients,
        only=wishes.names or (*KINDS, "attention"),
        layers=wishes.layers,
    )
    chart = made.chart(found.output)
    if chart is not None:
        material.axes[0] = replace(material.axes[0], chart=chart)
    material.charts += made.outlook
    material.truth = made.truth
    material.attention += made.attention(found.output)
    own = len(material.attention)
    fill(material, found)
    # what the trace has of it has no labels
    material.attention = material.attention[: own or None]
    if made.numbers is not None:
        material.tracks.append(input_track(made.numbers))
    add_spectrum(material, lambda steps: spectra(made, steps), _width(made))
    material.answers += made.answers(found.output)
    material.whole += made.whole(found.output)
    return material


def _notes(made: Reading) -> list[str]:
    notes = list(made.notes)
    if made.cut is not None:
        notes.append(
            f"The input has {made.cut.steps:,} {made.cut.unit}; the first {made.cut.kept:,} are "
            "shown. --max-steps shows more."
        )
    return notes


def _width(made: Reading) -> int:
    names = made.walked_once or ("",)
    return max(width_of(made.module.get_submodule(name)) for name in names)
