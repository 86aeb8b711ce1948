"""The measurement of a start from a model, on tiny texts."""

from pathlib import Path

import pytest

from benchmarks.finetune import measure
from ricorda.engine import kernels_are_built


@pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")
def test_both_figures_are_of_the_same_text(tmp_path: Path) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("".join(f"{number} bottles of beer\n" for number in range(100)))
    new.write_text("".join(f"{number} bottiglie, è così\n" for number in range(100)))
    saved, rise = measure(old, new, minutes=0.005, before=0.01, hidden_size=8, seed=1)
    ours, peers = (saved.details[f"bits_from_{name}"] for name in ("the_model", "a_cold_start"))
    assert saved.ratio.median == pytest.approx(peers - ours)
    assert rise.at_most
    assert -1e-6 <= rise.ratio.median <= 1e-4
