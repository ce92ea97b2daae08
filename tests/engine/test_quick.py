"""Prepared walks: the bits of the general way, forward and back, and every change is seen."""

import copy
import threading

import pytest
import torch
from torch import nn

import ostinato
from ostinato import GRU, LSTM, RNN, Recurrent, cells
from ostinato.engine.quick import Shape
from ostinato.layers import sequence
from ostinato.layers.sequence import SequenceLayer

I, H = 5, 20  # noqa: E741
LAYERS = {
    "lstm": lambda: LSTM(I, H),
    "gru": lambda: GRU(I, H),
    "relu": lambda: RNN(I, H, nonlinearity="relu"),
    "no bias": lambda: LSTM(I, H, bias=False),
    "projected": lambda: LSTM(I, H, proj_size=7),
    "cell": lambda: Recurrent(cells.GRU(I, H, reset="before")),
    "two states": lambda: Recurrent(cells.LSTM(I, H, peephole=True)),
    "emits": lambda: Recurrent(cells.by_name("jordan")(I, H, output_size=3)),
    "double": lambda: Recurrent(cells.LSTM(I, H).double()),
}
SIZES = [(1, 1), (9, 1), (4, 2), (6, 7)]


@pytest.fixture(params=LAYERS)
def layer(request):
    torch.manual_seed(0)
    return LAYERS[request.param]()


@pytest.fixture
def general(monkeypatch):
    """Runs a function with no walk prepared."""

    def run(function, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(SequenceLayer, "_quickly", lambda *_: None)
            return function(*arguments)

    return run


def is_quick(layer):
    return any(shape is not None for shape in sequence._quick[layer]._shapes.values())


def leaves(tree):
    return torch.utils._pytree.tree_leaves(tree)


def given(layer, T, B, seed=1):
    """(Input, state) that need gradients."""
    generator = torch.Generator().manual_seed(seed)
    dtype = next(layer.parameters()).dtype

    def leaf(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    leading = () if layer._states.alone else (1,)
    state = tuple(leaf(*leading, B, size) for size in layer._states.sizes[0])
    return leaf(T, B, I), state if len(state) > 1 else state[0]


def trained(layer, x, state, loss):
    """Results and all gradients."""
    inputs = [x, *leaves(state), *layer.parameters()]
    inputs = [value for value in inputs if value is not None and value.requires_grad]
    made = layer(x, state)
    grads = torch.autograd.grad(loss(*leaves(made)), inputs, allow_unused=True)
    return [*leaves(made), *(g for g in grads if g is not None)]


def same(found, wanted):
    assert len(found) == len(wanted)
    assert all(torch.equal(a, b) and a.shape == b.shape for a, b in zip(found, wanted, strict=True))


LOSSES = {
    "output": lambda y, *_: (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum(),
    "sum": lambda y, *_: y.sum(),
    "last step": lambda y, *_: y[-1].pow(2).sum(),
    "last state": lambda _, *h: sum(part.pow(2).sum() for part in h),
    "turned": lambda y, *_: (y.transpose(0, 1) * y.detach().transpose(0, 1).contiguous()).sum(),
    "all": lambda y, *h: y.pow(3).sum() + sum(part.cos().sum() for part in h),
}


@pytest.mark.parametrize(("T", "B"), SIZES)
def test_inference_has_the_bits_of_the_general_way(layer, T, B, general):
    x, state = given(layer, T, B)
    with torch.no_grad():
        for start in (None, state):
            found = [leaves(layer(x, start)) for _ in range(2)]
            wanted = leaves(general(layer, x, start))
            same(found[0], wanted)
            same(found[1], wanted)
    assert is_quick(layer)


def test_chunks_that_share_buffers_have_the_bits_of_the_general_way(layer, general, monkeypatch):
    monkeypatch.setattr("ostinato.engine.llvm.plan._NEAR", 1 << 12)
    x, state = given(layer, 205, 3)
    with torch.no_grad():
        for start in (None, state):
            wanted = leaves(general(layer, x, start))
            for _ in range(4):
                same(leaves(layer(x, start)), wanted)
    (shape,) = sequence._quick[layer]._shapes.values()
    assert shape.plan.reuse
    assert len(shape.plan.chunks) > 3


@pytest.mark.parametrize("B", [1, 3])
def test_batch_first_and_single_steps_have_the_bits_of_the_general_way(B, general):
    layer = LSTM(I, H, batch_first=True)
    x, state = given(layer, 6, B)
    turned = x.detach().transpose(0, 1).contiguous().requires_grad_()
    for start in (None, state):
        wanted = general(trained, layer, turned, start, LOSSES["all"])
        same(trained(layer, turned, start, LOSSES["all"]), wanted)

        def step(one, state):
            y, new = layer.step(one, state)
            grads = torch.autograd.grad(y.sum() + new[1].sum(), [one, *layer.parameters()])
            return [y, *new, *grads]

        one = x[0].detach().requires_grad_()
        same(step(one, start), general(step, one, start))
    assert is_quick(layer)


@pytest.mark.parametrize("loss", LOSSES)
def test_training_has_the_bits_of_the_general_way(layer, loss, general):
    for T, B in SIZES:
        x, state = given(layer, T, B)
        for start in (None, state):
            wanted = general(trained, layer, x, start, LOSSES[loss])
            for _ in range(2):
                same(trained(layer, x, start, LOSSES[loss]), wanted)
    assert any(shape for shape in sequence._quick[layer]._shapes.values())


def test_inputs_and_weights_may_need_no_gradient(general):
    layer = LSTM(I, H)
    layer.weight_ih_l0.requires_grad_(False)
    x, state = given(layer, 4, 2)
    for start in (x, x.detach()):
        same(
            trained(layer, start, state, LOSSES["all"]),
            general(trained, layer, start, state, LOSSES["all"]),
        )
    layer.requires_grad_(False)
    assert not layer(x.detach())[0].requires_grad
    assert layer(x)[0].requires_grad


def test_second_derivatives_are_those_of_the_general_way(general):
    layer = Recurrent(cells.LSTM(I, 4).double())
    x, state = given(layer, 3, 2)
    assert torch.autograd.gradcheck(lambda x, h, c: leaves(layer(x, (h, c))), (x, *state))
    assert torch.autograd.gradgradcheck(lambda x, h, c: layer(x, (h, c))[0], (x, *state))
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))
    assert is_quick(layer)


def test_a_kept_graph_goes_back_twice_and_a_freed_one_is_refused():
    layer = GRU(I, H)
    x, _ = given(layer, 4, 1)
    y = layer(x)[0]
    first = torch.autograd.grad(y.sum(), x, retain_graph=True)
    layer(x)[0].sum().backward()
    second = torch.autograd.grad(y.sum(), x)
    same(first, second)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y.sum(), x)


def test_walks_whose_graphs_overlap_do_not_meet(general):
    layer = GRU(I, H)
    x, _ = given(layer, 4, 1)

    def chain():
        state, outputs = None, []
        for _ in range(5):
            y, state = layer(x, state)
            outputs.append(y)
        return list(
            torch.autograd.grad(torch.stack(outputs).pow(2).sum(), [x, *layer.parameters()])
        )

    same(chain(), general(chain))


def test_an_output_changed_in_place_is_noticed():
    layer = GRU(I, H)
    x, _ = given(layer, 4, 1)
    y = layer(x)[0]
    y.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()
    y = layer(x)[0]
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_results_belong_to_the_caller():
    layer = LSTM(I, H)
    x, _ = given(layer, 4, 2)
    with torch.no_grad():
        first = leaves(layer(x))
        kept = [part.clone() for part in first]
        layer(x * 2)
        same(first, kept)
        first[0].zero_()
        same(first[1:], kept[1:])


def write(layer, weight):
    with torch.inference_mode():
        weight.mul_(2)


def new_data(layer, weight):
    weight.data = torch.randn(weight.shape)


CHANGES = {
    "written in inference mode": write,
    "new data": new_data,
    "turned": lambda layer, weight: setattr(weight, "data", weight.data.t()),
    "another parameter": lambda layer, weight: setattr(
        layer, "weight_hh_l0", nn.Parameter(weight.detach() * 3)
    ),
    "double": lambda layer, weight: layer.double(),
    "checkpoints": lambda layer, weight: setattr(layer, "checkpoint_every", 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_by_the_next_call(change, general):
    layer = RNN(I, H)
    x, _ = given(layer, 6, 1)
    trained(layer, x, None, LOSSES["output"])
    CHANGES[change](layer, layer.weight_hh_l0)
    x = x.detach().to(layer.weight_hh_l0.dtype).requires_grad_()
    found = trained(layer, x, None, LOSSES["output"])
    same(found, general(trained, layer, x, None, LOSSES["output"]))


def test_an_attribute_of_the_cell_is_seen(general):
    layer = Recurrent(cells.LeakyRNN(I, H, leak=0.5))
    x, _ = given(layer, 4, 1)
    before = layer(x)[0]
    layer.cell.leak = 0.9
    assert not torch.equal(layer(x)[0], before)
    same(leaves(layer(x)), leaves(general(layer, x)))


def test_what_is_not_quick_goes_the_general_way(general):
    layer = GRU(I, H)
    x, _ = given(layer, 4, 3)
    with torch.no_grad():
        layer(x)
        turned = x.detach().transpose(0, 1).contiguous().transpose(0, 1)
        same(leaves(layer(turned)), leaves(general(layer, x)))
        with ostinato.engine("eager"):
            assert sequence._quick[layer].walk(x, None) is None
    # too large to keep buffers for
    assert layer(torch.zeros(3000, 64, I))[0].shape == (3000, 64, H)
    assert None in sequence._quick[layer]._shapes.values()
    with pytest.raises(ValueError, match="must be"):
        layer(x, torch.zeros(2, 3, H))


def test_few_shapes_and_buffers_are_kept():
    layer = GRU(I, H)
    with torch.no_grad():
        for T in range(1, 30):
            layer(torch.zeros(T, 1, I))
    shapes = sequence._quick[layer]._shapes
    assert 0 < len(shapes) <= 8
    assert all(isinstance(shape, Shape) and len(shape._free) <= 2 for shape in shapes.values())


def test_a_copy_prepares_for_itself():
    layer = GRU(I, H)
    x, _ = given(layer, 4, 1)
    layer(x)
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight_hh_l0.mul_(2)
    assert not torch.equal(layer(x)[0], other(x)[0])


def test_several_threads_walk_one_layer_at_once():
    layer = LSTM(I, H)
    x, _ = given(layer, 50, 1)
    wanted = trained(layer, x, None, LOSSES["all"])
    found = {}

    def work(n):
        with torch.enable_grad():
            found[n] = [trained(layer, x, None, LOSSES["all"]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for runs in found.values():
        for run in runs:
            same(run, wanted)
