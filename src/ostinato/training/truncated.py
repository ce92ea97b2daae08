"""Truncated backpropagation through time: every k1 steps, back over k2 steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ostinato.training.states import map_tensors

__all__ = ["Window", "reach_back", "truncated"]

# (x, state) -> (output, new state): a recurrent layer, or a function around one
Steps: TypeAlias = Callable[[Any, Any], tuple[Tensor, Any]]


@dataclass(frozen=True)
class Window:
    """The steps whose loss is to go back now.

    Attributes:
        output: at these steps; its graph reaches k2 steps back from the last of them.
        steps: which they are, to cut targets likewise: `targets[window.steps]`.
        state: the state after the last of them, cut off from its past.
    """

    output: Tensor
    steps: slice
    state: Any


def truncated(
    layer: Steps,
    x: Tensor,
    state: Any = None,
    *,
    k1: int,
    k2: int,
    batch_first: bool | None = None,
) -> Iterator[Window]:
    """Walk a long sequence, stopping every k1 steps for a gradient over the last k2 steps.

    Each window brings k1 fresh steps. The loss of these alone goes back, also through the k2 - k1
    steps before them, which are walked once more, with the weights as they are then, from a state
    that was kept. So the weights may be changed after each window, and memory does not grow with
    the length of the sequence. With k2 >= T and weights left alone, the gradients of the windows
    add up to that of the whole.

    Sources: BPTT(h; h') of Williams, Peng (1990), doi:10.1162/neco.1990.2.4.490, with h = k2 and
    h' = k1; k1 and k2 are Sutskever's names (2013, "Training recurrent neural networks", thesis,
    section 2.8.6).

    Args:
        layer: maps (x, state) to (output, new state): any recurrent layer, ours or torch.nn's, or
            a function that calls one; state None begins.
        x: the sequence, [T, B, ...], or [B, T, ...] with `batch_first`.
        state: what to begin with.
        k1: steps between two gradients.
        k2: steps that a gradient goes back, k1 or more.
        batch_first: the second axis is time; as the layer says unless given.

    Yields:
        A `Window` for every k1 steps; the last may have fewer.

    Raises:
        ValueError: k1 is below 1, or k2 below k1.
        TypeError: x is no tensor.

    Example:
        >>> layer = torch.nn.GRU(2, 3)
        >>> for window in truncated(layer, torch.randn(100, 4, 2), k1=25, k2=50):
        ...     window.output.square().mean().backward()
        >>> window.output.shape, window.steps
        (torch.Size([25, 4, 3]), slice(75, 100, None))
    """
    _check(k1, k2)
    if not isinstance(x, Tensor):
        raise TypeError(
            f"truncated: x must be a tensor [T, B, ...], got {type(x).__name__}. Pad packed rows "
            "first (torch.nn.utils.rnn.pad_packed_sequence)."
        )
    if batch_first is None:
        batch_first = bool(getattr(layer, "batch_first", False))
    return _windows(layer, x, state, k1, k2, 1 if batch_first else 0)


def _windows(layer: Steps, x: Tensor, state: Any, k1: int, k2: int, axis: int) -> Iterator[Window]:
    T, start, done = x.shape[axis], 0, 0
    while done < T:
        stop = min(done + k1, T)
        # where the next window begins; its state is met on the way
        middle = min(max(min(stop + k1, T) - k2, start), stop)

        def cut(first: int, end: int, start: int = start) -> Tensor:
            return x.narrow(axis, start + first, end - first)

        output, left, last = _walk(layer, cut, stop - start, state, middle - start, axis)
        fresh = stop - done
        output = output.narrow(axis, output.shape[axis] - fresh, fresh)
        yield Window(output, slice(done, stop), map_tensors(last, Tensor.detach))
        # nothing of the window may be held while the next is walked
        del output, last
        state = left
        start, done = middle, stop


def _walk(
    layer: Steps, cut: Callable[[int, int], Any], length: int, state: Any, steps: int, axis: int
) -> tuple[Tensor, Any, Any]:
    """Output at all steps, the state after some of them, cut off, and the last state."""
    if steps == 0:
        output, last = layer(cut(0, length), state)
        return output, state, last
    first, met = layer(cut(0, steps), state)
    left = map_tensors(met, Tensor.detach)
    if steps == length:
        return first, left, met
    rest, last = layer(cut(steps, length), met)
    return torch.cat([first, rest], dim=axis), left, last


def reach_back(
    layer: Steps, parts: Sequence[Tensor | None], carried: Any, *, k2: int
) -> tuple[Tensor, Any]:
    """One chunk of a stream, its gradient reaching k2 steps back, into the chunks before.

    For streams that come in chunks of k1 steps, as training steps get them: `truncated` where the
    sequence is not all there.

    Args:
        layer: maps (parts, state) to (output, new state).
        parts: the chunk's tensors, each [k1, B, ...]; None for one that is all zeros (or false).
        carried: what the chunk before has left here; None begins.
        k2: steps that the gradient goes back, k1 or more.

    Returns:
        The output at the chunk's own steps, and what is to be carried to the next chunk: nested
        tuples of tensors without a past.

    Raises:
        ValueError: k2 is below the steps of the chunk.

    Example:
        >>> gru, carried = torch.nn.GRU(2, 3), None
        >>> for chunk in torch.randn(100, 4, 2).split(25):
        ...     y, carried = reach_back(lambda x, h: gru(x[0], h), [chunk], carried, k2=60)
        ...     y.square().mean().backward()
        >>> y.shape, carried[1][0].shape
        (torch.Size([25, 4, 3]), torch.Size([35, 4, 2]))
    """
    fresh = next(len(part) for part in parts if part is not None)
    _check(fresh, k2)
    state, past = (None, [None] * len(parts)) if carried is None else carried
    before = next((len(part) for part in past if part is not None), 0)
    pairs = zip(past, parts, strict=True)
    whole = [_joined(old, new, before, fresh) for old, new in pairs]
    total = before + fresh
    steps = max(total + fresh - k2, 0)

    def cut(first: int, end: int) -> list[Tensor | None]:
        return [None if part is None else part[first:end] for part in whole]

    output, left, _ = _walk(layer, cut, total, state, steps, 0)
    kept = tuple(None if part is None else part[steps:].detach() for part in whole)
    return output[total - fresh :], (left, kept)


def _joined(old: Tensor | None, new: Tensor | None, before: int, fresh: int) -> Tensor | None:
    """What was kept and what is new, side by side; None where neither is."""
    if old is None and new is None:
        return None
    if old is None:
        assert new is not None
        old = new.new_zeros(before, *new.shape[1:])
    if new is None:
        new = old.new_zeros(fresh, *old.shape[1:])
    return torch.cat([old, new])


def _check(k1: int, k2: int) -> None:
    if k1 < 1:
        raise ValueError(f"truncated: k1 must be at least 1 step, got {k1}.")
    if k2 < k1:
        raise ValueError(
            f"truncated: a gradient every k1={k1} steps has to go back over at least as many, got "
            f"k2={k2}. Or some steps would never be learned from."
        )
