"""What needs a CUDA GPU: `pytest -m gpu` on a machine that has one; skipped elsewhere."""

from pathlib import Path
from typing import Any, Literal

import pytest
import torch

import ricorda
from ricorda.model.cells import CellName
from ricorda.runs import RunFolder, read_rows
from ricorda.torch.cells import CELL_MODULES
from ricorda.torch.device import bfloat16_cells
from ricorda.training import run as runs
from tests.training.reporters import InterruptAt

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]

TEXT = "".join(f"{number} bottles of beer on the wall\n" for number in range(100, 0, -1))
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_layers": 2,
    "batch_size": 8,
    "window": 32,
    "steps": 60,
    "dropout": 0.0,
    "recurrent_dropout": 0.0,
    "precision": "float32",
    "quiet": True,
}


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bottles.txt").write_text(TEXT)
    return tmp_path / "bottles.txt"


def curve(run: ricorda.Run) -> list[float]:
    rows = read_rows(RunFolder(run.folder).metrics)
    return [row["nats_per_character"] for row in rows if row["event"] == "training"]


@pytest.mark.parametrize("options", [
    {"cell": "rnn"},
    {"cell": "gru"},
    {"cell": "lstm"},
    {"softmax_candidates": 20},
    {"dropout": 0.2, "recurrent_dropout": 0.2},
], ids=str)  # fmt: skip
def test_a_gpu_learns_what_a_processor_learns(text: Path, options: dict[str, Any]) -> None:
    """TF32 is off in float32: the curves would be further apart with it."""
    here = ricorda.train(text, out="cpu", device="cpu", **(SMALL | options))
    there = ricorda.train(text, out="gpu", device="cuda", **(SMALL | options))
    assert curve(there)[:20] == pytest.approx(curve(here)[:20], rel=1e-4)
    assert there.metrics["validation"] == pytest.approx(here.metrics["validation"], rel=0.02)
    assert ricorda.load("gpu").generate("9", length=20, seed=1)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_cudnn_takes_the_weights_as_they_lie(cell: CellName, kind: torch.dtype) -> None:
    """Else it gathers them at every call, and warns, which is an error here."""
    if kind == torch.bfloat16 and not bfloat16_cells("cuda"):
        pytest.skip("needs bfloat16 in cuDNN's layers")
    layer = CELL_MODULES[cell](64, 128).to("cuda")
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.1, 0.1)
    inputs = torch.randn(8, 16, 64, device="cuda")
    with torch.autocast("cuda", torch.bfloat16, enabled=kind == torch.bfloat16):
        outputs, _ = layer.over_window(inputs, layer.initial_state(8))
    outputs.float().sum().backward()
    assert outputs.dtype == kind
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_bfloat16_learns(text: Path) -> None:
    run = ricorda.train(text, out="half", device="cuda", **{**SMALL, "precision": "bfloat16"})
    exact = ricorda.train(text, out="exact", device="cuda", **SMALL)
    assert curve(run)[-1] == pytest.approx(curve(exact)[-1], rel=0.05)
    assert curve(run) != curve(exact)


@pytest.mark.parametrize("there_first", [True, False])
def test_a_run_continues_on_another_device(text: Path, there_first: bool) -> None:
    devices: list[Literal["cpu", "cuda"]] = ["cuda", "cpu"] if there_first else ["cpu", "cuda"]
    options = {**SMALL, "dropout": 0.2}
    run = ricorda.train(text, out="moved", device=devices[0], **options)
    on = ricorda.resume("moved", steps=120, device=devices[1], quiet=True)
    assert on.metrics["steps"] == 120
    assert curve(on)[-1] < curve(run)[0]


def test_a_resume_on_a_gpu_continues_where_it_was(text: Path) -> None:
    options = {**SMALL, "dropout": 0.2}
    whole = ricorda.train(text, out="whole", device="cuda", **options)
    runs.new_run(text, out="half", device="cuda", reporter=InterruptAt(30), **options)
    on = ricorda.resume("half", quiet=True)
    assert curve(on)[-1] == pytest.approx(curve(whole)[-1], rel=1e-4)


def test_two_gpus_learn_what_one_does(text: Path) -> None:
    processes = torch.cuda.device_count()
    if processes < 2:
        pytest.skip("needs two GPUs")
    alone = ricorda.train(text, out="alone", device="cuda", **SMALL)
    together = ricorda.train(text, out="together", device="cuda", processes=2, **SMALL)
    assert curve(together) == pytest.approx(curve(alone), rel=1e-3)


def test_portions_of_a_large_vocabulary(text: Path) -> None:
    text.write_text("".join(chr(0x4E00 + i % 9000) for i in range(60_000)))
    run = ricorda.train(text, device="cuda", **{**SMALL, "batch_size": 64, "window": 64})
    assert run.metrics["vocabulary_size"] == 9000
    assert curve(run)[-1] < curve(run)[0]
