import copy

import numpy as np
import pytest
import torch

from ostinato import LSTM
from ostinato.inspect.trace import trace
from ostinato.layers.clamp import Clamp
from ostinato.layers.recurrent import Recurrent
from ostinato.studio.holding import Hold, Holding, StateShape, Steps, Unit, state_shapes
from ostinato.tasks.language_model.network import LanguageNetwork
from ostinato.tasks.language_model.settings import ModelSettings

TOKENS = [1, 4, 0, 3, 3, 2, 8]


def make(cell="lstm", **settings):
    torch.manual_seed(1)
    chosen = {"hidden_size": 6, "embedding_size": 5, "num_layers": 2, "cell": cell, **settings}
    return LanguageNetwork(9, ModelSettings(**chosen)).eval()


def clamped(network, clamp):
    """The same network, its stack built anew with a clamp: what holding must agree with."""
    other = copy.deepcopy(network)
    other.stack = Recurrent(list(other.stack.cells), num_layers=2, clamp=clamp)
    return other.eval()


def test_states_have_the_names_of_the_cell():
    first, second = StateShape("stack.0", 0, "h", 6), StateShape("stack.1", 0, "h", 6)
    assert state_shapes(make("gru")) == [first, second]
    names = [(shape.layer, shape.name) for shape in state_shapes(make())]
    assert names == [("stack.0", "h"), ("stack.0", "c"), ("stack.1", "h"), ("stack.1", "c")]


@pytest.mark.parametrize("embedding", [5, 0])
@pytest.mark.parametrize(("name", "state"), [("h", 0), ("c", 1)])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_held_unit_does_what_a_clamped_layer_does(embedding, name, state, layer):
    network = make(embedding_size=embedding)
    oracle = clamped(network, Clamp([2], 0.7, state=state, layer=layer))
    steps = Steps(network, [Hold(f"stack.{layer}", name, 2, 0.7)])
    steps.read(TOKENS[:3])
    for token in TOKENS[3:]:
        steps.step(token)
    with torch.no_grad():
        scores, _ = oracle(torch.tensor(TOKENS)[:, None])
        free, _ = network(torch.tensor(TOKENS)[:, None])
    assert steps.value(Unit(f"stack.{layer}", name, 2)) == pytest.approx(0.7)
    torch.testing.assert_close(steps.scores, scores[-1])
    assert not torch.allclose(steps.scores, free[-1], atol=1e-3)


def test_units_of_several_states_and_layers_are_held_at_once():
    network = make()
    holds = [
        Hold("stack.0", "h", 1, 0.3),
        Hold("stack.0", "h", 4, -0.2),
        Hold("stack.0", "c", 0, 1.5),
        Hold("stack.1", "h", 5, 0.9),
    ]
    steps = Steps(network, holds)
    steps.read(TOKENS)
    for hold in holds:
        assert steps.value(Unit(hold.layer, hold.name, hold.unit)) == pytest.approx(hold.value)


def test_without_holds_nothing_changes_and_states_are_those_of_the_walk():
    network = make()
    steps = Steps(network)
    steps.read(TOKENS)
    with torch.no_grad():
        scores, (h, c) = network(torch.tensor(TOKENS)[:, None])
    torch.testing.assert_close(steps.scores, scores[-1])
    assert steps.value(Unit("stack.1", "c", 3)) == pytest.approx(float(c[1, 0, 3]))
    assert steps.value(Unit("stack.0", "h", 3)) == pytest.approx(float(h[0, 0, 3]))


def test_holding_can_begin_later():
    network = make()
    early, late = (Steps(network, [Hold("stack.1", "h", 0, 2.0)]) for _ in range(2))
    late.holding = False
    for steps in (early, late):
        steps.read(TOKENS[:5])
        steps.holding = True
        steps.step(TOKENS[5])
    assert late.value(Unit("stack.1", "h", 0)) == 2.0
    assert not torch.allclose(early.scores, late.scores, atol=1e-4)


def test_other_options_of_the_stack_stay():
    network = make(zoneout=0.3, residual=True)
    steps = Steps(network, [Hold("stack.0", "h", 0, 0.5)])
    steps.read(TOKENS)
    oracle = copy.deepcopy(network)
    oracle.stack = Recurrent(
        list(oracle.stack.cells), 2, zoneout=0.3, residual=True, clamp=Clamp([0], 0.5, layer=0)
    )
    with torch.no_grad():
        scores, _ = oracle.eval()(torch.tensor(TOKENS)[:, None])
    torch.testing.assert_close(steps.scores, scores[-1])


@pytest.mark.parametrize(
    ("hold", "message"),
    [
        (Hold("stack.2", "h", 0, 1.0), r"no layer 'stack.2'. Did you mean stack.[01]\?"),
        (Hold("stack.0", "z", 0, 1.0), "Layer stack.0 has no state 'z'. Known: c, h."),
        (Hold("stack.0", "h", 0, 1.0, direction=1), "no direction 1. It is walked from the start"),
        (Hold("stack.1", "c", 6, 1.0), "State c of layer stack.1 has no unit 6. Name one of 0..5."),
        (Hold("stack.1", "c", -1, 1.0), "has no unit -1"),
        (Hold("stack.0", "h", 0, float("nan")), "A unit is held at a number, got nan"),
    ],
)
def test_what_is_not_there_is_refused(hold, message):
    with pytest.raises(ValueError, match=message):
        Steps(make(), [hold])


def test_values_need_something_read():
    with pytest.raises(ValueError, match="Nothing has been read yet"):
        Steps(make()).value(Unit("stack.0", "h", 0))


def test_a_unit_is_not_held_twice():
    holds = [Hold("stack.0", "h", 1, 0.5), Hold("stack.0", "h", 1, 0.25)]
    with pytest.raises(ValueError, match=r"Unit 1 of h, layer stack.0, is held twice: at 0.5 and"):
        Holding(make(), holds)


@pytest.mark.parametrize("direction", [0, 1])
def test_either_direction_of_a_layer_is_held_by_itself(direction):
    torch.manual_seed(2)
    network = torch.nn.ModuleDict({"stack": LSTM(3, 4, bidirectional=True)}).eval()
    holding = Holding(network, [Hold("stack.0", "h", 2, 0.75, direction)])
    x = torch.randn(5, 1, 3)
    with torch.no_grad():
        free, _ = network["stack"](x)
        with holding.within():
            held, _ = network["stack"](x)
        again, _ = network["stack"](x)
    mine, other = (slice(4 * d, 4 * d + 4) for d in (direction, 1 - direction))
    assert set(held[:, 0, mine][:, 2].tolist()) == {0.75}
    assert not torch.allclose(held[..., mine], free[..., mine])
    torch.testing.assert_close(held[..., other], free[..., other])
    torch.testing.assert_close(again, free)


def test_a_trace_sees_what_is_held():
    network = make()
    holding = Holding(network, [Hold("stack.0", "c", 1, 0.5), Hold("stack.1", "h", 3, -0.5)])
    tokens = torch.tensor(TOKENS)[:, None]

    def ask():
        with holding.within():
            return network(tokens)

    found = trace(network, call=ask, gradients=lambda said: said[0][-1].sum(), training=False)
    assert set(found["c", 0][:, 0, 1]) == {0.5}
    assert set(found["h", 1][:, 0, 3]) == {-0.5}
    torch.testing.assert_close(found.output[0], ask()[0])
    # those that are not held still hear the loss
    assert np.abs(found.gradients("h", 0)).max() > 0
