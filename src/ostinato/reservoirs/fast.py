"""When a reservoir is walked connection by connection, and how its rows are laid out for that."""

from __future__ import annotations

import torch
from torch import Tensor

from ostinato.engine import Call, Walk, _chosen
from ostinato.engine.duals import has_tangent
from ostinato.engine.fused import fit_for
from ostinato.reservoirs.cell import ReservoirCell
from ostinato.reservoirs.segments import Cut, Segments, Walker, forgetting
from ostinato.reservoirs.sparse import ACTIVATIONS, Connections, Rows, Steps, lanes_for

__all__ = ["cut_of", "pays", "suits", "walk", "walker_of"]

# inputs that are not worth a product of their own
_FEW_INPUTS = 16
# below this many steps of all rows the weights are not worth being put in order
_FEW_STEPS = 64
# nor is a sequence cut in segments shorter than this
_LONG = 64
# segments shorter than this many times what forgetting takes cost more than they save
_WORTH = 2


def pays(units: int, density: float, rows: int, dtype: torch.dtype, *, cut: bool = False) -> bool:
    """Whether touching single connections is quicker than the whole matrix.

    A connection costs a vector of rows about 0.6 ns; the whole matrix costs some 0.09 ns an entry
    and step, because it must be read, and 0.014 more a row (both for float64).

    Args:
        units: H.
        density: the share of the entries that are not zero.
        rows: that walk side by side.
        dtype: of the numbers.
        cut: whether each row can be cut in segments that fill a vector by themselves.
    """
    if units < 96:
        return False
    lanes = lanes_for(dtype)
    whole = (0.09 + 0.014 * rows) * dtype.itemsize / 8
    vectors = 1.3 * rows / lanes if cut else -(-rows // lanes)
    return density * 0.6 * vectors < 0.8 * whole


def walker_of(cell: ReservoirCell) -> Walker:
    """The cell's weights in the order of the sparse walk, put there anew when they change."""
    weights = (cell.weight_hh, cell.weight_ih, cell.bias)
    inward = cell.weight_ih if cell.input_size <= _FEW_INPUTS else cell.weight_ih[:, :0]
    kept = cell.__dict__.get("_walker")
    name = cell.activation_name or ""
    if kept is not None:
        walker, copies = kept
        same = walker.leak == cell.leak and walker.activation == name
        # contents are compared, since weights may be written by ways that nobody hears of
        if same and all(torch.equal(a, b) for a, b in zip(copies, weights, strict=True)):
            return walker  # type: ignore[no-any-return]
    made = Connections.of(cell.weight_hh.detach(), inward.detach(), cell.bias.detach())
    walker = Walker(made, cell.leak, name)
    object.__setattr__(cell, "_walker", (walker, [w.detach().clone() for w in weights]))
    return walker


def fits(call: Call) -> bool:
    """Whether a call can be walked connection by connection at all."""
    cell = call.cell
    if type(cell) is not ReservoirCell or cell.activation_name not in ACTIVATIONS:
        return False
    if "forward" in cell.__dict__ or cell._forward_hooks or cell._forward_pre_hooks:
        return False
    tensors = (call.x, *call.state, *cell.parameters())
    ragged = call.lengths is not None or call.reset is not None
    if ragged or call.parameters is not None or _chosen.get() not in ("auto", "llvm"):
        return False
    if not fit_for(call) or torch.is_autocast_enabled("cpu") or has_tangent(tensors):
        return False
    alike = all(t.dtype == call.x.dtype and t.device.type == "cpu" for t in tensors)
    return alike and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))


def suits(call: Call) -> bool:
    """Whether a call can be walked connection by connection, and is quicker that way."""
    T, B = call.x.shape[:2]
    if not fits(call) or T * B < _FEW_STEPS:
        return False
    assert isinstance(call.cell, ReservoirCell)
    weight = call.cell.weight_hh
    density = float(torch.count_nonzero(weight)) / weight.numel()
    forgets = call.cell.__dict__["_walker"][0].forgets if "_walker" in call.cell.__dict__ else 0
    lanes = lanes_for(call.x.dtype)
    few = max(2 * B / lanes, call.cell.input_size / _FEW_INPUTS) <= 1
    long = few and T / lanes >= _LONG
    return pays(len(weight), density, B, call.x.dtype, cut=long and forgets >= 0)


def walk(call: Call) -> Walk | None:
    """Walk a reservoir's sequences, or return None where the engine is to do it."""
    if not suits(call):
        return None
    assert isinstance(call.cell, ReservoirCell)
    T, B = call.x.shape[:2]
    with torch.no_grad():
        walker = walker_of(call.cell)
        x = call.x.flip(0) if call.reverse else call.x
        out = x.new_empty(T, B, call.cell.hidden_size)
        state = _walk(call.cell, walker, x, call.state[0], out)
    if call.reverse:
        out = out.flip(0)
    return Walk(out, (state,), (out,) if call.all_states else None)


def _walk(cell: ReservoirCell, walker: Walker, x: Tensor, state: Tensor, out: Tensor) -> Tensor:
    """Fill out [T, B, H]; returns the last state."""
    few = walker.connections.inputs == cell.input_size
    lanes, B = walker.lanes, x.shape[1]
    last = torch.empty_like(state)
    for first in range(0, B, lanes):
        rows = slice(first, min(B, first + lanes))
        # a few rows leave lanes empty, which segments of one row may fill
        alone = few and rows.stop - rows.start <= lanes // 2
        if alone and cut_of(walker, x[:, first]) is not None:
            for row in range(rows.start, rows.stop):
                last[row] = one_row(walker, x[:, row], state[row], out[:, row : row + 1])
        else:
            last[rows] = _group(cell, walker, x[:, rows], state[rows], out[:, rows])
    return last


def cut_of(walker: Walker, x: Tensor, first: int = 0, *, groups: int = 1) -> Cut | None:
    """How to cut x [T, I] from a step on, or None where that does not pay.

    Into as many segments as there are lanes, or that many for each of some groups, if that pays.
    """
    steps, lanes = len(x) - first, walker.lanes
    if steps < _LONG * lanes:
        return None
    if walker.forgets == 0:
        walker.forgets = forgetting(walker, x)
    if walker.forgets < 0 or steps < _WORTH * walker.forgets * lanes:
        return None
    groups = max(1, min(groups, steps // max(_LONG, _WORTH * walker.forgets) // lanes))
    return Cut(first, steps // (lanes * groups), lanes * groups)


def one_row(walker: Walker, x: Tensor, state: Tensor, out: Tensor) -> Tensor:
    """Walk x [T, I] into out [T, 1, H]; returns the last state [H]."""
    cut = cut_of(walker, x)
    done = 0
    if cut is not None:
        segments = Segments(walker, x, cut, state)
        where = Rows.plain(out, walker.connections.blocks).where
        for start, steps in segments.chunks(256):
            target = Rows(out[start:], out.stride(0), cut.length * out.stride(0), where)
            walker.take(steps, target)
        if segments.agree():
            state, done = segments.end(), cut.last
        else:
            walker.forgets = -1
    return _straight(walker, x[done:, None], state[None], out[done:])[0]


def _straight(walker: Walker, x: Tensor, state: Tensor, out: Tensor) -> Tensor:
    """Walk x [T, B, I] of few inputs and at most as many rows as lanes, in one piece."""
    B, units = x.shape[1], walker.connections.units
    held = walker.fresh()
    held[:units, :B] = state.T
    for start in range(0, len(x), 512):
        part = x[start : start + 512]
        inputs = part.new_zeros(len(part), x.shape[2], walker.lanes)
        inputs[:, :, :B] = part.transpose(1, 2)
        rows = Rows.plain(out[start:], walker.connections.blocks)
        walker.take(Steps(inputs, held, B), rows)
    return held[:units, :B].T.contiguous()


def _group(cell: ReservoirCell, walker: Walker, x: Tensor, state: Tensor, out: Tensor) -> Tensor:
    """Walk up to as many rows as lanes, of any number of inputs."""
    if walker.connections.inputs == cell.input_size:
        return _straight(walker, x, state, out)
    B, units = x.shape[1], walker.connections.units
    held = walker.fresh()
    held[:units, :B] = state.T
    for start in range(0, len(x), 128):
        part = x[start : start + 128]
        drive = part.new_zeros(len(part), walker.connections.blocks * walker.lanes, walker.lanes)
        drive[:, :units, :B] = (part @ cell.weight_ih.T).transpose(1, 2)
        inputs = part.new_zeros(len(part), 0, walker.lanes)
        rows = Rows.plain(out[start:], walker.connections.blocks)
        walker.take(Steps(inputs, held, B, drive), rows)
    return held[:units, :B].T.contiguous()
