"""Recognize files that are not text, and ricorda's own files, by their contents.

A name such as `notes.txt` proves nothing, and an archive that happens to decode would be learned
as noise. Files compressed with gzip, zstd, xz or bzip2 are not listed here: they are decompressed,
and their contents are checked in turn. Runs, caches and pages of ricorda in a folder are left out,
so that they are not learned as text.
"""

import codecs
import json
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ricorda.errors import TextError

HEAD_BYTES = 512
"""How many bytes of a file are inspected: the header of a tar archive."""


class Content(NamedTuple):
    """The contents of a file that is not text."""

    what: str
    """With its article: "a PDF document"."""

    remedy: str
    """How to get a text out of it; empty if there is none to get."""

    is_packed: bool
    """Whether its contents are packed, so that even its bytes are not worth learning."""


def _unpack(what: str, program: str) -> Content:
    return Content(what, f"unpack it ({program}) into a folder and name that folder", True)


def _decompress(what: str, command: str) -> Content:
    return Content(what, f"decompress it first ({command} FILE > TEXT) and name the result", True)


_EXPORT = "save it as plain text and name that file"
ZIP = _unpack("a ZIP archive", "unzip")
_OFFICE = Content("an Office document (DOCX, XLSX or PPTX)", _EXPORT, True)
_OPEN_DOCUMENT = Content("an OpenDocument file", _EXPORT, True)
_EPUB = Content(
    "an EPUB book", "convert it (pandoc -t plain -o TEXT FILE) and name that text", True
)
_PDF = Content("a PDF document", "convert it (pdftotext FILE) and name that text", False)
PARQUET = Content("a Parquet table", "name its file, and its column with --field NAME", False)
TAR = _unpack("a tar archive", "tar -xf")

_MAGIC: tuple[tuple[int, bytes, Content], ...] = (
    (0, b"PK\x05\x06", ZIP),
    (0, b"PK\x07\x08", ZIP),
    (0, b"7z\xbc\xaf\x27\x1c", _unpack("a 7z archive", "7z x")),
    (0, b"Rar!\x1a\x07", _unpack("a RAR archive", "unrar x")),
    (0, b"MSCF\0\0\0\0", _unpack("a cabinet archive", "cabextract")),
    (0, b"!<arch>\n", _unpack("an ar archive or Debian package", "ar x")),
    (0, b"\xed\xab\xee\xdb", _unpack("an RPM package", "rpm2cpio FILE | cpio -id")),
    (0, b"070701", _unpack("a cpio archive", "cpio -id")),
    (0, b"070707", _unpack("a cpio archive", "cpio -id")),
    (0, b"xar!", _unpack("a xar archive", "xar -xf")),
    (0, b"\x04\x22\x4d\x18", _decompress("an LZ4 file", "lz4 -dc")),
    (0, b"\x02\x21\x4c\x18", _decompress("an LZ4 file", "lz4 -dc")),
    (0, b"LZIP\x01", _decompress("an lzip file", "lzip -dc")),
    (0, b"\x89LZO\0\r\n\x1a\n", _decompress("an lzop file", "lzop -dc")),
    (0, b"\x1f\x9d", _decompress("a file compressed by compress (.Z)", "gzip -dc")),
    (0, b"\x5d\0\0", _decompress("an LZMA file", "xz -dc")),
    (0, b"\xff\x06\0\0sNaPpY", _decompress("a Snappy file", "snzip -dc")),
    (0, b"%PDF-", _PDF),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        Content("an old Office document (DOC, XLS or PPT)", _EXPORT, False),
    ),
    (0, b"SQLite format 3\0", Content("an SQLite database", "export its text first", False)),
    (0, b"PAR1", PARQUET),
    (0, b"ARROW1\0\0", Content("an Arrow table", "export its text first", False)),
    (0, b"\x89HDF\r\n\x1a\n", Content("an HDF5 file", "export its text first", False)),
    (0, b"\x93NUMPY", Content("a NumPy array", "", False)),
    (0, b"GGUF", Content("a model file (GGUF)", "", False)),
    (0, b"\x89PNG\r\n\x1a\n", Content("a PNG image", "", False)),
    (0, b"\xff\xd8\xff", Content("a JPEG image", "", False)),
    (0, b"GIF87a", Content("a GIF image", "", False)),
    (0, b"GIF89a", Content("a GIF image", "", False)),
    (0, b"II*\0", Content("a TIFF image", "", False)),
    (0, b"MM\0*", Content("a TIFF image", "", False)),
    (8, b"WEBP", Content("a WebP image", "", False)),
    (8, b"WAVE", Content("a sound file", "", False)),
    (8, b"AVI ", Content("a video", "", False)),
    (4, b"ftyp", Content("a video, sound or image file (MP4, HEIC)", "", False)),
    (0, b"\x1a\x45\xdf\xa3", Content("a video (Matroska or WebM)", "", False)),
    (0, b"OggS\0", Content("a sound or video file (Ogg)", "", False)),
    (0, b"fLaC\0", Content("a sound file (FLAC)", "", False)),
    (0, b"ID3", Content("a sound file (MP3)", "", False)),
    (0, b"wOFF", Content("a font", "", False)),
    (0, b"wOF2", Content("a font", "", False)),
    (0, b"\0\x01\0\0\0", Content("a font", "", False)),
    (0, b"\x7fELF", Content("a program", "", False)),
    (0, b"\xca\xfe\xba\xbe", Content("a program", "", False)),
    (0, b"\xcf\xfa\xed\xfe", Content("a program", "", False)),
    (0, b"\0asm", Content("a program (WebAssembly)", "", False)),
    (0, b"PACK\0\0\0", Content("a git pack file", "", False)),
)
_PICKLE = Content("a Python pickle", "", False)
_SAFETENSORS = Content("a model file (safetensors)", "", False)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))


def content_of(head: bytes) -> Content | None:
    """Return what begins with these bytes; None for text and unknown contents.

    A text may begin with any letters, such as "GGUF". They are a signature only if control
    characters, or bytes that are not UTF-8, follow soon.
    """
    head = head[:HEAD_BYTES]
    if is_tar(head):
        return TAR
    if len(head.translate(None, _CONTROLS)) == len(head) and _begins_as_utf8(head):
        return _listed(head) if head.startswith((b"%PDF-1.", b"!<arch>\n")) else None
    if head.startswith(b"PK\x03\x04"):
        return _zipped(head)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _PICKLE
    if head[8:10] == b'{"' and head[4:8] == bytes(4):
        return _SAFETENSORS
    return _listed(head)


def _begins_as_utf8(head: bytes) -> bool:
    """Return whether bytes are UTF-8; a character cut off at the end is allowed."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _listed(head: bytes) -> Content | None:
    for place, magic, content in _MAGIC:
        if head.startswith(magic, place):
            return content
    return None


def _zipped(head: bytes) -> Content:
    """Distinguish documents from other ZIP archives by their first file."""
    if b"mimetypeapplication/epub" in head:
        return _EPUB
    if b"mimetypeapplication/vnd.oasis" in head:
        return _OPEN_DOCUMENT
    name = head[30:60]
    office = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"xl/", b"ppt/")
    return _OFFICE if name.startswith(office) else ZIP


def is_tar(head: bytes) -> bool:
    """Return whether a file begins with the header of a file in a tar archive, by its checksum."""
    if len(head) < HEAD_BYTES or not head[0]:
        return False
    try:
        stored = int(head[148:156].strip(b"\0 "), 8)
    except ValueError:
        return False
    return stored == sum(head[:148]) + 8 * ord(" ") + sum(head[156:])


def check_content(name: str, head: bytes, *, inside: str | None, is_decoded: bool) -> None:
    """Raise TextError, which says what to do, for a file that is known not to be text.

    `inside` is how it was compressed, if it was. If bytes are not to be
    decoded, only packed files are refused.
    """
    content = content_of(head)
    if content is None or not (is_decoded or content.is_packed):
        return
    where = "" if inside is None else f" inside {inside}"
    if not is_decoded:
        as_bytes = "read its bytes as they are with --decompress off"
    elif content.is_packed:
        as_bytes = "learn its bytes as they are with --vocabulary bytes --decompress off"
    else:
        as_bytes = "learn any bytes with --vocabulary bytes"
    raise TextError(
        f"{name}: expected a text, but it is {content.what}{where}: "
        f"{content.remedy or 'name a text'}, or {as_bytes}"
    )


OwnFolder = Literal["a run of ricorda", "a cache"]

LARGEST_CONFIG = 16 << 20  # bytes; a run may name many texts
LARGEST_ROW = 1 << 16  # bytes of a row of figures that are looked at
PAGE_BYTES = 2048

_RUN_KEYS = frozenset({"format", "text", "training", "made_with"})
_CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/
_PAGE = re.compile(rb'<meta name="generator" content="ricorda [^"<>]{1,50}">')


def own_folder(folder: Path, names: list[str]) -> OwnFolder | None:
    """Return what a folder with these names in it is, a run or a cache; None if neither."""
    if "config.json" in names and _is_config(folder / "config.json"):
        return "a run of ricorda"
    if "metrics.jsonl" in names and "samples.jsonl" in names:  # a run that lost its config.json
        row = _parsed(_beginning(folder / "metrics.jsonl", LARGEST_ROW).partition(b"\n")[0])
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            return "a run of ricorda"
    is_tagged = "CACHEDIR.TAG" in names
    if is_tagged and _beginning(folder / "CACHEDIR.TAG", 64).startswith(_CACHE_TAG):
        return "a cache"
    return None


def is_own_page(head: bytes) -> bool:
    """Return whether a file begins like a report or another page that ricorda wrote."""
    return head.startswith(b"<!DOCTYPE html>") and _PAGE.search(head[:PAGE_BYTES]) is not None


def _is_config(path: Path) -> bool:
    found = _parsed(_beginning(path, LARGEST_CONFIG))
    return isinstance(found, dict) and found.keys() >= _RUN_KEYS


def _beginning(path: Path, size: int) -> bytes:
    """Return a regular file's first bytes; none if it is not regular or cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
