"""Trainings that take no time, in place of those in processes of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runs import Trained

Asked = list[dict[str, Any]]


def trained(speed: float = 1000.0, nats: float = 2.0, megabytes: float = 100.0) -> Trained:
    """A run of ten steps."""
    rows = [{"characters_per_second": speed, "nats_per_character": nats}] * 10
    result = {
        "parameters": 123,
        "train_seconds": 4.0,
        "validation": {"nats_per_character": nats},
    }
    return Trained(rows, result, megabytes)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Asked]:
    """Replace `train` in a module; what it is asked for is collected by option."""

    def replace(module: Any, answer: Callable[[dict[str, Any]], Trained]) -> Asked:
        calls: Asked = []

        def train(text: Path, out: Path, *options: str, source: Path | None = None) -> Trained:
            words = zip(options[::2], options[1::2], strict=True)
            found = {name.removeprefix("--"): value for name, value in words}
            calls.append(found | {"text": text, "source": source})
            return answer(calls[-1])

        monkeypatch.setattr(module, "train", train)
        return calls

    return replace
