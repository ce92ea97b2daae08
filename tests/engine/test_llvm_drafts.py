"""A kernel that is on disk is there without its text, and is the same kernel."""

import pytest
import torch

from ostinato import cells
from ostinato.engine.forms import form_of
from ostinato.engine.llvm import drafts, onestep
from ostinato.engine.llvm import kernel as made
from ostinato.engine.llvm.compile import cache_folder, host_target
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.onestep import OneStep

I, H = 3, 5  # noqa: E741


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    # nobody's edits of our own files, while the tests run, matter here
    monkeypatch.setattr(drafts, "own_source", lambda: "ours")
    return cache_folder("kernels")


@pytest.fixture
def written(monkeypatch):
    """Counts the texts that are written."""
    count = []
    for home in (made, onestep):
        plain = home.compile_text

        def counted(*arguments, plain=plain):
            count.append(1)
            return plain(*arguments)

        monkeypatch.setattr(home, "compile_text", counted)
    return count


def program_of(name):
    cell = cells.by_name(name)(I, H)
    state = tuple(torch.zeros(1, size) for size in cell.state_sizes)
    found = form_of(cell, torch.zeros(1, I), state).found
    return found.program, found.output


def build(name="lstm", train=True, dtype=torch.float32, target=""):
    return Kernel(program_of(name)[0], train=train, dtype=dtype, target=host_target(target))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ["lstm", "gru", "mingru", "jordan"])
def test_the_second_kernel_needs_no_text_and_is_the_same(name, train, folder, written):
    first, second = (build(name, train) for _ in range(2))
    assert len(written) == 1
    assert second.frame.slots == first.frame.slots
    assert second.names == first.names
    packings = ["packing"] + (["back_packing"] if train else [])
    for packing in packings:
        assert torch.equal(getattr(first, packing).table, getattr(second, packing).table)
        assert getattr(first, packing).sizes == getattr(second, packing).sizes
    assert sorted(second.library.functions) == sorted(first.library.functions)


def test_whatever_makes_another_text_makes_another_draft(folder, written):
    build()
    build(train=False)
    build(dtype=torch.float64)
    build("gru")
    build(target="sse2")
    assert len(written) == 5


def test_single_steps_are_kept_too(folder, written):
    program, output = program_of("gru")
    options = {"dtype": torch.float32, "target": host_target()}
    first, second = (OneStep(program, 1, output, **options) for _ in range(2))
    assert len(written) == 1
    assert second.frame.slots == first.frame.slots
    assert second.sizes == first.sizes
    OneStep(program, 2, output, **options)
    assert len(written) == 2


DAMAGES = {
    "cut": lambda text: text[:-9],
    "changed": lambda text: text.replace('"T": 0', '"T": 1'),
    "of another kind": lambda text: text.replace("draft 1", "draft 9"),
    "empty": lambda text: "",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_draft_is_written_anew(damage, folder, written):
    build()
    (file,) = folder.glob("*.json")
    text = file.read_text()
    assert DAMAGES[damage](text) != text
    file.write_text(DAMAGES[damage](text))
    build()
    assert len(written) == 2
    assert file.read_text() == text


def test_a_draft_whose_code_is_gone_is_of_no_use(folder, written):
    build()
    for file in folder.glob("*.o"):
        file.unlink()
    build()
    assert len(written) == 2
