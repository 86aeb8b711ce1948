"""Read tar and ZIP archives as folders of files, without unpacking them.

Members are read in the order in which they are stored. Like files in a folder, hidden members,
links and devices are left out, as are names that lead out of the archive, nested archives and
compressed members, and members that a later one of the same name replaces. All that an archive
holds is limited together, as one compressed file is.
"""

import io
import lzma
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Self, TypeVar

from ricorda.errors import TextError
from ricorda.text.compression import (
    FREE_BYTES,
    LARGEST_RATIO,
    Decompression,
    decompressed,
    head_of,
    kind_of,
    too_large,
)
from ricorda.text.contents import TAR, ZIP, content_of
from ricorda.text.decoding import HEAD_BYTES
from ricorda.text.file_names import displayed

Result = TypeVar("Result")
ArchiveKind = Literal["tar", "zip"]
MemberReason = Literal["hidden", "not a regular file", "an unsafe name"]

LARGEST_HEADER = 1 << 20
"""Bytes of a long name or of extended attributes in a tar archive."""

MOST_MEMBERS = 1 << 22
"""Members of an archive, each of which costs time."""

_READ_BYTES = 1 << 20
_ENCRYPTED = 0x1  # a member's flag


class Member(NamedTuple):
    """A file inside an archive."""

    number: int
    """Its place among all that the archive stores."""

    name: str

    size: int
    """Its bytes, unpacked."""


class Entry(NamedTuple):
    """What an archive stores: a file to look at, or something to leave out, with the reason."""

    member: Member
    head: bytes
    reason: MemberReason | None


def archive_kind(head: bytes, *, decompress: bool = True) -> ArchiveKind | None:
    """Return what kind of archive begins with these bytes, perhaps inside compressed data."""
    kind = kind_of(head) if decompress else None
    content = content_of(head if kind is None else head_of(kind, head))
    if content is ZIP and kind is None:
        return "zip"
    return "tar" if content is TAR else None


class Archive(ABC):
    """An open archive, whose files are read one after another; use it in a `with` block."""

    number = -1  # of the member that was read last

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self.path = path

    def can_read(self, path: Path, member: Member) -> bool:
        """Return whether this is the archive at `path`, not yet beyond a member."""
        return path == self.path and member.number > self.number

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield all that is stored. Raises TextError for a damaged archive."""

    @abstractmethod
    def pieces(self, member: Member) -> Iterator[bytes]:
        """Yield the contents of a member, which comes after those read before."""

    @abstractmethod
    def close(self) -> None:
        """Close the archive."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_archive(name: str, path: Path, decompression: Decompression) -> Archive:
    """Open an archive of either kind. Raises TextError if it is none, OSError."""
    with path.open("rb") as file:
        kind = archive_kind(file.read(HEAD_BYTES))
    if kind is None:
        raise _changed(name)
    return (_Tar if kind == "tar" else _Zip)(name, path, decompression.limit)


def _changed(name: str) -> TextError:
    return TextError(f"{name}: the archive changed while it was read: try again")


def unsafe_name(name: str) -> bool:
    """Return whether a member's name is absolute or leads out of the archive."""
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":")


def _reason_by_name(name: str) -> MemberReason | None:
    if not name or unsafe_name(name) or "\0" in name:
        return "an unsafe name"
    if any(part.startswith(".") and part != "." for part in name.split("/")):
        return "hidden"
    return None


class _TarInfo(tarfile.TarInfo):
    """A header whose long name, which tarfile holds in memory, is bounded.

    A damaged header is an error, where tarfile would end the archive.
    """

    _EXTENDED = (
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    )

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header. Raises ReadError for one that is damaged or too long."""
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if bytes(buf).strip(b"\0"):
                raise tarfile.ReadError(str(error)) from error
            raise  # the end
        if found.type in cls._EXTENDED and found.size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a name of {found.size:,} bytes")
        return found


class _Tar(Archive):
    """A tar archive, perhaps compressed, which is read from its beginning to its end."""

    def __init__(self, name: str, path: Path, limit: int | None) -> None:
        super().__init__(name, path)
        self._file = path.open("rb")
        try:
            self._tar = tarfile.open(  # noqa: SIM115 (closed by `close`)
                fileobj=self._stream(limit),
                mode="r|",
                tarinfo=_TarInfo,
                encoding="utf-8",
                errors="surrogateescape",
            )
        except tarfile.TarError as error:
            self._file.close()
            raise self._damaged(error) from error
        except BaseException:
            self._file.close()
            raise

    def _stream(self, limit: int | None) -> IO[bytes]:
        kind = kind_of(self._file.read(HEAD_BYTES))
        self._file.seek(0)
        if kind is None:
            return self._file
        raw = iter(lambda: self._file.read(_READ_BYTES), b"")
        return io.BufferedReader(_Stream(decompressed(self._name, kind, raw, limit)))

    def entries(self) -> Iterator[Entry]:
        while (info := self._next()) is not None:
            reason = _reason_by_name(info.name)
            if reason is None and (not info.isreg() or info.issparse()):
                reason = "not a regular file"
            member = Member(self.number, info.name.removeprefix("./"), info.size)
            if info.isdir():
                continue
            yield Entry(member, b"" if reason else self._head(info), reason)

    def _head(self, info: tarfile.TarInfo) -> bytes:
        file = self._tar.extractfile(info)
        return b"" if file is None else self._read(file, HEAD_BYTES)

    def pieces(self, member: Member) -> Iterator[bytes]:
        while self.number < member.number:
            info = self._next()
            if info is None:
                break
            if self.number == member.number and info.name.removeprefix("./") == member.name:
                file = self._tar.extractfile(info)
                if file is None:
                    break
                while data := self._read(file, _READ_BYTES):
                    yield data
                return
        raise _changed(self._name)

    def _next(self) -> tarfile.TarInfo | None:
        try:
            info = self._tar.next()
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise self._damaged(error) from error
        self._tar.members.clear()  # type: ignore[attr-defined] # else it keeps all of them
        if info is None:
            return None
        self.number += 1
        if self.number > MOST_MEMBERS:
            raise TextError(
                f"{self._name}: over {MOST_MEMBERS:,} members in one archive: unpack it into a "
                "folder and name that folder"
            )
        return info

    def _read(self, file: IO[bytes], size: int) -> bytes:
        try:
            return file.read(size)
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> TextError:
        return TextError(
            f"{self._name}: expected a whole tar archive, but it is damaged or truncated "
            f"({error}): download it again, or unpack what is there (tar -xf) and name the folder"
        )

    def close(self) -> None:
        with suppress(Exception):
            self._tar.close()
        self._file.close()


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file that can be read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count


_DAMAGED = (*(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError),)
"""What zipfile raises for a damaged member."""


class _Zip(Archive):
    """A ZIP archive, whose list of members is at its end; they may be read in any order."""

    def __init__(self, name: str, path: Path, limit: int | None) -> None:
        super().__init__(name, path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise self._damaged(error) from error
        try:
            self._check_size(path.stat().st_size, limit)
        except BaseException:
            self._zip.close()
            raise

    def _check_size(self, packed: int, limit: int | None) -> None:
        """Refuse a bomb by the sizes that it states, which reading holds it to."""
        stated = sum(info.file_size for info in self._zip.infolist())
        most = max(FREE_BYTES, LARGEST_RATIO * packed) if limit is None else limit
        if stated > most:
            raise too_large(self._name, "zip", packed, most, limit)

    def entries(self) -> Iterator[Entry]:
        for number, info in enumerate(self._zip.infolist()):
            if info.is_dir():
                continue
            name = info.filename.removeprefix("./")
            reason = _reason_by_name(info.filename)
            if reason is None and not _is_regular(info):
                reason = "not a regular file"
            head = b"" if reason else self._head(info)
            yield Entry(Member(number, name, info.file_size), head, reason)

    def _head(self, info: zipfile.ZipInfo) -> bytes:
        with self._opened(info) as file:
            return self._read(file, HEAD_BYTES, info)

    def pieces(self, member: Member) -> Iterator[bytes]:
        infos: Sequence[zipfile.ZipInfo] = self._zip.infolist()
        info = infos[member.number] if member.number < len(infos) else None
        if info is None or info.filename.removeprefix("./") != member.name:
            raise _changed(self._name)
        with self._opened(info) as file:
            yield from iter(lambda: self._read(file, _READ_BYTES, info), b"")

    def _opened(self, info: zipfile.ZipInfo) -> AbstractContextManager[IO[bytes]]:
        if info.flag_bits & _ENCRYPTED:
            raise TextError(
                f"{self._name}/{displayed(info.filename)}: an encrypted member: unpack the archive "
                "(unzip asks for the password) into a folder and name that folder"
            )
        return self._guarded(lambda: self._zip.open(info), info)

    def _read(self, file: IO[bytes], size: int, info: zipfile.ZipInfo) -> bytes:
        return self._guarded(lambda: file.read(size), info)

    def _guarded(self, act: Callable[[], Result], info: zipfile.ZipInfo) -> Result:
        try:
            return act()
        except NotImplementedError as error:
            raise TextError(
                f"{self._name}/{displayed(info.filename)}: compressed in a way that Python cannot "
                f"read ({error}): unpack the archive into a folder and name that folder"
            ) from error
        except _DAMAGED as error:
            raise self._damaged(error, info.filename) from error
        except OSError as error:
            if error.errno is not None:  # an error of the system; bzip2's have no number
                raise
            raise self._damaged(error, info.filename) from error

    def _damaged(self, error: Exception, member: str = "") -> TextError:
        where = f"{self._name}/{displayed(member)}" if member else self._name
        return TextError(
            f"{where}: expected a whole ZIP archive, but it is damaged or truncated ({error}): "
            "download it again, or test it with unzip -t"
        )

    def close(self) -> None:
        self._zip.close()


def _is_regular(info: zipfile.ZipInfo) -> bool:
    """Whether the file system that packed a member says so, if it says anything."""
    kind = info.external_attr >> 28
    return kind in (0, 0o10)
