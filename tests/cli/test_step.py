"""`ricorda step`: one unit's equation with its numbers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ricorda.engine import load_file
from ricorda.insight import Unit, step_equation

Call = Callable[..., tuple[int, str, str]]

TEXT = "5 bottles\n"


@pytest.fixture
def text(here: Path) -> Path:
    Path("short.txt").write_text(TEXT)
    return Path("short.txt")


def test_the_equation_is_printed(text: Path, call: Call) -> None:
    code, out, err = call("step", "runs/tiny", text, "--unit", "3", "--position", "1")
    assert (code, err) == (0, "")
    expected = step_equation(load_file("runs/tiny"), TEXT, 1, Unit(0, 3))
    heading, *lines = out.splitlines()
    assert heading == "unit 0:3 reads ␣ at 1"
    assert lines[: len(expected.lines())] == expected.lines()
    assert lines[-1].startswith("o  largest terms: ")


def test_json(text: Path, call: Call) -> None:
    found = json.loads(call("step", "runs/tiny", text, "--json")[1])
    expected = step_equation(load_file("runs/tiny"), TEXT, -1, Unit(0, 0))
    assert (found["unit"], found["position"], found["symbol"]) == ("0:0", len(TEXT) - 1, "\\n")
    assert found["hidden"] == expected.hidden
    assert [gate["value"] for gate in found["gates"]] == [gate.value for gate in expected.gates]
    assert found["lines"] == expected.lines()


def test_what_is_wrong_is_reported(text: Path, call: Call) -> None:
    for words, message in (
        (["--unit", "12"], "expected a unit from 0:0 to 0:11, got 0:12"),
        (["--unit", "1:0"], "expected a unit from 0:0 to 0:11, got 1:0"),
        (["--position", "10"], "expected a position from 0 to 9 in this text, got 10"),
        (["--position", "x"], "expected a whole number, at least 0, got 'x'"),
    ):
        code, out, err = call("step", "runs/tiny", text, *words)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1


def test_a_position_counts_from_the_beginning(here: Path, call: Call) -> None:
    code, out, err = call("step", "runs/tiny", "my.txt", "--position", "-5")
    assert (code, out) == (2, "")
    assert "expected a whole number, at least 0, got '-5'" in err
