"""Very long lags: adding over 600 steps, and copying over 1000, with gated cells.

Rows are drawn anew for each update. Settings were found on other seeds, and training stops by
validation rows; the figures are the losses on rows that are drawn once it has stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ostinato as ost
from figures import Figure, Figures
from ostinato.data.problems import Examples, adding, copy
from ostinato.training import Clipper

__all__ = ["measure"]

COMMAND = "python benchmarks/scores.py --only long_lags"


@dataclass(frozen=True)
class Trial:
    """A problem at its lag, a cell, and how it is trained.

    Attributes:
        problem: "adding" or "copy".
        lag: T of the problem.
        cell: "gru" or "lstm".
        hidden: H.
        batch: rows of an update.
        goal: the loss that is asked for; training ends when validation is a fifth below.
        others: losses that Bai, Kolter, Koltun (2018), arXiv:1803.01271, report at this lag.
        begin: the lag of the first updates, which grows by 3/10 whenever the running loss is below
            a tenth of that of a network without memory; None: the lag itself from the start.
        gates: lags that the gates' biases are drawn for, as Tallec and Ollivier (2018),
            arXiv:1804.11188; None: as torch draws them.
        updates: at most.
    """

    problem: str
    lag: int
    cell: str
    hidden: int
    batch: int
    goal: float
    others: dict[str, float]
    begin: int | None = None
    gates: int | None = None
    updates: int = 40_000


_ADDING = {"their GRU": 5.3e-5, "their LSTM": 0.164, "their TCN": 5.8e-5}
_COPY = {"their GRU": 0.02, "their LSTM": 0.02, "their TCN": 3.5e-5}
TRIALS = (
    Trial("adding", 600, "gru", 64, 64, 1e-4, _ADDING),
    Trial("adding", 600, "lstm", 64, 64, 1e-4, _ADDING, updates=10_000),
    Trial("copy", 1000, "lstm", 128, 32, 1e-3, _COPY, begin=20, gates=100),
    Trial("copy", 1000, "gru", 128, 32, 1e-3, _COPY, begin=20, gates=100),
)
QUICK = (
    Trial("adding", 20, "gru", 8, 8, 1e-4, {}, updates=40),
    Trial("copy", 20, "lstm", 8, 8, 1e-3, {}, begin=10, gates=20, updates=40),
)


def measure(out: Path, quick: bool) -> Figures:
    """The loss of each trial on fresh rows, one run each; finished ones in `out` are kept."""
    out.mkdir(parents=True, exist_ok=True)
    found: Figures = []
    for trial in QUICK if quick else TRIALS:
        kept = out / f"{trial.problem}-{trial.lag}-{trial.cell}.json"
        if not kept.exists():
            kept.write_text(json.dumps(asdict(_figure(trial, out))), encoding="utf-8")
        found.append(Figure(**json.loads(kept.read_text("utf-8"))))
    return found


class Network(nn.Module):
    """A gated layer with a linear readout at every step."""

    def __init__(self, trial: Trial, rows: Examples) -> None:
        super().__init__()
        kind = {"gru": ost.GRU, "lstm": ost.LSTM}[trial.cell]
        self.layer = kind(rows.inputs.shape[2], trial.hidden)
        self.readout = nn.Linear(trial.hidden, rows.outputs)
        if trial.gates is not None:
            chrono_(self.layer, trial.gates)

    def loss(self, rows: Examples) -> Tensor:
        y = self.readout(self.layer(torch.from_numpy(rows.inputs))[0])
        counted = torch.from_numpy(rows.mask)
        wanted = torch.from_numpy(rows.targets)[counted]
        if rows.loss == "squared":
            return F.mse_loss(y[counted], wanted)
        return F.cross_entropy(y[counted], wanted)


@torch.no_grad()
def chrono_(layer: nn.LSTM | nn.GRU, longest: int) -> None:
    """Biases of the gates as of units that keep 1 to `longest` steps, log-uniform."""
    H = layer.hidden_size
    kept = torch.empty(H).uniform_(1, longest - 1).log()
    for bias in (layer.bias_ih_l0, layer.bias_hh_l0):
        bias.zero_()
    layer.bias_ih_l0[H : 2 * H] = kept
    if isinstance(layer, nn.LSTM):
        layer.bias_ih_l0[:H] = -kept


def _figure(trial: Trial, out: Path) -> Figure:
    begin = time.monotonic()
    torch.manual_seed(0)
    make: Callable[..., Examples] = (
        copy
        if trial.problem == "copy"
        else lambda n, T, seed: adding(n, T, form="halves", seed=seed)
    )
    network = Network(trial, make(1, trial.lag, seed=0))
    log = out / f"{trial.problem}-{trial.lag}-{trial.cell}.log"
    checks = [make(250, trial.lag, seed=(1, k)) for k in range(4)]
    updates = 0
    with log.open("w", encoding="utf-8") as lines:
        for updates, lag, running in _train(trial, network, make):
            if updates % 100 or lag < trial.lag:
                continue
            validation = _loss(network, checks)
            lines.write(f"{updates} lag {lag} training {running:.3e} validation {validation:.3e}\n")
            lines.flush()
            if validation < 0.8 * trial.goal:
                break
    fresh = [make(250, trial.lag, seed=(2, k)) for k in range(8)]
    way = "" if trial.begin is None else f", lags from {trial.begin} on"
    gates = "" if trial.gates is None else ", chrono biases"
    return Figure(
        what=f"{trial.problem}, T = {trial.lag}, {trial.hidden} {trial.cell.upper()}{way}{gates}",
        command=COMMAND,
        value=_loss(network, fresh),
        unit="mean squared error" if trial.problem == "adding" else "nats per step",
        goal=trial.goal,
        more=False,
        digits=7,
        beside=trial.others,
        seconds=time.monotonic() - begin,
        note=f"{updates} updates of {trial.batch} rows",
    )


def _train(
    trial: Trial, network: Network, make: Callable[..., Examples]
) -> Iterator[tuple[int, int, float]]:
    """Update after update: how many, the lag, the running loss."""
    rate = 2e-3 if trial.problem == "adding" else 1e-3
    optimiser = _optimiser(trial, network, rate)
    clip = Clipper(1.0)
    lag = trial.begin or trial.lag
    running, reached = None, 0
    for update in range(1, trial.updates + 1):
        loss = network.loss(make(trial.batch, lag, seed=(0, update)))
        optimiser.zero_grad()
        loss.backward()
        clip(network.parameters())
        optimiser.step()
        running = (
            float(loss.detach())
            if running is None
            else 0.95 * running + 0.05 * float(loss.detach())
        )
        yield update, lag, running
        if lag < trial.lag and running < 0.1 * _blind(trial, lag):
            lag, running = min(trial.lag, lag * 13 // 10 + 1), _blind(trial, lag)
            reached = update
        elif trial.begin is not None and lag == trial.lag:
            # slower and slower once the lag is the whole one
            for group in optimiser.param_groups:
                group["lr"] = rate / (1 + (update - reached) / 2000)


def _optimiser(trial: Trial, network: Network, rate: float) -> torch.optim.Optimizer:
    if trial.problem == "adding":
        return torch.optim.Adam(network.parameters(), rate)
    return torch.optim.RMSprop(network.parameters(), rate, alpha=0.9)


def _blind(trial: Trial, lag: int) -> float:
    """The loss of a network without memory."""
    if trial.problem == "adding":
        return 1 / 6
    return 10 * float(torch.tensor(8.0).log()) / (lag + 20)


@torch.no_grad()
def _loss(network: Network, batches: list[Examples]) -> float:
    return sum(float(network.loss(rows)) for rows in batches) / len(batches)
