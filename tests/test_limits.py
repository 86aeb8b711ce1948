"""The limits on files from strangers that SECURITY.md states, with its numbers."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ricorda.cli.main import main
from ricorda.errors import RunError
from ricorda.model import ModelConfiguration
from ricorda.runs import read_rows
from ricorda.text import tables
from ricorda.training.checkpoint import folder
from ricorda.validation import parse_json

MEBIBYTE = 2**20


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_json_has_at_most_32_levels() -> None:
    parse_json(nested(32), longest=1000)
    with pytest.raises(ValueError, match="32"):
        parse_json(nested(33), longest=1000)


def test_json_has_at_most_200_000_elements() -> None:
    parse_json(json.dumps([0] * 200_000), longest=MEBIBYTE)
    with pytest.raises(ValueError, match="elements"):
        parse_json(json.dumps([0] * 200_001), longest=MEBIBYTE)


def test_the_largest_network_has_64_layers_of_65536_units() -> None:
    shape: dict[str, Any] = {"cell": "rnn", "vocabulary_size": 2}
    largest = ModelConfiguration(**shape, hidden_size=65_536, num_layers=64)
    assert (largest.num_layers, largest.hidden_size) == (64, 65_536)
    with pytest.raises(ValidationError):
        ModelConfiguration(**shape, hidden_size=65_537)
    with pytest.raises(ValidationError):
        ModelConfiguration(**shape, hidden_size=1, num_layers=65)


def test_a_configuration_file_has_at_most_16_mebibytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text("abc\n" * 100)
    options = b"steps = 1\nhidden_size = 2\n"
    path = Path("options.toml")
    path.write_bytes(options + b"#" * (16 * MEBIBYTE - len(options)))
    assert main(["train", "my.txt", "--config", "options.toml", "--dry-run"]) == 0
    path.write_bytes(path.read_bytes() + b"#")
    assert main(["train", "my.txt", "--config", "options.toml", "--dry-run"]) == 2
    assert "it has over 16777216 bytes" in capsys.readouterr().err


def test_a_row_has_at_most_16_mebibytes(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    head, end = b'{"step": 1, "text": "', b'"}\n'
    path.write_bytes(head + b"x" * (16 * MEBIBYTE - len(head + end)) + end)
    assert [row["step"] for row in read_rows(path)] == [1]
    path.write_bytes(head + b"x" * (16 * MEBIBYTE + 1 - len(head + end)) + end)
    with pytest.raises(RunError, match="longer than 16777216 bytes"):
        list(read_rows(path))


def test_other_limits_have_the_numbers_that_are_stated() -> None:
    """What happens beyond them is tested where they apply."""
    assert folder.LARGEST_MANIFEST == 64 * 1024
    assert tables.LARGEST_FIELD == 64 * MEBIBYTE
