import json

import numpy as np
import polars as pl
import pytest
import torch

import ostinato
from ostinato.cli import run
from ostinato.data.captions import read_captions
from ostinato.data.sequences import Layout
from ostinato.data.tables import TableError
from ostinato.tasks.captioner.network import CaptionerNetwork
from ostinato.tasks.captioner.settings import CaptionerModel
from ostinato.tasks.captioner.task import Captioner

WORDS = ["one", "three", "seventeen", "two"]
QUICK = {
    "hidden_size": 24,
    "encoder_size": 16,
    "embedding_size": 8,
    "batch_size": 8,
    "ema": None,
    "output_dropout": 0.0,
}
SMALL = {**QUICK, "progress": False}
LAYOUT = Layout(values=("vector",), label="text")


def rows(count=60, seed=0):
    draws = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(4, 6)) * 3
    kinds = draws.integers(0, 4, count)
    return [(centres[k] + draws.normal(size=6) * 0.3 + 50, WORDS[k]) for k in kinds]


@pytest.fixture(scope="module")
def model():
    with ostinato.engine("eager"):
        return Captioner.fit(rows(), epochs=25, lr=1e-2, **SMALL)


@pytest.mark.parametrize("feed", ["start", "every", "both"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("layers", [1, 2])
def test_writing_step_by_step_is_what_training_sees(feed, cell, layers, model):
    torch.manual_seed(0)
    settings = CaptionerModel(feed=feed, cell=cell, num_layers=layers, hidden_size=5)
    network = CaptionerNetwork(6, model.coder.tokenizer.size, settings).eval()
    given = rows(3)
    texts = [model.coder.encode(text) for text in ("two", "seventeen", "one")]
    batch = model.coder.batch([v.astype(np.float32) for v, _ in given], texts)
    whole = network(batch)
    state = network.begin(batch.vectors)
    for t in range(4):
        scores, _, state = network.step(batch.inputs[t], state)
        assert torch.allclose(scores, whole[t], atol=1e-5)
    again = state.select(torch.tensor([2, 0]))
    both, _, _ = network.step(batch.inputs[3, [2, 0]], again)
    one, _, _ = network.step(batch.inputs[3], state)
    assert torch.allclose(both, one[[2, 0]], atol=1e-6)


@pytest.mark.parametrize("feed", ["start", "every", "both"])
def test_the_vector_reaches_what_is_written(feed, model):
    torch.manual_seed(0)
    network = CaptionerNetwork(6, 9, CaptionerModel(feed=feed, hidden_size=5)).eval()
    vectors = torch.zeros(1, 6, requires_grad=True)
    state = network.begin(vectors)
    for _ in range(3):
        scores, _, state = network.step(torch.zeros(1, dtype=torch.int64), state)
    scores.sum().backward()
    assert vectors.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "change", [{"feed": "every"}, {"encoder_layers": 2}, {"encoder_layers": 0}, {"cell": "gru"}]
)
def test_every_choice_changes_what_is_said(change):
    def says(**settings):
        torch.manual_seed(0)
        network = CaptionerNetwork(6, 9, CaptionerModel(hidden_size=5, **settings)).eval()
        state = network.begin(torch.ones(2, 6))
        return network.step(torch.zeros(2, dtype=torch.int64), state)[0]

    assert not torch.allclose(says(), says(**change))


def test_texts_are_learned_to_the_letter(model):
    figures = model.figures
    assert figures["held_out"]["exact"] == 1.0
    assert figures["held_out"]["token_accuracy"] == 1.0
    assert figures["baselines"]["nearest_vector"] == 1.0
    assert figures["baselines"]["most_frequent"] < 0.8
    fresh = rows(20, seed=4)
    assert model.predict([v for v, _ in fresh]) == [text for _, text in fresh]
    assert model.predict(fresh[0][0]) == fresh[0][1]
    assert model.predict(fresh[0][0].reshape(2, 3)) == fresh[0][1]


def test_vectors_are_scaled_by_the_training_part(model):
    whole = np.array([v for v, _ in rows()])
    fitted = Captioner.fit(rows(), validation=0.0, held_out=0.0, max_steps=1, **SMALL)
    assert np.allclose(fitted.network.mean, whole.mean(0), rtol=1e-6)
    assert np.allclose(fitted.network.deviation, whole.std(0), rtol=1e-4)
    assert model.network.mean.min() > 40
    raw = Captioner.fit(rows(), scale=False, max_steps=1, **SMALL)
    assert raw.network.mean.tolist() == [0] * 6


def test_a_beam_finds_no_less_probable_text(model):
    vectors = [v for v, _ in rows(10, seed=5)]
    assert model.predict(vectors, beam=4) == model.predict(vectors)
    assert [len(text) for text in model.predict(vectors, length=2)] == [2] * 10


def test_a_saved_model_writes_the_same(model, tmp_path):
    model.save(tmp_path)
    again = ostinato.load(tmp_path)
    assert isinstance(again, Captioner)
    vectors = [v for v, _ in rows(10, seed=6)]
    assert again.predict(vectors) == model.predict(vectors)
    assert again.figures == model.figures


@pytest.mark.parametrize("tokens", ["words", "subwords"])
def test_texts_of_words_and_subwords(tokens):
    given = [(v, f"a number, {text}") for v, text in rows()]
    fitted = Captioner.fit(given, tokens=tokens, epochs=25, lr=1e-2, **SMALL)
    assert fitted.figures["held_out"]["exact"] >= 0.8
    assert fitted.predict(given[0][0]).startswith("a number")


def files(tmp_path):
    given = rows(30)
    frame = pl.DataFrame({"vector": [v.tolist() for v, _ in given], "text": [t for _, t in given]})
    frame.write_parquet(tmp_path / "rows.parquet")
    frame.write_ndjson(tmp_path / "rows.jsonl")
    np.savez(
        tmp_path / "rows.npz",
        vector=np.stack([v for v, _ in given]).reshape(-1, 2, 3),
        text=np.array([t for _, t in given]),
    )
    return given, [tmp_path / f"rows.{kind}" for kind in ("parquet", "jsonl", "npz")]


def test_every_kind_of_file_gives_the_same_rows(tmp_path):
    given, paths = files(tmp_path)
    for path in paths:
        found = list(read_captions(path, LAYOUT))
        assert [one.text for one in found] == [text for _, text in given]
        assert np.allclose([one.vector for one in found], [v for v, _ in given], atol=1e-5)
    assert len(list(read_captions(paths, LAYOUT, captioned=False))) == 90
    columns = pl.DataFrame({"a": [1.0], "b": [2.0], "name": ["x"]})
    (one,) = read_captions(columns, Layout(values=("a", "b"), label="name"))
    assert one.vector.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vectors": np.zeros((1, 2))}, r"no array 'vector'. It has: vectors"),
        ({"vector": np.zeros((1, 2))}, r"no array 'text'"),
        ({"vector": np.zeros(3), "text": np.array(["a"] * 3)}, r"numbers \[rows, features\]"),
        ({"vector": np.zeros((2, 2)), "text": np.array(["a"])}, r"a string for each of 2 rows"),
        ({"vector": np.zeros((1, 2)), "text": np.array([" "])}, r"row 0: the text is empty"),
        (
            {"vector": np.array([[1.0, np.nan]]), "text": np.array(["a"])},
            r"row 0: a number is missing",
        ),
        (
            {"vector": np.zeros((1, 2)), "text": np.array(["a", None], dtype=object)},
            r"Save texts as an array of strings",
        ),
    ],
)
def test_bad_npz_files_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "rows.npz", **arrays)
    with pytest.raises(TableError, match=message):
        list(read_captions(tmp_path / "rows.npz", LAYOUT))


def test_bad_questions_are_refused(model):
    with pytest.raises(TableError, match="has 3 entries, but the model was trained on 6"):
        model.predict([0.0, 1.0, 2.0])
    with pytest.raises(TableError, match="row 1: a number is missing"):
        model.predict(np.array([[1.0] * 6, [np.nan] * 6]))
    with pytest.raises(ValueError, match="length must be at least 1"):
        model.predict([0.0] * 6, length=0)
    with pytest.raises(TableError, match="row 1: the vector has 5 entries, but those before it"):
        Captioner.fit([([0.0] * 6, "a"), ([0.0] * 5, "b")], progress=False)
    with pytest.raises(TableError, match="nothing to train on"):
        Captioner.fit({"vector": [], "text": []}, validation=rows(), **SMALL)
    with pytest.raises(TableError, match="no rows to score"):
        model.evaluate({"vector": [], "text": []})
    with pytest.raises(ValueError, match="feed must be one of start, every, both"):
        Captioner.fit(rows(), feed="end", **SMALL)
    with pytest.raises(ValueError, match="initial_state must be left alone"):
        Captioner.fit(rows(), initial_state="learned", **SMALL)


def test_commands_fit_write_and_score(tmp_path, capsys):
    _, paths = files(tmp_path)
    out = str(tmp_path / "run")
    quick = [f"model.{k}={QUICK[k]}" for k in ("hidden_size", "encoder_size", "output_dropout")]
    options = [word for one in [*quick, "training.epochs=3"] for word in ("--set", one)]
    assert run(["fit", "captions", str(paths[2]), "--out", out, "--feed", "both", *options]) == 0
    said = capsys.readouterr()
    assert "nearest vector" in said.out
    assert f"ostinato caption {out} FILE" in said.err
    assert run(["caption", out, str(paths[0])]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 30
    assert run(["caption", out, str(paths[2]), "--json", "--beam", "3", "--length", "1"]) == 0
    told = json.loads(capsys.readouterr().out)["rows"]
    assert told[3]["row"].endswith("rows.npz, row 3")
    assert all(len(row["text"]) <= 1 for row in told)
    assert run(["eval", out, str(paths[1])]) == 0
    assert "texts exact" in capsys.readouterr().out
    assert run(["fit", "captions", str(paths[0]), "--out", out, "--tokens", "x"]) == 2
    assert "char, word or subword" in capsys.readouterr().err
