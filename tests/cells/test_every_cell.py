"""What holds for each cell of ours in each of its variants."""

import copy
import inspect
import pickle
import zlib

import pytest
import torch

from ostinato import cells
from ostinato.engine import Call, run, split_result

INPUT, HIDDEN, BATCH = 3, 4, 5

# every cell, and for each of its options a setting other than the default
OPTIONS = {
    "clockwork": [
        {"periods": (1, 2)},
        {"activation": "relu", "periods": (1, 2)},
        {"bias": False},
        {"bias": "both"},
    ],
    "elman": [
        {"activation": "relu"},
        {"activation": torch.sin},
        {"bias": False},
        {"bias": "both"},
        {"layer_norm": True},
    ],
    "gated": [{"bias": False}, {"bias": "both"}],
    "gru": [{"reset": "before"}, {"bias": False}, {"bias": "both"}, {"layer_norm": True}],
    "indrnn": [{"activation": "tanh"}, {"bias": False}],
    "jordan": [
        {"output_size": 2},
        {"activation": "sigmoid"},
        {"output_activation": "tanh"},
        {"bias": False},
        {"bias": "both"},
    ],
    "leaky": [{"leak": 0.9}, {"activation": "softplus"}, {"bias": False}, {"bias": "both"}],
    "lstm": [
        {"peephole": True},
        {"coupled": True},
        {"proj_size": 2},
        {"layer_norm": True},
        {"forget_bias": 3.0},
        {"bias": False},
        {"bias": "both"},
        {"peephole": True, "coupled": True, "proj_size": 2, "layer_norm": True},
    ],
    "mgu": [{"bias": False}, {"bias": "both"}],
    "mingru": [{"bias": False}],
    "minlstm": [{"bias": False}],
    "mlstm": [{"forget_bias": 3.0}, {"bias": False}, {"bias": "both"}],
    "narx": [{"delays": (1, 3)}, {"activation": "relu"}, {"bias": False}, {"bias": "both"}],
}
CASES = [(name, options) for name in OPTIONS for options in ({}, *OPTIONS[name])]
every_case = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{name}-{options}" for name, options in CASES]
)
with_joint = pytest.mark.parametrize(
    ("name", "options"),
    [
        (name, options)
        for name, options in CASES
        if "joint" in inspect.signature(cells.by_name(name)).parameters
        and options.get("bias") != "both"
    ],
    ids=str,
)


def build(name, options, *, input_size=INPUT):
    """A float64 cell; each parameter is drawn from a seed that only its name decides."""
    cell = cells.by_name(name)(input_size, HIDDEN, **options).double()
    for key, parameter in cell.named_parameters():
        seed = torch.Generator().manual_seed(zlib.crc32(key.encode()))
        values = torch.randn(parameter.shape, generator=seed, dtype=torch.float64)
        parameter.data = values * 0.6
    return cell


def inputs(cell, steps=1):
    """x [T, B, I] and a state that is not zero; a clock stays a whole number."""
    seed = torch.Generator().manual_seed(1)
    x = torch.randn(steps, BATCH, cell.input_size, generator=seed, dtype=torch.float64)
    state = [
        torch.arange(BATCH, dtype=torch.float64)[:, None]
        if part == "t"
        else torch.randn(BATCH, size, generator=seed, dtype=torch.float64)
        for part, size in zip(cell.state_names, cell.state_sizes, strict=True)
    ]
    return x, state


def step(cell, x, state):
    return split_result(cell(x, *state), len(state))


def test_every_public_cell_is_in_the_table_with_every_option():
    public = {
        value
        for value in (getattr(cells, name) for name in cells.__all__)
        if inspect.isclass(value) and issubclass(value, cells.Cell) and value is not cells.Cell
    }
    assert {cells.by_name(name) for name in OPTIONS} == public
    assert set(OPTIONS) == set(cells.NAMES)
    for name, settings in OPTIONS.items():
        parameters = inspect.signature(cells.by_name(name)).parameters
        options = set(parameters) - {"input_size", "hidden_size", "joint"}
        assert options == {option for setting in settings for option in setting}, name


@every_case
def test_gradients_are_right(name, options):
    cell = build(name, options)
    x, state = inputs(cell)
    names = [key for key, _ in cell.named_parameters()]

    def one_step(x, *rest):
        state, parameters = rest[: len(cell.state_sizes)], rest[len(cell.state_sizes) :]
        values = dict(zip(names, parameters, strict=True))
        return split_result(torch.func.functional_call(cell, values, (x, *state)), len(state))[1]

    rows = [part[:2].clone() for part in (x[0], *state)]
    leaves = [*rows, *(parameter.detach() for parameter in cell.parameters())]
    for leaf, label in zip(leaves[1:], cell.state_names, strict=False):
        leaf.requires_grad_(label != "t")  # the clock only chooses
    for leaf in (leaves[0], *leaves[1 + len(state) :]):
        leaf.requires_grad_()
    assert torch.autograd.gradcheck(one_step, leaves)


@every_case
def test_an_exported_cell_gives_the_same_numbers(name, options):
    cell = build(name, options)
    x, state = inputs(cell)
    exported = torch.export.export(cell, (x[0], *state)).module()
    for new, wanted in zip(step(exported, x[0], state)[1], step(cell, x[0], state)[1], strict=True):
        torch.testing.assert_close(new, wanted, rtol=0, atol=0)


@every_case
def test_the_engine_walks_it_like_a_loop(name, options):
    cell = build(name, options)
    x, state = inputs(cell, steps=4)
    walked = run(Call(cell, x, tuple(state)))
    outputs = []
    for x_t in x:
        output, state = step(cell, x_t, state)
        outputs.append(output)
    torch.testing.assert_close(walked.output, torch.stack(outputs))
    for new, wanted in zip(walked.state, state, strict=True):
        torch.testing.assert_close(new, wanted)


# a forget bias is a start value, which `build` draws over: it has a test of its own
@pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name, options in CASES if options and "forget_bias" not in options],
    ids=str,
)
def test_each_option_changes_a_number(name, options):
    plain = {key: (1, 2) for key in options if key == "periods" and len(options) > 1}
    changed, default = build(name, options), build(name, plain)
    x, _ = inputs(default)
    new, _ = step(changed, x[0], inputs(changed)[1])
    old, _ = step(default, x[0], inputs(default)[1])
    assert new.shape != old.shape or not torch.allclose(new, old, rtol=1e-3)


@pytest.mark.parametrize("name", ["lstm", "mlstm"])
@pytest.mark.parametrize("bias", [True, "both"])
def test_the_forget_bias_starts_at_one_and_where_it_is_told(name, bias):
    def biases(**options):
        gates = cells.by_name(name)(INPUT, HIDDEN, bias=bias, **options).gates
        return (gates.bias if bias is True else gates.bias_ih + gates.bias_hh).view(4, HIDDEN)

    for value, row in ((1.0, biases()), (3.0, biases(forget_bias=3.0))):
        expected = torch.zeros(4, HIDDEN)
        expected[1] = value
        torch.testing.assert_close(row, expected)


@pytest.mark.parametrize("name", ["lstm", "mlstm"])
def test_a_forget_bias_without_a_bias_is_refused(name):
    with pytest.raises(ValueError, match="needs a bias to start"):
        cells.by_name(name)(INPUT, HIDDEN, bias=False, forget_bias=2.0)


@with_joint
def test_one_matrix_equals_two(name, options):
    apart, joint = build(name, options), build(name, {**options, "joint": True})
    own = dict(apart.named_parameters())
    for key, parameter in joint.named_parameters():
        prefix, _, last = key.rpartition(".")
        if last == "weight" and f"{prefix}.weight_hh" in own:
            pair = own[f"{prefix}.weight_hh"], own[f"{prefix}.weight_ih"]
            parameter.data = torch.cat(pair, dim=1).detach().clone()
        else:
            parameter.data = own[key].detach().clone()
    results = [run_and_gradients(cell) for cell in (apart, joint)]
    for ours, theirs in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(ours, theirs)
    for key, gradient in results[1][1].items():
        prefix, _, last = key.rpartition(".")
        if last == "weight" and f"{prefix}.weight_hh" in own:
            pair = results[0][1][f"{prefix}.weight_hh"], results[0][1][f"{prefix}.weight_ih"]
            torch.testing.assert_close(gradient, torch.cat(pair, dim=1))
        else:
            torch.testing.assert_close(gradient, results[0][1][key])


def run_and_gradients(cell):
    x, state = inputs(cell, steps=3)
    x.requires_grad_()
    walk = run(Call(cell, x, tuple(state)))
    (walk.output.sin().sum() + sum(part.cos().sum() for part in walk.state)).backward()
    gradients = {key: parameter.grad for key, parameter in cell.named_parameters()}
    return (walk.output, *walk.state, x.grad), gradients


@every_case
def test_it_can_be_rebuilt_for_another_width(name, options):
    cell = build(name, options).eval()
    for original in (cell, copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        wider = original.rebuild(7)
        assert (wider.input_size, wider.hidden_size) == (7, HIDDEN)
        assert wider.state_sizes == cell.state_sizes
        assert not wider.training
        assert [key for key, _ in wider.named_parameters()] == [
            key for key, _ in cell.named_parameters()
        ]
        assert {p.dtype for p in wider.parameters()} == {torch.float64}
        assert not {id(p) for p in wider.parameters()} & {id(p) for p in original.parameters()}
        # the options hold: with the same parameters by name, the same numbers
        again = original.rebuild(INPUT)
        again.load_state_dict(cell.state_dict())
        x, state = inputs(cell)
        torch.testing.assert_close(step(again, x[0], state)[0], step(cell, x[0], state)[0])


@every_case
def test_its_initial_state_is_zero_and_fits(name, options):
    cell = build(name, options)
    state = cell.initial_state(2)
    assert [tuple(part.shape) for part in state] == [(2, size) for size in cell.state_sizes]
    assert all(part.dtype == torch.float64 and not part.any() for part in state)
    _, new = step(cell, torch.zeros(2, INPUT, dtype=torch.float64), state)
    assert [part.shape for part in new] == [part.shape for part in state]


@every_case
def test_it_learns_in_half_precision_types(name, options):
    cell = build(name, options).to(torch.bfloat16)
    x, state = inputs(cell)
    output, _ = step(cell, x[0].bfloat16(), [part.bfloat16() for part in state])
    assert output.dtype == torch.bfloat16
    output.sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in cell.parameters())


@pytest.mark.parametrize("name", cells.NAMES)
def test_resetting_the_parameters_draws_new_weights_and_keeps_the_gates_start(name):
    cell = cells.by_name(name)(INPUT, HIDDEN)
    before = {key: p.detach().clone() for key, p in cell.named_parameters()}
    for module in reversed(list(cell.modules())):
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    for key, parameter in cell.named_parameters():
        owner = cell.get_submodule(key.rpartition(".")[0])
        constant = isinstance(owner, cells.Gates) and "bias" in key
        assert torch.equal(parameter, before[key]) == constant, key
