"""The runs that a studio may show: those named at its start, and no others."""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostinato.config import nearest
from ostinato.training.runs import CONFIG, WEIGHTS, RunError, load_run

__all__ = ["Library", "Loaded", "UnknownRunError"]

Stamp = tuple[int, ...]

# how often a run that changes under our eyes is read before we give up
_TRIES = 3


class UnknownRunError(LookupError):
    """The browser asked for a run that is not one of those named at the start."""


@dataclass(frozen=True)
class Loaded:
    """A model in memory.

    Attributes:
        key: of its run.
        folder: of its run.
        stamp: of the files that it was read from; another one once the run has been saved anew.
        task: what it does, e.g. "language_model".
        model: on its device, in evaluation mode.
    """

    key: str
    folder: Path
    stamp: Stamp
    task: str
    model: Any


class Library:
    """Runs by a short key, and the models of those that were asked for.

    Folders of runs are looked through at each call, so that a run that begins later is found; a
    key, once given, stays with its folder. Nothing outside of the folders that are named here is
    ever opened: what comes from a browser is only looked up among the keys.

    Args:
        places: run folders, or folders that hold some.
        device: where models go.
        most: models kept in memory at once.

    Raises:
        RunError: a place does not exist, is a broken run, or is a folder with other things in it
            and no run.

    Example:
        >>> Library([Path("nowhere")])
        Traceback (most recent call last):
        ostinato.training.runs.RunError: nowhere does not exist. Give the folder of a run, or one
        that holds runs.
    """

    def __init__(self, places: Sequence[Path], *, device: Any = "cpu", most: int = 3) -> None:
        self.places = tuple(dict.fromkeys(place.absolute() for place in map(_checked, places)))
        self.device = device
        self._most = most
        self._keys: dict[Path, str] = {}
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._naming = threading.Lock()
        self._loading = threading.Lock()

    def runs(self) -> dict[str, Path]:
        """Folders by key, in the order of the places and of the names in each."""
        with self._naming:
            found = dict.fromkeys(run for place in self.places for run in _runs_at(place))
            return {self._key(folder): folder for folder in found}

    def folder(self, key: str) -> Path:
        """The folder of a run.

        Raises:
            UnknownRunError: there is no run of this key; the message names the nearest.
        """
        runs = self.runs()
        if key not in runs:
            raise UnknownRunError(f"There is no run {key!r} here{nearest(key, runs)}")
        return runs[key]

    def load(self, key: str) -> Loaded:
        """The model of a run, as its folder has it now.

        Raises:
            UnknownRunError: there is no such run.
            RunError: the folder is not whole.
        """
        folder = self.folder(key)
        with self._loading:
            loaded = self._loaded.get(key)
            if loaded is None or loaded.stamp != stamp_of(folder):
                loaded = self._loaded[key] = _load(key, folder, self.device)
            self._loaded.move_to_end(key)
            while len(self._loaded) > self._most:
                self._loaded.popitem(last=False)
            return loaded

    def _key(self, folder: Path) -> str:
        if folder not in self._keys:
            slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.name).strip("-.") or "run"
            taken, key, k = set(self._keys.values()), slug, 1
            while key in taken:
                k += 1
                key = f"{slug}-{k}"
            self._keys[folder] = key
        return self._keys[folder]


def stamp_of(folder: Path) -> Stamp:
    """What changes whenever the model in a run folder does."""
    paths = [folder / name for name in (CONFIG, WEIGHTS)]
    told = [path.stat() for path in paths if path.is_file()]
    return tuple(number for each in told for number in (each.st_mtime_ns, each.st_size))


def _load(key: str, folder: Path, device: Any) -> Loaded:
    from ostinato.tasks.registry import load

    for left in reversed(range(_TRIES)):
        before = stamp_of(folder)
        try:
            model = load(folder).to(device)
        except RunError:
            # a run that is being saved may be seen half way
            if left == 0 or stamp_of(folder) == before:
                raise
        else:
            return Loaded(key, folder, before, model.SETTINGS.TASK, model.eval())
    raise AssertionError("unreachable")


def _checked(place: Path) -> Path:
    if not place.exists():
        raise RunError(f"{place} does not exist. Give the folder of a run, or one that holds runs.")
    if not place.is_dir() or (place / CONFIG).exists():
        # says what is wrong with it, if anything is
        load_run(place, weights=False)
        return place
    # an empty folder may get its first run later
    if any(place.iterdir()) and not any(_runs_at(place)):
        raise RunError(
            f"{place} is no run folder, and none of the folders in it is one. Give the folder "
            "that a run was saved to (fit --out), or a folder of such folders."
        )
    return place


def _runs_at(place: Path) -> Iterator[Path]:
    if _is_run(place):
        yield place
        return
    try:
        inside = sorted(place.iterdir())
    except OSError:
        # it was there at the start; it may be back
        return
    yield from (folder for folder in inside if _is_run(folder))


def _is_run(folder: Path) -> bool:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("format") == "ostinato run"
