import dataclasses

import pytest

from ostinato.studio.holding import Hold, Unit
from ostinato.studio.writing import MOST_TOKENS, Wish, write_events
from ostinato.tasks.language_model.sampling import Sampling


@pytest.fixture(scope="module")
def lm(library):
    return library.load("lm").model


@pytest.fixture(scope="module")
def words(library):
    return library.load("words").model


def texts(model, wish):
    """What the events spell, with and without units held, and the last event."""
    *events, last = write_events(model, wish)
    spelled = {
        name: "".join(event[name]["text"] for event in events if event.get(name))
        for name in ("plain", "held")
    }
    return spelled["plain"], spelled["held"], last


SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.0),
    Sampling(temperature=0.5),
    Sampling(top_k=2),
    Sampling(top_p=0.6),
    Sampling(repetition_penalty=2.0),
]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize("seed", [0, 3])
def test_a_text_is_that_of_generate(lm, sampling, seed):
    found, _, last = texts(lm, Wish("to be", length=30, sampling=sampling, seed=seed))
    asked = {name: getattr(sampling, name) for name in ("temperature", "top_k", "top_p")}
    penalty = sampling.repetition_penalty
    wanted = lm.generate(
        "to be", 30, seed=seed, include_prompt=False, repetition_penalty=penalty, **asked
    )
    assert found == wanted
    assert last == {"end": "length", "parted": None}


def test_each_choice_changes_the_text(lm):
    found = {texts(lm, Wish("to be", length=40, sampling=sampling))[0] for sampling in SAMPLINGS}
    assert len(found) == len(SAMPLINGS)
    assert texts(lm, Wish("to be", length=40, seed=1))[0] not in found
    assert len(texts(lm, Wish("to be", length=7))[0]) == 7


def test_words_are_spelled_as_generate_spells_them(words):
    found, _, _ = texts(words, Wish("to be", length=20, seed=2))
    assert found == words.generate("to be", 20, seed=2, include_prompt=False)


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(repetition_penalty=1.5), Sampling(temperature=0)]
)
def test_writing_on_is_writing_longer(lm, sampling):
    hold = [Hold("stack.1", "h", 2, 0.9)]
    wish = Wish("to be", length=24, sampling=sampling, seed=4, holds=hold)
    *whole, _ = write_events(lm, wish)
    *first, _ = write_events(lm, dataclasses.replace(wish, length=10))
    written = {name: [event[name]["token"] for event in first] for name in ("plain", "held")}
    *rest, _ = write_events(
        lm,
        dataclasses.replace(
            wish, length=14, written=written["plain"], written_held=written["held"]
        ),
    )
    both = [*first, *rest]
    assert [event["at"] for event in both] == list(range(24)) == [event["at"] for event in whole]
    for name in ("plain", "held"):
        assert [e[name]["token"] for e in both] == [e[name]["token"] for e in whole]
        assert [e[name]["text"] for e in both] == [e[name]["text"] for e in whole]


def test_without_its_own_tokens_the_held_text_goes_on_from_the_other(lm):
    *first, _ = write_events(lm, Wish("to be", length=5))
    tokens = [event["plain"]["token"] for event in first]
    event = next(
        write_events(lm, Wish("to be", tokens, length=1, holds=[Hold("stack.0", "h", 0, 0.0)]))
    )
    assert event["at"] == 5
    assert set(event) == {"at", "plain", "held"}


def test_a_held_unit_changes_the_text_from_a_place_that_is_told(lm):
    wish = Wish(
        "to be", length=60, holds=[Hold("stack.1", "h", 0, 1.0), Hold("stack.1", "h", 3, -1.0)]
    )
    plain, held, last = texts(lm, wish)
    assert plain == texts(lm, Wish("to be", length=60))[0]
    parted = last["parted"]
    assert plain != held
    assert plain[:parted] == held[:parted]
    assert plain[parted] != held[parted]


def test_the_value_and_the_moment_of_holding_change_what_could_come(lm):
    def first(**changes):
        wish = Wish("to be, or", length=1, holds=[Hold("stack.1", "h", 0, 1.0)])
        return next(write_events(lm, dataclasses.replace(wish, **changes)))["held"]["top"]

    found = [
        first(),
        first(hold_prompt=False),
        first(holds=[Hold("stack.1", "h", 0, -1.0)]),
        first(holds=[Hold("stack.1", "h", 1, 1.0)]),
        first(holds=[Hold("stack.1", "c", 0, 1.0)]),
        first(holds=[Hold("stack.0", "h", 0, 1.0)]),
    ]
    assert all(a != b for k, a in enumerate(found) for b in found[:k])


def test_rows_tell_probabilities_and_the_watched_unit(lm):
    wish = Wish(
        "to be", length=8, watch=Unit("stack.1", "c", 2), holds=[Hold("stack.1", "c", 2, 0.25)]
    )
    *events, _ = write_events(lm, wish)
    for event in events:
        row = event["plain"]
        assert sum(p for _, p in row["top"]) <= 1 + 1e-9
        assert [p for _, p in row["top"]] == sorted((p for _, p in row["top"]), reverse=True)
        assert dict(row["top"]).get(row["label"], row["p"]) == row["p"]
        assert event["held"]["value"] == 0.25
    assert len({event["plain"]["value"] for event in events}) > 1
    assert "value" not in next(write_events(lm, Wish("to be", length=1)))["plain"]


def test_a_text_that_the_model_ends_is_over(lm, monkeypatch):
    stop = lm.tokenizer.encode("\n")[0]
    monkeypatch.setattr(type(lm.tokenizer), "stop", int(stop))
    plain, _, last = texts(lm, Wish("to be", length=400, sampling=Sampling(temperature=0.6)))
    assert last["end"] == "the model ended the text"
    assert "\n" not in plain
    assert len(plain) < 400


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 0}, r"length must be in 1..5,000, got 0"),
        ({"length": MOST_TOKENS + 1}, "length must be in"),
        ({"seed": -1}, "seed must be in 0"),
        ({"seed": 2**63}, "seed must be in 0"),
    ],
)
def test_wishes_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Wish("to be", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": "Z"}, "not in the training text: 'Z'"),
        ({"watch": Unit("stack.0", "h", 99)}, "has no unit 99"),
        ({"holds": [Hold("stack.7", "h", 0, 1.0)]}, "There is no layer 'stack.7'"),
        ({"written": [10_000]}, "There is no token 10000"),
    ],
)
def test_what_the_model_does_not_have_is_refused_before_the_first_event(lm, changes, message):
    wish = dataclasses.replace(Wish("to be"), **changes)
    with pytest.raises(ValueError, match=message):
        write_events(lm, wish)
