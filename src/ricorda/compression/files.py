"""Compress a file and restore it: complete or not at all."""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from ricorda.compression.archive import CHUNK, CheckedWriter, Header, Method, damaged, verify
from ricorda.compression.coders import (
    NETWORK_FROM,
    NETWORK_TO,
    Setting,
    decode,
    encode,
    table_bits_for,
)
from ricorda.compression.models import TrainedModel
from ricorda.durable import check_output, flush, flush_folder, partial_name, replacing
from ricorda.errors import ArchiveError

SUFFIX = ".ricorda"

Progress = Callable[[int, int, int], None]
"""Receives the bytes of the content that are done, all of them, and the bytes of code so far."""


def _silent(done: int, size: int, code: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Compressed:
    """The result of compressing or restoring a file."""

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
    source: Path,
    target: Path | None = None,
    *,
    model: TrainedModel | None = None,
    threads: int = 2,
    kernels: str = "",
    force: bool = False,
    progress: Progress = _silent,
) -> Compressed:
    """Compress a file by the method that makes it smallest.

    The target is by default beside the source, with `.ricorda` added to its name; an existing file
    is replaced only with `force`. A trained `model` is needed again to restore the file. The number
    of threads and the instruction set `kernels` change no byte. Raises ArchiveError if the target
    exists or the file changes meanwhile, OSError if the disk refuses.
    """
    _check_source(source)
    target = source.with_name(source.name + SUFFIX) if target is None else target
    _check_target(target, source, force)
    size, digest = _measure(source)
    plain, bits = Header(Method.STORED, size, digest), table_bits_for(size)
    if model is not None:
        # a model of one symbol would leave no bits to code, and no bound for a content's size
        escapes = model.file.vocabulary.size == 1 or _has_unknown(source, model)
        best = replace(plain, method=Method.TRAINED, escapes=escapes, model_digest=model.digest)
    else:
        with_network = NETWORK_FROM <= size <= NETWORK_TO
        best = replace(plain, method=Method.NETWORK if with_network else Method.MIXED)
    setting = Setting(model, threads, kernels)
    with _Candidates(source, target, setting, progress) as candidates:
        for header in (plain, replace(plain, method=Method.LZMA), replace(best, table_bits=bits)):
            candidates.add(header)
        return candidates.keep()


def decompress_file(
    source: Path,
    target: Path | None = None,
    *,
    model: TrainedModel | None = None,
    threads: int = 2,
    kernels: str = "",
    force: bool = False,
    progress: Progress = _silent,
) -> Compressed:
    """Restore the file that `compress_file` compressed, with the model that it was given, if any.

    The target is by default the source without `.ricorda`; an existing file is replaced only with
    `force`. Raises ArchiveError if the source is damaged or no archive, or the target exists;
    nothing is left behind then.
    """
    _check_source(source)
    if target is None:
        if source.suffix != SUFFIX:
            raise ArchiveError(f"{source} does not end with {SUFFIX}: name the result with --out")
        target = source.with_suffix("")
    _check_target(target, source, force)
    code_size = verify(source)
    with source.open("rb") as archive:
        header = Header.read(archive, str(source))
        _check_model(header, model, str(source))
        setting = Setting(model, threads, kernels)
        with replacing(target) as file:
            digest, done = hashlib.sha256(), 0
            for chunk in decode(archive, code_size, header, setting, str(source)):
                digest.update(chunk)
                file.write(chunk)
                done += len(chunk)
                progress(done, header.size, archive.tell())
            if digest.digest() != header.content_digest:
                raise damaged(str(source))
    return Compressed(target, header.method, header.size, source.stat().st_size)


class _Candidates:
    """Archives of one file by different methods; the smallest becomes the target."""

    def __init__(self, source: Path, target: Path, setting: Setting, progress: Progress) -> None:
        self._source, self._target = source, target
        self._setting, self._progress = setting, progress
        self._best: tuple[int, Path, Header] | None = None

    def __enter__(self) -> "_Candidates":
        return self

    def add(self, header: Header) -> None:
        """Write the archive of a method, unless it becomes larger than the best so far."""
        path = self._target.with_name(partial_name(secrets.token_hex(8)))
        rejected: Path | None = path
        try:
            size = self._write(path, header)
            if self._best is None or size < self._best[0]:
                rejected = self._best[1] if self._best else None
                self._best = (size, path, header)
        finally:
            if rejected is not None:
                rejected.unlink(missing_ok=True)

    def _write(self, path: Path, header: Header) -> int:
        """Write an archive; return its size, or that of its beginning once it is too large."""
        with path.open("xb") as file, self._source.open("rb") as content:
            writer, done, digest = CheckedWriter(file, header), 0, hashlib.sha256()
            for read, code in encode(_hashed(content, digest), header, self._setting):
                writer.write(code)
                done += read
                if header.method not in (Method.STORED, Method.LZMA):
                    self._progress(done, header.size, writer.size)
                if self._best is not None and writer.size >= self._best[0]:
                    return writer.size
            if digest.digest() != header.content_digest:
                raise ArchiveError(f"{self._source} changed while it was read: compress it again")
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


def _has_unknown(path: Path, model: TrainedModel) -> bool:
    """Return whether a file has bytes that are no character of the model."""
    alphabet = model.alphabet(escapes=False)
    known = len(alphabet.letters)
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            if (alphabet.encode(data, False) >= known).any():
                return True
    return bool((alphabet.encode(b"", True) >= known).any())


def _check_model(header: Header, model: TrainedModel | None, name: str) -> None:
    """Raise ArchiveError unless the model is the one that an archive needs."""
    if header.method is not Method.TRAINED:
        return
    needed = header.model_digest.hex()
    if model is None:
        raise ArchiveError(
            f"{name} was compressed with a model: give --model, a file whose SHA-256 is {needed}"
        )
    if model.digest != header.model_digest:
        raise ArchiveError(
            f"{name} was compressed with another model: expected one whose SHA-256 is {needed}, "
            f"got {model.digest.hex()}"
        )


def _measure(path: Path) -> tuple[int, bytes]:
    """Return a file's size and SHA-256. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = sum(len(data) for data in _hashed(file, digest))
    return size, digest.digest()


def _check_source(source: Path) -> None:
    """Raise ArchiveError unless a file is there."""
    if not source.is_file():
        found = "something else" if source.exists() else "nothing"
        raise ArchiveError(f"expected a file at {source}, found {found}")


def _check_target(target: Path, source: Path, force: bool) -> None:
    """Raise InputError where writing would destroy what is not to be replaced."""
    check_output(target, [source])
    if target.exists() and not force:
        raise ArchiveError(f"{target} exists: name another file with --out, or give --force")
