"""Training in the kernel of a notebook: one display, and an interrupted cell that is resumed."""

from typing import Any

import pytest

from tests.notebooks import executed, notebook_of, skip_without_kernels, text_of
from tests.pages.fragments import checked_card

SETUP = """
import _thread, threading, time
from pathlib import Path
import ricorda
from ricorda.training.report import notebook
Path("my.txt").write_text("5 bottles of beer on the wall\\n" * 60)
small = dict(hidden_size=8, batch_size=4, window=16, threads=1)
"""
PLAIN = "notebook.new_display = notebook.Output"
TRAIN = "run = ricorda.train('my.txt', steps=40, **small)"
INTERRUPTED = """
def press_stop():
    while not Path("runs/my-2/model.safetensors").exists():
        time.sleep(0.01)
    _thread.interrupt_main()
threading.Thread(target=press_stop).start()
ricorda.train("my.txt", steps=20_000, **small)
"""
RESUMED = """
steps = ricorda.runs.summary(ricorda.runs.RunFolder(Path("runs/my-2")))["steps"]
run = ricorda.resume("runs/my-2", steps=steps + 20)
print(run.metrics["steps"] == steps + 20, run.model.generate("5 b", length=5) != "")
"""


@pytest.fixture(params=[PLAIN, ""], ids=["plain", "widget"], scope="module")
def outputs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[list[dict[str, Any]]]:
    """The outputs of each cell."""
    skip_without_kernels()
    folder = tmp_path_factory.mktemp("kernel")
    cells = (SETUP + request.param, TRAIN, "run", INTERRUPTED, RESUMED)
    notebook = executed(notebook_of(*cells), folder, "--errors")
    return [cell["outputs"] for cell in notebook["cells"]]


def test_a_training_is_one_display_with_its_last_state(outputs: list[list[dict[str, Any]]]) -> None:
    (display,) = outputs[1]
    assert display["output_type"] == "display_data"
    assert "widget" not in str(display["data"].keys())
    card = checked_card(text_of(display))
    assert "step 40 of 40" in card.text
    assert "validation: " in card.text
    assert "bits per character" in text_of(display, "text/plain")


def test_a_run_is_shown_as_a_card(outputs: list[list[dict[str, Any]]]) -> None:
    (result,) = outputs[2]
    assert "ended after its steps" in checked_card(text_of(result)).text
    assert text_of(result, "text/plain").startswith("<ricorda.Run ")


def test_an_interrupted_cell_leaves_a_run_that_continues(
    outputs: list[list[dict[str, Any]]],
) -> None:
    display, error = outputs[3]
    assert "continue with: ricorda.resume('runs/my-2')" in checked_card(text_of(display)).text
    assert (error["output_type"], error["ename"]) == ("error", "KeyboardInterrupt")
    assert [text_of(each) for each in outputs[4] if each["output_type"] == "stream"] == [
        "True True\n"
    ]
