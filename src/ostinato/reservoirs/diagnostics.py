"""What a reservoir can do before anything is learned: how long it remembers, whether it forgets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ostinato.reservoirs.cell import ReservoirCell
from ostinato.reservoirs.equations import NormalEquations
from ostinato.reservoirs.layer import Reservoir
from ostinato.reservoirs.topology import spectral_radius

__all__ = ["EchoStates", "Memory", "echo_states", "effective_spectral_radius", "memory_capacity"]


@dataclass(frozen=True)
class Memory:
    """How well inputs of the past can be read from the state.

    Attributes:
        capacity: the sum over all delays; at most H.
        delays: [K], the squared correlation for delays 1..K.
    """

    capacity: float
    delays: Tensor


@torch.no_grad()
def memory_capacity(
    reservoir: Reservoir,
    *,
    delays: int | None = None,
    steps: int = 4000,
    washout: int = 200,
    ridge: float = 1e-8,
    seed: int = 0,
) -> Memory:
    """The short-term memory capacity of a reservoir with one input.

        MC = sum over k of cov^2(u[n-k], y_k[n]) / (var u[n] var y_k[n])

    where y_k is the linear readout that gives the input of k steps ago as well as it can, for u
    uniform in [-0.5, 0.5]. Fitted on one half and measured on the other, so that a small
    number of steps does not look like memory.

    Source: Jaeger (2001), "Short term memory in echo state networks", GMD report 152.

    Args:
        reservoir: with one input.
        delays: K; twice the units unless given.
        steps: of each half, after the washout.
        washout: first steps that are left out; at least K of them.
        ridge: penalty on the readouts.
        seed: of the inputs.

    Raises:
        ValueError: the reservoir has another number of inputs, or a size is below 1.

    Example:
        >>> linear = Reservoir(1, 20, activation="identity", bias_scaling=0.0, seed=0)
        >>> 5 < memory_capacity(linear).capacity <= 20
        True
    """
    cell = reservoir.cell
    assert isinstance(cell, ReservoirCell)
    K = 2 * cell.hidden_size if delays is None else delays
    if cell.input_size != 1 or K < 1 or steps < 2:
        raise ValueError(
            f"memory_capacity: one input, delays >= 1 and steps >= 2 are needed, got "
            f"{cell.input_size} inputs, {K} delays and {steps} steps."
        )
    first = max(washout, K)
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(first + 2 * steps, generator=generator, dtype=torch.float64) - 0.5
    states = reservoir(u[:, None, None].to(cell.bias))[0][first:, 0].double()
    past = torch.stack([u[first - k : len(u) - k] for k in range(1, K + 1)], dim=1)
    equations = NormalEquations(states.shape[1], K)
    equations.add(states[:steps], past[:steps])
    weight, bias = equations.solve(ridge)
    found, wanted = states[steps:] @ weight.T + bias, past[steps:]
    found, wanted = found - found.mean(0), wanted - wanted.mean(0)
    both = (found * wanted).mean(0) ** 2
    each = both / ((found**2).mean(0) * (wanted**2).mean(0)).clamp(min=1e-300)
    # what is left of nothing is one over the number of steps
    each = torch.where(each > 4 / steps, each, torch.zeros_like(each))
    return Memory(float(each.sum()), each)


def effective_spectral_radius(cell: ReservoirCell) -> float:
    """The largest absolute eigenvalue of (1 - a) I + a U, a step of leaky units at rest.

    Source: Jaeger (2001), GMD report 148, proposition 4.

    Example:
        >>> cell = ReservoirCell(1, 10, topology="ring", spectral_radius=0.8, leak=0.5)
        >>> print(f"{effective_spectral_radius(cell):.6f}")
        0.900000
    """
    weight = cell.weight_hh.detach().double()
    step = (1 - cell.leak) * torch.eye(len(weight), dtype=weight.dtype) + cell.leak * weight.cpu()
    return spectral_radius(step)


@dataclass(frozen=True)
class EchoStates:
    """Whether the state depends on the inputs alone.

    Attributes:
        certain: the largest singular value of U says so, for every input (tanh).
        possible: False if some input, zero, is known for which it does not.
        radius: the effective spectral radius.
        norm: the largest singular value of U.
        steps: for the given inputs, steps until states that began apart agree; None: they do not.
        apart: how far they are from each other in the end.
    """

    certain: bool
    possible: bool
    radius: float
    norm: float
    steps: int | None
    apart: float

    def __str__(self) -> str:
        if self.steps is not None:
            met = f"states that began apart agree after {self.steps} steps"
        else:
            met = f"states that began apart still differ by {self.apart:.2g} in the end"
        how = "for every input" if self.certain else "not for every input, as far as U tells"
        how = how if self.possible else "not for an input of zeros"
        return f"On these inputs {met}; echo states {how} (radius {self.radius:.3f})."


@torch.no_grad()
def echo_states(
    cell: ReservoirCell, x: Tensor, *, tolerance: float = 1e-9, starts: int = 8, seed: int = 0
) -> EchoStates:
    """Look whether a reservoir forgets what it began with, by theory and on inputs x [T, I].

    Source: Jaeger (2001), GMD report 148, proposition 4 for what is certain (|1 - a (1 - s)| < 1
    with s the largest singular value of U) and what is not possible (an effective radius above 1,
    for an input of zeros and no bias); its definition of echo states for the rest.

    Args:
        cell: the reservoir's.
        x: inputs like those to come.
        tolerance: states nearer than this agree.
        starts: how many different states it begins with.
        seed: of these, drawn from {-1, 1}.

    Example:
        >>> cell = ReservoirCell(1, 50, spectral_radius=0.5, seed=0)
        >>> found = echo_states(cell, torch.rand(300, 1).double())
        >>> found.possible, found.steps < 60
        (True, True)
    """
    generator = torch.Generator().manual_seed(seed)
    h = torch.rand(starts, cell.hidden_size, generator=generator).to(cell.bias)
    h = (h - 0.5).sign()
    apart, steps = float("inf"), None
    for t, given in enumerate(x.to(cell.bias)):
        h = cell(given.expand(starts, -1), h)
        apart = float((h - h[:1]).abs().max())
        steps = None if apart > tolerance else t + 1 if steps is None else steps
    norm = float(torch.linalg.matrix_norm(cell.weight_hh.double(), 2))
    radius = effective_spectral_radius(cell)
    certain = cell.activation_name == "tanh" and abs(1 - cell.leak * (1 - norm)) < 1
    return EchoStates(certain, radius <= 1, radius, norm, steps, apart)
