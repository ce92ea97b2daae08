"""Equations on disk: what is read back is what was saved, and a bad file is passed over."""

import os
import subprocess
import sys

import pytest
import torch
from custom_cells import CELLS

from ostinato import cells
from ostinato.engine import forms, origin, stored
from ostinato.engine.llvm.compile import cache_folder
from ostinato.engine.trace import trace

I, H = 3, 4  # noqa: E741


def traced(cell, width, sizes):
    with torch.no_grad():
        return trace(cell, torch.zeros(1, width), tuple(torch.zeros(1, size) for size in sizes))


def all_cells():
    for name in cells.NAMES:
        cell = cells.by_name(name)(I, H)
        yield pytest.param(cell, I, cell.state_sizes, id=name)
    for name, (make, width, sizes) in CELLS.items():
        yield pytest.param(make(), width, sizes, id=name)


@pytest.mark.parametrize(("cell", "width", "sizes"), list(all_cells()))
def test_what_is_read_back_is_what_was_written(cell, width, sizes):
    found = traced(cell, width, sizes)
    try:
        text = stored.text_of(found)
    except stored.Unwritable:
        assert found.constants
        return
    back = stored.read_text(text)
    assert back.key() == found.key()
    # nodes are compared by identity, and made once
    assert back.program == found.program
    assert back.names == {n: name for n, name in found.names.items() if n in back.names}
    for name in ("output", "state_names", "static_names", "input_names", "output_shape"):
        assert getattr(back, name) == getattr(found, name)
    x = torch.randn(5, width)
    tensors = found.tensors(cell)
    assert all(map(torch.equal, back.static((), tensors), found.static((), tensors)))
    if found.before is not None:
        pairs = zip(back.before([x], tensors), found.before([x], tensors), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert stored.text_of(back) == text


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    # nobody's edits of our own files, while the tests run, matter here
    monkeypatch.setattr(origin, "own_source", lambda: "ours")
    return cache_folder("equations")


def read(cell):
    """The cell's recurrence, as the engine gets it in a process that has not seen it."""
    state = tuple(torch.zeros(1, size) for size in cell.state_sizes)
    return forms._read(cell, torch.zeros(1, I), state)


@pytest.fixture
def traces(monkeypatch):
    """Counts how often a cell is really read."""
    count = []

    def counted(*arguments):
        count.append(1)
        return trace(*arguments)

    monkeypatch.setattr(forms, "trace", counted)
    return count


def test_a_cell_is_read_once(folder, traces):
    first, second = (read(cells.GRU(I, H)) for _ in range(2))
    assert len(traces) == 1
    assert first.program == second.program
    assert len(list(folder.iterdir())) == 1
    read(cells.GRU(I, H, reset="before"))
    assert len(traces) == 2


DAMAGES = {
    "empty": lambda text: "",
    "cut": lambda text: text[: len(text) // 2],
    "changed": lambda text: text.replace('"sigmoid"', '"tanh"'),
    "of another kind": lambda text: text.replace("ostinato equations", "other equations"),
    "no text": lambda text: "\udcff",
    "its checksum is right, its content is not": lambda text: signed('{"nodes": []}'),
    "an unknown operator": lambda text: signed(
        text.split("\n", 2)[2].replace(
            '["placeholder","fixed_0"]', '["os.system",["tuple",[]],["dict",[]]]'
        )
    ),
}


def signed(body):
    return "\n".join([stored._MAGIC, stored._sum(body), body])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_passed_over_and_written_anew(damage, folder, traces):
    wanted = read(cells.LSTM(I, H))
    (file,) = folder.iterdir()
    text = file.read_text(encoding="utf-8")
    broken = DAMAGES[damage](text)
    assert broken != text
    file.write_text(broken, encoding="utf-8", errors="surrogateescape")
    assert read(cells.LSTM(I, H)).program == wanted.program
    assert len(traces) == 2
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such rights here")
def test_a_folder_that_cannot_be_written_is_let_be(tmp_path, monkeypatch, traces):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("OSTINATO_CACHE", str(blocked))
    assert read(cells.GRU(I, H)).program == read(cells.GRU(I, H)).program
    assert len(traces) == 2


def test_another_process_reads_what_this_one_saved(folder):
    """Keys are the same in every process, whatever its hashes of strings are."""
    program = (
        "import torch; from ostinato import cells; from ostinato.engine import forms, origin\n"
        "origin.own_source = lambda: 'ours'\n"
        f"for cell in (cells.LSTM({I}, {H}), cells.GRU({I}, {H}, reset='before')):\n"
        f"    state = tuple(torch.zeros(1, {H}) for _ in cell.state_sizes)\n"
        f"    print(forms._origin(cell, torch.zeros(1, {I}), state))"
    )
    keys = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 2
    assert "None" not in keys[0]
