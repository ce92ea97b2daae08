"""`fit tags`, `tag`, `eval` and `curves` on a tagger."""

import io
import json
import sys

import pytest

import ostinato
from ostinato.cli import run
from ostinato.data.tags import read_sentences

TINY = [
    *(
        "--set",
        "model.hidden_size=8",
        "--set",
        "model.embedding_size=6",
        "--set",
        "data.batch_size=4",
    ),
    *("--set", "model.letter_hidden_size=4", "--set", "training.lr=0.02"),
    *("--set", "training.warmup_steps=0", "--device", "cpu"),
]
PAIRS = "the\tDET\ncat\tNOUN\nsat\tVERB\n\nit\tPRON\nsat\tVERB\n\n"
LINE = "{}\t{}\t{}\t{}\t_\t_\t0\troot\t_\tSpaceAfter=No\n"
CONLLU = (
    "# sent_id = 1\n"
    "1-2\tthecat\t_\t_\t_\t_\t_\t_\t_\t_\n"
    + LINE.format(1, "the", "the", "X")
    + LINE.format(2, "cat", "cat", "X")
    + "\n"
)


@pytest.fixture
def files(tmp_path):
    for name, count in (("train", 40), ("val", 4), ("test", 3)):
        (tmp_path / f"{name}.tsv").write_text(PAIRS * count)
    return tmp_path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tags")
    (folder / "train.tsv").write_text(PAIRS * 60)
    with ostinato.engine("eager"):
        words = ["fit", "tags", str(folder / "train.tsv"), "--out", str(folder / "run"), *TINY]
        assert run(words) == 0
    return folder / "run"


@pytest.mark.parametrize("ends", [["epochs=1", "max_steps=12"], ["max_steps=12"]])
def test_steps_alone_are_not_cut_by_epochs(files, capsys, ends):
    # six sentences in batches of four: two steps an epoch
    config = files / "once.toml"
    config.write_text("[training]\nepochs = 1\n")
    arguments = ["fit", "tags", str(files / "test.tsv"), "--out", str(files / "run"), *TINY]
    arguments += ["--validation", str(files / "val.tsv"), "--test", str(files / "val.tsv")]
    changes = [word for end in ends for word in ("--set", f"training.{end}")]
    assert run([*arguments, "--config", str(config), *changes, "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["training"]["steps"]
    assert steps == (12 if len(ends) == 1 else 2)


def test_fit_says_the_score_beside_the_guess(files, capsys):
    out = files / "run"
    arguments = ["fit", "tags", str(files / "train.tsv"), "--out", str(out), *TINY]
    arguments += ["--validation", str(files / "val.tsv"), "--test", str(files / "test.tsv")]
    assert run([*arguments, "--set", "training.epochs=2"]) == 0
    said, beside = capsys.readouterr()
    assert "Test part of 15 words in 6 sentences" in said
    assert "most frequent tag  100.00%" in said
    assert "precision" in said
    assert f"Next: ostinato tag {out}" in beside


def test_fit_prints_one_json_object_and_heeds_its_options(files, capsys):
    out = files / "run"
    arguments = ["fit", "tags", str(files / "train.tsv"), "--out", str(out), *TINY, "--json"]
    assert run([*arguments, "--crf", "--cell", "gru", "--set", "training.max_steps=2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["held_out"]["sentences"] == 8
    settings = ostinato.load(out).settings
    assert (settings.model.crf, settings.model.cell) == (True, "gru")


def test_sentences_are_tagged(fitted, capsys):
    assert run(["tag", str(fitted), "the cat sat", "it sat"]) == 0
    said, beside = capsys.readouterr()
    assert said == PAIRS[:-1]
    assert "Next: ostinato eval" in beside


def test_files_and_standard_input_are_tagged(fitted, tmp_path, capsys, monkeypatch):
    path = tmp_path / "plain.txt"
    path.write_text("the cat sat\n\nit sat\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    for source in (str(path), "-"):
        assert run(["tag", str(fitted), source]) == 0
        assert capsys.readouterr().out == PAIRS[:-1]
    assert run(["tag", str(fitted), str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sentences"][1] == [{"word": "it", "tag": "PRON"}, {"word": "sat", "tag": "VERB"}]


def test_conllu_is_written_with_all_else_kept(fitted, tmp_path, capsys):
    path = tmp_path / "few.conllu"
    path.write_text(CONLLU)
    assert run(["tag", str(fitted), str(path), "--conllu"]) == 0
    said = capsys.readouterr().out
    assert said == CONLLU.replace("the\tX", "the\tDET").replace("cat\tX", "cat\tNOUN")
    assert run(["tag", str(fitted), "the cat", "--conllu"]) == 0
    (tmp_path / "again.conllu").write_text(capsys.readouterr().out)
    assert next(read_sentences(tmp_path / "again.conllu")).tags == ("DET", "NOUN")


def test_where_words_are_cut_is_a_choice(fitted, capsys):
    assert run(["tag", str(fitted), "it sat.", "--split", "blanks"]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.split("\n")[:-1]] == [
        "it",
        "sat.",
    ]


def test_eval_scores_and_draws(fitted, files, capsys):
    picture = files / "table.svg"
    assert run(["eval", str(fitted), str(files / "test.tsv"), "--plot", str(picture)]) == 0
    said, beside = capsys.readouterr()
    assert "accuracy 100.00% of 15 words" in said
    assert "100.00% of 15 words right" in picture.read_text()
    assert "Next: ostinato tag" in beside
    assert run(["eval", str(fitted), str(files / "test.tsv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1


def test_curves_are_told_and_drawn(fitted, files, capsys):
    picture = files / "curves.html"
    assert run(["curves", str(fitted), "--plot", str(picture)]) == 0
    assert "val_accuracy" in capsys.readouterr().out
    assert picture.stat().st_size > 1000
    assert run(["curves", str(fitted), str(fitted), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["best"] for row in told["runs"]] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tag", "{run}", " "], "no word in it"),
        (["tag", "{run}", "missing.conllu"], "There is no file missing.conllu"),
        (["tag", "{run}", "some/where"], "There is no file some/where"),
        (["tag", "{run}", "a b", "--conllu", "--json"], "not both"),
        (["eval", "{run}", "{bad}"], "line 2: 1 field(s)"),
        (["eval", "{run}", "{odd}"], "odd.tsv, line 1: the model has not been trained on"),
        (["eval", "{run}", "{odd}", "--held-out"], "it is for texts, not for a tagger"),
        (["eval", "{run}", "{odd}", "--plot", "a.gif"], "ends in .png, .svg or .html"),
        (["fit", "tags", "{bad}", "--out", "{out}"], "bad.tsv, line 2"),
        (["fit", "tags", "{odd}", "--out", "{out}"], "all words have the tag"),
        (["fit", "tags", "--out", "{out}"], "name a file to learn from"),
        (["fit", "tags", "{odd}", "--column", "upo", "--out", "{out}"], "Did you mean upos"),
        (["curves", "{odd}"], "odd.tsv"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(fitted, tmp_path, capsys, arguments, message):
    (tmp_path / "bad.tsv").write_text("the\tDET\nragged\n")
    (tmp_path / "odd.tsv").write_text("the\tODD\n")
    places = {name: tmp_path / f"{name}.tsv" for name in ("bad", "odd")}
    filled = [word.format(run=fitted, out=tmp_path / "run", **places) for word in arguments]
    assert run(filled) == 2
    said, beside = capsys.readouterr()
    assert said == ""
    assert message in beside
    assert "Traceback" not in beside
