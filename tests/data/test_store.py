import gc
import os
from pathlib import Path

import numpy as np
import pytest

from ostinato.data.store import RowStore, RowWriter


def test_rows_come_back_as_they_were(monkeypatch):
    monkeypatch.setattr("ostinato.data.store._BUFFER", 64)
    draws = np.random.default_rng(0)
    rows = [draws.normal(size=(n, 2)).astype(np.float32) for n in (3, 0, 5, 1, 40)]
    store = RowStore.of(rows, dtype="float32", tail=(2,))
    assert store.lengths.tolist() == [3, 0, 5, 1, 40]
    for row, again in zip(rows, store, strict=True):
        np.testing.assert_array_equal(row, again)
    np.testing.assert_array_equal(store[-1], rows[-1])
    with pytest.raises(IndexError, match="5 rows, and no row 5"):
        store[5]


def test_rows_are_on_disk_and_go_with_the_store():
    store = RowStore.of(([k] * 10 for k in range(1000)), dtype="int32")
    path = Path(store.values.filename)
    assert path.stat().st_size == 40_000
    del store
    gc.collect()
    assert not path.exists()


def test_no_rows_at_all_are_a_store_too():
    assert RowStore.of([], dtype="int64").lengths.tolist() == []
    assert RowStore.of([[], []], dtype="int64").lengths.tolist() == [0, 0]


def test_a_step_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="a step is"):
        RowStore.of([np.zeros((2, 3))], dtype="float32", tail=(2,))


def test_an_error_on_the_way_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def rows():
        yield [1]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        RowStore.of(rows(), dtype="int64")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_said_with_the_folder():
    writer = RowWriter(dtype="int64")
    writer._file.close()
    writer._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(OSError, match="TMPDIR"), writer:
        writer.add([1])
