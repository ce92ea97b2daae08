"""The reservoir of an echo state network, which hears inputs and outputs at scales of their own."""

from __future__ import annotations

from typing import Any

import torch

from ostinato.reservoirs.layer import Reservoir

__all__ = ["draw_reservoir"]


def draw_reservoir(
    inputs: int,
    outputs: int,
    *,
    units: int,
    layers: int = 1,
    bidirectional: bool = False,
    feedback: float | None = None,
    input_scaling: float = 1.0,
    seed: int,
    dtype: torch.dtype = torch.float64,
    **options: Any,
) -> Reservoir:
    """Draw the layers of a network that hears its inputs and, with feedback, its outputs.

    Args:
        inputs: I, width of the inputs.
        outputs: O, width of the outputs.
        units: H, of each layer and direction.
        layers: L.
        bidirectional: a second reservoir in each layer walks from the end.
        feedback: weights from the outputs are from U(-feedback, feedback); None: there are none.
        input_scaling: the same of all other weights from below.
        seed: of all weights.
        dtype: of the weights.
        options: further ones of `ReservoirCell`.

    Raises:
        ValueError: there is nothing to hear, or an option is out of range.

    Example:
        >>> draw_reservoir(2, 1, units=9, feedback=0.5, seed=0).units[0].weight_ih.shape
        torch.Size([9, 3])
    """
    heard = inputs + (outputs if feedback is not None else 0)
    if heard == 0:
        raise ValueError(
            "EchoStateNetwork: without inputs it must hear its outputs. Give feedback=1.0."
        )
    reservoir = Reservoir(heard, units, layers, bidirectional, seed=seed, dtype=dtype, **options)
    with torch.no_grad():
        for place, cell in enumerate(reservoir.units):
            first = place < (2 if bidirectional else 1)
            cell.weight_ih[:, : inputs if first else None].mul_(input_scaling)
            if first and feedback is not None:
                cell.weight_ih[:, inputs:].mul_(feedback)
    return reservoir
