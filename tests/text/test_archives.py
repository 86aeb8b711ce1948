"""Archives read as folders: what is read, what is left out, bombs and damage."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ricorda.errors import TextError
from ricorda.text import LeftOut, ReadingSettings, find_sources, read_documents, read_text
from ricorda.text.archives import archive_kind, unsafe_name

MEMBERS = {"b.txt": "second\n", "a.txt": "first", "deep/er/c.md": "più\n" * 5000, "empty.txt": ""}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tgz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": zstandard.ZstdCompressor().compress,
}


def tar(members: dict[str, str | bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=form) as archive:
        for name, text in members.items():
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return whole.getvalue()


def zipped(members: dict[str, Any], way: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", way) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return whole.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read(path: Path, **options: Any) -> dict[str, str]:
    """The texts by the names of their sources."""
    reading = ReadingSettings(**options)
    return {
        each.source.name.removeprefix(f"{path}/"): each.text
        for each in read_documents(reading.find([path]), reading)
    }


def error_of(path: Path, **options: Any) -> str:
    with pytest.raises(TextError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    return message


READ = {"b.txt": "second", "a.txt": "first", "deep/er/c.md": ("più\n" * 5000)[:-1]}


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tar_archives_are_folders(tmp_path: Path, ending: str, form: int) -> None:
    path = write(tmp_path / f"x.{ending}", COMPRESS[ending](tar({**MEMBERS}, form)))
    found = read(path)
    assert found == READ
    assert list(found) == list(READ), "as they are stored"
    sources = find_sources([path])
    assert sources.is_collection
    assert [source.size for source in sources] == [7, 5, 25000, 0]
    assert "".join(read_text(sources)) == "second\nfirst\n" + "più\n" * 5000


@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip_archives_are_folders(tmp_path: Path, way: int) -> None:
    path = write(tmp_path / "x.zip", zipped(MEMBERS, way))
    assert read(path) == READ
    assert list(read(path)) == list(READ)
    assert [source.name for source in find_sources([path])] == [
        f"{path}/{name}" for name in MEMBERS
    ]


def test_sources_can_be_read_in_any_order(tmp_path: Path) -> None:
    for path in (
        write(tmp_path / "x.zip", zipped(MEMBERS)),
        write(tmp_path / "x.tar", tar({**MEMBERS})),
    ):
        sources = [*find_sources([path])][::-1]
        other = [*find_sources([write(tmp_path / "y.txt", b"other")])]
        found = read_documents([*sources, *other, *sources], ReadingSettings(documents="files"))
        assert [each.text for each in found] == [
            *[*READ.values()][::-1],
            "other",
            *[*READ.values()][::-1],
        ]


def left_out(path: Path) -> dict[str, str]:
    items: list[LeftOut] = []
    find_sources([path], on_left_out=items.append)
    assert all(item.name.isprintable() for item in items)
    return {item.name.removeprefix(f"{path}/"): item.reason for item in items}


ODD: dict[str, bytes] = {
    "fine.txt": b"fine",
    "/etc/absolute.txt": b"text",
    "../above.txt": b"text",
    "C:\\windows.txt": b"text",
    ".hidden/a.txt": b"text",
    "inner.zip": zipped({"a.txt": "text"}),
    "inner.tar": tar({"a.txt": "text"}),
    "inner.txt.gz": gzip.compress(b"text"),
    "picture.png": b"\x89PNG\r\n\x1a\n\0\0",
    "zero.txt": b"a\0b",
    "e\x1b[31m.txt": b"red",
}
REASONS = {
    "/etc/absolute.txt": "an unsafe name",
    "../above.txt": "an unsafe name",
    "C:\\windows.txt": "an unsafe name",
    ".hidden/a.txt": "hidden",
    "inner.zip": "an archive",
    "inner.tar": "an archive",
    "inner.txt.gz": "an archive",
    "picture.png": "binary",
    "zero.txt": "binary",
}


def named(path: Path) -> dict[str, str]:
    """The reasons, by the end of the name."""
    return {name.rpartition("/")[2]: reason for name, reason in left_out(path).items()}


def test_what_is_left_out(tmp_path: Path) -> None:
    expected = {name.rpartition("/")[2]: reason for name, reason in REASONS.items()}
    for path in (
        write(tmp_path / "x.tar.gz", gzip.compress(tar({**ODD}))),
        write(tmp_path / "x.zip", zipped(ODD)),
    ):
        assert read(path) == {"fine.txt": "fine", "e\\x1b[31m.txt": "red"}
        assert named(path) == expected


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, type in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = type, "/etc/passwd"
            archive.addfile(member)
        device = tarfile.TarInfo("device")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    path = write(tmp_path / "x.tar", whole.getvalue())
    regular = "not a regular file"
    assert "x.tar: an archive without text: only" in error_of(path)
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    assert left_out(path) == {"link": regular, "hard": regular, "device": regular}
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive_:
        archive_.writestr(link, "/etc/passwd")
        archive_.writestr("a.txt", "a")
    assert left_out(write(tmp_path / "x.zip", data.getvalue())) == {"link": regular}


def test_of_one_name_the_last_is_read(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for text in (b"old", b"new"):
            member = tarfile.TarInfo("a.txt")
            member.size = 3
            archive.addfile(member, io.BytesIO(text))
    path = write(tmp_path / "x.tar", whole.getvalue())
    assert read(path) == {"a.txt": "new"}
    assert left_out(path) == {"a.txt": "replaced by a later copy"}


def test_an_archive_is_read_once_and_folders_leave_archives_out(tmp_path: Path) -> None:
    path = write(tmp_path / "x.zip", zipped({"a.txt": "a"}))
    write(tmp_path / "b.txt", b"b")
    assert len(find_sources([path, path])) == 1
    assert [source.name for source in find_sources([tmp_path])] == [f"{tmp_path}/b.txt"]
    assert len(find_sources([f"{tmp_path}/*.zip"])) == 1


def test_labels_come_from_folders_and_names_in_the_archive(tmp_path: Path) -> None:
    path = write(tmp_path / "names.zip", zipped({"it/Rossi.txt": "a\nb", "Smith.txt": "c"}))
    settings = ReadingSettings(documents="lines", label_from="folder")
    found = [(each.text, each.label) for each in read_documents(settings.find([path]), settings)]
    assert found == [("a", "it"), ("b", "it"), ("c", "names")]


def test_tables_in_archives(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.tar.gz", gzip.compress(tar({"a.csv": "t\nx\n", "b.jsonl": '{"t": "y"}'}))
    )
    assert list(read(path, field="t").values()) == ["x", "y"]


def test_bombs_are_refused(tmp_path: Path) -> None:
    size = 80 << 20
    path = write(tmp_path / "x.zip", zipped({"a.txt": b"a" * size}))
    assert "like a decompression bomb (zip)" in error_of(path)
    packed = gzip.compress(tar({"a.txt": b"a" * (40 << 20), "b.txt": b"a" * (40 << 20)}), 9)
    assert "like a decompression bomb (gzip)" in error_of(write(tmp_path / "x.tgz", packed))
    for name in ("x.zip", "x.tgz"):
        small = error_of(tmp_path / name, max_decompressed="1MB")
        assert "more than --max-decompressed 1 MB" in small
    assert len(find_sources([path], max_decompressed=size)) == 1


def test_the_limit_is_one_for_all_members(tmp_path: Path) -> None:
    members = {f"{number}.txt": os.urandom(300).hex() for number in range(9)}
    for path in (
        write(tmp_path / "x.zip", zipped(members)),
        write(tmp_path / "x.tgz", gzip.compress(tar({**members}))),
    ):
        assert "more than --max-decompressed 3 kB" in error_of(path, max_decompressed="3000B")
        assert len(read(path, max_decompressed="30000B")) == 9


def test_a_long_name_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 8 << 20
    whole = tar({"a.txt": "a"})[:1024] + header.tobuf() + b"x" * (8 << 20)
    assert "damaged or truncated (a name of 8,388,608 bytes)" in error_of(
        write(tmp_path / "x.tar", whole)
    )


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_archives_are_one_clear_line(tmp_path: Path, ending: str, share: float) -> None:
    members = {f"{number}.txt": os.urandom(5000).hex() for number in range(9)}
    whole = zipped(members) if ending == "zip" else COMPRESS[ending](tar({**members}))
    message = error_of(write(tmp_path / f"x.{ending}", whole[: int(share * len(whole))]))
    assert "download it again" in message or "decompress the part" in message


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    whole = bytearray(tar({"a.txt": "a", "b.txt": "b"}))
    whole[1024 + 20] = ord("!")
    assert "damaged or truncated" in error_of(write(tmp_path / "x.tar", bytes(whole)))


def test_a_damaged_and_an_encrypted_member_of_a_zip(tmp_path: Path) -> None:
    whole = bytearray(zipped({"a.txt": "hello " * 99}, zipfile.ZIP_STORED))
    whole[60] ^= 1
    assert "x.zip/a.txt: expected a whole ZIP archive" in error_of(
        write(tmp_path / "x.zip", bytes(whole))
    )
    whole = bytearray(zipped({"a.txt": "hello"}))
    whole[6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    assert "x.zip/a.txt: an encrypted member" in error_of(write(tmp_path / "x.zip", bytes(whole)))


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_does_not_unpack(tmp_path: Path, way: int) -> None:
    whole = bytearray(zipped({"a.txt": "hello world " * 999}, way))
    begin = whole.index(b"a.txt") + len("a.txt")
    whole[begin + 10 : begin + 40] = b"\xff" * 30
    assert "x.zip/a.txt: expected a whole ZIP archive" in error_of(
        write(tmp_path / "x.zip", bytes(whole))
    )


def test_an_archive_without_text(tmp_path: Path) -> None:
    assert "without text" in error_of(write(tmp_path / "x.zip", zipped({})))
    assert "without text" in error_of(
        write(tmp_path / "y.zip", zipped({"a.png": b"\x89PNG\r\n\x1a\n\0"}))
    )


def test_archives_can_be_read_as_bytes(tmp_path: Path) -> None:
    data = zipped({"a.txt": "a"})
    path = write(tmp_path / "x.zip", data)
    (source,) = find_sources([path], decompress=False)
    assert source.member is None
    assert source.size == len(data)
    settings = ReadingSettings(decompress="off", encoding="latin-1", documents="text")
    with pytest.raises(TextError, match="it is a ZIP archive"):
        list(read_documents([source], settings))


def test_kinds_and_names() -> None:
    assert archive_kind(tar({"a": "a"})[:8192]) == "tar"
    assert archive_kind(gzip.compress(tar({"a": "a"}))[:8192]) == "tar"
    assert archive_kind(gzip.compress(tar({"a": "a"}))[:8192], decompress=False) is None
    assert archive_kind(zipped({"a": "a"})) == "zip"
    assert archive_kind(zipped({"word/document.xml": "a"})) is None
    assert archive_kind(b"a text") is None
    for name in ("/a", "\\a", "a/../b", "..", "c:a", "a\\..\\b"):
        assert unsafe_name(name)
    for name in ("a", "a/b..c", "a...", "ab:c"):
        assert not unsafe_name(name)
