"""The one comparison of the fused engine with the reference, and the one table of tolerances."""

import contextlib
import copy
import dataclasses

import pytest
import torch

import ostinato
from ostinato.engine import Call, eager, fused

# largest difference over largest value of a tensor, from the reference in float64
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
# a gradient that is zero but for rounding has no largest value to speak of
_FLOOR = 1e-2


def make_call(cell, widths, *, I, T=5, B=3, dtype=torch.float32, seed=0, **options):  # noqa: E741
    """A call on random leaves, states in 0..1; resets bring a reset state."""
    generator = torch.Generator().manual_seed(seed)

    def leaf(*shape, make=torch.rand):
        return make(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    if options.get("reset") is not None:
        options["reset_state"] = tuple(leaf(B, width) for width in widths)
    state = tuple(leaf(B, width) for width in widths)
    return Call(
        cell.to(dtype), leaf(T, B, I, make=torch.randn), state, **{"all_states": True, **options}
    )


def in_double(call):
    """The same call in float64: copies, with leaves of its own."""

    def leaf(value):
        return value.detach().double().requires_grad_(value.requires_grad)

    def leaves(values):
        return None if values is None else tuple(map(leaf, values))

    given = call.parameters
    return dataclasses.replace(
        call,
        cell=copy.deepcopy(call.cell).double(),
        x=leaf(call.x),
        state=leaves(call.state),
        reset_state=leaves(call.reset_state),
        parameters=given and {name: leaf(value) for name, value in given.items()},
    )


def results(call, walk):
    """What a walk gives and every gradient, by name; the weights of the outputs are fixed."""
    found = {"output": walk.output}
    found |= {f"state {i}": part for i, part in enumerate(walk.state)}
    found |= {f"states {i}": part for i, part in enumerate(walk.states or ())}
    inputs = {"x": call.x} | {f"from state {i}": part for i, part in enumerate(call.state)}
    inputs |= {f"from reset {i}": part for i, part in enumerate(call.reset_state or ())}
    inputs |= dict(call.cell.named_parameters()) | dict(call.parameters or {})
    inputs = {name: value for name, value in inputs.items() if value.requires_grad}
    return found | {f"d {name}": g for name, g in gradients(found, inputs).items()}


def gradients(outputs, inputs, seed=5, **options):
    """Gradients of a fixed random sum of all outputs."""
    generator = torch.Generator().manual_seed(seed)
    weighed = [
        (part, torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part.dtype))
        for part in outputs.values()
    ]
    weighed = [(part, weight) for part, weight in weighed if part.requires_grad]
    if not weighed or not inputs:
        return {}
    found = torch.autograd.grad(
        [part for part, _ in weighed],
        list(inputs.values()),
        [weight for _, weight in weighed],
        allow_unused=True,
        **options,
    )
    # no path, and a path on which nothing arrives, are the same
    return {
        name: torch.zeros_like(value) if g is None else g
        for (name, value), g in zip(inputs.items(), found, strict=True)
    }


def error(got, want):
    """Largest difference over the largest value; infinite where only one has a NaN."""
    got, want = got.detach().double(), want.detach().double()
    assert got.shape == want.shape
    if not want.numel():
        return 0.0
    worst = ((got - want).abs().max() / want.abs().max().clamp(min=_FLOOR)).item()
    return worst if worst == worst else float("inf")


def assert_equal(found, wanted, dtype):
    assert found.keys() == wanted.keys()
    errors = {name: error(found[name], wanted[name]) for name in wanted}
    wrong = {name: e for name, e in errors.items() if not e <= TOLERANCE[dtype]}
    assert not wrong, wrong


def walk_fused(call, target=""):
    """The fused walk; that there is none is a failure."""
    walk = fused.walk(call, target=target)
    assert walk is not None, "not fused"
    return walk


def compare(call, target=""):
    """Hold the fused walk of a call to the reference's walk in float64."""
    double = in_double(call)
    wanted = results(double, eager.walk(double))
    assert_equal(results(call, walk_fused(call, target)), wanted, call.x.dtype)


@contextlib.contextmanager
def only_fused():
    """The fused engine in force, and the reference out of reach."""

    def refuse(call):
        raise AssertionError(f"{type(call.cell).__name__} went to the reference")

    with pytest.MonkeyPatch.context() as patch, ostinato.engine("llvm"):
        patch.setattr(eager, "walk", refuse)
        yield


def padded(x, lengths, value=float("nan")):
    """X with its padding filled, as a leaf."""
    alive = torch.arange(len(x))[:, None] < lengths
    return x.detach().masked_fill(~alive[:, :, None], value).requires_grad_()
