import shutil
from pathlib import Path

import pytest

import ostinato
from ostinato import (
    Captioner,
    Classifier,
    Composer,
    Forecaster,
    LanguageModel,
    Tagger,
    Translator,
)
from ostinato.data.music import Piece
from ostinato.studio.library import Library

TEXT = "to be, or not to be: that is the question.\n" * 40
TAGGED = [
    [("Time", "NOUN"), ("flies", "VERB"), (".", "PUNCT")],
    [("Fruit", "NOUN"), ("rots", "VERB"), (".", "PUNCT")],
]
LABELLED = [("a good film", "good"), ("a bad film", "bad"), ("good, good", "good"), ("bad", "bad")]
PAIRS = [("one two", "eins zwei"), ("two one", "zwei eins")]
VECTORS = [([0.0, 1.0, 2.0], "up"), ([1.0, 0.0, 2.0], "down")]
TUNE = Piece(((60, 64), (62,), (), (62, 65)) * 4)
COMMON = {"progress": False, "baselines": False, "max_steps": 12}


def _fit(folder):
    import polars as pl

    lm = {
        "hidden_size": 8,
        "embedding_size": 4,
        "num_layers": 2,
        "batch_size": 4,
        "chunk_length": 16,
    }
    LanguageModel.fit(TEXT, out=folder / "lm", **{**lm, "max_steps": 60, "lr": 0.03}, **_rest())
    LanguageModel.fit(TEXT, out=folder / "words", tokens="words", cell="gru", **lm, **COMMON)
    Tagger.fit(TAGGED * 10, out=folder / "tagger", hidden_size=6, batch_size=4, **COMMON)
    Classifier.fit(LABELLED * 10, out=folder / "classifier", hidden_size=6, batch_size=4, **COMMON)
    series = pl.DataFrame({"t": range(200), "y": [float(k % 7) for k in range(200)]})
    Forecaster.fit(
        series, out=folder / "forecaster", target="y", horizon=2, hidden_size=4, **COMMON
    )
    small = {"hidden_size": 6, "batch_size": 4, **COMMON, "max_steps": 60, "lr": 0.02}
    Translator.fit(PAIRS * 12, out=folder / "translator", tokens="words", embedding_size=6, **small)
    Captioner.fit(VECTORS * 12, out=folder / "captioner", **small)
    Composer.fit([TUNE] * 4, out=folder / "composer", validation=TUNE, test=TUNE, **small)


def _rest():
    return {"progress": False, "baselines": False}


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    """A folder with a small run of each task that a studio treats in its own way."""
    folder = tmp_path_factory.mktemp("runs")
    with ostinato.engine("eager"):
        _fit(folder)
    return folder


@pytest.fixture
def runs(fitted, tmp_path):
    """The same, to be changed."""
    return Path(shutil.copytree(fitted, tmp_path / "runs"))


@pytest.fixture(scope="session")
def library(fitted):
    return Library([fitted], most=8)
