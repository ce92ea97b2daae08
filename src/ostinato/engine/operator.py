"""A walk as one operator of PyTorch's, so that compiling and exporting see one node.

`ostinato::walk` is what `run` becomes while something traces it (torch.compile, torch.export, fake
tensors). It is registered with `torch.library`: a fake implementation gives the shapes, with batch
and time free to vary; the formula for autograd is `ostinato::walk_backward`, which walks once more
and then back. Outside of tracing nobody comes here.

A graph cannot hold a cell, so it holds a key. A compiled function keeps using the live cell, and
is compiled anew for another. An exported program keeps an outline of the cell, without weights, for
as long as the process lives: it runs in the process that made it.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from threading import Thread
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from ostinato.engine.calls import Call, Walk, split_result

__all__ = ["cell_of", "walk"]

_ARGUMENTS = (
    "str key, Tensor x, Tensor[] state, Tensor[] tensors, Tensor? lengths, Tensor? reset, "
    "Tensor[] reset_state, bool reverse, bool all_states, int every"
)


# how a schema says "sqrt"
_SQRT = -1


@dataclasses.dataclass
class _Entry:
    """What stands behind a key.

    Attributes:
        outline: the cell without its weights.
        live: the cell itself, where a compiled function is to follow it.
        names: of the tensors that come with a call, parameters first.
    """

    outline: nn.Module
    live: weakref.ref[nn.Module] | None
    names: tuple[str, ...]


_entries: dict[str, _Entry] = {}
_numbers = itertools.count()


def walk(call: Call) -> Walk:
    """The walk as one node of whatever is being recorded."""
    device = call.x.device.type
    if torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return walk(_widened(call))
    cell = call.cell
    named = {**dict(cell.named_parameters()), **dict(cell.named_buffers())}
    named.update(call.parameters or {})
    key = _key_of(cell, tuple(named), torch.compiler.is_exporting())
    count = len(call.state)
    parts = torch.ops.ostinato.walk(
        key,
        call.x,
        list(call.state),
        list(named.values()),
        call.lengths,
        call.reset,
        list(call.reset_state or ()),
        call.reverse,
        call.all_states,
        _SQRT if call.checkpoint_every == "sqrt" else call.checkpoint_every or 0,
    )
    states = tuple(parts[1 + count :]) if call.all_states else None
    return Walk(parts[0], tuple(parts[1 : 1 + count]), states)


def _widened(call: Call) -> Call:
    """The call in float32, as every engine runs under autocast."""
    return Call(
        call.cell,
        call.x.float(),
        tuple(part.float() for part in call.state),
        call.lengths,
        call.reset,
        None if call.reset_state is None else tuple(part.float() for part in call.reset_state),
        call.reverse,
        call.all_states,
        call.parameters,
        call.checkpoint_every,
    )


# cells behind keys


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _key_of(cell: nn.Module, names: tuple[str, ...], keep: bool) -> str:
    """Register a cell; by its identity, or with `keep` as it is now."""
    if not keep:
        for key, entry in _entries.items():
            if entry.live is not None and entry.live() is cell and entry.names == names:
                return key
    key = f"{type(cell).__name__}#{next(_numbers)}"
    live = None if keep else weakref.ref(cell, lambda _: _entries.pop(key, None))
    _entries[key] = _Entry(_outline(cell), live, names)
    return key


def cell_of(key: str) -> nn.Module:
    """The cell that a key of `ostinato::walk` stands for.

    Raises:
        RuntimeError: nobody in this process knows the key.
    """
    entry = _entry(key)
    live = None if entry.live is None else entry.live()
    return entry.outline if live is None else live


def _entry(key: str) -> _Entry:
    found = _entries.get(key)
    if found is None:
        raise RuntimeError(
            f"ostinato::walk: no cell {key!r} is known in this process. A graph with this operator "
            "runs where it was made: build the model here, load its weights, and export it again."
        )
    return found


def _outline(cell: nn.Module) -> nn.Module:
    """A copy of a cell whose parameters and buffers have their shapes, and nothing in memory."""
    with unset_fake_temporarily():
        blanks: dict[int, Any] = {}
        for tensor in (*cell.parameters(), *cell.buffers()):
            blank = torch.zeros((), dtype=tensor.dtype).expand(tuple(tensor.shape))
            if isinstance(tensor, nn.Parameter):
                blank = nn.Parameter(blank, tensor.requires_grad)
            blanks[id(tensor)] = blank
        return copy.deepcopy(cell, blanks)


# the operator


def _call(
    key: str,
    x: Tensor,
    state: Sequence[Tensor],
    tensors: Sequence[Tensor],
    lengths: Tensor | None,
    reset: Tensor | None,
    reset_state: Sequence[Tensor],
    reverse: bool,
    all_states: bool,
    every: int,
) -> Call:
    T, names = x.shape[0], _entry(key).names
    if lengths is not None and lengths.numel():
        low, high = (int(end) for end in lengths.aminmax())
        if low < 0 or high > T:
            raise ValueError(
                f"lengths must be in 0..{T}, the steps of the input, got {low}..{high}. "
                "Pad the input, or cut the lengths."
            )
        lengths = None if low == T else lengths
    return Call(
        cell_of(key),
        x,
        tuple(state),
        lengths,
        reset,
        tuple(reset_state) if reset is not None else None,
        reverse,
        all_states,
        dict(zip(names, tensors, strict=True)),
        "sqrt" if every == _SQRT else every or None,
    )


def _run(call: Call) -> list[Tensor]:
    from ostinato.engine import run

    before = torch.random.get_rng_state()
    with torch.autocast(call.x.device.type, enabled=False):
        result = run(call)
    if not torch.equal(before, torch.random.get_rng_state()):
        raise RuntimeError(
            f"{type(call.cell).__name__} draws random numbers in its forward, which a traced walk "
            "cannot repeat for its gradient. Draw outside of the cell (Recurrent's "
            "recurrent_dropout, zoneout, weight_drop), or leave it out of torch.compile."
        )
    return [result.output, *result.state, *(result.states or ())]


@torch.library.custom_op("ostinato::walk", mutates_args=(), schema=f"({_ARGUMENTS}) -> Tensor[]")
def _walk(key, x, *rest):  # type: ignore[no-untyped-def]
    with _as_outside(), torch.no_grad():
        parts = _run(_call(key, x, *rest))
        return [torch.clone(part, memory_format=torch.contiguous_format) for part in parts]


@_walk.register_fake
def _(key, x, state, tensors, lengths, reset, reset_state, reverse, all_states, every):  # type: ignore[no-untyped-def]
    T, B = x.shape[0], x.shape[1]
    tail = _output_shape(key, x, state)
    made = [x.new_empty((T, B, *tail)), *(torch.empty_like(s).contiguous() for s in state)]
    if all_states:
        made += [s.new_empty((T, B, s.shape[1])) for s in state]
    return made


def _output_shape(key: str, x: Tensor, state: Sequence[Tensor]) -> tuple[int, ...]:
    """Shape of one row of the output: one step of the outline tells it."""
    widths, dtype = [int(part.shape[-1]) for part in (x, *state)], x.dtype
    with unset_fake_temporarily(), torch.no_grad():
        blank, *old = (torch.zeros(1, width, dtype=dtype) for width in widths)
        cell = _entry(key).outline
        output, _ = split_result(cell(blank, *old), len(old))
    return tuple(output.shape[1:])


@torch.library.custom_op(
    "ostinato::walk_backward",
    mutates_args=(),
    schema=f"({_ARGUMENTS}, Tensor?[] grads, bool[] needed) -> Tensor[]",
)
def _walk_backward(  # type: ignore[no-untyped-def]
    key, x, state, tensors, lengths, reset, reset_state, reverse, all_states, every, grads, needed
):
    flat = [x, *state, *tensors, *reset_state]
    ends = list(itertools.accumulate((1, len(state), len(tensors), len(reset_state))))
    with _as_outside(), torch.enable_grad():
        own = [t.detach().requires_grad_(n) for t, n in zip(flat, needed, strict=True)]
        given = own[0], own[1 : ends[1]], own[ends[1] : ends[2]], lengths, reset, own[ends[2] :]
        parts = _run(_call(key, *given, reverse, all_states, every))
        pairs = [(y, g) for y, g in zip(parts, grads, strict=True) if g is not None]
        pairs = [(y, g) for y, g in pairs if y.requires_grad]
        asked = [t for t in own if t.requires_grad]
        if not pairs:
            return [torch.zeros_like(t) for t in asked]
        ys, gs = zip(*pairs, strict=True)
        found = torch.autograd.grad(ys, asked, gs, allow_unused=True)
    return [
        torch.zeros_like(t) if g is None else g.clone(memory_format=torch.contiguous_format)
        for t, g in zip(asked, found, strict=True)
    ]


@_walk_backward.register_fake
def _(  # type: ignore[no-untyped-def]
    key, x, state, tensors, lengths, reset, reset_state, reverse, all_states, every, grads, needed
):
    flat = (x, *state, *tensors, *reset_state)
    return [t.new_empty(t.shape) for t, n in zip(flat, needed, strict=True) if n]


def _as_outside() -> AbstractContextManager[Any]:
    """Let autograd and tracing work inside an operator, from which the dispatcher keeps them."""
    tls: Any = torch._C
    guard: AbstractContextManager[Any] = tls._ForceDispatchKeyGuard(
        tls._dispatch_tls_local_include_set(), _left_out()
    )
    return guard


@functools.cache
def _left_out() -> Any:
    """The dispatch keys that a thread leaves out when nothing is going on in it."""
    found: list[Any] = []
    fresh = Thread(target=lambda: found.append(torch._C._dispatch_tls_local_exclude_set()))
    fresh.start()
    fresh.join()
    return found[0]


def _keep(ctx, inputs, output):  # type: ignore[no-untyped-def]
    key, x, state, tensors, lengths, reset, reset_state, reverse, all_states, every = inputs
    ctx.save_for_backward(x, lengths, reset, *state, *tensors, *reset_state)
    ctx.plain = key, len(state), len(tensors), reverse, all_states, every


def _formula(ctx, grads):  # type: ignore[no-untyped-def]
    key, s, p, *plain = ctx.plain
    x, lengths, reset, *rest = ctx.saved_tensors
    state, tensors, reset_state = rest[:s], rest[s : s + p], rest[s + p :]
    wants = ctx.needs_input_grad
    needed = [wants[1], *wants[2], *wants[3], *wants[6]]
    made = torch.ops.ostinato.walk_backward(
        key, x, state, tensors, lengths, reset, reset_state, *plain, grads, needed
    )
    found = iter(made)
    flat = [next(found) if n else None for n in needed]
    parts = flat[1 : 1 + s], flat[1 + s : 1 + s + p], flat[1 + s + p :]
    return None, flat[0], parts[0], parts[1], None, None, parts[2], None, None, None


_walk.register_autograd(_formula, setup_context=_keep)
