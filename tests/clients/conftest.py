"""A server with two models, and the environments of the clients that `make clients` installs.

The clients need versions of the same packages that exclude each other, so each has an environment
of its own, and its programs run as processes of their own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import ricorda
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, write_model_file
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary
from tests.serving.conftest import Server, running, write_model

collect_ignore_glob = [] if find_spec("fastapi") and find_spec("uvicorn") else ["test_*.py"]

REPOSITORY = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("CLIENTS", REPOSITORY / ".venv-clients")).resolve()
PROGRAMS = Path(__file__).parent / "programs"
SYMBOLS = "\n" + "".join(map(chr, range(32, 127)))
PATIENCE = 500  # seconds that a client may take to start on a slow machine


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of a model of an undivided text and of one of documents, with random weights."""
    folder = tmp_path_factory.mktemp("clients")
    plain = CharacterVocabulary(SYMBOLS, "\n")
    divided = CharacterVocabulary(SYMBOLS, "\n", has_boundary=True)
    return {
        "my": write_model(folder / "my.safetensors", plain),
        "plays": _write_documents(folder / "plays.safetensors", divided),
    }


def _write_documents(path: Path, vocabulary: Vocabulary) -> Path:
    configuration = ModelConfiguration("gru", vocabulary.size, hidden_size=12, documents=True)
    random = np.random.default_rng(4)
    tensors = {
        name: random.normal(0, 0.8, shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    write_model_file(path, ModelFile(configuration, vocabulary, tensors))
    return path


@pytest.fixture(scope="session")
def served(places: dict[str, Path]) -> Iterator[Server]:
    """A server with default limits."""
    with running(places) as server:
        yield server


@pytest.fixture(scope="session")
def models(places: dict[str, Path]) -> dict[str, ricorda.Model]:
    """The same models without the server."""
    return {name: ricorda.load(path) for name, path in places.items()}


def python_with(client: str, module: str) -> Path:
    """Return a Python that can import a client's module, its own or this one; else skip."""
    own = CLIENTS / client / "bin" / "python"
    python = own if own.exists() else Path(sys.executable)
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    if subprocess.run([python, "-c", look], check=False).returncode:
        pytest.skip(f"{module} is not installed: make clients")
    return python


def node_with(module: str, folder: Path) -> str:
    """Return Node, after linking the modules of its client into a folder; else skip."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    modules = CLIENTS / "node" / "node_modules"
    if not (modules / module).is_dir():
        pytest.skip(f"Node's {module} is not installed: make clients")
    (folder / "node_modules").symlink_to(modules)
    return node


def run(words: list[str | Path], folder: Path, given: str = "") -> str:
    """Run a client in a folder, without this process's variables; return what it printed."""
    first = Path(words[0]).parent
    done = subprocess.run(
        words,
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={
            "PATH": f"{first}{os.pathsep}{os.defpath}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "LLM_USER_PATH": str(folder),  # where simonw/llm looks for its configuration
            "HF_HUB_OFFLINE": "1",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
