"""A penalty on what goes back through time and shrinks, or grows, from step to step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.engine import Call, State, Walk, run, split_result
from ostinato.layers.clip_gradient import Clipped
from ostinato.layers.listening import listening
from ostinato.layers.sequence import SequenceLayer
from ostinato.layers.wrapper import Wrapper

__all__ = ["VanishingPenalty"]


class VanishingPenalty:
    r"""The regulariser of Pascanu, Mikolov, Bengio (2013), for the layers of any model.

        Omega = sum over t of (|d[t] J[t]| / |d[t]| - 1)^2

    d[t] is the gradient of the loss in the state at step t, by all ways, and J[t] the Jacobian of
    that state in the one before. It pulls towards steps that keep the norm of what flows back, in
    the direction that matters to the loss. As there, d[t], the old states and the inputs count as
    constants, so that the penalty's gradient is that of one step, taken at all steps at once.

    Source: arXiv:1211.5063, equations 9 and 10. It is a sum over steps, layers and directions, here
    also the mean over the rows of a batch; all states of a cell count together. Steps that no
    gradient reaches do not count, nor does the first, nor one where a row is reset.

    Any layer of this package will do, with any cell whose step can be differentiated twice. The
    gradient of the loss is taken once for d, and then for the weights.

    Attributes:
        last: the penalty that was computed last, detached; None before.

    Example:
        >>> from ostinato import RNN
        >>> layer, penalty = RNN(2, 3), VanishingPenalty()
        >>> with penalty.watching():
        ...     y, _ = layer(torch.randn(20, 4, 2))
        >>> loss = y[-1].square().mean()
        >>> (loss + 0.1 * penalty(loss)).backward()
        >>> layer.weight_hh_l0.grad.shape
        torch.Size([3, 3])
    """

    def __init__(self) -> None:
        self.last: Tensor | None = None
        self._records: list[_Record] = []
        # engines know a cell by its identity
        self._probed: dict[int, tuple[nn.Module, nn.Module]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take note of what the layers do within a `with` block; what was noted before is gone."""
        self._records.clear()
        with listening(self._listen):
            yield

    def __call__(self, loss: Tensor) -> Tensor:
        """The penalty of what was watched, a scalar to be added to the loss with a weight.

        Raises:
            RuntimeError: no layer was watched that the loss depends on.
        """
        records, self._records = self._records, []
        probes = [record.probe for record in records]
        found: Sequence[Tensor | None] = ()
        if probes and loss.requires_grad:
            found = torch.autograd.grad(loss, probes, retain_graph=True, allow_unused=True)
        shares = [
            record.penalty(d) for record, d in zip(records, found, strict=False) if d is not None
        ]
        if not shares:
            raise RuntimeError(
                "VanishingPenalty: the loss depends on no layer that was watched. Call the layers "
                "(ostinato.RNN, LSTM, GRU, Recurrent) within `with penalty.watching():`, in "
                "training, and pass the loss that is made of their outputs."
            )
        total = torch.stack(shares).sum()
        self.last = total.detach()
        return total

    def _listen(self, layer: SequenceLayer, place: int, call: Call) -> Walk:
        if not torch.is_grad_enabled() or len(call.x) < 2:
            return run(call)
        sizes = [part.shape[1] for part in call.state[: len(layer._states.sizes[place]) or None]]
        probe = call.x.new_zeros(*call.x.shape[:2], sum(sizes)).requires_grad_()
        walk = run(
            dataclasses.replace(
                call,
                cell=self._with_probe(call.cell, sizes),
                x=torch.cat([call.x, probe], dim=-1),
                all_states=True,
                parameters=_moved(call.parameters, 1),
            )
        )
        assert walk.states is not None
        self._records.append(_Record(call, walk.states, probe, tuple(sizes)))
        return walk if call.all_states else Walk(walk.output, walk.state)

    def _with_probe(self, cell: nn.Module, sizes: Sequence[int]) -> nn.Module:
        known = self._probed.get(id(cell))
        if known is None:
            known = self._probed[id(cell)] = (cell, _probed(cell, sizes))
        return known[1]


def _probed(cell: nn.Module, sizes: Sequence[int]) -> nn.Module:
    """The cell with a probe; inside of a limit on gradients, which has to stay outermost."""
    if not isinstance(cell, Clipped):
        return _Probed(cell, sizes)
    inner = _Probed(cell.cell, sizes)
    outer = Clipped.__new__(Clipped)
    nn.Module.__init__(outer)
    for name, value in vars(cell).items():
        if name not in ("_modules", "_parameters", "_buffers"):
            object.__setattr__(outer, name, value)
    outer.cell, outer.tallies = inner, cell.tallies
    return outer


def _moved(parameters: Any, depth: int) -> Any:
    """Names of parameters as they are `depth` wrappers further in (or, below 0, out)."""
    if parameters is None:
        return None
    if depth < 0:
        return {name.removeprefix("cell."): value for name, value in parameters.items()}
    return {f"cell.{name}": value for name, value in parameters.items()}


class _Probed(Wrapper):
    """Around a cell: adds to each new state what stands in the last columns of x, zeros.

    The gradient of these zeros is that of the state.
    """

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, State]:
        width = sum(self.sizes)
        x, probe = torch.split(x, [x.shape[-1] - width, width], dim=-1)
        output, new = split_result(self.cell(x, *state), len(state))
        parts = torch.split(probe.to(state[0].dtype), list(self.sizes), dim=-1)
        moved = tuple(part + own for part, own in zip(new, parts, strict=False))
        output = moved[0] if output is new[0] else output
        return output, (*moved, *new[len(moved) :])


@dataclass(frozen=True)
class _Record:
    """What one walk did."""

    call: Call
    states: State
    probe: Tensor
    sizes: tuple[int, ...]

    def penalty(self, d: Tensor) -> Tensor:
        """The penalty of this walk, given the gradients d [T, B, S] of its states."""
        call = self.call
        T, B = call.x.shape[:2]
        # a step's old state is what the step before it left
        now, before = (
            (slice(0, T - 1), slice(1, T)) if call.reverse else (slice(1, T), slice(0, -1))
        )
        arriving = d[now].flatten(0, 1)
        back = self._through_one_step(call.x[now], [s[before] for s in self.states], arriving)
        size = torch.linalg.vector_norm(arriving, dim=-1)
        counts = (size > 0) & self._continues(T, B)[now].flatten()
        ratio = torch.linalg.vector_norm(back, dim=-1) / torch.where(counts, size, 1)
        return torch.where(counts, (ratio - 1).square(), 0).sum() / B

    def _continues(self, T: int, B: int) -> Tensor:
        """Whether a row goes on at a step: [T, B]."""
        call, device = self.call, self.call.x.device
        going = torch.ones(T, B, dtype=torch.bool, device=device)
        if call.lengths is not None:
            steps = torch.arange(T, device=device)[:, None]
            going &= steps < call.lengths
            if call.reverse:
                # the last valid step is the first that is walked
                going &= steps < call.lengths - 1
        return going if call.reset is None else going & ~call.reset

    def _through_one_step(self, x: Tensor, old: Sequence[Tensor], arriving: Tensor) -> Tensor:
        """Gradients of the new states through one step, all steps and rows side by side."""
        call, rows = self.call, len(arriving)
        olds = [part.detach().flatten(0, 1).requires_grad_() for part in old[: len(self.sizes)]]
        kept = [part.detach().repeat(rows // len(part), 1) for part in call.state[len(olds) :]]
        cell, parameters = call.cell, call.parameters
        if isinstance(cell, Clipped):
            cell, parameters = cell.cell, _moved(parameters, -1)
        arguments = (x.detach().flatten(0, 1), *olds, *kept)
        if parameters is None:
            result = cell(*arguments)
        else:
            result = torch.func.functional_call(cell, dict(parameters), arguments)
        _, new = split_result(result, len(arguments) - 1)
        parts = torch.split(arriving, list(self.sizes), dim=-1)
        pairs = [(y, g) for y, g in zip(new, parts, strict=False) if y.requires_grad]
        found = torch.autograd.grad(
            [y for y, _ in pairs],
            olds,
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return torch.cat(found, dim=-1)
