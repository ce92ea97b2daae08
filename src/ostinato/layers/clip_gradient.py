"""The gradient of the state, clipped at every step as it flows back through time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.engine import State, split_result
from ostinato.engine.limits import limit_gradient, tally_size
from ostinato.layers.wrapper import Wrapper

__all__ = ["ClipGradient", "Clipped", "clip_gradient_from"]


class ClipGradient:
    """Says how the gradient of a state is clipped at every step, in training.

    Each state's gradient is clipped as it enters a step from behind: what later steps and the loss
    at this step have sent, together. So it cannot explode on its way, however long that is; the
    gradient of the weights is no longer that of the loss wherever something is cut.

    By norm, the gradient of a row, g, becomes g * min(1, limit / |g|); by value, each entry is cut
    at plus and minus the limit. Source: Graves (2013), arXiv:1308.0850, section 2.1, cuts the
    gradient of what goes into each LSTM by value, in -10..10; here it is that of the state.

    The limit is for the gradient of the loss as it is: that of a mean over a batch is smaller for
    larger batches.

    Args:
        limit: the largest norm, or entry, above 0.
        by: "norm" or "value".

    Raises:
        ValueError: the limit is not above 0, or `by` is unknown.

    Example:
        >>> from ostinato import RNN
        >>> layer = RNN(1, 1, nonlinearity="relu", clip_gradient=ClipGradient(0.5, by="value"))
        >>> for weight in layer.parameters():
        ...     _ = weight.data.fill_(1.0)
        >>> y, _ = layer(torch.ones(100, 1, 1))
        >>> y[-1].sum().backward()
        >>> print(layer.take_clipped(), layer.bias_hh_l0.grad)
        0.01 tensor([50.])
    """

    def __init__(self, limit: float, by: str = "norm") -> None:
        if not limit > 0:
            raise ValueError(
                f"clip_gradient must be above 0, got {limit}. Give None for no clipping."
            )
        if by not in ("norm", "value"):
            raise ValueError(f'clip_gradient: by must be "norm" or "value", got {by!r}.')
        self.limit = float(limit)
        self.by = by

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, ClipGradient)
        return same and (self.limit, self.by) == (other.limit, other.by)  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.limit, self.by))

    def __repr__(self) -> str:
        return f"ClipGradient({self.limit}, by={self.by!r})"


def clip_gradient_from(given: Any) -> ClipGradient | None:
    """What an option `clip_gradient` stands for: a number is a norm."""
    if given is None or isinstance(given, ClipGradient):
        return given
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return ClipGradient(given)
    raise TypeError(
        f"clip_gradient must be a number (the norm), a ClipGradient or None, got {given!r}."
    )


class Clipped(Wrapper):
    """Around a cell: clips the gradient of each new state, and counts.

    Shapes: x and states as the cell's.
    """

    def __init__(
        self, cell: nn.Module, sizes: Sequence[int], clip: ClipGradient, like: Tensor
    ) -> None:
        super().__init__(cell, sizes)
        self.limit = clip.limit
        self.norm = clip.by == "norm"
        # nobody reads these zeros: their gradient is how often something was cut
        counts = [tally_size(size, self.norm) for size in sizes]
        # they outlive the transform of torch.func that this may be the first call in
        with torch._C._DisableFuncTorch():
            self.tallies = nn.ParameterList(
                nn.Parameter(torch.zeros(count, dtype=like.dtype, device=like.device))
                for count in counts
            )

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, State]:
        output, new = split_result(self.cell(x, *state), len(state))
        # what an inner wrapper has beyond the states of the cell is constant
        clipped = tuple(
            limit_gradient(part, tally, self.limit, self.norm)
            for part, tally in zip(new, self.tallies, strict=False)
        )
        output = clipped[0] if output is new[0] else output
        return output, (*clipped, *new[len(clipped) :])

    def take(self) -> Tensor | None:
        """How many rows (or entries) were cut and how many not 0 since last asked: [2]."""
        found: list[Tensor] = []
        for tally in self.tallies:
            if tally.grad is not None:
                found.append(tally.grad.double().reshape(2, -1).sum(1))
                tally.grad = None
        return torch.stack(found).sum(0) if found else None

    def extra_repr(self) -> str:
        return f"{self.limit}, by={'norm' if self.norm else 'value'!r}"
