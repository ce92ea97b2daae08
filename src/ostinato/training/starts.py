"""Starts of single blocks of weights, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ostinato.spectral import scaled_to_radius

__all__ = ["CONNECTIONS", "STARTS", "Request", "draw"]

# incoming connections of a unit in Martens (2010)
CONNECTIONS = 15


@dataclass(frozen=True)
class Request:
    """What is asked of a start.

    Attributes:
        shape: [rows, columns]; [units] for units that hear themselves alone.
        hidden_size: H, by which "uniform" is scaled.
        gain: what the values are multiplied by; of "radius" the radius itself.
        connections: of "sparse", how many others each unit hears.
        mask: zeros where the block has no weight; "radius" and "sparse" respect it.
        generator: of the random numbers.
        owner: whose block it is, for errors.
    """

    shape: tuple[int, ...]
    hidden_size: int
    gain: float = 1.0
    connections: int = CONNECTIONS
    mask: Tensor | None = None
    generator: torch.Generator | None = None
    owner: str = "initialise"


def draw(name: str, request: Request) -> Tensor:
    """Values for one block of weights, float64.

    Raises:
        ValueError: no start of that name, a block that is not square where it must be, or a draw
            that has no spectral radius to scale.

    Example:
        >>> draw("identity", Request((2, 2), 2, gain=0.5))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]], dtype=torch.float64)
    """
    owner, shape = request.owner, request.shape
    if name not in _MATRICES:
        near = get_close_matches(str(name), STARTS, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{owner}: there is no start {name!r}. Known: {', '.join(STARTS)}.{hint}")
    table = _VECTORS if len(shape) == 1 else _MATRICES
    if name not in table:
        raise ValueError(
            f"{owner}: {name!r} is a start of matrices, and each unit hears only itself here. "
            f"Take one of {', '.join(_VECTORS)}."
        )
    if len(shape) == 2 and name in _SQUARE and shape[0] != shape[1]:
        others = [other for other in STARTS if other not in _SQUARE]
        raise ValueError(
            f"{owner}: {name!r} needs a square block, got {list(shape)}: what is heard is not as "
            f"wide as what hears it. Take one of {', '.join(others)}."
        )
    return table[name](request)


def _zeros(r: Request) -> Tensor:
    return torch.zeros(r.shape, dtype=torch.float64)


def _evenly(r: Request) -> Tensor:
    drawn = 2 * torch.rand(r.shape, dtype=torch.float64, generator=r.generator) - 1
    return drawn * r.gain


def _uniform(r: Request) -> Tensor:
    return _evenly(r) / math.sqrt(r.hidden_size)


def _normal(r: Request) -> Tensor:
    return torch.randn(r.shape, dtype=torch.float64, generator=r.generator) * r.gain


def _glorot(r: Request) -> Tensor:
    return nn.init.xavier_uniform_(_zeros(r), r.gain, generator=r.generator)


def _orthogonal(r: Request) -> Tensor:
    return nn.init.orthogonal_(_zeros(r), r.gain, generator=r.generator)


def _identity(r: Request) -> Tensor:
    return torch.eye(r.shape[0], dtype=torch.float64) * r.gain


def _sparse(r: Request) -> Tensor:
    chance = torch.rand(r.shape, generator=r.generator)
    chance = chance if r.mask is None else chance * r.mask.to(chance)
    # the largest of random numbers are a draw without replacement
    chosen = chance.topk(min(r.connections, r.shape[1]), dim=1)
    values = _normal(replace(r, shape=tuple(chosen.values.shape)))
    return _zeros(r).scatter_(1, chosen.indices, torch.where(chosen.values > 0, values, 0.0))


def _radius(r: Request) -> Tensor:
    drawn = _normal(replace(r, gain=1 / math.sqrt(r.shape[0])))
    drawn = drawn if r.mask is None else drawn * r.mask.to(drawn)
    advice = "Take another seed, or a start that needs no radius."
    return scaled_to_radius(drawn, r.gain, name=r.owner, advice=advice)


def _signs(r: Request) -> Tensor:
    drawn = torch.rand(r.shape, dtype=torch.float64, generator=r.generator)
    return torch.where(drawn < 0.5, -1.0, 1.0).double() * r.gain


def _constant(r: Request) -> Tensor:
    return torch.full(r.shape, r.gain, dtype=torch.float64)


def _largest(r: Request) -> Tensor:
    drawn = _evenly(replace(r, gain=1.0))
    return drawn * (r.gain / drawn.abs().max())


_Start: TypeAlias = Callable[[Request], Tensor]

_MATRICES: dict[str, _Start] = {
    "orthogonal": _orthogonal,
    "identity": _identity,
    "radius": _radius,
    "sparse": _sparse,
    "glorot": _glorot,
    "uniform": _uniform,
    "normal": _normal,
    "zeros": _zeros,
}
# of a diagonal matrix: its singular values and its radius are the sizes of its entries
_VECTORS: dict[str, _Start] = {
    "orthogonal": _signs,
    "identity": _constant,
    "radius": _largest,
    "uniform": _uniform,
    "normal": _normal,
    "zeros": _zeros,
}
_SQUARE = frozenset({"identity", "radius"})

STARTS: tuple[str, ...] = tuple(_MATRICES)
