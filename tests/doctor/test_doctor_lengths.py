import numpy as np
import pytest

from ostinato.doctor import doctor


@pytest.mark.parametrize("task", ["tagger", "classifier"])
def test_rows_far_longer_than_those_trained_on_are_found(task, healthy, make, ill, well):
    model, data = healthy(task)
    well("lengths", model, data)
    if task == "tagger":
        long = [[pair for row in data[k : k + 8] for pair in row] for k in range(0, 80, 8)]
    else:
        long = [(np.concatenate([x] * 8), label) for x, label in data]
    found = ill("lengths", "warning", model, long, train=data)
    assert found.figures["longest"] > 2 * found.figures["longest_trained"]
    # the record of the run tells as much without them
    alone = ill("lengths", "warning", model, long)
    del model.figures["data"]["lengths"]
    again = ill("lengths", "warning", model, long, train=data)
    for told in (alone, again):
        for name in ("longest", "longest_trained", "share"):
            assert told.figures[name] == found.figures[name]
    assert "--train" in doctor(model, long, only=["lengths"]).skipped["lengths"]


def test_pieces_far_longer_than_the_parts_that_were_trained_on_are_found(make, ill, well):
    pieces = make["music"](40)
    well("lengths", make["fit_music"](pieces, max_steps=2), pieces)
    found = ill(
        "lengths", "warning", make["fit_music"](pieces, chunk_length=5, max_steps=2), pieces
    )
    assert found.figures["longest_trained"] == 5


@pytest.mark.parametrize(("other", "severity"), [(False, "note"), (True, "warning")])
def test_long_rows_that_cost_no_more_are_but_noted(other, severity, make, ill):
    rows = make["sentences"](120)
    model = make["fit_tags"](rows, max_steps=60, lr=0.02)
    long = [[pair for row in rows[k : k + 8] for pair in row] for k in range(0, 120, 8)]
    if other:
        long = [[(w, "EVEN" if tag == "ODD" else "ODD") for w, tag in row] for row in long]
    found = ill("lengths", severity, model, [*rows, *long], train=rows)
    assert (found.figures["error"] > 1.1 * found.figures["usual_error"]) == other
    assert "An answer of theirs costs" in found.evidence


def test_rows_of_one_length_are_not_compared(make):
    table = make["series"]()
    report = doctor(make["fit_series"](table), table, only=["lengths"])
    assert "not for a forecaster" in report.skipped["lengths"]
