"""Pictures as addresses: a PNG that a reader of its own restores."""

import base64
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.pages.picture import picture_address


def restored(address: str) -> NDArray[np.uint8]:
    """Read a PNG of eight bits and four channels, unfiltered, and check its parts."""
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    data = base64.b64decode(content)
    assert data[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    chunks, place = {}, 8
    while place < len(data):
        (size,) = struct.unpack_from(">I", data, place)
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        (checksum,) = struct.unpack_from(">I", data, place + 8 + size)
        assert checksum == zlib.crc32(name + body)
        chunks[name] = body
        place += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colours, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colours, rest) == (8, 6, [0, 0, 0])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, 4)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (24, 200)])
def test_pixels_are_restored(shape: tuple[int, int], random: np.random.Generator) -> None:
    pixels = random.integers(0, 256, (*shape, 4), np.uint8)
    np.testing.assert_array_equal(restored(picture_address(pixels)), pixels)
