"""A fitted echo state network as one safetensors file: tensors, and settings in its head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ostinato.files import write_together
from ostinato.reservoirs.readouts import KINDS, Readout

if TYPE_CHECKING:
    from ostinato.reservoirs.estimator import EchoStateNetwork

__all__ = ["load_network", "save_network"]

_FORMAT = "ostinato echo state network"
_VERSION = 1


def save_network(esn: EchoStateNetwork, path: str | Path) -> None:
    """Write a fitted network; see `EchoStateNetwork.save`."""
    assert esn.reservoir is not None
    options = esn.get_params()
    dtype, given = options.pop("dtype"), options.pop("readout")
    settings = {
        "options": options,
        "dtype": str(dtype).removeprefix("torch."),
        "readout": _readout_settings(esn.readout),
        "given": given is not None,
        "sizes": [esn.inputs, esn.outputs],
    }
    parts = {
        "reservoir": esn.reservoir.state_dict(),
        "readout": esn.readout.learned(),
        "state": {str(place): state for place, state in enumerate(esn._states)},
        "stand": {"last": esn._last, "noise": esn._gatherer.noise_state},
    }
    _write(
        path, settings, {f"{part}.{k}": t for part, some in parts.items() for k, t in some.items()}
    )


def load_network(kind: type[EchoStateNetwork], path: str | Path) -> EchoStateNetwork:
    """Open a network; see `EchoStateNetwork.load`."""
    saved = _read(path)
    settings = saved.settings
    readout = KINDS[settings["readout"]["kind"]](**settings["readout"]["options"])
    dtype = getattr(torch, settings["dtype"])
    given = readout if settings["given"] else None
    esn = kind(**settings["options"], readout=given, dtype=dtype)
    esn.readout = readout
    esn._build(*settings["sizes"])
    assert esn.reservoir is not None
    esn.reservoir.load_state_dict(saved.part("reservoir"))
    readout.restore(saved.part("readout"))
    states = saved.part("state")
    esn._states = [states[str(place)] for place in range(len(states))]
    stand = saved.part("stand")
    esn._last, esn._gatherer.noise_state = stand["last"], stand["noise"]
    return esn


class _Saved:
    """What a file holds.

    Attributes:
        settings: how the network was built and what it was drawn for.
        tensors: its weights, what its readout has learned, and where it stands.
    """

    def __init__(self, settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.settings, self.tensors = settings, tensors

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `name` and a dot, without that."""
        start = f"{name}."
        return {k[len(start) :]: v for k, v in self.tensors.items() if k.startswith(start)}


def _write(path: str | Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a file, whole or not at all.

    Raises:
        ValueError: a setting is no plain value.
        SaveError: the disk is full, or the place cannot be written to; an older file is intact.
    """
    from safetensors.torch import save

    head = {"format": _FORMAT, "version": _VERSION, **settings}
    content = save(
        {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()},
        {"ostinato": json.dumps(head, default=_refuse)},
    )
    path = Path(path)
    write_together(path.parent, {path.name: content})


def _read(path: str | Path) -> _Saved:
    """Read a file. Nothing in it is run.

    Raises:
        ValueError: it is missing, or nothing that `_write` wrote.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file. Give one that `save` wrote.")
    try:
        with safe_open(str(path), "pt") as file:
            head = json.loads((file.metadata() or {}).get("ostinato", "{}"))
            # sums may depend on how memory is aligned, and in a file it is not
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: it is cut short, or no safetensors file ({error}). Restore it from a copy, "
            "or fit again."
        ) from error
    if head.get("format") != _FORMAT:
        raise ValueError(
            f"{path}: it holds no echo state network. Give a file that `save` wrote; a run's "
            "folder is opened by ostinato.load."
        )
    if head.get("version") != _VERSION:
        raise ValueError(
            f"{path}: it has version {head.get('version')}; this Ostinato reads {_VERSION}. Use "
            "the Ostinato that wrote it, or a newer one."
        )
    return _Saved(head, tensors)


def _readout_settings(readout: Readout) -> dict[str, Any]:
    """A readout's kind and options as plain values.

    Raises:
        ValueError: it is of no kind that could be built again.
    """
    kind = type(readout).__name__
    if KINDS.get(kind) is not type(readout):
        raise ValueError(
            f"EchoStateNetwork: a readout of class {kind} cannot be saved, since it could not be "
            f"built again. Use one of {', '.join(KINDS)}, or save its weight and bias yourself."
        )
    return {"kind": kind, "options": readout.options()}


def _refuse(value: object) -> Any:
    raise ValueError(
        f"EchoStateNetwork: {value!r} cannot be saved, since it could not be built again. Give "
        "activations and topologies by name."
    )
