"""The model file: weights, configuration and vocabulary in one safetensors file, no pickle.

The header's metadata holds four strings: `ricorda.format` (an integer), `ricorda.model` (the
configuration, JSON), `ricorda.vocabulary` (JSON) and `ricorda.training` (where it came from
and how its text was read, JSON). Other keys are ignored: they belong to other tools, such as the
safetensors library's `format`, or to a newer ricorda that an older one can do without. The tensors
are exactly those of `ModelConfiguration.tensor_shapes`, float32, and perhaps with them
one of bytes for each, under its name after `adaptive.`: the sizes of gradients in training, for
adaptive reading. Any difference is an error that
names it; so is an unknown key of `ricorda.model` or `ricorda.vocabulary`, which
may change what the network computes.

A model of documents, with labels or with the sizes of gradients has format 2. All others have
format 1 and none of its keys, so that an older ricorda reads them.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from ricorda.durable import write_atomically
from ricorda.errors import ConfigurationError, ModelFileError, VocabularyError
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.tensor_file import (
    Entry,
    Header,
    TensorFileError,
    read_entry,
    read_header,
    tensor_file,
)
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.vocabulary import Vocabulary
from ricorda.validation import explain, parse_json, shown

FORMAT = 2
SIZES_PREFIX = "adaptive."
MODEL_FILE_NAME = "model.safetensors"
"""The file name of every run's model; the name of its folder identifies it."""

DIVISION = ("documents", "num_labels")
"""The entries of `ricorda.model` that format 1 does not have, for a text divided into documents."""
LARGEST_METADATA = 16 * 1024 * 1024  # characters of JSON; a vocabulary of every code point fits


@dataclass(frozen=True)
class ModelFile:
    """Everything a model file holds."""

    configuration: ModelConfiguration
    vocabulary: Vocabulary
    tensors: dict[str, NDArray[np.float32]]
    training: dict[str, Any] = field(default_factory=dict)
    """Where the model came from, and under "reading" how its text was read."""

    gradient_sizes: dict[str, NDArray[np.uint8]] | None = None
    """For each tensor the sizes of its gradients in training, for adaptive reading; see
    ricorda.engine.adaptive."""

    name: str = field(default="", compare=False)
    """What people call it: the name of its run or of its file. It is not in the file."""

    @property
    def reading(self) -> ReadingSettings:
        """How the text was read; the defaults for a file without the entry."""
        return ReadingSettings.from_training(self.training, self.vocabulary)


def write_model_file(path: Path, model: ModelFile) -> None:
    """Write a model file whole or not at all: beside its place, flushed, then renamed.

    Raises ModelFileError if the tensors do not fit the configuration, OSError if the disk refuses.
    """
    write_atomically(path, model_file_bytes(model))


def model_file_bytes(model: ModelFile) -> bytes:
    """All that a model file holds; the same model is the same bytes.

    Raises ModelFileError if the tensors do not fit the configuration.
    """
    _check_tensors(model.configuration, model.tensors, where="the model to be written")
    sizes = model.gradient_sizes or {}
    metadata = model_metadata(model)
    tensors = {
        name: ("F32", tensor.shape, np.ascontiguousarray(tensor, "<f4").data.cast("B"))
        for name, tensor in model.tensors.items()
    }
    for name, array in sizes.items():
        tensors[SIZES_PREFIX + name] = (
            "U8",
            array.shape,
            np.ascontiguousarray(array, np.uint8).data.cast("B"),
        )
    return b"".join(tensor_file(tensors, metadata))


def model_metadata(model: ModelFile) -> dict[str, str]:
    """The four strings of the header, by key."""
    described = asdict(model.configuration)
    is_divided = any(described[key] for key in DIVISION)
    if not is_divided:
        described = {key: value for key, value in described.items() if key not in DIVISION}
    return {
        "ricorda.format": "2" if is_divided or model.gradient_sizes else "1",
        "ricorda.model": json.dumps(described),
        "ricorda.vocabulary": json.dumps(model.vocabulary.to_json(), ensure_ascii=False),
        "ricorda.training": json.dumps(model.training, ensure_ascii=False),
    }


def model_file_path(path: Path) -> Path:
    """Return the model file for a path: the file itself, or that of a run's folder."""
    return path / MODEL_FILE_NAME if path.is_dir() else path


def read_model_file(path: Path) -> ModelFile:
    """Read a model file, trusting nothing in it.

    Raises ModelFileError, naming what is wrong, for a file that is missing, no model file,
    truncated, of a newer format, inconsistent or with weights that are not finite numbers.
    """
    if not path.exists():
        raise ModelFileError(f"no model file at {path}: give a model.safetensors or a run's folder")
    if not path.is_file():
        raise ModelFileError(f"expected a model file, found something else at {path}")
    try:
        with path.open("rb", buffering=0) as file:
            header = read_header(file, os.fstat(file.fileno()).st_size)
            configuration, vocabulary, training = read_metadata(path, header.metadata)
            _check_entries(path, configuration, header)
            arrays = {
                name: _array(read_entry(file, entry), entry)
                for name, entry in header.entries.items()
            }
    except TensorFileError as error:
        raise ModelFileError(
            f"{path} is not a ricorda model file, or it is truncated or damaged ({error})"
        ) from error
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror}") from error
    names = configuration.tensor_shapes()
    tensors = {name: arrays[name] for name in arrays if name in names}
    sizes = {name: arrays[SIZES_PREFIX + name] for name in names if SIZES_PREFIX + name in arrays}
    _check_tensors(configuration, tensors, where=str(path))
    name = path.stem if path.name != MODEL_FILE_NAME else path.resolve().parent.name
    return ModelFile(configuration, vocabulary, tensors, training, sizes or None, name)


def read_metadata(
    path: Path, metadata: dict[str, str]
) -> tuple[ModelConfiguration, Vocabulary, dict[str, Any]]:
    """Check and parse the four strings of the header. Raises ModelFileError."""
    format_text = metadata.get("ricorda.format")
    if format_text is None:
        raise ModelFileError(
            f"{path} is a safetensors file but not a ricorda model: its header has no "
            "'ricorda.format' (a tool that saves a model again must keep its metadata)"
        )
    if not format_text.isascii() or not format_text.isdigit() or len(format_text) > 9:
        raise ModelFileError(
            f"{path}: 'ricorda.format' should be an integer, is {shown(format_text)}"
        )
    if int(format_text) > FORMAT:
        raise ModelFileError(
            f"{path} has format {int(format_text)}, newer than this ricorda reads ({FORMAT}): "
            "upgrade ricorda"
        )
    if int(format_text) < 1:
        raise ModelFileError(f"{path}: there is no format {format_text}; the first is 1")
    described = _read_json(path, metadata, "ricorda.model")
    if int(format_text) == 1 and (newer := [key for key in DIVISION if key in described]):
        raise ModelFileError(f"{path}: a model of format 1 has no {newer[0]!r}; format 2 has")
    try:
        configuration = TypeAdapter(ModelConfiguration).validate_json(
            metadata["ricorda.model"], strict=True
        )
        vocabulary = Vocabulary.from_json(_read_json(path, metadata, "ricorda.vocabulary"))
    except ValidationError as error:
        raise ModelFileError(
            f"{path}: 'ricorda.model' is damaged or newer than this ricorda: "
            f"{explain(error, ModelConfiguration)}"
        ) from error
    except VocabularyError as error:
        raise ModelFileError(f"{path}: 'ricorda.vocabulary' is wrong: {error}") from error
    _check_vocabulary(path, configuration, vocabulary)
    training = _read_json(path, metadata, "ricorda.training")
    try:
        ReadingSettings.from_training(training, vocabulary)
    except ConfigurationError as error:
        raise ModelFileError(f"{path}: in 'ricorda.training', {error}") from error
    return configuration, vocabulary, training


def _check_vocabulary(
    path: Path, configuration: ModelConfiguration, vocabulary: Vocabulary
) -> None:
    """Symbols, boundary and labels of the vocabulary are those of the configuration."""
    if vocabulary.size != configuration.vocabulary_size:
        raise ModelFileError(
            f"{path}: the vocabulary has {vocabulary.size} symbols, "
            f"the configuration {configuration.vocabulary_size}"
        )
    if vocabulary.boundary != configuration.boundary:
        has, lacks = ("vocabulary", "configuration")[:: -1 if configuration.documents else 1]
        raise ModelFileError(
            f"{path}: the {has} has a boundary between documents, the {lacks} has none"
        )
    labels = len(vocabulary.labels)
    if configuration.num_labels not in (0, labels + 1):
        raise ModelFileError(
            f"{path}: the vocabulary has {labels} labels, the configuration "
            f"{configuration.num_labels} with that for none; expected {labels + 1} or 0"
        )


def _read_json(path: Path, metadata: dict[str, str], key: str) -> dict[str, Any]:
    """Parse one of the header's JSON objects."""
    text = metadata.get(key)
    if text is None:
        raise ModelFileError(f"{path}: its header has no {key!r}")
    try:
        value = parse_json(text, longest=LARGEST_METADATA)
    except ValueError as error:
        raise ModelFileError(f"{path}: {key!r} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelFileError(f"{path}: {key!r} should be a JSON object")
    return value


def _check_entries(path: Path, configuration: ModelConfiguration, header: Header) -> None:
    """Every tensor that the configuration asks for, of its type and shape, and no other."""
    sizes = {name for name in header.entries if name.startswith(SIZES_PREFIX)}
    names = set(header.entries) - sizes
    layers = {name.split(".")[1] for name in names if name.startswith("layers.")}
    if len(layers) != configuration.num_layers:
        raise ModelFileError(
            f"{path}: the configuration has {configuration.num_layers} layers, "
            f"the tensors {len(layers)}"
        )
    expected = configuration.tensor_shapes()
    if missing := sorted(set(expected) - names):
        raise ModelFileError(f"{path}: the tensor {missing[0]!r} is missing")
    if extra := sorted(names - set(expected)):
        raise ModelFileError(f"{path}: the tensor {shown(extra[0])} does not belong to this model")
    if sizes and (differing := sorted(sizes ^ {SIZES_PREFIX + name for name in expected})):
        raise ModelFileError(
            f"{path}: the tensor {shown(differing[0])} "
            + ("does not belong to this model" if differing[0] in sizes else "is missing")
        )
    for name, entry in header.entries.items():
        of_bytes = name in sizes
        if entry.dtype != ("U8" if of_bytes else "F32"):
            expected_type = "bytes (U8)" if of_bytes else "float32 (F32)"
            raise ModelFileError(
                f"{path}: the tensor {name!r} should be {expected_type}, is {entry.dtype}"
            )
        _check_shape(str(path), name, entry.shape, expected[name.removeprefix(SIZES_PREFIX)])


def _array(content: bytearray, entry: Entry) -> NDArray[Any]:
    """The numbers of one tensor."""
    return np.frombuffer(content, "<f4" if entry.dtype == "F32" else "u1").reshape(entry.shape)


def _check_shape(where: str, name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ModelFileError(
            f"{where}: the tensor {name!r} should have shape {expected}, has {shape}"
        )


def _check_tensors(
    configuration: ModelConfiguration, tensors: dict[str, NDArray[np.float32]], where: str
) -> None:
    """Every tensor of the right shape and finite."""
    for name, shape in configuration.tensor_shapes().items():
        if name not in tensors:
            raise ModelFileError(f"{where}: the tensor {name!r} is missing")
        _check_shape(where, name, tensors[name].shape, shape)
        if not np.isfinite(tensors[name]).all():
            raise ModelFileError(f"{where}: the tensor {name!r} holds numbers that are not finite")
