"""Vectors with a text each: Parquet, NPZ, other tables, or pairs."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ostinato.data.columns import Place, TableError, TableSource
from ostinato.data.sequences import Layout
from ostinato.data.tables import read_rows

__all__ = ["Captioned", "CaptionSource", "Vector", "read_captions"]

Vector: TypeAlias = NDArray[np.float32]
CaptionSource: TypeAlias = "TableSource | Iterable[tuple[Any, str]]"

_ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True)
class Captioned:
    """A vector and what it is called.

    Attributes:
        vector: float32 [F].
        text: None: it was not asked for.
        where: where it stands, in words.
    """

    vector: Vector
    text: str | None
    where: str


def read_captions(
    source: CaptionSource, layout: Layout, *, captioned: bool = True
) -> Iterator[Captioned]:
    """Read vectors and their texts, one after the other.

    A table has the numbers of a vector in one column of lists, or in several columns. An NPZ file
    has them in an array [N, ...], whose further axes are laid out flat, and the texts in an array
    of strings [N], both under the names of the columns.

    Args:
        source: tables, NPZ files, or pairs of vector and text.
        layout: `values` names what holds the vectors, `label` what holds the texts.
        captioned: read the texts, too.

    Raises:
        FileNotFoundError: there is no such file.
        TableError: a column is missing, a text is empty, a number is missing; the message names
            file and row.

    Example:
        >>> table = {"vector": [[0.0, 1.0]], "text": ["one"]}
        >>> layout = Layout(values=("vector",), label="text")
        >>> [(one.vector.tolist(), one.text) for one in read_captions(table, layout)]
        [([0.0, 1.0], 'one')]
    """
    if isinstance(source, (list, tuple)) and source and isinstance(source[0], (str, Path)):
        for part in source:
            yield from read_captions(part, layout, captioned=captioned)
        return
    if _is_npz(source):
        yield from _npz_rows(Path(str(source)), layout, captioned)
        return
    for rows in read_rows(source, layout, labelled=captioned):
        for k, values in enumerate(rows.inputs):
            assert not isinstance(values, str)
            text = None if rows.labels is None else rows.labels[k][0]
            yield Captioned(values.ravel(), text, rows.where(k))


def _is_npz(source: Any) -> bool:
    if not isinstance(source, (str, Path)) or not Path(source).is_file():
        return False
    with Path(source).open("rb") as file:
        return file.read(4) == _ZIP_MAGIC


def _npz_rows(path: Path, layout: Layout, captioned: bool) -> Iterator[Captioned]:
    try:
        # arrays of objects are pickles, and are refused; numpy leaves a broken file open
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            names = [*layout.values[:1], *([layout.label] if captioned else [])]
            for name in names:
                if name not in file.files:
                    found = ", ".join(file.files)
                    raise TableError(f"{path} has no array {name!r}. It has: {found}.")
            arrays = [file[name] for name in names]
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(
            f"{path} is no NPZ file that can be read: {error}. Save texts as an array of strings "
            "(dtype str), not of objects."
        ) from error
    yield from _array_rows(path, arrays, layout, captioned)


def _array_rows(
    path: Path, arrays: list[NDArray[Any]], layout: Layout, captioned: bool
) -> Iterator[Captioned]:
    vectors, texts = arrays[0], arrays[1] if captioned else None
    if vectors.ndim < 2 or vectors.dtype.kind not in "fiub":
        raise TableError(
            f"{path}: array {layout.values[0]!r} must hold numbers [rows, features], got "
            f"{vectors.dtype} {list(vectors.shape)}."
        )
    if texts is not None and (texts.shape != vectors.shape[:1] or texts.dtype.kind != "U"):
        raise TableError(
            f"{path}: array {layout.label!r} must hold a string for each of {len(vectors)} rows, "
            f"got {texts.dtype} {list(texts.shape)}."
        )
    place = Place(str(path), 0)
    for k, row in enumerate(vectors):
        vector = row.astype(np.float32).ravel()
        if not np.isfinite(vector).all():
            raise TableError(f"{place.where(k)}: a number is missing (NaN) or infinite.")
        text = None if texts is None else str(texts[k]).strip()
        if text == "":
            raise TableError(f"{place.where(k)}: the text is empty. Leave the row out.")
        yield Captioned(vector, text, place.where(k))
