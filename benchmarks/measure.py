"""Timing side by side, and what it was timed on.

Contestants run in alternating blocks: a few calls of one, then of the next, round after round, the
first call of each block dropped. A disturbance of the machine then falls on all of them, and none
runs with the caches that another left.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["Contestant", "Pace", "Timing", "alternate", "difference", "machine"]


@dataclass(frozen=True)
class Contestant:
    """One side of a comparison.

    Attributes:
        name: what the table calls it.
        run: one call, which is what gets timed.
        results: runs once, and gives all that has to agree with the reference.
        begin: done before each of its blocks, untimed.
    """

    name: str
    run: Callable[[], object]
    results: Callable[[], list[Tensor]] = list
    begin: Callable[[], object] | None = None


@dataclass(frozen=True)
class Pace:
    """How long to measure: rounds of blocks, each of at least `calls` calls and `seconds`."""

    rounds: int = 6
    calls: int = 2
    seconds: float = 0.05


@dataclass
class Timing:
    """The times of single calls, in seconds."""

    calls: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.calls)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.calls)


def alternate(contestants: Sequence[Contestant], pace: Pace) -> dict[str, Timing]:
    """Time contestants in alternating blocks."""
    timings = {contestant.name: Timing() for contestant in contestants}
    for _ in range(pace.rounds):
        for contestant in contestants:
            timings[contestant.name].calls += _block(contestant, pace)
    return timings


def _block(contestant: Contestant, pace: Pace) -> list[float]:
    if contestant.begin is not None:
        contestant.begin()
    run, clock = contestant.run, time.perf_counter
    run()
    times: list[float] = []
    until = clock() + pace.seconds
    while len(times) < pace.calls or clock() < until:
        start = clock()
        run()
        times.append(clock() - start)
    return times


def difference(ours: Sequence[Tensor], reference: Sequence[Tensor]) -> float:
    """The largest difference, relative to the largest number of its tensor."""
    if len(ours) != len(reference):
        raise ValueError(f"{len(ours)} results cannot be held against {len(reference)}.")
    worst = 0.0
    for a, b in zip(ours, reference, strict=True):
        if a.shape != b.shape:
            return float("inf")
        far = (a.double() - b.double()).abs().max().item() if b.numel() else 0.0
        scale = b.abs().max().item() if b.numel() else 0.0
        # a NaN is no agreement
        worst = max(worst, far / max(scale, 1e-6)) if far == far else float("inf")
    return worst


def machine() -> dict[str, str]:
    """What the figures belong to: processor, cores, versions, how busy it was."""
    import llvmlite
    import llvmlite.binding as llvm

    import ostinato
    from ostinato.engine.llvm.compile import host_target

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "?"),
        "threads": str(torch.get_num_threads()),
        "vectors": f"{host_target().vector_bytes * 8} bits",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "llvmlite": f"{llvmlite.__version__}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}",
        "ostinato": ostinato.__version__,
        "load before": f"{load:.2f}",
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    told = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
    name = told.get("model name", platform.machine())
    return (
        f"{name} (family {told['cpu family']}, model {told['model']})" if "model" in told else name
    )
