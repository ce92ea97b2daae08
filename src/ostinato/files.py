"""Writing files so that a full disk or a kill at any moment leaves the last good version.

Each new file is written under a temporary name, flushed to the disk, and renamed. Where several
files belong together, a marker is put down once all of them are on the disk: from then on the set
counts as written, and whoever looks next (`settle`) finishes the renaming. Before that moment, the
old set is untouched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["SaveError", "digest", "settle", "write_together"]

_MARKER = ".commit"


class SaveError(OSError):
    """A save did not succeed; what was there before it is still there, whole."""


def digest(content: bytes) -> str:
    """SHA-256 of `content`, in hex."""
    return hashlib.sha256(content).hexdigest()


def write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into `folder`, all of them or none.

    Args:
        folder: made if missing, with its parents.
        contents: file name -> what it shall hold; files that are not named stay as they are.

    Raises:
        SaveError: the disk is full, or the place cannot be written to. The old files are intact.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        settle(folder)
        for name, content in contents.items():
            _write(_new(folder, name), content)
        _write(_new(folder, _MARKER), json.dumps(sorted(contents)).encode())
        os.replace(_new(folder, _MARKER), folder / _MARKER)
    except OSError as error:
        for name in (*contents, _MARKER):
            with contextlib.suppress(OSError):
                _new(folder, name).unlink()
        raise SaveError(
            error.errno,
            f"{folder}: could not save ({error.strerror or error}). What was saved there before is "
            "intact. Make room, or choose another folder.",
        ) from error
    _sync_folder(folder)
    settle(folder)


def settle(folder: Path) -> None:
    """Finish a set of files that had been written, but not renamed, when the writer was killed."""
    marker = folder / _MARKER
    try:
        names = json.loads(marker.read_bytes())
    except FileNotFoundError:
        return
    for name in names:
        # gone already: renamed by the writer, or by another reader
        with contextlib.suppress(FileNotFoundError):
            os.replace(_new(folder, name), folder / name)
    _sync_folder(folder)
    marker.unlink(missing_ok=True)


def _new(folder: Path, name: str) -> Path:
    return folder / f".{name}.new"


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # a rename is on the disk once its folder is; not every system lets a folder be opened
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
