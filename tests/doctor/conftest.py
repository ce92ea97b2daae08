"""Small models of each task, healthy ones, and the means to make them ill."""

import copy
import json
import random

import numpy as np
import polars as pl
import pytest
import typer

import ostinato
from ostinato.cli.app import app
from ostinato.data.music import Piece
from ostinato.doctor import Severity, doctor
from ostinato.tasks.captioner.task import Captioner
from ostinato.tasks.classifier.task import Classifier
from ostinato.tasks.composer.task import Composer
from ostinato.tasks.forecaster.task import Forecaster
from ostinato.tasks.language_model.task import LanguageModel
from ostinato.tasks.tagger.task import Tagger
from ostinato.tasks.translator.task import Translator

QUICK = {"progress": False, "baselines": False, "warmup_steps": 0}
WORDS = [
    *("the", "a", "cat", "dog", "bird", "sees", "likes", "finds"),
    *("big", "small", "red", "old", "house", "tree", "river", "hill"),
]


def text(words, seed=0):
    draw = random.Random(seed)
    return "".join(draw.choice(WORDS) + draw.choice(" .,\n") for _ in range(words))


def sentences(count, seed=0, words=WORDS):
    """Every second letter of the alphabet makes another tag; lengths from 3 to 9."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        row = [draw.choice(words) for _ in range(draw.randint(3, 9))]
        rows.append([(word, "ODD" if len(word) % 2 else "EVEN") for word in row])
    return rows


def tracks(count, seed=0, steps=(4, 12)):
    """Rows of two numbers a step, rising or falling slowly in much noise."""
    draws = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        length = int(draws.integers(*steps, endpoint=True))
        slope = 0.3 if k % 2 else -0.3
        x = draws.normal(0, 1, (length, 2)) + slope * np.arange(length)[:, None] * [1, 0]
        rows.append((x.astype(np.float32), "up" if k % 2 else "down"))
    return rows


def series(rows=240, **columns):
    draws = np.random.default_rng(0)
    x = np.sin(np.arange(rows) * np.pi / 4) * 3 + draws.normal(0, 0.3, rows)
    return pl.DataFrame({"t": np.arange(rows), "x": x, **columns})


def fit_text(source=None, **settings):
    tiny = {"hidden_size": 12, "embedding_size": 6, "num_layers": 1, "dropout": 0.0}
    sizes = {"batch_size": 4, "chunk_length": 16, "max_steps": 4}
    source = text(500) if source is None else source
    return LanguageModel.fit(source, **{**QUICK, **tiny, **sizes, **settings})


def fit_tags(source=None, **settings):
    tiny = {"hidden_size": 8, "embedding_size": 6, "letter_size": 4, "letter_hidden_size": 4}
    source = sentences(80) if source is None else source
    return Tagger.fit(source, **{**QUICK, **tiny, "batch_size": 8, "max_steps": 4, **settings})


def fit_labels(source=None, **settings):
    tiny = {
        "hidden_size": 8,
        "batch_size": 16,
        "max_steps": 4,
        "bidirectional": True,
        "values": ["*"],
    }
    source = tracks(100) if source is None else source
    return Classifier.fit(source, **{**QUICK, **tiny, **settings})


def fit_series(source=None, **settings):
    tiny = {"hidden_size": 4, "history": 8, "lags": 8, "season": 8, "horizon": 4}
    sizes = {"batch_size": 16, "max_steps": 4, "calibration": "off", "time": "t", "target": "x"}
    source = series() if source is None else source
    return Forecaster.fit(source, **{**QUICK, **tiny, **sizes, **settings})


ENGLISH = ["one", "two", "three", "four", "five", "six", "seven"]
GERMAN = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben"]


def pairs(count, seed=0):
    """Numbers in two languages, 4 to 7 in a line."""
    draw = random.Random(seed)
    lines = [[draw.randrange(7) for _ in range(draw.randint(4, 7))] for _ in range(count)]
    return [tuple(" ".join(side[n] for n in line) for side in (ENGLISH, GERMAN)) for line in lines]


def captions(count, seed=0):
    """Two numbers in words, for where two entries of a vector stand out."""
    draws = np.random.default_rng(seed)
    rows = []
    for first, second in draws.integers(0, 4, (count, 2)):
        vector = draws.normal(0, 0.05, 8)
        vector[[first, 4 + second]] += 1
        rows.append((vector.astype(np.float32), f"{ENGLISH[first]} {GERMAN[second]}"))
    return rows


def music(count, seed=0):
    """A scale of four chords, again and again, with some notes left out."""
    draws = np.random.default_rng(seed)
    chords = ((60, 64, 67), (62, 65, 69), (64, 67, 71), (65, 69, 72))
    pieces = []
    for _ in range(count):
        first, length = int(draws.integers(4)), int(draws.integers(12, 24))
        steps = [
            [n for n in chords[(first + t) % 4] if draws.random() < 0.9] for t in range(length)
        ]
        pieces.append(Piece(tuple(map(tuple, steps))))
    return pieces


LEARNED = {"lr": 0.02, "ema": None}


def fit_pairs(source=None, **settings):
    tiny = {"hidden_size": 32, "embedding_size": 24, "num_layers": 1, "tokens": "words"}
    sizes = {"batch_size": 24, "epochs": 14, "held_out": 0.0, "validation": 0.1}
    tiny |= {"embedding_dropout": 0.0, "output_dropout": 0.0, "label_smoothing": 0.0}
    source = pairs(240) if source is None else source
    return Translator.fit(source, **{**QUICK, **tiny, **sizes, **LEARNED, **settings})


def fit_captions(source=None, **settings):
    tiny = {"hidden_size": 16, "batch_size": 20, "epochs": 15, "output_dropout": 0.0}
    source = captions(200) if source is None else source
    return Captioner.fit(source, **{**QUICK, **tiny, **LEARNED, **settings})


def fit_music(source=None, **settings):
    tiny = {"hidden_size": 24, "batch_size": 8, "epochs": 40, "recurrent_dropout": 0.0}
    tiny |= {"input_dropout": 0.0, "output_dropout": 0.0}
    source = music(60) if source is None else source
    return Composer.fit(source, **{**QUICK, **tiny, **LEARNED, **settings})


MAKERS = {
    "language_model": (fit_text, lambda: text(500)),
    "tagger": (fit_tags, lambda: sentences(80)),
    "classifier": (fit_labels, lambda: tracks(100)),
    "forecaster": (fit_series, series),
    "translator": (fit_pairs, lambda: pairs(240)),
    "captioner": (fit_captions, lambda: captions(200)),
    "composer": (fit_music, lambda: music(60)),
}


@pytest.fixture(scope="session")
def _fitted():
    kept = {}

    def fitted(task):
        if task not in kept:
            make, data = MAKERS[task]
            with ostinato.engine("eager"):
                kept[task] = make(), data()
        return kept[task]

    return fitted


@pytest.fixture
def healthy(_fitted):
    """A copy of a small model of a task, to be made ill, and its data."""

    def make(task):
        model, data = _fitted(task)
        return copy.deepcopy(model), data

    return make


@pytest.fixture
def run(tmp_path):
    """A run folder with a history written by hand."""

    def make(model, losses=(), validation=(), settings=None, **figures):
        if settings:
            model.settings = model.settings.changed(**settings)
        model.figures = {**model.figures, **figures}
        folder = tmp_path / "run"
        model.save(folder)
        lines = [{"epoch": 0, "lr": 1e-3, **line} for line in [*losses, *validation]]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder

    return make


def check_ill(name, severity, subject, data=None, **options):
    """The finding of one check, which must be there, with numbers, and a remedy that exists."""
    report = doctor(subject, data, only=[name], **options)
    assert name in report, report
    finding = report[name]
    assert finding.severity is Severity(severity)
    assert any(sign.isdigit() for sign in finding.evidence)
    assert finding.remedy.text
    assert finding.figures
    json.dumps(report.to_dict())
    if finding.remedy.command.startswith("ostinato "):
        known = typer.main.get_command(app).commands
        assert finding.remedy.command.split()[1] in known
    settings = getattr(subject, "settings", None)
    if settings is None and not hasattr(subject, "parameters"):
        settings = ostinato.load(subject).settings
    if settings is not None:
        _check_settings(settings, finding.remedy.settings)
    return finding


def _check_settings(settings, changes):
    for name, value in changes.items():
        section, _, rest = name.partition(".")
        key, _, option = rest.partition(".")
        told = {option: value} if option else value
        changed = settings.updated({section: {key: told}})
        assert getattr(getattr(changed, section), key) != getattr(getattr(settings, section), key)


def check_well(name, subject, data=None, **options):
    """One check looks, and finds nothing."""
    report = doctor(subject, data, only=[name], **options)
    assert report.healthy == (name,), report


@pytest.fixture(name="ill")
def _ill():
    return check_ill


@pytest.fixture(name="well")
def _well():
    return check_well


@pytest.fixture
def make():
    """The makers of small models and of their data, by name."""
    return {
        "text": text,
        "sentences": sentences,
        "tracks": tracks,
        "series": series,
        "fit_text": fit_text,
        "fit_tags": fit_tags,
        "fit_labels": fit_labels,
        "fit_series": fit_series,
        "pairs": pairs,
        "captions": captions,
        "music": music,
        "fit_pairs": fit_pairs,
        "fit_captions": fit_captions,
        "fit_music": fit_music,
        "words": WORDS,
    }
