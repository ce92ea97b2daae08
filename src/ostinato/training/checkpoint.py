"""What it takes to go on with a run, on disk: tensors as safetensors, the rest as JSON.

Lightning hands over one nest of dictionaries, lists and tensors. The tensors go to one file under
numbered names, and JSON keeps the nest with a reference in place of each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from ostinato.files import SaveError, digest, settle, write_together
from ostinato.training.runs import RunError, pack_tensors, unpack_tensors

__all__ = ["FolderIO", "decode", "encode", "pack", "read_checkpoint", "unpack", "write_checkpoint"]

_STATE = "state.json"
_TENSORS = "tensors.safetensors"
# what Lightning adds for its own `load_from_checkpoint`; may hold anything
_NOT_KEPT = ("hyper_parameters", "hparams_name", "hparams_type")


def encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """`value` as plain JSON, its tensors put into `tensors` under the names that stand for them.

    Raises:
        TypeError: something in it is neither a plain value nor a tensor.

    Example:
        >>> tensors = {}
        >>> plain = encode({1: (torch.ones(2), None)}, tensors); plain
        {'pairs': [[1, {'tuple': [{'tensor': '0'}, None]}]]}
        >>> decode(plain, tensors)
        {1: (tensor([1., 1.]), None)}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, tuple):
        return {"tuple": [encode(part, tensors) for part in value]}
    if isinstance(value, list):
        return [encode(part, tensors) for part in value]
    if isinstance(value, dict):
        return {"pairs": [[encode(k, tensors), encode(v, tensors)] for k, v in value.items()]}
    raise TypeError(
        f"A checkpoint keeps numbers, text, lists, tuples, mappings and tensors, got "
        f"{type(value).__name__}: {value!r}. Keep it as one of these."
    )


def decode(plain: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """What `encode` was given."""
    if isinstance(plain, list):
        return [decode(part, tensors) for part in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, content),) = plain.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(decode(part, tensors) for part in content)
    return {decode(key, tensors): decode(value, tensors) for key, value in content}


def pack(value: Any) -> tuple[bytes, bytes]:
    """A nest of values and tensors as two files: JSON, and safetensors."""
    tensors: dict[str, torch.Tensor] = {}
    plain = encode(value, tensors)
    packed = pack_tensors(tensors)
    return json.dumps({"tensors": digest(packed), "state": plain}).encode(), packed


def unpack(state: bytes, packed: bytes) -> Any:
    """What `pack` was given.

    Raises:
        ValueError: the two do not belong together, or are not whole.
    """
    content = json.loads(state)
    if content["tensors"] != digest(packed):
        raise ValueError("the checksum of the tensors differs")
    return decode(content["state"], unpack_tensors(packed))


def write_checkpoint(folder: Path, checkpoint: dict[str, Any]) -> None:
    """Replace the checkpoint in `folder`, whole or not at all.

    Raises:
        SaveError: it cannot be written; the one before is intact.
    """
    kept = {key: value for key, value in checkpoint.items() if key not in _NOT_KEPT}
    state, packed = pack(kept)
    write_together(folder, {_TENSORS: packed, _STATE: state})


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Read what `write_checkpoint` wrote.

    Raises:
        RunError: there is none, or it is not whole.
    """
    if not folder.is_dir():
        raise RunError(
            f"{folder} does not exist: there is nothing to resume. Start the run without resume."
        )
    settle(folder)
    try:
        content = unpack((folder / _STATE).read_bytes(), (folder / _TENSORS).read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{folder} is no whole checkpoint ({error}). Restore it from a copy, or start the run "
            "anew."
        ) from error
    return dict(content)


class FolderIO(CheckpointIO):
    """Lightning's way to disk, led into a folder of ours.

    Args:
        hold_errors: keep a failed save as `error` in place of raising it, because the other ranks
            wait for this one to come out of the save.

    Attributes:
        error: why the last save failed; None if it did not.
    """

    def __init__(self, *, hold_errors: bool = False) -> None:
        self.error: SaveError | None = None
        self._hold = hold_errors

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        self.error = None
        try:
            write_checkpoint(Path(path), checkpoint)
        except SaveError as error:
            self.error = error
            if not self._hold:
                raise

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        for name in (_STATE, _TENSORS):
            (Path(path) / name).unlink(missing_ok=True)
