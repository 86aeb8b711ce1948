"""`ricorda influence`: one place, the mean of many, gradients beside."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

import ricorda
from ricorda.insight import influence

Call = Callable[..., tuple[int, str, str]]

TEXT = "15 bottles of beer on the wall\n"


@pytest.fixture
def text(here: Path) -> Path:
    Path("short.txt").write_text(TEXT)
    return Path("short.txt")


def test_one_place(text: Path, call: Call) -> None:
    words = ["influence", "runs/tiny", text, "--position", "9", "--distance", "4"]
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    heading, columns, *rows, empty, conclusion = out.splitlines()
    assert (empty, conclusion[:31]) == ("", "The symbol that matters most is")
    strongest = max(
        influence(ricorda.load("runs/tiny"), TEXT, [9], distance=4).at(0), key=lambda each: each[3]
    )
    assert f" at {strongest[0]}, {9 - strongest[0]} back: " in conclusion
    assert heading == "before s at 9:"
    assert columns.split() == ["position", "symbol", "divergence", "surprisal"]
    expected = influence(ricorda.load("runs/tiny"), TEXT, [9], distance=4)
    for row, (position, symbol, nats, divergence) in zip(rows, expected.at(0), strict=True):
        assert row.split()[:2] == [str(position), symbol]
        shown = [float(value) for value in row.split()[2:]]
        assert shown == pytest.approx([divergence / math.log(2), nats / math.log(2)], abs=1e-4)


def test_characters_never_seen_stand_where_they_were(names_here: Path, call: Call) -> None:
    """The boundary is the first symbol of a document."""
    Path("text.txt").write_text("annЖa")
    words = ["runs/names", "text.txt"]
    assert "4 follows 'Ж'" in call("influence", *words, "--position", "4")[1]
    assert "follows" not in call("influence", *words, "--position", "3")[1]
    assert "before it, the text has 'Ж'" in call("step", *words, "--position", "4")[1]
    found = json.loads(call("influence", *words, "--json")[1])
    assert found["unseen"] == [{"before": 4, "characters": "Ж"}]


def test_a_distance_beyond_the_text_takes_no_longer(text: Path, call: Call) -> None:
    words = ["influence", "runs/tiny", text, "--position", "4"]
    far = call(*words, "--distance", "1000000")
    assert far[0] == 0
    assert far[1] == call(*words, "--distance", "30")[1]


def test_many_places(text: Path, call: Call) -> None:
    code, out, _ = call("influence", "runs/tiny", text, "--distance", "5", "--gradient", "norm")
    assert code == 0
    columns, *rows = out.splitlines()
    assert columns.split() == ["symbols", "back", "divergence", "surprisal", "gradient"]
    assert [row.split()[0] for row in rows[:5]] == list("12345")
    assert "Mean of 26 positions. " in out
    found = influence(ricorda.load("runs/tiny"), TEXT, distance=5)
    shares = [found.mean_divergence[:n].sum() / found.mean_divergence.sum() for n in range(1, 6)]
    needed = next(n for n, share in enumerate(shares, 1) if share >= 0.95)
    symbols = "the last symbol makes" if needed == 1 else f"the last {needed} symbols make"
    assert f"up to 5 symbols back, {symbols} up 95%" in out
    assert "rank correlation of surprisal and gradient: " in out


def test_json(text: Path, call: Call) -> None:
    words = ["influence", "runs/tiny", text, "--position", "2", "--position", "8", "--json"]
    found = json.loads(call(*words, "--distance", "3", "--gradient", "integrated")[1])
    assert (found["method"], found["positions"], found["symbols"]) == (
        "leave out",
        [2, 8],
        [" ", "e"],
    )
    assert found["nats"][0][2] is None
    assert [len(found[name][1]) for name in ("nats", "divergence", "gradient")] == [3, 3, 3]
    assert set(found["agreement"]) == {"at_a_place", "recency", "at_a_distance"}
    replaced = json.loads(call(*words, "--method", "replace")[1])
    assert "gradient" not in replaced
    assert len(replaced["nats"][0]) == 30  # before the last of 31 symbols
    other = json.loads(call(*words, "--method", "replace", "--seed", "5")[1])
    assert other["nats"] != replaced["nats"] != found["nats"]


def test_what_is_wrong_is_reported(text: Path, call: Call) -> None:
    for words, message in (
        (["--position", "0"], "expected a whole number, at least 1, got '0'"),
        (["--position", "99"], "expected positions from 1 to 30 in this text, got [99]"),
        (["--position", "9" * 30], "expected positions from 1 to 30 in this text, got [999"),
        (["--distance", "9" * 30], "at least 1 and at most 1000000, got '999"),
        (["--position", "9", "--symbols", "5"], "expected positions from 1 to 4"),
        (["--method", "x"], "'x' is not one of 'leave-out', 'replace'"),
    ):
        code, out, err = call("influence", "runs/tiny", text, *words)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
