import copy
import pickle

import pytest
import torch
from layer_cases import LAYERS, H, I, gradients, make, parts

import ostinato as ost
from ostinato import cells
from ostinato.layers import (
    Constant,
    FromEncoder,
    Given,
    Learned,
    Random,
    Recurrent,
    Subset,
)

close = torch.testing.assert_close
X = torch.randn(4, 2, I, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def start(layer, batch_size=2, **keywords):
    """The initial state itself: what no step leaves behind."""
    return parts(layer(X[:0, :1].expand(0, batch_size, I), **keywords)[1])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    ("spec", "value"), [("zeros", 0), ("ones", 1), (0.3, 0.3), (Constant(-2.0), -2)]
)
def test_a_constant_is_where_every_unit_starts(name, spec, value):
    layer = make(name, initial_state=copy.deepcopy(spec))
    state = start(layer)
    assert all((part == value).all() for part in state)
    whole = state[0] if len(state) == 1 else state
    close(layer(X), make(name)(X, whole))


def test_no_word_leaves_it_to_the_cell_and_zeros_overrule_it():
    assert (start(make("own-start"))[0] == 0.5).all()
    assert (start(make("own-start", initial_state="zeros"))[0] == 0).all()


@pytest.mark.parametrize("name", LAYERS)
def test_a_learned_start_is_a_parameter_with_a_gradient_for_each_unit(name):
    layer = make(name, initial_state="learned")
    values = list(layer.initial.parameters())
    assert len(values) == sum(len(sizes) for sizes in layer._states.sizes)
    assert {tuple(v.shape) for v in values} == {
        (size,) for sizes in layer._states.sizes for size in sizes
    }
    grads = gradients(sum(part.square().sum() for part in [layer(X)[0]]), values)
    assert all((grad != 0).any() for grad in grads)
    state = start(layer)
    whole = state[0] if len(state) == 1 else state
    given = gradients(layer(X, whole)[0].square().sum(), values)
    close(grads, given)
    fresh = Learned()
    assert Recurrent(cells.GRU(I, H), initial_state=fresh).initial is fresh
    assert (fresh.values[0] == 0).all()
    assert Recurrent(cells.GRU(I, H), initial_state=Learned(0.5)).initial.values[0].std() > 0.05


def test_a_learned_start_survives_saving_and_copying():
    layer, other = (
        make("torch-like", initial_state="learned"),
        make("torch-like", initial_state="learned"),
    )
    layer.initial.values[3].data.fill_(0.7)
    expected = layer(X)
    other.load_state_dict(layer.state_dict())
    close(other(X), expected)
    close(pickle.loads(pickle.dumps(layer))(X), expected)
    assert (copy.deepcopy(layer).initial.values[3] == 0.7).all()


def test_random_starts_are_new_for_each_sequence_and_follow_the_seed():
    torch.manual_seed(0)
    layer = ost.LSTM(I, 50, initial_state=Random(2.0)).double()
    h, c = start(layer, 40)
    assert 1.8 < h.std() < 2.2
    assert not torch.equal(h, c)
    assert not torch.equal(h, start(layer, 40)[0])
    one, two, three = (
        ost.GRU(I, H, initial_state=Random(seed=seed)).double() for seed in (7, 7, 8)
    )
    first = start(one)
    close(start(two), first, rtol=0, atol=0)
    assert not torch.equal(start(three)[0], first[0])
    torch.manual_seed(1)
    second = start(one)  # whatever torch's own stream of numbers does
    assert not torch.equal(second[0], first[0])
    close(start(two), second, rtol=0, atol=0)
    resumed = ost.GRU(I, H, initial_state=Random(seed=7)).double()
    resumed.load_state_dict(one.state_dict())
    close(start(resumed), start(one), rtol=0, atol=0)
    close(start(copy.deepcopy(one)), start(one), rtol=0, atol=0)


def test_given_values_serve_every_row_and_are_saved():
    h, c = torch.randn(H).double(), torch.randn(1, H).double()
    layer = ost.LSTM(I, H, 2, initial_state=(h, c)).double()
    state = start(layer, 3)
    close(state, (h.expand(2, 3, H), c.expand(2, 3, H)))
    close(layer(X)[0], layer(X, tuple(part[:, :2].contiguous() for part in state))[0])
    twin = ost.LSTM(I, H, 2, initial_state=(torch.zeros(H), torch.zeros(1, H))).double()
    twin.load_state_dict(layer.state_dict())
    close(twin(X), layer(X))
    rows = torch.randn(2, H).double()
    close(start(Recurrent(cells.GRU(I, H), initial_state=Given(rows)).double()), (rows,))
    assert "initial.value_0" not in dict(layer.named_parameters())


@pytest.mark.parametrize("name", LAYERS)
def test_an_encoder_says_where_to_start_and_learns_from_it(name):
    layer = make(name, initial_state=FromEncoder(5))
    context = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    state = start(layer, context=context)
    flat = layer.initial.encoder(context)
    assert sum(part.numel() for part in state) == flat.numel()
    y, _ = layer(X, context=context)
    whole = state[0] if len(state) == 1 else state
    close(y, layer(X, whole)[0])
    grads = gradients(y.square().sum(), [context, layer.initial.encoder.weight])
    assert all(grad.abs().sum() > 0 for grad in grads)


def test_an_encoder_may_be_another_layer_that_hands_over_its_last_state():
    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = ost.LSTM(2, H, 2)

        def forward(self, sequence):
            return self.layer(sequence)[1]

    decoder = ost.LSTM(I, H, 2, initial_state=FromEncoder(Last())).double()
    source = torch.randn(7, 2, 2, dtype=torch.float64)
    state = decoder.initial.encoder.layer(source)[1]
    close(start(decoder, context=source), state)
    y, _ = decoder(X, context=source)
    y.sum().backward()
    assert decoder.initial.encoder.layer.weight_ih_l0.grad.abs().sum() > 0


def test_an_encoder_that_fits_no_state_is_told_what_is_needed():
    layer = ost.GRU(I, H, 2, initial_state=FromEncoder(torch.nn.Linear(5, 7)))
    with pytest.raises(ValueError, match=r"must return \[2, 8\].*\[2, 2, S\].*got \[\(2, 7\)\]"):
        layer(X.float(), context=torch.zeros(2, 5))
    with pytest.raises(ValueError, match="no context"):
        layer(X.float())
    with pytest.raises(ValueError, match="nothing here reads the context"):
        ost.GRU(I, H)(X.float(), context=torch.zeros(2, 5))


@pytest.mark.parametrize("inner", ["ones", "learned", 0.4, "random"])
def test_a_subset_of_units_starts_elsewhere_and_the_others_at_zero(inner):
    layer = make("lstm-2-layers", initial_state=Subset([0, 2], inner, state=1))
    h, c = start(layer)
    assert (h == 0).all()
    assert (c[..., [1, 3]] == 0).all()
    assert (c[..., [0, 2]] != 0).all()
    both = start(make("lstm-2-layers", initial_state=Subset([0, 2], inner)))
    assert all((part[..., [0, 2]] != 0).all() for part in both)
    assert all((part[..., [1, 3]] == 0).all() for part in both)


def test_a_learned_subset_has_parameters_for_its_units_only():
    layer = Recurrent(cells.LSTM(I, H), initial_state=Subset([3, 1], "learned", state=0)).double()
    (values,) = layer.initial.parameters()
    assert values.shape == (2,)
    values.data = torch.tensor([5.0, 7.0]).double()
    h, _ = start(layer)
    assert h[0].tolist() == [0, 7, 0, 5]
    (grad,) = gradients(layer(X)[0].sum(), [values])
    assert (grad != 0).all()


def test_each_start_changes_the_loss():
    losses = set()
    starts = ["zeros", "ones", 0.3, "random", torch.full((H,), 0.2), Subset([1], "ones")]
    for spec in starts:
        layer = make("gru", initial_state=spec)
        losses.add(round(layer(X)[0].square().sum().item(), 9))
    assert len(losses) == len(starts)


def test_wrong_words_are_answered_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'zeros'"):
        ost.GRU(I, H, initial_state="zeroes")
    with pytest.raises(TypeError, match="got dict"):
        ost.GRU(I, H, initial_state={})
    with pytest.raises(ValueError, match=r"distinct and in 0..3, got \[4\]"):
        ost.GRU(I, H, initial_state=Subset([4]))
    with pytest.raises(ValueError, match=r"distinct and in 0..3, got \[1, 1\]"):
        ost.GRU(I, H, initial_state=Subset([1, 1]))
    with pytest.raises(ValueError, match="no such state"):
        ost.GRU(I, H, initial_state=Subset([1], state=1))
    with pytest.raises(ValueError, match=r"widths \(4, 4\), got values of widths \(4,\)"):
        ost.LSTM(I, H, initial_state=torch.zeros(H))
    shared = Learned()
    ost.GRU(I, H, initial_state=shared)
    with pytest.raises(ValueError, match="Make another one"):
        ost.GRU(I, 5, initial_state=shared)
