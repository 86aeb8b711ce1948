"""Finding the files that arguments name."""

import glob
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ricorda.errors import TextError
from ricorda.text import LeftOut, Source, find_sources


def write(path: Path, data: bytes = b"text\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(sources: Sequence[Source]) -> list[str]:
    return [source.name for source in sources]


def one_line_error(argument: str | Path) -> str:
    with pytest.raises(TextError) as caught:
        find_sources([argument])
    message = str(caught.value)
    assert message.isprintable(), "one line, nothing odd in it"
    return message


def test_files_come_in_the_order_given(tmp_path: Path) -> None:
    second, first = write(tmp_path / "b.txt"), write(tmp_path / "a.txt", b"12345")
    sources = find_sources([str(second), first])
    assert sources == [Source(str(second), second), Source(str(first), first)]
    assert [source.size for source in sources] == [5, 5]


def test_a_folder_is_read_recursively_and_sorted(tmp_path: Path) -> None:
    for name in ["c.txt", "b/z.txt", "b/a/1.txt", "a.txt", "b.txt"]:
        write(tmp_path / name)
    found = [str(Path(name).relative_to(tmp_path)) for name in names(find_sources([tmp_path]))]
    assert found == ["a.txt", "b/a/1.txt", "b/z.txt", "b.txt", "c.txt"]


def test_what_a_folder_leaves_out_is_reported(tmp_path: Path) -> None:
    text = write(tmp_path / "text.txt")
    late_zero = write(tmp_path / "zero_late.txt", b"a" * 8192 + b"\0")
    binary = write(tmp_path / "a.bin", b"a" * 8191 + b"\0")
    hidden = write(tmp_path / ".hidden")
    hidden_folder = write(tmp_path / ".git" / "config").parent
    broken = tmp_path / "broken"
    broken.symlink_to(tmp_path / "nowhere")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    left_out: list[LeftOut] = []
    assert names(find_sources([tmp_path], on_left_out=left_out.append)) == [
        str(text),
        str(late_zero),
    ]
    assert sorted(left_out) == [
        (hidden_folder, "hidden"),
        (hidden, "hidden"),
        (binary, "binary"),
        (broken, "a broken link"),
        (pipe, "not a regular file"),
    ]
    assert [item.name for item in left_out] == [str(item.path) for item in left_out]


@pytest.mark.parametrize("encoding, kept", [("utf-16", True), ("utf8", False), (None, False)])
def test_files_with_zeros_are_texts_in_another_encoding(
    tmp_path: Path, encoding: str | None, kept: bool
) -> None:
    write(tmp_path / "text.txt")
    write(tmp_path / "wide.txt", "wide".encode("utf-16"))
    assert len(find_sources([tmp_path], encoding=encoding)) == (2 if kept else 1)


def test_hidden_or_binary_files_are_read_where_named(tmp_path: Path) -> None:
    hidden = write(tmp_path / ".hidden" / "a.txt")
    binary = write(tmp_path / "binary", b"\0")
    assert len(find_sources([hidden, binary, tmp_path / ".hidden"])) == 2


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["b.txt", "a.txt", "c.md", "deep/er/d.txt", "deep/e.txt"]:
        write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert names(find_sources(["*.txt"])) == ["a.txt", "b.txt"]
    assert names(find_sources(["[bc].*"])) == ["b.txt", "c.md"]
    assert names(find_sources([str(tmp_path / "?.md")])) == [str(tmp_path / "c.md")]
    assert names(find_sources(["**/*.txt"])) == ["a.txt", "b.txt", "deep/e.txt", "deep/er/d.txt"]
    assert names(find_sources(["de*"])) == ["deep/e.txt", "deep/er/d.txt"]


def test_patterns_may_match_folders_without_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "texts" / "a.txt")
    (tmp_path / "texts.old").mkdir()
    monkeypatch.chdir(tmp_path)
    assert names(find_sources(["**"])) == ["texts/a.txt"]
    assert names(find_sources(["texts*"])) == ["texts/a.txt"]
    assert one_line_error("*.old") == "*.old: no text matches this pattern"


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    write(tmp_path / "a1.txt")
    odd = write(tmp_path / "a[1].txt")
    assert names(find_sources([odd])) == [str(odd)]


def test_each_file_is_read_once(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.txt"), write(tmp_path / "b.txt")
    (tmp_path / "link.txt").symlink_to(first)
    sources = find_sources([second, tmp_path, tmp_path / "*.txt", first, "-", "-"])
    assert names(sources) == [str(second), str(first), "standard input"]


def test_a_folder_met_again_gives_nothing_new(tmp_path: Path) -> None:
    for name in ["a/1.txt", "a/2.txt", "b/3.txt"]:
        write(tmp_path / name)
    (tmp_path / "b" / "link.txt").symlink_to(tmp_path / "a" / "1.txt")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    everything = [tmp_path / "a" / "2.txt", tmp_path, tmp_path / "a", tmp_path / "c"]
    expected = [str(tmp_path / name) for name in ["a/2.txt", "a/1.txt", "b/3.txt"]]
    assert names(find_sources(everything)) == expected


def test_many_sources_in_order(tmp_path: Path) -> None:
    for number in range(5000):
        (tmp_path / f"{number:04}.txt").write_bytes(b"a")
    sources = find_sources(["-", tmp_path])
    assert len(sources) == 5001
    assert sources[0].name == "standard input"
    assert [sources[place].path for place in (1, 4097, -1)] == [
        tmp_path / f"{number:04}.txt" for number in (0, 4096, 4999)
    ]
    assert list(sources.starting_at(4999)) == sources[4999:] == list(sources)[4999:]
    with pytest.raises(IndexError):
        sources[5001]


def test_standard_input_is_not_a_file() -> None:
    assert find_sources(["-"]) == [Source("standard input", None)]
    assert find_sources(["-"])[0].size is None


def test_a_pipe_may_be_named(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (source,) = find_sources([pipe])
    assert source.path == pipe
    assert source.size is None


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.txt")
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "more").symlink_to(tmp_path / "elsewhere")
    assert names(find_sources([tmp_path / "books"])) == [str(tmp_path / "books/more/a.txt")]


@pytest.mark.parametrize("target", [".", "..", "../../b"])
def test_a_loop_of_linked_folders_is_left_out(tmp_path: Path, target: str) -> None:
    write(tmp_path / "a" / "deep" / "a.txt")
    (tmp_path / "a" / "deep" / "loop").symlink_to(target)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "back").symlink_to(tmp_path / "a")
    left_out: list[LeftOut] = []
    found = find_sources([tmp_path / "a"], on_left_out=left_out.append)
    assert names(found) == [str(tmp_path / "a" / "deep" / "a.txt")]
    (item,) = left_out
    assert item.reason == "a loop of links"
    assert str(item.path).startswith(str(tmp_path / "a" / "deep" / "loop"))


@pytest.mark.timeout(60)
def test_a_pattern_does_not_go_round_a_loop_of_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a" / "deep" / "a.txt")
    write(tmp_path / "elsewhere" / "b.txt")
    links = [("self", "."), ("back", ".."), ("other", "../../elsewhere")]
    for name, target in links:
        (tmp_path / "a" / "deep" / name).symlink_to(target)
    monkeypatch.chdir(tmp_path)
    for pattern in (
        "a/**/*.txt",
        "a/**",
        "**/deep/**/*.txt",
        f"{glob.escape(str(tmp_path))}/a/**/",
    ):
        found = {Path(name).name for name in names(find_sources([pattern]))}
        assert found == {"a.txt", "b.txt"}, pattern
    (tmp_path / "a" / "0").symlink_to("0")
    assert len(find_sources(["**/*.txt"])) == 2


def test_two_deep_parts_of_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x/a/y/1.txt", "x/a/a/2.txt", "x/3.txt", ".x/a/4.txt", "a/**.txt", "x[1]/a/5.txt"):
        write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for pattern in (
        "**/a/**/*.txt",
        "x*/**/?.txt",
        "**/**",
        "**/*a/*",
        "a/**.txt",
        "./**/1.txt",
        "x//**//*.txt",
    ):
        expected = find_sources(sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
        assert {*map(os.path.realpath, names(find_sources([pattern])))} == {
            *map(os.path.realpath, names(expected))
        }


def test_links_that_form_a_loop_are_not_followed_for_ever(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    assert "symbolic links that form a loop" in one_line_error(tmp_path / "one")
    assert "(a loop of links)" in one_line_error(tmp_path)
    write(tmp_path / "text.txt")
    assert names(find_sources([tmp_path])) == [str(tmp_path / "text.txt")]


@pytest.mark.parametrize(
    "argument, expected",
    [
        ("missing.txt", "missing.txt: no such file or folder; check the name"),
        ("*.missing", "*.missing: no text matches this pattern"),
        ("", "an empty name given as text"),
        ("zero\0byte", "zero\\x00byte: cannot be read"),
        ("n" * 5000, "File name too long"),
        ("two\nlines", "two\\nlines: no such file or folder"),
    ],
)
def test_names_of_nothing(argument: str, expected: str) -> None:
    assert expected in one_line_error(argument)


def test_no_argument_at_all() -> None:
    with pytest.raises(TextError, match="no text given"):
        find_sources([])


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/urandom"])
def test_devices_are_refused(device: str) -> None:
    assert one_line_error(device) == f"{device}: a device or socket, not a text; name a file"


def test_sockets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert "a device or socket" in one_line_error("socket")


def test_folders_without_text(tmp_path: Path) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    assert one_line_error(folder) == (
        f"{folder}: a folder without text: put text files there or name another"
    )
    write(folder / ".hidden")
    assert f"{folder}/.hidden (hidden)" in one_line_error(folder)
    write(folder / "wide.txt", "wide".encode("utf-16"))
    message = one_line_error(folder)
    assert "1 file looks binary" in message
    assert f"{folder}/wide.txt" in message
    assert "--encoding utf-16" in message


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="'klingon': not a text encoding"):
        find_sources([write(tmp_path / "a.txt")], encoding="klingon")


@pytest.mark.skipif(sys.platform != "linux", reason="only there may names be any bytes")
def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caff\xe8.txt"
    Path(os.fsdecode(name)).write_text("text")
    assert names(find_sources([tmp_path])) == [f"{tmp_path}/caff\\xe8.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o000)
    assert "no permission to read it" in one_line_error(locked)


def test_permission_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.txt")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert one_line_error(tmp_path).startswith(f"{tmp_path}: no permission to read it")
