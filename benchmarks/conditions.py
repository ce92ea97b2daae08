"""Beyond whole batches on a quiet machine: unlike lengths, single steps, threads, neighbours."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import ostinato
from measure import Contestant, Pace, alternate, difference
from ostinato import cells
from peers import missing, onnx_session
from report import Row
from subjects import SHAPES, SUBJECTS, Batch, Shape, Side, contest
from whole import TOLERANCE, Judge

__all__ = ["busy_rows", "length_rows", "stream_rows", "thread_rows"]

_PAIRS = (("LSTM", ostinato.LSTM, nn.LSTM), ("GRU", ostinato.GRU, nn.GRU))


# rows of unlike lengths


def length_rows(pace: Pace, quick: bool) -> Iterator[Row]:
    """Against PackedSequence, and against a dense batch with as many steps in all."""
    shape = Shape(4, 40, 16, 16) if quick else Shape(16, 1000, 128, 128)
    maker = torch.Generator().manual_seed(0)
    lengths = torch.randint(shape.T // 4, shape.T + 1, (shape.B,), generator=maker)
    lengths[0] = shape.T
    share = lengths.double().mean().item() / shape.T
    batch = Batch(shape)
    for title, ours, theirs in _PAIRS:
        layer, reference = ours(shape.I, shape.H), theirs(shape.I, shape.H)
        reference.load_state_dict(layer.state_dict())
        sides = [
            Side("ostinato", layer, lambda net, x: net(x, lengths=lengths)[0]),
            Side("PackedSequence", reference, lambda net, x: _packed(net, x, lengths)),
            Side("ostinato, dense", layer, lambda net, x: net(x)[0]),
        ]
        for train in (False, True):
            yield from _length_rows(title, sides, batch, share, train, pace)


def _length_rows(
    title: str, sides: list[Side], batch: Batch, share: float, train: bool, pace: Pace
) -> Iterator[Row]:
    what = f"{title} {'training' if train else 'inference'}"
    case = f"{batch.shape}, lengths T/4..T"
    row = Row("variable length", what, case, goal=20.0 if train else None)
    ours, packed, dense = (contest(side, batch, train=train) for side in sides)
    row.wrong = Judge(sides[1], batch, train=train).objection(ours)
    if row.wrong:
        yield row
        return
    # a second for each call of the packed one: three rounds must do
    timings = alternate([ours, packed, dense], replace(pace, rounds=min(3, pace.rounds)))
    row.times = {name: timing.median for name, timing in timings.items()}
    row.figure = row.times["PackedSequence"] / row.times["ostinato"]
    yield row
    cost = row.times["ostinato"] / (row.times["ostinato, dense"] * share)
    told = f"dense x mean length {share:.2f} T"
    yield Row("variable length", what, told, row.times, cost, goal=1.1, more=False)


def _packed(layer: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    rows = pack_padded_sequence(x, lengths, enforce_sorted=False)
    return pad_packed_sequence(layer(rows)[0], total_length=x.shape[0])[0]


# one step at a time


def stream_rows(pace: Pace, quick: bool) -> Iterator[Row]:
    """One step from Python, B = 1, H = 128; the numbers must be those of the whole sequence."""
    del quick
    H, T = 128, 50
    x = torch.randn(T, 1, H, generator=torch.Generator().manual_seed(0))
    made: list[tuple[str, Any, nn.Module, float | None]] = [
        ("LSTM", ostinato.LSTM(H, H), nn.LSTMCell(H, H), 8.0),
        ("GRU", ostinato.GRU(H, H), nn.GRUCell(H, H), 8.0),
        ("Gated", ostinato.Recurrent(gated := cells.Gated(H, H)), gated, None),
    ]
    for title, layer, cell, goal in made:
        if cell is not gated:
            values = [p.detach() for p in layer.parameters()]
            cell.load_state_dict(dict(zip(cell.state_dict(), values, strict=True)))
        row = Row("a streaming step", title, f"B=1, H={H}", unit="us", goal=goal, more=False)
        stream, theirs = layer.stream(1), _steps(cell)
        with torch.inference_mode():
            whole = layer(x)[0]
            streamed = torch.stack([stream(step) for step in x])
            expected = torch.stack([theirs(step) for step in x])
        far = difference([streamed], [expected])
        row.wrong = "" if far <= TOLERANCE else f"{far:.1e} from {type(cell).__name__}"
        if not row.wrong:
            field = [_stepping("ostinato", stream, x[0]), _stepping("torch cell", theirs, x[0])]
            if "onnxruntime" not in missing() and title in ("LSTM", "GRU"):
                field.append(_onnx_steps(title, H, x[0]))
            timings = alternate(field, pace)
            row.times = {name: timing.median for name, timing in timings.items()}
            row.figure = row.times["ostinato"] * 1e6
            same = torch.equal(streamed, whole)
            row.note = "same bits as the whole sequence" if same else "other bits than the whole"
        yield row


def _steps(cell: nn.Module) -> Callable[[Tensor], Tensor]:
    state: list[Any] = [None]

    def step(x: Tensor) -> Tensor:
        if state[0] is None and isinstance(cell, cells.Cell):
            state[0] = cell.initial_state(1)
        if isinstance(cell, cells.Cell):
            state[0] = (cell(x, *state[0]),)
            return state[0][0]
        state[0] = cell(x, state[0])
        return state[0][0] if isinstance(state[0], tuple) else state[0]

    return step


def _stepping(name: str, step: Callable[[Tensor], Tensor], x: Tensor) -> Contestant:
    def run() -> Tensor:
        with torch.inference_mode():
            return step(x)

    return Contestant(name, run)


def _onnx_steps(title: str, H: int, x: Tensor) -> Contestant:
    session = onnx_session(getattr(nn, title)(H, H), 1, 1)
    zero = torch.zeros(1, 1, H).numpy()
    feeds = {given.name: zero for given in session.get_inputs()} | {"x": x[None].numpy()}
    return Contestant("onnxruntime", lambda: session.run(None, feeds))


# threads and neighbours


def thread_rows(pace: Pace, quick: bool) -> Iterator[Row]:
    """One thread and two, in training; the results must be the same bits."""
    for name in ("lstm", "gru", "gated"):
        subject = next(subject for subject in SUBJECTS if subject.name == name)
        for shape in SHAPES[:1] if quick else SHAPES:
            ours = contest(subject.build(shape.I, shape.H)[0], Batch(shape), train=True)
            row = Row("1 to 2 threads", f"{subject.title} training", str(shape))
            # "never slower", less what two runs of one thing differ by
            row.goal = 1.7 if shape.B >= 32 else 0.97
            before = torch.get_num_threads()
            try:
                yield _scaled(row, ours, pace)
            finally:
                torch.set_num_threads(before)


def _scaled(row: Row, ours: Contestant, pace: Pace) -> Row:
    field = []
    results = []
    for count in (1, 2):
        begin = _chooser(count)
        begin()
        results.append(ours.results())
        field.append(Contestant(f"{count} thread{'s' * (count > 1)}", ours.run, begin=begin))
    if not all(torch.equal(a, b) for a, b in zip(*results, strict=True)):
        row.wrong = f"threads change the result by {difference(*results):.1e}"
        return row
    timings = alternate(field, pace)
    row.times = {name: timing.median for name, timing in timings.items()}
    row.figure = row.times["1 thread"] / row.times["2 threads"]
    return row


def _chooser(count: int) -> Callable[[], None]:
    return lambda: torch.set_num_threads(count)


def busy_rows(pace: Pace, quick: bool) -> Iterator[Row]:
    """With every core busy elsewhere: a fair share is half of each, so twice the time."""
    slow = Pace(pace.rounds, pace.calls, pace.seconds * 6)
    with _neighbours(torch.get_num_threads()) as (stop, go):
        for name in ("lstm", "gru"):
            subject = next(subject for subject in SUBJECTS if subject.name == name)
            for shape in SHAPES[:1] if quick else (SHAPES[1], SHAPES[3], SHAPES[4]):
                ours = contest(subject.build(shape.I, shape.H)[0], Batch(shape), train=True)
                quiet = Contestant("ostinato", ours.run, begin=stop)
                busy = Contestant("among busy loops", ours.run, begin=go)
                timings = alternate([quiet, busy], slow)
                # means: a call either waits for a whole turn of its neighbour or not at all
                times = {name: timing.mean for name, timing in timings.items()}
                figure = times["among busy loops"] / (2 * times["ostinato"])
                row = Row("all cores busy elsewhere", f"{subject.title} training", str(shape))
                row.times, row.figure, row.goal, row.more = times, figure, 2.0, False
                row.note = "times the fair share"
                yield row


@contextlib.contextmanager
def _neighbours(count: int) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Busy loops, one for each core, and how to stop them and let them go on."""
    script = "while True: pass"
    loops = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(count)]

    def send(which: signal.Signals) -> Callable[[], None]:
        def now() -> None:
            for loop in loops:
                os.kill(loop.pid, which)

        return now

    try:
        yield send(signal.SIGSTOP), send(signal.SIGCONT)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
