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
    epochs = re.findall(r"^Epoch: (\d+), Loss: (\d+\.\d+)$", out, re.MULTILINE)
    assert [int(epoch) for epoch, _ in epochs] == list(range(0, 1000, 100))
    assert float(epochs[0][1]) > 1
    assert float(epochs[-1][1]) < 0.001
    assert f"generate_seq('a', 25): {SEQUENCE}  ✓ exactly the sequence" in out
    continuations = dict(re.findall(r"^([a-d]) -> ([a-d]+)$", out, re.MULTILINE))
    assert sorted(continuations) == list("abcd")
    for start, text in continuations.items():
        assert len(text) == 210
        assert start + text in ENDLESS
    assert out.count("✓ 210 characters, all by the pattern") == 4
    assert "✗" not in out
    assert "\x1b" not in out


def test_the_seed_is_a_whole_number(call: Call) -> None:
    code, out, err = call("demo", "--seed", "-1")
    assert (code, out, err.count("\n")) == (2, "", 1)
