import numpy as np
import pytest

from ostinato.inspect.confusion import _most_frequent, draw_confusion

COUNTS = [[8, 2, 0], [1, 20, 3], [0, 0, 4]]
NAMES = ["NOUN", "VERB", "X"]


@pytest.mark.parametrize("kind", [".png", ".svg", ".html"])
def test_each_kind_of_file(tmp_path, kind):
    path = tmp_path / f"table{kind}"
    draw_confusion(COUNTS, NAMES, path, title="Tags")
    content = path.read_bytes()
    assert len(content) > 1000
    if kind == ".svg":
        text = content.decode()
        for said in ("Tags: 84.21% of 38 words right", "NOUN", "what it is", ">20<"):
            assert said in text
    if kind == ".html":
        assert b"84.21% of 38 words right" in content


def test_the_most_frequent_stand_first_and_rare_ones_are_put_together():
    draws = np.random.default_rng(0)
    table = draws.integers(0, 9, (70, 70))
    found, names = _most_frequent(table, [str(k) for k in range(70)])
    order = np.argsort(-table.sum(axis=1), kind="stable")
    assert names[:2] == [str(order[0]), str(order[1])]
    assert names[-1] == "11 others"
    assert found.shape == (60, 60)
    assert found.sum() == table.sum()
    kept, rest = order[:59], order[59:]
    assert found[3, 4] == table[kept[3], kept[4]]
    assert found[3, 59] == table[kept[3]][rest].sum()
    assert found[59, 59] == table[np.ix_(rest, rest)].sum()


def test_counts_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"3 classes need counts \[3, 3\], got \[2, 2\]"):
        draw_confusion([[1, 2], [3, 4]], NAMES, tmp_path / "a.png")
