import pytest
import torch

from ostinato import GRU
from ostinato.layers.pooling import (
    AttentionPooling,
    LastPooling,
    Pools,
    pooling_by_name,
)

NAMES = ["last", "mean", "max", "attention", "mean+max+last"]
LENGTHS = [7, 1, 4, 0]


@pytest.fixture
def y():
    torch.manual_seed(0)
    return torch.randn(7, 4, 6, dtype=torch.float64)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_row_among_others_gives_what_it_gives_alone(name, bidirectional, y):
    pool = pooling_by_name(name, 6, bidirectional=bidirectional).double()
    together = pool(y, LENGTHS)
    for b, length in enumerate(LENGTHS):
        alone = pool(y[:length, b : b + 1])[0]
        assert torch.allclose(together[b], alone, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_padding_may_hold_anything_and_gets_no_gradient(name, y):
    pool = pooling_by_name(name, 6, bidirectional=True).double()
    before = pool(y, LENGTHS)
    inside = torch.arange(7)[:, None] < torch.tensor(LENGTHS)
    y = y.masked_fill(~inside[:, :, None], float("nan")).requires_grad_()
    after = pool(y, LENGTHS)
    assert torch.allclose(before, after, atol=1e-12)
    after.sum().backward()
    assert (y.grad[~inside] == 0).all()
    assert y.grad[inside].abs().sum() > 0


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name, y):
    pool = pooling_by_name(name, 6).double()
    y = y[:, :3].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: pool(y, LENGTHS[:3]), (y,))


def test_last_is_the_final_state_in_both_directions():
    torch.manual_seed(0)
    layer = GRU(3, 5, bidirectional=True)
    y, h = layer(torch.randn(6, 2, 3), lengths=[6, 3])
    pooled = LastPooling(10, bidirectional=True)(y, [6, 3])
    assert torch.equal(pooled, torch.cat([h[0], h[1]], dim=-1))


def test_mean_and_max_by_hand():
    y = torch.tensor([[1.0, -5.0], [3.0, -1.0], [9.0, 9.0]]).reshape(3, 1, 2)
    pooled = pooling_by_name("mean+max", 2)(y, [2])
    assert pooled.tolist() == [[2.0, -3.0, 3.0, -1.0]]


def test_attention_is_the_equation(y):
    attend = AttentionPooling(6, hidden=4).double()
    steps = y[:4, 2]
    scores = torch.tanh(steps @ attend.project.weight.T + attend.project.bias) @ attend.query
    expected = (scores.softmax(0)[:, None] * steps).sum(0)
    assert torch.allclose(attend(y, LENGTHS)[2], expected)
    weights = attend.weights(y, torch.tensor(LENGTHS))
    assert torch.allclose(weights.sum(0), torch.tensor([1.0, 1, 1, 0]).double())


@pytest.mark.parametrize("name", NAMES)
def test_no_steps_at_all_give_zeros(name):
    pool = pooling_by_name(name, 6)
    assert torch.equal(pool(torch.zeros(0, 2, 6)), torch.zeros(2, pool.output_size))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"y must be \[time, batch, 6\], got \[7, 4, 5\]"):
        pooling_by_name("mean", 6)(torch.zeros(7, 4, 5))
    with pytest.raises(ValueError, match=r"lengths must be in 0\.\.7"):
        pooling_by_name("max", 6)(torch.zeros(7, 1, 6), [8])
    with pytest.raises(ValueError, match="there is no 'median'"):
        pooling_by_name("mean+median", 6)


def test_several_are_joined_in_order(y):
    pool = pooling_by_name("last+max", 6)
    assert isinstance(pool, Pools)
    assert torch.equal(pool(y)[:, :6], y[-1])
