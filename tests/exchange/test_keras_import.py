"""Keras' models, in files of Keras 2 and 3: imported ones compute what Keras computes."""

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine import Model, open_model
from ricorda.errors import ModelFileError
from ricorda.exchange.importing import import_model
from ricorda.model import ModelFile
from tests.exchange.keras_files import (
    COLUMNS,
    SYMBOLS,
    H,
    Layer,
    V,
    functional,
    keras_layers,
    sequential,
    write_h5,
    write_keras,
    write_symbols,
)
from tests.exchange.models import log_probabilities

os.environ.setdefault("KERAS_BACKEND", "torch")  # read when Keras is imported

ORDER = np.argsort(SYMBOLS)
"""For each id of the imported model Keras' id."""


def keras_module() -> Any:
    """Keras itself, on PyTorch."""
    pytest.importorskip("torch")
    return pytest.importorskip("keras")


with_keras = pytest.mark.filterwarnings("ignore:::keras")
"""Keras has warnings of its own."""


def keras_predictions(model: Any, ids: NDArray[Any], *, onehot: bool) -> NDArray[np.float64]:
    """What Keras predicts of Keras' ids: logarithms (T, V), or (1, V) after a window."""
    inputs = np.eye(V, dtype=np.float32)[ids] if onehot else ids.astype(np.int32)
    found = np.asarray(model.predict_on_batch(inputs[np.newaxis]), np.float64)
    return np.log(found[0] if found.ndim == 3 else found)


def assert_same(model: ModelFile, expected: NDArray[np.float64], ids: NDArray[Any]) -> None:
    """The imported model predicts the same of the same characters."""
    found = log_probabilities(model, np.argsort(ORDER)[ids])[-len(expected) :]
    np.testing.assert_allclose(found, expected[:, ORDER], rtol=0, atol=1e-5)


KINDS = [
    (kind, count, embedding, sequences)
    for kind in COLUMNS
    for count, embedding, sequences in [(1, True, True), (2, False, True), (2, False, False)]
]


@with_keras
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kind, count, embedding, sequences", KINDS)
def test_keras_own_files_predict_the_same(
    kind: str,
    count: int,
    embedding: bool,
    sequences: bool,
    suffix: str,
    tmp_path: Path,
    random: np.random.Generator,
) -> None:
    keras = keras_module()
    inputs = keras.Input((None,) if embedding else (None, V))
    values = keras.layers.Embedding(V, 5)(inputs) if embedding else inputs
    for number in range(count):
        returns = sequences or number < count - 1
        layer = getattr(keras.layers, kind)(H, return_sequences=returns, dropout=0.1)
        values = keras.layers.Dropout(0.2)(layer(values))
    dense = keras.layers.Dense(V, activation="softmax")
    values = (
        keras.layers.TimeDistributed(dense)(values) if count == 2 and sequences else dense(values)
    )
    made = keras.Model(inputs, values)
    for weight in made.weights:
        if "seed" not in weight.path:
            scale = 0.3 if "recurrent" in weight.path else 0.6  # no chaos, which no float32 repeats
            weight.assign(scale * random.standard_normal(weight.shape))
    path = tmp_path / f"model{suffix}"
    made.save(path)
    model = import_model(path, symbols=write_symbols(tmp_path))
    ids = random.integers(0, V, 1000 if count == 1 else 200 if sequences else 40)
    assert_same(model, keras_predictions(made, ids, onehot=not embedding), ids)
    assert model.training["imported"]["version"] == keras.__version__


@with_keras
@pytest.mark.parametrize("shape", [sequential, functional])
@pytest.mark.parametrize("kind", COLUMNS)
def test_keras_reads_our_files_of_keras_2_and_predicts_the_same(
    kind: str, shape: Any, tmp_path: Path, random: np.random.Generator
) -> None:
    keras = keras_module()
    path = tmp_path / "model.h5"
    write_h5(path, keras_layers(random, kind, count=2), shape)
    loaded = keras.models.load_model(path, compile=False)
    ids = random.integers(0, V, 200)
    model = import_model(path, symbols=write_symbols(tmp_path))
    assert_same(model, keras_predictions(loaded, ids, onehot=False), ids)


def expected_tensors(layers: list[Layer]) -> dict[str, NDArray[np.float32]]:
    """What the weights become, gate by gate."""
    gates = {"LSTM": "ifgo", "GRU": "zrn", "SimpleRNN": "h"}
    ours = {"LSTM": "ifgo", "GRU": "rzn", "SimpleRNN": "h"}
    found: dict[str, NDArray[np.float32]] = {}
    number = 0
    for layer in layers:
        if layer.kind == "Embedding":
            found["embedding.weight"] = layer.weights["embeddings"][ORDER]
        if layer.kind == "Dense":
            found["output.weight"] = layer.weights["kernel"].T[ORDER]
            found["output.bias"] = layer.weights["bias"][ORDER]
        if layer.kind not in COLUMNS:
            continue
        places = [gates[layer.kind].index(each) * H for each in ours[layer.kind]]
        columns = np.concatenate([np.arange(place, place + H) for place in places])
        kernel = layer.weights["kernel"]
        bias = layer.weights["bias"]
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        onehot = not number and "embedding.weight" not in found
        found[f"layers.{number}.weight_ih"] = (kernel[ORDER] if onehot else kernel)[:, columns].T
        found[f"layers.{number}.weight_hh"] = layer.weights["recurrent_kernel"][:, columns].T
        found[f"layers.{number}.bias_ih"] = both[0, columns]
        found[f"layers.{number}.bias_hh"] = both[1, columns]
        number += 1
    return found


WRITERS: dict[str, Callable[[Path, list[Layer]], None]] = {
    "h5": write_h5,
    "h5 functional": lambda path, layers: write_h5(path, layers, functional),
    "keras": write_keras,
    "keras functional": lambda path, layers: write_keras(path, layers, functional),
    "keras 2.13": lambda path, layers: write_keras(
        path, layers, base="_layer_checkpoint_dependencies"
    ),
    "compressed": lambda path, layers: write_keras(path, layers, compression=zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("embedding", [True, False])
def test_the_weights_are_those_of_the_file_bit_for_bit(
    kind: str, embedding: bool, writer: str, tmp_path: Path, random: np.random.Generator
) -> None:
    layers = keras_layers(random, kind, count=2, embedding=embedding)
    path = tmp_path / ("model.h5" if writer.startswith("h5") else "model.keras")
    WRITERS[writer](path, layers)
    model = import_model(path, symbols=write_symbols(tmp_path))
    expected = expected_tensors(layers)
    assert model.tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(model.tensors[name], tensor, err_msg=name)


def test_an_imported_model_writes_and_scores(tmp_path: Path, random: np.random.Generator) -> None:
    write_h5(tmp_path / "model.h5", keras_layers(random))
    model: Model = open_model(import_model(tmp_path / "model.h5", symbols=write_symbols(tmp_path)))
    text = model.generate("abc", length=20, seed=1)
    assert len(text) == 20
    assert set(text) <= set(SYMBOLS)
    assert model.vocabulary.start == "".join(sorted(SYMBOLS)).index("\n")


def test_biases_that_are_not_used_are_zeros(tmp_path: Path, random: np.random.Generator) -> None:
    layers = keras_layers(random, "GRU")
    for layer in layers:
        if "bias" in layer.weights:
            del layer.weights["bias"]
            layer.config["use_bias"] = False
    write_h5(tmp_path / "model.h5", layers)
    model = import_model(tmp_path / "model.h5", symbols=write_symbols(tmp_path))
    for name in ("layers.0.bias_ih", "layers.0.bias_hh", "output.bias"):
        assert not model.tensors[name].any()


def test_softmax_may_be_a_layer_of_its_own(tmp_path: Path, random: np.random.Generator) -> None:
    layers = keras_layers(random)
    write_h5(tmp_path / "one.h5", layers)
    layers[-1].config["activation"] = "linear"
    layers.append(Layer("Activation", "activation", {"activation": "softmax"}))
    write_h5(tmp_path / "two.h5", layers)
    one, two = (
        import_model(tmp_path / name, symbols=write_symbols(tmp_path))
        for name in ("one.h5", "two.h5")
    )
    for name, tensor in one.tensors.items():
        np.testing.assert_array_equal(two.tensors[name], tensor)


def test_relu_of_a_simple_rnn_is_kept(tmp_path: Path, random: np.random.Generator) -> None:
    layers = keras_layers(random, "SimpleRNN", count=2)
    for layer in layers:
        if layer.kind == "SimpleRNN":
            layer.config["activation"] = "relu"
    write_h5(tmp_path / "model.h5", layers)
    model = import_model(tmp_path / "model.h5", symbols=write_symbols(tmp_path))
    assert model.configuration.nonlinearity == "relu"


def test_a_model_of_windows_is_imported_with_a_note(
    tmp_path: Path, random: np.random.Generator
) -> None:
    write_h5(tmp_path / "model.h5", keras_layers(random, embedding=False, sequences=False))
    model = import_model(tmp_path / "model.h5", symbols=write_symbols(tmp_path))
    (note,) = model.training["imported"]["notes"]
    assert "windows of 40 symbols" in note


def test_numbers_of_other_sizes_are_read(tmp_path: Path, random: np.random.Generator) -> None:
    layers = keras_layers(random)
    for layer in layers:
        for name, weight in layer.weights.items():
            layer.weights[name] = weight.astype(np.float16)
    expected = expected_tensors(layers)
    for kind in (np.float16, ">f8"):
        for layer in layers:
            for name, weight in layer.weights.items():
                layer.weights[name] = weight.astype(kind)
        write_h5(tmp_path / "model.h5", layers)
        model = import_model(tmp_path / "model.h5", symbols=write_symbols(tmp_path))
        for name, tensor in expected.items():
            np.testing.assert_array_equal(model.tensors[name], tensor)


def change(layers: list[Layer], kind: str, **config: Any) -> list[Layer]:
    """Change the configuration of the layers of a class."""
    for layer in layers:
        if layer.kind == kind:
            layer.config |= config
    return layers


def insert(layers: list[Layer], kind: str, **config: Any) -> list[Layer]:
    """Put another layer before the last one."""
    return [*layers[:-1], Layer(kind, "other", config), layers[-1]]


REFUSED: dict[str, tuple[Any, str]] = {
    "hard sigmoid": (
        lambda layers: change(layers, "LSTM", recurrent_activation="hard_sigmoid"),
        "'lstm_0' (LSTM) has recurrent_activation='hard_sigmoid'",
    ),
    "other activation": (
        lambda layers: change(layers, "LSTM", activation="relu"),
        "activation='relu'",
    ),
    "backwards": (lambda layers: change(layers, "LSTM", go_backwards=True), "go_backwards=True"),
    "masks": (lambda layers: change(layers, "Embedding", mask_zero=True), "mask_zero=True"),
    "sigmoid outputs": (
        lambda layers: change(layers, "Dense", activation="sigmoid"),
        "activation='sigmoid'",
    ),
    "normalization": (
        lambda layers: insert(layers, "LayerNormalization"),
        "(LayerNormalization) cannot be",
    ),
    "attention": (lambda layers: insert(layers, "Attention"), "(Attention) cannot be"),
    "bidirectional": (
        lambda layers: insert(layers, "Bidirectional"),
        "(Bidirectional) cannot be",
    ),
    "lambda": (
        lambda layers: insert(layers, "Lambda", function="x"),
        "(Lambda) cannot be",
    ),
    "two cells": (lambda layers: insert(layers, "GRU", activation="tanh"), "class='GRU'"),
    "hidden layer": (
        lambda layers: insert(layers, "Dense", activation="relu"),
        "(Dense) cannot be",
    ),
    "cuDNN": (
        lambda layers: [Layer("CuDNNLSTM", "fast", {}), layers[-1]],
        "(CuDNNLSTM) cannot be",
    ),
    "no layers": (lambda layers: [], "a list of layers"),
    "no dense layer": (lambda layers: layers[:-1], "no recurrent layer with a Dense layer after"),
    "nested model": (
        lambda layers: insert(layers, "Sequential"),
        "(Sequential) cannot be",
    ),
    "weights missing": (
        lambda layers: [*layers[:-1], Layer("Dense", "dense", layers[-1].config)],
        "'dense' (Dense) has no weights 'kernel'",
    ),
    "numbers as input": (
        lambda layers: [
            Layer(
                each.kind,
                each.name,
                each.config,
                {**each.weights, "kernel": np.ones((1, 28), "f4")},
            )
            if each.kind == "LSTM"
            else each
            for each in layers
            if each.kind != "Embedding"
        ],
        "expected one-hot input of 11 numbers",
    ),
}


@pytest.mark.parametrize("write", [write_h5, write_keras])
@pytest.mark.parametrize("name", REFUSED)
def test_what_ricorda_has_no_equal_of_is_refused_by_name(
    name: str, write: Any, tmp_path: Path, random: np.random.Generator
) -> None:
    make, message = REFUSED[name]
    path = tmp_path / ("model.h5" if write is write_h5 else "model.keras")
    write(path, make(keras_layers(random)))
    with pytest.raises(ModelFileError) as error:
        import_model(path, symbols=write_symbols(tmp_path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_gru_that_resets_before_its_weights_is_refused(
    tmp_path: Path, random: np.random.Generator
) -> None:
    layers = keras_layers(random, "GRU")
    write_h5(tmp_path / "model.h5", change(layers, "GRU", reset_after=False))
    with pytest.raises(ModelFileError, match="reset_after=False"):
        import_model(tmp_path / "model.h5", symbols=write_symbols(tmp_path))
    for layer in layers:
        layer.config.pop("reset_after", None)  # as Keras before 2.1 wrote it
    write_h5(tmp_path / "model.h5", layers)
    with pytest.raises(ModelFileError, match="reset_after=False"):
        import_model(tmp_path / "model.h5", symbols=write_symbols(tmp_path))


def test_a_layer_that_returns_its_last_output_alone_is_refused_before_another(
    tmp_path: Path, random: np.random.Generator
) -> None:
    layers = keras_layers(random, count=2)
    write_h5(tmp_path / "model.h5", change(layers, "LSTM", return_sequences=False))
    with pytest.raises(ModelFileError, match=r"'lstm_0' \(LSTM\) has return_sequences=False"):
        import_model(tmp_path / "model.h5", symbols=write_symbols(tmp_path))


def test_a_functional_model_that_is_no_chain_is_refused(
    tmp_path: Path, random: np.random.Generator
) -> None:
    def skipping(layers: Sequence[Layer]) -> dict[str, Any]:
        model = functional(layers)
        model["config"]["layers"][-1]["inbound_nodes"] = [[["embedding", 0, 0, {}]]]
        return model

    def second_output(layers: Sequence[Layer]) -> dict[str, Any]:
        model = functional(layers)
        model["config"]["output_layers"].append(["lstm_0", 0, 1])
        return model

    def with_state(layers: Sequence[Layer]) -> dict[str, Any]:
        model = functional(layers)
        state = {"initial_state": [["input_2", 0, 0]]}
        model["config"]["layers"][2]["inbound_nodes"] = [[["embedding", 0, 0, state]]]
        return model

    def list_alone(layers: Sequence[Layer]) -> dict[str, Any]:
        model = functional(layers)
        return {**model, "config": model["config"]["layers"]}

    for shape, message in (
        (list_alone, "a list of layers"),
        (skipping, "only a chain of layers"),
        (with_state, "only a chain of layers"),
        (second_output, "other outputs than those of its last layer"),
    ):
        write_h5(tmp_path / "model.h5", keras_layers(random), shape)
        with pytest.raises(ModelFileError, match=message):
            import_model(tmp_path / "model.h5", symbols=write_symbols(tmp_path))


def test_weights_alone_and_programs_are_refused(
    tmp_path: Path, random: np.random.Generator
) -> None:
    layers = keras_layers(random)
    path = tmp_path / "model.h5"
    write_h5(path, layers, lambda layers: {"class_name": "MyModel", "config": {}})
    with pytest.raises(ModelFileError, match="a model that a program builds"):
        import_model(path, symbols=write_symbols(tmp_path))
    import h5py

    with h5py.File(path, "w") as file:
        file.create_group("lstm")
    with pytest.raises(ModelFileError, match="weights alone"):
        import_model(path, symbols=write_symbols(tmp_path))


def test_symbols_must_be_given_and_fit(tmp_path: Path, random: np.random.Generator) -> None:
    write_h5(tmp_path / "model.h5", keras_layers(random))
    with pytest.raises(ModelFileError, match="--symbols"):
        import_model(tmp_path / "model.h5")
    few = tmp_path / "few.json"
    few.write_text(json.dumps(SYMBOLS[:-1]), encoding="utf-8")
    with pytest.raises(ModelFileError, match="expected 11 symbols"):
        import_model(tmp_path / "model.h5", symbols=few)
