import json
from pathlib import Path

import pytest

from benchmarks import scale, scale_files
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
    monkeypatch.setattr(scale, "SIZES", (1000, 20_000, 50_000))

    def here(text: Path, place: Path) -> dict[str, float]:
        monkeypatch.setattr("sys.argv", ["scale", str(text), str(place / "cache")])
        scale.main()
        figures: dict[str, float] = json.loads(capsys.readouterr().out)
        return figures

    monkeypatch.setattr(scale, "encoded_by_itself", here)
    said: list[str] = []
    results = list(scale.measure_encoding(said.append, rounds=1, folder=tmp_path, largest=30_000))
    assert said == [
        *(f"generating {size} of text in latin script" for size in ("1 kB", "20 kB", "30 kB")),
        "generating 30 kB of text in many script",
    ]
    assert [result.unit for result in results[:3]] == [
        *("megabytes_a_second", "megabytes", "megabytes_a_second")
    ]
    assert len(results) == 12
    assert all(result.ratio.median > 0 for result in results)
    assert list(tmp_path.iterdir()) == []


def test_an_encoding_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(RicordaError, match=r"the encoding to be measured failed: .*no such file"):
        scale.encoded_by_itself(tmp_path / "nowhere", tmp_path)


def test_many_files_and_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_files, "BOMB_BYTES", 80 * 10**6)
    said: list[str] = []
    results = list(scale_files.measure_files(said.append, rounds=1, folder=tmp_path, files=2500))
    assert [result.unit for result in results] == [
        *("files_a_second", "megabytes") * 2,
        "seconds",
    ]
    assert "decompression bomb" in said[-1]
    assert list(tmp_path.iterdir()) == []
