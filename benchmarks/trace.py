"""What a trace costs beside the forward pass that it looks into, in time and in memory.

    python benchmarks/trace.py [--json FILE] [--quick] [--threads N]

Times: a trace of everything (states, gates, pre-activations), of states alone, and with gradients
beside a forward and backward pass, each side by side with the pass itself on the fused engine.
Memory: the peak of a process that traces everything, one gate, and one unit of it, beside one that
runs the layer. Gates are checked: where they do not give the states again, no time is reported.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

import ostinato
from measure import Contestant, Pace, alternate, machine
from memory import peak_megabytes
from report import Row, print_machine, print_rows, write_json

__all__ = ["main", "memory_rows", "time_rows"]

# rows, steps, width of input and state
SHAPES = ((1, 1000, 64, 256), (32, 100, 128, 128), (64, 128, 256, 256))
QUICK = ((2, 20, 8, 8),)
_KINDS: dict[str, type[nn.Module]] = {"LSTM": ostinato.LSTM, "GRU": ostinato.GRU}
_GOAL = 2.0


def time_rows(shapes: Sequence[tuple[int, int, int, int]], pace: Pace) -> Iterator[Row]:
    """Times of traces, as multiples of the pass itself."""
    for kind, make in _KINDS.items():
        for B, T, wide, high in shapes:
            torch.manual_seed(0)
            layer, x = make(wide, high), torch.randn(T, B, wide)
            case = f"({B},{T},{wide},{high})"
            field = [
                Contestant("forward", lambda layer=layer, x=x: _forward(layer, x)),
                Contestant("everything", lambda layer=layer, x=x: ostinato.trace(layer, x)),
                Contestant("states", lambda layer=layer, x=x: _states(layer, x)),
                Contestant("both ways", lambda layer=layer, x=x: _both_ways(layer, x)),
                Contestant("gradients", lambda layer=layer, x=x: _graded(layer, x)),
            ]
            wrong = _objection(layer, x)
            times: dict[str, float] = {}
            if not wrong:
                timings = alternate(field, pace)
                times = {name: timing.median for name, timing in timings.items()}
            for name, beside, goal in (
                ("everything", "forward", _GOAL),
                ("states", "forward", _GOAL),
                ("gradients", "both ways", None),
            ):
                some = {one: times[one] for one in (name, beside) if one in times}
                figure = times[name] / times[beside] if times else None
                row = Row("time", f"{kind}, {name}", case, some, figure, goal=goal, more=False)
                row.wrong = wrong
                yield row


def _forward(layer: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return layer(x)


def _states(layer: nn.Module, x: Tensor) -> Any:
    return ostinato.trace(layer, x, only="state")


def _loss(told: Any) -> Tensor:
    squares: Tensor = told[0].square()
    return squares.sum()


def _both_ways(layer: nn.Module, x: Tensor) -> Any:
    layer.zero_grad()
    _loss(layer(x)).backward()


def _graded(layer: nn.Module, x: Tensor) -> Any:
    return ostinato.trace(layer, x, gradients=_loss)


def _objection(layer: nn.Module, x: Tensor) -> str:
    """Why the gates cannot be right, or nothing: they must lead from state to state."""
    trace = ostinato.trace(layer, x)
    h = torch.from_numpy(trace["h"])
    old = torch.cat([torch.zeros_like(h[:1]), h[:-1]])
    gates = {name: torch.from_numpy(trace[name]) for name in trace.names}
    if "c" in gates:
        again = gates["o"] * torch.tanh(gates["c"])
    else:
        again = (1 - gates["z"]) * gates["n"] + gates["z"] * old
    far = (again - h).abs().max().item()
    return "" if far <= 1e-5 else f"states from gates are {far:.1e} off"


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
    B, T, wide, high = QUICK[0] if quick else (16, 1000, 128, 256)
    peaks = {
        name: peak_megabytes(_WORK.format(B=B, T=T, I=wide, H=high, call=call))
        for name, call in _CALLS.items()
    }
    base = peaks.pop("runs the layer")
    one = B * T * high * 4 / 1e6
    for name, peak in peaks.items():
        note = f"one name is {one:.1f} MB; the layer itself peaks at {base:,.0f} MB"
        case = f"({B},{T},{wide},{high})"
        yield Row("memory", f"LSTM, {name}", case, figure=peak - base, unit="MB", note=note)


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
    pace = Pace(2, 1, 0.01) if given.quick else Pace(4, 2, 0.03)
    rows: list[Row] = []
    for section, found in (
        ("time", time_rows(QUICK if given.quick else SHAPES, pace)),
        ("memory", memory_rows(given.quick)),
    ):
        some = list(found)
        print_rows(console, section, some)
        rows += some
    if given.json is not None:
        write_json(given.json, told, rows)
    return 1 if any(row.wrong for row in rows) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])  # type: ignore[union-attr]
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    parser.add_argument("--quick", action="store_true", help="few calls: to try it, not to tell")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
