"""The folder that a training run leaves: what was asked for, the weights, and how it went.

    config.json          task, settings, and the checksum of every file that makes up the model
    model.safetensors    weights
    tokenizer.json, ...  what else the task needs, as text
    metrics.jsonl        one line a report
    environment.json     versions, machine, command, seed
    checkpoint/          what it takes to go on with the run

Nothing in it is a pickle: reading a folder of unknown origin runs no code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.files import digest, settle, write_together

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Run", "RunError", "load_run", "save_run", "update_weights"]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CHECKPOINT = "checkpoint"
_FORMAT = "ostinato run"
_VERSION = 1


class RunError(ValueError):
    """A folder is no run, or not whole; the message says what to do."""


@dataclass(frozen=True)
class Run:
    """A run folder that has been read and found whole.

    Attributes:
        folder: where it is.
        task: what the model does, e.g. "language_model".
        settings: what the task wrote down to build the model again.
        texts: the task's own files, name -> content.
        weights: name -> tensor, on the CPU; empty if `load_run(weights=False)`.
    """

    folder: Path
    task: str
    settings: dict[str, Any]
    texts: dict[str, str] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)


def save_run(
    folder: str | Path,
    *,
    task: str,
    settings: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write a model into a run folder; an earlier one there is replaced whole or not at all.

    Args:
        folder: made if missing.
        task: what the model does.
        settings: plain values (JSON) from which the task can build the model again.
        weights: name -> tensor.
        texts: further files, name -> content, e.g. {"tokenizer.json": "..."}.

    Raises:
        SaveError: the disk is full or the folder cannot be written; nothing has changed then.
        RunError: `folder` is a file, or has a config.json of something else.
        TypeError: a setting is no plain value.
    """
    folder = Path(folder)
    _refuse_foreign(folder)
    contents = {name: text.encode() for name, text in (texts or {}).items()}
    contents[WEIGHTS] = pack_tensors(weights)
    _write(folder, {"task": task, "settings": dict(settings)}, contents, {})


def update_weights(folder: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Replace the weights of a run, and nothing else.

    Raises:
        RunError: `folder` is no run.
        SaveError: the disk is full; the old weights are still there.
    """
    folder = Path(folder)
    config = _read_config(folder)
    head = {"task": config["task"], "settings": config["settings"]}
    _write(folder, head, {WEIGHTS: pack_tensors(weights)}, config["files"])


def load_run(folder: str | Path, *, weights: bool = True) -> Run:
    """Read a run folder and check that it is whole. Nothing is unpickled.

    Args:
        folder: what `save_run` wrote.
        weights: read the weights, too.

    Raises:
        RunError: the folder is missing, is no run, or a file in it is missing, cut short or has
            been changed.
    """
    folder = Path(folder)
    config = _read_config(folder)
    contents = {
        name: _read_checked(folder, name, entry)
        for name, entry in config["files"].items()
        if weights or name != WEIGHTS
    }
    tensors = unpack_tensors(contents.pop(WEIGHTS)) if weights else {}
    texts = {name: content.decode() for name, content in contents.items()}
    return Run(folder, config["task"], config["settings"], texts, tensors)


def pack_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as the bytes of a safetensors file; shared memory is written out for each."""
    from safetensors.torch import save

    return save({k: t.detach().cpu().clone().contiguous() for k, t in tensors.items()})


def unpack_tensors(content: bytes) -> dict[str, Tensor]:
    """What `pack_tensors` packed.

    Raises:
        RunError: it is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise RunError(
            f"The weights are no readable safetensors file ({error}). Restore them from a copy, or "
            "train again."
        ) from error


def _write(
    folder: Path, head: dict[str, Any], contents: dict[str, bytes], files: dict[str, Any]
) -> None:
    from ostinato import __version__

    listed = {k: {"sha256": digest(c), "bytes": len(c)} for k, c in contents.items()}
    body = {
        "format": _FORMAT,
        "version": _VERSION,
        "ostinato": __version__,
        **head,
        "files": {**files, **listed},
    }
    body["sha256"] = _seal(body)
    config = json.dumps(body, indent=2, ensure_ascii=False, default=_no_plain_value)
    write_together(folder, {**contents, CONFIG: config.encode()})


def _seal(body: dict[str, Any]) -> str:
    bare = {key: value for key, value in body.items() if key != "sha256"}
    return digest(json.dumps(bare, sort_keys=True, default=_no_plain_value).encode())


def _no_plain_value(value: object) -> Any:
    raise TypeError(
        f"A run's settings must be plain values (numbers, text, lists, mappings), got "
        f"{type(value).__name__}: {value!r}."
    )


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; a run needs a folder. Choose another name.")
    if (folder / CONFIG).exists() and _parse_config(folder).get("format") != _FORMAT:
        raise RunError(
            f"{folder} holds a config.json of something else, which is not overwritten. Choose "
            "another folder."
        )


def _parse_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        return {}
    return config if isinstance(config, dict) else {}


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise RunError(f"{folder} {what}. Give the folder that a run was saved to.")
    settle(folder)
    if not (folder / CONFIG).is_file():
        raise RunError(
            f"{folder} is no run folder: it has no {CONFIG}. Give the folder that a run was saved"
            " to."
        )
    config = _parse_config(folder)
    if config.get("format") != _FORMAT:
        raise RunError(
            f"{folder / CONFIG} is cut short, or was not written by Ostinato. Give the folder that"
            " a run was saved to, or restore the file from a copy."
        )
    if config.get("version") != _VERSION:
        raise RunError(
            f"{folder} has format version {config.get('version')}; this Ostinato reads {_VERSION}. "
            "Use the Ostinato that wrote it, or a newer one."
        )
    if config.get("sha256") != _seal(config):
        raise RunError(
            f"{folder / CONFIG} has been changed since it was written. Restore it from a copy; "
            "settings are changed by training again."
        )
    return config


def _read_checked(folder: Path, name: str, entry: dict[str, Any]) -> bytes:
    path = folder / name
    if Path(name).name != name:
        raise RunError(f"{folder / CONFIG} names a file outside of its folder: {name!r}.")
    if not path.is_file():
        raise RunError(f"{folder} is not whole: {name} is missing. Restore it, or train again.")
    content = path.read_bytes()
    if len(content) < entry["bytes"]:
        raise RunError(
            f"{path} is cut short: {len(content)} of {entry['bytes']} bytes. Restore it from a "
            "copy, or train again."
        )
    if digest(content) != entry["sha256"]:
        raise RunError(
            f"{path} is not what was saved: its checksum differs. Restore it from a copy, or train "
            "again."
        )
    return content
