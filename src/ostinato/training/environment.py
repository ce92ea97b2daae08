"""What a run ran on, so that its figures can be placed later."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ostinato.files import write_together
from ostinato.training.config import TrainingConfig

__all__ = ["describe", "record_environment"]

_FILE = "environment.json"
_PACKAGES = ("ostinato", "torch", "lightning", "numpy", "safetensors", "llvmlite")


def describe(config: TrainingConfig) -> dict[str, Any]:
    """Versions, machine, command, settings of the training and the time, as plain values."""
    gpus = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "seed": config.seed,
        "training": config.to_dict(),
    }


def record_environment(folder: Path, config: TrainingConfig, *, resumed: bool) -> None:
    """Write `describe` into a run folder; a resumed run adds its own beneath the first."""
    earlier: list[Any] = []
    if resumed:
        try:
            earlier = list(json.loads((folder / _FILE).read_bytes())["starts"])
        except (OSError, ValueError, KeyError, TypeError):
            earlier = []
    record = {"starts": [*earlier, describe(config)]}
    write_together(folder, {_FILE: json.dumps(record, indent=2).encode()})


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
