"""Reservoirs: fixed random recurrent units, and readouts that are learned."""

from ostinato.reservoirs.cell import ReservoirCell
from ostinato.reservoirs.diagnostics import (
    echo_states,
    effective_spectral_radius,
    memory_capacity,
)
from ostinato.reservoirs.equations import NormalEquations, SingularRidgeError
from ostinato.reservoirs.estimator import EchoStateNetwork
from ostinato.reservoirs.layer import Reservoir
from ostinato.reservoirs.plasticity import intrinsic_plasticity
from ostinato.reservoirs.readouts import LMS, RLS, Force, Gradient, Ridge

__all__ = [
    "LMS",
    "RLS",
    "EchoStateNetwork",
    "Force",
    "Gradient",
    "NormalEquations",
    "Reservoir",
    "ReservoirCell",
    "Ridge",
    "SingularRidgeError",
    "echo_states",
    "effective_spectral_radius",
    "intrinsic_plasticity",
    "memory_capacity",
]
