import numpy as np
import pytest

from ostinato.data.music import Piece
from ostinato.doctor import doctor

LOWEST = {"monitor": "val_loss", "monitor_mode": "min"}


def validations(values, every=50):
    return [{"step": every * (k + 1), "val_loss": value} for k, value in enumerate(values)]


@pytest.mark.parametrize("task", ["language_model", "tagger", "classifier", "forecaster"])
def test_a_loss_that_still_falls_at_the_end_is_found(task, healthy, run, ill, well):
    model, _ = healthy(task)
    level = [3.0, 2.0, 1.5, 1.2, 1.05, 1.02, 1.01, 1.005]
    well("still_falling", run(model, validation=validations(level), settings=LOWEST))
    steep = [3.0, 2.8, 2.6, 2.4, 2.2, 2.0, 1.8, 1.6]
    found = ill(
        "still_falling", "warning", run(model, validation=validations(steep), settings=LOWEST)
    )
    assert found.figures["share"] == pytest.approx(0.4 / 1.4)
    assert found.remedy.settings == {"training.max_steps": 8}


def test_the_limit_that_ended_a_training_is_the_one_to_be_raised(healthy, run, ill):
    model, _ = healthy("tagger")
    steep = validations([3.0, 2.8, 2.6, 2.4, 2.2, 2.0])
    for done, remedy in (
        ({"steps": 60, "epochs": 3, "seconds": 1.0}, {"training.epochs": 6}),
        ({"steps": 100, "epochs": 2, "seconds": 1.0}, {"training.max_steps": 200}),
        ({"steps": 60, "epochs": 2, "seconds": 9.5}, {"training.max_time": 18.0}),
    ):
        limits = {**LOWEST, "max_steps": 100, "epochs": 3, "max_time": 9.0}
        folder = run(model, validation=steep, settings=limits, training=done)
        assert ill("still_falling", "warning", folder).remedy.settings == remedy


def test_what_rises_in_the_end_does_not_fall(healthy, run, well):
    model, _ = healthy("tagger")
    values = [3.0, 2.5, 2.0, 1.5, 1.0, 1.2]
    well("still_falling", run(model, validation=validations(values), settings=LOWEST))


def test_where_more_is_better_a_score_that_still_rises_is_found(healthy, run, ill, well):
    model, _ = healthy("tagger")
    highest = {"monitor": "val_accuracy", "monitor_mode": "max"}
    rising = [{"step": k, "val_accuracy": 0.5 + 0.05 * k} for k in range(8)]
    found = ill("still_falling", "warning", run(model, validation=rising, settings=highest))
    assert "0.5 at step 0" in found.evidence
    falling = [{"step": k, "val_accuracy": 0.9 - 0.05 * k} for k in range(8)]
    well("still_falling", run(model, validation=falling, settings=highest))


def test_without_validations_the_training_loss_is_looked_at(healthy, run, ill, well):
    model, _ = healthy("tagger")
    steep = [{"step": k, "loss": 4 - 0.1 * k} for k in range(32)]
    # which says nothing of new data: let something judge it
    found = ill("still_falling", "note", run(model, steep))
    assert found.remedy.settings == {"training.val_every": 3}
    folder = run(model, steep, settings={"validation": 0.0})
    found = ill("still_falling", "note", folder)
    assert found.remedy.settings == {"data.validation": 0.1}
    folder = run(model, steep, settings={"validation": 0.2, "val_every": 1})
    assert "--validation" in ill("still_falling", "note", folder).remedy.command
    level = [{"step": k, "loss": 1 + 3 * 0.5**k} for k in range(32)]
    well("still_falling", run(model, level))


@pytest.mark.parametrize("task", ["language_model", "tagger", "classifier", "forecaster"])
def test_a_loss_that_does_not_fall_is_found(task, healthy, run, ill, well):
    model, _ = healthy(task)
    still = [{"step": k, "loss": 2 + 0.02 * (-1) ** k} for k in range(20)]
    usual = type(model.settings)().training.lr
    low = run(model, still, settings={"lr": usual / 100})
    assert ill("not_learning", "severe", low).remedy.settings == {"training.lr": usual}
    high = run(model, still, settings={"lr": usual * 100})
    assert ill("not_learning", "severe", high).remedy.settings == {"training.lr": usual}
    even = run(model, still, settings={"lr": usual})
    assert ill("not_learning", "severe", even).remedy.settings == {"training.max_steps": 8}
    falling = [{"step": k, "loss": 2 - 0.05 * k} for k in range(20)]
    well("not_learning", run(model, falling))


def test_what_was_learned_before_the_first_line_counts(healthy, run, well):
    model, _ = healthy("forecaster")
    still = [{"step": k, "loss": 2.0} for k in range(20)]
    guesses = {"copy last": 1.0}
    well("not_learning", run(model, still, held_out={"mse": 0.2}, baselines=guesses))


def test_a_classifier_that_knows_its_rows_by_heart_is_found(make, ill, well):
    rows = make["tracks"](60)
    answers = [label for _, label in make["tracks"](60, seed=1)]
    # labels that have nothing to do with the rows
    shuffled = [(x, answers[(7 * k + k // 3) % 60]) for k, (x, _) in enumerate(rows)]
    learned = {
        "max_steps": 120,
        "epochs": 200,
        "lr": 0.03,
        "hidden_size": 24,
        "weight_decay": 0.0,
        "input_dropout": 0.0,
    }
    learned |= {"output_dropout": 0.0, "validation": 0.3, "keep_best": False, "cell": "gru"}
    model = make["fit_labels"](shuffled, **learned)
    found = ill("gap", "warning", model, shuffled)
    assert found.figures["held_out"] > 2 * found.figures["train"]
    assert found.remedy.settings == {"model.output_dropout": 0.2}
    model = make["fit_labels"](rows, **{**learned, "max_steps": 2})
    well("gap", model, rows)


def test_a_tagger_whose_validation_part_follows_another_rule_has_a_gap(make, ill):
    rows = make["sentences"](60)
    other = [[(word, "EVEN" if tag == "ODD" else "ODD") for word, tag in row] for row in rows[:20]]
    model = make["fit_tags"](rows, validation=other, keep_best=False, max_steps=40, lr=0.02)
    found = ill("gap", "warning", model, rows, validation=other)
    assert found.remedy.settings == {"model.output_dropout": 0.5}


def test_a_language_model_whose_validation_part_is_another_language_has_a_gap(make, ill):
    plain = "".join(sorted(set(make["text"](300)))) * 8 + "abcdefgh" * 200
    learned = {"validation": 0.1, "keep_best": False, "max_steps": 60, "lr": 0.03}
    learned |= {"output_dropout": 0.5, "shuffle": False}
    model = make["fit_text"](plain, **learned)
    found = ill("gap", "warning", model, plain)
    assert found.remedy.settings == {"model.hidden_size": 6}


def test_a_forecaster_whose_series_turns_wild_has_a_gap(make, ill):
    table = make["series"]()
    x = table["x"].to_numpy().copy()
    x[170:] += 20 * np.sign(np.sin(np.arange(70) * 1.7))
    table = table.with_columns(x=x)
    model = make["fit_series"](table, validation=50, held_out=0, max_steps=20)
    ill("gap", "warning", model, table)


@pytest.mark.parametrize("task", ["language_model", "tagger", "forecaster"])
def test_a_model_that_learned_the_rule_has_no_gap(task, healthy, well):
    model, data = healthy(task)
    well("gap", model, data)


def test_parts_that_were_given_apart_are_known_again(make):
    train, dev, last = (make["sentences"](n, seed=k) for k, n in enumerate((60, 20, 30)))
    model = make["fit_tags"](train, validation=dev, test=last)
    assert "--validation" in doctor(model, train, only=["gap"]).skipped["gap"]
    for data, parts in (
        (train, {"validation": dev, "test": last}),
        (last, {"train": train, "validation": dev}),
        (make["sentences"](20, seed=7), {"train": train, "validation": dev, "test": last}),
    ):
        assert doctor(model, data, **parts, only=["gap"]).healthy == ("gap",)


def test_writers_whose_validation_part_follows_another_rule_have_a_gap(make, ill, well):
    lines = make["pairs"](120)
    numbers = sorted({word for _, right in lines for word in right.split()})
    other = [
        (left, " ".join(numbers[numbers.index(word) - 1] for word in right.split()))
        for left, right in lines[:20]
    ]
    model = make["fit_pairs"](lines, validation=other, keep_best=False)
    ill("gap", "warning", model, lines, validation=other)
    rows = make["captions"](100)
    wrong = [(vector[::-1].copy(), text) for vector, text in rows[:20]]
    model = make["fit_captions"](rows, validation=wrong, keep_best=False)
    ill("gap", "warning", model, rows, validation=wrong)
    pieces = make["music"](40)
    turned = [Piece(piece.steps[::-1]) for piece in pieces[:10]]
    model = make["fit_music"](pieces, validation=turned, keep_best=False)
    ill("gap", "warning", model, pieces, validation=turned)
    same = make["music"](10, seed=1)
    well("gap", make["fit_music"](pieces, validation=same), pieces, validation=same)


def test_a_gap_that_did_no_harm_is_but_noted(make, run, ill):
    rows = make["sentences"](60)
    other = [[(word, "EVEN" if tag == "ODD" else "ODD") for word, tag in row] for row in rows[:20]]
    model = make["fit_tags"](rows, validation=other, keep_best=False, max_steps=40, lr=0.02)
    falls, rises = [3.0, 2.5, 2.2, 2.1, 2.05], [3.0, 2.5, 2.2, 2.6, 2.9]
    for values, severity in ((falls, "note"), (rises, "warning")):
        folder = run(model, validation=validations(values), settings=LOWEST)
        found = ill("gap", severity, folder, rows, validation=other)
        assert ("did not get worse" in found.evidence) == (severity == "note")


def test_data_of_a_run_that_records_none_are_not_said_to_be_others(healthy):
    model, data = healthy("tagger")
    model.figures = {}
    report = doctor(model, data, only=["gap"])
    assert report.skipped["gap"].startswith("the run does not record")


def test_a_gap_can_be_measured_on_other_data_if_the_trained_are_given(healthy, make):
    model, data = healthy("tagger")
    other = make["sentences"](40, seed=5)
    report = doctor(model, other, only=["gap"])
    assert "--train" in report.skipped["gap"]
    assert doctor(model, other, train=data, only=["gap"]).healthy == ("gap",)
    with pytest.raises(ValueError, match="checksum differs"):
        doctor(model, data, train=other, only=["gap"])
