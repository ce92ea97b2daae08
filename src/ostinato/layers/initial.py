"""What a recurrence starts from: constants, draws, learned or given values, an encoder's word."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ostinato.engine import State

__all__ = [
    "Constant",
    "FromEncoder",
    "Given",
    "InitialState",
    "Learned",
    "Random",
    "Subset",
    "initial_state_from",
]

Sizes: TypeAlias = tuple[tuple[int, ...], ...]
"""For each cell of a layer (layer-major, direction inside) the widths of its states."""


class InitialState(nn.Module):
    """Base: maps a batch size to the state that each cell of a layer starts from.

    A subclass writes `forward(batch_size, like, context)`, which returns, for each cell, a tuple
    of [B, S] tensors of the device and type of `like`; `self.sizes` holds the widths.
    """

    sizes: Sizes = ()

    def bind(self, sizes: Sizes, like: Tensor) -> None:
        """Learn the widths of the states; a layer calls this once, when it is built.

        Raises:
            ValueError: it already belongs to a layer of other widths.
        """
        if self.sizes and self.sizes != sizes:
            raise ValueError(
                f"{type(self).__name__}: it serves a layer with states of widths {self.sizes}, and "
                f"cannot serve one with {sizes}, too. Make another one."
            )
        self.sizes = sizes

    def forward(self, batch_size: int, like: Tensor, context: Any = None) -> list[State]:
        raise NotImplementedError


class Constant(InitialState):
    """Every unit of every state starts from the same value.

    Args:
        value: the value; 0 and 1 go by the names "zeros" and "ones", too.

    Example:
        >>> from ostinato import LSTM
        >>> layer = LSTM(3, 4, initial_state=Constant(0.5))  # the same as initial_state=0.5
    """

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.value = float(value)

    def forward(self, batch_size: int, like: Tensor, context: Any = None) -> list[State]:
        return [
            tuple(like.new_full((batch_size, size), self.value) for size in part)
            for part in self.sizes
        ]

    def extra_repr(self) -> str:
        return f"{self.value}"


class Random(InitialState):
    """Normal draws, new ones for each sequence.

    Args:
        scale: standard deviation.
        seed: draw from an own stream of numbers that begins here; without it, from torch's. How
            far the own stream has come is a buffer, so that a saved model goes on where it was.
    """

    drawn: Tensor

    def __init__(self, scale: float = 1.0, *, seed: int | None = None) -> None:
        super().__init__()
        self.scale = float(scale)
        self.seed = seed
        if seed is not None:
            self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))

    def forward(self, batch_size: int, like: Tensor, context: Any = None) -> list[State]:
        generator = self._generator()
        return [
            tuple(
                torch.randn(batch_size, size, generator=generator).to(like) * self.scale
                for size in part
            )
            for part in self.sizes
        ]

    def _generator(self) -> torch.Generator | None:
        if self.seed is None:
            return None
        count = int(self.drawn)
        self.drawn.add_(1)
        # a prime apart, so that the streams of neighbouring seeds do not meet at once
        return torch.Generator().manual_seed(self.seed + 1_000_003 * count)

    def extra_repr(self) -> str:
        return f"{self.scale}, seed={self.seed}"


class Given(InitialState):
    """Fixed values, saved with the model.

    Args:
        values: one tensor for each state of the cell, of any shape that broadcasts to
            [cells, B, S]: [S] serves all, [B, S] each row, [cells, 1, S] each layer and direction.
    """

    def __init__(self, *values: Tensor) -> None:
        super().__init__()
        for i, value in enumerate(values):
            self.register_buffer(f"value_{i}", value.detach().clone())
        self.count = len(values)

    def bind(self, sizes: Sizes, like: Tensor) -> None:
        super().bind(sizes, like)
        for part in sizes:
            widths = [getattr(self, f"value_{i}").shape[-1] for i in range(self.count)]
            if len(part) != self.count or any(
                width not in (1, size) for width, size in zip(widths, part, strict=True)
            ):
                raise ValueError(
                    f"Given: the cell has states of widths {part}, got values of widths "
                    f"{tuple(widths)}. Give one tensor for each state."
                )

    def forward(self, batch_size: int, like: Tensor, context: Any = None) -> list[State]:
        cells = len(self.sizes)
        values = [
            getattr(self, f"value_{i}").to(like).expand(cells, batch_size, size)
            for i, size in enumerate(self.sizes[0])
        ]
        return [tuple(value[k] for value in values) for k in range(cells)]


class Learned(InitialState):
    """A parameter for each unit of each state, learned with the rest of the network.

    Args:
        scale: standard deviation of the first values; 0 begins with zeros.

    Example:
        >>> from ostinato import GRU
        >>> layer = GRU(3, 4, initial_state="learned")
        >>> [name for name, _ in layer.named_parameters() if "initial" in name]
        ['initial.values.0']
    """

    def __init__(self, scale: float = 0.0) -> None:
        super().__init__()
        self.scale = scale
        self.values = nn.ParameterList()

    def bind(self, sizes: Sizes, like: Tensor) -> None:
        super().bind(sizes, like)
        if len(self.values) == 0:
            self.values.extend(
                nn.Parameter(torch.randn(size).to(like) * self.scale if self.scale else zeros)
                for part in sizes
                for size in part
                for zeros in [torch.zeros(size, dtype=like.dtype, device=like.device)]
            )

    def forward(self, batch_size: int, like: Tensor, context: Any = None) -> list[State]:
        values = iter(self.values)
        return [tuple(next(values).expand(batch_size, -1) for _ in part) for part in self.sizes]


class FromEncoder(InitialState):
    """Another network says what to start from, given the `context` of the call.

    Args:
        encoder: maps the context to one tensor [B, sum of all state widths] (cell after cell,
            state after state), or to one tensor that broadcasts to [cells, B, S] for each state,
            such as the last state of another layer; or the width C of a context [B, C], for which
            a linear map is made.

    Example:
        >>> from ostinato import LSTM
        >>> layer = LSTM(3, 4, initial_state=FromEncoder(7))
        >>> y, (h, c) = layer(torch.zeros(5, 2, 3), context=torch.ones(2, 7))
    """

    def __init__(self, encoder: nn.Module | int) -> None:
        super().__init__()
        self.encoder = encoder

    def bind(self, sizes: Sizes, like: Tensor) -> None:
        super().bind(sizes, like)
        if isinstance(self.encoder, int):
            total = sum(size for part in sizes for size in part)
            self.encoder = nn.Linear(self.encoder, total, dtype=like.dtype, device=like.device)

    def forward(self, batch_size: int, like: Tensor, context: Any = None) -> list[State]:
        if context is None:
            raise ValueError("FromEncoder: no context. Pass what the encoder reads as context=.")
        assert isinstance(self.encoder, nn.Module)
        result = self.encoder(context)
        flat = [size for part in self.sizes for size in part]
        if isinstance(result, Tensor) and result.shape == (batch_size, sum(flat)):
            values = iter(torch.split(result, flat, dim=-1))
            return [tuple(next(values) for _ in part) for part in self.sizes]
        return self._each(result, batch_size)

    def _each(self, result: Any, batch_size: int) -> list[State]:
        parts = (result,) if isinstance(result, Tensor) else tuple(result)
        cells = len(self.sizes)
        try:
            wide = [
                part.expand(cells, batch_size, size)
                for part, size in zip(parts, self.sizes[0], strict=True)
            ]
        except (RuntimeError, ValueError) as error:
            total = sum(size for part in self.sizes for size in part)
            raise ValueError(
                f"FromEncoder: the encoder must return [{batch_size}, {total}], or for each of the "
                f"{len(self.sizes[0])} state(s) what broadcasts to [{cells}, {batch_size}, S] "
                f"(cells, batch, width), got {[tuple(part.shape) for part in parts]}."
            ) from error
        return [tuple(part[k] for part in wide) for k in range(cells)]


class Subset(InitialState):
    """Only some units start from another initial state; the others start from zero.

    Args:
        units: indices of the units.
        inner: what these units start from; anything that `initial_state=` takes.
        state: index of the one state that is meant (0 is h); None: all.

    Example:
        >>> from ostinato import LSTM
        >>> layer = LSTM(3, 4, initial_state=Subset([0, 2], "learned", state=1))
    """

    index: Tensor

    def __init__(self, units: Sequence[int], inner: Any = 1.0, *, state: int | None = None) -> None:
        super().__init__()
        made = initial_state_from(inner)
        self.inner = Constant() if made is None else made
        self.state = state
        self.units = tuple(int(unit) for unit in units)
        self.register_buffer("index", torch.tensor(self.units, dtype=torch.int64), persistent=False)

    def bind(self, sizes: Sizes, like: Tensor) -> None:
        super().bind(sizes, like)
        meant = [tuple(s for i, s in enumerate(part) if self._means(i)) for part in sizes]
        for part in meant:
            check_units("Subset", self.units, part)
        self.inner.bind(tuple((len(self.units),) * len(part) for part in meant), like)

    def _means(self, i: int) -> bool:
        return self.state is None or i == self.state

    def forward(self, batch_size: int, like: Tensor, context: Any = None) -> list[State]:
        some = self.inner(batch_size, like, context)
        return [
            self._spread(sizes, iter(values), like.new_zeros(batch_size, 1))
            for sizes, values in zip(self.sizes, some, strict=True)
        ]

    def _spread(self, sizes: tuple[int, ...], values: Any, zero: Tensor) -> State:
        zeros = [zero.expand(-1, size) for size in sizes]
        index = self.index.to(zero.device)
        return tuple(
            part.index_copy(1, index, next(values).to(part)) if self._means(i) else part
            for i, part in enumerate(zeros)
        )


def check_units(name: str, units: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    """Raise ValueError unless the units are distinct and each state has them all."""
    if not sizes or not units:
        raise ValueError(f"{name}: the cell has no such state, or no unit is given.")
    if len(set(units)) != len(units) or min(units) < 0 or max(units) >= min(sizes):
        raise ValueError(
            f"{name}: units must be distinct and in 0..{min(sizes) - 1}, got {list(units)}."
        )


_NAMED: dict[str, Callable[[], InitialState]] = {
    "zeros": Constant,
    "ones": lambda: Constant(1.0),
    "random": Random,
    "learned": Learned,
}


def initial_state_from(spec: Any) -> InitialState | None:
    """What `initial_state=` means: a name, a number, tensors, an `InitialState`, or None.

    None leaves the choice to the cell, which starts from zeros unless it says otherwise.

    Raises:
        ValueError: there is no initial state of that name.
        TypeError: it is none of these.
    """
    if spec is None or isinstance(spec, InitialState):
        return spec
    if isinstance(spec, str):
        if spec not in _NAMED:
            near = difflib.get_close_matches(spec, _NAMED, n=1) or list(_NAMED)
            raise ValueError(
                f"initial_state: {spec!r} is none of {', '.join(_NAMED)}. Did you mean {near[0]!r}?"
            )
        return _NAMED[spec]()
    if isinstance(spec, Tensor):
        return Given(spec)
    if isinstance(spec, (int, float)) and not isinstance(spec, bool):
        return Constant(spec)
    if isinstance(spec, (tuple, list)) and all(isinstance(part, Tensor) for part in spec):
        return Given(*spec)
    raise TypeError(
        "initial_state: give a name, a number, a tensor for each state or an InitialState, got "
        f"{type(spec).__name__}."
    )
