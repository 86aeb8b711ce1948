"""Declared dependencies, the source distribution, and installing where no C++ can be compiled."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ricorda.model import ModelConfiguration, ModelFile, write_model_file
from ricorda.text import CharacterVocabulary

HERE = Path(__file__).parents[1]
SOURCE = HERE / "src" / "ricorda"

EXTRA_OF_FOLDER = {"torch": "torch", "serving": "serve", "studio": "serve"}
"""The extra whose dependencies a folder of src/ricorda may import; the others import the core's."""

EXTRA_OF_FILE = {
    "text/parquet.py": "parquet",
    "exchange/onnx_export.py": "onnx",
    "training/report/notebook.py": "notebook",
    "training/report/run_tables.py": "parquet",
    "training/report/dashboards/tensorboard.py": "tensorboard",
    "training/report/dashboards/wandb.py": "wandb",
    "training/report/dashboards/mlflow.py": "mlflow",
    "experiments/study.py": "tune",
}
"""The same for single files."""

EXTRA_OF_MODULE = {"pandas": "pandas", "polars": "polars"}
"""Extras of one module, which is imported where a table is asked for."""

EXTRAS = (
    *(None, "torch", "serve", "parquet", "onnx", "tune", "notebook", "pandas", "polars"),
    *("tensorboard", "wandb", "mlflow"),
)

PART_OF = {"pydantic_core": "pydantic", "IPython": "ipython"}
"""Modules of a distribution that another one needs in exactly one version, or is named for."""


def declared(extra: str | None) -> set[str]:
    """The modules of the dependencies that pyproject.toml lists for the core or an extra."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.split(r"[<>=\[]", line)[0].replace("-", "_") for line in lines}


def imported(path: Path) -> set[str]:
    """The modules of other projects that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    roots = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"ricorda"}
    return {PART_OF.get(root, root) for root in roots}


@cache
def imported_by_extra() -> dict[str | None, set[str]]:
    """What src/ricorda imports beyond the core's dependencies, by the extra that must have it."""
    core = declared(None)
    found: dict[str | None, set[str]] = {extra: set() for extra in EXTRAS}
    for path in SOURCE.rglob("*.py"):
        place = path.relative_to(SOURCE)
        extra = EXTRA_OF_FILE.get(place.as_posix(), EXTRA_OF_FOLDER.get(place.parts[0]))
        for module in imported(path):
            found[None if module in core else EXTRA_OF_MODULE.get(module, extra)].add(module)
    return found


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_is_imported_is_declared_and_nothing_else(extra: str | None) -> None:
    assert imported_by_extra()[extra] == declared(extra)


def test_the_source_distribution_has_no_build_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = pytest.importorskip("scikit_build_core.build")
    for name in ("pyproject.toml", ".gitignore", "README.md", "LICENSE", "CMakeLists.txt"):
        shutil.copy(HERE / name, tmp_path)
    for name in ("kernels/step.cpp", "build/cp311/kernels/step.o", "src/ricorda/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    archive = build.build_sdist(os.fspath(tmp_path / "dist"))
    with tarfile.open(tmp_path / "dist" / archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert "kernels/step.cpp" in names
    assert not [name for name in names if name.startswith("build/")]


BUILT_FROM = ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE", ".gitignore")
MISSING = [name for name in ("pip", "scikit_build_core", "nanobind") if find_spec(name) is None]
NO_COMPILER = {"CC": "/bin/false", "CXX": "/bin/false"}
NO_HEADERS = {"CMAKE_ARGS": "-DPython_INCLUDE_DIR=/nonexistent"}


def finished(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a program to its end and return what it printed."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    if MISSING:
        pytest.skip(f"building needs {', '.join(MISSING)} in this environment")
    from scikit_build_core.build import build_sdist

    folder = tmp_path_factory.mktemp("source")
    tree = folder / "tree"
    tree.mkdir()
    for name in BUILT_FROM:
        shutil.copy(HERE / name, tree)
    without = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    for name in ("src", "kernels"):
        shutil.copytree(HERE / name, tree / name, ignore=without)
    before = Path.cwd()
    os.chdir(tree)
    try:
        archive = build_sdist(os.fspath(folder))
    finally:
        os.chdir(before)
    with tarfile.open(folder / archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / archive.removesuffix(".tar.gz")


def built(source: Path, folder: Path, environment: dict[str, str]) -> Path:
    """The wheel that pip builds from a source where the environment lacks something."""
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--no-cache-dir"]
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        *options,
        "--wheel-dir",
        folder,
        source,
    ]
    finished(*pip, folder=folder, **environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is built where there is no compiler."""
    return built(source, tmp_path_factory.mktemp("wheel"), NO_COMPILER)


def test_without_a_compiler_a_wheel_for_any_python_is_built(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")


def test_without_headers_a_wheel_for_any_python_is_built(source: Path, tmp_path: Path) -> None:
    assert built(source, tmp_path, NO_HEADERS).name.endswith("-py3-none-any.whl")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment with ricorda's fallback; its dependencies are this one's."""
    folder = tmp_path_factory.mktemp("fallback")
    venv.create(folder / "venv", with_pip=False)
    paths = {"base": os.fspath(folder / "venv"), "platbase": os.fspath(folder / "venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        packages,
    ]
    finished(*pip, wheel, folder=folder)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return Path(sysconfig.get_path("scripts", "venv", vars=paths)) / "python"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    configuration = ModelConfiguration(cell="gru", vocabulary_size=3, hidden_size=4)
    random = np.random.default_rng(1)
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    path = tmp_path / "model.safetensors"
    write_model_file(path, ModelFile(configuration, CharacterVocabulary("\nab", "\n"), tensors))
    return path


def test_the_fallback_samples_scores_and_evaluates(
    installed: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("abba\n" * 5)
    where = "import ricorda; print(ricorda.__file__); import ricorda.engine as e; "
    where += "print(e.kernels_are_built())"
    file, has_kernels = finished(installed, "-c", where, folder=tmp_path).split()
    assert Path(file).is_relative_to(installed.parents[1])
    assert has_kernels == "False"
    commands: list[list[str | Path]] = [
        ["sample", model, "--prompt", "ab", "--length", "20", "--seed", "1"],
        ["score", model, "text.txt", "--json"],
        ["evaluate", model, "text.txt", "--json"],
    ]
    for command in commands:
        assert finished(installed, "-m", "ricorda", *command, folder=tmp_path).strip()
