"""Products with the Gauss-Newton matrix, by one pass in forward mode and one back.

    G v = J' H J v

J is the derivative of the outputs by the parameters, H that of the loss twice by the outputs. The
pass forward gives J v, the pass back J' of what H makes of it; no matrix is ever held. With
structural damping the hidden states are outputs, too, and their H is that of a distance between
the states as they are and as they would become:

    (G + s S) v = J_z' H J_z v + s J_h' D J_h v

Sources: Schraudolph (2002), doi:10.1162/08997660260028683, for the product; Martens and Sutskever
(2011), "Learning recurrent neural networks with Hessian-free optimization", for structural damping.
They measure the change of the hidden states by the pre-activations x of tanh units, J_x' diag(1 -
h^2) J_x, which is "cross-entropy" here; "squared" takes J_h' J_h, which suits any state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ostinato.training.hessian_free.losses import curvature_of, like
from ostinato.training.hessian_free.objective import Batch, Objective
from ostinato.training.hessian_free.space import Space

__all__ = ["DISTANCES", "Curvature", "NoProductError", "neither"]

# distances between hidden states -> their second derivative by the new states, at the old ones
DISTANCES: dict[str, Callable[[Tensor], Tensor]] = {
    "squared": torch.ones_like,
    # a unit in -1..1 read as a coin of probability (1 + h) / 2
    "cross-entropy": lambda h: 1 / (1 - h.square()).clamp_min(torch.finfo(h.dtype).eps),
}


class NoProductError(RuntimeError):
    """No product can be had: the model has neither forward mode nor a second derivative."""


class Curvature:
    """Products with the Gauss-Newton matrix of a batch, at the parameters as they are now.

    The model is walked forward here, once; the graph is kept for all products.

    Args:
        space: the parameters.
        batch: whose matrix it is; the mean over its chunks.
        structural: s, the strength of structural damping.
        distance: between hidden states, a key of `DISTANCES`.
        forward: take J v in forward mode. Otherwise it is the derivative of J' u by u, for which
            the model needs a second derivative.

    Raises:
        ValueError: structural damping is asked for, and a closure returns no hidden states.
        NoProductError: `forward` is off, and the model cannot be differentiated twice.
    """

    def __init__(
        self,
        space: Space,
        batch: Batch,
        *,
        structural: float = 0.0,
        distance: str = "squared",
        forward: bool = True,
    ) -> None:
        self.space, self.structural, self.forward = space, structural, forward
        self._parts = [_Part(space, run, distance, structural > 0, forward) for run in batch]
        self._rows = sum(part.rows for part in self._parts)

    def __call__(self, vector: Tensor) -> Tensor:
        """(G + s S) v, all of them [N]."""
        return self._product(vector, self.structural)

    def undamped(self, vector: Tensor) -> Tensor:
        """G v alone."""
        return self._product(vector, 0.0)

    def value(self) -> float:
        """The objective of the batch."""
        return sum(part.share(self._rows) * part.value.item() for part in self._parts)

    def gradient(self) -> Tensor:
        """The gradient [N] of the objective of the batch."""
        return self._sum(lambda part: part.back(part.slopes))

    def squared_gradients(self, generator: torch.Generator, draws: int) -> Tensor:
        """The mean over all predictions of their squared gradients [N], estimated.

        A pass back from the slopes of all predictions, each times a sign drawn at random, gives a
        sum whose square has the sum of the squares as its mean; this is the mean of some draws.
        """
        total = torch.zeros_like(self.space.read())
        for _ in range(draws):
            for part in self._parts:
                signed = [slope * _signs(slope, generator) for slope in part.slopes]
                total += part.rows**2 * part.back(signed).square()
        return total / (draws * self._rows)

    def disagreement(self, vector: Tensor) -> float:
        """How far the two passes are from each other's transpose, relative to their size.

        u' (J v) = v' (J' u) for any u: here the slopes of the loss, and J v itself.
        """
        worst = 0.0
        for part in self._parts:
            changes = part.ahead(self.space.shaped(vector))
            for u in (part.slopes, changes):
                pairs = zip(u, changes, strict=False)
                forth = sum(torch.sum(a * b).item() for a, b in pairs)
                back = torch.dot(vector, part.back(u)).item()
                worst = max(worst, abs(forth - back) / max(abs(forth), abs(back), _TINY))
        return worst

    def _product(self, vector: Tensor, structural: float) -> Tensor:
        direction = self.space.shaped(vector)
        return self._sum(lambda part: part.product(direction, structural))

    def _sum(self, term: Callable[[_Part], Tensor]) -> Tensor:
        terms = [part.share(self._rows) * term(part) for part in self._parts]
        return terms[0] if len(terms) == 1 else torch.stack(terms).sum(0)


class _Part:
    """One closure's part of a product."""

    def __init__(
        self, space: Space, run: Callable[[], Objective], distance: str, states: bool, forward: bool
    ) -> None:
        self.space, self.run, self.states = space, run, states
        with torch.enable_grad():
            objective = run()
        if states and objective.hidden is None:
            raise ValueError(
                "HessianFree: structural damping needs the hidden states. Return (outputs, loss, "
                "hidden) from the closure of the curvature, or set structural=0."
            )
        self.rows = objective.count
        self.graph = self._tensors(objective)
        self.outputs = len(objective.tensors)
        values = [tensor.detach() for tensor in objective.tensors]
        self.curved = curvature_of(objective.loss, values, objective.outputs)
        self.bends = [DISTANCES[distance](h.detach()) / self.rows for h in self._states(objective)]
        self.value, self.slopes = _slopes(objective, values)
        self.transpose = None if forward else _Transpose(self.graph, space.parameters)

    def share(self, rows: float) -> float:
        """Its share of a batch."""
        return self.rows / rows

    def product(self, direction: Sequence[Tensor], structural: float) -> Tensor:
        changes = self.ahead(direction)
        curved = self.curved(changes[: self.outputs])
        if structural:
            moved = zip(self.bends, changes[self.outputs :], strict=True)
            curved += [structural * bend * change for bend, change in moved]
        return self.back(curved)

    def ahead(self, direction: Sequence[Tensor]) -> list[Tensor]:
        """J v: the change of the outputs, and of the hidden states where they count."""
        if self.transpose is not None:
            return self.transpose(direction)
        named = zip(self.space.named.items(), direction, strict=True)
        with torch.no_grad(), forward_ad.dual_level():
            duals = {name: _dual(p.detach(), change) for (name, p), change in named}
            found = self._tensors(self.space.called_with(duals, self.run))
            tangents = [forward_ad.unpack_dual(y).tangent for y in found]  # type: ignore[no-untyped-call]
        pairs = zip(tangents, self.graph, strict=True)
        return [torch.zeros_like(y) if t is None else t for t, y in pairs]

    def back(self, changes: Sequence[Tensor]) -> Tensor:
        """J' u, of the outputs alone where fewer changes are given."""
        pairs = zip(self.graph, changes, strict=False)
        live = [(y, u) for y, u in pairs if y.requires_grad]
        if not live:
            return torch.zeros_like(self.space.read())
        ys, us = zip(*live, strict=True)
        grads = torch.autograd.grad(
            ys, self.space.parameters, us, retain_graph=True, materialize_grads=True
        )
        return self.space.flat(grads)

    def _tensors(self, objective: Objective) -> list[Tensor]:
        return [*objective.tensors, *self._states(objective)]

    def _states(self, objective: Objective) -> list[Tensor]:
        return objective.states if self.states else []


class _Transpose:
    """J v as the derivative of J' u by u, in the direction v: back twice, with both graphs kept."""

    def __init__(self, graph: Sequence[Tensor], parameters: Sequence[Tensor]) -> None:
        self.shapes = graph
        live = [y for y in graph if y.requires_grad]
        self.us = [torch.zeros_like(y, requires_grad=True) for y in live]
        try:
            pulled = torch.autograd.grad(
                live, parameters, self.us, create_graph=True, materialize_grads=True
            )
        except RuntimeError as error:
            raise neither(str(error)) from error
        self.places = [n for n, grad in enumerate(pulled) if grad.requires_grad]
        self.pulled = [pulled[n] for n in self.places]

    def __call__(self, direction: Sequence[Tensor]) -> list[Tensor]:
        given = [direction[n] for n in self.places]
        try:
            found = torch.autograd.grad(
                self.pulled, self.us, given, retain_graph=True, materialize_grads=True
            )
        except RuntimeError as error:
            raise neither(str(error)) from error
        changes = iter(found)
        return [next(changes) if y.requires_grad else torch.zeros_like(y) for y in self.shapes]


_TINY = 1e-30


def neither(why: str) -> NoProductError:
    """The error for a model that has no products."""
    return NoProductError(
        f"HessianFree: the model has neither forward mode nor a second derivative: {why}. Products "
        "with its curvature need one of them: put ostinato's or eager layers in the place of what "
        "lacks both (ostinato.accelerate does so for torch.nn.RNN, LSTM and GRU)."
    )


def _slopes(objective: Objective, values: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The loss of the outputs, and its slopes by each of them."""
    own = [value.detach().requires_grad_() for value in values]
    given = like(objective.outputs, own)
    with torch.enable_grad():
        value = objective.loss(given)
    slopes = torch.autograd.grad(value, own, materialize_grads=True)
    return value.detach(), list(slopes)


def _dual(value: Tensor, change: Tensor) -> Tensor:
    dual: Tensor = forward_ad.make_dual(value, change)  # type: ignore[no-untyped-call]
    return dual


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """+1 or -1 for each prediction, [..., 1]."""
    drawn = torch.randint(2, like.shape[:-1], generator=generator, device="cpu")
    return (2 * drawn - 1).to(like).unsqueeze(-1)
