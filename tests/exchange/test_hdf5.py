"""HDF5 read in Python: the same as h5py reads, and nothing that leads elsewhere."""

import io
import struct
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest

from ricorda.exchange.hdf5 import Hdf5Error, Hdf5File, Hdf5Object


def written(write: Callable[[Any], object], **options: Any) -> bytes:
    """The bytes of a file that h5py writes."""
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        write(file)
    return content.getvalue()


def root(write: Callable[[Any], object], **options: Any) -> Hdf5Object:
    return Hdf5File(written(write, **options)).root


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (2, 3, 4), (0, 5)])
def test_arrays_are_those_that_were_written(
    kind: str, shape: tuple[int, ...], random: np.random.Generator
) -> None:
    numbers = random.standard_normal(shape).astype(kind)
    found = root(lambda file: file.create_dataset("x", data=numbers)).get("x")
    assert found is not None
    array = found.array()
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, numbers.astype(np.float32))


def test_groups_of_any_size_are_found(random: np.random.Generator) -> None:
    names = [f"group {number}" for number in range(300)]

    def write(file: Any) -> None:
        for number, name in enumerate(names):
            file.create_group(name).create_dataset("è", data=np.float32(number))

    found = root(write)
    assert found.children.keys() == set(names)
    for number in random.choice(300, 20, replace=False).tolist():
        place = found.get(f"group {number}/è")
        assert place is not None
        assert place.array() == number
    assert found.get("group 1/other") is None
    assert found.get("none/other") is None


def test_attributes_of_text_are_found_and_others_left_out() -> None:
    long = "è" * 200_000

    def write(file: Any) -> None:
        file.attrs["variable"] = "text"
        file.attrs["bytes"] = b"plain"
        file.attrs["fixed"] = np.bytes_(b"fixed")
        file.attrs["long"] = long
        file.attrs["names"] = [b"a", b"longer", b""]
        file.attrs["texts"] = np.array(["a", "è"], object)
        file.attrs["number"] = 3
        file.attrs["none"] = np.array([])
        for number in range(20):
            file.attrs[f"more {number}"] = str(number)

    found = root(write).attributes
    assert found["variable"] == "text"
    assert found["bytes"] == "plain"
    assert found["fixed"] == "fixed"
    assert found["long"] == long
    assert found["names"] == ["a", "longer", ""]
    assert found["texts"] == ["a", "è"]
    assert [found[f"more {number}"] for number in range(20)] == list(map(str, range(20)))
    assert not {"number", "none"} & found.keys()


def array(file: Any, **options: Any) -> Any:
    return file.create_dataset("x", (64, 64), "f4", **options)


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("x", layout)


REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "external link": (
        lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")),
        "a group of a newer layout|a link",
    ),
    "soft link": (lambda file: file.__setitem__("x", h5py.SoftLink("/")), "a link"),
    "external storage": (
        lambda file: file.create_dataset(
            "x", (16,), "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
        ),
        "stored in another file",
    ),
    "virtual": (virtual, "stored in pieces, or elsewhere"),
    "compressed": (lambda file: array(file, compression="gzip"), "a compressed array"),
    "checksums": (lambda file: array(file, fletcher32=True), "a compressed array"),
    "chunked": (lambda file: array(file, chunks=(8, 8)), "stored in pieces"),
    "never written": (array, "16384 bytes has 0 bytes in the file"),
    "integers": (lambda file: file.create_dataset("x", data=[1, 2]), "not of floating-point"),
    "texts": (lambda file: file.create_dataset("x", data=["a"]), "not of floating-point"),
    "a group": (lambda file: file.create_group("x"), "should be an array is none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_array_in_one_piece_is_refused(name: str) -> None:
    write, message = REFUSED[name]
    content = written(write)
    with pytest.raises(Hdf5Error, match=message):
        Hdf5File(content).root.get("x").array()  # type: ignore[union-attr]


def test_a_newer_layout_is_refused() -> None:
    content = written(array, libver="latest")
    with pytest.raises(Hdf5Error, match="a newer layout"):
        assert Hdf5File(content).root


def test_a_shape_beyond_the_file_takes_no_memory() -> None:
    content = written(lambda file: file.create_dataset("x", data=np.ones((3, 5), np.float32)))
    shape = struct.pack("<2Q", 3, 5)
    assert content.count(shape) >= 1
    for lengths in ((1 << 40, 5), (2**64 - 1, 2**64 - 1), (3, 1 << 20)):
        changed = content.replace(shape, struct.pack("<2Q", *lengths))
        with pytest.raises(Hdf5Error, match="bytes in the file"):
            Hdf5File(changed).root.get("x").array()  # type: ignore[union-attr]


def test_groups_in_a_circle_end() -> None:
    content = written(lambda file: file.create_group("a").create_group("b"))
    tree = content.index(b"TREE")
    (child,) = struct.unpack_from("<Q", content, tree + 32)
    changed = content[: tree + 32] + struct.pack("<Q", tree) + content[tree + 40 :]
    assert child != tree
    with pytest.raises(Hdf5Error, match=r"more than 100,000 parts|overlap"):
        assert Hdf5File(changed).root.children


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"text" * 100])
def test_what_is_no_hdf5_is_refused(content: bytes) -> None:
    with pytest.raises(Hdf5Error):
        assert Hdf5File(content).root
