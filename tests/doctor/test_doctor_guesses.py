import numpy as np
import pytest
import torch

from ostinato.doctor import doctor

SCORES = [
    (
        "language_model",
        "nats_per_token",
        {"uniform": 3.0, "unigram": 2.5, "ngram": 1.5},
        (2.5, 1.6, 1.2),
    ),
    ("classifier", "accuracy", {"most_frequent": 0.5, "regression": 0.8}, (0.5, 0.78, 0.9)),
    ("forecaster", "mse", {"copy last": 1.0, "ridge on 8 lags": 0.4}, (1.01, 0.5, 0.3)),
    ("captioner", "exact", {"most_frequent": 0.2, "nearest_vector": 0.6}, (0.2, 0.55, 0.8)),
    (
        "composer",
        "nats_per_step",
        {"how often each key sounds": 11.0, "whether each key is held": 10.5},
        (11.2, 10.6, 8.0),
    ),
]


@pytest.mark.parametrize(("task", "measure", "guesses", "values"), SCORES)
def test_a_score_at_the_level_of_guesses_is_found(
    task, measure, guesses, values, healthy, run, ill, well
):
    model, _ = healthy(task)
    blind, plain, good = values
    well("baseline", run(model, held_out={measure: good}, baselines=guesses))
    found = ill("baseline", "note", run(model, held_out={measure: plain}, baselines=guesses))
    known = task not in ("captioner", "composer")
    assert found.remedy.command.startswith("ostinato compare ") == known
    assert "not told by the run alone" in found.evidence
    found = ill("baseline", "severe", run(model, held_out={measure: blind}, baselines=guesses))
    assert found.figures["value"] == blind


def test_a_translator_that_is_no_better_than_the_source_itself_is_found(healthy, run, ill, well):
    model, _ = healthy("translator")
    guesses = {"copied_source": 0.5}
    well("baseline", run(model, held_out={"bleu": 20.0}, baselines=guesses))
    for bleu in (0.2, 0.5):
        ill("baseline", "severe", run(model, held_out={"bleu": bleu}, baselines=guesses))


def test_a_tagger_is_compared_with_one_tag_for_all(healthy, run, ill, well):
    model, _ = healthy("tagger")
    by_tag = {"ODD": {"words": 60}, "EVEN": {"words": 40}}
    guesses = {"most_frequent_tag": 0.8}
    for accuracy, severity in ((0.6, "severe"), (0.75, "note")):
        score = {"accuracy": accuracy, "by_tag": by_tag}
        ill("baseline", severity, run(model, held_out=score, baselines=guesses))
    score = {"accuracy": 0.9, "by_tag": by_tag}
    well("baseline", run(model, held_out=score, baselines=guesses))


def test_a_run_without_guesses_is_not_judged_by_them(healthy, run):
    report = doctor(run(healthy("tagger")[0]), only=["baseline"])
    assert "baselines" in report.skipped["baseline"]


def pointed(model, **figures):
    """The same model, with other figures in its record."""
    model.figures = {**model.figures, **figures}
    return model


def series_that_repeat(steps, share, rows=400):
    """Numbers most of which are those `steps` before."""
    draws = np.random.default_rng(0)
    x = draws.normal(size=rows)
    for t in range(steps, rows):
        if draws.random() < share:
            x[t] = x[t - steps]
    return x


@pytest.fixture
def forecaster(make):
    """Says the value three steps before, of a series that does so at times."""

    def made(share):
        table = make["series"](400).with_columns(x=series_that_repeat(3, share))
        model = make["fit_series"](table, horizon=1, level="off", scale="off")
        with torch.no_grad():
            for part in (model.network.readout, model.network.skip):
                part.weight.zero_()
                part.bias.zero_()
            model.network.skip.weight[0, -3] = 1.0
        mse = model.evaluate(table, part="held_out").mse
        return pointed(model, held_out={"mse": mse}, baselines={"ridge on 8 lags": mse}), table

    return made


def test_a_model_that_is_behind_a_simple_one_is_found_with_an_interval(forecaster, ill):
    # a regression knows how seldom it repeats
    found = ill("baseline", "warning", *forecaster(0.1))
    assert found.title == "A simpler model does better"
    beside = found.figures["beside"]
    assert beside["name"] == "ridge on 8 lags"
    assert beside["gain_high"] < 0
    assert "it is ahead of ridge on 8 lags by -" in found.evidence


def test_a_model_that_is_not_told_from_a_simple_one_is_noted(forecaster, ill):
    found = ill("baseline", "note", *forecaster(0.85))
    assert found.title == "Not told apart from a simpler model"
    beside = found.figures["beside"]
    assert beside["gain_low"] <= 0 <= beside["gain_high"]


def test_a_model_that_is_told_to_be_better_is_not_found_whatever_its_record_says(forecaster, well):
    model, table = forecaster(0.85)
    # the last value says nothing of the next one
    mse = model.figures["held_out"]["mse"]
    well("baseline", pointed(model, baselines={"copy last": mse}), table)
    well("baseline", pointed(model, baselines={"copy last": 0.99 * mse}), table)


def test_guessing_is_told_from_a_model_where_there_is_enough_to_tell(make, ill):
    rows = make["tracks"](400)
    model = make["fit_labels"](rows, max_steps=1, lr=1e-9, ema=None)
    blind = {"held_out": {"accuracy": 0.5}, "baselines": {"most_frequent": 0.5}}
    with torch.no_grad():
        # always the label that half of all rows have
        model.network.members[0].readout.bias[0] = 1000.0
    found = ill("baseline", "severe", pointed(model, **blind), rows)
    assert "no better than the simplest guess" in found.title
    assert found.figures["beside"]["gain_high"] < 5


def test_of_few_rows_nothing_is_sure(make, ill):
    rows = make["tracks"](40)
    model = make["fit_labels"](rows, max_steps=1, lr=1e-9, ema=None)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.network.members[0].readout.parameters():
            weight.normal_()
    blind = {"held_out": {"accuracy": 0.5}, "baselines": {"most_frequent": 0.5}}
    found = ill("baseline", "warning", pointed(model, **blind), rows)
    assert "not told apart from the simplest guess" in found.title


def test_data_by_which_nothing_can_be_compared_leave_the_record_alone(forecaster, ill):
    model, table = forecaster(0.1)
    better = model.figures["held_out"]["mse"] * 0.5
    # a guess that no comparison knows
    pointed(model, baselines={"a guess of my own": better})
    found = ill("baseline", "note", model, table)
    assert "beside" not in found.figures
    # other data, and nobody says what it was fitted on
    pointed(model, baselines={"ridge on 8 lags": better})
    assert "beside" not in ill("baseline", "note", model, table[50:]).figures


def test_the_test_part_that_fit_was_given_is_what_it_is_compared_on(make, ill):
    train, dev, last = (make["sentences"](n, seed=k) for k, n in enumerate((60, 20, 30)))
    model = make["fit_tags"](train, validation=dev, test=last)
    accuracy = model.figures["held_out"]["accuracy"]
    pointed(model, baselines={"most_frequent_tag": accuracy})
    report = doctor(model, train, validation=dev, test=last, only=["baseline"])
    words = sum(map(len, last))
    assert f"On {words:,} words of 30 sentences" in report["baseline"].evidence
