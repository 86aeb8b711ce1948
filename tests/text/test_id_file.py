import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.errors import TextError
from ricorda.text import id_file
from ricorda.text.id_file import IdFile


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
    assert f"{tmp_path}: No space left on device; make room there" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert full.closed
