"""What a Gauss-Newton product costs, in gradients: J v by the tangent, then J' H_L J v.

    python benchmarks/products.py [--json FILE] [--quick] [--threads N]

The networks have a readout and a softmax at every step, as Hessian-free training has them.
The products are those of `ostinato.HessianFree`. "product" is what conjugate gradients pay again
and again, with the walk that goes back kept from one product to the next; "product alone" also
walks forward for it. They are held to those of the reference in float64 before anything is timed.
"""

from __future__ import annotations

import argparse
import copy
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

import ostinato
from measure import Contestant, Pace, alternate, difference, machine
from ostinato.engine.fused import EngineWarning
from ostinato.training.hessian_free import CrossEntropy
from ostinato.training.hessian_free.objective import Batch
from ostinato.training.hessian_free.products import Curvature
from ostinato.training.hessian_free.space import Space
from report import Row, print_machine, print_rows, write_json
from subjects import Shape
from whole import TOLERANCE

__all__ = ["Problem", "product_rows"]

_SECTION = "Gauss-Newton products, in gradients"
_SHAPES = (Shape(32, 100, 64, 128), Shape(100, 100, 2, 100))
_CLASSES = 10
_GOAL = 3.0


class _Network(nn.Module):
    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.readout = layer, nn.Linear(width, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.readout(self.layer(x)[0])
        return scores


class Problem:
    """A network, a batch and a direction.

    Args:
        kind: "RNN" or "LSTM".
        shape: of the batch.
    """

    def __init__(self, kind: str, shape: Shape) -> None:
        maker = torch.Generator().manual_seed(0)
        torch.manual_seed(0)
        self.network = _Network(getattr(ostinato, kind)(shape.I, shape.H), shape.H)
        self.x = torch.randn(shape.T, shape.B, shape.I, generator=maker)
        self.labels = torch.randint(_CLASSES, (shape.T, shape.B), generator=maker)
        self.direction = [torch.randn(p.shape, generator=maker) for p in self.network.parameters()]
        self.matrix: Curvature | None = None

    def exact(self) -> Problem:
        """The same in float64."""
        other = copy.copy(self)
        other.network = copy.deepcopy(self.network).double()
        other.x, other.matrix = self.x.double(), None
        other.direction = [v.double() for v in self.direction]
        return other

    @property
    def weights(self) -> list[Tensor]:
        return list(self.network.parameters())

    def gradient(self) -> list[Tensor]:
        scores = self.network(self.x).flatten(0, 1)
        loss = F.cross_entropy(scores, self.labels.flatten())
        return list(torch.autograd.grad(loss, self.weights))

    def keep(self) -> None:
        """Walk forward for all products to come."""
        self.matrix = self._matrix()

    def product(self) -> list[Tensor]:
        """The product, with the graph that `keep` made."""
        assert self.matrix is not None
        return self._by(self.matrix)

    def product_alone(self) -> list[Tensor]:
        return self._by(self._matrix())

    def _matrix(self) -> Curvature:
        def closure() -> tuple[Tensor, CrossEntropy]:
            return self.network(self.x), CrossEntropy(self.labels)

        return Curvature(Space(self.network), Batch(closure, "benchmark", self.x.device))

    def _by(self, matrix: Curvature) -> list[Tensor]:
        space = matrix.space
        return space.shaped(matrix(space.flat(self.direction)))


def product_rows(pace: Pace, quick: bool) -> Iterator[Row]:
    """Elman and LSTM, with a product held to at most three gradients."""
    for kind in ("RNN", "LSTM"):
        for shape in (Shape(3, 5, 2, 4),) if quick else _SHAPES:
            yield from _rows(kind, shape, pace)


def _rows(kind: str, shape: Shape, pace: Pace) -> Iterator[Row]:
    problem = Problem(kind, shape)
    problem.keep()
    deeds = {"product": problem.product, "product alone": problem.product_alone}
    wrong = _objection(problem, deeds)
    if wrong:
        yield Row(_SECTION, kind, str(shape), wrong=wrong)
        return
    field = [Contestant(name, deed) for name, deed in deeds.items()]
    timings = alternate([*field, Contestant("gradient", problem.gradient)], pace)
    times = {name: timing.median for name, timing in timings.items()}
    for name in deeds:
        told = {key: times[key] for key in (name, "gradient")}
        row = Row(_SECTION, f"{kind}, {name}", str(shape), told, goal=_GOAL, more=False)
        row.figure = times[name] / times["gradient"]
        yield row


def _objection(problem: Problem, deeds: dict[str, Callable[[], list[Tensor]]]) -> str:
    """Why no time is told: a result that is not the reference's in float64."""
    exact = problem.exact()
    with ostinato.engine("eager"):
        products, gradient = exact.product_alone(), exact.gradient()
    pairs = [(name, deed, products) for name, deed in deeds.items()]
    for name, deed, wanted in [*pairs, ("gradient", problem.gradient, gradient)]:
        with warnings.catch_warnings():
            warnings.simplefilter("error", EngineWarning)
            try:
                got = deed()
            except EngineWarning as warning:
                return f"{name}: not fused: {warning}"
        far = difference(got, wanted)
        if not far <= TOLERANCE:
            return f"{name}: {far:.1e} from float64, where {TOLERANCE:.0e} is allowed"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 where a result was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])  # type: ignore[union-attr]
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    parser.add_argument("--quick", action="store_true", help="few calls: to try it, not to tell")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), metavar="N")
    given = parser.parse_args(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(given.threads)
    try:
        console, told = Console(width=None if sys.stdout.isatty() else 160), machine()
        pace = Pace(2, 1, 0.01) if given.quick else Pace()
        print_machine(console, told)
        rows = list(product_rows(pace, given.quick))
    finally:
        torch.set_num_threads(before)
    print_rows(console, _SECTION, rows)
    if given.json is not None:
        write_json(given.json, told, rows)
    return 1 if any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
