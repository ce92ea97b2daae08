"""Cells by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from difflib import get_close_matches
from typing import TypeAlias

from torch import nn

from ostinato.cells.base import Cell
from ostinato.cells.clockwork import ClockworkRNN
from ostinato.cells.elman import Elman
from ostinato.cells.gated import MGU, Gated
from ostinato.cells.gru import GRU
from ostinato.cells.independent import IndRNN
from ostinato.cells.jordan import Jordan
from ostinato.cells.leaky import LeakyRNN
from ostinato.cells.lstm import LSTM
from ostinato.cells.minimal import MinGRU, MinLSTM
from ostinato.cells.multiplicative import MultiplicativeLSTM
from ostinato.cells.narx import NARX

__all__ = ["NAMES", "CellFactory", "by_name", "resolve"]

CellFactory: TypeAlias = Callable[..., nn.Module]

_BY_NAME: dict[str, type[Cell]] = {
    "clockwork": ClockworkRNN,
    "elman": Elman,
    "gated": Gated,
    "gru": GRU,
    "indrnn": IndRNN,
    "jordan": Jordan,
    "leaky": LeakyRNN,
    "lstm": LSTM,
    "mgu": MGU,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "mlstm": MultiplicativeLSTM,
    "narx": NARX,
}

NAMES = tuple(_BY_NAME)


def by_name(name: str) -> type[Cell]:
    """The class of one of our cells.

    Raises:
        ValueError: there is no cell of that name.

    Example:
        >>> by_name("lstm")(3, 4)
        LSTM(
          3, 4
          (gates): Gates('i f g o', 3, 4)
        )
    """
    if name not in _BY_NAME:
        near = get_close_matches(name.lower(), NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"cell: {name!r} is none of {', '.join(NAMES)}.{hint} "
            'A cell of your own is named as "module:Class".'
        )
    return _BY_NAME[name]


def resolve(spec: str | CellFactory) -> CellFactory:
    """What builds a cell: a name of ours, "module:Class" for anyone's, or a class as it is.

    Raises:
        ValueError: no such cell, module or class.

    Example:
        >>> resolve("torch.nn:GRUCell")(3, 4)
        GRUCell(3, 4)
    """
    if not isinstance(spec, str):
        return spec
    if ":" not in spec:
        return by_name(spec)
    module_name, _, class_name = spec.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # an import that fails inside the user's module is the user's to see
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ValueError(
            f"cell: {spec!r} names module {module_name!r}, which cannot be found; its folder must "
            "be on the import path (PYTHONPATH)."
        ) from error
    found = getattr(module, class_name, None)
    if not callable(found):
        raise ValueError(f"cell: module {module_name!r} has no class {class_name!r}.")
    return found  # type: ignore[no-any-return]
