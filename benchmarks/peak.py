"""The most multiply-adds that this machine does, all threads at it.

A micro-kernel as of any good matrix product: a block of accumulators stays in registers, and each
step takes some vectors of one operand and some single numbers of the other from the nearest cache.
`python benchmarks/peak.py` prints it.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import torch

from ostinato.engine.llvm.compile import compile_text, host_target
from ostinato.engine.llvm.text import Function, Module

__all__ = ["Peak"]

_STEPS = 128
_VECTORS = 4


class Peak:
    """The micro-kernel on some threads.

    Example:
        peak = Peak(threads=2)
        operations = peak.run()  # of one call, to be divided by its time
    """

    def __init__(self, threads: int, sweeps: int = 20_000) -> None:
        self.threads, self.sweeps = threads, sweeps
        target = host_target()
        self.rows = 6 if target.registers >= 32 else 3
        module = Module(target, "float")
        self.lanes = module.lanes
        _emit(module, self.rows)
        self._library = compile_text(str(module), target, ["peak"])
        size = _STEPS * (self.rows + _VECTORS * self.lanes) + self.rows * _VECTORS * self.lanes
        self._buffers = [torch.ones(size + 64) for _ in range(threads)]
        self._pool = ThreadPoolExecutor(threads)

    @property
    def operations(self) -> int:
        """Multiplications and additions of one `run`."""
        block = self.rows * _VECTORS * self.lanes
        return 2 * block * _STEPS * self.sweeps * self.threads

    def run(self) -> int:
        """Run once on every thread."""
        # foreign calls let other Python threads run
        jobs = [
            self._pool.submit(self._library.functions["peak"], _aligned(buffer), self.sweeps)
            for buffer in self._buffers
        ]
        for job in jobs:
            job.result()
        return self.operations

    def sums(self) -> list[float]:
        """What each thread's first accumulator came to; every product is of ones."""
        starts = [(_aligned(buffer) - buffer.data_ptr()) // 4 for buffer in self._buffers]
        at = _STEPS * (self.rows + _VECTORS * self.lanes)
        return [b[s + at].item() for b, s in zip(self._buffers, starts, strict=True)]

    def rate(self, calls: int = 10) -> float:
        """Operations a second, the best of some calls."""
        self.run()
        best = float("inf")
        for _ in range(calls):
            start = time.perf_counter()
            self.run()
            best = min(best, time.perf_counter() - start)
        return self.operations / best


def _aligned(buffer: torch.Tensor) -> int:
    return (buffer.data_ptr() + 63) // 64 * 64


def _emit(module: Module, rows: int) -> None:
    """For n sweeps and k steps, sums[i][j] += numbers[k][i] * vectors[k][j]; then keep the sums."""
    f = Function(module, "peak", ("ptr", "i64"), public=True)
    vectors, sweeps = f.arguments
    lanes = module.lanes
    numbers = f.at(vectors, _STEPS * _VECTORS * lanes)
    kept = f.at(numbers, _STEPS * rows)

    def sweep(_: str, sums: list[str]) -> list[str]:
        def step(k: str, sums: list[str]) -> list[str]:
            here = f.at(vectors, f.mul(k, _VECTORS * lanes))
            loaded = [f.load(f.at(here, j * lanes)) for j in range(_VECTORS)]
            line = f.at(numbers, f.mul(k, rows))
            new = []
            for i in range(rows):
                number = f.broadcast(f.at(line, i))
                new += [f.fma(number, v, sums[i * _VECTORS + j]) for j, v in enumerate(loaded)]
            return new

        return f.loop(0, _STEPS, step, carried=[(module.vector, s) for s in sums])

    zeros = [(module.vector, "zeroinitializer")] * (rows * _VECTORS)
    for n, total in enumerate(f.loop(0, sweeps, sweep, carried=zeros)):
        f.store(total, f.at(kept, n * lanes))
    f.finish()


if __name__ == "__main__":
    for count in sorted({1, torch.get_num_threads()}):
        print(f"{count} thread(s): {Peak(count).rate() / 1e9:.0f} GFLOP/s")
