"""Units of any network that are held while it runs, and what its states are meanwhile."""

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
from ostinato.layers.listening import Listener, listener, listening
from ostinato.layers.sequence import SequenceLayer
from ostinato.layers.tracing.steps import innermost
from ostinato.layers.tracing.watch import state_names
from ostinato.tasks.language_model.generation import Reader
from ostinato.tasks.language_model.network import LanguageNetwork

__all__ = ["Hold", "Holding", "StateShape", "Steps", "Unit", "state_shapes"]

# the walk of a layer: its name ("decoder.stack.0") and direction
Place = tuple[str, int]


@dataclass(frozen=True)
class StateShape:
    """A state of a layer.

    Attributes:
        layer: as traces name it: the module and the layer's number in it, "stack.0".
        direction: 0, or 1 for the walk from the end.
        name: in the cell's equations.
        units: how many it has.
    """

    layer: str
    direction: int
    name: str
    units: int


@dataclass(frozen=True)
class Unit:
    """A unit of a state of a layer; `unit` counts from 0, the rest is as of `StateShape`."""

    layer: str
    name: str
    unit: int
    direction: int = 0


@dataclass(frozen=True)
class Hold:
    """A unit that is held at a value: where the cell reads its old state, and in the new one.

    Attributes:
        layer, name, unit, direction: as of `Unit`.
        value: what it is held at.
    """

    layer: str
    name: str
    unit: int
    value: float
    direction: int = 0


def state_shapes(network: nn.Module) -> list[StateShape]:
    """The states of a network's recurrent layers, in its order.

    Example:
        >>> from ostinato.tasks.language_model.settings import ModelSettings
        >>> network = LanguageNetwork(9, ModelSettings(hidden_size=8, num_layers=1))
        >>> [(shape.layer, shape.name, shape.units) for shape in state_shapes(network)]
        [('stack.0', 'h', 8), ('stack.0', 'c', 8)]
    """
    made = []
    for name, layer in _layers(network).items():
        for place, sizes in enumerate(layer._states.sizes):
            names = state_names(innermost(layer._cell(place)), len(sizes))
            own, direction = _place_of(name, layer, place)
            made += [StateShape(own, direction, *one) for one in zip(names, sizes, strict=True)]
    return made


class Holding:
    """Holds units of a network while it runs within a `with` block, in this thread.

    Args:
        network: any with layers of ours, in evaluation mode.
        holds: units that are held as long as `active` is set.

    Attributes:
        active: whether the units are held from now on.

    Raises:
        ValueError: there is no such layer, state or unit, a value is no number, or a unit is held
            twice; the message says what there is.

    Example:
        >>> from ostinato import GRU
        >>> network = nn.ModuleDict({"stack": GRU(3, 4)})
        >>> holding = Holding(network, [Hold("stack.0", "h", 1, 0.5)])
        >>> with holding.within(), torch.no_grad():
        ...     y, _ = network["stack"](torch.zeros(5, 1, 3))
        >>> y[:, 0, 1], holding.value(Unit("stack.0", "h", 1))
        (tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000]), 0.5)
    """

    def __init__(self, network: nn.Module, holds: Sequence[Hold] = ()) -> None:
        self.active = True
        self.holds = tuple(holds)
        self._names = {layer: name for name, layer in _layers(network).items()}
        self._shapes = state_shapes(network)
        self._states: dict[tuple[str, int, str], Tensor] = {}
        self._clamps = self._grouped(holds)
        # kept, since engines know a cell by its identity
        self._held: dict[tuple[Place, int, nn.Module], nn.Module] = {}

    @contextmanager
    def within(self) -> Iterator[None]:
        """Hold the units; whoever listens already (a trace) goes on to hear every walk."""
        outer = listener()

        def walk(layer: SequenceLayer, place: int, call: Call) -> Walk:
            return self._walk(layer, place, call, outer)

        with listening(walk):
            yield

    def value(self, unit: Unit) -> float:
        """What a unit was after the last step, in the first row.

        Raises:
            ValueError: there is no such unit, or nothing has been read.
        """
        self.check(unit)
        state = self._states.get((unit.layer, unit.direction, unit.name))
        if state is None:
            raise ValueError("Nothing has been read yet. Read a token first.")
        return float(state[0, unit.unit])

    def _walk(self, layer: SequenceLayer, place: int, call: Call, outer: Listener | None) -> Walk:
        def onward(asked: Call) -> Walk:
            return run(asked) if outer is None else outer(layer, place, asked)

        name = self._names.get(layer)
        if name is None:
            return onward(call)
        where = _place_of(name, layer, place)
        for clamp in self._clamps.get(where, ()) if self.active else ():
            call = self._clamped(where, call, clamp)
        walk = onward(call)
        for shape, state in zip(self._at(where), walk.state, strict=False):
            self._states[(*where, shape.name)] = state
        return walk

    def _clamped(self, where: Place, call: Call, clamp: Clamp) -> Call:
        like = call.state[0]
        key = (where, clamp.state, call.cell)
        held = self._held.get(key)
        if held is None:
            sizes = [part.shape[-1] for part in call.state]
            # what a search made is looked at with gradients later
            with torch.inference_mode(False):
                held = self._held[key] = Clamped(call.cell, sizes, clamp, like)
        assert isinstance(held, Clamped)
        columns = held.columns(call, like)
        assert columns is not None
        parameters = call.parameters and {f"cell.{n}": v for n, v in call.parameters.items()}
        x = torch.cat([call.x, columns.to(call.x)], dim=-1)
        return dataclasses.replace(call, cell=held, x=x, parameters=parameters)

    # what there is to hold

    def _grouped(self, holds: Sequence[Hold]) -> dict[Place, list[Clamp]]:
        """A clamp for each state of each walk, with all its units."""
        units: dict[tuple[Place, int], dict[int, float]] = {}
        for hold in holds:
            self.check(Unit(hold.layer, hold.name, hold.unit, hold.direction))
            if not math.isfinite(hold.value):
                raise ValueError(f"A unit is held at a number, got {hold.value}. Give one.")
            where = (hold.layer, hold.direction)
            names = [shape.name for shape in self._at(where)]
            values = units.setdefault((where, names.index(hold.name)), {})
            if hold.unit in values:
                raise ValueError(
                    f"Unit {hold.unit} of {hold.name}, layer {hold.layer}, is held twice: at "
                    f"{values[hold.unit]:g} and at {hold.value:g}. Keep one of them."
                )
            values[hold.unit] = hold.value
        made: dict[Place, list[Clamp]] = {}
        for (where, state), values in units.items():
            clamp = Clamp(list(values), list(values.values()), state=state)
            made.setdefault(where, []).append(clamp)
        return made

    def _at(self, where: Place) -> list[StateShape]:
        return [shape for shape in self._shapes if (shape.layer, shape.direction) == where]

    def check(self, unit: Unit) -> None:
        """Raise ValueError unless there is such a unit; the message says what there is."""
        layers = list(dict.fromkeys(shape.layer for shape in self._shapes))
        if unit.layer not in layers:
            raise ValueError(f"There is no layer {unit.layer!r}{nearest(unit.layer, layers)}")
        shapes = {shape.name: shape for shape in self._at((unit.layer, unit.direction))}
        if not shapes:
            raise ValueError(
                f"Layer {unit.layer} has no direction {unit.direction}. It is walked from the "
                "start (0)" + (" or from the end (1)." if self._at((unit.layer, 1)) else " alone.")
            )
        if unit.name not in shapes:
            raise ValueError(
                f"Layer {unit.layer} has no state {unit.name!r}{nearest(unit.name, shapes)}"
            )
        count = shapes[unit.name].units
        if not 0 <= unit.unit < count:
            raise ValueError(
                f"State {unit.name} of layer {unit.layer} has no unit {unit.unit}. Name one of "
                f"0..{count - 1}."
            )


class Steps:
    """A text as a language model reads it, token by token.

    Args:
        network: of a language model, in evaluation mode.
        holds: units that are held as long as `holding` is set.

    Attributes:
        holding: whether the units are held from now on.

    Raises:
        ValueError: as of `Holding`.

    Example:
        >>> from ostinato.tasks.language_model.settings import ModelSettings
        >>> network = LanguageNetwork(9, ModelSettings(hidden_size=8, num_layers=1)).eval()
        >>> steps = Steps(network, [Hold("stack.0", "h", 3, 0.5)])
        >>> steps.read([1, 2, 3])
        >>> steps.value(Unit("stack.0", "h", 3)), steps.scores.shape
        (0.5, torch.Size([1, 9]))
    """

    def __init__(self, network: LanguageNetwork, holds: Sequence[Hold] = ()) -> None:
        self._reader = Reader(network)
        self._holding = Holding(network, holds)
        self.check, self.value = self._holding.check, self._holding.value

    @property
    def holding(self) -> bool:
        return self._holding.active

    @holding.setter
    def holding(self, on: bool) -> None:
        self._holding.active = on

    @property
    def scores(self) -> Tensor | None:
        """Of the token that comes next, [1, V]; None before anything is read."""
        return self._reader.scores

    def read(self, tokens: Sequence[int] | Ids) -> None:
        """Read more tokens, at least one in all."""
        # within one step only: a stream's steps may run in different threads
        with self._holding.within():
            self._reader.read([tokens])  # type: ignore[list-item]

    def step(self, token: int) -> None:
        """Read one more token."""
        with self._holding.within():
            self._reader.step(torch.tensor([token]))


def _layers(network: nn.Module) -> dict[str, SequenceLayer]:
    found = network.named_modules()
    return {name: layer for name, layer in found if isinstance(layer, SequenceLayer)}


def _place_of(module: str, layer: SequenceLayer, place: int) -> Place:
    number, direction = divmod(place, 2) if layer.bidirectional else (place, 0)
    return f"{module}.{number}".lstrip("."), direction
