"""`fit pairs`, `translate` and `eval` on a translator."""

import gzip
import io
import itertools
import json
import sys

import pytest

import ostinato
from ostinato.cli import run

TINY = [
    *("--tokens", "word", "--device", "cpu", "--set", "training.warmup_steps=0"),
    *("--set", "model.hidden_size=16", "--set", "model.embedding_size=12"),
    *("--set", "model.embedding_dropout=0", "--set", "model.output_dropout=0"),
    *("--set", "training.lr=0.03", "--set", "data.batch_size=16"),
]
GERMAN = {"one": "eins", "two": "zwei", "three": "drei"}
PAIRS = [
    (" ".join(line), " ".join(GERMAN[word] for word in line))
    for line in itertools.product(GERMAN, repeat=4)
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    for side, name in enumerate(("a.en", "a.de")):
        (folder / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS * 3))
    (folder / "few.tsv").write_text("".join("\t".join(pair) + "\n" for pair in PAIRS[:9]))
    return folder


@pytest.fixture(scope="module")
def fitted(files):
    arguments = ["fit", "pairs", str(files / "a.en"), str(files / "a.de"), *TINY]
    with ostinato.engine("eager"):
        assert run([*arguments, "--out", str(files / "run"), "--set", "training.epochs=8"]) == 0
    return str(files / "run")


def test_fit_says_bleu_beside_a_guess_and_its_signature(files, capsys):
    out = str(files / "again")
    arguments = ["fit", "pairs", str(files / "a.en"), str(files / "a.de"), *TINY, "--out", out]
    few = str(files / "few.tsv")
    arguments += ["--validation", few, "--test", few, "--set", "training.epochs=4"]
    assert run(arguments) == 0
    said, beside = capsys.readouterr()
    assert "Test part of 9 lines, BLEU:" in said
    assert "copied source" in said
    assert "BLEU signature: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in said
    assert f"Next: ostinato translate {out}" in beside


def test_fit_heeds_its_options_and_prints_one_json_object(files, capsys):
    out = files / "json"
    arguments = ["fit", "pairs", str(files / "few.tsv"), *TINY, "--out", str(out), "--json"]
    arguments += ["--attention", "none", "--cell", "gru", "--set", "training.max_steps=1"]
    vectors = files / "vectors.txt"
    vectors.write_text(f"one {' '.join(['0.5'] * 12)}\ntwo {' '.join(['-0.5'] * 12)}\n")
    arguments += ["--embeddings", str(vectors)]
    assert run([*arguments, "--set", "data.held_out=0.2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["held_out"]["lines"] == 1
    settings = ostinato.load(out).settings
    assert (settings.model.attention, settings.model.cell) == (None, "gru")
    assert settings.model.embeddings == str(vectors)
    assert settings.data.tokens == "words"


def test_fit_takes_aligned_files_for_every_part(files, capsys):
    both = [str(files / "a.en"), str(files / "a.de")]
    more = ["--validation", both[0], "--validation", both[1], "--test", both[0], "--test", both[1]]
    out = ["--out", str(files / "parts"), "--set", "training.max_steps=1", "--json"]
    assert run(["fit", "pairs", *both, *more, *TINY, *out]) == 0
    assert json.loads(capsys.readouterr().out)["held_out"]["lines"] == 243


def test_lines_are_translated(fitted, capsys):
    assert run(["translate", fitted, "one two three one", "three three two two"]) == 0
    said, beside = capsys.readouterr()
    assert said == "eins zwei drei eins\ndrei drei zwei zwei\n"
    assert "Next: ostinato eval" in beside


def test_files_and_standard_input_are_translated(fitted, tmp_path, capsys, monkeypatch):
    lines = "one two three one\n\nthree three two two\n"
    path = tmp_path / "lines.gz"
    path.write_bytes(gzip.compress(lines.encode()))
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    for source in (str(path), "-"):
        assert run(["translate", fitted, source, "--beam", "1"]) == 0
        assert capsys.readouterr().out == "eins zwei drei eins\n\ndrei drei zwei zwei\n"


def test_the_best_are_ranked(fitted, capsys):
    assert run(["translate", fitted, "one two three one", "--beam", "4", "--best", "3"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert rows[0][2] == "eins zwei drei eins"
    assert float(rows[0][1]) >= float(rows[1][1]) >= float(rows[2][1])


def test_json_has_pieces_and_weights(fitted, tmp_path, capsys):
    plot = tmp_path / "alignment.svg"
    arguments = ["translate", fitted, "one two three one", "--json", "--plot", str(plot)]
    assert run([*arguments, "--best", "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    (line,) = told["lines"]
    assert line["source"] == "one two three one"
    assert line["text"] == "eins zwei drei eins"
    assert line["source_pieces"] == ["one", "two", "three", "one", "end"]
    assert len(line["weights"]) == len(line["pieces"]) == 4
    assert len(line["others"]) == 1
    assert told["plot"] == str(plot)
    assert "eins zwei drei eins" in plot.read_text()


def test_penalties_change_the_scores(fitted, capsys):
    def scores(*options):
        assert run(["translate", fitted, "one two", "--best", "3", *options]) == 0
        return [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]

    assert scores() != scores("--length-penalty", "0")
    assert scores() != scores("--coverage-penalty", "0.5")


def test_eval_scores_pairs(fitted, files, capsys):
    assert run(["eval", fitted, str(files / "a.en"), str(files / "a.de")]) == 0
    said, beside = capsys.readouterr()
    assert "BLEU signature: nrefs:1" in said
    assert f"Next: ostinato translate {fitted}" in beside
    assert run(["eval", fitted, str(files / "few.tsv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lines"] == 9


def test_what_cannot_be_done_is_said(fitted, files, tmp_path, capsys):
    def refused(*arguments):
        assert run(list(arguments)) != 0
        return capsys.readouterr().err

    assert "in 1..5, the width of --beam" in refused("translate", fitted, "one", "--best", "9")
    assert "There is no file none/x.txt" in refused("translate", fitted, "none/x.txt")
    assert "ends in .png, .svg or .html" in refused("translate", fitted, "one", "--plot", "a.gif")
    assert "empty" in refused("translate", fitted, "", "--plot", str(tmp_path / "a.svg"))
    short = tmp_path / "short.de"
    short.write_text("eins\n")
    out = ["--out", str(tmp_path / "run")]
    said = refused("fit", "pairs", str(files / "a.en"), str(short), *out)
    assert f"{short} ends after line 1" in said
    assert not (tmp_path / "run").exists()
    assert "name a file" in refused("fit", "pairs", *out)


def test_a_model_without_attention_has_nothing_to_draw(files, tmp_path, capsys):
    out = str(tmp_path / "run")
    arguments = ["fit", "pairs", str(files / "few.tsv"), *TINY, "--out", out]
    assert run([*arguments, "--attention", "none", "--set", "training.max_steps=1"]) == 0
    capsys.readouterr()
    assert run(["translate", out, "one", "--plot", str(tmp_path / "a.png")]) != 0
    assert "no attention, so there is nothing to draw" in capsys.readouterr().err
