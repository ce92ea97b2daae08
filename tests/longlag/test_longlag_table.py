"""A table says which lag was solved last."""

import pytest

from ostinato.longlag import Outcome, Table


def outcome(problem, remedy, lag, solved, error=0.5, loss=0.1, diverged=False):
    return Outcome(
        problem, remedy, lag, 0, solved, diverged, error, "rows wrong", 0.01, loss, 1234, 2.55
    )


OUTCOMES = [
    outcome("copy", "gru", 40, False),
    outcome("copy", "gru", 10, True, 0.0),
    outcome("copy", "gru", 20, True, 0.001),
    outcome("copy", "sgd", 10, False, None, None, diverged=True),
    outcome("copy", "sgd", 20, False),
    outcome("xor", "gru", 10, False, 0.25),
]


def test_longest_is_the_longest_solved():
    table = Table(OUTCOMES)
    assert table.problems == ["copy", "xor"]
    assert table.remedies == ["gru", "sgd"]
    assert table.longest("copy", "gru") == 20
    assert table.longest("copy", "sgd") is None
    assert table.rows() == [["copy", "20", "-"], ["xor", "-", ""]]


def test_details_are_of_the_longest_solved_or_the_shortest_tried():
    assert Table(OUTCOMES).details() == [
        ["copy", "gru", "20", "yes", "0.001", "1.00e-01", "1,234", "2.5"],
        ["copy", "sgd", "10", "diverged", "-", "-", "1,234", "2.5"],
        ["xor", "gru", "10", "no", "0.250", "1.00e-01", "1,234", "2.5"],
    ]


def test_plain_values_hold_all():
    told = Table(OUTCOMES).to_dict()
    assert told["longest"] == {"copy": {"gru": 20, "sgd": None}, "xor": {"gru": None}}
    assert [Outcome.from_dict(one) for one in told["trials"]] == OUTCOMES


def test_nothing_is_no_table():
    with pytest.raises(ValueError, match="there is no outcome"):
        Table([])
