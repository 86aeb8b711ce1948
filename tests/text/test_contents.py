"""Files that are not text are recognized by their content, whatever their name and compression."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from safetensors.numpy import save

from ricorda.errors import TextError
from ricorda.pages.document import document
from ricorda.text import Decompression, LeftOut, Source, find_sources, read_bytes, read_text
from ricorda.text.contents import content_of

LINES = b"".join(b"%d lines of a story\n" % number for number in range(200))


def tar(form: int = tarfile.PAX_FORMAT) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=form) as archive:
        member = tarfile.TarInfo("story.txt")
        member.size = len(LINES)
        archive.addfile(member, io.BytesIO(LINES))
    return whole.getvalue()


def zipped(first: str, content: bytes = LINES, way: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", way) as archive:
        archive.writestr(first, content)
        archive.writestr("more.xml", LINES)
    return whole.getvalue()


def sqlite() -> bytes:
    with sqlite3.connect(":memory:") as database:
        database.execute("create table story (line text)")
        return database.serialize()


EPUB = b"application/epub+zip"
ODT = b"application/vnd.oasis.opendocument.text"
PACKED: dict[str, tuple[bytes, str, str]] = {
    "tar": (tar(), "a tar archive", "unpack it (tar -xf)"),
    "old tar": (tar(tarfile.USTAR_FORMAT).replace(b"ustar", b"ustar"), "a tar archive", "tar -xf"),
    "zip": (zipped("story.txt"), "a ZIP archive", "unpack it (unzip)"),
    "stored zip": (zipped("story.txt", way=zipfile.ZIP_STORED), "a ZIP archive", "unzip"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "a ZIP archive", "unzip"),
    "docx": (zipped("[Content_Types].xml"), "an Office document", "save it as plain text"),
    "odt": (zipped("mimetype", ODT, zipfile.ZIP_STORED), "an OpenDocument file", "plain text"),
    "epub": (zipped("mimetype", EPUB, zipfile.ZIP_STORED), "an EPUB book", "pandoc"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + LINES, "a 7z archive", "7z x"),
    "rar": (b"Rar!\x1a\x07\x01\0" + LINES, "a RAR archive", "unrar x"),
    "lz4": (b"\x04\x22\x4d\x18\x64\x40" + LINES, "an LZ4 file", "lz4 -dc"),
    "lzma": (lzma.compress(LINES, format=lzma.FORMAT_ALONE), "an LZMA file", "xz -dc"),
    "Z": (b"\x1f\x9d\x90" + LINES, "a file compressed by compress", "gzip -dc"),
    "deb": (b"!<arch>\ndebian-binary   1410122664", "Debian package", "ar x"),
}
BINARY: dict[str, tuple[bytes, str]] = {
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "a PDF document: convert it (pdftotext FILE)"),
    "ascii pdf": (b"%PDF-1.4\n1 0 obj", "a PDF document"),
    "doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an old Office document"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG image"),
    "sqlite": (sqlite(), "an SQLite database"),
    "pickle": (pickle.dumps([LINES]), "a Python pickle"),
    "numpy": (b"\x93NUMPY\x01\0v\0" + LINES, "a NumPy array"),
    "safetensors": (save({"story": np.ones(99)}), "a model file (safetensors)"),
    "elf": (b"\x7fELF\2\1\1\0", "a program"),
    "mp4": (b"\0\0\0\x20ftypisom\0\0\2\0", "a video"),
    "mp3": (b"ID3\x04\0\0\0\0\0\x23", "a sound file"),
}
READ = ("tar", "old tar", "zip", "stored zip", "empty zip")
"""Those that are read as folders where a file of that kind is named."""
ALL = {name: each[0] for name, each in PACKED.items()} | {
    name: each[0] for name, each in BINARY.items()
}
PLAIN = Decompression(enabled=False)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def error_of(path: Path, *, as_bytes: bool = False, found: bool = True) -> str:
    read = read_bytes if as_bytes else read_text
    with pytest.raises(TextError) as caught:
        list(read(find_sources([path]) if found else [Source(str(path), path)]))
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("name", PACKED)
def test_archives_are_named_with_a_remedy(tmp_path: Path, name: str) -> None:
    data, what, remedy = PACKED[name]
    path = tmp_path / "notes.txt"
    path.write_bytes(data)
    for as_bytes in (False, True):
        message = error_of(path, as_bytes=as_bytes, found=name not in READ)
        assert what in message
        assert remedy in message
        assert "--decompress off" in message
    whole = b"".join(read_bytes(find_sources([path], decompress=False), decompression=PLAIN))
    assert whole == data, "as the message says"


@pytest.mark.parametrize("kind", COMPRESS)
def test_archives_are_found_inside_compression(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "c.tar.packed"
    path.write_bytes(COMPRESS[kind](tar()))
    assert f"it is a tar archive inside {kind}" in error_of(path, found=False)
    assert f"it is a tar archive inside {kind}" in error_of(path, as_bytes=True, found=False)


@pytest.mark.parametrize("name", BINARY)
def test_binary_files_are_named_unless_bytes_are_asked_for(tmp_path: Path, name: str) -> None:
    data, what = BINARY[name]
    path = tmp_path / "notes.txt"
    path.write_bytes(data)
    message = error_of(path)
    assert f"expected a text, but it is {what}" in message
    assert "--vocabulary bytes" in message
    assert b"".join(read_bytes(find_sources([path]))) == data


@pytest.mark.parametrize("name", ALL)
def test_folders_leave_them_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_bytes(LINES)
    (tmp_path / "b.txt").write_bytes(ALL[name])
    (tmp_path / "c.txt").write_bytes(gzip.compress(ALL[name]))
    left_out: list[LeftOut] = []
    found = find_sources([tmp_path], on_left_out=left_out.append)
    assert [source.name for source in found] == [str(tmp_path / "a.txt")]
    expected = "an archive" if name in PACKED else "binary"
    assert [item.reason for item in left_out] == [expected, expected]


@pytest.mark.parametrize(
    "text",
    [
        "GGUF is a file format",
        "PK\x03\x04"[:2] + " is the initials",
        "OggS and fLaC",
        "ID3 tags",
        "RIFF or riff",
        "Rar! ",
        "070701 is a number\n",
        "7z",
        "wOFF",
        "II* and MM",
        json.dumps({"a": 1}),
        "",
        "{",
        "12345678" + '{"a": 1}',
        "%PDF is what it begins with",
        "0" * 600,
        "perché",
        "ID3 è un algoritmo",
        "GGUF è un formato",
        "070707 è un numero",
        "e poi c'WAVE così",
        "ID3 " + "è" * 254 + "aè",  # cut off within a character
    ],
)
def test_texts_that_begin_like_a_signature_are_texts(text: str) -> None:
    assert content_of(text.encode()) is None


def test_texts_of_other_encodings_are_texts() -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-32", "cp1251", "shift_jis", "koi8_r"):
        assert content_of(("Мой дядя" * 99).encode(encoding)) is None


CONFIG = {"format": 1, "text": {}, "training": {}, "made_with": {}}


def run_in(folder: Path, config: str = json.dumps(CONFIG, indent=2)) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config)
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 3.2}\n')
    (folder / "samples.jsonl").write_text('{"step": 1, "text": "abc"}\n')
    (folder / "report.html").write_text(document("run", "<p>text</p>"))
    (folder / "input-1.txt").write_text("what was piped in")
    (folder / "checkpoints" / "000005").mkdir(parents=True)
    (folder / "checkpoints" / "000005" / "state.json").write_text("{}")
    return folder


def found_in(*names: Path | str) -> tuple[list[str], list[tuple[str, str]]]:
    left_out: list[LeftOut] = []
    found = find_sources(names, on_left_out=left_out.append)
    return [source.name for source in found], [(str(item.path), item.reason) for item in left_out]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    return tmp_path


@pytest.mark.parametrize("name", ["runs/a", "elsewhere", "deep/er/run"])
def test_a_run_is_left_out_wherever_it_is(here: Path, name: str) -> None:
    run_in(here / name)
    assert found_in(".") == (["a.txt"], [(name, "a run of ricorda")])


def test_a_run_that_lost_its_configuration_is_left_out(here: Path) -> None:
    run_in(here / "runs" / "a", config="damaged")
    run_in(here / "runs" / "b")
    (here / "runs" / "b" / "config.json").unlink()
    assert found_in(".")[0] == ["a.txt"]


@pytest.mark.parametrize(
    "config", ["{}", "[]", "not JSON", '{"format": 1, "text": "x"}', "[" * 9999]
)
def test_a_config_of_something_else_is_a_text(here: Path, config: str) -> None:
    (here / "app").mkdir()
    (here / "app" / "config.json").write_text(config)
    assert found_in(".") == (["a.txt", "app/config.json"], [])


def test_the_name_runs_alone_leaves_nothing_out(here: Path) -> None:
    (here / "runs").mkdir()
    (here / "runs" / "marathon.txt").write_text("42 km")
    assert found_in(".") == (["a.txt", "runs/marathon.txt"], [])


def test_a_page_of_ricorda_is_left_out_and_others_are_not(here: Path) -> None:
    (here / "surprise.html").write_text(document("<&>", "<p>text</p>"))
    (here / "mine.html").write_text("<!DOCTYPE html><p>made with ricorda</p>")
    assert found_in(".") == (["a.txt", "mine.html"], [("surprise.html", "a page of ricorda")])


def test_a_cache_is_left_out(here: Path) -> None:
    (here / "cache").mkdir()
    (here / "cache" / "known.txt").write_text("digest")
    assert found_in(".")[0] == ["a.txt", "cache/known.txt"]
    (here / "cache" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert found_in(".") == (["a.txt"], [("cache", "a cache")])


def test_what_a_shell_or_a_pattern_names_leaves_runs_out(here: Path) -> None:
    run_in(here / "runs" / "a")
    assert found_in("a.txt", "runs") == (["a.txt"], [("runs/a", "a run of ricorda")])
    for pattern in ("**/*", "**/*.txt", "*", "**"):
        names, left_out = found_in(pattern)
        assert names == ["a.txt"]
        assert ("runs/a", "a run of ricorda") in left_out
    assert found_in("runs/a/*.jsonl")[0] == ["runs/a/metrics.jsonl", "runs/a/samples.jsonl"]


def test_a_file_of_a_run_is_read_where_it_is_named(here: Path) -> None:
    run_in(here / "runs" / "a")
    assert found_in("runs/a/input-1.txt") == (["runs/a/input-1.txt"], [])


@pytest.mark.parametrize("name", ["runs", "runs/a"])
def test_nothing_but_a_run_is_refused(here: Path, name: str) -> None:
    run_in(here / "runs" / "a")
    with pytest.raises(TextError, match=r"runs/a \(a run of ricorda\)"):
        find_sources([name])


def test_a_run_that_has_only_begun_is_left_out(here: Path) -> None:
    (here / "young").mkdir()
    (here / "young" / "config.json").write_text(json.dumps(CONFIG))
    (here / "young" / "input-1.txt").write_text("what was piped in")
    assert found_in(".") == (["a.txt"], [("young", "a run of ricorda")])
