"""Long lags by Hessian-free optimisation of a plain recurrent network, and by SGD beside it.

    python benchmarks/hessian_free.py --problem adding [--steps 100] [--out DIR] [--resume]

An Elman network of 100 tanh units learns a problem of Martens and Sutskever (2011) from fresh rows
at each step, until fewer than 1 % of 10,000 rows that it has not seen are wrong. Then plain SGD,
from the same weights on rows of the same kind, gets as many seconds of the processor. Every step
is a line of DIR/log.jsonl, and DIR/state.json with DIR/state.safetensors is where --resume goes on.

The initialisation is that of Sutskever, Martens, Dahl, Hinton (2013), "On the importance of
initialization and momentum in deep learning", table 4, who expect it to do well by Hessian-free
optimisation, too: 15 connections from other units to each, with a spectral radius of 1.1, weak
connections from the inputs, biases 0, and the mean of the targets for that of the output.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import ostinato
from measure import machine
from ostinato.data.problems import Examples, adding, memorisation, temporal_order
from ostinato.training import Clipper
from ostinato.training.hessian_free import CrossEntropy, SquaredError
from ostinato.training.nesterov import MomentumSchedule, Nesterov
from report import Row, print_machine, print_rows, write_json

__all__ = [
    *("PROBLEMS", "Network", "Settings", "hessian_free", "momentum", "plain_sgd", "settings_of"),
]

_SECTION = "long lags by Hessian-free optimisation"
PROBLEMS: dict[str, Callable[..., Examples]] = {
    "adding": adding,
    "temporal-order": temporal_order,
    "memorisation": memorisation,
}
# what differs from the defaults of `Settings`
_CHOSEN: dict[str, dict[str, Any]] = {
    "memorisation": {"damping": 0.1, "structural": 1.0, "iterations": 300},
}
# every row there is: two to the fifth
_PATTERNS = 32
_CONNECTIONS = 15


@dataclass(frozen=True)
class Settings:
    """How one problem is learned."""

    problem: str
    steps: int = 100
    hidden: int = 100
    gradient_rows: int = 10_000
    curvature_rows: int = 500
    damping: float = 0.01
    structural: float = 1 / 30
    distance: str = "cross-entropy"
    iterations: int = 100
    decay: float = 0.95
    precondition: float = 0.75
    radius: float = 1.1
    input_scale: float | None = None
    seed: int = 0
    most: int = 400
    hours: float = 1.0
    held_out: int = 1000
    test: int = 10_000
    sgd_rate: float = 0.01
    sgd_rows: int = 100
    momentum: float = 0.995
    momentum_rate: float = 1e-3

    @property
    def scale(self) -> float:
        """Of the weights from the inputs: weak where most of these tell nothing."""
        if self.input_scale is not None:
            return self.input_scale
        return 0.1 if self.problem == "memorisation" else 0.001

    def rows(self, count: int, *seed: int) -> Examples:
        """Fresh rows."""
        if self.problem == "memorisation":
            count = _PATTERNS
        return PROBLEMS[self.problem](count, self.steps, seed=[self.seed, *seed])


class Network(nn.Module):
    """Elman's network with a first state of its own, and a readout."""

    def __init__(self, settings: Settings, rows: Examples) -> None:
        super().__init__()
        torch.manual_seed(settings.seed)
        width = rows.inputs.shape[-1]
        cell = ostinato.cells.Elman(width, settings.hidden)
        self.layer = ostinato.Recurrent(cell, initial_state="learned")
        self.readout = nn.Linear(settings.hidden, rows.outputs)
        with torch.no_grad():
            cell.gates.weight_ih.normal_(0, settings.scale)
            cell.gates.weight_hh.copy_(_sparse(settings.hidden, settings.radius))
            self.readout.weight.normal_(0, 0.1)
            cell.gates.bias.zero_()
            self.readout.bias.copy_(_mean_target(settings.rows(1000, 0, 3)))

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden = self.layer(x, lengths=lengths)[0]
        return self.readout(hidden), hidden


def _sparse(units: int, radius: float) -> Tensor:
    """Some connections to each unit, scaled to a spectral radius."""
    out = torch.zeros(units, units)
    for row in out:
        chosen = torch.randperm(units)[:_CONNECTIONS]
        row[chosen] = torch.randn(len(chosen))
    return out * (radius / torch.linalg.eigvals(out).abs().max())


def _mean_target(rows: Examples) -> Tensor:
    """The output that is right on average: the mean, or the logarithm of the shares."""
    counted = torch.from_numpy(rows.targets[rows.mask])
    if rows.loss == "squared":
        return counted.mean(0)
    shares = torch.bincount(counted, minlength=rows.outputs) / len(counted)
    return shares.clamp_min(1e-3).log()


class Rows:
    """Rows as tensors, with their loss: summed over time, the mean over rows."""

    def __init__(self, rows: Examples) -> None:
        self.examples = rows
        self.x = torch.from_numpy(rows.inputs)
        even = bool((rows.lengths == len(rows.inputs)).all())
        self.lengths = None if even else torch.from_numpy(rows.lengths)
        known = SquaredError if rows.loss == "squared" else CrossEntropy
        self.loss = known(
            torch.from_numpy(rows.targets),
            weight=torch.from_numpy(rows.mask).float(),
            rows=self.x.shape[1],
        )

    def closure(self, network: Network) -> Callable[[], tuple[Tensor, Any, Tensor]]:
        def evaluate() -> tuple[Tensor, Any, Tensor]:
            outputs, hidden = network(self.x, self.lengths)
            return outputs, self.loss, hidden

        return evaluate

    def error(self, network: Network) -> float:
        """The share of rows that are wrong."""
        with torch.no_grad():
            return self.examples.error(network(self.x, self.lengths)[0].numpy())


def _error(network: Network, settings: Settings, count: int, *seed: int) -> float:
    """Over rows of their own, some hundred at a time."""
    size = min(count, 1000)
    shares = [
        Rows(settings.rows(size, *seed, n)).error(network) for n in range(math.ceil(count / size))
    ]
    return float(np.mean(shares))


def hessian_free(settings: Settings, out: Path, *, resume: bool = False) -> dict[str, Any]:
    """Train until solved, or until steps or hours are used up; give the last line of the log."""
    network = Network(settings, settings.rows(1))
    optimizer = ostinato.HessianFree(
        network,
        damping=settings.damping,
        structural=settings.structural,
        distance=settings.distance,
        iterations=settings.iterations,
        decay=settings.decay,
        precondition=settings.precondition,
    )
    lines = _restored(out, network, optimizer) if resume else []
    if not resume:
        (out / "log.jsonl").write_text("")
    before = lines[-1]["seconds"] if lines else 0.0
    start = time.process_time()
    while not lines or not _ended(lines[-1], settings):
        step = len(lines) + 1
        optimizer.step(*_batches(settings, network, step))
        assert optimizer.report is not None
        line = optimizer.report.to_dict()
        line["seconds"] = before + time.process_time() - start
        line["wrong"] = _error(network, settings, settings.held_out, 0, 1)
        # what is held out every time has been looked at: it is solved by rows never seen
        solved = line["wrong"] < 0.01
        line["wrong_test"] = _error(network, settings, settings.test, 0, 2) if solved else None
        lines.append(line)
        _keep(out, network, optimizer, lines)
    return lines[-1]


def _batches(
    settings: Settings, network: Network, step: int
) -> tuple[list[Callable[[], Any]], Callable[[], Any]]:
    """The gradient's rows in chunks, and others for the curvature.

    What a step gains on rows that its gradient has not seen is no chance.
    """
    if settings.problem == "memorisation":
        every = Rows(settings.rows(_PATTERNS)).closure(network)
        return [every], every
    count = math.ceil(settings.gradient_rows / settings.curvature_rows)
    curvature, *chunks = (
        Rows(settings.rows(settings.curvature_rows, step, n)).closure(network)
        for n in range(count + 1)
    )
    return chunks, curvature


def _ended(line: dict[str, Any], settings: Settings) -> bool:
    solved = line["wrong_test"] is not None and line["wrong_test"] < 0.01
    return solved or line["step"] >= settings.most or line["seconds"] >= 3600 * settings.hours


def _keep(
    out: Path, network: Network, optimizer: ostinato.HessianFree, lines: list[dict[str, Any]]
) -> None:
    state = optimizer.state_dict()
    tensors = {f"network.{name}": t for name, t in network.state_dict().items()}
    # a solution that led astray is not kept
    tensors |= {f"optimizer.{n}": kept["solution"] for n, kept in state["state"].items()}
    with (out / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(lines[-1]) + "\n")
    save_file({name: t.contiguous() for name, t in tensors.items()}, out / "state.safetensors")
    (out / "state.json").write_text(json.dumps(state["param_groups"]), encoding="utf-8")
    _say(lines[-1])


def _restored(out: Path, network: Network, optimizer: ostinato.HessianFree) -> list[dict[str, Any]]:
    tensors = load_file(out / "state.safetensors")
    own = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
    network.load_state_dict(own)
    kept = {
        int(name.removeprefix("optimizer.")): {"solution": t}
        for name, t in tensors.items()
        if name.startswith("optimizer.")
    }
    groups = json.loads((out / "state.json").read_text(encoding="utf-8"))
    optimizer.load_state_dict({"state": kept, "param_groups": groups})
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def _say(line: dict[str, Any]) -> None:
    test = "" if line["wrong_test"] is None else f", of the test {line['wrong_test']:.2%}"
    told = line["refused"] or (
        f"{line['objective']:.5g} -> {line['objective_after']:.5g}, iterations {line['chosen']} of "
        f"{line['iterations']}, rate {line['rate']:.2g}"
    )
    print(
        f"{line['seconds']:7.0f} s, step {line['step']}: {told}, damping {line['damping']:.3g}, "
        f"ratio {line['ratio']:.2f}, wrong {line['wrong']:.2%}{test}",
        flush=True,
    )


def plain_sgd(settings: Settings, seconds: float) -> dict[str, Any]:
    """SGD from the same weights for as many seconds: steps, and the share of rows wrong."""
    network = Network(settings, settings.rows(1))
    optimizer = torch.optim.SGD(network.parameters(), lr=settings.sgd_rate)
    return _descend(settings, network, optimizer, seconds)


def momentum(settings: Settings, seconds: float) -> dict[str, Any]:
    """As `plain_sgd`, with the growing momentum of Sutskever et al. (2013), and clipping."""
    network = Network(settings, settings.rows(1))
    schedule = MomentumSchedule(settings.momentum)
    optimizer = Nesterov(network.parameters(), settings.momentum_rate, schedule)
    return _descend(settings, network, optimizer, seconds, Clipper(1.0))


def _descend(
    settings: Settings,
    network: Network,
    optimizer: torch.optim.Optimizer,
    seconds: float,
    clip: Clipper | None = None,
) -> dict[str, Any]:
    start, step = time.process_time(), 0
    while time.process_time() - start < seconds:
        step += 1
        outputs, loss, _ = Rows(settings.rows(settings.sgd_rows, step, 0)).closure(network)()
        optimizer.zero_grad()
        loss(outputs).backward()
        if clip is not None:
            clip(network.parameters())
        optimizer.step()
    return {"steps": step, "wrong": _error(network, settings, settings.test, 0, 2)}


def _rows(settings: Settings, out: Path, resume: bool) -> Iterator[Row]:
    line = hessian_free(settings, out, resume=resume)
    wrong = line["wrong_test"] if line["wrong_test"] is not None else line["wrong"]
    sides = [
        ("SGD", plain_sgd(settings, line["seconds"])),
        ("SGD, growing momentum, clipped", momentum(settings, line["seconds"])),
    ]
    case = f"{settings.problem}, T={settings.steps}"
    note = f"{line['step']} steps, {line['seconds']:.0f} s"
    goal = {"unit": "% wrong", "goal": 1.0, "more": False}
    yield Row(_SECTION, "Hessian-free", case, figure=100 * wrong, note=note, **goal)
    for what, side in sides:
        note = f"{side['steps']} steps in the same time"
        yield Row(_SECTION, what, case, figure=100 * side["wrong"], note=note, **goal)


_NAMES = [field.name for field in fields(Settings)]


def settings_of(problem: str, quick: bool = False, **asked: Any) -> Settings:
    """The settings chosen for a problem, and what is asked for."""
    chosen = {**_CHOSEN.get(problem, {}), **asked}
    if quick:
        chosen |= {"steps": 10, "hidden": 8, "gradient_rows": 40, "curvature_rows": 20}
        chosen |= {"iterations": 5, "most": 2, "held_out": 20, "test": 20}
    return Settings(problem, **chosen)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, and print what was reached."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])  # type: ignore[union-attr]
    parser.add_argument("--problem", choices=sorted(PROBLEMS), default="adding")
    parser.add_argument("--out", type=Path, metavar="DIR", help="runs/hessian-free/PROBLEM")
    parser.add_argument("--resume", action="store_true", help="go on where DIR was left")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    parser.add_argument("--quick", action="store_true", help="a tiny one: to try it, not to tell")
    for name, value in asdict(Settings("adding")).items():
        if name != "problem":
            kind = float if value is None else type(value)
            flag = f"--{name.replace('_', '-')}"
            parser.add_argument(flag, type=kind, default=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    asked = {name: value for name, value in vars(given).items() if name in _NAMES}
    settings = settings_of(quick=given.quick, **asked)
    out = given.out or Path("runs") / "hessian-free" / settings.problem
    out.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.WARNING)
    (out / "settings.json").write_text(json.dumps(asdict(settings)), encoding="utf-8")
    console, told = Console(width=None if sys.stdout.isatty() else 160), machine()
    print_machine(console, told)
    rows = list(_rows(settings, out, given.resume))
    print_rows(console, _SECTION, rows)
    if given.json is not None:
        write_json(given.json, told, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
