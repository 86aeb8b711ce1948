"""The folder of what is kept between two starts: this user's alone, or refused in one line."""

from pathlib import Path

import pytest

from ricorda.errors import ConfigurationError
from ricorda.studio.private_folder import private_folder


def test_each_folder_of_runs_has_one(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "link").symlink_to("runs")
    found = private_folder(tmp_path / "runs")
    assert found == private_folder(tmp_path / "link")
    assert found != private_folder(tmp_path / "other")
    assert found.stat().st_mode & 0o777 == 0o700
    assert found.parent.parent.stat().st_mode & 0o777 == 0o700


def test_it_lies_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert private_folder(tmp_path).is_relative_to(tmp_path / "state" / "ricorda" / "studio")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert private_folder(tmp_path).is_relative_to(tmp_path / "home" / ".local" / "state")


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707])
def test_one_that_others_may_use_is_refused(tmp_path: Path, level: int, mode: int) -> None:
    found = private_folder(tmp_path)
    folder = [found, *found.parents][level]
    folder.chmod(mode)
    with pytest.raises(ConfigurationError, match="only you can use") as refused:
        private_folder(tmp_path)
    assert str(folder) in str(refused.value)


def test_a_link_or_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    found = private_folder(tmp_path)
    found.rename(found.with_name("elsewhere"))
    found.symlink_to("elsewhere")
    with pytest.raises(ConfigurationError, match="expected a folder"):
        private_folder(tmp_path)
    found.unlink()
    found.touch()
    with pytest.raises(ConfigurationError, match="cannot use"):
        private_folder(tmp_path)


def test_another_users_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private_folder(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    with pytest.raises(ConfigurationError, match="of user"):
        private_folder(tmp_path)
