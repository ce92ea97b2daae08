import pytest

from ostinato.data.vocabulary import Vocabulary

COUNTS = {"a": 2, "c": 5, "b": 2, "d": 1}


def test_most_frequent_first_then_by_the_alphabet():
    found = Vocabulary.fit(COUNTS, unknown=False)
    assert found.entries == ["c", "a", "b", "d"]
    assert [found.number(entry) for entry in "cabdx"] == [0, 1, 2, 3, -1]
    assert [found.entry(k) for k in range(4)] == found.entries


def test_the_unknown_has_a_number_of_its_own():
    found = Vocabulary.fit(COUNTS, unknown=True, min_count=2)
    assert found.size == 4
    assert found.numbers(["c", "d", "x", "b"]).tolist() == [1, 0, 0, 3]
    assert found.entry(1) == "c"
    assert "c" in found
    assert "d" not in found


@pytest.mark.parametrize("unknown", [True, False])
def test_the_size_is_kept_to(unknown):
    assert Vocabulary.fit(COUNTS, unknown=unknown, size=3).size == 3


def test_an_entry_twice_is_refused():
    with pytest.raises(ValueError, match="there twice"):
        Vocabulary("aba", unknown=True)
