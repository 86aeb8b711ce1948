"""What no source file does: run code from a file, or send data elsewhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ricorda

PACKAGE = Path(ricorda.__file__).parent

RUN_CODE = {
    *("pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"),
    *("eval", "exec", "compile", "__import__", "execfile"),
    *("torch.load", "np.load", "numpy.load", "torch.jit.load"),
}
"""Modules and functions that run, or may run, code that a file contains."""

WEIGHTS_ONLY = "torch/state_dict.py"
"""The file that loads .pt files, whose pickles exchange/torch_tensors.py has examined."""

IMPORT_BY_NAME = {"importlib.import_module", "importlib.util", "__import__"}

CONNECT = {
    *("urllib.request", "http.client", "requests", "httpx", "aiohttp", "urllib3"),
    *("ftplib", "smtplib", "socket.create_connection", "asyncio.open_connection", "xmlrpc"),
}
"""Modules and functions that connect to other machines."""


def names_in(source: str) -> Iterator[str]:
    """Yield each module that is imported, and each function that is called by its plain name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def found(paths: list[Path], forbidden: set[str]) -> list[str]:
    """Return the forbidden names of each file."""
    assert paths
    return [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in paths
        for name in names_in(path.read_text("utf-8"))
        if name in forbidden or name.partition(".")[0] in forbidden
    ]


def test_no_source_runs_code_from_a_file() -> None:
    paths = [*PACKAGE.rglob("*.py")]
    assert len(paths) > 150
    assert found(paths, RUN_CODE) == [f"{WEIGHTS_ONLY}: torch.load"]


def test_torch_loads_weights_only() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse((PACKAGE / WEIGHTS_ONLY).read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    (options,) = [{each.arg: ast.unparse(each.value) for each in call.keywords} for call in calls]
    assert options["weights_only"] == "True"


@pytest.mark.parametrize("folder", ["model", "training/checkpoint"])
def test_readers_import_nothing_by_name(folder: str) -> None:
    assert found([*(PACKAGE / folder).rglob("*.py")], IMPORT_BY_NAME) == []


def test_no_source_connects_to_another_machine() -> None:
    assert found([*PACKAGE.rglob("*.py")], CONNECT) == []


@pytest.mark.parametrize(
    "source, name",
    [
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle"),
        ("def f(x):\n    return eval(x)", "eval"),
        ("import torch\ntorch.load('a')", "torch.load"),
        ("from urllib.request import urlopen", "urllib.request"),
    ],
)
def test_a_forbidden_name_is_seen(source: str, name: str) -> None:
    assert name in set(names_in(source)) & (RUN_CODE | CONNECT)
