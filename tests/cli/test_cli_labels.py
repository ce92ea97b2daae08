import json

import numpy as np
import polars as pl
import pytest

from ostinato.cli.run import run

GOOD = ["fine", "lovely", "grand", "bright"]
BAD = ["foul", "dreary", "dull", "grim"]
QUICK = ["--set", "model.hidden_size=8", "--set", "model.embedding_size=8"]
QUICK += ["--set", "training.epochs=6", "--set", "training.lr=0.02", "--set", "training.ema=none"]
QUICK += ["--set", "data.batch_size=8"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    draws = np.random.default_rng(0)
    rows = [
        {"text": f"the film was {draws.choice(GOOD if k % 2 else BAD)}", "label": f"{k % 2}"}
        for k in range(60)
    ]
    path = tmp_path_factory.mktemp("labels") / "rows.csv"
    pl.DataFrame(rows).write_csv(path)
    return path


@pytest.fixture(scope="module")
def fitted(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("labels") / "run"
    assert run(["fit", "labels", str(table), "--out", str(out), *QUICK]) == 0
    return out


def test_fit_says_what_it_scored_beside_simple_guesses(table, tmp_path, capsys):
    plot = tmp_path / "confusion.png"
    out = tmp_path / "run"
    assert run(["fit", "labels", str(table), "--out", str(out), "--plot", str(plot), *QUICK]) == 0
    said = capsys.readouterr()
    for line in ("most frequent", "tfidf pairs regression", "feed forward", "this model"):
        assert line in said.out
    assert "Held-out part of 6 rows" in said.out
    assert f"Next: ostinato classify {out} FILE" in said.err
    assert plot.stat().st_size > 1000


def test_classify_answers_texts_tables_and_lines(fitted, table, tmp_path, capsys):
    assert run(["classify", str(fitted), "the film was grand", "the film was grim"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["1", "0"]
    assert lines[0].endswith("the film was grand")

    assert run(["classify", str(fitted), str(table), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["rows"]) == 60
    assert sum(told["rows"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)

    plain = tmp_path / "lines.txt"
    plain.write_text("so dull\n\nso lovely\n")
    assert run(["classify", str(fitted), str(plain), "--probabilities"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[2] for line in lines] == ["so dull", "so lovely"]
    assert lines[0].split("\t")[1].startswith("0=")


def test_eval_scores_and_draws(fitted, table, tmp_path, capsys):
    plot = tmp_path / "confusion.svg"
    assert run(["eval", str(fitted), str(table), "--plot", str(plot)]) == 0
    said = capsys.readouterr()
    assert "accuracy" in said.out
    assert "precision" in said.out
    assert plot.is_file()
    assert "ostinato classify" in said.err


def test_folds_score_without_a_run(table, tmp_path, capsys):
    plot = tmp_path / "folds.html"
    assert run(["fit", "labels", str(table), "--folds", "3", "--plot", str(plot), *QUICK]) == 0
    said = capsys.readouterr()
    assert "Accuracy over 3 folds" in said.out
    assert "fold 3 of 3" in said.err
    assert plot.is_file()
    assert run(["fit", "labels", str(table), "--folds", "2", "--json", *QUICK]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folds"] == 2
    assert "feed_forward" in told["baselines"]
    assert run(["fit", "labels", str(table), "--folds", "2", "--out", "x"]) == 2
    assert "no model is kept" in capsys.readouterr().err


def test_numbers_long_and_wide(tmp_path, capsys):
    draws = np.random.default_rng(0)
    rows = [
        {"n": n, "t": t, "v": float(draws.normal() + 3 * (n % 2)), "kind": "ab"[n % 2]}
        for n in range(30)
        for t in range(4)
    ]
    long = tmp_path / "long.csv"
    pl.DataFrame(rows).write_csv(long)
    out = str(tmp_path / "long")
    named = ["--values", "v", "--id", "n", "--time", "t", "--label", "kind"]
    assert run(["fit", "labels", str(long), *named, "--out", out, *QUICK]) == 0
    assert "logistic regression" in capsys.readouterr().out
    assert run(["classify", out, str(long)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 30
    assert lines[1].endswith("long.csv, line 6")

    values = draws.normal(size=(40, 6)) + 2 * (np.arange(40) % 2)[:, None]
    frame = pl.DataFrame({f"p{k}": values[:, k] for k in range(6)})
    wide = tmp_path / "wide.parquet"
    frame.with_columns(label=pl.Series(np.arange(40) % 2)).write_parquet(wide)
    out = str(tmp_path / "wide")
    named = ["--values", "p*", "--width", "3", "--cell", "none"]
    assert run(["fit", "labels", str(wide), *named, "--out", out, *QUICK]) == 0
    assert json.loads((tmp_path / "wide" / "config.json").read_text())
    assert run(["eval", out, str(wide), "--json"]) == 0
    assert "feed forward" not in capsys.readouterr().out


def test_several_labels(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    words = [["red"], ["old"], ["red", "old"], []]
    lines = [json.dumps({"text": " ".join(["a", *words[k % 4]]), "label": words[k % 4]})
             for k in range(60)]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    out = str(tmp_path / "run")
    assert run(["fit", "labels", str(path), "--out", out, *QUICK]) == 0
    assert "micro F1" in capsys.readouterr().out
    assert run(["classify", out, "a red old"]) == 0
    assert capsys.readouterr().out.split("\t")[0] in ("old, red", "(none)", "old", "red")
    assert run(["eval", out, str(path), "--plot", str(tmp_path / "x.png")]) == 2
    assert "several labels have no table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "review"], "no column 'review'. It has: text, label"),
        (["--tokens", "letters"], "it is char, word or subword, not letters"),
        (["--plot", "x.gif"], "ends in .png, .svg or .html"),
        (["--set", "model.pooling=median"], "there is no 'median'"),
        (["--time", "t"], "time must be given with id"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(arguments, message, table, tmp_path, capsys):
    code = run(["fit", "labels", str(table), "--out", str(tmp_path / "run"), *arguments])
    assert code == 2
    assert message in capsys.readouterr().err


def test_print_config_shows_the_options(capsys):
    assert (
        run(["fit", "labels", "--label", "stars", "--config", "sentences", "--print-config"]) == 0
    )
    out = capsys.readouterr().out
    assert 'label = "stars"' in out
    assert "ngrams = 20000" in out
