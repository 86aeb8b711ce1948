"""A text, and the options of trainings that take a moment."""

from pathlib import Path
from typing import Any

import pytest

SMALL: dict[str, Any] = {"hidden_size": 8, "threads": 1, "batch_size": 4, "window": 16}
"""Options of a small network."""

TEXT = "".join(f"{number} bottles of beer on the wall\n" for number in range(100, 0, -1))


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """my.txt in an empty folder, which becomes the current one."""
    monkeypatch.chdir(tmp_path)
    path = Path("my.txt")
    path.write_text(TEXT)
    return path
