"""`ricorda bench`: what it measures, made tiny."""

import json
from collections.abc import Callable

import pytest

from ricorda.cli import bench

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "STEPS", 3)
    monkeypatch.setattr(bench, "SAMPLED", 20)
    monkeypatch.setattr(bench, "SYMBOLS", 2000)
    sizes = {"hidden_size": 8, "batch_size": 2, "window": 8}
    monkeypatch.setattr(bench, "NETWORKS", {"small": sizes, "default": {**sizes, "cell": "gru"}})


def test_each_network_has_its_speeds(call: Call) -> None:
    code, out, err = call("bench", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert set(found) == {"cores", "instruction_set", "small", "default"}
    assert found["cores"] >= 1
    assert (found["small"]["network"], found["default"]["network"]) == ("cifg 8", "gru 8")
    for name in ("small", "default"):
        assert found[name]["training_characters_per_second"] > 0
        assert found[name]["sampling_characters_per_second"] > 0
        assert found[name]["parameters"] > 0


def test_people_read_a_table_of_speeds(call: Call) -> None:
    code, out, _ = call("bench")
    assert code == 0
    first, unit, heading, small, default = out.splitlines()
    assert "instruction set" in first
    assert small.split()[:3] == ["small", "cifg", "8"]
    assert default.split()[:3] == ["default", "gru", "8"]
    assert unit == "characters per second:"
    assert heading.split() == ["size", "network", "training", "sampling"]
    assert all(figure.replace(",", "").isdigit() for figure in small.split()[3:])
