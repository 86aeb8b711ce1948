"""The safetensors format, held to the library both ways; whatever else comes is refused."""

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import deserialize
from safetensors.numpy import load, save

from ricorda.model.tensor_file import (
    LARGEST_HEADER,
    MOST_DIMENSIONS,
    MOST_ENTRIES,
    SIZES,
    TensorFileError,
    _bytes_of_a_character,
    read_entry,
    read_header,
    tensor_file,
)


def read(content: bytes) -> dict[str, bytes]:
    with io.BytesIO(content) as file:
        header = read_header(file, len(content))
        return {name: bytes(read_entry(file, entry)) for name, entry in header.entries.items()}


ARRAYS: dict[str, Any] = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(7, dtype=np.int64),
    "c": np.zeros((0, 4), dtype=np.uint8),
}


def test_what_the_library_writes_is_read() -> None:
    assert read(save(ARRAYS, {"key": "value"})) == {
        name: array.tobytes() for name, array in ARRAYS.items()
    }


def test_what_is_written_the_library_reads() -> None:
    types = {"a": "F32", "b": "I64", "c": "U8"}
    tensors = {
        name: (types[name], array.shape, memoryview(array.tobytes()))
        for name, array in ARRAYS.items()
    }
    content = b"".join(tensor_file(tensors, {"key": "è"}))
    assert "è".encode() in content  # two bytes; an escape would take six
    again = load(content)
    for name, array in ARRAYS.items():
        assert (again[name] == array).all()
        assert again[name].shape == array.shape


def made(header: Any, data: bytes = b"\0" * 8) -> bytes:
    """A file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}

CRAFTED: dict[str, bytes] = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "a length and no header": (8).to_bytes(8, "little"),
    "the longest length": b"\xff" * 8 + b"{}",
    "a length past the end": (100).to_bytes(8, "little") + b"{}",
    "a header of 90 MB": (90_000_000).to_bytes(8, "little") + b" " * 100,
    "not JSON": made(b"nonsense"),
    "not UTF-8": made(b"\xff\xfe{}"),
    "a list": made([]),
    "a number": made(5),
    "null": made(None),
    "nested too deep": made(b"[" * 5000),
    "lists too deep": made(b"[" * 40 + b"]" * 40),
    "NaN": made(b'{"a": NaN}'),
    "a key twice": made(b'{"a": 1, "a": 2}'),
    "too many entries": made({str(number): GOOD for number in range(MOST_ENTRIES + 1)}),
    "metadata of numbers": made({"__metadata__": {"a": 5}}),
    "metadata as a list": made({"__metadata__": []}),
    "an entry that is a list": made({"a": []}),
    "an entry without a type": made({"a": {"shape": [2], "data_offsets": [0, 8]}}),
    "an entry with more": made({"a": {**GOOD, "more": 1}}),
    "an unknown type": made({"a": {**GOOD, "dtype": "F31"}}),
    "a type that is a list": made({"a": {**GOOD, "dtype": []}}),
    "a negative length": made({"a": {**GOOD, "shape": [-2]}}),
    "a shape of texts": made({"a": {**GOOD, "shape": ["2"]}}),
    "a shape of floats": made({"a": {**GOOD, "shape": [2.0]}}),
    "a shape of true": made({"a": {**GOOD, "shape": [True, 2]}}),
    "a shape that is a number": made({"a": {**GOOD, "shape": 2}}),
    "a shape beyond memory": made({"a": {**GOOD, "shape": [2**62]}}),
    "a shape that wraps round": made({"a": {**GOOD, "shape": [2**47, 2**47, 2]}}),
    "too many dimensions": made({"a": {**GOOD, "shape": [1] * 9 + [2]}}),
    "offsets past the end": made({"a": {**GOOD, "shape": [4], "data_offsets": [0, 16]}}),
    "offsets far past the end": made({"a": {**GOOD, "shape": [2**40], "data_offsets": [0, 2**42]}}),
    "offsets backwards": made({"a": {**GOOD, "data_offsets": [8, 0]}}),
    "negative offsets": made({"a": {**GOOD, "data_offsets": [-8, 0]}}),
    "one offset": made({"a": {**GOOD, "data_offsets": [8]}}),
    "three offsets": made({"a": {**GOOD, "data_offsets": [0, 8, 8]}}),
    "huge offsets": made({"a": {**GOOD, "data_offsets": [10**30, 10**30 + 8]}}),
    "tensors over each other": made({"a": GOOD, "b": GOOD}),
    "a hole": made({"a": {**GOOD, "data_offsets": [8, 16]}}, b"\0" * 16),
    "bytes after the end": made({"a": GOOD}, b"\0" * 9),
    "bytes missing": made({"a": GOOD}, b"\0" * 7),
}


@pytest.mark.parametrize("kind", CRAFTED)
def test_crafted_headers_are_refused_before_anything_is_allocated(kind: str) -> None:
    tracemalloc.start()
    with pytest.raises(TensorFileError):
        read(CRAFTED[kind])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000


def test_a_sparse_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(LARGEST_HEADER.to_bytes(8, "little"))
        file.truncate(10**12)
    tracemalloc.start()
    with path.open("rb", buffering=0) as file, pytest.raises(TensorFileError, match="not JSON"):
        read_header(file, 10**12)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 24 * MIB


MIB = 1 << 20
LONGEST = 3 * MIB  # instead of 24, which takes eight times as long
COSTLY: dict[str, bytes] = {
    "lists": b'{"a":[' + b"[]," * (LONGEST // 3 - 10) + b"[]]}",
    "objects": b'{"a":[' + b"{}," * (LONGEST // 3 - 10) + b"{}]}",
    "numbers": b'{"a":[' + b"1," * (LONGEST // 2 - 10) + b"1]}",
    "empty texts": b'{"a":[' + b'"",' * (LONGEST // 3 - 10) + b'""]}',
    "keys": b"{" + b'"":0,' * (LONGEST // 5 - 10) + b'"":0}',
    "a long name": b'{"' + b"a" * (LONGEST - 20) + b'":1}',
    "a long name of wide characters": b'{"' + b"a" * (LONGEST - 20) + "😀".encode() + b'":1}',
    "a wide character as an escape": b'{"' + b"a" * (LONGEST - 40) + b'\\ud83d\\ude00":1}',
    "escapes": b'{"' + b"\\u4e2d" * (LONGEST // 12 - 10) + b'":1}',
    "openers": b"[{" * (LONGEST // 2 - 10),
    "spaces": b" " * LONGEST,
    "a number": b'{"a":' + b"1" * (LONGEST - 20) + b"}",
}


@pytest.mark.parametrize("kind", COSTLY)
def test_no_header_costs_more_than_three_times_the_longest(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ricorda.model.tensor_file.LARGEST_HEADER", LONGEST)
    content = made(COSTLY[kind])
    tracemalloc.start()
    with io.BytesIO(content) as file, pytest.raises(TensorFileError) as caught:
        read_header(file, len(content))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * LONGEST
    assert len(str(caught.value)) < 300


def test_what_other_tools_may_write_is_read() -> None:
    second = {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}
    header = {"z": second, "__metadata__": {"format": "pt", "note": '"]}[{,\\'}, "a": GOOD}
    text = json.dumps(header, indent=4).encode() + b" " * 4096
    content = made(text, b"12345678abcdefgh")
    assert read(content) == {"a": b"12345678", "z": b"abcdefgh"}
    assert read(made({"__metadata__": None, "a": GOOD})) == {"a": b"\0" * 8}


@pytest.mark.parametrize("text", ["abc", "é", "ÿ", "Ā", "€", "\uffff", "😀", "a😀€"])
@pytest.mark.parametrize("escaped", [False, True])
def test_the_memory_of_a_header_is_known_before_it_is_a_text(text: str, escaped: bool) -> None:
    content = json.dumps(text, ensure_ascii=escaped).encode()
    largest = max(map(ord, text))
    assert _bytes_of_a_character(content) == (1 if largest < 256 else 2 if largest < 65536 else 4)


def test_a_gap_is_named_by_where_it_begins_and_ends() -> None:
    content = made({"a": GOOD | {"data_offsets": [8, 16]}}, b"\0" * 16)
    start = len(content) - 16
    with pytest.raises(TensorFileError, match=rf"at byte {start}, .* begins at byte {start + 8}"):
        read(content)
    content = made({"a": GOOD}, b"\0" * 12)
    start = len(content) - 12
    with pytest.raises(TensorFileError, match=rf"{start + 8}, .* begins at byte {start + 12}"):
        read(content)


def test_the_order_in_which_tensors_and_metadata_are_given_does_not_matter() -> None:
    tensors = {name: ("F32", (1,), memoryview(b"1234")) for name in ("b", "a")}
    content = b"".join(tensor_file(tensors, {"y": "1", "x": "2"}))
    turned = b"".join(tensor_file(dict(reversed(tensors.items())), {"x": "2", "y": "1"}))
    assert turned == content
    assert list(json.loads(content[8:-8])["__metadata__"]) == ["x", "y"]


def test_every_type_has_the_size_that_the_library_gives_it() -> None:
    """The library refuses a file whose tensor has another number of bytes."""
    for name, size in SIZES.items():
        entry = {"dtype": name, "shape": [3], "data_offsets": [0, 3 * size]}
        content = made({"a": entry}, b"\0" * (3 * size))
        assert len(deserialize(content)) == 1, name  # type: ignore[no-untyped-call]
        assert len(read(content)["a"]) == 3 * size


def test_the_limits_have_the_numbers_that_are_stated() -> None:
    assert (LARGEST_HEADER, MOST_ENTRIES, MOST_DIMENSIONS) == (24 * 2**20, 10_000, 8)


def test_the_bytes_of_all_tensors_are_added() -> None:
    content = save(ARRAYS)
    with io.BytesIO(content) as file:
        header = read_header(file, len(content))
    assert header.largest == sum(array.nbytes for array in ARRAYS.values())
