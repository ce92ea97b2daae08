"""Flow, spectrum and saturation of networks of which they are known in closed form."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import Recurrent, cells
from ostinato.inspect.gradient_flow import gradient_flow
from ostinato.inspect.saturation import saturation
from ostinato.inspect.spectrum import spectrum

T, B = 60, 3


def diagonal(weights):
    cell = cells.IndRNN(2, len(weights), activation="identity").double()
    cell.weight_hh.data.copy_(torch.tensor(weights, dtype=torch.float64))
    return Recurrent(cell)


def linear(matrix):
    cell = cells.Elman(2, len(matrix), activation="identity").double()
    cell.gates.weight_hh.data.copy_(torch.as_tensor(matrix, dtype=torch.float64))
    return Recurrent(cell)


def flow_of(layer, T=T, **options):
    x = torch.randn(T, B, 2, generator=torch.Generator().manual_seed(0)).double()
    return gradient_flow(layer.trace(x, gradients=lambda out: out[0][-1].sum(), **options))


def test_a_decay_is_told_in_words():
    flow = flow_of(diagonal([0.87]))["h", "0"]
    assert flow.rate == pytest.approx(0.87)
    assert flow.ratio(40) == pytest.approx(0.87**-40)
    assert flow.words() == (
        "gradients shrink by 0.87 a step: what happened 40 steps ago moves the loss 263 times less "
        "than what happened now."
    )


def test_the_rate_in_words_is_that_of_the_steps_spoken_of():
    # falls quickly at first and slowly later, so that no one rate fits all lags
    (flow,) = flow_of(diagonal([0.5, 0.99])).flows
    lag = 5
    told = float(flow.words(lag).split(" by ")[1].split(" a step")[0])
    assert abs(told - flow.rate) > 0.01
    assert told**-lag == pytest.approx(flow.ratio(lag), rel=0.02)


def test_each_unit_has_a_flow_of_its_own():
    flow = flow_of(diagonal([0.5, 0.9]))["h", "0"]
    lags = np.arange(T)
    np.testing.assert_allclose(flow.units[:, 0], 0.5**lags, rtol=1e-9)
    np.testing.assert_allclose(flow.units[:, 1], 0.9**lags, rtol=1e-9)
    np.testing.assert_allclose(flow.norms, np.hypot(0.5**lags, 0.9**lags), rtol=1e-9)


def test_an_orthogonal_matrix_keeps_the_size_of_gradients():
    turned = torch.linalg.qr(torch.randn(5, 5).double())[0]
    flow = flow_of(linear(turned))["h", "0"]
    assert flow.rate == pytest.approx(1)
    assert flow.words() == (
        "gradients keep their size: what happened 40 steps ago moves the loss as much as what "
        "happened now."
    )


def test_an_explosion_is_told_in_words():
    turned = torch.linalg.qr(torch.randn(5, 5).double())[0]
    flow = flow_of(linear(1.1 * turned))["h", "0"]
    assert flow.rate == pytest.approx(1.1)
    assert "grow by 1.1 a step: what happened 40 steps ago moves the loss 45 times more" in (
        flow.words()
    )


def test_a_nilpotent_step_stops_gradients():
    flow = flow_of(linear([[0.0, 1.0], [0.0, 0.0]]))["h", "0"]
    assert flow.words() == "gradients stop: what happened more than 1 steps ago moves nothing."
    assert math.isinf(flow.ratio(5))
    forgets = flow_of(linear([[0.0]]))["h", "0"]
    assert forgets.rate == 0
    assert "more than 0 steps ago" in forgets.words()


def test_rows_count_back_from_their_own_ends():
    layer = diagonal([0.8])
    x = torch.ones(10, 2, 2).double()
    trace = layer.trace(x, lengths=[10, 4], gradients=lambda out: out[1].sum())
    flow = gradient_flow(trace)["h", "0"]
    np.testing.assert_allclose(flow.norms, 0.8 ** np.arange(10), rtol=1e-9)


def test_the_walk_from_the_end_counts_from_the_beginning():
    cell, other = (diagonal([a]).cell for a in (0.5, 0.7))
    layer = Recurrent([cell, other], bidirectional=True)
    x = torch.ones(9, 1, 2).double()
    trace = layer.trace(x, gradients=lambda out: out[1].sum())
    flow = gradient_flow(trace)
    assert flow["h", "0", 1].rate == pytest.approx(0.7)
    assert flow["h", "0", 0].rate == pytest.approx(0.5)
    assert "0, h from the end: gradients shrink by 0.7" in flow.words()


def test_a_model_of_text_flows_from_its_last_token():
    text = "to be, or not to be: that is the question.\n" * 9
    lm = ost.LanguageModel.fit(
        text, hidden_size=6, num_layers=1, batch_size=1, chunk_length=16, max_steps=2,
        progress=False, baselines=False,
    )  # fmt: skip
    trace = lm.trace("to be, or", gradients="last")
    flow = gradient_flow(trace)
    # the last token is asked for, and not read
    reads = flow["c", "network.stack.0"]
    assert len(reads.norms) == 9 - 1
    assert reads.norms[0] == pytest.approx(np.linalg.norm(trace.gradients("c")[7]), rel=1e-5)
    whole = lm.trace("to be, or", gradients=True).gradients("c")
    assert np.abs(whole[:7] - trace.gradients("c")[:7]).max() > 1e-3
    with pytest.raises(ValueError, match="'first'"):
        lm.trace("to be", gradients="first")


def test_traces_that_cannot_tell_are_refused():
    layer = diagonal([0.5])
    x = torch.ones(5, 1, 2).double()
    with pytest.raises(ValueError, match="has no gradients of states"):
        gradient_flow(layer.trace(x))
    with pytest.raises(ValueError, match="all steps are needed"):
        flow_of(layer, steps=[1, 3])
    flow = flow_of(layer, 5)
    with pytest.raises(KeyError, match=r"no \('c', '0', 0\)"):
        flow["c", "0"]
    with pytest.raises(ValueError, match=r"lag must be in 0\.\.4, got 5"):
        flow["h", "0"].ratio(5)
    assert "hears one step alone" in flow_of(layer, 1).words()


def test_the_spectrum_of_a_linear_step_is_that_of_its_matrix():
    torch.manual_seed(1)
    matrix = torch.randn(6, 6).double()
    found = spectrum(linear(matrix), torch.randn(9, 2, 2).double(), steps=3, rows=[0, 1])
    assert [(one.step, one.row) for one in found.steps] == [
        (0, 0), (4, 0), (8, 0), (0, 1), (4, 1), (8, 1)
    ]  # fmt: skip
    wanted = np.sort_complex(np.linalg.eigvals(matrix.numpy()))
    for one in found.steps:
        np.testing.assert_allclose(np.sort_complex(one.eigenvalues), wanted, atol=1e-9)
        np.testing.assert_allclose(
            one.singular_values, torch.linalg.svdvals(matrix).numpy(), atol=1e-9
        )
    assert found.steps[0].radius == pytest.approx(np.abs(wanted).max())


def test_the_step_of_an_lstm_is_that_of_finite_differences():
    torch.manual_seed(2)
    layer = ost.LSTM(2, 3, num_layers=2, bidirectional=True).double()
    x = torch.randn(7, 2, 2).double()
    trace = layer.trace(x, lengths=[7, 5])
    found = spectrum(layer, x, steps=[2], rows=[1], lengths=[7, 5], layers=["1"])
    one = found.of("1", 1)[0]
    assert one.step == 2
    cell = layer._cell(3)
    below = np.concatenate([trace["h", 0, 0], trace["h", 0, 1]], axis=-1)
    now = torch.from_numpy(below[2, 1:2])
    start = torch.from_numpy(np.concatenate([trace["h", 1, 1][3, 1], trace["c", 1, 1][3, 1]]))

    def step(state):
        parts = state.reshape(2, 1, 3)
        h, c = torch.func.functional_call(
            cell, dict(layer._parameters_of(3)), (now, parts[0], parts[1])
        )
        return torch.cat([h[0], c[0]])

    matrix = torch.autograd.functional.jacobian(step, start).numpy()
    np.testing.assert_allclose(
        one.singular_values, np.linalg.svd(matrix, compute_uv=False), atol=1e-9
    )
    assert set(found.layers) == {("1", 0), ("1", 1)}


def test_the_spectrum_in_words():
    x = torch.ones(5, 1, 2).double()
    assert "size 0.5: what is handed on fades" in spectrum(diagonal([0.5]), x, steps=[1]).words()
    assert "something is kept" in spectrum(diagonal([1.0]), x).words()
    assert "may explode. No push grows more than 1.5 times" in spectrum(diagonal([1.5]), x).words()


def test_the_spectrum_of_torchs_layers_and_of_what_is_not_there():
    x = torch.randn(5, 2, 2)
    model = nn.Sequential(nn.GRU(2, 3))
    assert spectrum(model, x).layers == (("0.0", 0),)
    for options, said in (
        ({"rows": [2]}, r"rows must be in 0\.\.1, got 2"),
        ({"steps": [5]}, r"steps must be in 0\.\.4, got 5"),
        ({"steps": 0}, "at least one step"),
        ({"layers": ["9"]}, "no layer '9'"),
    ):
        with pytest.raises(ValueError, match=said):
            spectrum(model, x, **options)
    with pytest.raises(ValueError, match="all these steps are padding"):
        spectrum(ost.GRU(2, 3), x, steps=[4], rows=[1], lengths=[5, 2])
    with pytest.raises(ValueError, match="no recurrent layer was walked"):
        spectrum(nn.Linear(2, 2), x)


def gated(bias):
    """A GRU whose update gate hears its bias alone."""
    layer = ost.GRU(1, len(bias)).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[len(bias) : 2 * len(bias)] = torch.tensor(bias)
    return layer


def test_saturated_gates_are_counted():
    layer = gated([-9.0, 0.0, 9.0, 2.0])
    x = torch.zeros(6, 2, 1).double()
    found = saturation(layer.trace(x, lengths=[6, 3]), ["z"]).gates[0]
    assert found.low.tolist() == [1, 0, 0, 0]
    assert found.high.tolist() == [0, 0, 1, 0]
    assert found.share == 0.5
    assert found.stuck().tolist() == [0, 2]
    assert found.words() == (
        "0, z: 50% saturated (25% low, 25% high); 2 of 4 units never leave one end."
    )
    # sigmoid(2) is 0.88
    wide = saturation(layer.trace(x), ["z"], margin=0.2).gates[0]
    assert wide.high.tolist() == [0, 0, 1, 1]
    everything = saturation(layer.trace(x))
    assert [gate.name for gate in everything.gates] == ["r", "z", "n"]


def test_saturation_of_what_has_no_ends_is_refused():
    trace = gated([0.0]).trace(torch.zeros(2, 1, 1).double())
    with pytest.raises(ValueError, match="'h' is not made by an activation"):
        saturation(trace, ["h"])
    with pytest.raises(ValueError, match="no name 'y'"):
        saturation(trace, ["y"])
    with pytest.raises(ValueError, match=r"margin must be in \(0, 0.5\), got 0.5"):
        saturation(trace, margin=0.5)
    bare = gated([0.0]).trace(torch.zeros(2, 1, 1).double(), only="state")
    with pytest.raises(ValueError, match="nothing in this trace has two ends"):
        saturation(bare)


@pytest.mark.parametrize("kind", [".png", ".svg", ".html"])
def test_pictures_say_what_they_show(tmp_path, kind):
    layer = ost.LSTM(2, 4, num_layers=2, bidirectional=True)
    x = torch.randn(12, 2, 2)
    trace = layer.trace(x, gradients=lambda out: out[0][-1].sum())
    pictures = {
        "flow": gradient_flow(trace),
        "saturation": saturation(trace),
        "spectrum": spectrum(layer, x, steps=2),
    }
    for name, picture in pictures.items():
        path = tmp_path / f"{name}{kind}"
        picture.draw(path)
        assert path.stat().st_size > 2000
        if kind == ".svg":
            text = path.read_text()
            head = {"flow": "Gradient flow", "saturation": "Saturation", "spectrum": "Eigenvalues"}
            assert head[name] in text
            assert "from the end" in text
