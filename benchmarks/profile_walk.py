"""Where the time of one training step goes: each call into a kernel, and Python around it.

    python benchmarks/profile_walk.py lstm 32,100,128,128 [--threads N]

A kernel has a few entries: one packs the weights, `forward` and `backward` walk, `input0` makes the
gradient of x, `weights` those of the matrices. What is left is Python and torch's own operators.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from cells import shape_of
from ostinato.engine import forms
from ostinato.engine.llvm.kernel import Kernel
from subjects import SUBJECTS, Batch, contest

__all__ = ["profile"]


def profile(run: Callable[[], object], steps: int) -> dict[str, float]:
    """Median seconds of each entry in a step, of the whole step, and of what is left.

    Args:
        run: one step; its kernels must have been made.
        steps: how many to take.
    """
    spent: dict[str, float] = defaultdict(float)
    known = [kernel for kernel in forms._kernels.values() if isinstance(kernel, Kernel)]
    plain = [dict(kernel.library.functions) for kernel in known]
    for kernel in known:
        for name, function in kernel.library.functions.items():
            kernel.library.functions[name] = _timed(name, function, spent)
    found: dict[str, list[float]] = defaultdict(list)
    try:
        for _ in range(steps):
            spent.clear()
            start = time.perf_counter()
            run()
            whole = time.perf_counter() - start
            for name, seconds in spent.items():
                found[name].append(seconds)
            found["Python and torch"].append(whole - sum(spent.values()))
            found["whole step"].append(whole)
    finally:
        for kernel, functions in zip(known, plain, strict=True):
            kernel.library.functions.update(functions)
    return {name: statistics.median(times) for name, times in found.items()}


def _timed(
    name: str, function: Callable[..., object], spent: dict[str, float]
) -> Callable[..., None]:
    def call(*arguments: int) -> None:
        start = time.perf_counter()
        function(*arguments)
        spent[name] += time.perf_counter() - start

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])  # type: ignore[union-attr]
    parser.add_argument("cell", choices=[subject.name for subject in SUBJECTS])
    parser.add_argument("shape", type=shape_of, metavar="B,T,I,H")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    subject = next(subject for subject in SUBJECTS if subject.name == given.cell)
    side = subject.build(given.shape.I, given.shape.H)[0]
    ours = contest(side, Batch(given.shape), train=True)
    for _ in range(3):
        ours.run()
    times = profile(ours.run, 50)
    whole = times["whole step"]
    table = Table("part")
    table.add_column("us", justify="right")
    table.add_column("share", justify="right")
    for name, seconds in times.items():
        table.add_row(name, f"{seconds * 1e6:,.1f}", f"{100 * seconds / whole:.0f} %")
    print(f"{subject.title} training, {given.shape}, {given.threads} thread(s)")
    Console().print(table)


if __name__ == "__main__":
    main()
