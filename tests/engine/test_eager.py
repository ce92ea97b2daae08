import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato.engine import Call, eager, engine, run, split_result
from ostinato.engine.eager import walk

close = torch.testing.assert_close
T, B, I, H = 5, 3, 2, 4  # noqa: E741
X = torch.randn(T, B, I, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
NAN = float("nan")


class Leaky(nn.Module):
    """h' = 0.5 h + tanh(W x + U h), s' = s + 1; gives back 2 h' as its output."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.w = nn.Linear(I, H, dtype=torch.float64)
        self.u = nn.Linear(H, H, dtype=torch.float64)

    def forward(self, x, h, s):
        h = 0.5 * h + torch.tanh(self.w(x) + self.u(h))
        return 2 * h, (h, s + 1)


def by_hand(cell, x, h, order):
    """One row: outputs at each step in `order`, and the last h."""
    w, u = (cell.w.weight, cell.w.bias), (cell.u.weight, cell.u.bias)
    outputs = torch.zeros(len(x), H, dtype=torch.float64)
    for t in order:
        h = 0.5 * h + torch.tanh(w[0] @ x[t] + w[1] + u[0] @ h + u[1])
        outputs[t] = 2 * h
    return outputs, h


def call(**changes):
    start = (torch.ones(B, H, dtype=torch.float64), torch.zeros(B, 1, dtype=torch.float64))
    return Call(**{"cell": Leaky(), "x": X, "state": start, **changes})


@pytest.mark.parametrize("reverse", [False, True])
def test_walks_the_equations(reverse):
    result = walk(call(reverse=reverse))
    order = range(T)[::-1] if reverse else range(T)
    for b in range(B):
        y, h = by_hand(Leaky(), X[:, b], torch.ones(H, dtype=torch.float64), order)
        close(result.output[:, b], y)
        close(result.state[0][b], h)
    assert (result.state[1] == T).all()
    assert result.states is None


@pytest.mark.parametrize("reverse", [False, True])
def test_a_row_stops_at_its_length_and_hears_no_padding(reverse):
    lengths = torch.tensor([3, 0, 5])
    x = X.masked_fill((torch.arange(T)[:, None] >= lengths)[:, :, None], NAN).requires_grad_()
    cell = Leaky()
    result = walk(call(cell=cell, x=x, lengths=lengths, reverse=reverse, all_states=True))
    for b, n in enumerate(lengths.tolist()):
        order = range(n)[::-1] if reverse else range(n)
        y, h = by_hand(cell, X[:, b], torch.ones(H, dtype=torch.float64), order)
        close(result.output[:, b], y)
        close(result.state[0][b], h)
    close(result.state[1][:, 0], lengths.double())
    close(result.states[0] * 2, result.output)
    grads = torch.autograd.grad(result.output.sum(), [x, *cell.parameters()])
    assert all(grad.isfinite().all() for grad in grads)
    assert (grads[0][3:, 0] == 0).all()
    assert (grads[0][:, 1] == 0).all()


def test_a_reset_puts_the_reset_state_before_the_step():
    fresh = (torch.full((B, H), 0.3, dtype=torch.float64), torch.full((B, 1), 10.0).double())
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2, 1] = True
    result = walk(call(reset=reset, reset_state=fresh, all_states=True))
    y, h = by_hand(Leaky(), X[2:, 1], torch.full((H,), 0.3, dtype=torch.float64), range(T - 2))
    close(result.output[2:, 1], y)
    close(result.state[0][1], h)
    assert result.states[1][:, 1, 0].tolist() == [1, 2, 11, 12, 13]
    assert result.states[1][:, 0, 0].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_reset_in_the_padding_leaves_the_last_valid_state(reverse):
    fresh = tuple(torch.zeros_like(part) for part in call().state)
    lengths = torch.tensor([3, 0, 5])
    reset = torch.arange(T)[:, None] >= lengths
    changes = {"lengths": lengths, "reverse": reverse}
    marked = walk(call(reset=reset, reset_state=fresh, **changes))
    close(marked.state, walk(call(**changes)).state)


def test_parameters_stand_in_for_those_of_the_cell_and_get_the_gradient():
    cell = Leaky()
    other = {"u.weight": torch.zeros(H, H, dtype=torch.float64, requires_grad=True)}
    result = walk(call(cell=cell, parameters=other))
    same = Leaky()
    with torch.no_grad():
        same.u.weight.zero_()
    close(result.output, walk(call(cell=same)).output)
    result.output.sum().backward()
    assert other["u.weight"].grad.abs().sum() > 0
    assert cell.u.weight.grad is None
    assert cell.w.weight.grad is not None


def test_no_step_gives_the_width_of_the_output_and_the_state_back():
    result = walk(call(x=X[:0], all_states=True))
    assert result.output.shape == (0, B, H)
    assert [part.shape for part in result.states] == [(0, B, H), (0, B, 1)]
    close(result.state, call().state)


def test_gradients_of_a_walk_are_those_of_finite_differences():
    cell = Leaky()
    lengths = torch.tensor([2, 0, 3])

    def f(x, h):
        s = torch.zeros(B, 1, dtype=torch.float64)
        result = walk(Call(cell, x, (h, s), lengths=lengths, reverse=True))
        return result.output, result.state[0]

    x = X[:3].clone().requires_grad_()
    assert torch.autograd.gradcheck(f, (x, torch.ones(B, H).double().requires_grad_()))


@pytest.mark.parametrize(
    "result",
    [None, (torch.ones(1),), [torch.ones(1)] * 3, (torch.ones(1), (torch.ones(1),)), torch.ones(1)],
)
def test_a_cell_that_returns_something_else_is_told(result):
    with pytest.raises(TypeError, match=r"2 state tensor\(s\) must return"):
        split_result(result, 2)


def test_the_forms_that_a_cell_may_return():
    a, b, y = (torch.full((1,), value) for value in (1.0, 2.0, 3.0))
    assert split_result(a, 1) == (a, (a,))
    assert split_result((a,), 1) == (a, (a,))
    assert split_result((a, b), 2) == (a, (a, b))
    assert split_result([a, b], 2) == (a, (a, b))
    assert split_result((y, (a, b)), 2) == (y, (a, b))
    assert split_result((y, (a,)), 1) == (y, (a,))


def test_an_unknown_engine_is_refused_by_name():
    with (
        pytest.raises(ValueError, match=r"'eagre' is none of auto, llvm, scan, torch, eager"),
        engine("eagre"),
    ):
        pass


def test_the_engine_in_force_ends_with_its_block(monkeypatch):
    walks = []
    monkeypatch.setattr(eager, "walk", lambda one: walks.append(one) or walk(one))
    cell = ost.cells.GRU(I, H).double()
    one = Call(cell, X, cell.initial_state(B))
    with ost.engine("eager"):
        run(one)
    assert len(walks) == 1
    with pytest.raises(TypeError), ost.engine("eager"):
        run(Call(torch.nn.Identity(), X, ()))
    run(one)
    assert len(walks) == 2
