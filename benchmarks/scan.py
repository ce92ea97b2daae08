"""All steps at once, or one after the other? The scan beside the kernel and beside the loop.

    python benchmarks/scan.py [--json FILE] [--quick] [--threads N] [--only affine,newton,damping]

Prints how many times faster the scan is than the kernel, and than the cell called step by step
(up to 2,000 steps; more take minutes). Results that differ from those of the kernel in
float64 have no speed. `damping` counts how often Newton's iteration settles, with slopes scaled.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

import ostinato
from measure import Contestant, Pace, alternate, difference, machine
from ostinato import cells
from ostinato.engine.newton import ITERATIONS, fixed_point
from report import Row, print_machine, print_rows, write_json
from subjects import Batch, Shape, Side, contest
from whole import TOLERANCE

__all__ = ["damping_rows", "main", "scan_rows"]

SHAPES = tuple(
    Shape(B, T, H, H)
    for T in (10, 30, 100, 1000, 10_000, 100_000)
    for B, H in ((1, 1), (1, 16), (1, 64), (8, 64), (32, 64), (64, 256))
    if T * B * H <= 7_000_000
)
QUICK = (Shape(1, 20, 3, 3), Shape(2, 50, 4, 4))
# a loop over more steps than this takes minutes
_LOOPED = 2000
_CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "affine": cells.MinGRU,
    "newton": lambda i, h: cells.IndRNN(i, h, activation="tanh"),
}


def scan_rows(section: str, shapes: Sequence[Shape], pace: Pace) -> Iterator[Row]:
    """Inference and training of the cell of a section at some shapes."""
    for shape in shapes:
        torch.manual_seed(0)
        cell = _CELLS[section](shape.I, shape.H)
        layer, batch = ostinato.Recurrent(cell), Batch(shape)
        for train in (False, True):
            deed = "training" if train else "inference"
            row = Row(section, f"{type(cell).__name__} {deed}", str(shape))
            names = ("scan", "llvm", "eager") if shape.T <= _LOOPED else ("scan", "llvm")
            field = [contest(_side(name, layer), batch, train=train) for name in names]
            row.wrong = _objection(field[0], field[1], layer, batch, train)
            if not row.wrong:
                _fill(row, field, pace)
            yield row


def _side(name: str, layer: nn.Module) -> Side:
    def walk(module: nn.Module, x: Tensor) -> Tensor:
        with ostinato.engine(name):
            y: Tensor = module(x)[0]
        return y

    return Side(name, layer, walk)


def _objection(
    ours: Contestant, kernel: Contestant, layer: nn.Module, batch: Batch, train: bool
) -> str:
    exact = contest(_side("llvm", layer).exact(), batch.exact(), train=train).results()
    allowed = max(TOLERANCE, 4 * difference(kernel.results(), exact))
    far = difference(ours.results(), exact)
    return "" if far <= allowed else f"{far:.1e} from float64, where {allowed:.1e} is allowed"


def _fill(row: Row, field: Sequence[Contestant], pace: Pace) -> None:
    timings = alternate(field, pace)
    row.times = {name: timing.median for name, timing in timings.items()}
    row.figure = row.times["llvm"] / row.times["scan"]
    if "eager" in row.times:
        row.note = f"{row.times['eager'] / row.times['scan']:.2f} x the loop"


class _Scaled:
    """h[t] = tanh(x[t] + u h[t-1]), its slopes scaled by 1 - k for the iteration; see `newton`."""

    reverse = False

    def __init__(self, k: float) -> None:
        self.k = k

    def before(self, states: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([torch.zeros_like(states[:1]), states[:-1]])

    def step(self, old: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        made = torch.tanh(tensors[0] + tensors[1] * old)
        return made, (1 - self.k) * (1 - made * made) * tensors[1]


def damping_rows(count: int) -> Iterator[Row]:
    """How often the iteration settles, of `count` draws, for weights up to some size."""
    for T in (100, 1000):
        for largest in (1.0, 1.5, 2.0, 3.0):
            found = {}
            for k in (0.0, 0.1, 0.5):
                settled = [_rounds(T, largest, k, seed) for seed in range(count)]
                found[k] = sum(rounds is not None for rounds in settled)
            told = ", ".join(f"k = {k:g}: {n} of {count}" for k, n in found.items())
            case = f"T = {T}, u in 0..{largest:g}"
            yield Row("damping", f"settled in {ITERATIONS} rounds", case, note=told)


def _rounds(T: int, largest: float, k: float, seed: int) -> int | None:
    maker = torch.Generator().manual_seed(seed)
    x = torch.randn(T, 1, 8, generator=maker)
    u = torch.rand(8, generator=maker) * largest
    found, rounds = fixed_point(_Scaled(k), torch.zeros_like(x), [x, u])
    return None if found is None else rounds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 where a result was wrong."""
    given = _parse(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(given.threads)
    try:
        return _run(given)
    finally:
        torch.set_num_threads(before)


def _run(given: argparse.Namespace) -> int:
    console, told = Console(width=None if sys.stdout.isatty() else 130), machine()
    print_machine(console, told)
    pace = Pace(2, 1, 0.01) if given.quick else Pace(4, 2, 0.03)
    rows: list[Row] = []
    try:
        for section in given.only:
            if section == "damping":
                found = list(damping_rows(2 if given.quick else 20))
            else:
                found = list(scan_rows(section, QUICK if given.quick else SHAPES, pace))
            print_rows(console, section, found)
            rows += found
    finally:
        if given.json is not None:
            write_json(given.json, told, rows)
    return 1 if any(row.wrong for row in rows) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [*_CELLS, "damping"]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])  # type: ignore[union-attr]
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    parser.add_argument("--quick", action="store_true", help="few calls: to try it, not to tell")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=names,
        metavar="NAMES",
        help=f"some of {','.join(names)}",
    )
    given = parser.parse_args(arguments)
    wrong = [name for name in given.only if name not in names]
    if wrong:
        parser.error(f"--only: {wrong[0]!r} is none of {', '.join(names)}")
    return given


if __name__ == "__main__":
    sys.exit(main())
