"""Compress a file and restore it: complete or not at all."""

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ricorda.compression.archive import CHUNK, CheckedWriter, Header, Method, damaged, verify
from ricorda.compression.coders import decode, encoder_for, table_bits_for
from ricorda.durable import flush, flush_folder, partial_name
from ricorda.errors import ArchiveError

SUFFIX = ".ricorda"

Progress = Callable[[int, int, int], None]
"""Receives the bytes of the content that are done, all of them, and the bytes of code so far."""


def _silent(done: int, size: int, code: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Compressed:
    """What compressing or restoring a file came to."""

    path: Path
    """The file that was written."""

    method: Method
    size: int
    """Of the content, in bytes."""

    compressed_size: int
    """Of the archive, in bytes."""

    @property
    def bits_per_byte(self) -> float:
        """The size of the archive in bits for each byte of the content; 0 for an empty one."""
        return 8 * self.compressed_size / self.size if self.size else 0.0


def compress_file(
    source: Path, target: Path | None = None, *, force: bool = False, progress: Progress = _silent
) -> Compressed:
    """Compress a file by the method that makes it smallest.

    The target is by default beside the source, with `.ricorda` added to its name; an existing file
    is replaced only with `force`. Raises ArchiveError if the target exists or the file changes
    meanwhile, OSError if the disk refuses.
    """
    target = source.with_name(source.name + SUFFIX) if target is None else target
    _refuse_existing(target, source, force)
    size, digest = _measure(source)
    with _Candidates(target) as candidates:
        for method in (Method.STORED, Method.LZMA, Method.MIXED):
            bits = table_bits_for(size) if method is Method.MIXED else 0
            candidates.add(source, Header(method, size, digest, bits), progress)
        return candidates.keep()


def decompress_file(
    source: Path, target: Path | None = None, *, force: bool = False, progress: Progress = _silent
) -> Compressed:
    """Restore the file that `compress_file` compressed.

    The target is by default the source without `.ricorda`; an existing file is replaced only with
    `force`. Raises ArchiveError if the source is damaged or no archive, or the target exists;
    nothing is left behind then.
    """
    if target is None:
        if source.suffix != SUFFIX:
            raise ArchiveError(f"{source} does not end with {SUFFIX}: name the result with --out")
        target = source.with_suffix("")
    _refuse_existing(target, source, force)
    code_size = verify(source)
    with source.open("rb") as archive:
        header = Header.read(archive, str(source))
        with _replacing(target) as file:
            digest, done = hashlib.sha256(), 0
            for chunk in decode(archive, code_size, header, str(source)):
                digest.update(chunk)
                file.write(chunk)
                done += len(chunk)
                progress(done, header.size, archive.tell())
            if digest.digest() != header.content_digest:
                raise damaged(str(source))
            flush(file)
    return Compressed(target, header.method, header.size, source.stat().st_size)


class _Candidates:
    """Archives of one file by different methods; the smallest becomes the target."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._best: tuple[int, Path, Header] | None = None

    def __enter__(self) -> "_Candidates":
        return self

    def add(self, source: Path, header: Header, progress: Progress) -> None:
        """Write the archive of a method, unless it becomes larger than the best so far."""
        path = self._target.with_name(partial_name(secrets.token_hex(8)))
        try:
            size = self._write(path, source, header, progress)
            if self._best is None or size < self._best[0]:
                (self._best, path) = (size, path, header), self._best[1] if self._best else path
        finally:
            if self._best is None or path != self._best[1]:
                path.unlink(missing_ok=True)

    def _write(self, path: Path, source: Path, header: Header, progress: Progress) -> int:
        """Write an archive; return its size, or that of its beginning once it is too large."""
        with path.open("xb") as file, source.open("rb") as content:
            writer, done, digest = CheckedWriter(file, header), 0, hashlib.sha256()
            for read, code in encoder_for(header.method)(_hashed(content, digest), header):
                writer.write(code)
                done += read
                if header.method is not Method.STORED:
                    progress(done, header.size, writer.size)
                if self._best is not None and writer.size >= self._best[0]:
                    return writer.size
            if digest.digest() != header.content_digest:
                raise ArchiveError(f"{source} changed while it was read: compress it again")
            writer.finish()
            flush(file)
        return writer.size

    def keep(self) -> Compressed:
        """Make the smallest archive the target. Raises OSError."""
        assert self._best is not None, "no method was tried"
        size, path, header = self._best
        path.replace(self._target)
        flush_folder(self._target.parent)
        return Compressed(self._target, header.method, header.size, size)

    def __exit__(self, *_: object) -> None:
        if self._best is not None:
            self._best[1].unlink(missing_ok=True)


def _hashed(file: IO[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    while data := file.read(CHUNK):
        digest.update(data)
        yield data


def _measure(path: Path) -> tuple[int, bytes]:
    """Return a file's size and SHA-256. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = sum(len(data) for data in _hashed(file, digest))
    return size, digest.digest()


def _refuse_existing(target: Path, source: Path, force: bool) -> None:
    """Raise ArchiveError where writing would destroy a file that is not to be replaced."""
    if target.exists() and source.exists() and target.samefile(source):
        raise ArchiveError(f"{target} is the file that is read: name another with --out")
    if target.is_dir():
        raise ArchiveError(f"expected a file or nothing at {target}, found a folder")
    if (target.exists() or target.is_symlink()) and not force:
        raise ArchiveError(f"{target} exists: name another file with --out, or give --force")


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """Write a file beside the target, which it becomes if nothing fails."""
    path = target.with_name(partial_name(secrets.token_hex(8)))
    try:
        with path.open("xb") as file:
            yield file
        path.replace(target)
        flush_folder(target.parent)
    finally:
        path.unlink(missing_ok=True)
