"""`ricorda compress` and `ricorda decompress`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("ricorda._kernels")

Call = Callable[..., tuple[int, str, str]]
TEXT = b"the cat sat on the mat, and the cat sat on the hat\r\n\xff" * 20


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my.txt"
    path.write_bytes(TEXT)
    return path


def test_a_file_comes_back(call: Call, file: Path) -> None:
    code, out, err = call("compress", "my.txt", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    archive = file.with_name("my.txt.ricorda")
    assert found["bytes"] == len(TEXT)
    assert found["compressed_bytes"] == archive.stat().st_size < len(TEXT) / 5
    assert found["bits_per_byte"] == 8 * found["compressed_bytes"] / found["bytes"]
    file.unlink()
    code, out, _ = call("decompress", "my.txt.ricorda")
    assert code == 0
    assert out == f"my.txt: {len(TEXT):,} bytes\n"
    assert file.read_bytes() == TEXT


@pytest.mark.parametrize(
    "words, expected",
    [
        (["compress", "none"], "expected a file at none, found nothing"),
        (["compress", "."], "found something else"),
        (["compress", "my.txt", "--out", "my.txt", "--force"], "is one of the input files"),
        (["decompress", "my.txt"], "name the result with --out"),
        (["decompress", "my.txt", "--out", "new"], "was not written by `ricorda compress`"),
        (["compress", "my.txt", "--model", "none"], "no model file at none"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(
    call: Call, file: Path, words: list[str], expected: str
) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1
    assert [path.name for path in file.parent.iterdir()] == ["my.txt"]


def test_a_file_is_replaced_only_by_force(call: Call, file: Path) -> None:
    archive = file.with_name("my.txt.ricorda")
    archive.write_bytes(b"precious")
    code, _, err = call("compress", "my.txt")
    assert code == 2
    assert "--force" in err
    assert archive.read_bytes() == b"precious"
    assert call("compress", "my.txt", "--force")[0] == 0
    assert archive.read_bytes() != b"precious"


def test_a_damaged_archive_is_refused(call: Call, file: Path) -> None:
    assert call("compress", "my.txt")[0] == 0
    archive = file.with_name("my.txt.ricorda")
    data = bytearray(archive.read_bytes())
    data[-20] ^= 1
    archive.write_bytes(data)
    code, _, err = call("decompress", "my.txt.ricorda", "--force")
    assert code == 2
    assert "is damaged" in err
    assert file.read_bytes() == TEXT
