"""Every cell through a kernel, against the reference: both precisions, all forms of a walk."""

import dataclasses
import itertools
import warnings

import pytest
import torch
from against_eager import TOLERANCE, compare, error, make_call, padded, walk_fused
from custom_cells import CELLS, TOKEN_CELL

from ostinato import cells
from ostinato.engine import Call, eager, fused, run

I, H, T, B = 5, 12, 6, 7  # noqa: E741

OPTIONS = {
    "clockwork": [{"periods": (1, 3)}],
    "elman": [
        {"activation": "relu"},
        {"bias": "both"},
        {"bias": False},
        {"joint": True},
        {"layer_norm": True},
    ],
    "gated": [{"joint": True}],
    "gru": [
        {"reset": "before"},
        {"bias": "both"},
        {"layer_norm": True},
        {"reset": "before", "joint": True},
    ],
    "indrnn": [{"activation": "tanh", "bias": False}],
    "jordan": [{"output_size": 4, "output_activation": "sigmoid"}],
    "leaky": [{"leak": 1.0}, {"leak": 0.2, "joint": True}],
    "lstm": [
        {"peephole": True},
        {"coupled": True},
        {"proj_size": 4},
        {"layer_norm": True},
        {"bias": "both"},
        {"bias": False},
        {"joint": True, "peephole": True},
        {"coupled": True, "peephole": True, "proj_size": 3, "layer_norm": True},
    ],
    "mgu": [{"bias": False}],
    "mingru": [{"bias": False}],
    "minlstm": [],
    "mlstm": [{"bias": False}],
    "narx": [{"delays": (1, 3), "activation": "relu"}],
}
FORMS = tuple(itertools.product(("lengths", ""), ("reset", ""), (True, False)))


DTYPES = [pytest.param(torch.float32, id="f32"), pytest.param(torch.float64, id="f64")]
# the precisions in turn
WITH_OPTIONS = [
    pytest.param(name, given, [torch.float32, torch.float64][n % 2], id=f"{name} {given}")
    for name, options in OPTIONS.items()
    for n, given in enumerate(options)
]


def form_of(number):
    """The options of the walk, in turn."""
    lengths, reset, reverse = FORMS[number % len(FORMS)]
    marks = torch.rand(T, B, generator=torch.Generator().manual_seed(number)) < 0.3
    return {
        "lengths": torch.tensor([3, 0, 6, 2, 6, 1, 4]) if lengths else None,
        "reset": marks if reset else None,
        "reverse": reverse,
    }


def hold(cell, input_size, widths, dtype, number):
    """A plain walk, then one of the forms, its padding full of NaN."""
    compare(make_call(cell, widths, I=input_size, T=T, B=B, dtype=dtype))
    form = form_of(number)
    call = make_call(cell, widths, I=input_size, T=T, B=B, dtype=dtype, seed=1, **form)
    if call.lengths is not None:
        call = dataclasses.replace(call, x=padded(call.x, call.lengths))
    compare(call)


def parts(walk):
    return (walk.output, *walk.state, *(walk.states or ()))


def test_every_cell_is_tried():
    assert sorted(OPTIONS) == sorted(cells.NAMES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", cells.NAMES)
def test_a_cell_of_ours_equals_the_reference(name, dtype):
    torch.manual_seed(3)
    cell = cells.by_name(name)(I, H)
    hold(cell, I, cell.state_sizes, dtype, list(OPTIONS).index(name))


@pytest.mark.parametrize(("name", "options", "dtype"), WITH_OPTIONS)
def test_a_cell_with_options_equals_the_reference(name, options, dtype):
    torch.manual_seed(3)
    cell = cells.by_name(name)(I, H, **options)
    hold(cell, I, cell.state_sizes, dtype, OPTIONS[name].index(options))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CELLS)
def test_a_strangers_cell_equals_the_reference(name, dtype):
    torch.manual_seed(1)
    make_cell, input_size, widths = CELLS[name]
    hold(make_cell(), input_size, widths, dtype, list(CELLS).index(name))


@pytest.mark.parametrize("name", [*CELLS, *cells.NAMES])
def test_inference_gives_what_training_gives(name):
    torch.manual_seed(3)
    if name in CELLS:
        make_cell, input_size, widths = CELLS[name]
        cell = make_cell()
    else:
        cell, input_size = cells.by_name(name)(I, H), I
        widths = cell.state_sizes
    call = make_call(cell, widths, I=input_size, T=T, B=B)
    wanted = walk_fused(call)
    with torch.no_grad():
        found = walk_fused(call)
    assert not found.output.requires_grad
    for part, want in zip(parts(found), parts(wanted), strict=True):
        assert error(part, want) <= TOLERANCE[torch.float32]


def test_tokens_run_on_the_reference_without_a_word():
    make_cell, widths = TOKEN_CELL
    torch.manual_seed(3)
    tokens = torch.randint(11, (T, B))
    call = Call(make_cell(), tokens, tuple(torch.zeros(B, width) for width in widths))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fused.walk(call) is None
        assert all(map(torch.equal, parts(run(call)), parts(eager.walk(call))))
