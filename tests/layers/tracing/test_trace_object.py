"""What a trace keeps, how it is asked, saved and labelled."""

import numpy as np
import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import Trace
from ostinato.inspect.trace import trace as same_trace

T, B, I, H = 6, 3, 3, 4  # noqa: E741


@pytest.fixture(scope="module")
def layer():
    torch.manual_seed(0)
    return ost.LSTM(I, H, num_layers=2, bidirectional=True)


def inputs():
    return torch.randn(T, B, I, generator=torch.Generator().manual_seed(1))


def test_only_what_is_asked_for_is_kept(layer):
    whole = layer.trace(inputs())
    some = layer.trace(
        inputs(), only=["f", "state"], rows=[2, 0], steps=slice(1, None, 2), units={"f": [3]}
    )
    assert some.names == ("h", "c", "f")
    np.testing.assert_array_equal(some["f", 1, 1], whole["f", 1, 1][1::2, [2, 0]][..., [3]])
    np.testing.assert_array_equal(some["c", 1], whole["c", 1][1::2, [2, 0]])
    assert some.part("f").units.tolist() == [3]
    assert some.layers[0].steps.tolist() == [1, 3, 5]
    assert some.layers[0].rows.tolist() == [2, 0]
    one = layer.trace(inputs(), layers="1", units=[0, 2])
    assert [found.name for found in one.layers] == ["1"]
    np.testing.assert_array_equal(one["o"], whole["o", 1][..., [0, 2]])


def test_lengths_count_the_steps_that_are_left(layer):
    trace = layer.trace(inputs(), lengths=[6, 3, 0], steps=[0, 2, 4])
    assert trace.lengths.tolist() == [3, 2, 0]


def test_many_steps_in_blocks_are_as_one(layer, monkeypatch):
    from ostinato.layers.tracing import steps

    whole = layer.trace(inputs(), lengths=[6, 3, 5], gradients=lambda out: out[0].sum())
    monkeypatch.setattr(steps, "_WHOLE", 2 * 4 * H * B)
    blocks = layer.trace(inputs(), lengths=[6, 3, 5], gradients=lambda out: out[0].sum())
    for part, other in zip(whole.parts, blocks.parts, strict=True):
        np.testing.assert_allclose(part.values, other.values, rtol=0, atol=1e-6)
        np.testing.assert_allclose(part.gradients, other.gradients, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": "forget"}, r"no name 'forget'.* There are h, c"),
        ({"only": ["f.per"]}, r"Did you mean 'f.pre'\?"),
        ({"layers": "10"}, "no layer '10'"),
        ({"rows": [3]}, r"rows must be in 0\.\.2 .*got 3"),
        ({"steps": [-7]}, r"steps must be in 0\.\.5 .*got -7"),
        ({"units": [4]}, r"units must be in 0\.\.3 .*got 4"),
        ({"units": {"e": [0]}}, "no name 'e'"),
        ({"labels": [["a"] * T]}, r"labels are for 1 row\(s\), and row 1 has none"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(layer, options, said):
    with pytest.raises(ValueError, match=said):
        layer.trace(inputs(), **options)


def test_asking_a_trace_for_what_it_has_not(layer):
    trace = layer.trace(inputs(), only=["h"])
    with pytest.raises(ValueError, match=r"no name 'H'. Did you mean 'h'\?"):
        trace["H"]
    with pytest.raises(ValueError, match=r"there is no layer 2\. There are 0 '0', 1 '1'"):
        trace["h", 2]
    with pytest.raises(ValueError, match="no layer 'one'"):
        trace["h", "one"]
    with pytest.raises(ValueError, match="'h' is not in layer 0, direction 2"):
        trace["h", 0, 2]
    assert "h" in trace
    assert "c" not in trace
    assert not trace.has_gradients


def test_an_input_without_steps_is_refused(layer):
    with pytest.raises(ValueError, match="the input has no step"):
        layer.trace(torch.zeros(0, B, I))


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_trace_is_read_back_as_it_was_saved(layer, tmp_path, ending):
    labels = [list("abcdef"), list("äß"), []]
    trace = layer.trace(
        inputs(), lengths=[6, 2, 0], labels=labels, gradients=lambda out: out[0].sum(), steps=[1, 4]
    )
    path = tmp_path / "deep" / f"trace{ending}"
    trace.save(path)
    back = Trace.load(path)
    assert repr(back) == repr(trace)
    assert back.labels == (("b", "e"), ("ß",), ())
    for one, other in zip(trace.parts, back.parts, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.gradients, other.gradients)
        np.testing.assert_array_equal(one.units, other.units)
        assert (one.kind, one.function) == (other.kind, other.function)
    assert back.lengths.tolist() == [2, 1, 0]
    assert back.layers[1].steps.tolist() == [1, 4]


def test_files_that_are_no_trace_are_refused(layer, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.npz or \.safetensors, got"):
        layer.trace(inputs()).save(tmp_path / "trace.pkl")
    with pytest.raises(FileNotFoundError, match="no file"):
        Trace.load(tmp_path / "none.npz")
    for ending in (".npz", ".safetensors"):
        path = tmp_path / f"bad{ending}"
        path.write_bytes(b"something else")
        with pytest.raises(ValueError, match="is no trace that this Ostinato can read"):
            Trace.load(path)
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="is no trace"):
        Trace.load(tmp_path / "other.npz")


def test_as_labelled_arrays(layer):
    labels = [list("abcdef"), list("uv"), []]
    trace = layer.trace(
        inputs(), lengths=[6, 2, 0], labels=labels, gradients=lambda out: out[0].sum()
    )
    found = trace.to_xarray()
    assert found["f"].dims == ("time", "row", "layer", "direction", "unit")
    at = found["f"].sel(layer="1", direction="backward", row=0, unit=3)
    np.testing.assert_array_equal(at, trace["f", 1, 1][:, 0, 3])
    np.testing.assert_array_equal(
        found["d_c"].sel(layer="0", direction="forward", row=0), trace.gradients("c")[:, 0]
    )
    assert found["f"].sel(row=1).isel(time=slice(2, None)).isnull().all()
    assert found["label"].sel(row=1).values.tolist() == ["u", "v", "", "", "", ""]
    assert found.to_array("name").sel(name="c").dims[0] == "time"


def test_layers_of_another_time_are_not_put_on_the_same_axis():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = ost.GRU(I, H), ost.GRU(I, H + 1)

        def forward(self, x):
            return self.a(x)[0], self.b(x[:2])[0]

    trace = ost.trace(Two(), inputs())
    assert trace.to_xarray()["h"].shape == (T, B, 1, 1, H)
    assert trace.to_xarray(["b.0"])["h"].shape == (2, B, 1, 1, H + 1)
    with pytest.raises(ValueError, match=r"'b\.0' has other steps or rows than 'a\.0'"):
        trace.to_xarray([0, 1])
    assert ost.trace(Two(), inputs(), first="b").layers[0].name == "b.0"


def test_it_is_one_function_wherever_it_is_found():
    assert same_trace is ost.trace
