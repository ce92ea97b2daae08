"""The code of three small cells, as it was when someone last read it.

Kept is what a cell has of its own: declarations, entries, and each block for one row and one
vector of units. After a change that is meant, write the files anew and read the difference:

    OSTINATO_GOLDEN=write pytest tests/engine/test_llvm_golden.py
"""

import difflib
import os
import re
from pathlib import Path

import llvmlite.binding as llvm
import pytest
import torch

from ostinato import cells
from ostinato.engine.fused import recurrence_of
from ostinato.engine.llvm import kernel
from ostinato.engine.llvm.compile import host_target
from ostinato.engine.llvm.text import Target

FOLDER = Path(__file__).parent / "golden"
# four lanes, whatever machine the tests run on
TARGET = Target("x86-64", "+sse2", 16, 16, False)
CELLS = {
    "elman": (lambda: cells.Elman(2, 4), False, torch.float32),
    "gru": (lambda: cells.GRU(2, 4), False, torch.float32),
    "mingru": (lambda: cells.MinGRU(2, 2), True, torch.float64),
}


# every block comes for other numbers of rows, too, and workers are alike in all cells
KEPT = re.compile(r"(?m)^define .*@(\w+_1_1|forward|backward|input\d|weights)\(")


class _Unloaded:
    functions = ()


def text_of(name, monkeypatch):
    """The text of a kernel, with nothing compiled, and as if torch had its usual OpenMP."""
    make, train, dtype = CELLS[name]
    cell = make().to(dtype)
    x, state = torch.zeros(1, 1, 2, dtype=dtype), cell.initial_state(1)
    found = recurrence_of(cell, x, tuple(part.to(dtype) for part in state))
    texts = []
    monkeypatch.setattr(kernel, "compile_text", lambda text, *_: texts.append(text) or _Unloaded())
    monkeypatch.setattr(kernel, "openmp", lambda: {"GOMP_parallel": 1})
    kernel.Kernel(found.program, train=train, dtype=dtype, target=TARGET)
    return texts[0]


def excerpt(text):
    head, *functions = re.split(r"(?m)^(?=define )", text)
    return "".join([head, *(one for one in functions if KEPT.match(one))])


@pytest.mark.parametrize("name", CELLS)
def test_the_text_is_the_one_that_was_read(name, monkeypatch):
    found, file = excerpt(text_of(name, monkeypatch)), FOLDER / f"{name}.ll"
    if os.environ.get("OSTINATO_GOLDEN") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(found, encoding="utf-8")
    wanted = file.read_text(encoding="utf-8")
    lines = difflib.unified_diff(wanted.splitlines(), found.splitlines(), "golden", "now", n=1)
    changed = list(lines)
    assert not changed, "\n".join([*changed[:40], __doc__])


@pytest.mark.parametrize("name", CELLS)
def test_the_text_is_the_same_each_time_and_llvm_takes_it(name, monkeypatch):
    first, second = (text_of(name, monkeypatch) for _ in range(2))
    assert first == second
    host_target()
    llvm.parse_assembly(first).verify()
