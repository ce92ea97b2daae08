"""First calls, memory and very long sequences, each in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from measure import Pace
from report import Row
from whole import TOLERANCE

__all__ = ["in_child", "long_rows", "memory_rows", "start_rows"]

_CHILD = Path(__file__).parent / "child.py"
_MEGA = 1e6


def start_rows(pace: Pace, quick: bool) -> Iterator[Row]:
    """A cell's first calls, compiled anew and from the cache on disk."""
    del pace
    width = 8 if quick else 128
    with tempfile.TemporaryDirectory() as folder:
        cache = {"OSTINATO_CACHE": folder}
        cold = in_child("start", width, extra=cache)
        warm = in_child("start", width, extra=cache)
    for name in cold:
        for n, (deed, goal) in enumerate((("forward", 500.0), ("training", 800.0))):
            first = name.startswith("the first")
            for case, found, most in (("compiled", cold, goal), ("from the cache", warm, 20.0)):
                row = Row("start of a new cell", f"{name}, {deed}", case, unit="ms", more=False)
                row.figure = found[name][n] * 1e3
                # that one also loads what all share
                row.goal = None if first else most
                yield row


def memory_rows(pace: Pace, quick: bool) -> Iterator[Row]:
    """The most that a training step takes beyond its inputs, ours and torch.nn's."""
    del pace
    shape = (32, 100, 128, 128) if quick else (64, 128, 256, 256)
    for kind in ("LSTM", "GRU", "RNN"):
        ours = in_child("memory", kind, "ostinato", *shape)
        theirs = in_child("memory", kind, "torch.nn", *shape)
        row = Row("memory of a training step", kind, ",".join(map(str, shape)), more=False)
        far = abs(ours["check"] - theirs["check"]) / max(abs(theirs["check"]), 1e-6)
        if far > TOLERANCE:
            row.wrong = f"gradients differ by {far:.1e}"
        else:
            row.figure, row.goal = ours["bytes"] / max(theirs["bytes"], 1), 1.0
            row.note = f"{ours['bytes'] / _MEGA:.0f} of {theirs['bytes'] / _MEGA:.0f} MB"
        yield row


def long_rows(pace: Pace, quick: bool) -> Iterator[Row]:
    """A forward walk over very many steps: constant memory beyond x and y."""
    del pace
    T = 20_000 if quick else 1_000_000
    for kind in ("LSTM", "GRU"):
        found = in_child("long", kind, T)
        row = Row("a long sequence", f"{kind} inference", f"1,{T},8,32", unit="MB", more=False)
        if found["difference"] > TOLERANCE:
            row.wrong = f"{found['difference']:.1e} from torch.nn"
        else:
            row.times = {"ostinato": found["seconds"], "torch.nn": found["torch.nn"]}
            row.figure, row.goal = max(found["bytes"], 0) / _MEGA, 16.0
            row.note = "beyond x and y"
        yield row


def in_child(*words: object, extra: Mapping[str, str] | None = None) -> Any:
    """What a deed of `child.py` prints."""
    command = [sys.executable, str(_CHILD), str(torch.get_num_threads()), *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **(extra or {})}, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))} failed:\n{done.stderr}")
    return json.loads(done.stdout)
