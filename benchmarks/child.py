"""What has to be measured in a process of its own: first calls and peak memory. Prints JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import ostinato
from ostinato import cells
from subjects import Batch, Shape

_CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "LSTM": cells.LSTM,
    "GRU": cells.GRU,
    "Gated": cells.Gated,
    "layer-norm LSTM": lambda i, h: cells.LSTM(i, h, layer_norm=True),
    "MGU": cells.MGU,
}


def start(width: int) -> dict[str, list[float]]:
    """Seconds of the first forward and of the first training step, cell by cell."""
    found = {"the first of a process": _first_calls(cells.Elman(3, 4), 3, 4)}
    for name, make in _CELLS.items():
        found[name] = _first_calls(make(width, width), width, width)
    return found


def _first_calls(cell: nn.Module, inputs: int, width: int) -> list[float]:
    states = len(getattr(cell, "state_sizes", (width,)))
    layer = ostinato.Recurrent(cell, input_size=inputs, state_sizes=[width] * states)
    x = torch.randn(3, 2, inputs)
    begin = time.perf_counter()
    with torch.inference_mode():
        layer(x)
    between = time.perf_counter()
    layer(x)[0].sum().backward()
    return [between - begin, time.perf_counter() - between]


def memory(kind: str, whose: str, *sizes: int) -> dict[str, float]:
    """Bytes that training steps take at most, over those of x, dy and the parameters.

    `whose` is "torch.nn", "ostinato", or "segments": ours, with checkpoint_every="sqrt".
    """
    shape = Shape(*sizes)
    torch.manual_seed(0)
    options = {"checkpoint_every": "sqrt"} if whose == "segments" else {}
    layer = getattr(nn if whose == "torch.nn" else ostinato, kind)(shape.I, shape.H, **options)
    # whatever is compiled and loaded is no part of it
    _train(layer, Batch(Shape(shape.B, 2, shape.I, shape.H)))
    batch = Batch(shape)
    _reset_peak()
    before = _status("VmRSS")
    for _ in range(3):
        result = _train(layer, batch)
    return {"bytes": _status("VmHWM") - before, "check": result}


def _train(layer: nn.Module, batch: Batch) -> float:
    layer.zero_grad()
    batch.x.grad = None
    layer(batch.x)[0].backward(batch.dy)
    assert batch.x.grad is not None
    return batch.x.grad.abs().sum().item()


def long(kind: str, T: int) -> dict[str, float]:
    """A forward walk of T steps: seconds, bytes beyond x and y, difference to torch.nn."""
    torch.manual_seed(0)
    layer, reference = getattr(ostinato, kind)(8, 32), getattr(nn, kind)(8, 32)
    reference.load_state_dict(layer.state_dict())
    x = torch.randn(T, 1, 8)
    with torch.inference_mode():
        layer(x[:10])
        _reset_peak()
        before, begin = _status("VmRSS"), time.perf_counter()
        y = layer(x)[0]
        seconds = time.perf_counter() - begin
        extra = _status("VmHWM") - before - y.numel() * y.element_size()
        begin = time.perf_counter()
        expected: Tensor = reference(x)[0]
        theirs = time.perf_counter() - begin
    far = (y - expected).abs().max().item()
    return {"seconds": seconds, "torch.nn": theirs, "bytes": extra, "difference": far}


def _reset_peak() -> None:
    # Linux: lets VmHWM begin anew from what is resident now
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status does not tell {key}.")


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    deed, *rest = sys.argv[2:]
    if deed == "start":
        found: object = start(int(rest[0]))
    elif deed == "memory":
        found = memory(rest[0], rest[1], *map(int, rest[2:]))
    else:
        found = long(rest[0], int(rest[1]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
