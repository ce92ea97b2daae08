"""What a recurrent network did, as one labelled object."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray

__all__ = ["Layer", "Part", "Trace", "unknown"]

Values: TypeAlias = NDArray[Any]
Key: TypeAlias = "str | tuple[str, int | str] | tuple[str, int | str, int]"


@dataclass(frozen=True)
class Layer:
    """One layer of a stack, as it was walked.

    Attributes:
        name: of the module and the layer's number in it, "network.stack.0"; "0" where the module
            that was traced is the stack itself.
        cell: class of its cell.
        directions: 1 or 2.
        lengths: valid steps of each traced row, int64 [B]; of what is left by `steps`.
        steps: which steps of the walk are here, int64 [T].
        rows: which rows of the batch are here, int64 [B].
    """

    name: str
    cell: str
    directions: int
    lengths: NDArray[np.int64]
    steps: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """One name of one layer and direction.

    Attributes:
        layer: the layer's name.
        direction: 0, or 1 for the walk from the end.
        name: as the cell's equations have it; see `Trace`.
        kind: "state", "output", "gate", "pre", "value" or "attention".
        function: the activation that made it ("sigmoid", ...), or "".
        values: [T, B, units], zeros at steps of padding.
        units: which units these are, int64.
        gradients: d loss / d value, likewise; None where they were not asked for.
    """

    layer: str
    direction: int
    name: str
    kind: str
    function: str
    values: Values
    units: NDArray[np.int64]
    gradients: Values | None = None


class Trace:
    """Every state, gate and pre-activation of a network, at every step; `ostinato.trace` makes it.

    Names are the cell's own: "h" and "c" of an LSTM are its states, "i", "f", "g", "o" what its
    equations call so; "f.pre" is what goes into the sigmoid of f, and "n.1" the first value of a
    variable n that is given several. Where an attention looked is "weights" of a layer that has the
    name of its module.

    `trace["c"]` gives the values [T, B, units] of the first layer that has them, `trace["c", 1]`
    those of layer 1, and `trace["c", 1, 1]` those of its walk from the end.

    Attributes:
        layers: in the order of the network.
        parts: all that was recorded, layer by layer.
        labels: for each row of the first layer, what stood at each step (tokens, words), or None.
        output: what the module returned; not saved.

    Example:
        >>> import torch
        >>> from ostinato import LSTM
        >>> trace = LSTM(3, 4, num_layers=2).trace(torch.zeros(5, 2, 3))
        >>> trace
        Trace of 5 steps, 2 rows: h, c, f.pre, f, i.pre, i, g.pre, g, o.pre, o
          0: LSTM
          1: LSTM
        >>> trace["f", 1].shape
        (5, 2, 4)
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        parts: Sequence[Part],
        labels: Sequence[Sequence[str]] | None = None,
        output: Any = None,
    ) -> None:
        self.layers = tuple(layers)
        self.parts = tuple(parts)
        self.labels = None if labels is None else tuple(tuple(row) for row in labels)
        self.output = output
        self._found = {(part.layer, part.direction, part.name): part for part in parts}

    # asking

    @property
    def names(self) -> tuple[str, ...]:
        """All names, each once."""
        return tuple(dict.fromkeys(part.name for part in self.parts))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Valid steps of each row of the first layer, [B]."""
        return self.layers[0].lengths

    def layer(self, layer: int | str = 0) -> Layer:
        """A layer by its number or name; a module's name stands for its first layer.

        Raises:
            ValueError: there is no such layer; the message names the nearest.
        """
        if isinstance(layer, str):
            for one in self.layers:
                if layer in (one.name, one.name.rpartition(".")[0]):
                    return one
            raise ValueError(unknown("layer", layer, [one.name for one in self.layers]))
        if not -len(self.layers) <= layer < len(self.layers):
            told = ", ".join(f"{k} {one.name!r}" for k, one in enumerate(self.layers))
            raise ValueError(f"Trace: there is no layer {layer}. There are {told}.")
        return self.layers[layer]

    def part(self, name: str, layer: int | str | None = None, direction: int = 0) -> Part:
        """One name of one layer and direction, with all that is known of it.

        Args:
            name: as in `names`.
            layer: number or name; None: the first that has it.
            direction: 0, or 1 for the walk from the end.

        Raises:
            ValueError: there is none; the message names the nearest.
        """
        if name not in self.names:
            raise ValueError(unknown("name", name, self.names))
        if layer is None:
            for part in self.parts:
                if (part.name, part.direction) == (name, direction):
                    return part
        else:
            at = self.layer(layer)
            found = self._found.get((at.name, direction, name))
            if found is not None:
                return found
        has = [f"{p.layer!r} direction {p.direction}" for p in self.parts if p.name == name]
        place = "" if layer is None else f"layer {layer!r}, "
        raise ValueError(
            f"Trace: {name!r} is not in {place}direction {direction}. It is in {', '.join(has)}."
        )

    def values(self, name: str, layer: int | str | None = None, direction: int = 0) -> Values:
        """Values [T, B, units] of a name; arguments as of `part`."""
        return self.part(name, layer, direction).values

    def gradients(self, name: str, layer: int | str | None = None, direction: int = 0) -> Values:
        """D loss / d value, [T, B, units], through all later steps; arguments as of `part`.

        Raises:
            ValueError: there is no such name, or the trace has no gradients.
        """
        part = self.part(name, layer, direction)
        if part.gradients is None:
            raise ValueError(
                f"Trace: there are no gradients of {name!r}. Trace it with gradients=, a loss."
            )
        return part.gradients

    @property
    def has_gradients(self) -> bool:
        """Whether it was made with `gradients`."""
        return any(part.gradients is not None for part in self.parts)

    def __getitem__(self, key: Key) -> Values:
        return self.values(*((key,) if isinstance(key, str) else key))

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        if not self.layers:
            return "Trace of nothing"
        first = self.layers[0]
        head = f"Trace of {len(first.steps):,} steps, {len(first.rows):,} rows: "
        lines = [head + ", ".join(self.names)]
        for layer in self.layers:
            both = ", both directions" if layer.directions == 2 else ""
            lines.append(f"  {layer.name}: {layer.cell}{both}")
        return "\n".join(lines)

    # other forms

    def to_xarray(self, layers: Sequence[int | str] | None = None) -> xarray.Dataset:
        """As an `xarray.Dataset`: a variable for each name, with labelled axes.

        Axes are (time, row, layer, direction, unit); what a layer has not, and padding, is NaN.
        Gradients are variables "d_NAME". `.to_array("name")` makes one array with an axis of names.

        Args:
            layers: which; None: all that have the time and the rows of the first.

        Raises:
            MissingExtraError: xarray is missing; the message says what to install.
            ValueError: the layers differ in time or rows.
        """
        from ostinato.layers.tracing.files import to_xarray

        return to_xarray(self, layers)

    def save(self, path: str | Path) -> None:
        """Write to a file: .npz (compressed) or .safetensors; `Trace.load` reads either.

        Raises:
            ValueError: the name ends in something else.
            OSError: it cannot be written.
        """
        from ostinato.layers.tracing.files import save

        save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read what `save` wrote. Nothing is unpickled.

        Raises:
            ValueError: the file is no trace.
            OSError: it cannot be read.
        """
        from ostinato.layers.tracing.files import load

        return load(Path(path))


def unknown(what: str, given: str, known: Sequence[str]) -> str:
    """The message for a name that is not there.

    Example:
        >>> unknown("name", "forget", ["h", "f", "forget.pre"])
        "Trace: there is no name 'forget'. Did you mean 'forget.pre'? There are h, f, forget.pre."
    """
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    near = near or [one for one in known if one.lower() == given.lower()][:1]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Trace: there is no {what} {given!r}.{hint} There are {', '.join(known)}."
