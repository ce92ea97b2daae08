"""A reservoir as a sequence layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ostinato.engine import Call, Walk
from ostinato.layers.listening import listened
from ostinato.layers.recurrent import Recurrent
from ostinato.reservoirs import fast
from ostinato.reservoirs.cell import ReservoirCell

__all__ = ["Reservoir"]


class Reservoir(Recurrent):
    """Layers of fixed random units, with the contract of every sequence layer (see `Recurrent`).

    Where each unit hears few others, and no gradient is wanted, only the connections there are get
    touched, and a long sequence is walked in segments side by side, once it is known that
    the reservoir forgets; the results differ by rounding.

    Args:
        input_size: I, width of one input vector.
        hidden_size: H, number of units of each layer and direction.
        num_layers: L; each further layer reads the states of the one below.
        bidirectional: walk also from the end; the two states stand side by side, forward first.
        batch_first: sequences are [B, T, I], not [T, B, I].
        seed: of all weights; None: drawn from torch's generator.
        options: further ones of each `ReservoirCell`.

    Shapes: x [T, B, I] -> y [T, B, D*H], the states of the last layer; with `all_states=True` those
    of all layers are a third result.

    Raises:
        ValueError: an option is out of range, or a matrix is nilpotent.

    Example:
        >>> layer = Reservoir(1, 100, num_layers=2, spectral_radius=0.8, seed=0)
        >>> y, h = layer(torch.zeros(20, 3, 1).double())
        >>> y.shape, h.shape
        (torch.Size([20, 3, 100]), torch.Size([2, 3, 100]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        *,
        batch_first: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        directions = 2 if bidirectional else 1
        first = int(torch.randint(2**62, (1,))) if seed is None else seed
        seeds = torch.randint(2**62, (99,), generator=torch.Generator().manual_seed(first))
        cells: list[nn.Module] = []
        for place in range(max(1, num_layers) * directions):
            width = input_size if place < directions else hidden_size * directions
            drawn = first if place == 0 else int(seeds[place % 99]) + place
            cells.append(ReservoirCell(width, hidden_size, seed=drawn, **options))
        super().__init__(cells, num_layers, bidirectional, batch_first=batch_first)

    @property
    def units(self) -> list[ReservoirCell]:
        """The cells, layer by layer and direction inside."""
        return [cell for cell in self.cells if isinstance(cell, ReservoirCell)]

    def _quickly(self, x: Any, state: Any, batch_first: bool) -> None:
        # each call is to be looked at by `_walk`
        return None

    def _walk(self, place: int, call: Call, clamp: Tensor | None) -> Walk:
        if self._plain and clamp is None and not listened():
            found = fast.walk(call)
            if found is not None:
                return found
        return super()._walk(place, call, clamp)
