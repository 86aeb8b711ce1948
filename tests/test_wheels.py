"""What the workflow of the wheels runs on each system, run here."""

import tomllib
from pathlib import Path

from tests import installed

PROJECT = Path(__file__).resolve().parents[1]


def test_an_installed_ricorda_trains_and_samples(tmp_path: Path) -> None:
    installed.use(tmp_path)


def test_each_wheel_is_used_after_it_was_built() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    commands = settings["tool"]["cibuildwheel"]["test-command"]
    assert "python {project}/tests/installed.py" in commands
    workflow = (PROJECT / ".github" / "workflows" / "wheels.yml").read_text("utf-8")
    assert "python -m cibuildwheel" in workflow
    for system in ("ubuntu-24.04", "ubuntu-24.04-arm", "macos-14", "windows-2022"):
        assert system in workflow
