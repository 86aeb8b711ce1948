"""Damaged model files: an error that names what is wrong, or a model that still works."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ricorda
from ricorda.errors import ModelFileError
from ricorda.model import ModelConfiguration, ModelFile, write_model_file
from ricorda.text import CharacterVocabulary
from tests.model.divided import divided_file

EXAMPLES = 300
SIZES = ("hidden_size", "vocabulary_size", "num_layers", "embedding_size")


def written(path: Path) -> bytes:
    """A small model file with all that a file may hold."""
    configuration = ModelConfiguration(
        cell="gru", vocabulary_size=5, hidden_size=3, num_layers=2, embedding_size=2
    )
    random = np.random.default_rng(1)
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    vocabulary = CharacterVocabulary("\nabcé", "\n")
    write_model_file(path, ModelFile(configuration, vocabulary, tensors, {"texts": ["a.txt"]}))
    return path.read_bytes()


def written_divided(path: Path) -> bytes:
    """The same of a model of documents with labels."""
    write_model_file(path, divided_file("gru", hidden_size=3, embedding_size=2))
    return path.read_bytes()


@pytest.fixture(scope="module", params=[written, written_divided])
def place(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("fuzz") / "model.safetensors"
    return path, request.param(path)


def used(path: Path) -> tuple[str, str, int]:
    """The error, or the text that the model writes, and the most memory that it took."""
    tracemalloc.start()
    message, text = "", "abc"
    try:
        text = ricorda.load(path).generate(length=3, seed=1)
    except ModelFileError as error:
        message = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return message, text, peak


def load_and_use(path: Path, content: bytes) -> None:
    """Refused with the right error, or good for a text; memory in proportion to the file."""
    path.write_bytes(content)
    message, text, peak = used(path)
    if peak >= 4_000_000 + 50 * len(content):  # what else the process did is counted, too
        message, text, peak = used(path)
    assert "\n" not in message
    assert len(text) <= 3
    assert len(text) == 3 or b'\\"documents\\": true' in content  # a document may end
    assert peak < 4_000_000 + 50 * len(content)


def test_the_file_is_good_before_it_is_damaged(place: tuple[Path, bytes]) -> None:
    path, content = place
    load_and_use(path, content)
    assert ricorda.load(path).vocabulary.size in (5, 35)


@settings(max_examples=EXAMPLES)
@given(changes=st.data())
def test_bits_that_flipped(place: tuple[Path, bytes], changes: Any) -> None:
    path, content = place
    damaged = bytearray(content)
    for _ in range(changes.draw(st.integers(1, 4))):
        position = changes.draw(st.integers(0, len(content) - 1))
        damaged[position] ^= 1 << changes.draw(st.integers(0, 7))
    load_and_use(path, bytes(damaged))


@settings(max_examples=EXAMPLES)
@given(length=st.integers(0, 2500))
def test_a_file_that_was_cut_off(place: tuple[Path, bytes], length: int) -> None:
    path, content = place
    path.write_bytes(content[: min(length, len(content) - 1)])
    with pytest.raises(ModelFileError):
        ricorda.load(path)


@settings(max_examples=EXAMPLES)
@given(begin=st.integers(0, 2500), replacement=st.binary(max_size=40))
def test_bytes_that_were_overwritten(
    place: tuple[Path, bytes], begin: int, replacement: bytes
) -> None:
    path, content = place
    load_and_use(path, content[:begin] + replacement + content[begin + len(replacement) :])


@settings(max_examples=EXAMPLES)
@given(
    value=st.integers(0, 2**63),
    name=st.sampled_from([*SIZES, "num_labels"]),
)
def test_sizes_that_are_not_those_of_the_tensors(
    place: tuple[Path, bytes], value: int, name: str
) -> None:
    path, content = place
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].decode()
    if name not in header:  # an undivided text's
        name = SIZES[0]
    begin = header.index(f'\\"{name}\\": ') + len(name) + 6
    end = min(header.index(mark, begin) for mark in (",", "}"))
    damaged = f"{header[:begin]}{value}{header[end:]}".encode()
    load_and_use(path, len(damaged).to_bytes(8, "little") + damaged + content[8 + length :])
