"""Units that are held at given values at every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ostinato.engine import Call, State, split_result
from ostinato.layers.initial import check_units
from ostinato.layers.wrapper import Wrapper

__all__ = ["Clamp", "Clamped"]


class Clamp:
    """Says which units of a layer are held, and at what.

    At step t a held unit has the value of step t both where the cell reads the old state and in
    the new state that it leaves. So what the cell computes for it has no effect and no gradient,
    and clamped units can serve as an input.

    Args:
        units: indices of the units.
        value: what they are held at: one number, or one for each unit. None: each call brings the
            values, `layer(x, clamp=values)` with values [T, B, n] laid out as x is.
        state: which state tensor of the cell (0 is h).
        layer: which layer of a stack, counted from 0, in both directions; None: all.

    Example:
        >>> from ostinato import LSTM
        >>> layer = LSTM(3, 4, clamp=Clamp([0, 2], 0.5))
        >>> y, _ = layer(torch.zeros(5, 2, 3))
        >>> y[:, :, [0, 2]].unique()
        tensor([0.5000], grad_fn=...)
    """

    def __init__(
        self,
        units: Sequence[int],
        value: float | Sequence[float] | None = None,
        *,
        state: int = 0,
        layer: int | None = None,
    ) -> None:
        self.units = tuple(int(unit) for unit in units)
        self.values: tuple[float, ...] | None = None
        if value is not None:
            many = (value,) * len(self.units) if isinstance(value, (int, float)) else value
            self.values = tuple(float(one) for one in many)
            if len(self.values) != len(self.units):
                raise ValueError(
                    f"Clamp: {len(self.units)} units need one value or as many, got "
                    f"{len(self.values)}."
                )
        self.state = state
        self.layer = layer

    def holds(self, layer: int) -> bool:
        """Whether it concerns this layer of a stack."""
        return self.layer is None or self.layer == layer

    def check(self, sizes: Sequence[int]) -> None:
        """Raise ValueError unless the state has such units."""
        check_units("Clamp", self.units, tuple(sizes[self.state : self.state + 1]))

    def __repr__(self) -> str:
        value = "" if self.values is None else f", {list(self.values)}"
        return f"Clamp({list(self.units)}{value}, state={self.state}, layer={self.layer})"


class Clamped(Wrapper):
    """Around a cell: holds the units of a `Clamp`.

    Shapes: x [B, I + S], its last S columns the values at the held units and 0 elsewhere, for S
    the width of the clamped state; states as the cell's.
    """

    free: Tensor
    values: Tensor | None = None

    def __init__(self, cell: nn.Module, sizes: Sequence[int], clamp: Clamp, like: Tensor) -> None:
        super().__init__(cell, sizes)
        self.clamp = clamp
        self.width = sizes[clamp.state]
        free = like.new_ones(self.width)
        free[list(clamp.units)] = 0
        self.register_buffer("free", free, persistent=False)

    def columns(self, call: Call, like: Tensor) -> Tensor | None:
        T, B = call.x.shape[:2]
        units = list(self.clamp.units)
        values = self.values
        if values is None and self.clamp.values is not None:
            values = like.new_tensor(self.clamp.values).expand(T, B, -1)
        if values is None:
            raise ValueError(
                f"Clamp: no values. Pass clamp= with {len(units)} value(s) for each step and row, "
                "or build it as Clamp(units, value)."
            )
        if values.shape[-1] != len(units):
            raise ValueError(
                f"Clamp: clamp must hold {len(units)} value(s) for each step and row, got "
                f"{values.shape[-1]}."
            )
        index = torch.tensor(units, device=like.device)
        return like.new_zeros(T, B, self.width).index_copy(-1, index, values.to(like))

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, State]:
        x, held = torch.split(x, [x.shape[-1] - self.width, self.width], dim=-1)
        held = held.to(self.free.dtype)
        output, new = split_result(self.cell(x, *self._hold(state, held)), len(state))
        kept = self._hold(new, held)
        return (kept[0] if output is new[0] else output), kept

    def _hold(self, state: State, held: Tensor) -> State:
        i = self.clamp.state
        return (*state[:i], state[i] * self.free + held, *state[i + 1 :])

    def extra_repr(self) -> str:
        return repr(self.clamp)
