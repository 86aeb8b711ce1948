"""The example notebook: its outputs are there, have no machine's paths, and come again."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks import EXAMPLE, executed, skip_without_kernels, text_of
from tests.pages.fragments import checked_card

MACHINE = r"/(home|root|tmp|work|Users|usr|opt|var)/|[A-Z]:\\\\"
"""Paths of a machine."""


def cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def kinds(notebook: dict[str, Any]) -> list[list[list[str]]]:
    """The kinds of each cell's outputs."""
    return [
        [sorted(each.get("data", {each["output_type"]: ""})) for each in cell["outputs"]]
        for cell in cells(notebook)
    ]


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(EXAMPLE.read_text("utf-8"))
    return found


def test_it_was_executed_in_order_without_errors(committed: dict[str, Any]) -> None:
    assert [cell["execution_count"] for cell in cells(committed)] == [
        *range(1, len(cells(committed)) + 1)
    ]
    assert not [kind for cell in kinds(committed) for kind in cell if "error" in kind]


def test_it_shows_training_interruption_resuming_sampling_scoring_and_plots(
    committed: dict[str, Any],
) -> None:
    source = "\n".join("".join(cell["source"]) for cell in cells(committed))
    for call in (
        "train(",
        "interrupt_main",
        "resume(",
        "generate(",
        "score(",
        "trace(",
        "to_frame(",
    ):
        assert call in source
    outputs = [each for cell in cells(committed) for each in cell["outputs"]]
    cards = [text_of(each) for each in outputs if 'class="ricorda"' in text_of(each)]
    assert len(cards) >= 6
    shown = [checked_card(card) for card in cards]
    assert sum("svg" in card.names for card in shown) >= 2
    assert any("img" in card.names for card in shown)  # the heat map
    assert any("interrupted after" in card.text for card in shown)


def test_it_has_no_paths_of_a_machine_and_is_small(committed: dict[str, Any]) -> None:
    text = EXAMPLE.read_text("utf-8")
    without_pictures = re.sub(r"base64,[\w+/=]+", "", text)
    assert not re.search(MACHINE, without_pictures)
    assert len(text) < 500_000


def test_it_runs_again_with_the_same_kinds_of_outputs(
    committed: dict[str, Any], tmp_path: Path
) -> None:
    skip_without_kernels()
    again = executed(committed, tmp_path)
    assert kinds(again) == kinds(committed)
