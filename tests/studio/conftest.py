import shutil
import sys
from pathlib import Path

import pytest

# so that test files here can import browser.py and asking.py
sys.path.insert(0, str(Path(__file__).parent))

import ostinato
from ostinato import Classifier, Forecaster, LanguageModel, Tagger
from ostinato.studio.library import Library

TEXT = "to be, or not to be: that is the question.\n" * 40
TAGGED = [
    [("Time", "NOUN"), ("flies", "VERB"), (".", "PUNCT")],
    [("Fruit", "NOUN"), ("rots", "VERB"), (".", "PUNCT")],
]
LABELLED = [("a good film", "good"), ("a bad film", "bad"), ("good, good", "good"), ("bad", "bad")]
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
    return Library([fitted], most=5)
