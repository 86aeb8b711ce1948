"""Texts that are added: bounded, checked, kept under plain names, described."""

import asyncio
import gzip
import lzma
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest

from ricorda.errors import RunError, TextError
from ricorda.studio import texts as module
from ricorda.studio.reading import Reading
from ricorda.studio.texts import LIBRARY_BYTES, LITERARY, SAMPLES, Texts, sample_text
from ricorda.studio.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "runs", tmp_path / "texts")


@pytest.fixture
def texts(workspace: Workspace) -> Texts:
    return Texts(workspace, largest=100_000)


@pytest.mark.parametrize(
    "given, kept",
    [
        ("my.txt", "my.txt"),
        ("Dante, Inferno.md", "Dante-Inferno.txt"),
        ("../../etc/passwd", "passwd.txt"),
        ("..\\..\\boot.ini", "boot.txt"),
        ("/", "text.txt"),
        ("...", "text.txt"),
        (".hidden", "hidden.txt"),
        ("città\x00\n.txt", "città.txt"),
        ("x" * 300, "x" * 60 + ".txt"),
        ("", "text.txt"),
        ("names.CSV", "names.csv"),
        ("names.jsonl", "names.jsonl"),
    ],
)
def test_names_lead_nowhere_else(texts: Texts, workspace: Workspace, given: str, kept: str) -> None:
    assert texts.keep_now(given, [b"abcabc"]) == kept
    assert [path.name for path in workspace.texts.iterdir()] == [kept]


def test_a_name_that_is_taken_is_numbered(texts: Texts) -> None:
    names = [texts.keep_now("my.txt", [b"abc", b"abc"]) for _ in range(3)]
    assert names == ["my.txt", "my-2.txt", "my-3.txt"]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "empty"),
        (b"a", "one character"),
        (b"caf\xe9 caf\xe9", "my.txt"),
        (b"x" * 100_001, "at most 100,000 bytes"),
    ],
)
def test_what_cannot_be_learned_is_not_kept(
    texts: Texts, workspace: Workspace, content: bytes, message: str
) -> None:
    with pytest.raises(TextError, match=message):
        texts.keep_now("my.txt", [content])
    assert list(workspace.texts.iterdir()) == []


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp850", "UTF-8"])
def test_a_text_in_another_encoding_is_kept_in_utf8(
    texts: Texts, workspace: Workspace, encoding: str
) -> None:
    written = "perché no?\r\n" * 100
    content = written.encode(encoding)
    kept = texts.keep_now("my.txt", [content[:7], content[7:]], encoding)
    assert (workspace.texts / kept).read_bytes() == written.encode()


@pytest.mark.parametrize(
    "encoding, message", [("ascii", "my.txt"), ("base64", "not a text encoding")]
)
def test_an_encoding_that_does_not_fit_keeps_nothing(
    texts: Texts, workspace: Workspace, encoding: str, message: str
) -> None:
    with pytest.raises(TextError, match=message):
        texts.keep_now("my.txt", ["perché no?\n".encode() * 100], encoding)
    assert not list(workspace.texts.glob("*"))


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_compressed_text_is_kept_as_what_it_holds(
    texts: Texts, workspace: Workspace, compress: Callable[[bytes], bytes]
) -> None:
    written = "perché no?\n".encode("latin-1") * 100
    kept = texts.keep_now("my.txt.gz", [compress(written)], "latin-1")
    assert (workspace.texts / kept).read_bytes() == written.decode("latin-1").encode()
    kept = texts.keep_now("my.gz", [compress(b"abc\n" * 100)])
    assert (workspace.texts / kept).read_bytes() == b"abc\n" * 100


def test_a_compressed_text_may_hold_no_more_than_another(
    texts: Texts, workspace: Workspace
) -> None:
    with pytest.raises(TextError, match="more than"):
        texts.keep_now("my.gz", [gzip.compress(b"abcd" * 50_000)])
    assert list(workspace.texts.iterdir()) == []


def test_a_text_is_checked_beside_what_the_server_does(
    texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    monkeypatch.setattr(module, "_check", lambda path: threads.append(threading.get_ident()))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"abcabc"

    def keep() -> int:
        asyncio.run(texts.keep("my.txt", pieces()))
        return threading.get_ident()

    with ThreadPoolExecutor(1) as executor:  # in this one a browser's event loop may run
        loop = executor.submit(keep).result()
    assert len(threads) == 1
    assert threads != [loop]


def test_a_run_that_learned_a_compressed_text_is_read_as_it_was(
    texts: Texts, workspace: Workspace
) -> None:
    workspace.texts.mkdir()
    text = workspace.texts / "my.gz"
    text.write_bytes(gzip.compress(b"abcabc\n" * 100))
    assert texts.stretch(Reading((str(text),)), 0, 3) == ("abc",)
    packed = Reading((str(text),), "bytes", decompress="off")
    assert texts.facts(packed)["symbols"] == text.stat().st_size
    assert packed.words[-2:] == ["--decompress", "off"]
    limited = Reading((str(text),), max_decompressed="100 B")
    assert limited.words[-2:] == ["--max-decompressed", "100 B"]
    with pytest.raises(TextError, match="more than"):
        texts.stretch(limited, 0, 3)


def test_facts(texts: Texts) -> None:
    name = texts.keep_now("my.txt", ["perché no?\n".encode() * 100])
    facts = texts.facts(texts.reading(name))
    assert (facts["characters"], facts["bytes"]) == (1100, 1200)
    assert facts["training"] + facts["validation"] == 1100
    assert facts["different"] == 11
    assert facts["frequent"][-1][1] == 100
    assert facts["beginning"].startswith("perché no?\nperché")
    by_bytes = texts.facts(texts.reading(name, "bytes"))
    assert (by_bytes["symbols"], by_bytes["different"]) == (1200, 12)


def test_a_stretch_of_a_text(texts: Texts) -> None:
    reading = texts.reading(texts.keep_now("my.txt", ["àbcdefgh".encode() * 20]))
    assert texts.stretch(reading, 0, 3) == ("àbc",)
    assert texts.stretch(reading, 158, 100) == ("gh",)
    assert texts.stretch(reading, 500, 10) == ("",)


def test_a_text_that_changed_is_read_again(texts: Texts, workspace: Workspace) -> None:
    name = texts.keep_now("my.txt", [b"abcabc"])
    path = workspace.texts / name
    assert texts.facts(texts.reading(name))["characters"] == 6
    path.write_text("xyz" * 5)
    os.utime(path, ns=(1, 1))
    assert texts.facts(texts.reading(name))["characters"] == 15


def test_unknown_names(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("abc")
    for name in ("none.txt", "../secret.txt", str(tmp_path / "secret.txt")):
        with pytest.raises(TextError, match="found none"):
            workspace.text(name)
        with pytest.raises(RunError, match="found none"):
            workspace.run(name)


def test_the_samples() -> None:
    pattern = b"".join(sample_text("pattern")).decode()
    assert pattern.startswith("aaaaabbbbbccccacdddddaaaaabbbbb")
    assert set(pattern) == set("abcd")
    library = b"".join(sample_text("library"))
    assert 100_000 < len(library) <= LIBRARY_BYTES
    assert library.decode().count("def ") > 100
    assert list(SAMPLES) == ["pattern", "pinocchio", "raven", "library"]
    with pytest.raises(TextError, match="pattern, pinocchio, raven, library"):
        b"".join(sample_text("other"))


@pytest.mark.parametrize(
    "name, title, last, lines",
    [
        ("pinocchio", "Le avventure di Pinocchio", "turchina dalla gran paura.", 27),
        ("raven", "The Raven", "Shall be lifted—nevermore!", 109),
    ],
)
def test_literature_is_shipped_with_its_source(
    name: str, title: str, last: str, lines: int
) -> None:
    text = b"".join(sample_text(name)).decode()
    assert text.startswith(f"{title}\n\n")
    assert text.endswith(f"{last}\n")
    assert len(list(filter(None, text.splitlines()))) == lines
    sources = files("ricorda.studio").joinpath("samples", "SOURCES.md").read_text("utf-8")
    [row] = [line for line in sources.splitlines() if f"`{LITERARY[name]}`" in line]
    assert "public domain" in row
    assert title in row


def test_a_reading_as_a_command_line_says_it() -> None:
    assert Reading(("a b.txt",)).words == ["a b.txt"]
    assert Reading(("-n.txt", "-")).words == ["./-n.txt", "-"]
    exact = Reading(("a",), validation_fraction=0.12345678)
    assert exact.words == ["a", "--validation-fraction", "0.12345678"]
    reading = Reading(("a",), "bytes", "latin-1", "keep", 0.25)
    assert reading.words == [
        *("a", "--vocabulary", "bytes", "--encoding", "latin-1"),
        *("--newlines", "keep", "--validation-fraction", "0.25"),
    ]
