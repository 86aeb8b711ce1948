"""Names of files and folders that are not UTF-8."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ricorda.runs import json_line, parse_row
from ricorda.text.file_names import displayed

Call = Callable[..., tuple[int, str, str]]

SHORT = ["--hidden-size", "8", "--batch-size", "4", "--window", "16", "--threads", "1"]
BYTE = os.fsdecode(b"\xff")


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bottles: str) -> Path:
    """A folder d\\xff with a text, and a validation file v\\xff.txt beside it."""
    monkeypatch.chdir(tmp_path)
    try:
        Path(f"d{BYTE}").mkdir()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    Path(f"d{BYTE}", "my.txt").write_text(bottles)
    Path(f"v{BYTE}.txt").write_text(bottles[:700])
    return tmp_path


@pytest.mark.parametrize("text", [f"d{BYTE}/my.txt", f"d{BYTE}"])
def test_a_run_with_such_names_trains_resumes_and_samples(odd: Path, call: Call, text: str) -> None:
    out = f"o{BYTE}"
    words = ["--validation", f"v{BYTE}.txt", "--out", out, "--steps", "6", *SHORT]
    code, printed, err = call("train", text, *words, "--json")
    assert code == 0, err
    assert json.loads(printed)["run"] == out
    code, _, err = call("resume", out, "--steps", "9")
    assert code == 0, err
    assert "resuming after step 6: o\\xff" in err
    assert call("sample", out, "--length", "5")[0] == 0
    for name in ("config.json", "metrics.jsonl", "samples.jsonl", "report.html"):
        (odd / out / name).read_bytes().decode("utf-8", "strict")
    config = json.loads((odd / out / "config.json").read_bytes())
    assert os.fsencode(config["text"]["texts"][0]).endswith(b"/d\xff/my.txt")
    assert os.fsencode(config["text"]["validation"]) == os.fsencode(odd / f"v{BYTE}.txt")
    *_, last = (odd / out / "metrics.jsonl").read_bytes().splitlines()
    assert os.fsencode(parse_row(last)["run"]) == b"o\xff"


def test_a_moved_text_with_such_a_name_is_found_again(odd: Path, call: Call) -> None:
    words = ["--out", "run", "--steps", "4", "--quiet", *SHORT]
    assert call("train", f"d{BYTE}/my.txt", *words)[0] == 0
    (odd / f"d{BYTE}").rename(odd / f"e{BYTE}")
    code, _, err = call("resume", "run", "--steps", "6", "--quiet")
    assert code == 2
    assert "/d\\xff/my.txt: no such file" in err
    assert call("resume", "run", "--steps", "6", "--text", f"e{BYTE}/my.txt", "--quiet")[0] == 0
    config = json.loads((odd / "run" / "config.json").read_bytes())
    assert os.fsencode(config["text"]["texts"][0]).endswith(b"/e\xff/my.txt")


def test_rows_are_utf_8_and_keep_names_exactly() -> None:
    row = {"step": 1, "run": f"o{BYTE}\\é"}
    line = json_line(row)
    assert line == b'{"step": 1, "run": "o\\udcff\\\\\xc3\xa9"}\n'
    assert parse_row(line) == row


def test_a_byte_that_is_not_utf_8_is_displayed_as_that_byte() -> None:
    assert displayed(os.fsdecode(b"a\xff\x80\n\xc3\xa9")) == "a\\xff\\x80\\né"
