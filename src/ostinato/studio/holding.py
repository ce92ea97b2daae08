"""A text that a language model reads and continues, with units held and all states in view."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ostinato.config import nearest
from ostinato.data.tokenizers import Ids
from ostinato.engine import Call, Walk, run
from ostinato.layers.clamp import Clamp, Clamped
from ostinato.layers.listening import listening
from ostinato.layers.sequence import SequenceLayer
from ostinato.layers.tracing.steps import innermost
from ostinato.layers.tracing.watch import state_names
from ostinato.tasks.language_model.generation import Reader
from ostinato.tasks.language_model.network import LanguageNetwork

__all__ = ["Hold", "Steps", "StateShape", "state_shapes"]


@dataclass(frozen=True)
class StateShape:
    """A state of a layer: its name in the cell's equations, and how many units it has."""

    layer: int
    name: str
    units: int


@dataclass(frozen=True)
class Hold:
    """A unit that is held at a value: where the cell reads its old state, and in the new one.

    Attributes:
        layer: of the stack, from 0.
        name: of the state, as the cell's equations have it ("h", "c").
        unit: from 0.
        value: what it is held at.
    """

    layer: int
    name: str
    unit: int
    value: float


def state_shapes(network: LanguageNetwork) -> list[StateShape]:
    """The states of a language model's layers, in order.

    Example:
        >>> from ostinato.tasks.language_model.settings import ModelSettings
        >>> state_shapes(LanguageNetwork(9, ModelSettings(hidden_size=8, num_layers=1)))
        [StateShape(layer=0, name='h', units=8), StateShape(layer=0, name='c', units=8)]
    """
    made = []
    for place, sizes in enumerate(network.stack._states.sizes):
        names = state_names(innermost(network.stack.cells[place]), len(sizes))
        made += [StateShape(place, name, size) for name, size in zip(names, sizes, strict=True)]
    return made


class Steps:
    """A text as a network reads it, token by token.

    Args:
        network: of a language model, in evaluation mode.
        holds: units that are held as long as `holding` is set.

    Attributes:
        holding: whether the units are held from now on.

    Raises:
        ValueError: there is no such layer, state or unit, or a value is no number; the message
            says what there is.

    Example:
        >>> from ostinato.tasks.language_model.settings import ModelSettings
        >>> network = LanguageNetwork(9, ModelSettings(hidden_size=8, num_layers=1)).eval()
        >>> steps = Steps(network, [Hold(0, "h", 3, 0.5)])
        >>> steps.read([1, 2, 3])
        >>> steps.value(0, "h", 3), steps.scores.shape
        (0.5, torch.Size([1, 9]))
    """

    def __init__(self, network: LanguageNetwork, holds: Sequence[Hold] = ()) -> None:
        self.network = network
        self.holding = True
        self._reader = Reader(network)
        self._shapes = state_shapes(network)
        self._states: dict[tuple[int, str], Tensor] = {}
        self._clamps = self._grouped(holds)
        # kept, since engines know a cell by its identity
        self._held: dict[tuple[int, nn.Module], nn.Module] = {}

    @property
    def scores(self) -> Tensor | None:
        """Of the token that comes next, [1, V]; None before anything is read."""
        return self._reader.scores

    def read(self, tokens: Sequence[int] | Ids) -> None:
        """Read more tokens, at least one in all."""
        with self._watching():
            self._reader.read([tokens])  # type: ignore[list-item]

    def step(self, token: int) -> None:
        """Read one more token."""
        with self._watching():
            self._reader.step(torch.tensor([token]))

    def value(self, layer: int, name: str, unit: int) -> float:
        """What a unit is after the last token.

        Raises:
            ValueError: there is no such unit, or nothing has been read.
        """
        self.check(layer, name, unit)
        if (layer, name) not in self._states:
            raise ValueError("Nothing has been read yet. Read a token first.")
        return float(self._states[layer, name][0, unit])

    @contextmanager
    def _watching(self) -> Iterator[None]:
        # within one step only: a stream's steps may run in different threads
        with listening(self._walk):
            yield

    def _walk(self, layer: SequenceLayer, place: int, call: Call) -> Walk:
        if layer is not self.network.stack:
            return run(call)
        clamps = self._clamps.get(place, ()) if self.holding else ()
        for clamp in clamps:
            call = self._clamped(place, call, clamp)
        walk = run(call)
        for shape, state in zip(self._at(place), walk.state, strict=False):
            self._states[place, shape.name] = state
        return walk

    def _clamped(self, place: int, call: Call, clamp: Clamp) -> Call:
        like = call.state[0]
        held = self._held.get((clamp.state, call.cell))
        if held is None:
            sizes = [part.shape[-1] for part in call.state]
            held = self._held[clamp.state, call.cell] = Clamped(call.cell, sizes, clamp, like)
        assert isinstance(held, Clamped)
        columns = held.columns(call, like)
        assert columns is not None
        parameters = call.parameters and {f"cell.{n}": v for n, v in call.parameters.items()}
        x = torch.cat([call.x, columns.to(call.x)], dim=-1)
        return dataclasses.replace(call, cell=held, x=x, parameters=parameters)

    # what there is to hold

    def _grouped(self, holds: Sequence[Hold]) -> dict[int, list[Clamp]]:
        """A clamp for each state of each layer, with all its units."""
        units: dict[tuple[int, int], dict[int, float]] = {}
        for hold in holds:
            self.check(hold.layer, hold.name, hold.unit)
            if not math.isfinite(hold.value):
                raise ValueError(f"A unit is held at a number, got {hold.value}. Give one.")
            names = [shape.name for shape in self._at(hold.layer)]
            units.setdefault((hold.layer, names.index(hold.name)), {})[hold.unit] = hold.value
        made: dict[int, list[Clamp]] = {}
        for (layer, state), values in units.items():
            made.setdefault(layer, []).append(
                Clamp(list(values), list(values.values()), state=state)
            )
        return made

    def _at(self, layer: int) -> list[StateShape]:
        return [shape for shape in self._shapes if shape.layer == layer]

    def check(self, layer: int, name: str, unit: int) -> None:
        """Raise ValueError unless there is such a unit; the message says what there is."""
        layers = 1 + max(shape.layer for shape in self._shapes)
        if not 0 <= layer < layers:
            raise ValueError(f"There is no layer {layer}. Name one of 0..{layers - 1}.")
        shapes = {shape.name: shape for shape in self._at(layer)}
        if name not in shapes:
            raise ValueError(f"Layer {layer} has no state {name!r}{nearest(name, shapes)}")
        if not 0 <= unit < shapes[name].units:
            raise ValueError(
                f"State {name} of layer {layer} has no unit {unit}. Name one of "
                f"0..{shapes[name].units - 1}."
            )
