"""Pages drawn by plotly: what was seen to be cut, crowded or misleading in them, and is no more."""

import pytest
import torch

import ostinato as ost
from ostinato.inspect import (
    comparison,
    curves,
    gradient_flow,
    long_lags,
    saturation,
    spectrum,
    text_colours,
)
from ostinato.inspect.pictures import shown_of


def page_of(monkeypatch, module, call):
    """The plotly figure that a call would write."""
    kept = []
    monkeypatch.setattr(
        module, "save_picture", lambda path, *, matplotlib, plotly, size=None: kept.append(plotly())
    )
    call()
    return kept[0]


@pytest.fixture(scope="module")
def deep():
    return ost.LSTM(2, 4, num_layers=3, bidirectional=True)


def test_each_panel_of_a_spectrum_names_its_own_steps(monkeypatch):
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.long, self.short = ost.GRU(2, 3), ost.GRU(2, 3)

        def forward(self, x):
            return self.long(x)[0], self.short(x[:4])[0]

    found = spectrum.spectrum(Two(), torch.randn(9, 1, 2), steps=2)
    figure = page_of(monkeypatch, spectrum, lambda: found.draw("x.html"))
    named = {(trace.legendgroup, trace.name) for trace in figure.data if trace.showlegend is None}
    assert named == {
        ("long.0", "step 0, row 0"),
        ("long.0", "step 8, row 0"),
        ("short.0", "step 0, row 0"),
        ("short.0", "step 3, row 0"),
    }


def test_many_spectra_stand_in_two_columns_with_round_circles(monkeypatch, deep):
    found = spectrum.spectrum(deep, torch.randn(5, 1, 2), steps=1)
    figure = page_of(monkeypatch, spectrum, lambda: found.draw("x.html"))
    axes = [getattr(figure.layout, f"yaxis{k if k > 1 else ''}") for k in range(1, 7)]
    assert [axis.scaleanchor for axis in axes] == ["x", *(f"x{k}" for k in range(2, 7))]
    assert {axis.constrain for axis in axes} == {"domain"}
    assert figure.layout.height > 1200


def test_one_step_of_a_spectrum_stands_in_the_middle():
    found = spectrum.spectrum(ost.GRU(2, 3), torch.randn(9, 1, 2), steps=1)
    assert [one.step for one in found.steps] == [4]


def test_every_gate_of_every_layer_is_in_the_legend_once(monkeypatch):
    class Mixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = ost.GRU(2, 3), ost.LSTM(3, 3)

        def forward(self, x):
            return self.other(self.one(x)[0])[0]

    found = saturation.saturation(ost.trace(Mixed(), torch.randn(5, 1, 2)))
    figure = page_of(monkeypatch, saturation, lambda: found.draw("x.html"))
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert sorted(named) == sorted(set(named)) == sorted({gate.name for gate in found.gates})
    assert {"r", "f"} <= set(named)
    # what is never in between lies on a line
    assert len(figure.layout.shapes) == 2


def test_pictures_say_how_many_layers_they_leave_out(tmp_path, deep):
    x = torch.randn(5, 1, 2)
    spectrum.spectrum(deep, x, steps=1).draw(tmp_path / "spectrum.svg")
    saturation.saturation(deep.trace(x)).draw(tmp_path / "saturation.svg")
    for name in ("spectrum", "saturation"):
        assert "(the first 4 of 6 layers)" in (tmp_path / f"{name}.svg").read_text()
    assert shown_of("Fans", 7, 6, "series") == "Fans (the first 6 of 7 series)"


def test_flow_that_has_no_rate_claims_none(monkeypatch):
    layer = ost.GRU(2, 3, bidirectional=True)
    trace = layer.trace(torch.randn(6, 1, 2), gradients=lambda out: out[0][-1].sum())
    flow = gradient_flow.gradient_flow(trace)
    figure = page_of(monkeypatch, gradient_flow, lambda: flow.draw("x.html"))
    ways, back = (trace.name for trace in figure.data)
    assert " a step" in ways
    assert back == "0, h from the end"
    assert flow["h", "0", 1].words() == (
        "the loss hears one step alone: there is no way back to be followed."
    )


@pytest.mark.parametrize(("weight", "decades"), [(0.3, True), (0.99, False)])
def test_flow_over_many_powers_of_ten_has_a_tick_for_each(monkeypatch, weight, decades):
    cell = ost.cells.IndRNN(1, 1, activation="identity")
    torch.nn.init.constant_(cell.weight_hh, weight)
    trace = ost.Recurrent(cell).trace(torch.ones(9, 1, 1), gradients=lambda out: out[0][-1].sum())
    flow = gradient_flow.gradient_flow(trace)
    figure = page_of(monkeypatch, gradient_flow, lambda: flow.draw("x.html"))
    assert (figure.layout.yaxis.dtick == 1) is decades


def test_scales_beside_few_rows_keep_their_height(monkeypatch):
    text = page_of(
        monkeypatch, text_colours, lambda: text_colours.draw_text(["ab"], [0.5], "x.html")
    )
    lags = page_of(
        monkeypatch, long_lags, lambda: long_lags.draw_long_lags({"a": {"b": 10}}, "x.html")
    )
    for bar, figure in ((text.data[0].colorbar, text), (lags.data[1].colorbar, lags)):
        assert bar.lenmode == "pixels"
        assert 100 < bar.len < figure.layout.height - 100


def test_best_of_a_run_has_a_star_on_the_page_too(monkeypatch):
    run = curves.Curves("a", [(20, 2.0), (40, 1.0)], {"val_loss": [(25, 1.5), (50, 1.6)]})
    figure = page_of(monkeypatch, curves, lambda: curves.draw_curves([run], "x.html"))
    (star,) = [trace for trace in figure.data if trace.marker.symbol == "star"]
    assert (star.x, star.y) == ((25,), (1.5,))


@pytest.mark.parametrize(("higher", "word"), [(True, "more"), (False, "less")])
def test_page_of_a_comparison_says_which_end_is_better(higher, word):
    assert comparison._scores({"higher_is_better": higher}) == f"Scores: {word} is better"
