"""Affine recurrences for all steps at once: h[t] = a[t] h[t-1] + b[t], unit by unit.

Two steps in a row are one step of the same form, (a2, b2) after (a1, b1) being (a2 a1, a2 b1 + b2),
and that is associative: so chunks of steps are taken together, the states between the chunks found
in the same way, and each chunk is walked from its own start, all chunks side by side. Source:
Blelloch (1990), "Prefix Sums and Their Applications", CMU-CS-90-190; with its gradient, which is a
scan the other way: Martin and Cundy (2018), arXiv:1709.04057.

Nothing is divided and no logarithm taken: within a chunk the arithmetic is that of a walk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["adjoint", "scan"]

# steps taken together; 6 to 12 measured alike, 2 and 32 up to twice as slow
_CHUNK = 8


def scan(a: Tensor, b: Tensor, start: Tensor, *, reverse: bool = False) -> Tensor:
    """Every state of h[t] = a[t] h[t-1] + b[t], [T, B, S]; differentiable any number of times.

    Args:
        a: [T, B, S], at least one step; may be expanded.
        b: [T, B, S].
        start: the state before the first step, [B, S].
        reverse: walk from the last step to the first, h[t] = a[t] h[t+1] + b[t].
    """
    states: Tensor = _Scan.apply(a, b, start, reverse)  # type: ignore[no-untyped-call]
    return states


def adjoint(a: Tensor, g: Tensor, *, reverse: bool = False) -> Tensor:
    """The gradient of b in `scan(a, b, start, reverse=reverse)`, [T, B, S], given that of h."""
    if len(g) == 1:
        return g
    if torch.is_grad_enabled():
        # against the walk, from its last step
        parts = [scan(a[:-1], g[1:], g[0]), g[:1]] if reverse else [g[-1:], _tail(a, g)]
        return torch.cat(parts[::-1])
    found = torch.empty_like(g, memory_format=torch.contiguous_format)
    if reverse:
        found[0] = g[0]
        _solve(a[:-1], g[1:], g[0], found[1:], False)
    else:
        found[-1] = g[-1]
        _solve(a[1:], g[:-1], g[-1], found[:-1], True)
    return found


def _tail(a: Tensor, g: Tensor) -> Tensor:
    return scan(a[1:], g[:-1], g[-1], reverse=True)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, start: Tensor, reverse: bool) -> Tensor:
        states = torch.empty_like(b, memory_format=torch.contiguous_format)
        _solve(a, b, start, states, reverse)
        ctx.reverse = reverse
        ctx.save_for_backward(a, start, states)
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a, start, states = ctx.saved_tensors
        needs_a, _, needs_start, _ = ctx.needs_input_grad
        g = adjoint(a, grads[0], reverse=ctx.reverse)
        first = -1 if ctx.reverse else 0
        d_start = a[first] * g[first] if needs_start else None
        return _slopes(g, states, start, ctx.reverse) if needs_a else None, g, d_start, None


def _slopes(g: Tensor, states: Tensor, start: Tensor, reverse: bool) -> Tensor:
    """The gradient of a: that of b times the state before."""
    if torch.is_grad_enabled():
        edge = start[None]
        old = torch.cat([states[1:], edge] if reverse else [edge, states[:-1]])
        return g * old
    found = torch.empty_like(g)
    if reverse:
        torch.mul(g[-1], start, out=found[-1])
        torch.mul(g[:-1], states[1:], out=found[:-1])
    else:
        torch.mul(g[0], start, out=found[0])
        torch.mul(g[1:], states[:-1], out=found[1:])
    return found


def _solve(a: Tensor, b: Tensor, start: Tensor, out: Tensor, reverse: bool) -> None:
    """Fill `out`; where that leaves the finite numbers, step by step.

    A product of factors may overflow where no state does, and infinity times zero is not a number.
    """
    _chunks(a, b, start, out, reverse)
    if not bool(out.sum().isfinite()):
        _walk(a, b, start, out, reverse)


def _chunks(a: Tensor, b: Tensor, start: Tensor, out: Tensor, reverse: bool) -> None:
    T = len(a)
    count = T // _CHUNK
    if count < 2:
        _walk(a, b, start, out, reverse)
        return
    whole = slice(T - count * _CHUNK, T) if reverse else slice(0, count * _CHUNK)
    rest = slice(0, T - count * _CHUNK) if reverse else slice(count * _CHUNK, T)
    # [count, _CHUNK, B, S]: step i of every chunk at once
    shape = (count, _CHUNK, *start.shape)
    A, D, O = (part[whole].view(shape) for part in (a, b, out))  # noqa: E741
    order = range(_CHUNK)[::-1] if reverse else range(_CHUNK)
    factor, drive = A[:, order[0]].contiguous().clone(), D[:, order[0]].contiguous().clone()
    for i in order[1:]:
        factor.mul_(A[:, i])
        torch.addcmul(D[:, i], A[:, i], drive, out=drive)
    # the states between chunks, that before the first among them
    between = start.new_empty(count + 1, *start.shape)
    between[count if reverse else 0] = start
    ends, old = (between[:-1], between[1:]) if reverse else (between[1:], between[:-1])
    _chunks(factor, drive, start, ends, reverse)
    for i in order:
        old = torch.addcmul(D[:, i], A[:, i], old, out=O[:, i])
    _walk(a[rest], b[rest], ends[0 if reverse else -1], out[rest], reverse)


def _walk(a: Tensor, b: Tensor, start: Tensor, out: Tensor, reverse: bool) -> None:
    old, steps = start, range(len(a))
    for t in reversed(steps) if reverse else steps:
        old = torch.addcmul(b[t], a[t], old, out=out[t])
