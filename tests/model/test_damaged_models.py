"""Model files cut off, with flipped bits, and crafted: refused, or a model; never much memory."""

import os
import tracemalloc
from pathlib import Path

import pytest

from ricorda.errors import ModelFileError
from ricorda.model import read_model_file
from tests.model.test_model_file_fuzz import written
from tests.model.test_tensor_file import CRAFTED

CUTS, FLIPS = 120, 160


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("model") / "model.safetensors")


def is_refused(path: Path) -> bool:
    """Whether a file is refused with one line; memory stays small either way."""
    message = ""
    tracemalloc.start()
    try:
        read_model_file(path)
    except ModelFileError as error:
        message = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 50_000_000
    assert "\n" not in message
    return bool(message)


@pytest.mark.parametrize("share", range(CUTS))
def test_a_model_that_was_cut_off_is_refused(whole: bytes, tmp_path: Path, share: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole[: len(whole) * share // CUTS])
    assert is_refused(path)


@pytest.mark.parametrize("share", range(FLIPS))
def test_a_flipped_bit_of_the_header_is_refused_or_harmless(
    whole: bytes, tmp_path: Path, share: int
) -> None:
    header = 8 + int.from_bytes(whole[:8], "little")
    place, bit = header * share // FLIPS, share % 8
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
    if not is_refused(path):
        assert read_model_file(path).tensors.keys()


@pytest.mark.parametrize("kind", CRAFTED)
def test_a_crafted_header_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(CRAFTED[kind])
    assert is_refused(path)


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert is_refused(tmp_path / "pipe")
