"""Tables for pandas and polars: the same numbers as the arrays."""

import math
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import ricorda
from ricorda.engine import Model
from ricorda.errors import ConfigurationError, MissingExtra
from ricorda.frames import Library
from tests.engine.conftest import model

__all__ = ["model"]

LIBRARIES = ["pandas", "polars"]


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Library:
    pytest.importorskip(request.param, reason="`make notebooks` installs it")
    return cast("Library", request.param)


def column(table: Any, name: str) -> list[Any]:
    """A column as a list, of either library."""
    values: list[Any] = table[name].to_list()
    return values


def test_scores(model: Model, library: Library) -> None:
    scores = model.score("abecab", 2)
    table = scores.to_frame(library)
    assert list(table.columns) == ["symbol", "nats", "bits", "expected", "chance"]
    assert column(table, "symbol") == list("abecab")
    np.testing.assert_array_equal(column(table, "nats"), scores.nats)
    assert column(table, "bits")[1] == pytest.approx(scores.nats[1] / math.log(2))
    likeliest = [scores.alternatives(place)[0] for place in range(1, 6)]
    assert column(table, "expected")[1:] == [label for label, _ in likeliest]
    assert column(table, "chance")[1:] == [chance for _, chance in likeliest]


def test_scores_without_alternatives(model: Model, library: Library) -> None:
    assert list(model.score("ab").to_frame(library).columns) == ["symbol", "nats", "bits"]


def test_trace(model: Model, library: Library) -> None:
    trace = model.trace("abec")
    table = trace.to_frame(library)
    assert list(table.columns) == ["symbol", *(f"0:{unit}" for unit in range(8))]
    np.testing.assert_array_equal(column(table, "0:3"), trace["hidden"][:, 0, 3])
    gate = trace.to_frame(library, "reset_gate")
    np.testing.assert_array_equal(column(gate, "0:3"), trace["reset_gate"][:, 0, 3])


def test_the_metrics_of_a_run(tmp_path: Path, library: Library) -> None:
    text = tmp_path / "my.txt"
    text.write_text("5 bottles of beer on the wall\n" * 60)
    out = tmp_path / "run"
    run = ricorda.train(text, steps=4, hidden_size=8, threads=1, quiet=True, out=out)
    table = run.to_frame(library)
    assert {"step", "event", "nats_per_character", "learning_rate"} <= set(table.columns)
    steps = column(table, "step")
    assert steps == sorted(steps)
    assert set(column(table, "event")) == {"training", "evaluation"}
    nats, bits = column(table, "nats_per_character"), column(table, "bits_per_character")
    assert bits == pytest.approx([each / math.log(2) for each in nats])


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_that_is_missing_is_named(
    model: Model, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"{library}, which .* 'ricorda\[{library}\]'"):
        model.score("abc").to_frame(library)


def test_another_library_is_refused(model: Model) -> None:
    with pytest.raises(
        ConfigurationError, match="library must be 'pandas' or 'polars', got 'panda"
    ):
        model.score("abc").to_frame("panda")  # type: ignore[arg-type]
