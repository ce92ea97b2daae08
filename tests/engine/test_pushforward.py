"""Forward mode through kernels, against the reference in float64."""

import dataclasses
import gc
import itertools
import warnings
import weakref

import pytest
import torch
from against_eager import assert_equal, in_double, make_call, only_fused, padded
from custom_cells import CELLS
from torch.autograd import forward_ad
from torch.func import functional_call, jacfwd, jvp, vmap

import ostinato as ost
from ostinato import cells
from ostinato.engine import eager, fused, pushforward

close = torch.testing.assert_close
I, H, T, B = 5, 12, 6, 7  # noqa: E741
BOTH = (torch.float32, torch.float64)
OPTIONS = {
    "elman": [{"layer_norm": True}, {"joint": True}],
    "gru": [{"reset": "before"}, {"bias": "both"}],
    "lstm": [{"proj_size": 4}, {"layer_norm": True}, {"peephole": True, "coupled": True}],
    "jordan": [{"output_size": 4, "output_activation": "sigmoid"}],
}
MARKS = torch.rand(T, B, generator=torch.Generator().manual_seed(4)) < 0.3
FORMS = [
    {"lengths": torch.tensor([3, 0, 6, 2, 6, 1, 4])},
    {"reset": MARKS},
    {"reverse": True},
    {"lengths": torch.tensor([3, 0, 6, 2, 6, 1, 4]), "reset": MARKS, "reverse": True},
]


def tangents_of(call, moves, walk):
    """The value and the tangent of everything that a walk of dual numbers gives.

    `moves` tells which of "x", "state", "weights" have a tangent.
    """
    generator = torch.Generator().manual_seed(17)

    def dual(t, kind):
        change = torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t.dtype)
        return forward_ad.make_dual(t, change) if kind in moves else t

    with forward_ad.dual_level():
        given = dataclasses.replace(
            call,
            x=dual(call.x, "x"),
            state=tuple(dual(t, "state") for t in call.state),
            reset_state=call.reset_state and tuple(dual(t, "state") for t in call.reset_state),
            parameters={n: dual(t, "weights") for n, t in call.cell.named_parameters()},
        )
        found = walk(given)
        assert found is not None, "not fused"
        named = {"output": found.output}
        named |= {f"state {i}": part for i, part in enumerate(found.state)}
        named |= {f"states {i}": part for i, part in enumerate(found.states or ())}
        results = {}
        for name, part in named.items():
            value, change = forward_ad.unpack_dual(part)
            results[name] = value
            results[f"d {name}"] = torch.zeros_like(value) if change is None else change
    return results


def hold(call, moves=("x", "state", "weights")):
    wanted = tangents_of(in_double(call), moves, eager.walk)
    assert_equal(tangents_of(call, moves, fused.walk), wanted, call.x.dtype)


def ours(name, options, I=I, H=H):  # noqa: E741
    torch.manual_seed(3)
    cell = cells.by_name(name)(I, H, **options)
    return cell, I, cell.state_sizes


def stranger(name):
    torch.manual_seed(1)
    make, input_size, widths = CELLS[name]
    return make(), input_size, widths


CASES = {
    **{name: (ours, name, {}) for name in cells.NAMES},
    **{f"{name} {o}": (ours, name, o) for name, options in OPTIONS.items() for o in options},
    **{name: (stranger, name) for name in CELLS},
}


@pytest.mark.parametrize("name", CASES)
def test_every_cell_equals_the_reference(name):
    make, *given = CASES[name]
    number = list(CASES).index(name)
    dtype = BOTH[number % 2]
    cell, input_size, widths = make(*given)
    hold(make_call(cell, widths, I=input_size, T=T, B=B, dtype=dtype))
    form = FORMS[number // 2 % len(FORMS)]
    call = make_call(cell, widths, I=input_size, T=T, B=B, dtype=dtype, seed=1, **form)
    if call.lengths is not None:
        call = dataclasses.replace(call, x=padded(call.x, call.lengths))
    hold(call)


@pytest.mark.parametrize("moves", [("x",), ("state",), ("weights",), ("x", "weights")], ids=str)
@pytest.mark.parametrize("name", ["lstm", "gru {'reset': 'before'}", "readout", "encoder"])
def test_only_some_things_change(name, moves):
    make, *given = CASES[name]
    cell, input_size, widths = make(*given)
    call = make_call(cell, widths, I=input_size, T=T, B=B, dtype=torch.float64)
    hold(call, moves)
    hold(dataclasses.replace(call, lengths=torch.tensor([3, 0, 6, 2, 6, 1, 4])), moves)


SIZES = [
    (H, B, T, BOTH[n % 2], ("lstm", "elman", "gru")[n % 3])
    for n, (H, B, T) in enumerate(itertools.product((1, 3, 17, 64), (1, 3, 16, 33), (1, 5, 20)))
]


@pytest.mark.parametrize("H", [1, 3, 17, 64])
def test_odd_sizes(H):
    for width, rows, steps, dtype, name in SIZES:
        if width == H:
            cell, input_size, widths = ours(name, {}, 3, H)
            hold(make_call(cell, widths, I=input_size, T=steps, B=rows, dtype=dtype))


def test_no_steps_and_no_rows():
    layer = ost.GRU(3, 4).double()
    for T, B in ((0, 2), (3, 0)):
        x, h = torch.randn(T, B, 3).double(), torch.randn(1, B, 4).double()
        y, dy = jvp(lambda h, x=x: layer(x, h), (h,), (torch.ones_like(h),))
        assert y[0].shape == (T, B, 4)
        if T == 0:
            close(dy[1], torch.ones_like(h))


LAYERS = {
    "LSTM": lambda: ost.LSTM(3, 4, 2, bidirectional=True),
    "GRU": lambda: ost.GRU(3, 4, batch_first=True),
    "RNN": lambda: ost.RNN(3, 4, 2),
    "Recurrent": lambda: ost.Recurrent(cells.GRU(3, 4, reset="before"), num_layers=2),
    "learned state": lambda: ost.GRU(3, 4, initial_state="learned"),
}


def prepared(name):
    """(a function of parameters and x, parameters, x, tangents of both)"""
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    parameters = dict(layer.named_parameters())
    x = torch.randn(3, 3, 3).double()

    def forward(parameters, x, **options):
        return functional_call(layer, parameters, (x,), options)

    changes = {n: torch.randn_like(p) for n, p in parameters.items()}
    return forward, parameters, x, changes, torch.randn_like(x)


@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([2, 3, 0])}], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_jvp_of_a_layer(name, options):
    forward, parameters, x, changes, dx = prepared(name)

    def both(p, x):
        return forward(p, x, **options)

    with ost.engine("eager"):
        wanted = jvp(both, (parameters, x), (changes, dx))
        narrow = jvp(lambda p: both(p, x), (parameters,), (changes,))
    with only_fused():
        close(jvp(both, (parameters, x), (changes, dx)), wanted, rtol=1e-10, atol=1e-12)
        close(jvp(lambda p: both(p, x), (parameters,), (changes,)), narrow, rtol=1e-10, atol=1e-12)
        detached = {n: p.detach() for n, p in parameters.items()}
        with torch.no_grad():
            close(jvp(both, (detached, x), (changes, dx)), wanted, rtol=1e-10, atol=1e-12)


def test_a_cell_is_first_met_under_a_transform():
    # what is read of it must not hold on to the transform's tensors
    forward, parameters, x, changes, dx = prepared("LSTM")
    with only_fused():
        first = jvp(forward, (parameters, x), (changes, dx))
        close(jvp(forward, (parameters, x), (changes, dx)), first, rtol=0, atol=0)
        close(forward(parameters, x)[0], first[0][0])


def test_nothing_is_held_when_the_results_are_let_go():
    forward, parameters, x, changes, dx = prepared("LSTM")
    with only_fused():
        out = jvp(forward, (parameters, x), (changes, dx))
    held = [weakref.ref(t) for t in (x, dx, out[0][0], out[1][0])]
    gc.disable()
    try:
        del x, dx, out
        assert [ref() for ref in held] == [None] * 4
    finally:
        gc.enable()


def test_what_has_no_tangent_takes_the_plain_kernel():
    layer = ost.GRU(3, 4)
    x = torch.randn(5, 2, 3)
    with forward_ad.dual_level(), only_fused():
        y = layer(x)[0]
        assert forward_ad.unpack_dual(y).tangent is None
    assert torch.equal(y, layer(x)[0])


@pytest.mark.parametrize("name", ["LSTM", "Recurrent"])
def test_gradients_of_tangents_equal_the_references(name):
    forward, parameters, x, changes, dx = prepared(name)

    def gradients():
        y, dy = jvp(forward, (parameters, x), (changes, dx))
        leaves = list(parameters.values())
        of_both = torch.autograd.grad(
            (3 * y[0]).sum() + dy[0].square().sum(), leaves, retain_graph=True
        )
        of_values = torch.autograd.grad(y[0].sin().sum(), leaves, retain_graph=True)
        (graph,) = torch.autograd.grad(dy[0].sin().sum(), leaves[:1], create_graph=True)
        twice = torch.autograd.grad(graph.square().sum(), leaves, allow_unused=True)
        return *of_both, *of_values, *twice

    with ost.engine("eager"):
        wanted = gradients()
    with only_fused():
        close(gradients(), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["LSTM", "Recurrent"])
def test_products_with_the_hessian_by_forward_over_reverse(name):
    forward, parameters, x, changes, dx = prepared(name)

    def products():
        with forward_ad.dual_level():
            duals = {n: forward_ad.make_dual(p, changes[n]) for n, p in parameters.items()}
            loss = forward(duals, forward_ad.make_dual(x, dx))[0].pow(3).sum()
            found = torch.autograd.grad(loss, list(duals.values()))
            return [part.clone() for g in found for part in forward_ad.unpack_dual(g)]

    with ost.engine("eager"):
        wanted = products()
    with only_fused():
        close(products(), wanted, rtol=1e-9, atol=1e-11)


def test_a_dual_gradient_goes_back_through_a_walk_of_plain_numbers():
    forward, parameters, x, _, _ = prepared("LSTM")

    def back():
        y = forward(parameters, x)[0]
        with forward_ad.dual_level():
            g = forward_ad.make_dual(torch.ones_like(y), y.detach().sin())
            found = torch.autograd.grad(y, list(parameters.values()), g)
            return [part.clone() for g in found for part in forward_ad.unpack_dual(g)]

    with ost.engine("eager"):
        wanted = back()
    with only_fused():
        close(back(), wanted, rtol=1e-9, atol=1e-11)


def test_gradcheck_in_forward_mode():
    torch.manual_seed(0)
    layer = ost.LSTM(2, 3).double()
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    names, weights = zip(*layer.named_parameters(), strict=True)

    def function(x, *weights):
        return functional_call(layer, dict(zip(names, weights, strict=True)), (x,))[0]

    with only_fused():
        assert torch.autograd.gradcheck(
            function,
            (x, *weights),
            check_forward_ad=True,
            check_backward_ad=False,
            check_undefined_grad=False,
        )


def test_what_is_compiled_may_take_it():
    forward, parameters, x, _, dx = prepared("Recurrent")

    def both(x, dx):
        return jvp(lambda x: forward(parameters, x)[0], (x,), (dx,))

    def dual(x, dx):
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(forward(parameters, forward_ad.make_dual(x, dx))[0])

    wanted = both(x, dx)
    close(torch.compile(both, backend="eager", fullgraph=True)(x, dx), wanted)
    close(tuple(torch.compile(dual, backend="eager")(x, dx)), wanted)


def test_many_directions_at_once_run_on_the_reference():
    forward, parameters, x, _, _ = prepared("RNN")
    jacobian = jacfwd(lambda x: forward(parameters, x)[0])(x)
    rows = torch.eye(x.numel()).double().view(-1, *x.shape)
    columns = [jvp(lambda x: forward(parameters, x)[0], (x,), (row,))[1] for row in rows]
    close(jacobian.flatten(3).movedim(-1, 0), torch.stack(columns))
    mapped = vmap(lambda dx: jvp(lambda x: forward(parameters, x)[0], (x,), (dx,))[1])(rows)
    close(mapped, torch.stack(columns))


def test_a_cell_that_cannot_be_fused_says_so_once():
    class Halting(torch.nn.Module):
        def forward(self, x, h):
            return torch.tanh(x + h) if h.sum() > 1e9 else torch.sigmoid(x + h)

    cell = Halting()
    x, h = torch.randn(4, 2, 3), torch.zeros(2, 3)

    def walk(x):
        return ost.engine.run(ost.engine.Call(cell, x, (h,))).output

    with pytest.warns(fused.EngineWarning, match="Halting"):
        first = jvp(walk, (x,), (x,))
    with warnings.catch_warnings(), ost.engine("eager"):
        warnings.simplefilter("error", fused.EngineWarning)
        close(first, jvp(walk, (x,), (x,)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", fused.EngineWarning)
        close(first, jvp(walk, (x,), (x,)))


def test_a_tangent_that_cannot_be_fused_runs_on_the_reference(monkeypatch):
    forward, parameters, x, changes, dx = prepared("GRU")

    def refuse(*args):
        raise fused.NotFusable("matmul", "", "it is refused")

    with ost.engine("eager"):
        wanted = jvp(forward, (parameters, x), (changes, dx))
    monkeypatch.setattr(pushforward, "pair_of", refuse)
    with pytest.warns(fused.EngineWarning, match="refused"):
        close(jvp(forward, (parameters, x), (changes, dx)), wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("error", fused.EngineWarning)
        close(jvp(forward, (parameters, x), (changes, dx)), wanted)
