"""Run notebooks in a kernel of this Python: `python -m tests.notebooks FILE` keeps the outputs.

In a process of its own, since the clients of kernels warn of what the tests take for errors.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLE = REPOSITORY / "examples" / "notebook.ipynb"
NEEDED = ("nbclient", "ipykernel", "ipywidgets", "pandas")
SECONDS = 240  # of one cell


def skip_without_kernels() -> None:
    """Skip a test where the packages are missing."""
    for name in NEEDED:
        pytest.importorskip(name, reason="`make notebooks` installs it")


def notebook_of(*cells: str) -> dict[str, Any]:
    """Make a notebook of code cells."""
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": cell,
        }
        for number, cell in enumerate(cells)
    ]
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def executed(notebook: dict[str, Any], folder: Path, *options: str) -> dict[str, Any]:
    """Run a notebook in a folder and return it with its outputs. Fails where a cell does."""
    source = folder / "notebook.ipynb"
    source.write_text(json.dumps(notebook))
    done = subprocess.run(
        [sys.executable, "-m", "tests.notebooks", source, "--folder", folder, *options],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(source.read_text("utf-8"))
    return found


def text_of(output: dict[str, Any], kind: str = "text/html") -> str:
    """The content of an output; a saved notebook has it in lines."""
    content = output.get("data", {}).get(kind, output.get("text", ""))
    return content if isinstance(content, str) else "".join(content)


def run(path: Path, folder: Path, *, errors: bool) -> None:
    """Run a notebook file and write it back with its outputs."""
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="here",
        allow_errors=errors,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": os.fspath(folder)}},
    )
    client.execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
    nbformat.write(notebook, path)


def use_own_kernel(place: Path) -> None:
    """Let clients find a kernel of this Python, and nothing of whoever runs this."""
    kernel = place / "kernels" / "here"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    description = {"argv": command, "display_name": "here", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(description))
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTER_DATA_DIR")
    os.environ |= {name: os.fspath(place / name.lower()) for name in names}
    os.environ |= {"JUPYTER_PATH": os.fspath(place), "JUPYTER_PLATFORM_DIRS": "1"}


def main() -> None:
    """Run a notebook in a folder, by default a temporary one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path, nargs="?", default=EXAMPLE)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--errors", action="store_true", help="go on after a cell that fails")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as kernels:
        use_own_kernel(Path(kernels))
        run(given.notebook, given.folder or Path(place), errors=given.errors)


if __name__ == "__main__":
    main()
