"""A recurrent network for any of the problems, and its losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.data.problems import Examples
from ostinato.layers.recurrent import Recurrent

__all__ = ["LOSSES", "Network", "Tensors"]


@dataclass(frozen=True)
class Tensors:
    """Rows as tensors.

    Attributes:
        inputs: [T, N, I].
        mask: bool [T, N].
        targets: those that count, [n] of classes or [n, O].
        loss: as of `Examples`.
    """

    inputs: Tensor
    mask: Tensor
    targets: Tensor
    loss: str

    @classmethod
    def of(cls, rows: Examples) -> Tensors:
        """The tensors of some rows."""
        mask = torch.from_numpy(rows.mask)
        return cls(
            torch.from_numpy(rows.inputs), mask, torch.from_numpy(rows.targets)[mask], rows.loss
        )


class Network(nn.Module):
    """Layers of a cell, and a linear readout of the states at each step.

    What comes after the end of a shorter row is walked over, too: no earlier state hears of it.

    Args:
        cells: one for each layer.
        outputs: O.

    Attributes:
        layer: the recurrent layers.
        readout: [H] to [O].
        centre: [I], taken from all inputs; zeros unless set.
    """

    centre: Tensor

    def __init__(self, cells: Sequence[nn.Module], outputs: int) -> None:
        super().__init__()
        self.layer = Recurrent(cells, len(cells))
        self.readout = nn.Linear(int(self.layer.output_size or 0), outputs)
        self.register_buffer("centre", torch.zeros(int(self.layer.input_size or 0)))

    def states(self, inputs: Tensor) -> Tensor:
        """States [T, N, H] of the last layer."""
        y, _ = self.layer(inputs - self.centre)
        return y  # type: ignore[no-any-return]

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [T, N, O] at all steps."""
        return self.readout(self.states(inputs))  # type: ignore[no-any-return]

    def loss(self, rows: Tensors) -> Tensor:
        """The mean loss at the steps that count."""
        return LOSSES[rows.loss](self.readout(self.states(rows.inputs)[rows.mask]), rows.targets)

    @torch.no_grad()
    def answer(self, rows: Examples) -> np.ndarray[Any, Any]:
        """Scores [T, N, O] as an array."""
        found: np.ndarray[Any, Any] = self(torch.from_numpy(rows.inputs)).numpy()
        return found


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": F.mse_loss,
    "classes": F.cross_entropy,
    "bits": F.binary_cross_entropy_with_logits,
}
