"""ONNX files, read without trusting a byte of them.

A file is a message of protocol buffers: fields of a number, a type and bytes. Only those that
describe a network are decoded; no other file is opened, and the numbers of a tensor stay where
they are in the file's bytes until they are asked for. onnx.proto names the fields.
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import ModelFileError
from ricorda.model.cells import CellName
from ricorda.validation import shown

Array = NDArray[Any]
T = TypeVar("T")

GATE_ORDERS: dict[CellName, tuple[str, str]] = {
    "rnn": ("h", "h"),
    "gru": ("rzn", "zrn"),
    "lstm": ("ifgo", "iofg"),
}
"""The letters of the gates as torch.nn and as ONNX stack them."""

LARGEST = 2**31  # bytes of a file, the limit of protocol buffers
MOST_FIELDS = 200_000
MOST_NAMED = 20_000
"""Nodes, tensors and attributes of a graph together."""


class OnnxFileError(ValueError):
    """The bytes are no ONNX file, or a truncated or damaged one."""


class Message(NamedTuple):
    """A kind of message: what its fields hold, by number."""

    fields: (
        "Mapping[int, tuple[str, Message | Literal['text', 'bytes', 'ints', 'float32', 'float64']]]"
    )


ENTRY = Message({1: ("key", "text"), 2: ("value", "text")})
TENSOR = Message(
    {
        1: ("dims", "ints"),
        2: ("data_type", "ints"),
        4: ("float_data", "float32"),
        5: ("int32_data", "ints"),
        7: ("int64_data", "ints"),
        8: ("name", "text"),
        9: ("raw_data", "bytes"),
        10: ("double_data", "float64"),
        14: ("data_location", "ints"),
    }
)
ATTRIBUTE = Message(
    {
        1: ("name", "text"),
        2: ("f", "float32"),
        3: ("i", "ints"),
        4: ("s", "text"),
        5: ("t", TENSOR),
        7: ("floats", "float32"),
        8: ("ints", "ints"),
        9: ("strings", "text"),
    }
)
NODE = Message(
    {
        1: ("input", "text"),
        2: ("output", "text"),
        4: ("op_type", "text"),
        5: ("attribute", ATTRIBUTE),
        7: ("domain", "text"),
    }
)
VALUE = Message({1: ("name", "text")})
GRAPH = Message(
    {
        1: ("node", NODE),
        5: ("initializer", TENSOR),
        11: ("input", VALUE),
        12: ("output", VALUE),
    }
)
MODEL = Message({7: ("graph", GRAPH), 14: ("metadata_props", ENTRY)})

TYPES: dict[int, tuple[str, str]] = {
    1: ("<f4", "float_data"),
    2: ("u1", "int32_data"),
    3: ("i1", "int32_data"),
    6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"),
    9: ("?", "int32_data"),
    10: ("<f2", "int32_data"),
    11: ("<f8", "double_data"),
    16: ("bfloat16", "int32_data"),
}
"""NumPy's name of each number in a tensor, and the field that holds them if `raw_data` does not."""


@dataclass(frozen=True)
class Node:
    """One operation of a graph."""

    operator: str
    """Its name, after that of its domain where it is not a standard one."""

    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    """Numbers, texts, lists of them, and tensors as Tensor."""

    def attribute(self, name: str, default: T) -> T:
        """Return an attribute of the kind of `default`, which is returned without it.

        Raises OnnxFileError for one of another kind.
        """
        value = self.attributes.get(name, default)
        kinds = [
            type(each[0]) if isinstance(each, list) and each else type(each)
            for each in (value, default)
        ]
        if type(value) is not type(default) or kinds[0] is not kinds[1]:
            raise OnnxFileError(
                f"the attribute {name} of its {self.operator[:40]} is {shown(value)}"
            )
        return value

    def input(self, number: int) -> str:
        """The name of an input; "" where it is left out."""
        return self.inputs[number] if number < len(self.inputs) else ""


@dataclass(frozen=True)
class Graph:
    """A network as a file describes it."""

    nodes: list[Node]
    tensors: "dict[str, Tensor]"
    inputs: list[str]
    outputs: list[str]
    metadata: dict[str, str]
    size: int
    """Bytes of the file."""


class Tensor:
    """A constant of a graph."""

    def __init__(self, fields: Mapping[str, list[Any]]) -> None:
        self.name: str = _last(fields, "name", "")
        self._fields = fields

    def array(self) -> Array:
        """Return its numbers; they take no more memory than in the file, or eight times as much.

        Raises OnnxFileError for numbers in another file, of another kind, or too few or many.
        """
        if _last(self._fields, "data_location", 0):
            raise OnnxFileError(
                f"the tensor {shown(self.name)} is in another file: save the graph as one file"
            )
        shape = self._fields.get("dims", [])
        kind = _last(self._fields, "data_type", 0)
        if kind not in TYPES:
            raise OnnxFileError(f"the tensor {shown(self.name)} has the unknown type {kind}")
        dtype, name = TYPES[kind]
        count = math.prod(shape)
        values = self._values(np.dtype("<u2" if dtype == "bfloat16" else dtype), name)
        largest = math.prod(max(1, each) for each in shape)  # NumPy's check ignores a 0
        if len(shape) > 8 or min(shape, default=0) < 0 or largest >= 2**48 or values.size != count:
            raise OnnxFileError(
                f"the tensor {shown(self.name)} has {values.size} numbers, not as many as its shape"
            )
        if dtype == "bfloat16":
            values = (values.astype("<u4") << 16).view("<f4")
        return values.reshape(shape)

    def _values(self, dtype: np.dtype[Any], name: str) -> Array:
        if "raw_data" in self._fields:
            raw = self._fields["raw_data"][-1]
            if len(raw) % dtype.itemsize:
                raise OnnxFileError(f"the tensor {shown(self.name)} ends within a number")
            return np.frombuffer(raw, dtype)
        parts = self._fields.get(name, [])
        if name not in {"int32_data", "int64_data"}:
            return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)
        if dtype.kind == "f":  # float16 as its 16 bits
            return (np.array(parts, np.int64) & 0xFFFF).astype("<u2").view(dtype)
        return np.array(parts, np.int64).astype(dtype)


def read_graph(path: Path) -> Graph:
    """Read a file's graph. Raises ModelFileError for one that is missing, damaged or no ONNX."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST:
                raise OnnxFileError(f"it has {size:,} bytes, more than {LARGEST:,}")
            content = file.read(size)
        return _Decoder(content).graph()
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from error
    except OnnxFileError as error:
        raise ModelFileError(
            f"{path} is not an ONNX graph, or it is truncated or damaged ({error})"
        ) from error


class _Decoder:
    """Decodes a file's messages; counts their fields, so that memory stays bounded."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._fields = 0
        self._named = 0

    def graph(self) -> Graph:
        model = self._message(memoryview(self._content), MODEL)
        if len(model.get("graph", [])) != 1:
            raise OnnxFileError("it has no graph")
        (graph,) = model["graph"]
        tensors = [Tensor(fields) for fields in graph.get("initializer", [])]
        return Graph(
            [_node(fields) for fields in graph.get("node", [])],
            {each.name: each for each in tensors},
            [_last(each, "name", "") for each in graph.get("input", [])],
            [_last(each, "name", "") for each in graph.get("output", [])],
            {
                _last(each, "key", ""): _last(each, "value", "")
                for each in model.get("metadata_props", [])
            },
            len(self._content),
        )

    def _message(self, view: memoryview, message: Message) -> dict[str, list[Any]]:
        """Decode a message's known fields, each a list; messages in it are decoded too."""
        found: dict[str, list[Any]] = {}
        for number, value in self._wire(view):
            if number not in message.fields:
                continue
            name, kind = message.fields[number]
            values = found.setdefault(name, [])
            if isinstance(kind, Message):
                self._named += 1
                if self._named > MOST_NAMED:
                    raise OnnxFileError(f"it has more than {MOST_NAMED:,} nodes and tensors")
                values.append(self._message(_bytes(value), kind))
            elif kind == "text":
                values.append(_text(value))
            elif kind == "bytes":
                values.append(_bytes(value))
            elif kind == "ints":
                values.extend([value] if isinstance(value, int) else self._packed(value))
            else:
                values.append(_floats(value, kind))
        return found

    def _wire(self, view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Yield the number and the value of each field: a whole number, or bytes."""
        place = 0
        while place < len(view):
            key, place = self._varint(view, place)
            width = {1: 8, 5: 4}.get(key & 7)
            if key & 7 == 0:
                value, place = self._varint(view, place)
                yield key >> 3, value - 2**64 if value >= 2**63 else value
                continue
            if key & 7 == 2:
                width, place = self._varint(view, place)
            if width is None:
                raise OnnxFileError(f"a field has the unknown type {key & 7}")
            if width > len(view) - place:
                raise OnnxFileError("it ends within a field")
            yield key >> 3, view[place : place + width]
            place += width

    def _packed(self, view: memoryview) -> Iterator[int]:
        place = 0
        while place < len(view):
            value, place = self._varint(view, place)
            yield value - 2**64 if value >= 2**63 else value

    def _varint(self, view: memoryview, place: int) -> tuple[int, int]:
        """Read a whole number of seven bits a byte at a place: it, and the place after it."""
        self._fields += 1
        if self._fields > MOST_FIELDS:
            raise OnnxFileError(f"it has more than {MOST_FIELDS:,} fields")
        value = 0
        for count, byte in enumerate(view[place : place + 10]):
            value |= (byte & 0x7F) << (7 * count)
            if byte < 0x80:
                return value & (2**64 - 1), place + count + 1
        raise OnnxFileError("it ends within a number")


def _node(fields: Mapping[str, list[Any]]) -> Node:
    domain, operator = _last(fields, "domain", ""), _last(fields, "op_type", "")
    return Node(
        operator if domain in {"", "ai.onnx"} else f"{domain}.{operator}",
        fields.get("input", []),
        fields.get("output", []),
        {_last(each, "name", ""): _attribute(each) for each in fields.get("attribute", [])},
    )


def _attribute(fields: Mapping[str, list[Any]]) -> Any:
    """The value of an attribute, whichever field holds it; None for a kind that is not known."""
    if "t" in fields:
        return Tensor(fields["t"][-1])
    if "floats" in fields:
        return np.concatenate(fields["floats"]).tolist()
    for name in ("ints", "strings"):
        if name in fields:
            return fields[name]
    if "f" in fields:
        return float(fields["f"][-1][-1])
    return _last(fields, "i", _last(fields, "s", None))


def _last(fields: Mapping[str, list[Any]], name: str, default: Any) -> Any:
    """A field that occurs once; of several the last one holds."""
    return fields[name][-1] if fields.get(name) else default


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise OnnxFileError("a field is a number where bytes were expected")
    return value


def _text(value: int | memoryview) -> str:
    try:
        return str(_bytes(value), "utf-8")
    except UnicodeDecodeError as error:
        raise OnnxFileError("a name is not UTF-8") from error


def _floats(value: int | memoryview, kind: str) -> Array:
    content = _bytes(value)
    dtype = np.dtype(kind).newbyteorder("<")
    if len(content) % dtype.itemsize or not content:
        raise OnnxFileError("it ends within a number")
    return np.frombuffer(content, dtype)
