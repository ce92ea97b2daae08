import pytest
import torch
from layer_cases import LAYERS, I, make, parts

import ostinato as ost
from ostinato import cells
from ostinato.layers import Clamp, FromEncoder

close = torch.testing.assert_close
FORWARD = [name for name in LAYERS if not make(name).bidirectional]
X = torch.randn(5, 2, I, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("engine", ["auto", "eager"])
@pytest.mark.parametrize("name", FORWARD)
def test_steps_and_streams_give_the_numbers_of_the_whole_sequence(name, engine):
    layer = make(name, initial_state="learned", zoneout=0.2).eval()
    with ost.engine(engine):
        y, last = layer(X)
        state = None
        step = layer.stream(batch_size=2)
        for t, x_t in enumerate(X):
            y_t, state = layer.step(x_t, state)
            close(y_t, y[t])
            close(step(x_t), y[t])
        close(state, last)
        close(step.state, last)


def test_a_step_is_differentiable_and_a_stream_keeps_no_graph():
    layer = make("lstm-2-layers")
    y, state = layer.step(X[0])
    y, _ = layer.step(X[1], state)
    y.sum().backward()
    assert layer.cells[0].gates.weight_hh.grad.abs().sum() > 0
    step = layer.stream(batch_size=2)
    assert not step(X[0]).requires_grad
    assert not any(part.requires_grad for part in parts(step.state))


def test_a_stream_goes_on_from_a_given_or_set_state():
    layer = make("gru")
    y, _ = layer(X)
    _, middle = layer(X[:3])
    close(layer.stream(2, middle)(X[3]), y[3])
    step = layer.stream(batch_size=2)
    step.state = middle
    close(step(X[3]), y[3])
    with pytest.raises(ValueError, match=r"h0 must be \[2, 4\]"):
        step.state = torch.zeros(3, 4).double()


@pytest.mark.parametrize("rows", [[1], torch.tensor([1]), torch.tensor([False, True])])
def test_a_reset_lets_the_named_rows_start_anew(rows):
    layer = make("lstm-2-layers", initial_state="learned")
    step = layer.stream(batch_size=2)
    step(X[0])
    step.reset(rows)
    y = step(X[1])
    close(y[:1], layer(X[:2])[0][1, :1])
    close(y[1:], layer(X[1:2])[0][0, 1:])
    step.reset()
    close(step(X[2]), layer(X[2:3])[0][0])
    step.reset([])
    assert not torch.allclose(step(X[2]), layer(X[2:3])[0][0])
    with pytest.raises(ValueError, match=r"mask of rows must be \[2\], got \[3\]"):
        step.reset(torch.tensor([True, False, True]))


def test_a_stream_begins_as_the_cell_or_the_encoder_says():
    close(make("own-start").stream(2).state, torch.full((2, 2, 4), 0.5, dtype=torch.float64))
    layer = ost.Recurrent(cells.GRU(I, 4), initial_state=FromEncoder(3)).double()
    context = torch.randn(2, 3, dtype=torch.float64)
    y, _ = layer(X, context=context)
    step = layer.stream(2, context=context)
    close(torch.stack([step(x_t) for x_t in X]), y)
    close(layer.step(X[0], context=context)[0], y[0])


def test_clamped_values_reach_steps_and_streams():
    layer = ost.Recurrent(cells.GRU(I, 4), clamp=Clamp([0, 3])).double()
    values = torch.randn(5, 2, 2, dtype=torch.float64)
    y, _ = layer(X, clamp=values)
    step, state = layer.stream(2), None
    for t in range(5):
        close(step(X[t], clamp=values[t]), y[t])
        y_t, state = layer.step(X[t], state, clamp=values[t])
        close(y_t, y[t])


def test_whole_numbers_stream_too():
    layer = make("lstm-2-layers")
    tokens = torch.tensor([[0, 2], [1, 1]])
    step = layer.stream(2)
    close(torch.stack([step(t) for t in tokens]), layer(tokens)[0])


def test_what_a_stream_cannot_do_is_said():
    with pytest.raises(ValueError, match="needs the whole sequence"):
        make("bidirectional").stream()
    with pytest.raises(ValueError, match="needs the whole sequence"):
        make("bidirectional").step(X[0])
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        make("gru").stream(0)
    with pytest.raises(ValueError, match=r"each of its 1 row\(s\) is needed, got 2"):
        make("gru").stream()(X[0])
    with pytest.raises(ValueError, match=r"one step needs \[batch, 3\].*got \[5, 2, 3\]"):
        make("gru").step(X)
    with pytest.raises(ValueError, match=r"one step needs \[batch, 3\].*got \[2, 2\]"):
        make("gru").step(X[0, :, :2])
