import sys

import pytest
import torch
from torch import nn

import ostinato
from ostinato import cells
from ostinato.engine import Call, run


def test_every_name_builds_a_cell_that_runs():
    assert sorted(cells.NAMES) == list(cells.NAMES)
    for name in cells.NAMES:
        cell = cells.by_name(name)(3, 8)
        walk = run(Call(cell, torch.ones(4, 2, 3), cell.initial_state(2)))
        assert walk.output.shape == (4, 2, 8)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'lstm'"):
        cells.by_name("lsmt")
    with pytest.raises(ValueError, match="'zzz' is none of clockwork, elman") as error:
        cells.resolve("zzz")
    assert "Did you mean" not in str(error.value)


def test_a_name_in_capitals_is_guessed():
    with pytest.raises(ValueError, match="Did you mean 'gru'"):
        cells.by_name("GRU")


def test_a_strangers_class_is_found_by_module_and_name(tmp_path, monkeypatch):
    (tmp_path / "strange_cells.py").write_text(
        "import torch\n"
        "class Decay(torch.nn.Module):\n"
        "    def __init__(self, input_size, hidden_size):\n"
        "        super().__init__()\n"
        "        self.drive = torch.nn.Linear(input_size, hidden_size)\n"
        "    def forward(self, x, h):\n"
        "        return 0.5 * h + self.drive(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    cell = cells.resolve("strange_cells:Decay")(3, 4)
    walk = run(Call(cell, torch.zeros(2, 5, 3), (torch.ones(5, 4),)))
    bias = cell.drive.bias
    torch.testing.assert_close(walk.state[0], (0.25 + 1.5 * bias).expand(5, 4))
    sys.modules.pop("strange_cells")


def test_a_class_is_taken_as_it_is():
    assert cells.resolve(nn.GRUCell) is nn.GRUCell
    assert cells.resolve("lstm") is ostinato.cells.LSTM


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_module:Cell", "'no_such_module', which cannot be found"),
        ("torch.no_such:Cell", "'torch.no_such', which cannot be found"),
        ("torch.nn:NoSuchCell", "has no class 'NoSuchCell'"),
    ],
)
def test_what_cannot_be_found_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        cells.resolve(spec)


def test_an_import_that_fails_inside_the_users_module_is_shown(tmp_path, monkeypatch):
    (tmp_path / "broken_cells.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        cells.resolve("broken_cells:Cell")


def test_all_names_can_be_imported():
    for name in cells.__all__:
        assert getattr(cells, name) is not None
