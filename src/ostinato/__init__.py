"""Ostinato: recurrent networks for PyTorch.

Names load when first used, so that importing is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato import cells
    from ostinato.cells.base import Cell
    from ostinato.compare.compare import compare
    from ostinato.doctor import doctor
    from ostinato.engine import engine
    from ostinato.engine.explain import explain
    from ostinato.inspect.diagrams import diagram
    from ostinato.layers.accelerate import accelerate
    from ostinato.layers.recurrent import Recurrent
    from ostinato.layers.torch_like import GRU, LSTM, RNN
    from ostinato.layers.tracing import Trace, trace
    from ostinato.reservoirs.estimator import EchoStateNetwork
    from ostinato.reservoirs.layer import Reservoir
    from ostinato.tasks.captioner.task import Captioner
    from ostinato.tasks.classifier.task import Classifier
    from ostinato.tasks.composer.task import Composer
    from ostinato.tasks.forecaster.task import Forecaster
    from ostinato.tasks.language_model.task import LanguageModel
    from ostinato.tasks.registry import load
    from ostinato.tasks.tagger.task import Tagger
    from ostinato.tasks.translator.task import Translator
    from ostinato.training.hessian_free.optimiser import HessianFree
    from ostinato.training.initialise import initialise

__version__ = "0.1.0"

# public name -> the module that holds it (a room is its own home)
_HOMES = {
    "cells": "ostinato.cells",
    "Cell": "ostinato.cells.base",
    "compare": "ostinato.compare",
    "doctor": "ostinato.doctor",
    "engine": "ostinato.engine",
    "explain": "ostinato.engine.explain",
    "diagram": "ostinato.inspect.diagrams",
    "accelerate": "ostinato.layers.accelerate",
    "Recurrent": "ostinato.layers.recurrent",
    "RNN": "ostinato.layers.torch_like",
    "LSTM": "ostinato.layers.torch_like",
    "GRU": "ostinato.layers.torch_like",
    "Trace": "ostinato.layers.tracing",
    "trace": "ostinato.layers.tracing",
    "Composer": "ostinato.tasks.composer.task",
    "Forecaster": "ostinato.tasks.forecaster.task",
    "Captioner": "ostinato.tasks.captioner.task",
    "Classifier": "ostinato.tasks.classifier.task",
    "LanguageModel": "ostinato.tasks.language_model.task",
    "Tagger": "ostinato.tasks.tagger.task",
    "Translator": "ostinato.tasks.translator.task",
    "EchoStateNetwork": "ostinato.reservoirs.estimator",
    "Reservoir": "ostinato.reservoirs.layer",
    "HessianFree": "ostinato.training.hessian_free.optimiser",
    "load": "ostinato.tasks.registry",
    "initialise": "ostinato.training.initialise",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ostinato' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    value = home if home.__name__ == f"{__name__}.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
