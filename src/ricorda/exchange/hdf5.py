"""Read HDF5 files in the layout that h5py writes by default, without trusting a byte of them.

Keras stores its models so. What is read: groups, attributes that are texts or lists of texts, and
arrays of floating-point numbers in one piece. Links to other files, external storage, virtual
datasets and filters are refused, so that a file never leads to another one, and an array never
takes more memory than it has bytes in the file: parts that overlap are read a few times at most.
The layout is that of the HDF5 File Format
Specification, version 3.0: superblocks 0 and 1, object headers of version 1, groups as symbol
tables.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ricorda.validation import shown

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_STEPS = 100_000
"""Parts of a file that are looked at: a file whose parts refer to each other in a circle ends."""

SMALL = 1 << 20
"""Bytes that may be read of a file of any size."""

_NOWHERE = 2**64 - 1
_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT = 0x01, 0x03, 0x07, 0x08
_LINK_INFO, _LINK, _FILTERS, _ATTRIBUTE = 0x02, 0x06, 0x0B, 0x0C
_CONTINUATION, _SYMBOL_TABLE, _ATTRIBUTE_INFO = 0x10, 0x11, 0x15
_REFUSED = {
    _EXTERNAL: "an array stored in another file",
    _FILTERS: "a compressed array",
    _LINK_INFO: "a group of a newer layout",
    _LINK: "a group of a newer layout",
    _ATTRIBUTE_INFO: "attributes of a newer layout",
}
_FLOATS = {2: "f2", 4: "f4", 8: "f8"}
_INTEGER, _FLOAT, _STRING, _VARIABLE = 0, 1, 3, 9


class Hdf5Error(ValueError):
    """The bytes are no HDF5 file, a damaged one, or one of another layout."""


Message = tuple[int, bytes]
"""A part of an object's header: its type and content."""


class _Type(NamedTuple):
    """A type of numbers or texts."""

    kind: int
    size: int
    is_text: bool = False
    big_endian: bool = False


class Hdf5Object:
    """A group, or an array."""

    def __init__(self, file: "Hdf5File", messages: list[Message]) -> None:
        self._file = file
        self._messages = messages

    @cached_property
    def attributes(self) -> Mapping[str, str | list[str]]:
        """The attributes that are texts or lists of texts. Raises Hdf5Error."""
        found = (self._file.attribute(each) for kind, each in self._messages if kind == _ATTRIBUTE)
        return {name: value for name, value in found if value is not None}

    @cached_property
    def children(self) -> Mapping[str, int]:
        """The addresses of what a group holds, by name; nothing for an array. Raises Hdf5Error."""
        table = self._message(_SYMBOL_TABLE)
        return {} if table is None else self._file.symbol_table(table)

    def get(self, path: str) -> "Hdf5Object | None":
        """Return what stands at a path such as `layers/lstm`. Raises Hdf5Error."""
        found: Hdf5Object = self
        for name in path.split("/"):
            address = found.children.get(name)
            if address is None:
                return None
            found = self._file.object(address)
        return found

    def array(self) -> NDArray[np.float32]:
        """Return an array's numbers. Raises Hdf5Error for what is no array of floats."""
        space, kind = self._message(_DATASPACE), self._message(_DATATYPE)
        layout = self._message(_LAYOUT)
        if space is None or kind is None or layout is None:
            raise Hdf5Error("a part that should be an array is none")
        of = _datatype(kind)
        if of.kind != _FLOAT or of.size not in _FLOATS:
            raise Hdf5Error("an array is not of floating-point numbers")
        shape = _shape(space)
        content = self._file.stored(layout, math.prod(shape) * of.size)
        numbers = np.frombuffer(content, (">" if of.big_endian else "<") + _FLOATS[of.size])
        with np.errstate(over="ignore"):
            return numbers.astype(np.float32).reshape(shape)

    def _message(self, kind: int) -> bytes | None:
        return next((content for each, content in self._messages if each == kind), None)


class Hdf5File:
    """The bytes of a file."""

    def __init__(self, content: bytes) -> None:
        """Check the beginning of a file. Raises Hdf5Error."""
        self._content = content
        self._steps = 0
        self._left = 4 * len(content) + SMALL
        if content[:8] != SIGNATURE:
            raise Hdf5Error("it does not begin as HDF5 does")
        version, offsets, lengths = self._take(8, 7)[0], *self._take(13, 2)
        if version > 1 or (offsets, lengths) != (8, 8):
            raise Hdf5Error(
                "it has a newer layout of HDF5 than Keras writes: load it with Keras and save it "
                "again"
            )
        start = 24 + 4 * version
        base, *_, self._root = struct.unpack("<6Q", self._take(start, 48))
        if base != 0:
            raise Hdf5Error("its addresses do not count from its beginning")

    @property
    def root(self) -> Hdf5Object:
        """The outermost group."""
        return self.object(self._root)

    def object(self, address: int) -> Hdf5Object:
        """Return the group or array whose header is at an address. Raises Hdf5Error."""
        version, count, size = struct.unpack("<BxH4xI", self._take(address, 12))
        if version != 1:
            raise Hdf5Error("an object has no header, or one of a newer layout")
        messages: list[Message] = []
        blocks = [(address + 16, size)]
        for place, length in blocks:  # which grows
            for kind, content in self._messages(place, length):
                if kind == _CONTINUATION:
                    blocks.append(struct.unpack("<QQ", _exactly(content, 16)))
                elif kind in _REFUSED:
                    raise Hdf5Error(f"it has {_REFUSED[kind]}, which is not read")
                else:
                    messages.append((kind, content))
            if len(messages) > count:
                raise Hdf5Error("an object has more parts than it should")
        return Hdf5Object(self, messages)

    def _messages(self, place: int, length: int) -> Iterator[Message]:
        """Yield the parts of one block of an object's header."""
        block = self._take(place, length)
        at = 0
        while at + 8 <= length:
            self._step()
            kind, size, flags = struct.unpack_from("<HHB", block, at)
            if flags & 0x02:
                raise Hdf5Error("a part of an object is shared, which is not read")
            yield kind, _exactly(block[at + 8 : at + 8 + size], size)
            at += 8 + size

    def attribute(self, content: bytes) -> tuple[str, str | list[str] | None]:
        """Return an attribute's name, and its value if it is made of texts."""
        version, flags, *sizes = struct.unpack("<BBHHH", _exactly(content, 8))
        if version not in {1, 2, 3} or (version > 1 and flags):
            raise Hdf5Error("an attribute has an unknown layout")
        at = 9 if version == 3 else 8
        parts = []
        for size in sizes:
            parts.append(_exactly(content[at : at + size], size))
            at += -(-size // 8) * 8 if version == 1 else size
        name = _text(parts[0])
        of, shape = _datatype(parts[1]), _shape(parts[2])
        if not of.is_text:
            return name, None
        count, rest = math.prod(shape), content[at:]
        if count * max(1, of.size) > len(rest):
            raise Hdf5Error("an attribute ends early")
        items = [rest[each * of.size : (each + 1) * of.size] for each in range(count)]
        texts = [_text(self._variable(item) if of.kind == _VARIABLE else item) for item in items]
        return name, texts if shape else texts[0]

    def _variable(self, item: bytes) -> bytes:
        """A text of any length, which stands in a heap."""
        length, address, index = struct.unpack("<IQI", _exactly(item, 16))
        if length == 0:
            return b""
        head = self._take(address, 16)
        end = address + int.from_bytes(head[8:], "little")
        if head[:4] != b"GCOL":
            raise Hdf5Error("a text stands in no heap")
        at = address + 16
        while at + 16 <= end:
            self._step()
            number, size = struct.unpack("<H6xQ", self._take(at, 16))
            if number == index:
                return self._take(at + 16, min(size, length))
            if number == 0:
                break
            at += 16 + -(-size // 8) * 8
        raise Hdf5Error("a text is missing from its heap")

    def symbol_table(self, message: bytes) -> dict[str, int]:
        """Return the addresses of a group's members, by name."""
        tree, heap = struct.unpack("<QQ", _exactly(message, 16))
        head = self._take(heap, 32)
        if head[:4] != b"HEAP":
            raise Hdf5Error("a group has no names")
        size, _, data = struct.unpack("<QQQ", head[8:])
        names = self._take(data, size)
        found = {}
        for name, address, kind in self._entries(tree):
            if kind == 2:
                raise Hdf5Error("it has a link, which is not followed")
            end = names.find(b"\0", name)
            found[_text(names[name : end if end >= 0 else None])] = address
        return found

    def _entries(self, tree: int) -> Iterator[tuple[int, int, int]]:
        """Yield (place of the name, address, kind of link) of a group's members."""
        nodes = [tree]
        while nodes:
            self._step()
            at = nodes.pop()
            signature = self._take(at, 4)
            if signature == b"TREE":
                kind, level, count = struct.unpack("<BBH", self._take(at + 4, 4))
                if kind != 0 or level > 8:
                    raise Hdf5Error("a group's members are in no tree of groups")
                self._step(count)
                children = self._take(at + 32, 16 * count)
                nodes += [each for each, _ in struct.iter_unpack("<QQ", children)]
            elif signature == b"SNOD":
                (count,) = struct.unpack("<H", self._take(at + 6, 2))
                self._step(count)
                rows = self._take(at + 8, 40 * count)
                yield from struct.iter_unpack("<QQI20x", rows)
            else:
                raise Hdf5Error("a group's members are not where they should be")

    def stored(self, layout: bytes, size: int) -> bytes:
        """Return the bytes of an array: `size` of them, in one piece."""
        version, kind = _exactly(layout[:2], 2)
        if version not in {3, 4} or kind > 1:
            raise Hdf5Error("an array is stored in pieces, or elsewhere, which is not read")
        if kind == 0:  # beside the header
            return _exactly(layout[4 : 4 + size], size)
        address, length = struct.unpack("<QQ", _exactly(layout[2:18], 16))
        if size == 0:
            return b""
        found = 0 if address == _NOWHERE else length
        if found < size:
            raise Hdf5Error(f"an array of {size} bytes has {found} bytes in the file")
        return self._take(address, size)

    def _take(self, at: int, size: int) -> bytes:
        if at + size > len(self._content):
            raise Hdf5Error("it is truncated, or a part of it points beyond its end")
        self._left -= size
        if self._left < 0:
            raise Hdf5Error("its parts overlap")
        return self._content[at : at + size]

    def _step(self, count: int = 1) -> None:
        self._steps += count
        if self._steps > MOST_STEPS:
            raise Hdf5Error(f"it has more than {MOST_STEPS:,} parts")


def _exactly(content: bytes, size: int) -> bytes:
    """The first `size` bytes."""
    if len(content) < size:
        raise Hdf5Error("a part of it ends early")
    return content[:size]


def _text(content: bytes) -> str:
    """A text that may be padded with zeros."""
    try:
        return content.split(b"\0")[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise Hdf5Error(f"the text {shown(content)} is not UTF-8") from error


def _datatype(content: bytes) -> _Type:
    """What a datatype message says; only what matters here."""
    kind, bits, size = struct.unpack("<BBxxI", _exactly(content, 8))
    kind &= 0x0F
    is_text = kind == _STRING or (kind == _VARIABLE and bits & 0x0F == 1)
    if kind == _VARIABLE and size != 16:
        raise Hdf5Error("a text of variable length has an unknown layout")
    return _Type(kind, size, is_text, big_endian=kind == _FLOAT and bool(bits & 0x01))


def _shape(content: bytes) -> tuple[int, ...]:
    """The lengths of an array's dimensions, none for a single value."""
    version, dimensions = _exactly(content[:2], 2)
    if version not in {1, 2} or dimensions > 8:
        raise Hdf5Error("an array has no known shape")
    at = 8 if version == 1 else 4
    return struct.unpack(f"<{dimensions}Q", _exactly(content[at:], 8 * dimensions))
