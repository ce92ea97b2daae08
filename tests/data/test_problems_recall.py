"""What is to be said again is what was shown."""

import numpy as np
import pytest

from ostinato.data.problems import copy, memorisation, random_permutation


@pytest.mark.parametrize(("symbols", "kinds"), [(5, 2), (10, 5)])
def test_memorisation_asks_for_the_pattern_after_the_sign(symbols, kinds):
    rows = memorisation(40, 17, symbols=symbols, kinds=kinds, seed=1)
    shown = rows.inputs.argmax(2)
    assert len(shown) == 17 + 2 * symbols
    assert rows.inputs.shape[2] == kinds + 2
    for n in range(40):
        pattern = shown[:symbols, n]
        assert pattern.max() < kinds
        (sign,) = np.flatnonzero(shown[:, n] == kinds + 1)
        assert sign == symbols + 17
        assert (np.delete(shown[symbols:, n], sign - symbols) == kinds).all()
        np.testing.assert_array_equal(rows.targets[sign:, n], pattern)
        assert (rows.targets[:sign, n] == kinds).all()


def test_memorisation_shows_each_pattern_equally_often_where_it_can():
    rows = memorisation(64, 3, seed=2)
    patterns = rows.inputs[:5].argmax(2).T
    assert np.unique(patterns, axis=0, return_counts=True)[1].tolist() == [2] * 32
    odd = memorisation(33, 3, seed=2).inputs[:5].argmax(2).T
    assert len(np.unique(odd, axis=0)) < 32


def test_memorisation_may_count_only_the_pattern():
    rows = memorisation(3, 8, everywhere=False)
    assert np.flatnonzero(rows.mask.all(1)).tolist() == [13, 14, 15, 16, 17]
    assert memorisation(3, 8).mask.all()


def test_random_permutation_asks_for_the_first_symbol():
    rows = random_permutation(300, 12, symbols=7, seed=3)
    shown = rows.inputs.argmax(2)
    np.testing.assert_array_equal(rows.targets[-1], shown[0])
    assert set(shown[0]) == {0, 1}
    assert set(shown[1:].ravel()) == {2, 3, 4, 5, 6}
    assert rows.mask.sum() == rows.mask[-1].sum() == 300


@pytest.mark.parametrize("marker", ["held", "once"])
def test_copy_has_the_layout_of_its_source(marker):
    rows = copy(30, 9, marker=marker, seed=4)
    shown = rows.inputs.argmax(2)
    assert shown.shape == rows.targets.shape == (9 + 20, 30)
    assert shown[:10].min() >= 1
    assert shown[:10].max() <= 8
    np.testing.assert_array_equal(shown[10:18], 0)
    np.testing.assert_array_equal(shown[18], 9)
    np.testing.assert_array_equal(shown[19:], 9 if marker == "held" else 0)
    np.testing.assert_array_equal(rows.targets[:-10], 0)
    np.testing.assert_array_equal(rows.targets[-10:], shown[:10])


def test_copy_without_memory_has_the_loss_that_the_docstring_tells():
    rows = copy(1, 100)
    counted = rows.targets > 0
    told = 10 * np.log(8) / 120
    assert np.where(counted, np.log(8), 0).mean() == pytest.approx(told)


def test_copy_draws_all_kinds_alike():
    drawn = copy(2000, 1, seed=5).inputs[:10].argmax(2)
    np.testing.assert_allclose(np.bincount(drawn.ravel())[1:] / 20_000, 1 / 8, atol=0.01)


def test_refuses_what_is_out_of_range():
    with pytest.raises(ValueError, match="copy: marker must be one of held, once, got 'twice'"):
        copy(1, 5, marker="twice")
    with pytest.raises(ValueError, match="memorisation: kinds must be at least 2, got 1"):
        memorisation(1, 5, kinds=1)
    with pytest.raises(ValueError, match="random_permutation: symbols must be at least 3, got 2"):
        random_permutation(1, 5, symbols=2)
