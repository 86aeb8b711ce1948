"""The tensors of files that PyTorch users save: safetensors, and .pt and .pth archives.

A .pt file is an archive with a pickle, which may run code. Only a pickle that names nothing but
tensors and containers is given to PyTorch, whose weights-only loader calls nothing else either.
Archives that are compressed, and tensors larger than the bytes they are made of, are refused, so
that a file takes no more memory than its size.
"""

import os
import pickletools
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import ModelFileError
from ricorda.extras import require_torch
from ricorda.model.tensor_file import (
    Entry,
    TensorFileError,
    read_entry,
    read_header,
)
from ricorda.validation import shown

FLOATING = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
"""NumPy's names of the types of weights; of bfloat16, that of its bits."""

HARMLESS = re.compile(
    r"|collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)"
    r"|torch (\w+Storage|Size|device|b?float\d+|u?int\d+|bool)"
)
"""What the pickle of a state dict may name; the weights-only loader knows a little more."""

MOST_TENSORS = 10_000


@dataclass(frozen=True)
class StateDict:
    """The weights of a file, in float32, and what else it says."""

    tensors: Mapping[str, NDArray[np.float32]]
    metadata: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    """The other entries of a checkpoint: numbers, texts, lists."""


def read_state_dict(path: Path) -> StateDict:
    """Read a file's tensors. Raises ModelFileError, in one line, and MissingExtra."""
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    return _read_archive(path)


def _read_safetensors(path: Path) -> StateDict:
    try:
        with path.open("rb", buffering=0) as file:
            header = read_header(file, os.fstat(file.fileno()).st_size)
            tensors = {
                name: _float32(read_entry(file, entry), entry)
                for name, entry in header.entries.items()
                if entry.dtype in FLOATING
            }
    except TensorFileError as error:
        raise ModelFileError(
            f"{path} is not a safetensors file, or it is truncated or damaged ({error})"
        ) from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from error
    return StateDict(tensors, header.metadata)


def _float32(content: bytearray, entry: Entry) -> NDArray[np.float32]:
    numbers: NDArray[Any] = np.frombuffer(content, FLOATING[entry.dtype])
    if entry.dtype == "BF16":  # the upper half of a float32
        numbers = (numbers.astype("<u4") << 16).view("<f4")
    return numbers.astype(np.float32, copy=False).reshape(entry.shape)


def _read_archive(path: Path) -> StateDict:
    _check_archive(path)
    require_torch("a .pt or .pth file needs")
    from ricorda.torch.state_dict import load_state_dict

    tensors, others = load_state_dict(path)
    return StateDict(tensors, {}, others)


def _check_archive(path: Path) -> None:
    """See that a file is an archive that holds what it says it holds."""
    try:
        if not zipfile.is_zipfile(path):
            raise ModelFileError(
                f"{path} is not a file of PyTorch (of version 1.6 or newer), or it is truncated"
            )
        with zipfile.ZipFile(path) as archive:
            _check_sizes(path, archive)
            _check_pickles(path, archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise ModelFileError(
            f"{path} is not a file of PyTorch, or it is truncated or damaged "
            f"({type(error).__name__})"
        ) from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from error


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_TENSORS or any(entry.compress_type for entry in entries):
        raise ModelFileError(f"{path} is compressed, or has too many parts: save it anew")
    # zipfile reads as many bytes at once as the archive's list says that a part has
    if sum(max(entry.file_size, entry.compress_size) for entry in entries) > path.stat().st_size:
        raise ModelFileError(f"{path} is damaged: its parts are larger than the file")


def _check_pickles(path: Path, archive: zipfile.ZipFile) -> None:
    """See that pickles name nothing but what tensors are made of."""
    for name in archive.namelist():
        if not name.endswith(".pkl"):
            continue
        for opcode, argument, _ in pickletools.genops(archive.read(name)):
            named = str(argument) if opcode.name == "GLOBAL" else ""
            if opcode.name in {"STACK_GLOBAL", "INST", "OBJ"} or not HARMLESS.fullmatch(named):
                raise ModelFileError(
                    f"{path} holds more than tensors ({shown(named or opcode.name)}), and loading "
                    "it could run code: save model.state_dict() instead"
                )
