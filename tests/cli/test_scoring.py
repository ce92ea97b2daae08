from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from ostinato.cli import scoring
from ostinato.tasks.registry import TASKS


def test_a_task_without_words_of_its_own_has_its_plain_figures_said(capsys):
    model = SimpleNamespace(SETTINGS=SimpleNamespace(TASK="newest"))
    score = {"nats_per_step": 1.25, "steps": 12345, "by_piece": {"a": 1.0}}
    scoring.show_task_score(model, score, "music.json")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "music.json"
    assert [line.split() for line in said[1:]] == [
        ["nats", "per", "step", "1.2500"],
        ["steps", "12,345"],
    ]


def test_what_has_no_picture_is_refused_before_any_work():
    with pytest.raises(typer.BadParameter, match="score of a language_model has no picture"):
        scoring.draws("language_model", Path("a.png"))
    with pytest.raises(ValueError, match="ends in"):
        scoring.draws("tagger", Path("a.gif"))


def test_every_task_has_a_next_command():
    for task in TASKS:
        assert scoring.following(task, "runs/a").startswith("ostinato ")
        assert "runs/a" in scoring.following(task, "runs/a")
    assert scoring.following("newest", "runs/a") == "ostinato eval runs/a FILE"


def test_what_the_tables_name_is_there():
    for place in (*scoring._SHOWN.values(), *scoring._DRAWN.values()):
        assert callable(scoring._named(place))
