import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from ostinato.cli import run
from ostinato.data.text import TextError
from ostinato.data.vectors import VectorError, WordVectors, read_vectors
from ostinato.extras import MissingExtraError
from ostinato.tasks.word_vectors import fit_vectors, use_vectors

ANIMALS, TOOLS = ("cat", "dog", "cow"), ("saw", "axe", "file")


def text(lines=900):
    draws = np.random.default_rng(0)
    said = []
    for _ in range(lines):
        if draws.integers(2):
            said.append(f"the {draws.choice(ANIMALS)} eats and sleeps .")
        else:
            said.append(f"the {draws.choice(TOOLS)} cuts and shines .")
    return "\n".join(said) + "\n"


@pytest.mark.parametrize("method", ["glove", "word2vec"])
def test_words_of_a_kind_come_together(method):
    if method == "word2vec":
        pytest.importorskip("gensim")
    # of glove the counts of a word's own line are what tells them apart
    vectors = fit_vectors(text(), method=method, dimensions=12, window=2, epochs=40, min_count=2)
    kinds = [[word for word, _ in vectors.nearest(word, 2)] for word in ("cat", "saw")]
    assert set(kinds[0]) <= {*ANIMALS, "eats", "sleeps"}
    assert set(kinds[1]) <= {*TOOLS, "cuts", "shines"}


def test_options_change_what_is_fitted():
    plain = fit_vectors(text(50), dimensions=4, epochs=1)
    assert "The" not in plain
    assert len(fit_vectors(text(50), dimensions=4, epochs=1, size=3)) == 3
    assert len(fit_vectors(text(50), dimensions=4, epochs=1, min_count=20)) < len(plain)
    assert "THE" in fit_vectors(text(50).upper(), dimensions=4, epochs=1, lower=False)
    for change in ({"window": 1}, {"seed": 3}, {"epochs": 2}):
        other = fit_vectors(text(50), **{"dimensions": 4, "epochs": 1, **change})
        assert (other.matrix != plain.matrix).any()


def test_a_text_without_words_enough_is_refused():
    with pytest.raises(TextError, match=r"Only 1 word\(s\)"):
        fit_vectors("the the the the the\n")
    with pytest.raises(ValueError, match="method must be one of glove, word2vec"):
        fit_vectors("a\n", method="glov")


def test_word2vec_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(MissingExtraError, match=r"ostinato\[vectors\]"):
        fit_vectors(text(20), method="word2vec")


def test_an_embedding_begins_with_the_vectors_of_a_file(tmp_path):
    vectors = WordVectors(["cat", "dog", "elk"], np.arange(12, dtype=np.float32).reshape(3, 4))
    vectors.save(tmp_path / "v.txt")
    embedding = nn.Embedding(4, 4)
    before = embedding.weight.detach().clone()
    share = use_vectors(embedding, ["dog", "Cat", "emu"], tmp_path / "v.txt", first=1)
    assert share == pytest.approx(2 / 3)
    assert torch.equal(embedding.weight[0], before[0])
    assert embedding.weight[1].tolist() == vectors["dog"].tolist()
    assert embedding.weight[2].tolist() == vectors["cat"].tolist()
    with pytest.raises(VectorError, match="Give embedding_size=4"):
        use_vectors(nn.Embedding(3, 5), ["dog"], vectors)
    with pytest.raises(VectorError, match="None of the words"):
        use_vectors(embedding, ["Katze", "Hund"], tmp_path / "v.txt")


def test_the_word_to_ask_for_next_has_letters(tmp_path, capsys):
    (tmp_path / "a.txt").write_text(", , the , cat , , saw\n" * 40)
    command = ["embed", str(tmp_path / "a.txt"), "--out", str(tmp_path / "v.txt"), "--size", "3"]
    assert run([*command, "--epochs", "1"]) == 0
    asked = capsys.readouterr().err.splitlines()[-1].split()
    assert asked[:3] == ["Next:", "ostinato", "nearest"]
    assert asked[-1] in ("the", "cat", "saw")


def test_from_a_text_to_neighbours_by_commands(tmp_path, capsys):
    (tmp_path / "a.txt").write_text(text(300))
    at = str(tmp_path / "v.bin")
    command = ["embed", str(tmp_path / "a.txt"), "--out", at, "--size", "6", "--epochs", "3"]
    assert run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 6
    assert read_vectors(at).size == 6
    assert run(["nearest", at, "cat", "saw", "--count", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["nearest"]
    assert [len(found[word]) for word in ("cat", "saw")] == [2, 2]
    assert run(["nearest", at, "cat"]) == 0
    assert "cat:" in capsys.readouterr().out
    assert run(["analogy", at, "cat", "eats", "saw", "--count", "3"]) == 0
    assert "cat is to eats as saw is to:" in capsys.readouterr().out
    assert run(["nearest", at, "elephant"]) == 2
    assert "There is no vector for 'elephant'" in capsys.readouterr().err
