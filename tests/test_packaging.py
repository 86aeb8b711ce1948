"""What the source distribution holds."""

import os
import shutil
import tarfile
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]


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
