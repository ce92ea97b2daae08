import copy
import itertools
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

import ostinato as ost

close = torch.testing.assert_close
KINDS = {
    "tanh": ("RNN", {}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
    "projected": ("LSTM", {"proj_size": 2}),
}
SHAPES = [
    {"num_layers": layers, "bidirectional": both, "batch_first": first, "bias": bias}
    for layers, both, first, bias in itertools.product(
        (1, 2), (False, True), (False, True), (True,)
    )
] + [{"num_layers": 2, "bias": False, "dropout": 0.0}]
T, B, I, H = 5, 3, 4, 6  # noqa: E741


def pair(kind, **shape):
    """torch's layer and ours with the same parameters."""
    name, options = KINDS[kind]
    keywords = {**shape, **options, "dtype": torch.float64}
    theirs = getattr(nn, name)(I, H, **keywords)
    ours = getattr(ost, name)(I, H, **keywords)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def flat(result):
    """All tensors in a nest of tuples and packed sequences."""
    if isinstance(result, torch.Tensor):
        return [result]
    return [t for part in result if part is not None for t in flat(part)]


def assert_same(theirs, ours, inputs, *arguments):
    """Outputs, states and every gradient agree."""
    sums = []
    expected, got = theirs(*arguments), ours(*arguments)
    close(flat(got), flat(expected))
    for layer, result in ((theirs, expected), (ours, got)):
        floats = [t for t in flat(result) if t.is_floating_point()]
        loss = sum((t * torch.linspace(-1, 2, t.numel()).view(t.shape)).sum() for t in floats)
        sums.append(torch.autograd.grad(loss, [*inputs, *layer.parameters()]))
    close(sums[1], sums[0])


@pytest.mark.parametrize("engine", ["auto", "eager"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_torch_with_and_without_a_batch(kind, shape, engine):
    theirs, ours = pair(kind, **shape)
    state = theirs(torch.zeros(T, 1, I).double().transpose(0, int(theirs.batch_first)))[1]
    state = tuple(
        numbers(part.shape[0], B, part.shape[2])
        for part in ((state,) if isinstance(state, torch.Tensor) else state)
    )
    x = numbers(B, T, I) if theirs.batch_first else numbers(T, B, I)
    hx = state if len(state) > 1 else state[0]
    with ost.engine(engine):
        assert_same(theirs, ours, [x], x)
        assert_same(theirs, ours, [x, *state], x, hx)
        single = tuple(part[:, 0] for part in state)
        x1 = numbers(T, I)
        assert_same(theirs, ours, [x1, *state], x1, single if len(single) > 1 else single[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_equals_torch_on_packed_input(kind, both, is_sorted):
    theirs, ours = pair(kind, num_layers=2, bidirectional=both)
    x = torch.randn(T, 4, I, dtype=torch.float64)
    lengths = [5, 3, 3, 1] if is_sorted else [3, 1, 5, 3]
    packed = pack_padded_sequence(x, lengths, enforce_sorted=is_sorted)
    packed.data.requires_grad_()
    assert_same(theirs, ours, [packed.data], packed)
    state = theirs(packed)[1]
    given = [part.detach() for part in flat(state)]
    hx = tuple(given) if len(given) > 1 else given[0]
    assert_same(theirs, ours, [packed.data], packed, hx)
    out = ours(packed)[0]
    expected = theirs(packed)[0]
    assert torch.equal(out.batch_sizes, expected.batch_sizes)
    # lengths say the same without packing
    y, last = ours(x, lengths=lengths)
    padded, _ = nn.utils.rnn.pad_packed_sequence(expected)
    close(y, padded)
    close(flat(last), flat(state))


def test_packed_input_of_a_batch_first_layer():
    theirs, ours = pair("lstm", batch_first=True)
    packed = pack_sequence([numbers(n, I) for n in (2, 4)], enforce_sorted=False)
    close(flat(ours(packed)), flat(theirs(packed)))
    reset = torch.zeros(4, 2, dtype=torch.bool)
    reset[1] = True
    assert not torch.equal(ours(packed, reset=reset)[0].data, ours(packed)[0].data)


@pytest.mark.parametrize("kind", KINDS)
def test_starts_from_the_same_draws_as_torch(kind):
    name, options = KINDS[kind]
    torch.manual_seed(3)
    theirs = getattr(nn, name)(I, H, 2, **options)
    after = torch.rand(1)
    torch.manual_seed(3)
    ours = getattr(ost, name)(I, H, 2, **options)
    assert torch.equal(torch.rand(1), after)
    close(dict(ours.named_parameters()), dict(theirs.named_parameters()), rtol=0, atol=0)
    ours.reset_parameters()
    assert not torch.equal(ours.weight_hh_l0, theirs.weight_hh_l0)


@pytest.mark.parametrize("kind", KINDS)
def test_is_torchs_layer_for_whoever_looks(kind):
    theirs, ours = pair(kind, num_layers=2, bidirectional=True)
    assert isinstance(ours, type(theirs))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    close(ours.all_weights, theirs.all_weights)
    assert len(list(ours.children())) == 0
    assert repr(ours) == repr(theirs)


def test_positional_arguments_are_torchs():
    ours = ost.LSTM(I, H, 2, False, True, 0.25, True, 2)
    theirs = nn.LSTM(I, H, 2, False, True, 0.25, True, 2)
    assert repr(ours) == repr(theirs)
    assert repr(ost.RNN(I, H, 2, "relu", False, True)) == repr(nn.RNN(I, H, 2, "relu", False, True))
    assert repr(ost.GRU(I, H, 2, False, True)) == repr(nn.GRU(I, H, 2, False, True))


def test_dropout_and_evaluation_follow_torch():
    theirs, ours = pair("gru", num_layers=2, dropout=1.0)
    x = numbers(T, B, I)
    assert_same(theirs, ours, [x], x)  # everything between the layers is dropped
    close(flat(ours.eval()(x)), flat(theirs.eval()(x)))
    assert not torch.allclose(ours(x)[0], ours.train()(x)[0])


def test_assigned_replaced_and_reparametrised_weights_are_the_ones_that_count():
    theirs, ours = pair("lstm")
    x = numbers(T, B, I)
    theirs.weight_hh_l0 = nn.Parameter(theirs.weight_hh_l0.detach() * 2)
    ours.weight_hh_l0 = nn.Parameter(ours.weight_hh_l0.detach() * 2)
    close(flat(ours(x)), flat(theirs(x)))
    other = nn.LSTM(I, H, dtype=torch.float64)
    ours.load_state_dict(other.state_dict(), assign=True)
    close(flat(ours(x)), flat(other(x)))
    swapped = torch.func.functional_call(ours, dict(theirs.named_parameters()), (x,))
    close(flat(swapped), flat(theirs(x)))
    nn.utils.parametrizations.weight_norm(ours, "weight_hh_l0")
    ours.parametrizations.weight_hh_l0.original0.data.mul_(3)
    assert not torch.allclose(ours(x)[0], other(x)[0])
    x.grad = None
    ours(x)[0].sum().backward()
    assert ours.parametrizations.weight_hh_l0.original1.grad.abs().sum() > 0


def test_copies_and_pickles_are_whole():
    _, ours = pair("gru", bidirectional=True)
    x = numbers(T, B, I)
    expected = ours(x)[0]
    for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        close(twin(x)[0], expected)
        twin.bias_hh_l0.data.add_(1)
        assert not torch.allclose(twin(x)[0], expected)
        close(ours(x)[0], expected)


def test_layer_norm_adds_gains_that_start_at_one_and_that_count():
    plain, normed = ost.LSTM(I, H, 2), ost.LSTM(I, H, 2, layer_norm=True)
    extra = set(dict(normed.named_parameters())) - set(dict(plain.named_parameters()))
    names = {"norm_ih_weight", "norm_hh_weight", "norm_c_weight", "norm_c_bias"}
    assert extra == {f"{name}_l{layer}" for name in names for layer in (0, 1)}
    assert (normed.norm_c_weight_l1 == 1).all()
    normed.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(T, B, I)
    assert not torch.allclose(normed(x)[0], plain(x)[0])
    template = ost.cells.LSTM(I, H, layer_norm=True, bias="both")
    one = ost.LSTM(I, H, layer_norm=True)
    template.load_state_dict({inner: getattr(one, own) for inner, own in one._borrowed[0]})
    close(one(x)[0], ost.Recurrent(template)(x)[0])
    one(x)[0].sum().backward()
    assert one.norm_hh_weight_l0.grad.abs().sum() > 0
    one.norm_hh_weight_l0.data.fill_(7)
    one.reset_parameters()
    assert (one.norm_hh_weight_l0 == 1).all()


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_residual_and_locked_dropout_work_as_in_recurrent(name):
    torch.manual_seed(0)
    layer = getattr(ost, name)(H, H, 2, residual=True)
    plain = getattr(nn, name)(H, H, 2)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(T, B, H)
    one, two = (getattr(nn, name)(H, H) for _ in range(2))
    for i, single in enumerate((one, two)):
        single.load_state_dict(
            {k.replace(f"_l{i}", "_l0"): v for k, v in plain.state_dict().items() if f"_l{i}" in k}
        )
    below = one(x)[0] + x
    close(layer(x)[0], two(below)[0] + below)
    locked = getattr(ost, name)(I, H, 2, dropout=0.5, locked_dropout=True)
    still = torch.zeros(T, B, I)
    torch.manual_seed(1)
    y = locked(still)[0]
    torch.manual_seed(1)
    locked.locked_dropout = False
    assert not torch.allclose(y, locked(still)[0])
