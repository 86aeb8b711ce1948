"""Files of ids: appended, widened, mapped and read by rows."""

import errno
import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.errors import TextError
from ricorda.text import Part, WindowStream, id_file
from ricorda.text.id_file import IdFile, RowReader, mapped


def ids_below(size: int, count: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.random.default_rng(size).integers(0, size, count, dtype=np.int32)


def test_ids_come_back_and_leave_nothing_behind(tmp_path: Path) -> None:
    first, second = ids_below(200, 1000), ids_below(256, 77)
    with IdFile(tmp_path) as file:
        file.append(first, 200)
        file.append(second, 256)
        ids = file.map(256)
        assert list(tmp_path.iterdir()) == []
    assert ids.dtype == np.uint8
    assert isinstance(ids, np.memmap)
    assert not ids.flags.writeable
    np.testing.assert_array_equal(ids, np.concatenate([first, second]))


@pytest.mark.parametrize("block", [1, 64, 1 << 20])
@pytest.mark.parametrize("sizes", [(5, 300), (5, 70_000), (5, 300, 70_000), (70_000, 5)])
def test_the_type_widens_as_the_vocabulary_grows(
    tmp_path: Path, sizes: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_file, "_BLOCK", block)
    parts = [ids_below(size, 100) for size in sizes]
    with IdFile(tmp_path) as file:
        for part, size in zip(parts, sizes, strict=True):
            file.append(part, size)
        ids = file.map(max(sizes))
    assert ids.dtype == (np.uint16 if max(sizes) == 300 else np.uint32)
    np.testing.assert_array_equal(ids, np.concatenate(parts))


def test_a_large_vocabulary_of_which_little_is_seen(tmp_path: Path) -> None:
    with IdFile(tmp_path) as file:
        file.append(ids_below(10, 10), 10)
        assert file.map(70_000).dtype == np.uint32


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("size", [10, 300])
def test_translation_in_place(
    tmp_path: Path, size: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_file, "_BLOCK", block)
    before, table = ids_below(size, 100), np.random.default_rng(0).permutation(size)
    with IdFile(tmp_path) as file:
        file.append(before, size)
        file.translate(table)
        np.testing.assert_array_equal(file.map(size), table[before])


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"cannot be written to .*missing: No such file"):
        IdFile(tmp_path / "missing")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w+b", buffering=0)  # noqa: SIM115 (the IdFile closes it)
    monkeypatch.setattr(IdFile, "_new_file", lambda *_: full)
    with IdFile(tmp_path) as file, pytest.raises(TextError) as caught:
        file.append(ids_below(10, 10), 10)
    assert f"{tmp_path}: No space left on device; free some space there" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert full.closed


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
        monkeypatch.setattr(id_file.RowReader.__init__, "__defaults__", (largest,))
        streams.append(WindowStream(Part.whole(ids), batch_size=3, window=50, seed=1))
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
    stream = WindowStream(Part.whole(ids), batch_size=64, window=100, seed=1)
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
