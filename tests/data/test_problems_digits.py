"""Digits, pixel by pixel."""

import numpy as np
import pytest

from ostinato.data.problems import sequential_digits

datasets = pytest.importorskip("sklearn.datasets")


def test_pixels_come_line_by_line():
    rows = sequential_digits(50, seed=1)
    digits = datasets.load_digits()
    pairs = zip(digits.data, digits.target, strict=True)
    pictures = {picture.tobytes(): digit for picture, digit in pairs}
    for n in range(50):
        picture = rows.inputs[:, n, 0].astype(float) * 16
        assert pictures[picture.tobytes()] == rows.targets[-1, n]
    assert rows.mask.sum() == rows.mask[-1].sum() == 50


def test_permuted_pixels_are_the_same_in_one_other_order():
    plain, permuted = (sequential_digits(30, permuted=p, seed=2).inputs for p in (False, True))
    assert (plain != permuted).any()
    np.testing.assert_array_equal(np.sort(plain, axis=0), np.sort(permuted, axis=0))
    again = sequential_digits(30, permuted=True, seed=3).inputs
    # the order is that of all seeds: pixels that are always dark stay where they are
    dark = ~sequential_digits(1077, permuted=True).inputs.any((1, 2))
    assert dark.any()
    assert not again[dark].any()


def test_no_picture_is_in_two_parts():
    sizes = {"train": 1077, "validation": 360, "test": 360}
    seen = set()
    for part, size in sizes.items():
        pictures = sequential_digits(size, part=part).inputs[..., 0].T.copy()
        seen |= {picture.tobytes() for picture in pictures}
    assert len(seen) == 1797


def test_refuses_more_than_there_are():
    with pytest.raises(ValueError, match="there are 360 pictures for test, got rows=361"):
        sequential_digits(361, part="test")
    with pytest.raises(ValueError, match="part must be one of train, validation, test, got 'all'"):
        sequential_digits(1, part="all")
