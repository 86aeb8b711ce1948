"""Models for TensorFlow.js: ml5's charRNN and layers models."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.errors import InputError, ModelFileError, VocabularyError
from ricorda.exchange.importing import import_model
from tests.exchange import keras_files
from tests.exchange.char_rnn_files import (
    SYMBOLS,
    H,
    V,
    cell_name,
    char_rnn,
    predictions,
    write_char_rnn,
)
from tests.exchange.keras_files import keras_layers, sequential
from tests.exchange.models import log_probabilities

ORDER = np.argsort(list(SYMBOLS))


@pytest.mark.parametrize("parts", [("kernel", "bias"), ("weights", "biases")])
@pytest.mark.parametrize("embedding", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_char_rnn_predicts_what_tensorflow_predicts(
    layers: int,
    embedding: bool,
    parts: tuple[str, str],
    tmp_path: Path,
    random: np.random.Generator,
) -> None:
    tensors = char_rnn(random, layers=layers, embedding=embedding, parts=parts)
    model = import_model(write_char_rnn(tmp_path / "bolano", tensors))
    ids = random.integers(0, V, 1000 if layers == 2 else 100)
    found = log_probabilities(model, np.argsort(ORDER)[ids])
    np.testing.assert_allclose(found, predictions(tensors, ids)[:, ORDER], rtol=0, atol=1e-5)
    assert model.configuration.num_layers == layers
    assert model.vocabulary.decode(range(V)) == "".join(sorted(SYMBOLS))


def test_no_number_is_rounded(tmp_path: Path, random: np.random.Generator) -> None:
    tensors = char_rnn(random, layers=1)
    model = import_model(write_char_rnn(tmp_path, tensors))
    forget = model.tensors["layers.0.bias_hh"].reshape(4, H)
    np.testing.assert_array_equal(forget, np.outer([0, 1, 0, 0], np.ones(H)))
    given = np.split(tensors[cell_name(0, "bias")], 4)
    expected = np.concatenate([given[0], given[2], given[1], given[3]])  # i, f, j, o
    np.testing.assert_array_equal(model.tensors["layers.0.bias_ih"], expected)


def test_the_folder_and_its_manifest_are_one(tmp_path: Path, random: np.random.Generator) -> None:
    folder = write_char_rnn(tmp_path / "a", char_rnn(random))
    one, two = import_model(folder), import_model(folder / "manifest.json")
    assert {name: one.training["imported"][name] for name in ("format", "file")} == {
        "format": "tensorflowjs",
        "file": "a",
    }
    assert one.training["imported"]["sha256"] == two.training["imported"]["sha256"]
    (folder / "embedding").write_bytes(bytes(4 * V * H))
    assert import_model(folder).training["imported"]["sha256"] != one.training["imported"]["sha256"]


def test_symbols_may_come_from_elsewhere(tmp_path: Path, random: np.random.Generator) -> None:
    folder = write_char_rnn(tmp_path / "a", char_rnn(random), vocabulary=None)
    with pytest.raises(ModelFileError, match="--symbols"):
        import_model(folder)
    path = tmp_path / "symbols.json"
    path.write_text(json.dumps(list(SYMBOLS)))
    assert import_model(folder, symbols=path).vocabulary.size == V


def test_symbols_that_are_given_replace_wrong_ones(
    tmp_path: Path, random: np.random.Generator
) -> None:
    wrong = {symbol: number for number, symbol in enumerate(["", "  ", *SYMBOLS[2:]])}
    folder = write_char_rnn(tmp_path / "a", char_rnn(random), vocabulary=wrong)
    with pytest.raises(VocabularyError, match=r"2 others.*; or give the right symbols with --"):
        import_model(folder)
    path = tmp_path / "symbols.json"
    path.write_text(json.dumps(list(SYMBOLS)))
    assert import_model(folder, symbols=path).vocabulary.encode("the").tolist()


def test_what_the_optimizer_keeps_is_left_out(tmp_path: Path, random: np.random.Generator) -> None:
    tensors = char_rnn(random)
    expected = import_model(write_char_rnn(tmp_path / "a", tensors)).tensors
    tensors[cell_name(0, "kernel") + "/Adam"] = np.ones((2 * H, 4 * H), np.float32)
    tensors["rnnlm/softmax_w/Adam_1"] = np.ones((H, V), np.float32)
    found = import_model(write_char_rnn(tmp_path / "b", tensors)).tensors
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor)


def without(tensors: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: tensor for name, tensor in tensors.items() if name not in names}


REFUSED: dict[str, tuple[Any, str]] = {
    "gru": (
        lambda given: given | {cell_name(0, "kernel", "gru_cell"): np.ones((12, 12), "f4")},
        "is of a cell 'gru_cell'",
    ),
    "gap": (
        lambda given: without(given, cell_name(0, "kernel"), cell_name(0, "bias")),
        "layers numbered from 0, got [1]",
    ),
    "no bias": (
        lambda given: without(given, cell_name(1, "bias")),
        "a kernel and a bias for cell_1",
    ),
    "no output": (lambda given: without(given, "rnnlm/softmax_w"), "the tensors softmax_w"),
    "other tensor": (lambda given: given | {"attention": np.ones((2, 2), "f4")}, "'attention'"),
    "wrong kernel": (
        lambda given: given | {cell_name(0, "kernel"): np.ones((12, 23), "f4")},
        "four times the units",
    ),
    "vector": (
        lambda given: given | {"embedding": np.ones(72, "f4")},
        "'embedding' with 2 dimensions",
    ),
    "narrow": (
        lambda given: given | {"embedding": np.ones((V, 5), "f4")},
        "'layers.0.weight_ih' should have shape (24, 5)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_networks_are_refused_by_name(
    name: str, tmp_path: Path, random: np.random.Generator
) -> None:
    change, message = REFUSED[name]
    folder = write_char_rnn(tmp_path / "a", change(char_rnn(random)))
    with pytest.raises(ModelFileError) as error:
        import_model(folder)
    assert message in str(error.value)


FILE_NAMES = [
    "../secret",
    "/etc/hostname",
    "a/b",
    "..",
    ".",
    "",
    "a\0b",
    "c:\\x",
    "missing",
    None,
    5,
]


@pytest.mark.parametrize("name", FILE_NAMES, ids=repr)
def test_a_manifest_never_leads_out_of_its_folder(
    name: object, tmp_path: Path, random: np.random.Generator
) -> None:
    folder = write_char_rnn(tmp_path / "a", char_rnn(random))
    (tmp_path / "secret").write_bytes((folder / "embedding").read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["embedding"]["filename"] = name
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError):
        import_model(folder)


def test_links_pipes_and_files_of_other_sizes_are_refused(
    tmp_path: Path, random: np.random.Generator
) -> None:
    folder = write_char_rnn(tmp_path / "a", char_rnn(random))
    place = folder / "embedding"
    content = place.read_bytes()
    for change, message in (
        (lambda: place.symlink_to(tmp_path / "secret"), "no link or folder"),
        (lambda: os.mkfifo(place), "no link or folder"),
        (place.mkdir, "no link or folder"),
        (lambda: place.write_bytes(content[:-1]), "expected 288 bytes in 'embedding', found 287"),
        (lambda: place.write_bytes(content + b"\0"), "found 289"),
    ):
        (tmp_path / "secret").write_bytes(content)
        place.rmdir() if place.is_dir() else place.unlink()
        change()
        with pytest.raises(ModelFileError, match=message):
            import_model(folder)


def test_a_file_is_read_once(tmp_path: Path, random: np.random.Generator) -> None:
    folder = write_char_rnn(tmp_path / "a", char_rnn(random))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest[cell_name(1, "bias")] = manifest[cell_name(0, "bias")]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError, match="named twice"):
        import_model(folder)


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", "5", "{}", '{"a": 5}', '{"a": {"shape": [-1], "filename": "a"}}', "[" * 99],
)
def test_other_json_is_refused(manifest: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(ModelFileError) as error:
        import_model(tmp_path)
    assert "\n" not in str(error.value)


def test_other_folders_are_refused_by_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="found neither"):
        import_model(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ModelFileError, match="a SavedModel of TensorFlow"):
        import_model(tmp_path)


def test_a_wrong_vocabulary_is_refused(tmp_path: Path, random: np.random.Generator) -> None:
    for vocabulary, message in (
        ("abc", "expected 12 symbols"),
        ({"a": 0, "b": 5}, "expected the ids from 0"),
        (dict.fromkeys(SYMBOLS, 0), "expected the ids from 0"),
        (5, "expected a list of characters"),
    ):
        folder = write_char_rnn(tmp_path / "a", char_rnn(random), vocabulary)
        with pytest.raises(InputError, match=message) as error:
            import_model(folder)
        assert isinstance(error.value, ModelFileError | VocabularyError)


def write_layers_model(folder: Path, layers: list[keras_files.Layer], shards: int = 2) -> Path:
    """Write a layers model: the configuration, and all weights in files of about one size."""
    folder.mkdir(exist_ok=True)
    entries, content = [], b""
    for layer in layers:
        for name, weight in layer.weights.items():
            entry = {"name": f"{layer.name}/{name}", "shape": weight.shape, "dtype": "float32"}
            entries.append(entry)
            content += weight.tobytes()
    step = -(-len(content) // shards)
    paths = [f"group1-shard{each + 1}of{shards}.bin" for each in range(shards)]
    for number, path in enumerate(paths):
        (folder / path).write_bytes(content[number * step : (number + 1) * step])
    group = {"paths": paths, "weights": entries}
    described = {"format": "layers-model", "modelTopology": {"model_config": sequential(layers)}}
    (folder / "model.json").write_text(json.dumps(described | {"weightsManifest": [group]}))
    return folder


@pytest.mark.parametrize("kind", keras_files.COLUMNS)
def test_a_layers_model_is_the_keras_model_that_it_was_made_of(
    kind: str, tmp_path: Path, random: np.random.Generator
) -> None:
    layers = keras_layers(random, kind, count=2)
    symbols = keras_files.write_symbols(tmp_path)
    keras_files.write_h5(tmp_path / "model.h5", layers)
    expected = import_model(tmp_path / "model.h5", symbols=symbols)
    found = import_model(write_layers_model(tmp_path / "a", layers), symbols=symbols)
    assert found.configuration == expected.configuration
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)


def test_damaged_and_quantized_layers_models_are_refused(
    tmp_path: Path, random: np.random.Generator
) -> None:
    symbols = keras_files.write_symbols(tmp_path)
    folder = write_layers_model(tmp_path / "a", keras_layers(random))
    original = json.loads((folder / "model.json").read_text())

    def refused(message: str, **change: Any) -> None:
        (folder / "model.json").write_text(json.dumps(original | change))
        with pytest.raises(ModelFileError, match=message):
            import_model(folder, symbols=symbols)

    (group,) = original["weightsManifest"]
    first = group["weights"][0]
    quantized = first | {"quantization": {"dtype": "uint8", "scale": 1, "min": 0}}
    weights = group["weights"]
    for changed, message in (
        (quantized, "are not float32"),
        (first | {"dtype": "int32"}, "are not float32"),
        (first | {"shape": [1 << 30, 1 << 30]}, "missing at the end of the shards"),
        (first | {"shape": ["a"]}, "a name and a shape"),
        (5, "a name and a shape"),
    ):
        refused(message, weightsManifest=[group | {"weights": [changed, *weights[1:]]}])
    refused("groups of paths and weights", weightsManifest=[5])
    refused("the name of a file in its folder", weightsManifest=[group | {"paths": ["../a/x"]}])
    refused("named twice", weightsManifest=[group, group])
    refused("of the class Sequential or Functional", modelTopology=5)
