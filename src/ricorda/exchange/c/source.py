"""C source from templates and arrays."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CONDITION = re.compile(r"#if (!?[A-Z0-9]+(?: \|\| !?[A-Z0-9]+)*)\n")
_OTHER_CONDITION = re.compile(r"#if(def|ndef)?\b")
_PLACE = re.compile(r"@([A-Z_]+)@")

_TYPES = {
    np.dtype(np.float32): "float",
    np.dtype(np.int8): "int8_t",
    np.dtype(np.uint8): "uint8_t",
    np.dtype(np.uint16): "uint16_t",
    np.dtype(np.int32): "int32_t",
    np.dtype(np.uint32): "uint32_t",
}

COLUMNS = 16
"""Numbers in a line of an array."""


def filled(name: str, flags: Mapping[str, bool], values: Mapping[str, object]) -> str:
    """Fill a template of this package.

    Where an `#if` names flags, only its lines that hold are kept, so that the program shows nothing
    of other networks; `@NAME@` becomes a value.
    """
    template = files(__package__).joinpath(name).read_text("utf-8")
    kept = "".join(_kept(template, flags))
    return _PLACE.sub(lambda place: str(values[place[1]]), kept)


def _kept(template: str, flags: Mapping[str, bool]) -> Iterator[str]:
    """Yield the lines whose conditions hold; conditions of the C program itself are lines too."""
    holds: list[bool | None] = []  # of the conditions around a line; None for one of the program
    for line in template.splitlines(keepends=True):
        condition = _CONDITION.fullmatch(line)
        if condition:
            names = condition[1].split(" || ")
            holds.append(any(flags[name.lstrip("!")] != name.startswith("!") for name in names))
            continue
        if _OTHER_CONDITION.match(line):
            holds.append(None)
        if line == "#else\n" and holds[-1] is not None:
            holds[-1] = not holds[-1]
            continue
        is_kept = False not in holds
        if line == "#endif\n" and holds.pop() is not None:
            continue
        if is_kept:
            yield line


def array(name: str, values: NDArray[Any]) -> str:
    """Define a constant array; floats are hexadecimal, which is exact."""
    flat = values.reshape(-1)
    numbers = _hexadecimal(flat) if values.dtype == np.float32 else list(map(str, flat.tolist()))
    lines = (
        ", ".join(numbers[first : first + COLUMNS]) for first in range(0, len(numbers), COLUMNS)
    )
    body = ",\n".join(lines)
    return f"static const {_TYPES[values.dtype]} {name}[{len(numbers)}] = {{\n{body}}};\n"


def smallest(values: Sequence[int]) -> NDArray[Any]:
    """Numbers from 0 on in the smallest type that C compares with an int without surprise."""
    largest = max(values, default=0)
    kind = np.uint8 if largest < 1 << 8 else np.uint16 if largest < 1 << 16 else np.int32
    return np.array(values, kind)


def type_of(values: NDArray[Any]) -> str:
    """Name the C type of an array's numbers."""
    return _TYPES[values.dtype]


def _hexadecimal(values: NDArray[np.float32]) -> list[str]:
    """Write floats (n,) as C99 reads them: `0x1.8p-3f`."""
    text = " ".join(map(float.hex, values.astype(np.float64).tolist()))
    return re.sub(r"\.?0*p([+-]\d+)", r"p\1f", text).split()
