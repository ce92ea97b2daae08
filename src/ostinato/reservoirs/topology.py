"""Who hears whom in a reservoir, and how strongly: matrices drawn, and scaled to a radius."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

import torch
from torch import Tensor

from ostinato.spectral import scaled_to_radius, spectral_radius

__all__ = [
    "TOPOLOGIES",
    "input_matrix",
    "random_matrix",
    "recurrent_matrix",
    "ring",
    "scaled_to_radius",
    "small_world",
    "spectral_radius",
    "uniform",
]


def uniform(*shape: int, generator: torch.Generator | None = None) -> Tensor:
    """U(-1, 1) in float64."""
    return 2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1


def random_matrix(
    units: int, density: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Each unit hears as many others, drawn without replacement, with weights from U(-1, 1).

    Args:
        units: H.
        density: the share that each unit hears, in (0, 1]; at least one.
        generator: of the random numbers.

    Shapes: [H, H], float64; row i has what unit i hears.

    Example:
        >>> (random_matrix(50, 0.1) != 0).sum(1).unique()
        tensor([5])
    """
    heard = max(1, round(density * units))
    # the smallest of H random numbers are a draw without replacement
    chosen = torch.rand(units, units, generator=generator).topk(heard, dim=1, largest=False)[1]
    matrix = torch.zeros(units, units, dtype=torch.float64)
    return matrix.scatter_(1, chosen, uniform(units, heard, generator=generator))


def ring(units: int, density: float = 1.0, *, generator: torch.Generator | None = None) -> Tensor:
    """Each unit hears the one before it, the first hears the last, all with one weight.

    Source: the simple cycle reservoir of Rodan and Tino, "Minimum complexity echo state network",
    IEEE Transactions on Neural Networks 22 (2011). Nothing is drawn, and there is one density.

    Shapes: [H, H], float64.
    """
    return torch.eye(units, dtype=torch.float64).roll(1, 0)


def small_world(
    units: int,
    density: float,
    *,
    generator: torch.Generator | None = None,
    rewired: float = 0.1,
) -> Tensor:
    """Each unit hears its neighbours on a ring, of which some are exchanged for units anywhere.

    A ring lattice where each unit hears the same number on both sides; then each connection is
    replaced, with probability `rewired`, by one from a unit drawn among all that are not heard yet.
    Weights are from U(-1, 1).

    Source: Watts and Strogatz, "Collective dynamics of small-world networks", Nature 393 (1998),
    440-442. Theirs go both ways with one strength; here each direction is rewired by itself.

    Args:
        units: H.
        density: the share that each unit hears, in (0, 1]; an even number, at least two.
        generator: of the random numbers.
        rewired: probability that a connection is exchanged.

    Shapes: [H, H], float64.
    """
    sides = min(max(1, round(density * units / 2)), max(1, (units - 1) // 2))
    heard = torch.zeros(units, units, dtype=torch.bool)
    places = torch.arange(units)
    for far in range(1, sides + 1):
        heard[places, (places + far) % units] = True
        heard[places, (places - far) % units] = True
    for unit in range(units):
        lattice = heard[unit].nonzero()[:, 0]
        drawn = torch.rand(len(lattice), generator=generator) < rewired
        for old in lattice[drawn].tolist():
            free = ~heard[unit]
            free[unit] = False
            others = free.nonzero()[:, 0]
            if len(others):
                new = others[torch.randint(len(others), (1,), generator=generator)]
                heard[unit, old], heard[unit, new] = False, True
    return heard * uniform(units, units, generator=generator)


TOPOLOGIES: dict[str, Callable[..., Tensor]] = {
    "random": random_matrix,
    "ring": ring,
    "small_world": small_world,
}


def recurrent_matrix(
    units: int,
    *,
    topology: str | Tensor = "random",
    density: float,
    radius: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A matrix of a topology with that spectral radius.

    Args:
        units: H.
        topology: "random", "ring", "small_world", or a matrix [H, H] to be scaled.
        density: the share of the units that each one hears.
        radius: the largest absolute eigenvalue.
        generator: of the random numbers.

    Raises:
        ValueError: no such topology, a matrix of another shape, a density outside (0, 1], a
            negative radius, or all eigenvalues are zero.
    """
    if not 0 < density <= 1:
        raise ValueError(f"reservoir: density must be in (0, 1], got {density}.")
    if isinstance(topology, Tensor):
        if topology.shape != (units, units):
            raise ValueError(
                f"reservoir: a matrix of {units} units must be [{units}, {units}], got "
                f"{list(topology.shape)}."
            )
        return scaled_to_radius(topology.detach().double(), radius)
    if topology not in TOPOLOGIES:
        near = get_close_matches(str(topology), TOPOLOGIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"reservoir: topology {topology!r} is none of {', '.join(TOPOLOGIES)}.{hint} A matrix "
            "may be given in its place."
        )
    return scaled_to_radius(TOPOLOGIES[topology](units, density, generator=generator), radius)


def input_matrix(
    units: int,
    inputs: int,
    *,
    scaling: float,
    density: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Weights [H, I] from U(-scaling, scaling); each unit hears a share of the inputs.

    Raises:
        ValueError: a density outside (0, 1].
    """
    if not 0 < density <= 1:
        raise ValueError(f"reservoir: input_density must be in (0, 1], got {density}.")
    matrix = uniform(units, inputs, generator=generator) * scaling
    if density == 1:
        return matrix
    return matrix * (torch.rand(units, inputs, generator=generator) < density)
