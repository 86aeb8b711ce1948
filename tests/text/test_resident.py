import gc
import os
from pathlib import Path

import numpy as np
import pytest

from ricorda.errors import TextError
from ricorda.text import WindowStream, resident
from ricorda.text.resident import RowReader, mapped

pytestmark = pytest.mark.skipif(not hasattr(os, "pread"), reason="reads at places of a file")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ids"
    path.write_bytes(np.arange(10_000, dtype=np.uint16).tobytes())
    return path


@pytest.mark.parametrize("part", [slice(None), slice(2000, None), slice(100, 9000)])
def test_rows_are_those_of_the_map(path: Path, part: slice) -> None:
    with path.open("rb") as file:
        ids = mapped(file, np.dtype(np.uint16))[part]
    first = np.array([0, 5, 700, len(ids) - 40])
    read, touched = RowReader(ids, 0), RowReader(ids)
    assert (read._whole is None, touched._whole is None) == (False, True)
    np.testing.assert_array_equal(read.rows(first, 40), touched.rows(first, 40))
    np.testing.assert_array_equal(RowReader(np.asarray(ids), 0).rows(first, 40)[1], ids[5:45])


def test_a_file_that_was_cut_off_is_an_error_and_no_crash(path: Path) -> None:
    with path.open("rb") as file:
        reader = RowReader(mapped(file, np.dtype(np.uint16)), 0)
    os.truncate(path, 500)
    with pytest.raises(TextError, match="became shorter while it was read"):
        reader.rows(np.array([0, 240]), 40)


def test_windows_are_the_same_read_or_mapped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with path.open("rb") as file:
        ids = mapped(file, np.dtype(np.uint16))[:9000]
    streams = []
    for largest in (0, 10**6):
        monkeypatch.setattr(resident.RowReader.__init__, "__defaults__", (largest,))
        streams.append(WindowStream(ids, batch_size=3, window=50, seed=1))
    for step in (0, 1, 58, 200):
        one, other = (stream.window_at(step) for stream in streams)
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="looks at memory")
def test_reading_a_large_text_maps_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    with path.open("rb") as file:
        ids = mapped(file, np.dtype(np.uint8))
    before = resident_file_bytes()
    stream = WindowStream(ids, batch_size=64, window=100, seed=1)
    for step in range(0, stream.windows_per_epoch, 200):
        stream.window_at(step)
    assert resident_file_bytes() - before < 1 << 20


def resident_file_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile")) * 1024


def test_the_file_closes_with_the_last_view(path: Path) -> None:
    with path.open("rb") as file:
        ids = mapped(file, np.dtype(np.uint16))
    descriptor, view = ids.descriptor, ids[10:]
    assert descriptor is not None
    del ids
    gc.collect()
    assert RowReader(view, 0).rows(np.array([0]), 2).tolist() == [[10, 11]]
    del view
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
