"""Pictures of traces: what they are made of, and what they say."""

import numpy as np
import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import Recurrent, cells
from ostinato.inspect.connectivity import connectivity
from ostinato.inspect.heat_maps import colour_range, draw_heat_maps
from ostinato.inspect.neighbourhoods import draw_neighbourhoods, neighbourhoods
from ostinato.inspect.text_colours import draw_text, draw_unit
from ostinato.inspect.trajectories import trajectories

TEXT = "to be, or\nnot"


@pytest.fixture(scope="module")
def trace():
    torch.manual_seed(0)
    layer = ost.LSTM(3, 4, num_layers=2, bidirectional=True)
    labels = [list(TEXT), list("ab")]
    return layer.trace(
        torch.randn(len(TEXT), 2, 3),
        lengths=[len(TEXT), 2],
        labels=labels,
        gradients=lambda out: out[0].square().sum(),
    )


@pytest.mark.parametrize("kind", [".png", ".svg", ".html"])
def test_every_kind_of_picture_is_written(trace, tmp_path, kind):
    draw_heat_maps(trace, tmp_path / f"heat{kind}", names=["h", "f"])
    draw_unit(trace, 2, tmp_path / f"unit{kind}", name="c")
    trajectories(trace).draw(tmp_path / f"paths{kind}")
    near = neighbourhoods(np.eye(4) + 0.1, list("abcd"), ["a", "c"], count=2)
    draw_neighbourhoods(near, tmp_path / f"near{kind}")
    found = connectivity(ost.GRU(3, 4), torch.randn(5, 1, 3), labels=list("hello"))
    found.draw(tmp_path / f"moves{kind}")
    found.draw(tmp_path / f"moved{kind}", step=3)
    for path in tmp_path.iterdir():
        assert path.stat().st_size > 2000
    if kind == ".svg":
        said = {
            "heat": ["Row 0 of 0: values of each unit", ">f<", "␣"],
            "unit": ["Unit 2 of c, 0", "↵"],
            "paths": ["Paths of h of 0: two axes hold", "row 1"],
            "near": ["near 'a', 'c'"],
            "moves": ["what moves each output"],
            "moved": ["What moves the output at step 3, 'l'"],
        }
        for name, parts in said.items():
            text = (tmp_path / f"{name}.svg").read_text()
            for part in parts:
                assert part in text, (name, part)


def drawn(monkeypatch, call):
    """The plotly figure that a call would write."""
    from ostinato.inspect import pictures

    kept = []
    for module in ("heat_maps", "text_colours", "trajectories", "neighbourhoods", "connectivity"):
        monkeypatch.setattr(
            f"ostinato.inspect.{module}.save_picture",
            lambda path, *, matplotlib, plotly, size=None: kept.append(plotly()),
        )
    assert pictures.save_picture is not None
    call()
    return kept[0]


def test_heat_maps_show_the_values_of_the_row(trace, monkeypatch):
    figure = drawn(monkeypatch, lambda: draw_heat_maps(trace, "x.html", names=["c"], row=1))
    np.testing.assert_allclose(figure.data[0].z, trace["c"][:2, 1].T)
    assert figure.data[0].zmin == -figure.data[0].zmax
    above = drawn(
        monkeypatch,
        lambda: draw_heat_maps(trace, "x.html", names=["f"], layer=1, direction=1, gradients=True),
    )
    np.testing.assert_allclose(above.data[0].z, trace.gradients("f", 1, 1)[:, 0].T)
    assert (
        drawn(monkeypatch, lambda: draw_heat_maps(trace, "x.html", names=["f"])).data[0].zmax == 1
    )


def test_units_can_be_put_in_the_order_of_their_action(monkeypatch):
    layer = Recurrent(cells.IndRNN(3, 3, activation="identity"))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.cell.drive.weight.copy_(torch.eye(3).flip(0))
    trace = layer.trace(torch.eye(3)[:, None])
    figure = drawn(monkeypatch, lambda: draw_heat_maps(trace, "x.html", sort=True))
    assert list(figure.data[0].y) == ["2", "1", "0"]
    np.testing.assert_array_equal(figure.data[0].z, np.eye(3))


def test_long_rows_are_drawn_by_their_means(monkeypatch):
    trace = ost.GRU(1, 2).trace(torch.randn(2500, 1, 1))
    figure = drawn(monkeypatch, lambda: draw_heat_maps(trace, "x.html"))
    assert np.shape(figure.data[0].z) == (2, 834)
    np.testing.assert_allclose(figure.data[0].z[1][0], trace["h"][:3, 0, 1].mean(), rtol=1e-5)
    np.testing.assert_allclose(figure.data[0].z[1][-1], trace["h"][2499:, 0, 1].mean(), rtol=1e-5)
    assert figure.layout.annotations[0].text == "h (means of 3 steps)"
    # without labels, the axis counts steps and not places
    assert list(figure.data[0].x[:2]) == [0, 3]


def test_colours_end_where_the_values_do():
    assert colour_range(np.array([0.1, 0.9])) == (0.0, 1.0)
    assert colour_range(np.array([0.1, 3.0])) == (0.0, 3.0)
    assert colour_range(np.array([-0.5, 0.2])) == (-0.5, 0.5)
    assert colour_range(np.array([0.0])) == (0.0, 1.0)


def test_a_coloured_text_keeps_its_lines(monkeypatch):
    figure = drawn(monkeypatch, lambda: draw_text(["ab", "c\n", "d"], [1, 2, 3], "x.html", width=3))
    assert np.array(figure.data[0].text).tolist() == [["a", "b", "c"], ["↵", "", ""], ["d", "", ""]]
    np.testing.assert_array_equal(
        figure.data[0].z, [[1, 1, 2], [2, np.nan, np.nan], [3, np.nan, np.nan]]
    )
    long = drawn(monkeypatch, lambda: draw_text(["a"] * 5000, np.zeros(5000), "x.html"))
    assert long.layout.title.text == "A value at each token (first 4,000 of 5,000 tokens)"


def test_a_unit_is_coloured_by_its_own_values(trace, monkeypatch):
    figure = drawn(
        monkeypatch,
        lambda: draw_unit(trace, 3, "x.html", name="o", layer=1, direction=1, width=20),
    )
    first, second = figure.data[0].z
    shown = np.concatenate([first, second[:3]])
    np.testing.assert_allclose(shown, trace["o", 1, 1][:, 0, 3])


def test_paths_are_projections_onto_the_axes_of_most_variance(trace):
    found = trajectories(trace, "c", layer=1)
    points = np.concatenate([trace["c", 1][:, 0], trace["c", 1][:2, 1]]).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    np.testing.assert_allclose(found.shares, values[::-1][:2] / values.sum(), rtol=1e-6)
    for k in range(2):
        assert abs(found.axes[k] @ vectors[:, -1 - k]) == pytest.approx(1)
    np.testing.assert_allclose(
        found.paths[1], (points[-2:] - points.mean(0)) @ found.axes.T, atol=1e-6
    )
    assert found.labels == (tuple(TEXT), ("a", "b"))
    with pytest.raises(ValueError, match=r"rows must be in 0\.\.1, got \[2\]"):
        found.draw("x.png", rows=[2])
    with pytest.raises(ValueError, match="at least two steps and two units"):
        trajectories(ost.GRU(3, 1).trace(torch.zeros(5, 1, 3)))


def test_neighbours_are_the_nearest_by_cosine():
    vectors = [[1, 0], [2, 0.2], [0, 3], [-1, 0], [0, 0]]
    found = neighbourhoods(vectors, list("abcde"), ["a"], count=3)[0]
    assert found.neighbours == ("b", "c", "e")
    assert found.likenesses == pytest.approx((1 / np.hypot(1, 0.1), 0, 0))
    assert len(neighbourhoods(vectors, list("abcde"), ["a"], count=99)[0].neighbours) == 4
    for options, said in (
        ((vectors, list("abcd"), ["a"]), r"4 tokens need vectors \[4, E\]"),
        ((vectors, ["to", "be", "or", "not", "!"], ["nott"]), "Did you mean 'not'"),
        ((vectors, list("abcde"), ["e"]), "the vector of 'e' is zero"),
    ):
        with pytest.raises(ValueError, match=said):
            neighbourhoods(*options)
    with pytest.raises(ValueError, match="count must be at least 1"):
        neighbourhoods(vectors, list("abcde"), ["a"], count=0)
    with pytest.raises(ValueError, match="none to draw"):
        draw_neighbourhoods([], "x.png")


def jacobian(model, x, t, s, outputs):
    """|d y_t / d x_s| by finite differences."""
    total = 0.0
    for k in range(x.shape[-1]):
        push = torch.zeros_like(x)
        push[s, 0, k] = 1e-5
        up, down = (outputs(model(x + sign * push))[t].item() for sign in (1, -1))
        total += ((up - down) / 2e-5) ** 2
    return total**0.5


@pytest.mark.parametrize("bidirectional", [False, True])
def test_connectivity_is_the_size_of_the_gradient(bidirectional):
    torch.manual_seed(1)
    layer = ost.GRU(2, 3, num_layers=2, bidirectional=bidirectional).double().requires_grad_(False)
    x = torch.randn(5, 1, 2).double()

    def outputs(told):
        return told[0][:, 0].square().sum(-1)

    found = connectivity(layer, x, steps=[3, 1], outputs=outputs)
    assert found.steps.tolist() == [3, 1]
    for place, t in enumerate((3, 1)):
        for s in range(5):
            wanted = jacobian(layer, x, t, s, outputs)
            assert found.sizes[place, s] == pytest.approx(wanted, abs=1e-7)
    np.testing.assert_allclose(found.shares().sum(axis=1), 1)


def test_how_far_back_one_must_go():
    cell = cells.IndRNN(1, 1, activation="identity").double()
    torch.nn.init.constant_(cell.weight_hh, 0.5)
    found = connectivity(Recurrent(cell), torch.ones(12, 1, 1).double(), steps=[10])
    # 1/2 + 1/4 + 1/8 is 7/8, and one more step reaches nine tenths
    assert found.reach(10) == 3
    assert found.reach(10, 0.5) == 0
    with pytest.raises(ValueError, match=r"output 4 was not asked for. There are \[10\]"):
        found.reach(4)
    with pytest.raises(ValueError, match="no labels to colour"):
        found.draw("x.png", step=10)


def test_a_model_of_text_is_connected_to_what_it_has_read():
    text = "to be, or not to be: that is the question.\n" * 9
    lm = ost.LanguageModel.fit(
        text, hidden_size=6, num_layers=1, batch_size=1, chunk_length=16, max_steps=2,
        progress=False, baselines=False,
    )  # fmt: skip
    found = connectivity(lm, "to be", steps=[2])
    assert found.labels == tuple("to be")
    assert (found.sizes[0, :3] > 0).all()
    assert not found.sizes[0, 3:].any()


def test_what_cannot_be_connected_is_refused():
    layer, x = ost.GRU(2, 3), torch.randn(5, 2, 2)
    for options, said in (
        ({"row": 2}, r"row must be in 0\.\.1, got 2"),
        ({"steps": [5]}, r"steps must be in 0\.\.4, got 5"),
        ({"outputs": lambda told: told[0].sum()}, "a number for each of 5 steps"),
        ({"layer": "reader"}, "'reader' has 0"),
    ):
        with pytest.raises(ValueError, match=said):
            connectivity(layer, x, **options)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.read = ost.GRU(2, 3)

        def forward(self, x):
            return self.read(x)[0][-1]

    with pytest.raises(ValueError, match=r"no scores \[T, B, K\]"):
        connectivity(Last(), x)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda t: draw_heat_maps(t, "x.png", row=2), r"rows must be in 0\.\.1 and have a step"),
        (lambda t: draw_heat_maps(t, "x.png", names=["e"]), "no name 'e'"),
        (lambda t: draw_unit(t, 4, "x.png"), "'h' has no unit 4 here. It has 0, 1, 2, 3"),
        (lambda t: draw_unit(t, 0, "x.png", row=5), "row 5 has no labels"),
        (lambda t: draw_text(["a"], [1, 2], "x.png"), r"a value for each of 1 token\(s\)"),
        (lambda t: draw_text(["a"], [1], "x.png", width=0), "width must be at least 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(trace, call, said):
    with pytest.raises(ValueError, match=said):
        call(trace)
