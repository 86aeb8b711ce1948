"""Damaged and hostile files: each is refused in one line, in bounded memory, or read as it is."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.exchange.char_rnn_files import char_rnn, write_char_rnn
from tests.exchange.damage import COUNT, damaged, peak_memory, refusal, refused_share, with_sizes
from tests.exchange.keras_files import (
    Layer,
    keras_layers,
    sequential,
    weights_h5,
    write_h5,
    write_keras,
    write_symbols,
)


@pytest.mark.parametrize("write", [write_h5, write_keras])
def test_damaged_keras_files(
    write: Callable[..., None], tmp_path: Path, random: np.random.Generator
) -> None:
    path = tmp_path / ("model.h5" if write is write_h5 else "model.keras")
    write(path, keras_layers(random))
    content, symbols = path.read_bytes(), write_symbols(tmp_path)
    contents = (damaged(content, random) for _ in range(COUNT))
    assert refused_share(path, contents, symbols) > 0.25
    assert refusal(path, content, symbols) is None


def test_damaged_weights_in_a_sound_archive(tmp_path: Path, random: np.random.Generator) -> None:
    layers = keras_layers(random)
    content, symbols = weights_h5(layers), write_symbols(tmp_path)
    path = tmp_path / "model.keras"
    refused = 0
    for _ in range(COUNT):
        write_archive(path, {"model.weights.h5": damaged(content, random)}, layers)
        refused += refusal(path, symbols=symbols) is not None
    assert refused > COUNT // 4


def test_damaged_char_rnn_folders(tmp_path: Path, random: np.random.Generator) -> None:
    folder = write_char_rnn(tmp_path / "a", char_rnn(random))
    places = [folder / "manifest.json", folder / "vocab.json", folder / "embedding"]
    refused = 0
    for number in range(COUNT):
        place = places[number % 3]
        content = place.read_bytes()
        place.write_bytes(damaged(content, random))
        refused += refusal(folder) is not None
        place.write_bytes(content)
    assert refused > COUNT // 2
    assert refusal(folder) is None


def write_archive(path: Path, members: dict[str, bytes], layers: list[Layer]) -> None:
    """Write a .keras file, some of whose members are other ones."""
    sound = {"metadata.json": b"{}", "config.json": json.dumps(sequential(layers)).encode()}
    if "model.weights.h5" not in members:
        sound["model.weights.h5"] = weights_h5(layers)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (sound | members).items():
            archive.writestr(name, content)


def peak_of(path: Path, symbols: Path) -> tuple[str | None, int]:
    """What refuses a file, and the bytes of memory that importing it takes."""
    found: list[str | None] = []
    peak = peak_memory(lambda: found.append(refusal(path, symbols=symbols)))
    return found[0], peak


BOMBS: dict[str, tuple[Callable[[list[Layer]], dict[str, bytes]], str]] = {
    "weights": (
        lambda layers: {"model.weights.h5": bytes(66 << 20)},
        "would have 69,206,016 bytes",
    ),
    "config": (lambda layers: {"config.json": b" " * (66 << 20)}, "would have 69,206,016 bytes"),
    "long config": (lambda layers: {"config.json": b" " * (20 << 20)}, "more than 16777216"),
    "deep config": (lambda layers: {"config.json": b"[" * (1 << 20)}, "more than 32 levels"),
    "many elements": (
        lambda layers: {"config.json": b"[" + b"0," * (1 << 20) + b"0]"},
        "more than 200000 elements",
    ),
    "no config": (lambda layers: {"config.json": b""}, "is no Keras model"),
    "config of text": (lambda layers: {"config.json": b'"text"'}, "of the class Sequential"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_take_little_memory(name: str, tmp_path: Path, random: np.random.Generator) -> None:
    make, expected = BOMBS[name]
    layers = keras_layers(random)
    path = tmp_path / "model.keras"
    write_archive(path, make(layers), layers)
    message, peak = peak_of(path, write_symbols(tmp_path))
    assert expected in str(message)
    assert peak < 80 << 20


def test_a_size_that_an_archive_understates_is_not_read_further(
    tmp_path: Path, random: np.random.Generator
) -> None:
    layers = keras_layers(random)
    path = tmp_path / "model.keras"
    size = 66 << 20
    write_archive(path, {"model.weights.h5": bytes(size)}, layers)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", size), struct.pack("<I", 1000)))
    message, peak = peak_of(path, write_symbols(tmp_path))
    assert "its model.weights.h5 is damaged" in str(message)
    assert peak < 8 << 20


def test_a_size_beyond_the_file_is_not_read(tmp_path: Path, random: np.random.Generator) -> None:
    path = tmp_path / "model.keras"
    write_keras(path, keras_layers(random), compression=zipfile.ZIP_STORED)
    path.write_bytes(with_sizes(path.read_bytes(), 1 << 30, 1 << 30))
    message, peak = peak_of(path, write_symbols(tmp_path))
    assert "would be larger than the file" in str(message)
    assert peak < 8 << 20


def test_a_long_list_of_files_is_not_read(tmp_path: Path, random: np.random.Generator) -> None:
    layers = keras_layers(random)
    path = tmp_path / "model.keras"
    write_archive(path, {f"{number}" + "x" * 200: b"" for number in range(6000)}, layers)
    message, peak = peak_of(path, write_symbols(tmp_path))
    assert "its list of files has" in str(message)
    assert peak < 8 << 20


def test_names_in_an_archive_lead_nowhere(tmp_path: Path, random: np.random.Generator) -> None:
    layers = keras_layers(random)
    place = tmp_path / "inside"
    place.mkdir()
    path = place / "model.keras"
    write_archive(path, {"../outside": b"x", "/tmp/outside-ricorda": b"x", "a/../b": b"x"}, layers)
    assert refusal(path, symbols=write_symbols(tmp_path)) is None
    assert {each.name for each in tmp_path.iterdir()} == {"inside", "symbols.json"}
    assert [each.name for each in place.iterdir()] == ["model.keras"]
    assert not Path("/tmp/outside-ricorda").exists()


@pytest.mark.parametrize("shape", [(0, 1 << 30), (1 << 30, 0), (0, 0)])
@pytest.mark.parametrize("name", ["kernel", "recurrent_kernel", "bias", "embeddings"])
def test_empty_weights_of_any_shape_take_no_memory(
    name: str, shape: tuple[int, int], tmp_path: Path, random: np.random.Generator
) -> None:
    symbols = write_symbols(tmp_path)
    for index in range(3):
        layers = keras_layers(random)
        layer = [each for each in layers if each.weights][index]
        if name not in layer.weights:
            continue
        layer.weights[name] = np.empty(shape, np.float32)
        layer.config["use_bias"] = name == "bias"
        write_h5(tmp_path / "model.h5", layers)
        message, peak = peak_of(tmp_path / "model.h5", symbols)
        assert message is not None
        assert peak < 32 << 20


@pytest.mark.parametrize("shape", [(), (1,), (1, 11), (11, 1), (1, 1, 11)])
def test_weights_of_other_dimensions(
    shape: tuple[int, ...], tmp_path: Path, random: np.random.Generator
) -> None:
    symbols = write_symbols(tmp_path)
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        for place, layer in enumerate(keras_layers(random, kind)):
            for name in layer.weights:
                layers = keras_layers(random, kind)
                layers[place].weights[name] = np.ones(shape, np.float32)
                write_h5(tmp_path / "model.h5", layers)
                assert refusal(tmp_path / "model.h5", symbols=symbols) is not None


def test_names_in_a_model_reach_no_terminal(tmp_path: Path, random: np.random.Generator) -> None:
    layers, symbols = keras_layers(random), write_symbols(tmp_path)
    path = tmp_path / "model.keras"
    layers.insert(1, Layer("A\n\x1b]0;obey\x07" * 9, "b\n\x1b[2J" * 9))
    write_keras(path, layers)
    message = str(refusal(path, symbols=symbols))
    assert "cannot be imported" in message
    assert message.isprintable()


def test_archives_of_other_kinds_are_refused(tmp_path: Path, random: np.random.Generator) -> None:
    layers, symbols = keras_layers(random), write_symbols(tmp_path)
    path = tmp_path / "model.keras"
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        write_keras(path, layers, compression=compression)
        assert "compressed in an unknown way" in str(refusal(path, symbols=symbols))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(sequential(layers)))
    assert "no item named 'metadata.json'" in str(refusal(path, symbols=symbols)).replace('"', "")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"a comment"
    assert "no zip archive as Keras writes it" in str(refusal(path, symbols=symbols))
    path.write_bytes(b"")
    assert "no zip archive as Keras writes it" in str(refusal(path, symbols=symbols))


@pytest.mark.parametrize("value", [5, [], {}, "x", None, [[[]]], {"layers": 5}, {"layers": [5]}])
def test_configurations_of_other_shapes(
    value: Any, tmp_path: Path, random: np.random.Generator
) -> None:
    layers, symbols = keras_layers(random), write_symbols(tmp_path)
    path = tmp_path / "model.keras"
    changes: list[dict[str, Any]] = [
        {"class_name": value, "config": {}},
        {"class_name": "Functional", "config": value},
        {"class_name": "Sequential", "config": value},
        {"class_name": "Sequential", "config": {"layers": value}},
        {"class_name": "Sequential", "config": {"layers": [value]}},
        {"class_name": "Sequential", "config": {"layers": [{"class_name": value, "config": {}}]}},
    ]
    for key in ("name", "activation", "units", "use_bias", "return_sequences", "go_backwards"):
        model = sequential(layers)
        recurrent = model["config"]["layers"][2]
        recurrent["config"] = recurrent["config"] | {key: value}
        changes.append(model)
    for model in changes:
        write_archive(path, {"config.json": json.dumps(model).encode()}, layers)
        refusal(path, symbols=symbols)
