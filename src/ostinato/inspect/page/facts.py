"""What a model is: settings, figures, equations, diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from ostinato.engine.explain import explain
from ostinato.inspect.diagrams import DiagramError, diagram
from ostinato.inspect.diagrams.examples import asking
from ostinato.inspect.diagrams.flow import data_flow
from ostinato.inspect.diagrams.subjects import one_cell, recurrent
from ostinato.inspect.page.material import Material

__all__ = ["describe", "draw"]

_LONG = 200


def describe(material: Material, model: Any) -> None:
    """Settings and figures of a fitted model, as rows of names and values."""
    count = sum(p.numel() for p in model.parameters())
    sizes = [("task", material.task), ("parameters", f"{count:,}")]
    material.facts.append(("Model", sizes))
    settings = model.settings.to_dict()
    for section, values in settings.items():
        rows = list(_rows(values)) if isinstance(values, Mapping) else [("", _shown(values))]
        material.facts.append((f"Settings: {section}", rows))
    if model.figures:
        material.facts.append(("Figures from the fit", list(_rows(model.figures))))


def _rows(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{name}.")
        elif value is not None and value != "":
            yield f"{prefix}{name}", _shown(value)


def _shown(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]} …"


def draw(material: Material, network: nn.Module) -> None:
    """Diagrams of every different cell, and of the whole network folded and unrolled."""
    drawn: set[str] = set()
    number = 0
    for module in recurrent(network).values():
        for own in range(int(module.num_layers)):
            cell = one_cell(network, number + own, 0)
            # alike, but for widths: drawn alike
            look = _look(cell)
            if look in drawn:
                continue
            drawn.add(look)
            _add(material, f"One step of {type(cell).__name__}", network, layer=number + own)
            _equations(material, cell)
        number += int(module.num_layers)
    _add(material, "The network folded", network, kind="folded")
    ask = asking(network)
    flow = None if ask is None else data_flow(network, ask)
    for name in recurrent(network):
        title = "Unrolled over 3 steps" + (f": {name}" if name else "")
        # of a network that is not ours, nobody knows what is read out where
        losses = flow is None or flow.has_losses(name)
        _add(material, title, network, kind="unrolled", layer=name, losses=losses)


def _look(cell: nn.Module) -> str:
    try:
        return diagram(cell).mermaid
    except (DiagramError, TypeError):
        return type(cell).__name__


def _add(material: Material, title: str, network: nn.Module, **options: Any) -> None:
    try:
        found = diagram(network, **options)
    except (DiagramError, TypeError) as error:
        material.notes.append(str(error))
        return
    material.diagrams.append((title, found.svg, found.words))


def _equations(material: Material, cell: nn.Module) -> None:
    try:
        lines = explain(cell).through
    except TypeError:
        return
    rows = [tuple(line.split(" = ", 1)) for line in lines]
    name = f"Equations of {type(cell).__name__}"
    material.facts.append((name, [(left, right) for left, right in rows]))
