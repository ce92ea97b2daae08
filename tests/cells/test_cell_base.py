import copy
import pickle

import pytest
import torch
from torch import nn

from ostinato.cells import Cell, Elman, Gates


class Own(Cell):
    """A user's cell, with an option and a width of another name first."""

    def __init__(self, units, input_size, *, scale=1.0):
        super().__init__(input_size, units, state_sizes=(units,), state_names=("s",))
        self.scale = scale
        self.gates = Gates("n", input_size, units)

    def forward(self, x, s):
        (n,) = self.gates(x, s)
        return self.scale * torch.tanh(n)


class Passing(Elman):
    """A user's cell that hands its arguments on."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class Inherits(Elman):
    """A user's cell without a constructor."""


class Nameless(Cell):
    def __init__(self, sizes):
        super().__init__(*sizes)


@pytest.mark.parametrize(
    "cell",
    [
        Own(4, 3, scale=0.5),
        Own(4, input_size=3, scale=0.5),
        Own(units=4, input_size=3, scale=0.5),
        Passing(3, 4, activation="relu"),
        Passing(hidden_size=4, input_size=3),
        Inherits(3, 4, bias=False),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "through", [lambda c: c, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_a_users_subclass_can_be_rebuilt(cell, through):
    fresh = through(cell).rebuild(9)
    assert type(fresh) is type(cell)
    assert (fresh.input_size, fresh.hidden_size) == (9, 4)
    assert repr(fresh) == repr(cell).replace("3", "9")
    assert fresh(torch.zeros(2, 9), *fresh.initial_state(2)).shape == (2, 4)


def test_a_cell_that_cannot_be_rebuilt_says_what_to_do():
    with pytest.raises(TypeError, match="no argument input_size"):
        Nameless((3, 4)).rebuild(9)


def test_a_rebuilt_cell_shares_no_module_with_its_model():
    cell = Elman(3, 4, activation=nn.PReLU())
    fresh = cell.rebuild(3)
    assert fresh.activation is not cell.activation
    assert len(list(cell.parameters())) == len(list(fresh.parameters())) == 4


def test_a_rebuilt_cell_keeps_device_and_type():
    assert Elman(3, 4).to(device="meta", dtype=torch.float64).rebuild(5).gates.bias.is_meta
    assert Elman(3, 4).double().rebuild(5).gates.bias.dtype == torch.float64


def test_an_initial_state_follows_the_parameters_unless_told():
    cell = Elman(3, 4).double()
    assert cell.initial_state(2)[0].dtype == torch.float64
    assert cell.initial_state(2, dtype=torch.float32)[0].dtype == torch.float32
    assert cell.initial_state(2, device="meta")[0].is_meta


@pytest.mark.parametrize("sizes", [(0, 4), (3, 0), (-1, 4)])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(ValueError, match="must be at least 1"):
        Elman(*sizes)


def test_names_must_match_the_states():
    with pytest.raises(ValueError, match="2 state_sizes need as many state_names, got 1"):
        Cell(3, 4, state_sizes=(4, 4), state_names=("h",))


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_every_state_has_a_name(count):
    cell = Cell(3, 4, state_sizes=(4,) * count)
    assert len(set(cell.state_names)) == count
