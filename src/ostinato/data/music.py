"""Music as the notes that sound at each step: from MIDI files and piano rolls in JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ostinato.extras import needed

__all__ = [
    "KEYS",
    "LOWEST",
    "Music",
    "MusicError",
    "Piece",
    "held_notes",
    "read_music",
    "write_json",
    "write_midi",
]

# the keys of a piano, as MIDI numbers them: A0 is 21, C8 is 108
LOWEST, KEYS = 21, 88

_TICKS = 480
_MIDI = (".mid", ".midi")
_PARTS = {"train": "train", "valid": "validation", "validation": "validation", "test": "held_out"}

Steps: TypeAlias = tuple[tuple[int, ...], ...]


class MusicError(ValueError):
    """Music that cannot be used as it is; the message names the file and the place."""


@dataclass(frozen=True)
class Piece:
    """A piece of music.

    Attributes:
        steps: the MIDI numbers that sound at each step, upwards; T of them.
        name: where it came from, for messages.

    Example:
        >>> Piece(((60, 64, 67), ())).roll().sum(axis=1).tolist()
        [3, 0]
    """

    steps: Steps
    name: str = "piece"

    def __len__(self) -> int:
        return len(self.steps)

    def roll(self) -> NDArray[np.uint8]:
        """Which of the piano's keys sound at each step: 0 or 1, [T, 88]."""
        roll = np.zeros((len(self.steps), KEYS), np.uint8)
        for t, notes in enumerate(self.steps):
            roll[t, [note - LOWEST for note in notes]] = 1
        return roll

    @classmethod
    def of_roll(cls, roll: NDArray[Any], name: str = "piece") -> Piece:
        """The piece of a roll [T, 88]."""
        steps = (tuple(int(key) + LOWEST for key in np.flatnonzero(row)) for row in roll)
        return cls(tuple(steps), name)


@dataclass(frozen=True)
class Music:
    """Pieces, in the parts that the files name; what is in no part is for training."""

    train: tuple[Piece, ...] = ()
    validation: tuple[Piece, ...] = ()
    held_out: tuple[Piece, ...] = ()


def read_music(source: Any, *, steps_per_quarter: int = 1) -> Music:
    """Read every piece that `source` names.

    A file in JSON holds a piece (a list of steps, each the MIDI numbers that sound), a list of
    pieces, or an object of such lists by part: "train", "valid", "test". A MIDI file is one piece:
    its notes (but for drums) laid on a grid, from the first one on. A folder stands for all its
    .mid, .midi and .json files, below it too.

    Args:
        source: a file, folder, `Piece`, or a sequence of these.
        steps_per_quarter: steps in a quarter note, for MIDI files.

    Raises:
        FileNotFoundError: there is no such file or folder.
        MusicError: a file is broken or holds no music, or a note is none of the piano's.
        MissingExtraError: MIDI files are read with symusic, which is not installed.
    """
    if steps_per_quarter < 1:
        raise ValueError(f"steps_per_quarter must be at least 1, got {steps_per_quarter}.")
    found: dict[str, list[Piece]] = {"train": [], "validation": [], "held_out": []}
    for item in _items(source):
        if isinstance(item, Piece):
            found["train"].append(item)
        elif item.suffix.lower() in _MIDI:
            found["train"].append(_read_midi(item, steps_per_quarter))
        else:
            for part, pieces in _read_json(item).items():
                found[part] += pieces
    music = Music(*(tuple(pieces) for pieces in found.values()))
    if not any((music.train, music.validation, music.held_out)):
        raise MusicError(f"There is no piece of music in {source}.")
    return music


def write_json(piece: Piece, path: str | Path) -> None:
    """Write a piece as a piano roll: a list of steps, each a list of MIDI numbers."""
    Path(path).write_text(json.dumps(piece.steps) + "\n", encoding="utf-8")


def write_midi(
    piece: Piece, path: str | Path, *, steps_per_quarter: int = 1, tempo: float = 90.0
) -> None:
    """Write a piece as a MIDI file. A note that sounds at several steps in a row is held.

    Args:
        piece: what to write.
        path: of the file.
        steps_per_quarter: steps in a quarter note.
        tempo: quarter notes a minute.

    Raises:
        MissingExtraError: symusic is not installed.
        OSError: it cannot be written.
    """
    symusic = needed("symusic", extra="music", why="MIDI files")
    ticks = _TICKS // steps_per_quarter
    score = symusic.Score(_TICKS)
    score.tempos.append(symusic.Tempo(0, tempo))
    track = symusic.Track("Ostinato", 0, False)
    for start, length, note in held_notes(piece.roll()):
        track.notes.append(symusic.Note(start * ticks, length * ticks, note, 80))
    score.tracks.append(track)
    try:
        Path(path).write_bytes(score.dumps_midi())
    except OSError as error:
        raise OSError(error.errno, f"{path} cannot be written: {error.strerror}") from error


def held_notes(roll: NDArray[np.uint8]) -> Iterable[tuple[int, int, int]]:
    """First step, steps and MIDI number of each note of a roll [T, 88], key by key.

    Example:
        >>> list(held_notes(Piece(((60,), (60, 62))).roll()))
        [(0, 2, 60), (1, 1, 62)]
    """
    edges = np.diff(roll.astype(np.int8), axis=0, prepend=0, append=0)
    for key in range(KEYS):
        starts = np.flatnonzero(edges[:, key] == 1)
        ends = np.flatnonzero(edges[:, key] == -1)
        for start, end in zip(starts, ends, strict=True):
            yield int(start), int(end - start), key + LOWEST


def _items(source: Any) -> list[Piece | Path]:
    if isinstance(source, Piece):
        return [source]
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir():
            kinds = (*_MIDI, ".json")
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in kinds)
            if not files:
                raise MusicError(f"{path} holds no .mid, .midi or .json file.")
            return list(files)
        if not path.exists():
            raise FileNotFoundError(f"There is no file or folder {str(path)!r}.")
        return [path]
    return [item for each in source for item in _items(each)]


def _read_json(path: Path) -> dict[str, list[Piece]]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MusicError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        return {"train": _pieces(content, str(path), alone=True)}
    unknown = sorted(set(content) - set(_PARTS))
    if unknown:
        raise MusicError(
            f"{path} has a part {unknown[0]!r}. Known: {', '.join(_PARTS)}; or give a list of "
            "pieces."
        )
    parts: dict[str, list[Piece]] = {}
    for name, pieces in content.items():
        parts.setdefault(_PARTS[name], []).extend(_pieces(pieces, f"{path}: {name}"))
    return parts


def _pieces(content: Any, name: str, *, alone: bool = False) -> list[Piece]:
    if not isinstance(content, list):
        raise MusicError(f"{name} must be a list of pieces, got {type(content).__name__}.")
    if alone and content and all(_is_step(step) for step in content):
        return [_piece(content, name)]
    return [_piece(steps, f"{name}[{k}]") for k, steps in enumerate(content)]


def _is_step(step: Any) -> bool:
    return isinstance(step, list) and all(isinstance(note, (int, float)) for note in step)


def _piece(steps: Any, name: str) -> Piece:
    if not isinstance(steps, list) or not steps:
        raise MusicError(f"{name} is no piece: it must be a list of steps, and not empty.")
    for t, step in enumerate(steps):
        if not _is_step(step):
            raise MusicError(f"{name}, step {t}: a step is a list of MIDI numbers, got {step!r}.")
        for note in step:
            if note != int(note) or not LOWEST <= note < LOWEST + KEYS:
                raise MusicError(
                    f"{name}, step {t}: notes are whole MIDI numbers in {LOWEST}..."
                    f"{LOWEST + KEYS - 1}, got {note!r}."
                )
    return Piece(tuple(tuple(sorted({int(note) for note in step})) for step in steps), name)


def _read_midi(path: Path, steps_per_quarter: int) -> Piece:
    symusic = needed("symusic", extra="music", why="MIDI files")
    try:
        score = symusic.Score(str(path))
    except (ValueError, RuntimeError) as error:
        raise MusicError(f"{path} is not a whole MIDI file: {error}.") from error
    scale = steps_per_quarter / score.ticks_per_quarter
    notes = [
        (round(note.start * scale), round(note.end * scale), int(note.pitch))
        for track in score.tracks
        if not track.is_drum
        for note in track.notes
        if LOWEST <= note.pitch < LOWEST + KEYS
    ]
    if not notes:
        raise MusicError(f"{path} has no notes of a piano's range (drums are left out).")
    first = min(start for start, _, _ in notes)
    last = max(max(end, start + 1) for start, end, _ in notes)
    roll = np.zeros((last - first, KEYS), np.uint8)
    for start, end, pitch in notes:
        # the shortest of notes still sounds for a step
        roll[start - first : max(end, start + 1) - first, pitch - LOWEST] = 1
    return Piece.of_roll(roll, str(path))


def transposed(roll: NDArray[np.uint8], semitones: int) -> NDArray[np.uint8]:
    """A roll [T, 88] that many semitones higher; where a note would leave the piano, unchanged."""
    moved = np.roll(roll, semitones, axis=1)
    lost = roll[:, KEYS - semitones :] if semitones > 0 else roll[:, : max(-semitones, 0)]
    return roll if lost.any() else moved


def names_of(notes: Sequence[int]) -> list[str]:
    """What musicians call them: C4 is the middle one.

    Example:
        >>> names_of([60, 70])
        ['C4', 'A#4']
    """
    names = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    return [f"{names[note % 12]}{note // 12 - 1}" for note in notes]
