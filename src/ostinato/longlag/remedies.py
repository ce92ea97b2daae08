"""The remedies of the suite, by name: networks, how they begin, and how they learn.

All settings are fixed, the same for every problem but for the scale of the inputs where its source
has two, and come from the sources named here; none was tried out on the problems. All networks
have 100 units, as Martens and Sutskever (2011) and the others, but those of the reservoir and
of IndRNN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ostinato import cells
from ostinato.data.problems import Examples
from ostinato.longlag.learners import (
    GradientLearner,
    HessianFreeLearner,
    Learner,
    ReservoirLearner,
)
from ostinato.longlag.network import Network
from ostinato.longlag.problems import Problem
from ostinato.reservoirs.layer import Reservoir
from ostinato.spectral import scaled_to_radius
from ostinato.training.initialise import initialise
from ostinato.training.nesterov import Nesterov

__all__ = ["REMEDIES", "Remedy"]

UNITS = 100

Start = Callable[[Problem, int, Examples], Learner]


@dataclass(frozen=True)
class Remedy:
    """A way to learn over long lags.

    Attributes:
        name: as it is asked for.
        about: what it is, in a line.
        source: of its settings.
        start: from a problem, a lag and rows that were drawn for it to a learner that has learned
            nothing. Weights are drawn from torch's generator.
    """

    name: str
    about: str
    source: str
    start: Start


# Pascanu's networks


def _elman(clip: float | None) -> Start:
    def start(problem: Problem, lag: int, rows: Examples) -> Learner:
        network = Network([cells.Elman(rows.inputs.shape[2], UNITS)], rows.outputs)
        initialise(network.layer, "normal", input="normal", bias="zeros", gain=0.1, input_gain=0.1)
        _readout(network, 0.1)
        optimiser = torch.optim.SGD(network.parameters(), 0.01)
        return GradientLearner(network, optimiser, batch=20, clip=clip)

    return start


# Sutskever, Martens, Dahl and Hinton's network


def _well_begun(problem: Problem, rows: Examples) -> Network:
    """Table 4: sparse, with a spectral radius of 1.1, weak inputs, centred."""
    cell = cells.Elman(rows.inputs.shape[2], UNITS)
    network = Network([cell], rows.outputs)
    scale = 0.001 if problem.noisy else 0.1
    initialise(network.layer, "sparse", input="normal", bias="zeros", input_gain=scale)
    _readout(network, 0.1)
    with torch.no_grad():
        weight = cell.gates.weight_hh
        weight.copy_(scaled_to_radius(weight, 1.1, name="longlag"))
        network.centre.copy_(torch.from_numpy(rows.inputs.mean((0, 1))))
        if rows.loss == "squared":
            network.readout.bias.copy_(torch.from_numpy(rows.targets[rows.mask].mean(0)))
    return network


def _momentum(problem: Problem, lag: int, rows: Examples) -> Learner:
    network = _well_begun(problem, rows)
    optimiser = Nesterov(network.parameters(), 1e-4, _growing)
    return GradientLearner(network, optimiser, batch=100, clip=1.0)


def _growing(update: int) -> float:
    return 0.9 if update < 1000 else 0.995


def _hessian_free(problem: Problem, lag: int, rows: Examples) -> Learner:
    return HessianFreeLearner(
        _well_begun(problem, rows),
        batch=600,
        share=0.25,
        damping=0.1,
        structural=1 / 30,
        distance="cross-entropy",
        iterations=100,
    )


# networks with gates


def _with_gates(cell: Callable[[int, int], nn.Module]) -> Start:
    def start(problem: Problem, lag: int, rows: Examples) -> Learner:
        network = Network([cell(rows.inputs.shape[2], UNITS)], rows.outputs)
        initialise(network.layer, forget_bias=1.0)
        return _adam(network, 1e-3)

    return start


# rectified linear units


def _irnn(problem: Problem, lag: int, rows: Examples) -> Learner:
    cell = cells.Elman(rows.inputs.shape[2], UNITS, activation="relu")
    network = Network([cell], rows.outputs)
    initialise(network.layer, "identity", input="normal", bias="zeros", input_gain=0.001)
    return _adam(network, 2e-4)


def _indrnn(problem: Problem, lag: int, rows: Examples) -> Learner:
    inputs, units = rows.inputs.shape[2], 128
    layers = [cells.IndRNN(inputs, units), cells.IndRNN(units, units)]
    network = Network(layers, rows.outputs)
    # a unit keeps at least a half, and at most doubles, over the whole row
    bound = 2 ** (1 / len(rows.inputs))
    with torch.no_grad():
        for cell, least in zip(layers, (0.0, 1 / bound), strict=True):
            cell.drive.weight.normal_(0, 0.001)
            cell.drive.bias.zero_()
            cell.weight_hh.uniform_(least, bound)
    return _adam(network, 2e-4, after=lambda: _clamp(layers, bound))


@torch.no_grad()
def _clamp(layers: Sequence[cells.IndRNN], bound: float) -> None:
    for cell in layers:
        cell.weight_hh.clamp_(-bound, bound)


# reservoirs


def _reservoir(problem: Problem, lag: int, rows: Examples) -> Learner:
    seed = int(torch.randint(2**31, (1,)))
    reservoir = Reservoir(
        rows.inputs.shape[2],
        500,
        spectral_radius=0.99,
        input_scaling=0.1,
        seed=seed,
    )
    return ReservoirLearner(reservoir, rows.outputs, penalty=1e-8, batch=100)


def _readout(network: Network, spread: float) -> None:
    nn.init.normal_(network.readout.weight, 0, spread)
    nn.init.zeros_(network.readout.bias)


def _adam(network: Network, rate: float, after: Callable[[], None] | None = None) -> Learner:
    optimiser = torch.optim.Adam(network.parameters(), rate)
    return GradientLearner(network, optimiser, batch=32, clip=1.0, after=after)


_PASCANU = "Pascanu, Mikolov, Bengio (2013), arXiv:1211.5063, section 4.1.1, with 100 units for 50"
_GATES = (
    "Adam as Kingma and Ba (2015), arXiv:1412.6980, set it, clipped as in Pascanu, Mikolov, Bengio "
    "(2013); gates that keep begin open: Jozefowicz, Zaremba, Sutskever (2015)"
)
_INDRNN = "github.com/Sunnydreamrain/IndRNN_Theano_Lasagne, adding.py; clipped by norm at 1, not 10"

_ALL = (
    Remedy("sgd", "Elman, SGD: N(0, 0.1^2), rate 0.01, 20 rows", _PASCANU, _elman(None)),
    Remedy("clip", "the same, gradients clipped at a norm of 1", _PASCANU, _elman(1.0)),
    Remedy(
        "momentum",
        "Elman, 15 connections a unit, radius 1.1, centred; Nesterov 0.9, then 0.995; clipped",
        "Sutskever, Martens, Dahl, Hinton (2013), table 4 and section 4.2, with one rate, 10^-4, "
        "of the four that they try for each problem; clipping is kept from the remedy before",
        _momentum,
    ),
    Remedy(
        "hf",
        "the same network; Hessian-free with structural damping, 450 rows and 150 for curvature",
        "Martens and Sutskever (2011); the network of Sutskever, Martens, Dahl, Hinton (2013), who "
        "expect it to do well by this, too; batches are the size that small budgets allow",
        _hessian_free,
    ),
    Remedy(
        "esn",
        "echo state network: 500 units, radius 0.99, inputs 0.1, ridge 1e-8",
        'Lukosevicius (2012), "A practical guide to applying echo state networks": a large radius '
        "where long memory is asked, small inputs where units are to stay linear",
        _reservoir,
    ),
    Remedy(
        "lstm", "LSTM, forget bias 1; Adam 10^-3, clipped, 32 rows", _GATES, _with_gates(cells.LSTM)
    ),
    Remedy("gru", "GRU, update gate begins to keep; likewise", _GATES, _with_gates(cells.GRU)),
    Remedy("gated", "one gate (update-gate RNN); likewise", _GATES, _with_gates(cells.Gated)),
    Remedy(
        "irnn",
        "rectified Elman that begins as the identity; Adam 2 10^-4, clipped, 32 rows",
        f"Le, Jaitly, Hinton (2015), arXiv:1504.00941; trained as in {_INDRNN}",
        _irnn,
    ),
    Remedy(
        "indrnn",
        "two layers of 128 units that hear only themselves; Adam 2 10^-4, clipped, 32 rows",
        f"Li, Li, Cook, Zhu, Gao (2018), arXiv:1803.04831; {_INDRNN}",
        _indrnn,
    ),
)

REMEDIES = {remedy.name: remedy for remedy in _ALL}
