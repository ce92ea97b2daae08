"""What all `ostinato fit` commands share, beyond their options."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
import typer

import ostinato.tasks.registry
from ostinato.cli import run
from ostinato.cli.fitting import show_ranked, steps_of_text

FIGURES = {"held_out": {"nats": 2.0, "rows": 3}, "baselines": {"a_guess": 1.5, "another": 2.5}}


@pytest.mark.parametrize(
    ("ascending", "order"),
    [(True, ["a guess", "this model", "another"]), (False, ["another", "this model", "a guess"])],
)
def test_the_model_stands_among_the_guesses_the_best_last(ascending, order, capsys):
    score = show_ranked(
        FIGURES, "nats", lambda score: f"{score['rows']} rows:", "{:.1f}", ascending=ascending
    )
    assert score == FIGURES["held_out"]
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading == "3 rows:"
    assert [row.strip().rsplit(maxsplit=1)[0].strip() for row in rows] == order
    assert [float(row.split()[-1]) for row in rows] == sorted(
        [1.5, 2.0, 2.5], reverse=not ascending
    )


def test_a_model_without_a_score_says_so(capsys):
    assert show_ranked({}, "nats", lambda score: "", "{}", ascending=True) is None
    assert "Nothing was held out" in capsys.readouterr().out


def test_steps_of_a_text_go_by_their_short_and_long_names():
    assert steps_of_text(None) is None
    assert steps_of_text("char") == steps_of_text("characters") == "characters"
    with pytest.raises(typer.BadParameter, match="char, word or subword, not letters"):
        steps_of_text("letters")


class Stopped:
    """A task whose training is interrupted at once."""

    figures: ClassVar = {
        "training": {"stopped": "interrupted", "tokens": 0, "steps": 1, "seconds": 1.0}
    }

    @classmethod
    def fit(cls, source, **options):
        return SimpleNamespace(figures=cls.figures, settings=options["config"])


@pytest.mark.parametrize(
    ("given", "again"),
    [
        (["tags", "a b.tsv", "--validation", "v.tsv", "--test", "t1", "--test", "t2"], None),
        (["music", "a b.json", "--test", "t.json"], None),
        (["series", "-", "--target", "OT"], ["series", "-"]),
    ],
    ids=lambda value: value[0] if value else "",
)
def test_a_stopped_run_says_how_to_go_on_with_the_files_it_had(given, again, monkeypatch, capsys):
    monkeypatch.setattr(ostinato.tasks.registry, "task_class", lambda name: Stopped)
    assert run(["fit", *given, "--out", "o"]) == 130
    words = " ".join(f"'{word}'" if " " in word else word for word in again or given)
    assert f"Next: ostinato fit {words} --out o --resume" in capsys.readouterr().err


def test_braces_in_the_name_of_a_file_are_no_place_to_fill(monkeypatch, capsys):
    class Done(Stopped):
        figures: ClassVar = {"training": {**Stopped.figures["training"], "stopped": "finished"}}

    monkeypatch.setattr(ostinato.tasks.registry, "task_class", lambda name: Done)
    assert run(["fit", "series", "a{0}.csv", "--out", "o"]) == 0
    assert "Next: ostinato forecast o 'a{0}.csv'" in capsys.readouterr().err
