import re

import pytest
import torch
from layer_cases import Plain
from torch.nn.utils.rnn import pack_sequence

import ostinato as ost
from ostinato import cells

X = torch.zeros(5, 8, 3)


def says(kind, *parts):
    """Expect an error whose message has all these parts."""
    return pytest.raises(kind, match=".*".join(re.escape(part) for part in parts))


def test_states_of_a_wrong_shape():
    layer = ost.LSTM(3, 64, bidirectional=True)
    good = torch.zeros(2, 8, 64)
    with says(
        ValueError,
        "LSTM: h0 must be [2, 8, 64] (layers x directions, batch, hidden), got [8, 2, 64]. "
        "Pass it layer first.",
    ):
        layer(X, (good.transpose(0, 1), good))
    with says(ValueError, "c0 must be [2, 8, 64]", "got [2, 8, 5]."):
        layer(X, (good, good[..., :5]))
    with says(ValueError, "h0 must be [2, 64] (layers x directions, hidden), got [2, 5]"):
        layer(X[:, 0], (good[:, 0, :5], good[:, 0]))
    with says(ValueError, "Recurrent: h0 must be [8, 4] (batch, hidden), got [1, 8, 4]"):
        ost.Recurrent(cells.GRU(3, 4))(X, torch.zeros(1, 8, 4))


def test_states_of_a_wrong_kind():
    layer = ost.LSTM(3, 4)
    zeros = torch.zeros(1, 8, 4)
    with says(ValueError, "the state must be a tuple (h0, c0), got 1 tensor(s)"):
        layer(X, zeros)
    with says(ValueError, "got 3 tensor(s)"):
        layer(X, (zeros,) * 3)
    with says(TypeError, "the state must be a tuple (h0, c0), got str"):
        layer(X, "zeros")
    with says(TypeError, "GRU: the state must be one tensor, h0, got float"):
        ost.GRU(3, 4)(X, 0.5)
    uneven = ost.Recurrent([cells.GRU(3, 4), cells.GRU(4, 2)], 2)
    with says(ValueError, "its 2 cells differ in width", "Pass what the layer returned"):
        uneven(X, torch.zeros(2, 8, 4))


def test_input_of_a_wrong_shape():
    with says(ValueError, "GRU: input must be [time, batch, 3]", "got [5, 8, 2]"):
        ost.GRU(3, 4)(X[..., :2])
    with says(ValueError, "input must be [batch, time, 3]", "got [5, 8, 3, 1]"):
        ost.GRU(3, 4, batch_first=True)(X[..., None])
    with says(ValueError, "whole numbers stand for one-hot vectors", "got [5, 8, 3]", "x.float()"):
        ost.GRU(3, 4)(X.long())
    with says(ValueError, "got [2, 2]"):
        ost.GRU(3, 4)(X[:2, 0, :2])
    with says(ValueError, "got [2, 1, 2]"):
        ost.GRU(3, 4)(pack_sequence([torch.zeros(2, 2)]))


def test_lengths_that_do_not_fit():
    layer = ost.GRU(3, 4)
    with says(ValueError, "lengths must be in 0..5", "got 2..6", "Pad the input, or cut"):
        layer(X, lengths=[6, 2, 2, 2, 2, 2, 2, 2])
    with says(ValueError, "lengths must be in 0..5", "got -1..5"):
        layer(X, lengths=[-1, 5, 5, 5, 5, 5, 5, 5])
    with says(ValueError, "lengths must be [8], one for each row of the batch, got [2]"):
        layer(X, lengths=[2, 3])
    with says(ValueError, "lengths must be [8]", "got []"):
        layer(X, lengths=3)
    for wrong in (torch.ones(8), torch.ones(8, dtype=torch.bool)):
        with says(TypeError, "lengths must be whole numbers"):
            layer(X, lengths=wrong)
    with says(ValueError, "a packed input brings its lengths"):
        layer(pack_sequence([X[:, 0]]), lengths=[5])


def test_resets_that_do_not_fit():
    layer = ost.GRU(3, 4, batch_first=True)
    with says(ValueError, "reset must be [5, 8] (batch, time), got [8, 5]"):
        layer(X, reset=torch.zeros(8, 5, dtype=torch.bool))
    with says(ValueError, "reset must be [8] (time), got [5, 8]"):
        layer(X[0], reset=torch.zeros(5, 8, dtype=torch.bool))
    with says(TypeError, "reset must be a tensor of bool, got torch.float32. Try reset.bool()"):
        layer(X, reset=torch.zeros(5, 8))
    with says(TypeError, "reset must be a tensor of bool, got list"):
        layer(X, reset=[[True]])


def test_layers_that_cannot_be_built():
    with says(ValueError, "num_layers must be at least 1, got 0"):
        ost.Recurrent(cells.GRU(3, 4), 0)
    with says(ValueError, "more cells like Plain are needed", "Give a list with a cell for each"):
        ost.Recurrent(Plain(), 2, input_size=3, state_sizes=(4,))
    with says(ValueError, "2 layer(s) in 2 direction(s) need 4 cells, got 2"):
        ost.Recurrent([cells.GRU(3, 4), cells.GRU(8, 4)], 2, True)
    with says(ValueError, "residual adds input to output, which are 3 and 4 wide"):
        ost.Recurrent(cells.GRU(3, 4), residual=True)
    with says(ValueError, "GRU: residual adds input to output, which are 3 and 4 wide"):
        ost.GRU(3, 4, residual=True)
    with says(ValueError, "locked_dropout needs a rate"):
        ost.Recurrent(cells.GRU(3, 4), 2, locked_dropout=True)
    with says(TypeError, "LSTM: no keyword 'zone_out'", "zoneout"):
        ost.LSTM(3, 4, zone_out=0.1)
    with says(ValueError, "options that act inside time need its widths"):
        ost.Recurrent(Plain(), zoneout=0.1)
