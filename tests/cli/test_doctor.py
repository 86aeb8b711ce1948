"""`ricorda doctor`: what this machine has."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import ricorda
from ricorda.engine import kernels_are_built
from ricorda.text import cache_for

Call = Callable[..., tuple[int, str, str]]

KEYS = {
    *("ricorda", "python", "system", "processor", "cores", "kernels"),
    *("numpy", "pydantic", "click", "rich", "zstandard", "torch", "fastapi", "gpu", "cache"),
}


def test_versions_and_cores_are_shown(call: Call) -> None:
    code, out, err = call("doctor", "--json")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    found = json.loads(out)
    assert set(found) == KEYS | {"slow_paths"}
    assert found["ricorda"] == ricorda.__version__
    assert found["cores"] >= 1
    assert (found["kernels"] is not None) == kernels_are_built()
    code, text, err = call("doctor")
    assert (code, err) == (0, "")
    assert {line.split()[0] for line in text.splitlines() if line} >= KEYS


def test_missing_kernels_are_reported(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ricorda.engine.kernels_are_built", lambda: False)
    code, out, _ = call("doctor")
    assert code == 0
    assert "Not complete: the compiled kernels are missing" in out
    assert "Ready" not in out


def test_what_is_slow_is_said(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ricorda.cli.doctor.slow_paths", lambda facts: ["A. Do this."])
    assert "Slow: A. Do this." in call("doctor")[1].splitlines()
    assert json.loads(call("doctor", "--json")[1])["slow_paths"] == ["A. Do this."]


def test_it_ends_with_a_verdict(call: Call) -> None:
    lines = call("doctor")[1].splitlines()
    assert any(line.startswith("Ready to train and sample with ") for line in lines[-4:])
    assert lines[-1] == "Nothing is missing." or "it is needed for" in lines[-1]


def test_a_torch_that_cannot_be_imported_is_reported(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "torch" / "__init__.py"
    broken.parent.mkdir()
    broken.write_text("raise OSError('libcudart.so.12: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    if (package := sys.modules.get("ricorda.torch")) is not None:
        monkeypatch.setattr(ricorda, "torch", package)  # importing replaces it
    for name in list(sys.modules):
        if name.split(".")[0] == "torch" or name.startswith("ricorda.torch"):
            monkeypatch.delitem(sys.modules, name)
    code, out, _ = call("doctor")
    assert code == 0
    assert "libcudart" in out


def test_a_package_without_a_version_is_there(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("unversioned")
    module.__spec__ = importlib.util.spec_from_loader("unversioned", None)
    monkeypatch.setitem(sys.modules, "unversioned", module)
    monkeypatch.setattr("ricorda.cli.doctor.NEEDED", ("unversioned",))
    assert json.loads(call("doctor", "--json")[1])["unversioned"] == "unknown"


def test_the_cache_is_shown(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RICORDA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RICORDA_CACHE_LIMIT", "2GB")
    entry = tmp_path / "cache" / "ricorda" / "entries" / ("0" * 64)
    entry.mkdir(parents=True)
    (entry / "ids").write_bytes(bytes(1500))
    _, out, _ = call("doctor", "--json")
    place = tmp_path / "cache" / "ricorda"
    assert json.loads(out)["cache"].startswith(f"{place}: not used, because it has no CACHEDIR.TAG")
    cache = cache_for(None)
    assert cache is not None
    cache.prepare()
    _, out, _ = call("doctor", "--json")
    assert json.loads(out)["cache"] == f"{place}: 1 text, 1.5 kB of at most 2 GB"
    monkeypatch.setenv("RICORDA_CACHE", "off")
    assert json.loads(call("doctor", "--json")[1])["cache"] is None
