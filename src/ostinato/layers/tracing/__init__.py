"""What a recurrent network did, step by step: states, gates, gradients."""

from ostinato.layers.tracing.record import Loss, trace
from ostinato.layers.tracing.recording import Layer, Part, Trace

__all__ = ["Layer", "Loss", "Part", "Trace", "trace"]
