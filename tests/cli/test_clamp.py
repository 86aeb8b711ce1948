"""`ricorda clamp`: the same sample twice."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import ricorda
from ricorda.engine import load_file, open_model
from ricorda.insight import Unit, clamped

Call = Callable[..., tuple[int, str, str]]

OPTIONS = ["--prompt", "15 b", "--length", "30", "--seed", "3"]


def test_both_texts_are_printed(here: Path, call: Call) -> None:
    code, out, err = call("clamp", "runs/tiny", "2", "7=-1", *OPTIONS)
    assert (code, err) == (0, "")
    model = ricorda.load("runs/tiny")
    first = model.generate("15 b", length=30, seed=3)
    changed = clamped(load_file("runs/tiny"), {Unit(0, 2): 0.0, Unit(0, 7): -1.0})
    other = open_model(changed).generate("15 b", length=30, seed=3)
    assert out == (
        f"--- unchanged (seed 3) ---\n15 b{first}\n"
        f"--- 0:2 held at 0, 0:7 held at -1 ---\n15 b{other}\n"
    )


def test_json_and_a_seed_that_was_drawn(here: Path, call: Call) -> None:
    found = json.loads(call("clamp", "runs/tiny", "0:2=0.5", "--length", "20", "--json")[1])
    assert found["units"] == {"0:2": 0.5}
    again = call(
        "clamp", "runs/tiny", "0:2=0.5", "--length", "20", "--json", "--seed", str(found["seed"])
    )
    assert json.loads(again[1]) == found
    greedy = json.loads(call("clamp", "runs/tiny", "2", "--greedy", *OPTIONS, "--json")[1])
    model = ricorda.load("runs/tiny")
    assert greedy["undisturbed"] == model.generate("15 b", length=30, greedy=True)


@pytest.mark.parametrize(
    "word, message",
    [
        ("x", "expected a unit as its number"),
        ("3=x", "expected a unit and a number, such as 17=0.5, got '3=x'"),
        ("3=nan", "expected a number from -1e+06 to 1e+06 to hold unit 0:3 at, got nan"),
        ("3=1e40", "expected a number from -1e+06 to 1e+06 to hold unit 0:3 at, got 1e+40"),
        ("3=", "expected a unit and a number"),
        ("12", "expected a unit from 0:0 to 0:11, got 0:12"),
    ],
)
def test_what_is_wrong_is_reported(here: Path, call: Call, word: str, message: str) -> None:
    code, out, err = call("clamp", "runs/tiny", word)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_unit_has_one_value(here: Path, call: Call) -> None:
    code, out, err = call("clamp", "runs/tiny", "3", "0:3=1")
    assert (code, out) == (2, "")
    assert err == "ricorda: unit 0:3 is named twice: give it one value\n"
