"""Elementwise recurrences that are not affine, h[t] = f(h[t-1], t), for all steps at once.

Newton's iteration over the whole sequence: with J the slope of f at the states so far, the states
change by d, where d[t] = J[t] d[t-1] + f(h[t-1], t) - h[t], an affine recurrence, which `scan`
solves. Source: Lim, Zhu, Selfridge, Kasim (2024), arXiv:2309.12252. What a unit hears is a number,
not a vector, so this is their method itself, where Gonzalez, Warrington, Smith, Linderman (2024),
arXiv:2407.19115, leave out all but the diagonal. As in the code of both, changes that are not
finite count as zero. The latter's damping, slopes scaled by 1 - k, settled no more draws here than
k = 0 (benchmarks/scan.py --only damping), and is left out.

We solve for the change, not for the states: its rounding errors are small when it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ostinato.engine.associative import adjoint, scan

__all__ = ["ITERATIONS", "Equation", "fixed_point", "implicit"]

ITERATIONS = 24
# the last change, in units in the last place of a unit's largest value
_ULPS = 32


class Equation(Protocol):
    """The recurrence of one state; `tensors` are all that it may be differentiated by."""

    @property
    def reverse(self) -> bool:
        """Whether the walk is from the last step to the first."""

    def before(self, states: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """The state before each step, [T, B, S], given that after each."""

    def step(self, old: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """What each step makes of the state before it, and the slope there, each [T, B, S]."""


def fixed_point(
    equation: Equation, guess: Tensor, tensors: Sequence[Tensor]
) -> tuple[Tensor | None, int]:
    """The states that solve the recurrence, [T, B, S], and how many iterations that took.

    They are found when the change, which is the error of the states before it, is no more than
    rounding; else they are None after `ITERATIONS`.
    """
    states, zero = guess, torch.zeros_like(guess[0])
    tolerance = _ULPS * torch.finfo(guess.dtype).eps
    with torch.no_grad():
        for n in range(1, ITERATIONS + 1):
            made, slope = equation.step(equation.before(states, tensors), tensors)
            change = scan(slope, made - states, zero, reverse=equation.reverse)
            sane = bool(change.sum().isfinite())
            change = change if sane else change.nan_to_num(0, 0, 0)
            states = states + change
            allowed = tolerance * states.abs().amax((0, 1))
            if sane and bool((change.abs().amax((0, 1)) <= allowed).all()):
                return states, n
    return None, ITERATIONS


def implicit(equation: Equation, solution: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """The solution as a differentiable function of the tensors, by the implicit function theorem.

    The gradient walks no iteration: it is one scan, the other way, with the slopes there.
    """
    found: Tensor = _Implicit.apply(equation, solution, *tensors)  # type: ignore[no-untyped-call]
    return found


class _Implicit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, equation: Equation, solution: Tensor, *tensors: Tensor) -> Tensor:
        states = solution.view_as(solution)
        ctx.equation = equation
        ctx.save_for_backward(states, *tensors)
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        states, *tensors = ctx.saved_tensors
        again, equation = torch.is_grad_enabled(), ctx.equation
        wanted = ctx.needs_input_grad[2:]
        with torch.enable_grad():
            # aliases, since one tensor may have been made of another: each is to count by itself
            own = [
                (t.view_as(t) if again else t.detach().requires_grad_()) if want else t
                for t, want in zip(tensors, wanted, strict=True)
            ]
            states = states if again else states.detach()
            made, slope = equation.step(equation.before(states, own), own)
            asked = [t for t, want in zip(own, wanted, strict=True) if want]
            with torch.set_grad_enabled(again):
                g = adjoint(slope if again else slope.detach(), grads[0], reverse=equation.reverse)
            given = torch.autograd.grad(made, asked, g, create_graph=again, allow_unused=True)
        found = iter(given)
        return None, None, *(next(found) if want else None for want in wanted)
