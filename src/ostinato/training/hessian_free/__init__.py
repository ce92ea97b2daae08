"""Hessian-free optimisation.

`HessianFree` is the optimiser; `Objective` and the losses are what its closures return. Names load
when first used.
"""

from __future__ import annotations

from ostinato.training.hessian_free.losses import Bernoulli, CrossEntropy, SquaredError
from ostinato.training.hessian_free.objective import Objective
from ostinato.training.hessian_free.optimiser import HessianFree
from ostinato.training.hessian_free.products import NoProductError
from ostinato.training.hessian_free.report import Report

__all__ = [
    "Bernoulli",
    "CrossEntropy",
    "HessianFree",
    "NoProductError",
    "Objective",
    "Report",
    "SquaredError",
]
