"""The benchmark of encoding texts."""

import json
from pathlib import Path

import pytest

from benchmarks import encoding
from benchmarks.generated_text import generated_pages, write_text
from ricorda.errors import RicordaError


def test_generated_text_is_the_same_each_time(tmp_path: Path) -> None:
    pages = list(generated_pages(300_000, "many"))
    assert pages == list(generated_pages(300_000, "many"))
    assert pages != list(generated_pages(300_000, "many", seed=2))
    text = b"".join(pages).decode("utf-8")
    assert 299_990 < len(text.encode()) <= 300_000
    assert len(set(text)) > 1000
    assert len(set(b"".join(generated_pages(50_000)).decode())) < 100
    write_text(tmp_path / "a", 300_000, "many")
    assert (tmp_path / "a").read_bytes() == b"".join(pages)


def test_encoding_is_measured_by_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoding, "SIZES", (1000, 20_000, 50_000))

    def here(text: Path, place: Path, documents: str = "auto") -> dict[str, float]:
        monkeypatch.setattr("sys.argv", ["encoding", str(text), str(place / "cache"), documents])
        encoding.main()
        figures: dict[str, float] = json.loads(capsys.readouterr().out)
        return figures | {"megabytes": 50.0}

    monkeypatch.setattr(encoding, "encoded", here)
    reported: list[str] = []
    monkeypatch.setattr(encoding, "report", reported.append)
    results = list(encoding.measure_encoding(rounds=1, folder=tmp_path, largest=30_000))
    assert reported == [
        *(f"generating {size} of text in latin script" for size in ("1 kB", "20 kB", "30 kB")),
        "generating 30 kB of text in many script",
    ]
    assert [result.unit for result in results[:3]] == ["mb_a_second", "megabytes", "mb_a_second"]
    assert len(results) == 12
    assert all(result.ratio.median > 0 for result in results)
    assert list(tmp_path.iterdir()) == []


def test_an_encoding_that_fails_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RicordaError, match=r"the command to be measured failed: .*no such file"):
        encoding.encoded(tmp_path / "nowhere", tmp_path)


def test_many_files_and_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BOMB_BYTES", 80 * 10**6)
    monkeypatch.setattr(encoding, "FILES", 2500)
    reported: list[str] = []
    monkeypatch.setattr(encoding, "report", reported.append)
    results = list(encoding.measure_files(folder=tmp_path))
    assert [result.unit for result in results] == [
        *("files_a_second", "megabytes") * 2,
        "seconds",
    ]
    assert "decompression bomb" in reported[-1]
    assert list(tmp_path.iterdir()) == []
