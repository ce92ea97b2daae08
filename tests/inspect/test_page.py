"""What a page holds: values, answers, notes on what was cut; and that it needs nothing else."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

import ostinato as ost
from ostinato.inspect.page import (
    Answer,
    Axis,
    Material,
    Page,
    PageError,
    Track,
    page_of_model,
    page_of_trace,
)
from ostinato.inspect.page.data import as_json
from ostinato.inspect.page.figures import plane_of
from ostinato.inspect.page.pack import pack, packed_tracks

TEXT = "to be, or not to be\n" * 30
QUICK = {"max_steps": 2, "batch_size": 2, "progress": False, "baselines": False}


@pytest.fixture(scope="module")
def lm():
    return ost.LanguageModel.fit(TEXT, hidden_size=6, num_layers=2, chunk_length=8, **QUICK)


@pytest.fixture(scope="module")
def page(lm):
    return page_of_model(lm, "to be, or", title="A <title> & more", top=3)


def data_of(page):
    (found,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page.html, re.S
    )
    return json.loads(found)


def unpacked(track):
    steps = np.frombuffer(base64.b64decode(track["data"]), dtype=np.uint8).astype(np.float64)
    values = track["low"] + steps * (track["high"] - track["low"]) / 254
    return values.reshape(-1, len(track["units"]))


class Outline(HTMLParser):
    """Open elements, ids, references and headings of a page; complains of what does not close."""

    VOID = frozenset({"meta", "input", "br", "link", "img"})

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.wanted, self.headings, self.loads = [], [], [], [], []
        self.fields, self.labelled, self.landmarks = 0, 0, []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.wanted += [w for n in ("aria-labelledby", "for") for w in given.get(n, "").split()]
        if given.get("href", "").startswith("#"):
            self.wanted.append(given["href"][1:])
        self.loads += [given[n] for n in ("src", "href", "srcset", "action") if n in given]
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.landmarks += [tag] if tag in ("header", "nav", "main", "footer") else []
        if tag in ("select", "input"):
            self.fields += 1
            self.labelled += "label" in self.open or "aria-label" in given

    def handle_startendtag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag


def outline(html):
    found = Outline()
    found.feed(html)
    found.close()
    return found


def test_page_is_well_formed_and_every_name_is_there_once(page):
    found = outline(page.html)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert set(found.wanted) <= set(found.ids)


def test_page_loads_nothing(page):
    assert all(one.startswith("#") for one in outline(page.html).loads)
    assert "default-src 'none'" in page.html
    without_names = page.html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|url\(", without_names)


def test_page_has_landmarks_headings_in_order_and_labelled_fields(page):
    found = outline(page.html)
    assert found.landmarks == ["header", "nav", "main", "footer"]
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    steps = zip(found.headings, found.headings[1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)
    assert found.fields == found.labelled > 5


def test_what_the_user_typed_is_no_part_of_the_page(lm):
    page = page_of_model(lm, "to be", title="<script>alert(1)</script>")
    assert "<script>alert" not in page.html
    assert "&lt;script&gt;alert" in page.html
    assert "<" not in as_json({"label": "</script><b>&"})
    assert json.loads(as_json({"label": "</script><b>&\u2028"})) == {"label": "</script><b>&\u2028"}


def test_values_on_the_page_are_those_of_the_trace(lm, page):
    from ostinato.inspect.trace import trace

    ids = torch.as_tensor(lm.tokenizer.encode("to be, or").astype(np.int64))[:, None]
    lm.eval()
    found = trace(lm.network, ids)
    tracks = data_of(page)["tracks"]
    assert [(t["layer"], t["name"]) for t in tracks] == [
        (f"stack.{k}", name) for k in (0, 1) for name in ("h", "c", "f", "i", "g", "o")
    ]
    for track in tracks:
        values = found.values(track["name"], track["layer"])[:, 0]
        half = (track["high"] - track["low"]) / 254 / 2
        np.testing.assert_allclose(unpacked(track), values, atol=half * 1.001)


def test_answers_are_the_models_own(lm, page):
    ids = torch.as_tensor(lm.tokenizer.encode("to be, or").astype(np.int64))[:, None]
    with torch.no_grad():
        told = lm.network(ids)[0][:, 0].softmax(-1)
    answers = data_of(page)["answers"]
    assert len(answers) == 9
    for step, answer in enumerate(answers):
        best = told[step].topk(3)
        assert [p for _, p in answer["c"]] == pytest.approx(best.values.tolist(), rel=1e-3)
        assert [c for c, _ in answer["c"]] == [
            lm.tokenizer.decode([k]) for k in best.indices.tolist()
        ]
    assert [answer["t"] for answer in answers] == [*"o be, or", None]
    assert answers[0]["p"] == pytest.approx(float(told[0, ids[1]]), rel=1e-3)


def test_gradients_are_followed_only_if_asked(lm, page):
    assert all(track["flow"] for track in data_of(page)["tracks"] if track["kind"] == "state")
    bare = page_of_model(lm, "to be", gradients=False)
    assert not any(track["flow"] for track in data_of(bare)["tracks"])
    assert 'id="flow"' in page.html
    assert 'id="flow"' not in bare.html


def test_names_and_layers_are_chosen(lm):
    page = page_of_model(lm, "to be", names=["f.pre"], layers=["stack.1"])
    assert [(t.layer, t.name) for t in page.material.tracks] == [("stack.1", "f.pre")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["forgte"]}, "no name 'forgte'"),
        ({"names": ["f.per"]}, "Did you mean 'f.pre'"),
        ({"layers": ["stack.9"]}, "no layer 'stack.9'"),
        ({"units": [6]}, "no unit 6. There are 0 to 5"),
        ({"max_steps": 0}, "max_steps must be at least 1"),
        ({"top": 0}, "top must be at least 1"),
    ],
)
def test_what_is_not_there_is_told(lm, options, message):
    with pytest.raises(ValueError, match=message):
        page_of_model(lm, "to be", **options)


def test_text_that_is_too_short_is_told(lm):
    with pytest.raises(PageError, match="1 token"):
        page_of_model(lm, "t")


def test_longer_text_is_cut_and_the_page_says_so(lm):
    page = page_of_model(lm, "to be or not", max_steps=5)
    assert page.material.axes[0].labels == tuple("to be")
    (note,) = page.notes
    assert "12 characters; the first 5 are shown" in note
    assert note in page.html


def test_run_that_is_being_trained_is_told(lm):
    half = ost.LanguageModel(lm.tokenizer, lm.settings)
    assert any("not been trained to its end" in note for note in page_of_model(half, "to be").notes)


def track(steps, units, name="h", spread=None):
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 1, (steps, units)).astype(np.float32)
    values *= 1 if spread is None else spread
    return Track(0, "0", 0, name, "state", "", values, np.arange(units))


def test_large_layers_keep_the_units_that_vary_most():
    spread = np.array([0.1, 1.0, 0.2, 0.9], dtype=np.float32)
    packed, notes = packed_tracks([track(50, 4, spread=spread)], budget=100)
    assert packed[0].units == (1, 3)
    (note,) = notes
    assert note.startswith("2 of 4 units of h (layer 0): the 2 that vary most are shown.")
    kept, _ = packed_tracks([track(50, 4, spread=spread)], budget=100, wanted=(0,))
    assert kept[0].units == (0, 1)


def test_small_tracks_leave_their_room_to_large_ones():
    packed, _ = packed_tracks([track(10, 2), track(10, 100, "c")], budget=520)
    assert [len(one.units) for one in packed] == [2, 50]


def test_all_steps_and_at_least_one_unit_are_kept():
    packed, _ = packed_tracks([track(1000, 4)], budget=10)
    assert len(packed[0].units) == 1
    assert len(base64.b64decode(packed[0].data)) == 1000


def test_limits_of_bytes_follow_what_made_the_values():
    values = np.array([[0.25, 0.5]], dtype=np.float32)
    assert pack(values, "sigmoid")[1:] == (0.0, 1.0)
    assert pack(values, "tanh")[1:] == (-1.0, 1.0)
    assert pack(values)[1:] == (0.0, 0.5)
    assert pack(-values)[1:] == (-0.5, 0.5)
    holes = np.array([[np.nan, 1.0, np.inf]], dtype=np.float32)
    assert list(base64.b64decode(pack(holes)[0])) == [255, 254, 254]


@pytest.mark.parametrize(("steps", "units"), [(20, 7), (6, 30)])
def test_plane_keeps_distances_of_a_walk_in_two_dimensions(steps, units):
    rng = np.random.default_rng(1)
    flat = rng.normal(size=(steps, 2))
    walk = (flat @ np.linalg.qr(rng.normal(size=(units, units)))[0][:2]).astype(np.float32)
    plane = plane_of(walk)
    apart = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (plane.points, walk)]
    np.testing.assert_allclose(*apart, atol=1e-5)
    assert sum(plane.shares) == pytest.approx(1)
    assert plane_of(walk[:2]) is None
    assert plane_of(np.ones((5, 3), dtype=np.float32)) is None


def test_all_values_are_saved_in_full(lm, page, tmp_path):
    page.save(tmp_path / "deep" / "page.html", data=tmp_path / "page.npz")
    assert (tmp_path / "deep" / "page.html").read_text(encoding="utf-8") == page.html
    with np.load(tmp_path / "page.npz", allow_pickle=False) as saved:
        assert "".join(saved["labels/tokens read"]) == "to be, or"
        for one in page.material.tracks:
            np.testing.assert_array_equal(saved[f"{one.layer}/0/{one.name}"], one.values)
    with pytest.raises(ValueError, match=r"must end in \.html"):
        page.save(tmp_path / "page.htm")
    with pytest.raises(ValueError, match=r"must end in \.npz"):
        page.save(tmp_path / "page.html", data=tmp_path / "page.csv")


def test_page_of_two_thousand_steps_and_512_units_stays_below_five_megabytes():
    tracks = [track(2000, 512, name) for name in ("h", "c", "i", "f", "g", "o")]
    axis = Axis("tokens read", tuple("ab" * 1000))
    page = Page(Material("large", "language model", "", [axis], tracks))
    assert 4_000_000 < len(page.html.encode()) < 5_000_000
    (note,) = page.notes
    assert note.startswith("262 of 512 units of h, c, i, f, g, o (layer 0): the 250 that vary")


def test_page_of_many_steps_leaves_room_for_what_else_is_on_it():
    many = 5000
    answers = [Answer(tuple((f"choice {k}", 0.1) for k in range(16)))] * many
    axis = Axis("tokens read", tuple("ab" * (many // 2)))
    material = Material("large", "language model", "", [axis], [track(many, 600)], answers)
    assert 4_500_000 < len(Page(material).html.encode()) < 5_000_000


# other tasks, and any trace


def test_tagger_shows_its_tags():
    sentences = [[("time", "NOUN"), ("flies", "VERB")], [("it", "PRON"), ("rains", "VERB")]] * 5
    tagger = ost.Tagger.fit(sentences, hidden_size=4, **QUICK)
    page = page_of_model(tagger, "time flies")
    assert page.material.axes[0].labels == ("time", "flies")
    stack = {(t.direction, t.name) for t in page.material.tracks if t.axis == 0}
    assert {(0, "h"), (1, "h"), (0, "c"), (1, "c")} <= stack
    told = dict(tagger.predict("time flies"))
    assert {a.truth for a in page.material.answers} == set(told.values())
    assert sum(p for _, p in page.material.answers[0].choices) == pytest.approx(1, abs=1e-4)


def test_classifier_shows_its_label():
    rows = [("good film", "good"), ("bad film", "bad")] * 6
    model = ost.Classifier.fit(rows, hidden_size=4, **QUICK)
    page = page_of_model(model, "a good film")
    assert page.material.axes[0].labels == ("a", "good", "film")
    assert page.material.whole[0] == f"Label: {model.predict('a good film')}"
    numbers = [(np.full((5, 2), k % 2, dtype=np.float32), "ab"[k % 2]) for k in range(12)]
    model = ost.Classifier.fit(numbers, values=("a", "b"), hidden_size=4, **QUICK)
    material = page_of_model(model, numbers[1][0]).material
    assert material.axes[0].labels == tuple("12345")
    # what was read is drawn, and can be chosen beside what layers made of it
    assert [line.name for line in material.axes[0].chart.lines] == ["a", "b"]
    assert material.axes[0].chart.lines[0].values == (1.0,) * 5
    (read,) = (track for track in material.tracks if track.kind == "input")
    assert read.title == "x, what was read"
    np.testing.assert_array_equal(read.values, numbers[1][0])


def test_translator_shows_its_attention():
    pairs = [("one two", "eins zwei"), ("two one", "zwei eins")] * 10
    model = ost.Translator.fit(pairs, tokens="words", hidden_size=6, embedding_size=4, **QUICK)
    page = page_of_model(model, "one two")
    (look,) = page.material.attention
    assert look.read == ("one", "two", "<end>")
    assert look.weights.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert [axis.labels for axis in page.material.axes] == [look.written, look.read]
    by_axis = {t.layer.split(".")[0]: page.material.axes[t.axis].name for t in page.material.tracks}
    assert by_axis["encoder"] == "pieces read"
    assert by_axis["decoder"] == "pieces written"
    assert "Where attention looked" in page.html


def test_forecaster_shows_the_window_whose_outcome_is_known():
    import polars as pl

    table = pl.DataFrame({"t": range(80), "y": [float(k % 5) for k in range(80)]})
    model = ost.Forecaster.fit(table, target="y", horizon=2, hidden_size=4, **QUICK)
    page = page_of_model(model, table)
    assert page.material.axes[0].labels[-1] == "77"
    assert page.material.whole[0].startswith("8 rows were read, 70 to 77; of the 2 that came")
    assert page.material.charts[0].title == "After 79"
    assert any(t.flow for t in page.material.tracks)


def test_task_without_a_view_is_told():
    class Odd(torch.nn.Module):
        class SETTINGS:
            TASK = "juggler"

    with pytest.raises(PageError, match=r"no view of a juggler yet.*page_of_trace"):
        page_of_model(Odd(), "x")


def test_any_trace_makes_a_page():
    layer = torch.nn.GRU(3, 4, bidirectional=True)
    labels = [["a", "b", "c"], ["d", "e", "f"]]
    found = ost.trace(layer, torch.randn(3, 2, 3), labels=labels)
    page = page_of_trace(found, layer, row=1, title="Mine")
    assert page.material.axes[0].labels == ("d", "e", "f")
    np.testing.assert_array_equal(page.material.tracks[0].values, found["h"][:, 1])
    assert {t.direction for t in page.material.tracks} == {0, 1}
    assert page.material.diagrams
    assert not page_of_trace(found).material.diagrams
    with pytest.raises(PageError, match="row must be 0 to 1, got 2"):
        page_of_trace(found, row=2)


def test_every_cell_that_differs_is_drawn_and_described():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.plain, self.wide = ost.LSTM(2, 3), ost.LSTM(3, 5)
            self.normed = ost.Recurrent(ost.cells.LSTM(5, 3, layer_norm=True))

        def forward(self, x):
            return self.normed(self.wide(self.plain(x)[0])[0])[0]

    model = Model()
    material = page_of_trace(ost.trace(model, torch.zeros(3, 1, 2)), model).material
    titles = [title for title, _, _ in material.diagrams if title.startswith("One step")]
    # widths make no other picture, a layer norm does
    assert titles == ["One step of LSTM"] * 2


def test_heading_says_what_the_steps_are():
    pairs = [("one two", "eins zwei"), ("two one", "zwei eins")] * 10
    translator = ost.Translator.fit(pairs, tokens="words", hidden_size=6, embedding_size=4, **QUICK)
    captioner = ost.Captioner.fit([([0.0, 1.0], "a b"), ([1.0, 0.0], "b a")] * 8, **QUICK)
    assert "What was read and written, coloured" in page_of_model(translator, "one").html
    assert "What was written, coloured" in page_of_model(captioner, "0 1").html
