"""The peak of memory of a piece of work, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import torch

__all__ = ["peak_megabytes"]

_AFTER = """
import pathlib as _pathlib, resource as _resource, sys as _sys
_status = _pathlib.Path("/proc/self/status")
if _status.exists():
    # what getrusage gives begins at what the parent had
    _told = [line for line in _status.read_text().splitlines() if line.startswith("VmHWM")]
    _most = int(_told[0].split()[1]) * 1.024
else:
    _most = _resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss
# kilobytes, but bytes on a Mac
print("\\n", _most / (1e6 if _sys.platform == "darwin" else 1e3))
"""


def peak_megabytes(work: str) -> float:
    """The most memory that Python takes to run `work`, a program; what is imported counts.

    Raises:
        RuntimeError: it failed; the message holds what it said.
    """
    head = f"import torch; torch.set_num_threads({torch.get_num_threads()})\n"
    done = subprocess.run(
        [sys.executable, "-c", head + work + _AFTER], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"measuring memory failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])
