"""What a recurrent network did, step by step; made in `ostinato.layers.tracing`."""

from ostinato.layers.tracing import Layer, Loss, Part, Trace, trace

__all__ = ["Layer", "Loss", "Part", "Trace", "trace"]
