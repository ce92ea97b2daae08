"""Music that a composer goes on with."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from ostinato.data.music import KEYS, LOWEST, Piece, held_notes, names_of, write_midi
from ostinato.extras import MissingExtraError
from ostinato.inspect.pictures import COLOURS
from ostinato.inspect.reading import reading_of
from ostinato.inspect.reading.music import chord
from ostinato.studio.asked import Asked, AskedError
from ostinato.studio.figures import Figure
from ostinato.studio.holding import Holding
from ostinato.studio.prompts.base import LIMITS, Prompt, Row, Told, as_file

__all__ = ["Music", "piece_in", "roll_figure"]

# steps that are written at once, and given
_MOST = 1_000
_GIVEN = "#8a8a8a"
_NOTES = {name: key + LOWEST for key, name in enumerate(names_of(range(LOWEST, LOWEST + KEYS)))}
_FLATS = {"DB": "C#", "EB": "D#", "GB": "F#", "AB": "G#", "BB": "A#"}


class Music(Prompt):
    """Notes, and how daringly they are gone on with."""

    verb = "Compose"
    form = "music"
    fields = ("text", "length", "temperature", "seed")
    files = (".mid", ".midi", ".json")

    def told(self, model: Any, asked: Asked, holding: Holding) -> Told:
        given = piece_in(asked.text("text"))
        length, seed = asked.whole("length", 32), asked.whole("seed", 0)
        if not 0 <= length <= _MOST:
            raise ValueError(f"length must be in 0..{_MOST:,}, got {length:,}.")
        if not 0 <= seed < 2**63:
            raise ValueError(f"The seed must be in 0..2^63 - 1, got {seed}.")
        with holding.within():
            piece = model.compose(
                given,
                length,
                temperature=asked.number("temperature", 1.0),
                seed=seed,
                include_prompt=True,
            )
        facts = {
            "text": "\n".join(map(chord, piece.steps)),
            "steps": piece.steps,
            "given": len(given),
            "per_quarter": model.settings.data.steps_per_quarter,
            "midi": _midi(piece, model.settings.data.steps_per_quarter),
        }
        return Told(reading_of(model, piece, LIMITS), facts, (piece, len(given)))

    def start(self, model: Any) -> dict[str, Any]:
        return {"text": "C3 G3 E4 C5\n" * 2 + "F3 A3 F4 C5\n" * 2, "most": _MOST}

    def figures(self, plain: Row, held: Row | None) -> list[Figure]:
        made = [("The piece", plain.told)] + ([("With units held", held.told)] if held else [])
        pieces = [told.data[0] for _, told in made]
        words = "A bar is a note for as long as it sounds; grey was given."
        return [
            {"title": title, "words": words, "figure": roll_figure(*told.data, like=pieces)}
            for title, told in made
        ]

    def opened(self, model: Any, name: str, content: bytes) -> dict[str, Any]:
        with as_file(name, content) as path:
            piece = model._piece(path)
        return {"text": "\n".join(map(chord, piece.steps[:_MOST])), "steps": len(piece)}


def piece_in(text: str) -> Piece:
    r"""A piece that was typed: a step a line, its notes by name or MIDI number; "-" is silence.

    Raises:
        AskedError: something is no note, or the piece is too long; the message names the line.

    Example:
        >>> piece_in("C4 E4\n-\n67 Bb4").steps
        ((60, 64), (), (67, 70))
        >>> piece_in("C4\nH4")
        Traceback (most recent call last):
        ostinato.studio.asked.AskedError: line 2: 'H4' is no note of a piano. Give names, such as
        C4, F#3 or Bb5, or MIDI numbers from 21 to 108, and - for silence.
    """
    lines = text.strip().splitlines() if text.strip() else []
    if len(lines) > _MOST:
        raise AskedError(f"The piece has {len(lines):,} steps. Give {_MOST:,} at most.")
    steps = (
        tuple(sorted({_note(sign, k) for sign in line.replace(",", " ").split() if sign != "-"}))
        for k, line in enumerate(lines, start=1)
    )
    return Piece(tuple(steps), "what was typed")


def _note(sign: str, line: int) -> int:
    if sign.isdecimal() and LOWEST <= int(sign) < LOWEST + KEYS:
        return int(sign)
    name = sign.rstrip("0123456789").upper()
    found = _NOTES.get(_FLATS.get(name, name) + sign[len(name) :])
    if found is None:
        raise AskedError(
            f"line {line}: {sign!r} is no note of a piano. Give names, such as C4, F#3 or Bb5, or "
            f"MIDI numbers from {LOWEST} to {LOWEST + KEYS - 1}, and - for silence."
        )
    return found


def roll_figure(piece: Piece, given: int, *, like: Sequence[Piece]) -> Figure:
    """A piano roll: steps along, notes upwards, what was given in grey.

    Args:
        piece: what is drawn.
        given: so many steps at the beginning were given.
        like: pieces that share the scale.

    Example:
        >>> piece = Piece(((60,), (60,), (62,)))
        >>> figure = roll_figure(piece, 1, like=[piece])
        >>> [(bars["name"], bars["base"], bars["x"]) for bars in figure["data"]]
        [('given', [0], [1]), ('written', [1, 2], [1, 1])]
    """
    notes = [note for one in like for step in one.steps for note in step] or [60, 72]
    low, high = min(notes) - 1, max(notes) + 1
    roll = piece.roll()
    data = []
    for name, colour, first, part in (
        ("given", _GIVEN, 0, roll[:given]),
        ("written", COLOURS[0], given, roll[given:]),
    ):
        bars = [(first + start, length, note) for start, length, note in held_notes(part)]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "base": [start for start, _, _ in bars],
                "x": [length for _, length, _ in bars],
                "y": [note for _, _, note in bars],
                "text": names_of([note for _, _, note in bars]),
                "textposition": "none",
                "hovertemplate": "%{text}, from step %{base} for %{x}<extra></extra>",
                "name": name,
                "marker": {"color": colour},
            }
        )
    ticks = [note for note in range(low, high + 1) if note % 12 in (0, 5)]
    layout = {
        "height": 330,
        "barmode": "overlay",
        "bargap": 0.15,
        "xaxis": {"title": {"text": "step"}, "range": [0, max(map(len, like)) or 1]},
        "yaxis": {
            "tickvals": ticks,
            "ticktext": names_of(ticks),
            "range": [low - 0.5, high + 0.5],
            "automargin": True,
        },
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
    return {"data": data, "layout": layout}


def _midi(piece: Piece, per_quarter: int) -> str | None:
    """The piece as a MIDI file in base 64; None where nothing is installed that writes it."""
    with as_file("composed.mid", b"") as path:
        try:
            write_midi(piece, path, steps_per_quarter=per_quarter)
        except MissingExtraError:
            return None
        return base64.b64encode(path.read_bytes()).decode("ascii")
