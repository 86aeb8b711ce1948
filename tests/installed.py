"""Use the installed ricorda as a person does: train, resume, sample, evaluate.

    python tests/installed.py

cibuildwheel runs this with each wheel on its system. It needs nothing but Python and ricorda.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TEXT = "".join(f"{number} bottles of beer on the wall\n" for number in range(200, 0, -1))
SMALL = ["--hidden-size", "32", "--batch-size", "8", "--window", "32", "--quiet", "--json"]
UNIFORM = 4.5  # bits per character of 23 symbols, untrained


def ricorda(folder: Path, *words: str) -> str:
    """Run a command of the installed package, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "ricorda", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout


def bits_of(result: dict[str, Any]) -> float:
    """The validation loss of `train --json`."""
    return float(result["validation"]["bits_per_character"])


def use(folder: Path) -> None:
    """Train a text, resume the run, and use its model. Raises AssertionError."""
    (folder / "my.txt").write_text(TEXT, encoding="utf-8")
    machine = json.loads(ricorda(folder, "doctor", "--json"))
    assert machine["kernels"], "the wheel has no compiled kernels"
    trained = json.loads(ricorda(folder, "train", "my.txt", "--steps", "150", *SMALL))
    assert bits_of(trained) < UNIFORM / 2, trained
    assert trained["steps"] == 150
    resumed = json.loads(
        ricorda(folder, "resume", "runs/my", "--steps", "300", "--quiet", "--json")
    )
    assert resumed["steps"] == 300
    assert bits_of(resumed) < bits_of(trained)
    same = ["sample", "runs/my", "--prompt", "9", "--length", "60", "--seed", "1"]
    text = ricorda(folder, *same)
    assert text == ricorda(folder, *same)
    assert "bottles" in text, text
    scored = json.loads(ricorda(folder, "evaluate", "runs/my", "my.txt", "--json"))
    assert scored["bits_per_character"] < UNIFORM / 2, scored


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        use(Path(name))
    print("trained, resumed, sampled and evaluated")
