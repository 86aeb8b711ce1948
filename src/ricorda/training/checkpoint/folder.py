"""A run's checkpoints on the disk: written whole, checked when read, the newest kept.

checkpoints/STEP/ holds files and `manifest.json`, which has the size and SHA-256 of each, and of
itself. After a return to an earlier step the checkpoints are STEP.2, after another STEP.3, and so
on: the newest by order of writing is the last step of the highest number.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ricorda.durable import (
    flush_folder,
    open_untrusting,
    partial_name,
    refuse_link,
    remove_folder,
    remove_leftovers,
    write_new,
)
from ricorda.errors import RunError
from ricorda.validation import parse_json

FORMAT = 2
MANIFEST = "manifest.json"
TENSORS, PROGRESS = "tensors.safetensors", "progress.json"
METRICS, SAMPLES, BEST = "metrics.jsonl", "samples.jsonl", "best.safetensors"
FILES = (MANIFEST, TENSORS, PROGRESS, METRICS, SAMPLES, BEST)
"""Every file that a checkpoint may have; no other is ever removed from its folder."""

LARGEST_MANIFEST = 64 * 1024  # bytes
PIECE = 1 << 20  # bytes read at a time

Content = Sequence[bytes | memoryview]
"""A file's bytes in pieces."""


class Broken(Exception):
    """A checkpoint that is not whole; the message says what is wrong."""


class Newer(RunError):
    """A checkpoint of a format that this version does not know."""


class CheckpointFolder:
    """Checkpoints by step.

    keep: how many of the newest good ones stay. Besides them stays the newest anchor: one to which
    a run returns when its numbers go wrong.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self.path = path
        self._keep = keep
        self._good: dict[str, bool] = {}

    def save(self, step: int, files: Mapping[str, Content], *, anchor: bool) -> Path:
        """Write one checkpoint, flushed and read back, then drop what is no longer kept.

        Raises OSError if the disk refuses: then nothing of it is left, and the others stand.
        """
        refuse_link(self.path)
        if not self.path.exists():
            self.path.mkdir()  # not those above it, which may have been removed meanwhile
            flush_folder(self.path.parent)
        path = self._free_path(step)
        temporary = self.path / partial_name(path.name)
        try:
            remove_folder(temporary, FILES)
            temporary.mkdir()
            manifest = self._write(temporary, files, anchor)
            flush_folder(temporary)
            self._read_back(temporary, manifest)
            temporary.rename(path)
        except BaseException:
            remove_folder(temporary, FILES)
            raise
        flush_folder(self.path)
        self._good[path.name] = anchor
        self._drop_old()
        return path

    def good(self, say: Callable[[str], None], *, anchor: bool = False) -> Iterator["Checkpoint"]:
        """Yield the checkpoints that are intact, the newest first, and report broken ones.

        anchor: only those to which a run returns. Raises Newer for one of a newer format.
        """
        refuse_link(self.path)
        for path in self._paths():
            try:
                checkpoint = Checkpoint(path)
                if anchor and not checkpoint.is_anchor:
                    continue
                checkpoint.check()
            except (OSError, Broken) as error:
                say(broken_message(path, _reason(error)))
                continue
            self._good[path.name] = checkpoint.is_anchor
            yield checkpoint

    def remove_all(self) -> None:
        """Remove every checkpoint and the folder; what ricorda did not write stays.

        Raises RunError if something else than a folder lies in its place.
        """
        refuse_link(self.path)
        for path in self._paths():
            remove_folder(path, FILES)
        remove_leftovers(self.path, FILES)
        with contextlib.suppress(OSError):  # it is not empty, or was never made
            self.path.rmdir()

    @property
    def is_empty(self) -> bool:
        """Whether there is none at all, whole or broken."""
        return not self._paths()

    def _write(self, folder: Path, files: Mapping[str, Content], anchor: bool) -> dict[str, Any]:
        """Write the files and the manifest."""
        described = {}
        for name, content in files.items():
            digest = hashlib.sha256()
            for piece in content:
                digest.update(piece)
            write_new(folder / name, content)
            size = sum(memoryview(piece).nbytes for piece in content)
            described[name] = {"size": size, "sha256": digest.hexdigest()}
        manifest = _signed({"format": FORMAT, "anchor": anchor, "files": described})
        write_new(folder / MANIFEST, [(json.dumps(manifest, indent=1) + "\n").encode()])
        return manifest

    def _read_back(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Check that the disk holds what was written. Raises OSError if not."""
        try:
            written = Checkpoint(folder, from_disk=True)
            written.check()
        except Broken as error:
            raise OSError(f"what was written differs when it is read back: {error}") from error
        if written.manifest != manifest:
            raise OSError("what was written differs when it is read back: its manifest differs")

    def _paths(self) -> list[Path]:
        """Every folder with a checkpoint's name, the newest first."""
        if not self.path.is_dir():
            return []
        found = [path for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=_order, reverse=True)

    def _free_path(self, step: int) -> Path:
        """The name that sorts as the newest."""
        number, last_step = max(map(_order, self._paths()), default=(1, -1))
        if step <= last_step:
            number += 1
        return self.path / (str(step) if number == 1 else f"{step}.{number}")

    def _drop_old(self) -> None:
        """Keep the newest good ones and the newest anchor; what cannot be removed stays.

        The manifest is removed first: without it, no reader takes a checkpoint for whole.
        """
        paths = [path for path in self._paths() if self._is_good(path)]
        kept = paths[: self._keep]
        kept += [path for path in paths if self._good[path.name]][:1]
        for path in set(self._paths()) - set(kept):
            if remove_folder(path, FILES):
                self._good.pop(path.name, None)

    def _is_good(self, path: Path) -> bool:
        """Whether a checkpoint is whole; each is looked at once."""
        if path.name not in self._good:
            try:
                checkpoint = Checkpoint(path)
                checkpoint.check()
            except (OSError, Broken, Newer):
                return False
            self._good[path.name] = checkpoint.is_anchor
        return True


class Checkpoint:
    """One checkpoint's files, found whole by their sizes and digests.

    Raises Broken if the manifest does not hold, Newer if its format is not known, OSError.
    """

    def __init__(self, path: Path, *, from_disk: bool = False) -> None:
        self.path = path
        self._from_disk = from_disk
        try:
            with self.open(MANIFEST) as file:
                content = file.read(LARGEST_MANIFEST + 1)
        except FileNotFoundError:
            raise Broken(f"it has no {MANIFEST}") from None
        try:
            self.manifest = parse_json(content, longest=LARGEST_MANIFEST)
        except ValueError as error:
            raise Broken(f"its manifest is not JSON: {error}") from None
        self._check_manifest()

    def _check_manifest(self) -> None:
        manifest = self.manifest
        if not isinstance(manifest, dict) or _signed(manifest) != manifest:
            raise Broken("its manifest's own digest differs")
        found = manifest.get("format")
        if isinstance(found, int) and found > FORMAT:
            raise Newer(
                f"the checkpoint {self.path} has format {found}, newer than this ricorda reads "
                f"({FORMAT}): upgrade ricorda"
            )
        if found != FORMAT:
            raise Broken(f"it has format {found}, which this ricorda no longer reads")
        files = manifest.get("files")
        if not isinstance(files, dict) or not all(_is_described(*item) for item in files.items()):
            raise Broken("its manifest lists no files")

    @property
    def is_anchor(self) -> bool:
        """Whether a run returns to it when its numbers go wrong."""
        return self.manifest.get("anchor") is True

    def __contains__(self, name: str) -> bool:
        return name in self.manifest["files"]

    def size(self, name: str) -> int:
        """Bytes of one file."""
        size: int = self.manifest["files"][name]["size"]
        return size

    def check(self) -> None:
        """Compare every file with the manifest. Raises Broken, OSError."""
        for name, described in self.manifest["files"].items():
            digest, size = hashlib.sha256(), 0
            with self.open(name) as file:
                if os.fstat(file.fileno()).st_size != described["size"]:
                    raise Broken(f"{name} does not have its {described['size']} bytes")
                while piece := file.read(PIECE):
                    digest.update(piece)
                    size += len(piece)
            if digest.hexdigest() != described["sha256"] or size != described["size"]:
                raise Broken(f"the digest of {name} differs")

    def open(self, name: str) -> IO[bytes]:
        """Open one of its files."""
        file = open_untrusting(self.path / name)
        if self._from_disk and hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):  # drop it from the page cache
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file

    def read(self, name: str, longest: int) -> bytes:
        """Read one of its files. Raises Broken if it is missing or too long, OSError."""
        if name not in self:
            raise Broken(f"it has no {name}")
        if self.size(name) > longest:
            raise Broken(f"{name} has {self.size(name)} bytes, more than {longest}")
        with self.open(name) as file:
            return file.read(self.size(name))  # room is made for as many bytes as are asked for


_NAME = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")
_FILE_NAME = re.compile(r"[a-z][a-z-]{0,40}\.[a-z]{1,20}")


def broken_message(path: Path, reason: object) -> str:
    """Return the warning that a checkpoint is left out."""
    return f"the checkpoint {path} is broken ({reason}): an older one is used"


def _order(path: Path) -> tuple[int, int]:
    """How many times a step was repeated until the checkpoint was written, and its step."""
    step, _, number = path.name.partition(".")
    return int(number or 1), int(step)


def _is_described(name: Any, described: Any) -> bool:
    """Whether a manifest's entry is a plain file name with a size and a digest."""
    return (
        isinstance(name, str)
        and _FILE_NAME.fullmatch(name) is not None
        and isinstance(described, dict)
        and described.keys() == {"size", "sha256"}
        and type(described["size"]) is int
        and described["size"] >= 0
        and isinstance(described["sha256"], str)
    )


def _signed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with its own digest, so that no flipped bit in it goes unnoticed."""
    body = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(body, sort_keys=True)
    return {**body, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
