"""Sums of products of all pairs of columns."""

import pytest
import torch

from ostinato.engine.llvm.compile import host_target
from ostinato.reservoirs import gram
from ostinato.reservoirs.gram import Panels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [1, 23, 24, 25, 100])
def test_sums_are_those_of_the_product(columns, dtype):
    generator = torch.Generator().manual_seed(columns)
    rows = torch.randn(37, columns, generator=generator, dtype=torch.float64)
    panels = Panels(columns, 40, dtype)
    panels.fill(0, rows, 0)
    sums = panels.zeros()
    panels.add(sums, 0, 20)
    panels.add(sums, 20, 17)
    far = 1e-13 if dtype == torch.float64 else 1e-4
    expected = (rows.T @ rows).to(dtype)
    torch.testing.assert_close(panels.whole(sums), expected, rtol=far, atol=30 * far)


@pytest.mark.parametrize("level", ["avx2", "sse2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lesser_processors_find_the_same(monkeypatch, level, dtype):
    try:
        target = host_target(level)
    except ValueError as error:
        pytest.skip(str(error))
    gram._library.cache_clear()
    monkeypatch.setattr(gram, "host_target", lambda: target)
    rows = torch.arange(20.0 * 31).reshape(20, 31).to(dtype).cos()
    panels = Panels(31, 20, dtype)
    panels.fill(0, rows, 0)
    sums = panels.zeros()
    panels.add(sums, 0, 20)
    gram._library.cache_clear()
    torch.testing.assert_close(panels.whole(sums), rows.T @ rows)


def test_rows_outside_are_left_out():
    panels = Panels(3, 10, torch.float64)
    panels.fill(0, torch.arange(30.0).reshape(10, 3), 0)
    sums = panels.zeros()
    panels.add(sums, 4, 2)
    panels.add(sums, 0, 0)
    part = torch.arange(30.0).double().reshape(10, 3)[4:6]
    torch.testing.assert_close(panels.whole(sums), part.T @ part)


def test_columns_are_filled_across_panels():
    panels = Panels(60, 4, torch.float64)
    panels.fill(1, torch.ones(2, 50), 7)
    flat = panels.values.permute(1, 0, 2).reshape(4, -1)
    assert flat[1:3, 7:57].all()
    assert flat.sum() == 100
    assert panels.where(torch.tensor([0, panels.width])).tolist() == [0, 4 * panels.width]
