"""What is measured: cells, shapes, and the runs of one layer over one batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

import ostinato
from measure import Contestant
from ostinato import cells

__all__ = ["SHAPES", "SUBJECTS", "Batch", "OwnCell", "Shape", "Side", "Subject", "contest"]


class Shape(NamedTuple):
    """Rows, steps, width of the input, width of the state."""

    B: int
    T: int
    I: int  # noqa: E741 - the letter of the equations
    H: int

    def __str__(self) -> str:
        return ",".join(map(str, self))


SHAPES = (
    Shape(1, 100, 32, 32),
    Shape(1, 100, 128, 128),
    Shape(32, 100, 64, 64),
    Shape(32, 100, 128, 128),
    Shape(64, 128, 256, 256),
    Shape(64, 50, 512, 512),
    Shape(128, 28, 28, 128),
)


class OwnCell(nn.Module):
    """A cell as a user writes it, knowing nothing of this package: a gate and a candidate."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.x2h = nn.Linear(input_size, 2 * hidden_size)
        self.h2h = nn.Linear(hidden_size, 2 * hidden_size, bias=False)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        gate, candidate = (self.x2h(x) + self.h2h(h)).chunk(2, dim=-1)
        gate = torch.sigmoid(gate)
        return (1 - gate) * h + gate * torch.tanh(candidate)


@dataclass(frozen=True)
class Side:
    """A network, and how it maps x [T, B, I] to y [T, B, H]."""

    name: str
    module: nn.Module
    walk: Callable[[nn.Module, Tensor], Tensor]
    batch_first: bool = False

    def exact(self) -> Side:
        """The same in float64."""
        return replace(self, name="float64", module=copy.deepcopy(self.module).double())


@dataclass(frozen=True)
class Subject:
    """A cell that is measured.

    Attributes:
        name: as `--only` takes it.
        title: as the table prints it.
        build: makes (ours, the reference and other forms of it) for I and H.
        cell: makes the cell, to ask for its cost.
        over: what it is held against, "torch.nn" or "Python loop".
        stages: products that follow one another within a step.
    """

    name: str
    title: str
    build: Callable[[int, int], tuple[Side, ...]]
    cell: Callable[[int, int], nn.Module]
    over: str
    stages: int = 1

    def multiply_adds(self, shape: Shape) -> int:
        """Of one forward walk; the two products of each in the reverse come on top."""
        cell = self.cell(shape.I, shape.H)
        x, h = torch.zeros(2, shape.I), torch.zeros(2, shape.H)
        told = ostinato.explain(cell, x, (h,) * _states(cell))
        return told.multiply_adds * shape.B * shape.T


def _like_torch(
    ours: Callable[..., nn.Module], theirs: Callable[..., nn.Module]
) -> Callable[[int, int], tuple[Side, ...]]:
    def build(input_size: int, hidden_size: int) -> tuple[Side, ...]:
        first = theirs(input_size, hidden_size)
        layer, turned = (
            ours(input_size, hidden_size),
            theirs(input_size, hidden_size, batch_first=True),
        )
        for other in (layer, turned):
            other.load_state_dict(first.state_dict())
        return (
            Side("ostinato", layer, _output),
            Side("torch.nn", first, _output),
            # torch prefers one layout here, the other there
            Side("batch first", turned, _output, batch_first=True),
        )

    return build


def _output(layer: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = layer(x)[0]
    return y


def _of_cell(make: Callable[[int, int], nn.Module]) -> Callable[[int, int], tuple[Side, ...]]:
    def build(input_size: int, hidden_size: int) -> tuple[Side, ...]:
        cell = make(input_size, hidden_size)
        sizes = [hidden_size] * _states(cell)
        layer = ostinato.Recurrent(cell, input_size=input_size, state_sizes=sizes)
        return (
            Side("ostinato", layer, _output),
            Side("Python loop", cell, lambda cell, x: _loop(cell, x, sizes)),
        )

    return build


def _states(cell: nn.Module) -> int:
    return len(cell.state_sizes) if isinstance(cell, cells.Cell) else 1


def _loop(cell: nn.Module, x: Tensor, sizes: Sequence[int]) -> Tensor:
    """The loop that one writes around a cell."""
    state = tuple(x.new_zeros(x.shape[1], size) for size in sizes)
    outputs = []
    for step in x.unbind(0):
        result = cell(step, *state)
        state = result if isinstance(result, tuple) else (result,)
        outputs.append(state[0])
    return torch.stack(outputs)


def _torch_subject(name: str, cell: Callable[[int, int], nn.Module]) -> Subject:
    build = _like_torch(getattr(ostinato, name), getattr(nn, name))
    return Subject(name.lower(), name, build, cell, "torch.nn")


def _cell_subject(
    name: str, title: str, make: Callable[[int, int], nn.Module], stages: int = 1
) -> Subject:
    return Subject(name, title, _of_cell(make), make, "Python loop", stages)


SUBJECTS = (
    _torch_subject("LSTM", cells.LSTM),
    _torch_subject("GRU", cells.GRU),
    _torch_subject("RNN", cells.Elman),
    _cell_subject("gated", "Gated", cells.Gated),
    _cell_subject("own", "own nn.Module", OwnCell),
    _cell_subject("lnlstm", "layer-norm LSTM", lambda i, h: cells.LSTM(i, h, layer_norm=True)),
    _cell_subject("mgu", "MGU", cells.MGU, stages=2),
    _cell_subject("cho", "GRU, reset before", lambda i, h: cells.GRU(i, h, reset="before"), 2),
    _cell_subject("mlstm", "multiplicative LSTM", cells.MultiplicativeLSTM, stages=2),
)


class Batch:
    """Inputs x [T, B, I] and the gradient dy [T, B, H] that training begins from."""

    def __init__(self, shape: Shape) -> None:
        maker = torch.Generator().manual_seed(0)
        self.shape = shape
        self.x = torch.randn(shape.T, shape.B, shape.I, generator=maker).requires_grad_()
        self.dy = torch.randn(shape.T, shape.B, shape.H, generator=maker)

    def turned(self) -> Batch:
        """The same numbers, [B, T, ...]."""
        return self._made(lambda value: value.transpose(0, 1).contiguous())

    def exact(self) -> Batch:
        """The same numbers in float64."""
        return self._made(lambda value: value.double())

    def _made(self, change: Callable[[Tensor], Tensor]) -> Batch:
        other = copy.copy(self)
        other.x = change(self.x.detach()).requires_grad_()
        other.dy = change(self.dy)
        return other


def contest(side: Side, batch: Batch, *, train: bool) -> Contestant:
    """Inference (forward) or training (forward, backward, every gradient) of one side."""
    if side.batch_first:
        batch = batch.turned()
    module, walk, plain = side.module, side.walk, batch.x.detach()
    leaves = [batch.x, *module.parameters()]

    def infer() -> Tensor:
        with torch.inference_mode():
            return walk(module, plain)

    def step() -> Tensor:
        for leaf in leaves:
            leaf.grad = None
        y = walk(module, batch.x)
        y.backward(batch.dy)
        return y

    def results() -> list[Tensor]:
        y = (step() if train else infer()).detach()
        grads = [leaf.grad.clone() for leaf in leaves if leaf.grad is not None] if train else []
        if side.batch_first:
            return [part.transpose(0, 1) for part in (y, *grads[:1])] + grads[1:]
        return [y, *grads]

    return Contestant(side.name, step if train else infer, results)
