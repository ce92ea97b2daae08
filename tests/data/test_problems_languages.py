"""Strings are accepted by automata written apart from the generators."""

import re

import numpy as np
import pytest

from ostinato.data.problems import anbn, embedded_reber
from ostinato.data.problems.languages import SYMBOLS

# the Reber grammar as a regular expression: from each state, what leads to the end.
# S0 = T S1 | P S3, S1 = S S1 | X S2, S2 = X S3 | S, S3 = T S3 | V S4, S4 = P S2 | V,
# with S3 = T*V(V | P S2) put into S2 = (X T*V P)* (S | X T*V V)
S2 = "(?:XT*VP)*(?:S|XT*VV)"
INNER = f"B(?:TS*X{S2}|PT*V(?:V|P{S2}))E"
EMBEDDED = re.compile(f"B(?:T{INNER}T|P{INNER}P)E")


def strings(rows):
    for n, length in enumerate(rows.lengths):
        shown = [*rows.inputs[:length, n].argmax(1), rows.targets[length - 1, n]]
        yield "".join(SYMBOLS[k] for k in shown)


def test_every_string_is_of_the_embedded_grammar():
    found = list(strings(embedded_reber(500, seed=1)))
    assert all(EMBEDDED.fullmatch(string) for string in found)
    assert len({string[1] for string in found}) == 2
    # the automaton refuses what is not
    assert not EMBEDDED.fullmatch("BTBTXSEPE")
    assert not EMBEDDED.fullmatch("BTBTSSETE")


@pytest.mark.parametrize("steps", [20, 60, 300])
def test_long_strings_are_of_the_grammar_and_long_enough(steps):
    found = list(strings(embedded_reber(30, steps, seed=2)))
    assert all(EMBEDDED.fullmatch(string) for string in found)
    # outer B and letter, inner string, outer letter and E
    assert min(map(len, found)) - 4 >= steps
    assert min(map(len, found)) - 4 < steps + 4


def test_a_condition_on_length_leaves_the_chances_as_they_are():
    # strings of at least 9 inner symbols, drawn with the condition and by throwing others away
    drawn = [len(s) - 4 for s in strings(embedded_reber(6000, 9, seed=3))]
    kept = [len(s) - 4 for s in strings(embedded_reber(20_000, seed=4)) if len(s) - 4 >= 9]
    for length in range(9, 14):
        share = np.mean(np.array(kept) == length)
        assert np.mean(np.array(drawn) == length) == pytest.approx(share, abs=0.025)


def test_allowed_symbols_are_those_that_lead_to_some_string():
    rows = embedded_reber(200, seed=5)
    seen: dict[str, set[str]] = {}
    for string in strings(embedded_reber(20_000, seed=6)):
        for t in range(1, min(len(string), 7)):
            seen.setdefault(string[:t], set()).add(string[t])
    for n, string in enumerate(strings(rows)):
        for t in range(1, min(len(string), 7)):
            told = {SYMBOLS[k] for k in np.flatnonzero(rows.allowed[t - 1, n])}
            assert told == seen[string[:t]], string[:t]
    inside = np.arange(len(rows.mask))[:, None] < rows.lengths
    np.testing.assert_array_equal(rows.mask, inside)
    assert rows.allowed.any(2)[inside].all()


def test_who_forgets_the_outer_letter_is_wrong():
    rows = embedded_reber(300, seed=7)
    scores = rows.allowed.astype(float)
    assert rows.error(scores) == 0
    # both letters where one is asked
    forgot = scores.copy()
    for n, length in enumerate(rows.lengths):
        forgot[length - 2, n, [1, 2]] = 1
    assert rows.error(forgot) == 1


@pytest.mark.parametrize("steps", [1, 4, 30])
def test_anbn_is_counted_anew(steps):
    rows = anbn(300, steps, seed=8)
    for n, length in enumerate(rows.lengths):
        string = "".join("Sab"[k] for k in rows.inputs[:length, n].argmax(1))
        number = string.count("a")
        assert string == "S" + "a" * number + "b" * number
        for t in range(length):
            a, b = string[: t + 1].count("a"), string[: t + 1].count("b")
            told = "".join(s for s, yes in zip("abE", rows.targets[t, n], strict=True) if yes)
            if b:
                assert told == ("b" if b < a else "E")
            else:
                assert told == ("ab" if a else "a")
        assert not rows.inputs[length:, n].any()
        assert not rows.mask[length:, n].any()
        assert rows.mask[:length, n].all()
    assert {(length - 1) // 2 for length in rows.lengths} == set(range(1, steps + 1))


def test_refuses_what_is_out_of_range():
    with pytest.raises(ValueError, match="embedded_reber: steps must be at least 5, got 4"):
        embedded_reber(1, 4)
    with pytest.raises(ValueError, match="anbn: steps must be at least 1, got 0"):
        anbn(1, 0)
