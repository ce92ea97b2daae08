"""A piano roll: which notes sound when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ostinato.data.music import Piece, held_notes, names_of
from ostinato.inspect.pictures import COLOURS, save_picture

__all__ = ["draw_piano_roll"]


def draw_piano_roll(
    piece: Piece, path: str | Path, *, given: int = 0, title: str = "", steps_per_quarter: int = 1
) -> None:
    """Draw a piece: time to the right in quarter notes, a bar for each note as long as it sounds.

    Args:
        piece: what to draw.
        path: .png, .svg or .html.
        given: so many steps at the beginning were a prompt, and get a colour of their own.
        title: over the picture.
        steps_per_quarter: steps in a quarter note.

    Raises:
        ValueError: the name ends in something else.
    """
    bars = _bars(piece, given)
    low, high = _range(piece)
    scale = 1 / steps_per_quarter
    ticks = [note for note in range(low, high + 1) if note % 12 in (0, 5)]
    title = title or f"{len(piece)} steps"

    def matplotlib(figure: Any) -> None:
        axes = figure.subplots()
        for prompted, colour, name in _kinds(given):
            chosen = [bar for bar in bars if bar[3] == prompted]
            axes.barh(
                [note for _, _, note, _ in chosen],
                [length * scale for _, length, _, _ in chosen],
                left=[start * scale for start, _, _, _ in chosen],
                height=0.8,
                color=colour,
                edgecolor="white",
                linewidth=0.4,
                label=name,
            )
        axes.set_yticks(ticks, names_of(ticks))
        axes.set_ylim(low - 1, high + 1)
        axes.set_xlim(0, max(len(piece), 1) * scale)
        axes.set_axisbelow(True)
        axes.grid(alpha=0.3)
        axes.set(xlabel="time, quarter notes", ylabel="note", title=title)
        if given:
            # above the notes, not on them
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=2)

    def plotly() -> Any:
        from plotly import graph_objects

        figure = graph_objects.Figure()
        for prompted, colour, name in _kinds(given):
            chosen = [bar for bar in bars if bar[3] == prompted]
            figure.add_bar(
                orientation="h",
                y=[note for _, _, note, _ in chosen],
                x=[length * scale for _, length, _, _ in chosen],
                base=[start * scale for start, _, _, _ in chosen],
                marker_color=colour,
                name=name,
                text=names_of([note for _, _, note, _ in chosen]),
                hovertemplate="%{text}, from %{base} for %{x}<extra></extra>",
                textposition="none",
            )
        figure.update_layout(
            title=title,
            barmode="overlay",
            xaxis_title="time, quarter notes",
            yaxis={"title": "note", "tickvals": ticks, "ticktext": names_of(ticks)},
        )
        return figure

    save_picture(path, matplotlib=matplotlib, plotly=plotly, size=(10, 4.5))


def _kinds(given: int) -> list[tuple[bool, str, str]]:
    kinds = [(False, COLOURS[0], "written")]
    return [(True, "#8a8a8a", "given"), *kinds] if given else kinds


def _bars(piece: Piece, given: int) -> list[tuple[int, int, int, bool]]:
    # start, length, note, and whether it belongs to what was given
    bars = []
    roll = piece.roll()
    for first, part in ((0, roll[:given]), (given, roll[given:])):
        bars += [
            (first + start, length, note, first < given) for start, length, note in held_notes(part)
        ]
    return bars


def _range(piece: Piece) -> tuple[int, int]:
    notes = [note for step in piece.steps for note in step]
    return (min(notes), max(notes)) if notes else (60, 72)
