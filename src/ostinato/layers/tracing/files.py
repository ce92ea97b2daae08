"""Traces in files and as labelled arrays."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ostinato.extras import needed
from ostinato.layers.tracing.recording import Layer, Part, Trace

if TYPE_CHECKING:
    import xarray

__all__ = ["load", "save", "to_xarray"]

_FORMAT = "ostinato trace 1"
_KINDS = (".npz", ".safetensors")
_VECTORS = ("lengths", "steps", "rows")


def save(trace: Trace, path: Path) -> None:
    """See `Trace.save`."""
    _check_kind(path)
    arrays: dict[str, NDArray[Any]] = {}
    for k, part in enumerate(trace.parts):
        arrays[f"values.{k}"] = np.ascontiguousarray(part.values)
        if part.gradients is not None:
            arrays[f"gradients.{k}"] = np.ascontiguousarray(part.gradients)
    told = json.dumps(_told(trace), ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(arrays, path, metadata={"trace": told})
        return
    with path.open("wb") as file:
        np.savez_compressed(file, trace=np.array(told), **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Trace:
    """See `Trace.load`."""
    _check_kind(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        arrays, text = _read(path)
        told = json.loads(text)
        if told["format"] != _FORMAT:
            raise ValueError(f"it says {told['format']!r}")
        return _trace(told, arrays)
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile, SafetensorError) as error:
        raise ValueError(f"{path} is no trace that this Ostinato can read: {error}.") from error


def _check_kind(path: Path) -> None:
    if path.suffix not in _KINDS:
        raise ValueError(f"A trace's name ends in {' or '.join(_KINDS)}, got {str(path)!r}.")


def _told(trace: Trace) -> dict[str, Any]:
    """All but the large arrays, as plain values."""
    layers = [
        {**asdict(layer), **{name: getattr(layer, name).tolist() for name in _VECTORS}}
        for layer in trace.layers
    ]
    parts = [
        {
            "layer": part.layer,
            "direction": part.direction,
            "name": part.name,
            "kind": part.kind,
            "function": part.function,
            "units": part.units.tolist(),
        }
        for part in trace.parts
    ]
    return {"format": _FORMAT, "layers": layers, "parts": parts, "labels": trace.labels}


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    if path.suffix == ".safetensors":
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {})["trace"]
            return {name: file.get_tensor(name) for name in file.keys()}, text  # noqa: SIM118
    with np.load(path, allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    return arrays, str(arrays.pop("trace"))


def _trace(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Trace:
    layers = [
        Layer(
            one["name"],
            one["cell"],
            one["directions"],
            *(np.array(one[name], dtype=np.int64) for name in _VECTORS),
        )
        for one in told["layers"]
    ]
    parts = [
        Part(
            **{**one, "units": np.array(one["units"], dtype=np.int64)},
            values=arrays[f"values.{k}"],
            gradients=arrays.get(f"gradients.{k}"),
        )
        for k, one in enumerate(told["parts"])
    ]
    return Trace(layers, parts, told["labels"])


def to_xarray(trace: Trace, chosen: Sequence[int | str] | None) -> xarray.Dataset:
    """See `Trace.to_xarray`."""
    needed("xarray", extra="inspect", why="Labelled arrays")
    import xarray as xr

    layers = _alike(trace, chosen)
    names = [layer.name for layer in layers]
    parts = [part for part in trace.parts if part.layer in names]
    units = np.unique(np.concatenate([part.units for part in parts]))
    directions = max(layer.directions for layer in layers)
    first = layers[0]
    shape = (len(first.steps), len(first.rows), len(layers), directions, len(units))
    padding = np.stack([np.arange(shape[0])[:, None] >= layer.lengths for layer in layers])
    filled: dict[str, NDArray[Any]] = {}
    for part in parts:
        place = names.index(part.layer)
        for name, values in ((part.name, part.values), (f"d_{part.name}", part.gradients)):
            if values is None:
                continue
            wide = np.where(padding[place][:, :, None], np.nan, values)
            kept = filled.setdefault(name, np.full(shape, np.nan, dtype=wide.dtype))
            kept[:, :, place, part.direction, np.searchsorted(units, part.units)] = wide
    axes = ("time", "row", "layer", "direction", "unit")
    coordinates = {
        "time": first.steps,
        "row": first.rows,
        "layer": names,
        "direction": ["forward", "backward"][:directions],
        "unit": units,
        "length": ("row", first.lengths),
    }
    if trace.labels is not None and first.name == trace.layers[0].name:
        coordinates["label"] = (("time", "row"), _label_table(trace.labels, shape[:2]))
    return xr.Dataset({name: (axes, values) for name, values in filled.items()}, coordinates)


def _alike(trace: Trace, chosen: Sequence[int | str] | None) -> list[Layer]:
    layers = list(trace.layers) if chosen is None else [trace.layer(one) for one in chosen]

    def axes(layer: Layer) -> tuple[list[int], ...]:
        return layer.steps.tolist(), layer.rows.tolist(), layer.lengths.tolist()

    if chosen is None:
        return [layer for layer in layers if axes(layer) == axes(layers[0])]
    other = [layer.name for layer in layers if axes(layer) != axes(layers[0])]
    if other:
        raise ValueError(
            f"to_xarray: {other[0]!r} has other steps or rows than {layers[0].name!r}. Give layers "
            "that share them, and others in a further call."
        )
    return layers


def _label_table(labels: Sequence[Sequence[str]], shape: tuple[int, int]) -> NDArray[Any]:
    table = np.full(shape, "", dtype=object)
    for row, told in enumerate(labels):
        table[: len(told), row] = list(told)[: shape[0]]
    return table.astype(str)
