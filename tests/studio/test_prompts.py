"""What can be asked of each task on a page: fields, files, drawings, mistakes."""

import base64
import json

import numpy as np
import polars as pl
import pytest

from ostinato import Forecaster
from ostinato.data.music import Piece, write_midi
from ostinato.studio.asked import Asked, AskedError
from ostinato.studio.holding import Hold, Holding
from ostinato.studio.library import Loaded
from ostinato.studio.prompts import prompt_of
from ostinato.studio.prompts.base import as_file
from ostinato.studio.prompts.music import piece_in
from ostinato.studio.prompts.series import example_table, table_in
from ostinato.studio.reading import read


def told(loaded, holds=(), **fields):
    prompt = prompt_of(loaded.task, loaded.model)
    holding = Holding(loaded.model.network, holds)
    return prompt.told(loaded.model, Asked(fields), holding)


# lines


def test_a_line_is_translated_as_the_task_translates_it(library):
    loaded = library.load("translator")
    for beam, penalty in ((1, 1.0), (3, 1.0), (3, 0.0)):
        found = told(loaded, text=" one two ", beam=beam, length_penalty=penalty)
        wanted = next(loaded.model.translate(["one two"], beam=beam, length_penalty=penalty))
        assert [text for text, _, _ in found.facts["others"]] == [one.text for one in wanted]
        assert found.facts["text"] == wanted[0].text
        assert found.facts["log_probability"] == pytest.approx(wanted[0].log_probability, abs=1e-4)
    short = told(loaded, text="one two", length=1)
    assert len(short.made.axes[0].labels) <= 2


def test_a_held_unit_changes_the_search_itself(library):
    loaded = library.load("translator")
    hold = [Hold("decoder.stack.0", "h", k, 4.0) for k in range(3)]
    plain, held = (told(loaded, holds, text="one two") for holds in ((), hold))
    assert plain.facts["others"] != held.facts["others"]


def test_alignments_are_drawn_for_each_answer(library):
    loaded = library.load("translator")
    asked = Asked({"text": "one two"})
    found = read(loaded, asked, [Hold("encoder.0", "h", 0, 1.0, 1)])
    titles = [figure["title"] for figure in found.figures]
    assert titles == ["Where it looked", "Where it looked, units held"]
    heat = found.figures[0]["figure"]["data"][0]
    assert heat["z"]["shape"].endswith(", 3")
    rows = len(found.plain.told.made.axes[0].labels)
    assert heat["y"] == list(range(rows))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"beam": 0}, r"beam must be in 1..50, got 0"),
        ({"beam": 51}, r"beam must be in 1..50"),
        ({"length": 0}, "length must be in 1..1,000"),
        ({"length_penalty": -1}, "length_penalty must be 0 or more"),
        ({"beam": "many"}, "beam must be a whole number"),
    ],
)
@pytest.mark.parametrize(("key", "text"), [("translator", "one"), ("captioner", "0 1 2")])
def test_searches_out_of_range_are_refused(library, key, text, fields, message):
    with pytest.raises(ValueError, match=message):
        told(library.load(key), text=text, **fields)


# vectors


def test_a_vector_is_described_as_the_task_describes_it(library):
    loaded = library.load("captioner")
    for beam in (1, 4):
        found = told(loaded, text="0, 1,\n2", beam=beam, length_penalty=0)
        assert found.facts["text"] == loaded.model.predict([0.0, 1.0, 2.0], beam=beam)
    assert len(found.facts["others"]) == 4
    start = prompt_of("captioner", loaded.model).start(loaded.model)
    mean = loaded.model.network.mean.numpy()
    np.testing.assert_allclose([float(v) for v in start["text"].split()], mean, rtol=1e-4)


def test_vectors_are_opened_from_tables_and_archives(library, tmp_path):
    prompt, model = prompt_of("captioner", None), library.load("captioner").model
    np.savez(tmp_path / "v.npz", vector=np.array([[0, 1, 2], [3, 4, 5.5]], np.float32))
    pl.DataFrame({"vector": [[0.0, 1.0, 2.0]]}).write_parquet(tmp_path / "v.parquet")
    for name, rows in (("v.npz", ["0 1 2", "3 4 5.5"]), ("v.parquet", ["0 1 2"])):
        opened = prompt.opened(model, name, (tmp_path / name).read_bytes())
        assert opened == {"rows": rows}
    np.savez(tmp_path / "w.npz", vector=np.zeros((2, 7), np.float32))
    with pytest.raises(ValueError, match="has 7 entries, but the model was trained on 3"):
        prompt.opened(model, "w.npz", (tmp_path / "w.npz").read_bytes())
    with pytest.raises(ValueError, match=r"^v\.npz"):
        prompt.opened(model, "v.npz", b"PK\x03\x04 broken")


def test_a_pickle_in_an_archive_is_not_opened(library, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.savez(tmp_path / "v.npz", vector=np.array([Trap()], dtype=object))
    loaded = library.load("captioner")
    with pytest.raises(ValueError, match="no NPZ file that can be read"):
        prompt_of("captioner", None).opened(
            loaded.model, "v.npz", (tmp_path / "v.npz").read_bytes()
        )
    assert not (tmp_path / "sprung").exists()


# music


def test_a_piece_is_gone_on_with_as_the_task_composes(library):
    loaded = library.load("composer")
    given = Piece(((60, 64), ()))
    seen = set()
    for fields in (
        {"length": 9, "temperature": 1.0, "seed": 3},
        {"length": 5, "temperature": 1.0, "seed": 3},
        {"length": 9, "temperature": 1.0, "seed": 4},
        {"length": 9, "temperature": 0.0, "seed": 3},
    ):
        found = told(loaded, text="C4 E4\n-", **fields)
        wanted = loaded.model.compose(given, include_prompt=True, **fields)
        assert found.facts["steps"] == wanted.steps
        assert found.facts["given"] == 2
        assert piece_in(found.facts["text"]).steps == wanted.steps
        seen.add(wanted.steps)
    assert len(seen) == 4
    silent = told(loaded, text="", length=3)
    assert len(silent.facts["steps"]) == 3


def test_a_composed_piece_is_saved_as_midi_and_opened_again(library, tmp_path):
    loaded, prompt = library.load("composer"), prompt_of("composer", None)
    found = told(loaded, text="C4 E4\nD4\nC4 G4", length=0)
    opened = prompt.opened(loaded.model, "a.mid", base64.b64decode(found.facts["midi"]))
    assert opened == {"text": "C4 E4\nD4\nC4 G4", "steps": 3}
    steps = json.dumps([[60, 64], []]).encode()
    assert prompt.opened(loaded.model, "a.json", steps)["text"] == "C4 E4\n-"
    with pytest.raises(AskedError, match=r"^b\.mid is not a whole MIDI file"):
        prompt.opened(loaded.model, "b.mid", b"MThd")
    write_midi(Piece(((60,),)), tmp_path / "c.mid")
    assert prompt.opened(loaded.model, "c.mid", (tmp_path / "c.mid").read_bytes())["steps"] == 1


def test_notes_are_read_by_name_and_number():
    assert piece_in("c4 F#3, bb5\n-\n\n60 60").steps == ((54, 60, 82), (), (), (60,))
    for text, message in (("C4\nX", "line 2: 'X'"), ("C9", "'C9' is no note"), ("109", "'109'")):
        with pytest.raises(AskedError, match=message):
            piece_in(text)
    with pytest.raises(AskedError, match="Give 1,000 at most"):
        piece_in("C4\n" * 1001)


def test_both_pieces_are_drawn_on_one_scale(library):
    loaded = library.load("composer")
    hold = [Hold("stack.0", "h", k, 3.0) for k in range(4)]
    found = read(loaded, Asked({"text": "C4 E4", "length": 12, "seed": 1}), hold)
    first, second = (figure["figure"] for figure in found.figures)
    assert first["layout"] == second["layout"]
    assert first["data"] != second["data"]
    for data in (first["data"], second["data"]):
        assert data[0]["y"] == [60, 64]
    with pytest.raises(ValueError, match=r"length must be in 0..1,000"):
        told(loaded, text="", length=1001)
    with pytest.raises(ValueError, match="seed must be in"):
        told(loaded, text="", seed=-1)


# series

TABLE = pl.DataFrame({"t": range(60), "y": [float(k % 7) for k in range(60)]})


def test_a_series_is_forecast_from_the_row_that_is_chosen(library):
    loaded = library.load("forecaster")
    text = TABLE.write_csv()
    last = told(loaded, text=text)
    forecast = loaded.model.predict(TABLE)
    assert last.facts["origin"] == last.facts["origins"][1] == 60
    np.testing.assert_allclose(
        [float(v) for _, v in last.facts["rows"]], forecast.values[0, :, 0], rtol=1e-5
    )
    assert len(last.data.actual) == 0
    early = told(loaded, text=text, origin=40)
    np.testing.assert_allclose(
        [float(v) for _, v in early.facts["rows"]],
        loaded.model.predict(TABLE[:40]).values[0, :, 0],
        rtol=1e-5,
    )
    assert early.facts["begins"] == "40"
    assert early.data.actual[:, 0].tolist() == [5.0, 6.0]
    first = early.facts["origins"][0]
    with pytest.raises(AskedError, match=f"can begin at rows {first} to 60, got {first - 1}"):
        told(loaded, text=text, origin=first - 1)
    assert len(told(loaded, text=text, horizon=1).facts["rows"]) == 1
    with pytest.raises(ValueError, match=r"horizon must be 1..2, got 3"):
        told(loaded, text=text, horizon=3)


def test_intervals_and_what_came_are_drawn(library):
    loaded = library.load("forecaster")
    asked = Asked({"text": TABLE.write_csv(), "origin": 50})
    plain = read(loaded, asked).figures[0]["figure"]
    held = read(loaded, asked, [Hold("encoder.0", "h", 0, 2.0)]).figures[0]["figure"]
    names = [trace["name"] for trace in plain["data"] if trace["showlegend"]]
    assert names == ["95% interval", "80% interval", "observed", "what came", "forecast"]
    more = [trace["name"] for trace in held["data"] if trace["showlegend"]]
    assert set(more) - set(names) == {"95% interval, units held", "forecast, units held"}
    lines = {trace["name"]: trace["y"] for trace in held["data"]}
    assert lines["forecast"] != lines["forecast, units held"]
    assert lines["what came"] == [1.0, 2.0]


def test_values_alone_are_enough_where_there_is_one_column(library):
    model = library.load("forecaster").model
    values = " ".join(str(float(k % 7)) for k in range(60))
    (bare, note), (lines, _) = (
        table_in(model, text) for text in (values, "\n".join(values.split()))
    )
    assert note == ""
    np.testing.assert_array_equal(bare.values[:, 0], TABLE["y"].to_numpy())
    np.testing.assert_array_equal(bare.values, lines.values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  ", "There are no values"),
        ("t,z\n1,2\n", "y"),
        ("t,y\n1,2\n2,x\n", r"^pasted\.csv"),
        ("1 2\n3", r"line 2 has 1 number"),
        ("1, 2, .", r"'\.' is no number"),
    ],
)
def test_tables_that_cannot_be_used_are_explained(library, text, message):
    with pytest.raises(ValueError, match=message):
        table_in(library.load("forecaster").model, text)


@pytest.fixture(scope="module")
def dated():
    """A forecaster of two targets of several series, with dates and what is known in advance."""
    import datetime

    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=k) for k in range(90)]
    parts = [
        pl.DataFrame(
            {
                "day": days,
                "shop": name,
                "sales": [float(k % 7 + n) for k in range(90)],
                "visits": [float(k % 7) for k in range(90)],
                "open": [1.0] * 90,
            }
        )
        for n, name in enumerate(("a", "b"))
    ]
    options = {"hidden_size": 4, "max_steps": 3, "progress": False, "baselines": False}
    model = Forecaster.fit(
        pl.concat(parts),
        target=("sales", "visits"),
        time="day",
        id="shop",
        known=("open",),
        horizon=3,
        history=14,
        lags=14,
        **options,
    )
    return Loaded("shops", None, (), "forecaster", model.eval()), pl.concat(parts)


def test_what_a_page_begins_with_can_be_forecast(library, dated):
    for loaded in (library.load("forecaster"), dated[0]):
        found = told(loaded, text=example_table(loaded.model))
        assert found.facts["origin"] == found.facts["origins"][1]
        assert len(found.facts["rows"]) == loaded.model.context.sizes.horizon
    assert found.facts["targets"] == ["sales", "visits"]


def test_one_of_several_series_is_chosen(dated):
    loaded, table = dated
    text = table.write_csv()
    first, second = (told(loaded, text=text, series=name) for name in ("a", "b"))
    assert first.facts["series"] == ["a", "b"]
    assert first.facts["rows"] != second.facts["rows"]
    # behind the last row nothing is known of the days to come
    assert first.facts["origins"][1] == 87
    assert first.facts["begins"] == "2024-03-28"
    with pytest.raises(AskedError, match=r"no series .c.\. It has: a, b"):
        told(loaded, text=text, series="c")
    with pytest.raises(AskedError, match="Values alone are not enough: the model reads day, shop"):
        told(loaded, text="1 2\n3 4")
    figure = read(loaded, Asked({"text": text})).figures[0]["figure"]
    assert {trace["yaxis"] for trace in figure["data"]} == {"y", "y2"}


# files


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\a.csv", "a/b.csv", ""]
)
def test_a_name_of_a_file_leads_nowhere_else(name):
    with as_file(name, b"x") as path:
        assert path.parent.name.startswith("ostinato-studio-")
        assert path.read_bytes() == b"x"
    assert not path.exists()


@pytest.mark.parametrize("key", ["lm", "tagger", "translator"])
def test_tasks_that_read_no_files_say_so(library, key):
    loaded = library.load(key)
    with pytest.raises(AskedError, match="Nothing is read from files here"):
        prompt_of(loaded.task, loaded.model).opened(loaded.model, "a.txt", b"x")


def test_a_table_that_is_no_text_is_refused(library):
    loaded = library.load("forecaster")
    with pytest.raises(AskedError, match=r"a\.csv is no CSV in UTF-8"):
        prompt_of("forecaster", None).opened(loaded.model, "a.csv", b"\xff\xfe")
