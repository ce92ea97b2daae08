"""What single cells do that the others do not, and the options that they refuse."""

import pytest
import torch

from ostinato import cells
from ostinato.engine import Call, run


def walk_states(cell, x):
    return run(Call(cell, x, cell.initial_state(x.shape[1]), all_states=True)).states


def test_clockwork_groups_change_at_their_own_steps_only():
    periods = (1, 2, 3)
    cell = cells.ClockworkRNN(2, 6, periods=periods)
    h, t = walk_states(cell, torch.randn(13, 1, 2))
    for k, period in enumerate(periods):
        group = h[:, 0, 2 * k : 2 * k + 2]
        changed = [0] + [s for s in range(1, 13) if not torch.equal(group[s], group[s - 1])]
        assert changed == list(range(0, 13, period))
    assert t[:, 0, 0].tolist() == [(s + 1) % 6 for s in range(13)]


def test_clockwork_groups_hear_slower_ones_only():
    cell = cells.ClockworkRNN(2, 4, periods=(1, 4))
    h = torch.zeros(1, 4, requires_grad=True)
    new, _ = cell(torch.randn(1, 2), h, torch.zeros(1, 1))
    (of_slow,) = torch.autograd.grad(new[:, 2:].sum(), h, retain_graph=True)
    (of_fast,) = torch.autograd.grad(new[:, :2].sum(), h)
    assert of_fast.all()
    assert not of_slow[:, :2].any()
    assert of_slow[:, 2:].all()


def test_clockwork_starts_again_where_a_row_is_reset():
    cell = cells.ClockworkRNN(2, 4, periods=(3, 4))
    x = torch.randn(5, 2, 2)
    reset = torch.zeros(5, 2, dtype=torch.bool)
    reset[2, 1] = True
    start = cell.initial_state(2)
    walk = run(Call(cell, x, start, reset=reset, reset_state=start))
    alone = run(Call(cell, x[2:, 1:], cell.initial_state(1)))
    torch.testing.assert_close(walk.output[2:, 1:], alone.output)


def test_narx_hears_a_state_exactly_its_delay_later():
    cell = cells.NARX(2, 3, delays=(3,))
    x = torch.randn(8, 1, 2, requires_grad=True)
    walk = run(Call(cell, x, cell.initial_state(1)))
    (gradient,) = torch.autograd.grad(walk.output[7].sum(), x)
    assert [t for t in range(8) if gradient[t].any()] == [1, 4, 7]


def test_a_coupled_lstm_keeps_what_it_does_not_write():
    cell = cells.LSTM(2, 3, coupled=True, forget_bias=40.0)
    c = torch.randn(4, 3)
    _, new = cell(torch.randn(4, 2), torch.randn(4, 3), c)
    torch.testing.assert_close(new, c)
    assert cell.gates.names == ("f", "g", "o")
    assert cell.weight_ci is None


def test_an_activation_with_parameters_is_trained():
    cell = cells.Elman(2, 3, activation=torch.nn.PReLU())
    cell(torch.randn(4, 2), torch.randn(4, 3)).sum().backward()
    assert cell.activation.weight.grad is not None


@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid", "elu", "gelu", "silu", "softplus"])
def test_activations_are_those_of_their_name(name):
    x = torch.linspace(-2, 2, 9)
    ours = cells.activation_function(name)(x)
    modules = {"relu": "ReLU", "elu": "ELU", "gelu": "GELU", "silu": "SiLU"}
    theirs = getattr(torch.nn, modules.get(name, name.capitalize()))()(x)
    torch.testing.assert_close(ours, theirs)


def test_the_identity_activation_changes_nothing():
    x = torch.randn(3)
    assert cells.activation_function("identity")(x) is x


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: cells.Elman(2, 3, activation="tahn"), "Did you mean 'tanh'"),
        (lambda: cells.Elman(2, 3, activation="zzz"), "'zzz' is none of tanh, relu"),
        (lambda: cells.Jordan(2, 3, output_size=0), "output_size must be at least 1, got 0"),
        (lambda: cells.LeakyRNN(2, 3, leak=0.0), r"leak must be in \(0, 1\], got 0"),
        (lambda: cells.LeakyRNN(2, 3, leak=1.1), r"leak must be in \(0, 1\], got 1.1"),
        (lambda: cells.LSTM(2, 3, proj_size=3), "proj_size must be smaller than hidden_size 3"),
        (lambda: cells.LSTM(2, 3, proj_size=-1), "got -1"),
        (lambda: cells.GRU(2, 3, reset="never"), 'reset must be "after" or "before"'),
        (lambda: cells.ClockworkRNN(2, 3), "must be a multiple of the 4 periods, got 3"),
        (lambda: cells.ClockworkRNN(2, 3, periods=()), "periods must be whole steps >= 1"),
        (lambda: cells.ClockworkRNN(2, 3, periods=(0, 1)), "periods must be whole steps >= 1"),
        (lambda: cells.NARX(2, 3, delays=()), "delays must be different steps >= 1"),
        (lambda: cells.NARX(2, 3, delays=(1, 1)), "delays must be different steps >= 1"),
        (lambda: cells.NARX(2, 3, delays=(0,)), "delays must be different steps >= 1"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
