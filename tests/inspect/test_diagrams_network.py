"""Networks folded and unrolled, and what is written to files."""

from xml.etree import ElementTree

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato import cells
from ostinato.inspect.diagrams import DiagramError, diagram

SVG = "{http://www.w3.org/2000/svg}"


def count(drawn, kind):
    return sum(box.kind == kind for box in drawn.graph.boxes.values())


def arrows(drawn, kind):
    return [arrow for arrow in drawn.graph.arrows if arrow.kind == kind]


def test_unrolled_has_the_same_cells_at_each_step():
    drawn = diagram(ost.GRU(3, 4, 2), "unrolled", steps=5)
    assert count(drawn, "cell") == 10
    assert count(drawn, "input") == count(drawn, "output") == count(drawn, "loss") == 5
    # into each cell at each step comes its state
    assert len(arrows(drawn, "later")) == 10


def test_losses_and_gradients_can_be_left_out():
    whole = diagram(ost.GRU(3, 4), "unrolled", steps=2)
    bare = diagram(ost.GRU(3, 4), "unrolled", steps=2, losses=False, backward=False)
    assert (count(whole, "loss"), count(bare, "loss")) == (2, 0)
    assert arrows(whole, "backward")
    assert not arrows(bare, "backward")
    assert "loss" in whole.words
    assert "loss" not in bare.words
    folded = diagram(ost.GRU(3, 4), "folded", losses=False, backward=False)
    assert count(folded, "loss") == 0
    assert not arrows(folded, "backward")


def test_gradients_run_against_every_arrow_but_into_the_input():
    drawn = diagram(ost.LSTM(3, 4, 2), "unrolled")
    against = {(arrow.target, arrow.source) for arrow in arrows(drawn, "backward")}
    ways = [a for a in drawn.graph.arrows if a.kind != "backward" and a.source[0] != "x"]
    assert against == {(arrow.source, arrow.target) for arrow in ways}


def test_backward_direction_walks_from_the_end():
    drawn = diagram(ost.GRU(3, 4, bidirectional=True), "unrolled", steps=3)
    later = [(arrow.source, arrow.target) for arrow in arrows(drawn, "later")]
    assert ("c0_0", "c0_1") in later
    assert ("c1_2", "c1_1") in later
    assert ("start1", "c1_2") in later


def test_folded_cell_has_a_loop_with_its_states():
    drawn = diagram(ost.LSTM(3, 4, 2, bidirectional=True), "folded")
    loops = [arrow for arrow in arrows(drawn, "later") if arrow.source == arrow.target]
    assert [arrow.label for arrow in loops] == ["h, c, a step later", "h, c, a step earlier"] * 2


def test_widths_are_those_of_the_layer():
    drawn = diagram(ost.Recurrent(cells.LSTM(3, 6, proj_size=2), bidirectional=True), "folded")
    detail = {box.title: box.detail for box in drawn.graph.boxes.values()}
    assert detail["x"] == "3 numbers"
    assert detail["y"] == "4 numbers"


@pytest.mark.parametrize(
    "layer", [nn.LSTM(3, 4, 2), nn.GRU(3, 4, 2), nn.RNN(3, 4, 2, nonlinearity="relu")]
)
def test_layers_of_torch_are_drawn_as_ours(layer):
    ours = {"LSTM": ost.LSTM, "GRU": ost.GRU, "RNN": ost.RNN}[type(layer).__name__]
    options = {"nonlinearity": "relu"} if isinstance(layer, nn.RNN) else {}
    like = ours(3, 4, 2, **options)
    for place in (0, 1):
        theirs = diagram(layer, layer=place).graph
        same = diagram(like, layer=place).graph
        assert [box.detail for box in theirs.boxes.values()] == [
            box.detail for box in same.boxes.values()
        ]
    cell_counts = [count(diagram(one, "unrolled"), "cell") for one in (layer, like)]
    assert cell_counts[0] == cell_counts[1] == 6


def model():
    return nn.ModuleDict({"encoder": ost.GRU(3, 4, bidirectional=True), "decoder": nn.LSTM(8, 5)})


def test_layer_of_a_model_is_named_or_counted():
    assert diagram(model(), layer=1).graph.title == "LSTM: one step"
    assert diagram(model(), layer="decoder").graph.title == "LSTM: one step"
    assert diagram(model(), layer="encoder", direction=1).graph.title == "GRU: one step"
    assert diagram(model(), "unrolled", layer="decoder").graph.title.startswith("decoder")
    assert diagram(model(), "unrolled", layer=1).graph.title.startswith("decoder")
    folded = diagram(model(), "folded")
    assert count(folded, "cell") == 3
    assert "encoder, decoder" in folded.graph.title


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "decodr"}, "Did you mean 'decoder'"),
        ({"layer": 2}, "layers 0 to 1, got 2"),
        ({"layer": 1, "direction": 1}, "direction must be 0, got 1"),
        ({"kind": "unrolled", "layer": 2}, "layers 0 to 1, got 2"),
        ({"kind": "unrolled", "layer": "encodr"}, "Did you mean 'encoder'"),
    ],
)
def test_layer_that_is_not_there_is_told(options, message):
    with pytest.raises(DiagramError, match=message):
        diagram(model(), **options)


def test_unknown_kinds_and_steps_are_told():
    with pytest.raises(ValueError, match="cell, folded, unrolled, got 'flat'"):
        diagram(cells.Elman(3, 4), "flat")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        diagram(cells.Elman(3, 4), "unrolled", steps=0)
    with pytest.raises(DiagramError, match="Linear is no recurrent layer"):
        diagram(nn.Linear(3, 4), "folded")


SOME = {
    "cell": lambda: diagram(cells.LSTM(3, 4)),
    "folded": lambda: diagram(ost.LSTM(3, 4, 2, bidirectional=True), "folded"),
    "unrolled": lambda: diagram(ost.LSTM(3, 4), "unrolled"),
}


@pytest.mark.parametrize("kind", SOME)
def test_picture_is_whole_and_tells_itself(kind):
    drawn = SOME[kind]()
    root = ElementTree.fromstring(drawn.svg)
    assert root.get("role") == "img"
    told = root.get("aria-labelledby").split()
    assert [root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")] == told
    assert root.find(f"{SVG}desc").text == drawn.words
    tips = root.findall(f"{SVG}g/{SVG}g/{SVG}title")
    assert len(tips) == len(drawn.graph.boxes)
    heads = [p for p in root.iter(f"{SVG}path") if p.get("transform")]
    assert len(heads) == len(drawn.graph.arrows)


@pytest.mark.parametrize("kind", SOME)
def test_letters_have_the_colour_of_the_text_around(kind):
    root = ElementTree.fromstring(SOME[kind]().svg)
    assert root.get("fill") == "currentColor"
    assert not any(text.get("fill") for text in root.iter(f"{SVG}text"))


def test_two_pictures_in_one_page_share_no_name():
    def ids(drawn):
        return {e.get("id") for e in ElementTree.fromstring(drawn.svg).iter() if e.get("id")}

    assert not ids(SOME["cell"]()) & ids(SOME["folded"]())


@pytest.mark.parametrize("kind", SOME)
def test_mermaid_has_every_box_and_arrow(kind):
    drawn = SOME[kind]()
    lines = drawn.mermaid.splitlines()[4:]
    assert len(lines) == len(drawn.graph.boxes) + len(drawn.graph.arrows)
    signs = {"forward": " -->", "later": " ==>", "backward": " -.->"}
    for arrow, line in zip(drawn.graph.arrows, lines[len(drawn.graph.boxes) :], strict=True):
        assert line.strip().startswith(f"{arrow.source}{signs[arrow.kind]}")
        assert line.endswith(f" {arrow.target}")


def test_mermaid_title_is_yaml_whatever_a_layer_is_called():
    # mermaid 11 refuses a title with a single apostrophe: "bad indentation of a mapping entry"
    model = nn.Module()
    model.add_module("it's\n'mine': 1", nn.GRU(3, 4))
    for kind, rest in (("folded", "folded"), ("unrolled", "unrolled over 3 steps")):
        head = diagram(model, kind).mermaid.splitlines()[:4]
        assert head[1] == f"title: 'it''s ''mine'': 1: {rest}'"
        assert (head[0], head[2]) == ("---", "---")


def test_same_cell_looks_the_same_at_each_step():
    root = ElementTree.fromstring(diagram(ost.GRU(3, 4), "unrolled", steps=3).svg)
    sizes = {}
    for group in root.iter(f"{SVG}g"):
        box, words = group.find(f"{SVG}rect"), [text.text for text in group.findall(f"{SVG}text")]
        if box is not None:
            sizes.setdefault(words[0].partition("[")[0], set()).add(box.get("height"))
    assert {"x", "y", "GRU", "loss"} <= set(sizes)
    assert all(len(heights) == 1 for heights in sizes.values()), sizes


def test_mermaid_puts_two_lines_in_no_circle():
    text = diagram(cells.MultiplicativeLSTM(3, 4)).mermaid
    assert '("m<br/>×")' in text
    assert '(("m<br/>×"))' not in text
    assert '(("×"))' in text


def test_mermaid_takes_no_sign_for_its_own():
    class Quoted(ost.Cell):
        def forward(self, x, h):
            return torch.where(h > 0, h, h + 1)

    text = diagram(Quoted(4, 4)).mermaid
    assert "h #gt; 0" in text
    assert "h > 0" not in text


def test_files_are_written_by_their_ending(tmp_path):
    drawn = SOME["cell"]()
    drawn.save(tmp_path / "deep" / "cell.svg")
    root = ElementTree.parse(tmp_path / "deep" / "cell.svg").getroot()
    assert "prefers-color-scheme:dark" in root.find(f"{SVG}style").text
    drawn.save(tmp_path / "cell.mmd")
    assert (tmp_path / "cell.mmd").read_text(encoding="utf-8") == drawn.mermaid
    drawn.save(tmp_path / "cell.md")
    assert (tmp_path / "cell.md").read_text(encoding="utf-8").startswith("```mermaid\n---")
    with pytest.raises(ValueError, match=r"\.svg, \.mmd or \.md, got"):
        drawn.save(tmp_path / "cell.png")


def test_notebook_shows_the_picture_and_print_the_words():
    drawn = SOME["cell"]()
    assert drawn._repr_svg_() == drawn.svg
    assert str(drawn) == drawn.words


def test_layers_are_called_as_traces_call_them():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = nn.Module()
            self.network.stack = ost.Recurrent(cells.GRU(3, 4))
            self.network.stack.more = ost.LSTM(4, 4, num_layers=2)

    model = Model()
    for name, title in (
        ("stack", "GRU: one step"),
        ("stack.0", "GRU: one step"),
        ("network.stack.more.1", "LSTM: one step"),
        ("stack.more", "LSTM: one step"),
    ):
        assert diagram(model, layer=name).graph.title == title
    assert diagram(model, "unrolled", layer="stack.0").graph.title.startswith("network.stack:")
    for name in ("stack.1", "stack.more.2", "stak"):
        with pytest.raises(DiagramError, match="no recurrent layer"):
            diagram(model, layer=name)
