"""`ricorda units`: a table, one unit, one feature, an object."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ricorda.model import write_model_file
from tests.insight.planted import HIDDEN_SIZE, QUOTE_UNIT, planted_file, planted_text

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with planted.safetensors and the text to see its unit by."""
    monkeypatch.chdir(tmp_path)
    write_model_file(tmp_path / "planted.safetensors", planted_file())
    (tmp_path / "text.txt").write_text(planted_text())
    return tmp_path


UNITS = ["units", "planted.safetensors", "text.txt"]


def test_the_planted_unit_heads_the_table(planted: Path, call: Call) -> None:
    code, out, err = call(*UNITS)
    assert (code, err) == (0, "")
    heading, first, *_ = out.splitlines()
    assert heading.split("  ")[0] == "unit"
    assert first.split()[:3] == ["0:5", "inside", '"…"']
    assert first.split()[3:] == ["1.000", "1.000", first.split()[5], "0.025", "works"]
    assert float(first.split()[5]) < 0.12
    assert "0 dead and 0 saturated of 16 units." in out
    assert "By chance the best unit reaches 0." in out


def test_json(planted: Path, call: Call) -> None:
    code, out, _ = call(*UNITS, "--unit", "5", "--top", "3", "--json")
    assert code == 0
    found = json.loads(out)
    assert [len(found["ranking"]), found["symbols"], found["shifts"]] == [
        *(3, len(planted_text()), 39)
    ]
    assert found["ranking"][0]["unit"] == str(QUOTE_UNIT)
    assert found["ranking"][0]["feature"] == "inside_straight_quotes"
    assert found["ranking"][0]["control"] < 0.12
    assert len(found["control_best"]) == 39
    unit = found["units"]["0:5"]
    assert len(unit["activity"]) == len(planted_text())
    assert unit["effects"]["inside_straight_quotes"] > 0.99
    assert set(unit["shut"]) == {"input_gate", "forget_gate", "output_gate"}


def test_one_unit(planted: Path, call: Call) -> None:
    code, out, _ = call(*UNITS, "--unit", "0:5", "--unit", "3")
    assert code == 0
    assert "unit 0:5: works" in out
    assert "unit 0:3: works" in out
    assert "input gate: closed" in out
    row = next(line for line in out.splitlines() if line.startswith("inside_straight_quotes"))
    assert row.split()[-2:] == ["1.000", "1.000"]


def test_one_feature(planted: Path, call: Call) -> None:
    code, out, _ = call(*UNITS, "--feature", "inside_straight_quotes", "--top", "2")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["0:5", "1.000"]
    as_json = json.loads(call(*UNITS, "--feature", "line_end", "--json")[1])
    assert as_json["feature"] == "line_end"
    assert len(as_json["units_for_feature"]) == HIDDEN_SIZE


def test_options_change_something(planted: Path, call: Call) -> None:
    def found(*more: str) -> dict[str, object]:
        result: dict[str, object] = json.loads(call(*UNITS, "--json", *more)[1])
        return result

    whole = found()
    assert found("--symbols", "2000")["symbols"] == 2000
    assert found("--shifts", "7")["shifts"] == 7
    assert found("--seed", "1")["control_best"] != whole["control_best"]
    assert found() == whole


@pytest.mark.parametrize(
    "words, message",
    [
        (["--unit", "x"], "expected a unit as its number, such as 17"),
        (["--unit", "99"], "expected a unit from 0:0 to 0:15, got 0:99"),
        (["--feature", "x"], "expected a feature that changes in this text, one of inside_"),
        (["--symbols", "5"], "expected a whole number, at least 200, got '5'"),
        (["--shifts", "0"], "expected a whole number, at least 1 and at most 1000000, got '0'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_reported(
    planted: Path, call: Call, words: list[str], message: str
) -> None:
    code, out, err = call(*UNITS, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_texts_that_do_not_serve(planted: Path, call: Call) -> None:
    for content, message in (
        ("", "empty"),
        ("éé", "at least one symbol that the model knows"),
        ("the cat", "at least 200 symbols, got 7"),
        ("t" * 300, "none does often enough"),
    ):
        Path("other.txt").write_text(content)
        code, out, err = call("units", "planted.safetensors", "other.txt")
        assert (code, out) == (2, "")
        assert message in err
