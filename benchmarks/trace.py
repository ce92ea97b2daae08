"""What a trace costs beside the forward pass that it looks into, in time and in memory.

    python benchmarks/trace.py [--json FILE] [--page] [--quick] [--threads N]

Times: a trace of everything (states, gates, pre-activations), of one name, of states alone, and
with gradients beside a forward and backward pass, each side by side with the pass itself on the
fused engine; of dense batches, rows of unlike length, stacks in both directions, a cell of one's
own, and torch.nn's layer, whose forward pass is that of ours with its weights. Then what the first
trace of a cell takes, with nothing in the cache on disk and with all there; and the peak memory of
a process that traces everything, one gate, and one unit of it, beside one that runs the layer.

Every value is held against that of the reference, step by step: where one is off, no time is
reported. `--page` writes the figures into docs/results.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

import ostinato
from measure import Contestant, Pace, Timing, alternate, difference, machine
from memory import peak_megabytes
from pages import fill
from report import Row, print_machine, print_rows, write_json
from subjects import OwnCell

__all__ = ["Looked", "first_rows", "main", "memory_rows", "objection", "page", "time_rows"]

# rows, steps, width of input and state
SHAPES = ((1, 1000, 64, 256), (32, 100, 128, 128), (64, 128, 256, 256))
QUICK = ((2, 20, 8, 8),)
_GOAL = 2.0
# of the largest number of a name
_FAR = 1e-5
_RESULTS = Path(__file__).parent.parent / "docs" / "results.md"


@dataclass(frozen=True)
class Looked:
    """What is traced, and what that is held against.

    Attributes:
        network: is traced.
        runs: is run; the network itself, or one of ours with its weights.
        one: a name that is traced alone.
        keywords: of the call.
    """

    network: nn.Module
    runs: nn.Module
    one: str
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def forward(self, x: Tensor) -> Any:
        with torch.no_grad():
            return self.runs(x, **self.keywords)

    def trace(self, x: Tensor, **options: Any) -> ostinato.Trace:
        return ostinato.trace(self.network, x, **self.keywords, **options)


Build = Callable[[int, int, int, int], Looked]


def _plain(make: type[nn.Module], one: str, **options: Any) -> Build:
    def build(B: int, T: int, wide: int, high: int) -> Looked:
        layer = make(wide, high, **options)
        return Looked(layer, layer, one)

    return build


def _ragged(make: type[nn.Module], one: str) -> Build:
    def build(B: int, T: int, wide: int, high: int) -> Looked:
        layer = make(wide, high)
        lengths = torch.linspace(T // 4, T, B).long() if B > 1 else torch.tensor([3 * T // 4])
        return Looked(layer, layer, one, {"lengths": lengths})

    return build


def _own(B: int, T: int, wide: int, high: int) -> Looked:
    layer = ostinato.Recurrent(OwnCell(wide, high), input_size=wide, state_sizes=[high])
    return Looked(layer, layer, "gate")


def _foreign(B: int, T: int, wide: int, high: int) -> Looked:
    theirs, ours = nn.LSTM(wide, high), ostinato.LSTM(wide, high)
    ours.load_state_dict(theirs.state_dict())
    return Looked(theirs, ours, "f")


# those first that are also traced in part, and with gradients
_LAYERS: dict[str, Build] = {
    "LSTM": _plain(ostinato.LSTM, "f"),
    "GRU": _plain(ostinato.GRU, "z"),
    "RNN": _plain(ostinato.RNN, "drive"),
}
_MORE: dict[str, Build] = {
    "own nn.Module": _own,
    "torch.nn.LSTM": _foreign,
    "LSTM, lengths 1/4 to 1": _ragged(ostinato.LSTM, "f"),
    "GRU, lengths 1/4 to 1": _ragged(ostinato.GRU, "z"),
    "LSTM, 2 layers, both ways": _plain(ostinato.LSTM, "f", num_layers=2, bidirectional=True),
}
# what is timed, beside what, and how much it may take
_PARTS = (
    ("everything", "forward", _GOAL),
    ("one name", "forward", _GOAL),
    ("states", "forward", _GOAL),
    ("gradients", "forward and backward", None),
)


def time_rows(shapes: Sequence[tuple[int, int, int, int]], pace: Pace) -> Iterator[Row]:
    """Times of traces, as multiples of the pass itself."""
    for name, build in {**_LAYERS, **_MORE}.items():
        for shape in shapes:
            torch.manual_seed(0)
            looked = build(*shape)
            B, T, wide, _ = shape
            yield from _rows(name, looked, torch.randn(T, B, wide), shape, pace)


def _rows(
    name: str, looked: Looked, x: Tensor, shape: tuple[int, int, int, int], pace: Pace
) -> Iterator[Row]:
    wrong = objection(looked, x)
    parts = _PARTS if name in _LAYERS else _PARTS[:1]
    asked = {one for part, beside, _ in parts for one in (part, beside)}
    field = [contestant for contestant in _field(looked, x) if contestant.name in asked]
    timings = {} if wrong else alternate(field, pace)
    for part, beside, goal in parts:
        pair = [timings[one] for one in (part, beside) if one in timings]
        row = Row("time", f"{name}, {part}", _case(shape), goal=goal, more=False)
        row.wrong = wrong
        if pair:
            row.times = {part: pair[0].median, beside: pair[1].median}
            row.figure = pair[0].median / pair[1].median
            # of the shortest calls, which other work on the machine has disturbed least
            row.note = f"({_shortest(*pair):.2f})"
        yield row


def _field(looked: Looked, x: Tensor) -> list[Contestant]:
    return [
        Contestant("forward", lambda: looked.forward(x)),
        Contestant("everything", lambda: looked.trace(x)),
        Contestant("one name", lambda: looked.trace(x, only=looked.one)),
        Contestant("states", lambda: looked.trace(x, only="state")),
        Contestant("forward and backward", lambda: _both_ways(looked, x)),
        Contestant("gradients", lambda: looked.trace(x, gradients=_loss)),
    ]


def _shortest(a: Timing, b: Timing) -> float:
    return min(a.calls) / min(b.calls)


def _case(shape: Sequence[int]) -> str:
    return f"({','.join(map(str, shape))})"


def _loss(told: Any) -> Tensor:
    squares: Tensor = told[0].square()
    return squares.sum()


def _both_ways(looked: Looked, x: Tensor) -> None:
    looked.runs.zero_grad()
    _loss(looked.runs(x, **looked.keywords)).backward()


def objection(looked: Looked, x: Tensor) -> str:
    """Why a trace cannot be right, or nothing: all of it is held against the reference."""
    found = looked.trace(x)
    with ostinato.engine("eager"):
        wanted = looked.trace(x)
    told = [
        [(part.layer, part.direction, part.name) for part in one.parts] for one in (found, wanted)
    ]
    if told[0] != told[1]:
        return "its names are not those of the reference"
    for a, b in zip(found.parts, wanted.parts, strict=True):
        far = difference([torch.from_numpy(a.values)], [torch.from_numpy(b.values)])
        if far > _FAR:
            return f"{a.name} of {a.layer!r} is {far:.1e} off"
    return ""


_FIRST = """
import time, torch, ostinato
layer, x = ostinato.{kind}({I}, {H}), torch.randn({T}, {B}, {I})
with torch.no_grad():
    layer(x)
begin = time.perf_counter()
layer.trace(x)
print(time.perf_counter() - begin)
"""


def first_rows(shape: tuple[int, int, int, int]) -> Iterator[Row]:
    """What the first trace takes after the first forward pass of a process."""
    B, T, wide, high = shape
    for kind in _LAYERS:
        work = _FIRST.format(kind=kind, B=B, T=T, I=wide, H=high)
        with tempfile.TemporaryDirectory() as cache:
            for case in ("nothing in the cache", "all in the cache"):
                told = subprocess.run(
                    [sys.executable, "-c", work],
                    env={**os.environ, "OSTINATO_CACHE": cache},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                figure = float(told.stdout.split()[-1]) * 1e3
                yield Row("first trace", f"{kind} {_case(shape)}", case, figure=figure, unit="ms")


_WORK = """
import ostinato
layer, x = ostinato.LSTM({I}, {H}), torch.randn({T}, {B}, {I})
with torch.no_grad():
    layer(x)
{call}
"""
_CALLS = {
    "runs the layer": "",
    "everything": "trace = ostinato.trace(layer, x)",
    "one gate": 'trace = ostinato.trace(layer, x, only="f")',
    "one unit of a gate": 'trace = ostinato.trace(layer, x, only="f", units=[0])',
}


def memory_rows(quick: bool) -> Iterator[Row]:
    """Megabytes that traces take beyond what running the layer takes."""
    shape = B, T, wide, high = QUICK[0] if quick else (16, 1000, 128, 256)
    peaks = {
        name: peak_megabytes(_WORK.format(B=B, T=T, I=wide, H=high, call=call))
        for name, call in _CALLS.items()
    }
    base = peaks.pop("runs the layer")
    one = B * T * high * 4 / 1e6
    for name, peak in peaks.items():
        note = f"one name is {one:.1f} MB; the layer itself peaks at {base:,.0f} MB"
        yield Row("memory", f"LSTM, {name}", _case(shape), figure=peak - base, unit="MB", note=note)


def page(told: Mapping[str, str], rows: Sequence[Row]) -> str:
    """The figures as docs/results.md has them."""
    timed = [row for row in rows if row.section == "time"]
    cases = list(dict.fromkeys(row.case for row in timed))
    lines = [["times the pass itself", *cases], ["---"] * (1 + len(cases))]
    for what in dict.fromkeys(row.what for row in timed):
        here = {row.case: row for row in timed if row.what == what}
        lines.append([what, *(_told(here[case]) for case in cases)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    rest = "\n".join(
        f"- {row.section}: {row.what}, {row.case}: {row.figure:.0f} {row.unit}"
        for row in rows
        if row.section != "time" and row.figure is not None
    )
    kind = ", ".join(f"{name} {told[name]}" for name in ("processor", "threads", "load before"))
    head = f"Medians (in brackets: of the shortest calls), {told['date']}, {kind}."
    return f"{head}\n\n{table}\n\n{rest}"


def _told(row: Row) -> str:
    if row.figure is None:
        return row.wrong
    missed = ", missed" if row.met is False else ""
    return f"{row.figure:.2f} {row.note}{missed}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all; 1 where a result was wrong."""
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
    pace = Pace(2, 1, 0.01) if given.quick else Pace(6, 2, 0.05)
    rows: list[Row] = []
    for section, found in (
        ("time", time_rows(QUICK if given.quick else SHAPES, pace)),
        ("first trace", first_rows(QUICK[0] if given.quick else SHAPES[1])),
        ("memory", memory_rows(given.quick)),
    ):
        some = list(found)
        print_rows(console, section, some)
        rows += some
    if given.json is not None:
        write_json(given.json, told, rows)
    if given.page:
        fill(_RESULTS, page(told, rows), mark="trace")
    return 1 if any(row.wrong for row in rows) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])  # type: ignore[union-attr]
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    parser.add_argument(
        "--page", action="store_true", help="write the figures into docs/results.md"
    )
    parser.add_argument("--quick", action="store_true", help="few calls: to try it, not to tell")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
