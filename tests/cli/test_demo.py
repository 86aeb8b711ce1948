"""`ricorda demo`: the tutorial's pattern, exactly, and from any of its characters."""

import re
from collections.abc import Callable

import pytest

Call = Callable[..., tuple[int, str, str]]

SEQUENCE = "aaaaabbbbbccccacdddddaaaa"
ENDLESS = SEQUENCE[:21] * 12


@pytest.mark.parametrize("seed", [1, 20])
def test_the_demo(call: Call, seed: int) -> None:
    code, out, err = call("demo", "--seed", str(seed))
    assert (code, err) == (0, "")
    epochs = re.findall(r"^Epoch: (\d+), Loss: (\d\.\d{4})$", out, re.MULTILINE)
    assert [int(epoch) for epoch, _ in epochs] == list(range(0, 1000, 100))
    assert float(epochs[0][1]) > 1
    assert float(epochs[-1][1]) < 0.001
    assert float(epochs[1][1]) == pytest.approx(0.008, abs=0.006)  # the tutorial's: 0.0082
    assert f"\n{SEQUENCE}  ✓ exactly the sequence\n" in out
    asked = re.findall(r"^([a-d]): (\d+) right, ([a-d]{40})\.\.\.$", out, re.MULTILINE)
    assert [start for start, _, _ in asked] == list("abcd")
    for start, right, text in asked:  # counted as in the tutorial, the given character included
        assert text[0] == start
        stretch = next(n for n in range(41, 0, -1) if text[:n] in ENDLESS)
        assert min(int(right), 40) == min(stretch, 40)
    assert [right for start, right, _ in asked if start in "bc"] == ["1", "2"]
    assert (
        "b and c fail at once, because in training the zero state was always followed by a" in out
    )
    assert (
        len(re.findall(r"^400 steps: all four continuations are right from step", out, re.M)) == 1
    )
    assert "no network can get below 0.0692" in out
    continuations = re.findall(r"^([a-d]): ✓ 210 right of 210\n([a-d]{210})$", out, re.MULTILINE)
    assert [start for start, _ in continuations] == list("abcd")
    for start, text in continuations:
        assert text[0] == start
        assert text in ENDLESS
    assert "✗" not in out
    assert "Next: train on a text of your own with `ricorda train my.txt`" in out
    assert "\x1b" not in out


def test_the_seed_is_a_whole_number(call: Call) -> None:
    for seed in ("-1", str(2**63)):
        code, out, err = call("demo", "--seed", seed)
        assert (code, out, err.count("\n")) == (2, "", 1)
