"""`trace`: run a module once, and keep what its recurrent layers did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ostinato.engine import Call, Kept, State, Walk, nudge, run, split_result
from ostinato.layers.attention import Attention, Memory
from ostinato.layers.listening import listening
from ostinato.layers.sequence import SequenceLayer
from ostinato.layers.tracing.foreign import walked_as_ours
from ostinato.layers.tracing.keeping import recorded, walk_and_keep
from ostinato.layers.tracing.nudge import Nudged
from ostinato.layers.tracing.recording import Trace
from ostinato.layers.tracing.selection import Chosen, Selection, numbers
from ostinato.layers.tracing.steps import Recorded, Walked, innermost, record
from ostinato.layers.tracing.stretches import Stretch, assembled
from ostinato.layers.tracing.watch import state_names

__all__ = ["Loss", "mode", "trace"]

# what the module returned -> the number whose gradients are asked for
Loss: TypeAlias = Callable[[Any], Tensor]


def trace(
    module: nn.Module,
    *inputs: Any,
    only: str | Sequence[str] | None = None,
    layers: str | Sequence[str] | None = None,
    rows: Chosen = None,
    steps: Chosen = None,
    units: Chosen | Mapping[str, Chosen] = None,
    gradients: Loss | None = None,
    training: bool | None = None,
    labels: Sequence[Sequence[str]] | None = None,
    first: str | None = None,
    call: Callable[..., Any] | None = None,
    **keywords: Any,
) -> Trace:
    """Run a module, and keep what every recurrent layer in it did, at every step.

    The layers are ours, with any cell, and torch.nn.RNN, LSTM and GRU. They walk on the engine in
    force, to the same bits as ever. The fused engine writes down what happens inside a step as it
    walks, on a kernel for the names that are asked for; where it cannot, and of some rows, steps or
    units, or with gradients, that is computed afterwards, for all steps at once. Also kept are the
    weights of attention (`ostinato.layers.attention`).

    Args:
        module: one layer, or a network that has some.
        inputs: what it is called with.
        only: names ("c", "f.pre") and kinds ("state", "gate", "pre", "value", "output",
            "attention") to keep; None: everything. What is left out takes no memory.
        layers: names of modules ("network.stack") or of layers ("network.stack.0") to keep.
        rows: of the batch, numbers or a slice.
        steps: numbers or a slice.
        units: numbers or a slice, for all names, or a dictionary of them by name.
        gradients: maps what the module returned to a loss; keeps d loss / d value for each name
            (of states: through all later steps).
        training: run in training or in evaluation mode; None: as the module is.
        labels: for each row, what stands at each step.
        first: name of the module whose layers come first, and to which labels belong.
        call: what is called with the inputs; None: the module itself.
        keywords: further arguments of the call, such as lengths, reset, state, clamp.

    Raises:
        ValueError: the module has no recurrent layer, or a name, layer, row, step or unit is not
            there; the message names the nearest.

    Example:
        >>> from ostinato import GRU
        >>> found = trace(GRU(3, 4), torch.ones(6, 2, 3), only=["h", "z"], rows=[1])
        >>> found["z"].shape
        (6, 1, 4)
        >>> found = trace(GRU(3, 4), torch.ones(6, 2, 3), gradients=lambda out: out[0][-1].sum())
        >>> found.gradients("h")[-1]
        array([[1., 1., 1., 1.],
               [1., 1., 1., 1.]], dtype=float32)
    """
    selection = Selection(_names(only), _names(layers), rows, steps, units)
    recorder = _Recorder(selection, graded=gradients is not None)
    with ExitStack() as stack:
        stack.enter_context(mode(module, training))
        recorder.modules = stack.enter_context(walked_as_ours(module))
        if not recorder.modules:
            raise ValueError(
                f"trace: {type(module).__name__} has no recurrent layer. Give a module with layers "
                "of ostinato, or torch.nn.RNN, LSTM or GRU themselves (no subclass)."
            )
        stack.enter_context(_watched_attention(module, recorder))
        stack.enter_context(torch.set_grad_enabled(gradients is not None))
        with listening(recorder.walk):
            output = (call or module)(*inputs, **keywords)
        if gradients is not None:
            recorder.differentiate(gradients(output))
    selection.check()
    return recorder.trace(labels, first, output)


class _Recorder:
    """Makes the walks of a module's layers, and notes what is asked for of them."""

    def __init__(self, selection: Selection, graded: bool) -> None:
        self.selection = selection
        self.graded = graded
        self.modules: dict[nn.Module, str] = {}
        self.order: dict[str, None] = {}
        self.stretches: list[Stretch] = []
        # what waits for the loss
        self._walks: list[tuple[Stretch, Walked, State]] = []
        self._looks: list[tuple[Stretch, _Look]] = []
        self._busy = False

    # while the module runs

    def walk(self, layer: SequenceLayer, place: int, call: Call) -> Walk:
        """Make a walk for a layer, and note it."""
        module = self.modules.get(layer)
        if module is None:
            return run(call)
        number, direction = divmod(place, 2) if layer.bidirectional else (place, 0)
        name = f"{module}.{number}".lstrip(".")
        T, B = call.x.shape[:2]
        if not self.selection.wants_layer(module, name) or not T or not B:
            return run(call)
        self.order[module] = None
        count = len(layer._states.sizes[place]) or len(call.state)
        inner = innermost(call.cell)
        random = torch.get_rng_state()
        nudges: State | None = None
        kept = None
        names = state_names(inner, count)
        if not self.graded and self.selection.is_whole(T) and self.selection.beyond(names):
            kept = walk_and_keep(layer, place, call, names, self.selection.only)
        if kept is not None:
            walk = kept.walk
        elif self.graded:
            walk, nudges = _nudged_walk(layer, place, call, count)
        else:
            walk = run(replace(call, all_states=True))
        assert walk.states is not None
        states = tuple(part.detach() for part in walk.states)
        walked = Walked(call, states, names, random)
        stretch = Stretch(
            module,
            name,
            type(inner).__name__,
            direction,
            T,
            B,
            call.lengths,
            tuple(part.detach() for part in call.state[:count]),
            tuple(part.detach() for part in walk.state[:count]),
            whole=T == 1,
        )
        self.stretches.append(stretch)
        if nudges is None:
            self._record(stretch, walked, kept)
        else:
            self._walks.append((stretch, walked, nudges))
        return Walk(walk.output, walk.state, walk.states if call.all_states else None)

    def look(self, module: str, attention: Attention, look: _Look) -> None:
        """Note where an attention looked."""
        wanted = self.selection.wants_layer(module, module)
        if self._busy or not wanted or not self.selection.wants("weights", "attention"):
            return
        self.order[module] = None
        weights = look.weights
        T, B = weights.shape[:2] if weights.dim() == 3 else (1, len(weights))
        stretch = Stretch(
            module, module, type(attention).__name__, 0, T, B, None, (), (), whole=True
        )
        self.stretches.append(stretch)
        stretch.parts["weights"] = self._weights(weights, None)
        if self.graded:
            self._looks.append((stretch, look))

    def _weights(self, weights: Tensor, gradient: Tensor | None) -> Recorded:
        rows = weights.shape[-2]
        chosen = numbers("rows", self.selection.rows, rows, "the batch has")
        units = self.selection.units_of("weights", weights.shape[-1])

        def cut(whole: Tensor) -> Tensor:
            shaped = whole.detach().cpu().reshape(-1, rows, whole.shape[-1])
            return shaped[:, chosen][..., units].clone()

        graded = None if gradient is None else cut(gradient)
        return Recorded("attention", "softmax", units, cut(weights), graded)

    def _record(self, stretch: Stretch, walked: Walked, kept: Kept | None = None) -> None:
        selection = self.selection
        if stretch.whole:
            # which of these steps are meant is known when all have been taken
            selection = selection.all_steps()
        self._busy = True
        try:
            if kept is None:
                stretch.parts = record(walked, selection)
            else:
                stretch.parts = recorded(walked, kept, selection)
        finally:
            self._busy = False

    # afterwards

    def differentiate(self, loss: Tensor) -> None:
        """Record all that waited for the gradient of a loss."""
        if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
            what = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(
                "trace: gradients must map what the module returned to one number that depends on "
                f"the recurrent layers, got {what}. For example: lambda out: out[0].square().mean()"
            )
        wanted = [part for *_, nudges in self._walks for part in nudges]
        for _, look in self._looks:
            wanted += [look.contexts, look.weights]
        if not wanted:
            # no layer was chosen: the check says which there are
            return
        found = iter(torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True))
        for stretch, walked, nudges in self._walks:
            adjoints = tuple(next(found) for _ in nudges)
            self._record(stretch, replace(walked, adjoints=adjoints))
        for stretch, look in self._looks:
            gradient = look.gradient(next(found), next(found))
            stretch.parts["weights"] = self._weights(look.weights, gradient)
        self._walks.clear()
        self._looks.clear()

    def trace(
        self, labels: Sequence[Sequence[str]] | None, first: str | None, output: Any
    ) -> Trace:
        """All that was noted."""
        order = [*([first] if first in self.order else []), *self.order]
        plain = tree_map_only(Tensor, Tensor.detach, output)
        return assembled(self.stretches, [*dict.fromkeys(order)], self.selection, labels, plain)


@dataclass(frozen=True)
class _Look:
    """One call of an attention: [T, B, ...], or [B * n, ...] of one step."""

    memory: Memory
    contexts: Tensor
    weights: Tensor

    def gradient(self, contexts: Tensor, weights: Tensor) -> Tensor:
        """D loss / d weights, from what the loss makes of the two results."""
        values = self.memory.values.detach()
        asked = contexts.reshape(-1, len(values), *contexts.shape[-1:])
        if contexts.dim() == 2:
            asked = contexts.view(len(values), -1, contexts.shape[-1]).transpose(0, 1)
        through = torch.einsum("tbm,bsm->tbs", asked, values)
        through = through.masked_fill(~self.memory.valid, 0)
        if contexts.dim() == 2:
            through = through.transpose(0, 1).flatten(0, 1)
        return weights + through


def _nudged_walk(layer: nn.Module, place: int, call: Call, count: int) -> tuple[Walk, State]:
    """A walk, and zeros that were added to its states and its output, to be differentiated by."""
    # nobody asks a trace for the gradients of weights
    own = {**dict(call.cell.named_parameters()), **(call.parameters or {})}
    fixed = {name: part.detach() for name, part in own.items()}
    call = replace(call, parameters=fixed, all_states=True)
    found = nudge(call, count)
    if found is not None:
        return found
    nudged = _nudged_cell(layer, place, call, count)
    zeros = nudged.zeros(call)
    return run(_nudged_call(call, nudged, zeros)), zeros


# engines know a cell by its identity, so what stands around it is kept
_nudged_cells: WeakKeyDictionary[nn.Module, dict[int, Nudged]] = WeakKeyDictionary()


def _nudged_cell(layer: nn.Module, place: int, call: Call, count: int) -> Nudged:
    kept = _nudged_cells.setdefault(layer, {})
    found = kept.get(place)
    if found is None or found.cell is not call.cell:
        width = _own_output(call)
        found = Nudged(call.cell, [part.shape[-1] for part in call.state[:count]], width)
        kept[place] = found
    return found


def _own_output(call: Call) -> int:
    """Width of the output where it is none of the states, else 0."""
    one = [part[:1].detach() for part in (call.x[0], *call.state)]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        watched = _Once(call.cell)
        given = {f"cell.{name}": part for name, part in (call.parameters or {}).items()}
        output, new = torch.func.functional_call(watched, given, tuple(one))
    return 0 if output is new[0] else int(output.shape[-1])


class _Once(nn.Module):
    """One step in the one form, as a module, so that parameters can be replaced in it."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, State]:
        return split_result(self.cell(x, *state), len(state))


def _nudged_call(call: Call, nudged: Nudged, nudges: State) -> Call:
    parameters = call.parameters
    return replace(
        call,
        cell=nudged,
        x=torch.cat([call.x, *(part.to(call.x) for part in nudges)], dim=-1),
        parameters=parameters and {f"cell.{name}": part for name, part in parameters.items()},
    )


@contextmanager
def _watched_attention(module: nn.Module, recorder: _Recorder) -> Iterator[None]:
    handles = []
    try:
        for name, part in module.named_modules():
            if isinstance(part, Attention):
                hook = partial(_looked, recorder, name)
                handles.append(part.register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _looked(recorder: _Recorder, name: str, attention: Attention, given: Any, result: Any) -> None:
    recorder.look(name, attention, _Look(given[1], *result))


@contextmanager
def mode(module: nn.Module, training: bool | None) -> Iterator[None]:
    """Training or evaluation mode within a `with` block; None: as it is."""
    if training is None:
        yield
        return
    before = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, was in before:
            part.training = was


def _names(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else (given,) if isinstance(given, str) else tuple(given)
