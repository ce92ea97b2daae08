import pytest
import torch
from custom_cells import CELLS, TOKEN_CELL, traced_custom

from ostinato import cells
from ostinato.engine import Call, run
from ostinato.engine import engine as force
from ostinato.engine.interpret import unroll
from ostinato.engine.trace import trace

OURS = {
    "elman": lambda: cells.Elman(5, 6),
    "elman relu, joint": lambda: cells.Elman(5, 6, activation="relu", joint=True),
    "jordan": lambda: cells.Jordan(5, 6, output_size=3),
    "leaky": lambda: cells.LeakyRNN(5, 6, leak=0.3),
    "gated": lambda: cells.Gated(5, 6),
    "mgu": lambda: cells.MGU(5, 6),
    "lstm": lambda: cells.LSTM(5, 6),
    "lstm joint": lambda: cells.LSTM(5, 6, joint=True),
    "lstm peephole": lambda: cells.LSTM(5, 6, peephole=True),
    "lstm coupled": lambda: cells.LSTM(5, 6, coupled=True),
    "lstm projected": lambda: cells.LSTM(5, 6, proj_size=4, bias="both"),
    "lstm layer norm": lambda: cells.LSTM(5, 6, layer_norm=True),
    "gru after": lambda: cells.GRU(5, 6, bias="both"),
    "gru before": lambda: cells.GRU(5, 6, reset="before"),
    "independent": lambda: cells.IndRNN(5, 6),
    "mingru": lambda: cells.MinGRU(5, 6),
    "minlstm": lambda: cells.MinLSTM(5, 6),
    "multiplicative": lambda: cells.MultiplicativeLSTM(5, 6),
    "clockwork": lambda: cells.ClockworkRNN(5, 6, periods=(1, 2, 3)),
    "narx": lambda: cells.NARX(5, 6),
}


def both_ways(cell, recurrence, x, state):
    """Output, states and every gradient: of the parts, and of the cell itself."""
    results = []
    for way in ("parts", "cell"):
        leaves = [t.clone().requires_grad_(t.is_floating_point()) for t in (x, *state)]
        if way == "parts":
            tensors = recurrence.tensors(cell)
            output, states = unroll(recurrence, leaves[0], leaves[1:], tensors)
        else:
            with force("eager"):
                walk = run(Call(cell, leaves[0], tuple(leaves[1:]), all_states=True))
            output, states = walk.output, list(walk.states)
        values = [value for value in (output, *states) if value.requires_grad]
        generator = torch.Generator().manual_seed(5)
        weights = [torch.randn(v.shape, dtype=v.dtype, generator=generator) for v in values]
        wanted = [leaf for leaf in leaves if leaf.requires_grad] + list(cell.parameters())
        gradients = torch.autograd.grad(
            values, wanted, weights, allow_unused=True, materialize_grads=True
        )
        results.append([output, *states, *gradients])
    return results


def check(cell, x, state, recurrence=None):
    torch.manual_seed(2)
    for parameter in cell.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    recurrence = recurrence or trace(cell.double(), x[0], state)
    parts, reference = both_ways(cell, recurrence, x, state)
    torch.testing.assert_close(parts, reference, rtol=1e-10, atol=1e-10)


def states(widths):
    return tuple(torch.randn(3, width, dtype=torch.float64) for width in widths)


@pytest.mark.parametrize("name", CELLS)
def test_the_parts_of_each_custom_cell_equal_it(name):
    cell, recurrence = traced_custom(name)
    torch.manual_seed(1)
    _, input_size, widths = CELLS[name]
    x = torch.randn(4, 3, input_size, dtype=torch.float64)
    check(cell, x, states(widths), recurrence)


@pytest.mark.parametrize("name", OURS)
def test_the_parts_of_each_of_our_cells_equal_it(name):
    torch.manual_seed(1)
    cell = OURS[name]()
    state = states(cell.state_sizes)
    if name == "clockwork":
        state = (state[0], torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64))
    check(cell, torch.randn(4, 3, 5, dtype=torch.float64), state)


def test_every_family_of_ours_is_tested():
    covered = {type(make_cell()) for make_cell in OURS.values()}
    assert covered == {cells.by_name(name) for name in cells.NAMES}


def test_whole_numbers_go_through_an_embedding_before_time():
    make_cell, widths = TOKEN_CELL
    check(make_cell(), torch.randint(11, (4, 3)), states(widths))
