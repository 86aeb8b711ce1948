"""How a file's format is found, and which files are refused by what they are."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from ricorda.errors import ModelFileError
from ricorda.exchange.importing import READERS, REFUSED, import_model
from tests.exchange.keras_files import keras_layers, write_h5, write_symbols


@pytest.mark.parametrize(
    "name, what",
    [
        ("cv/lm_lstm_epoch50.t7", "a model of Torch for Lua"),
        ("chars_vocab.pkl", "a pickle, which could run any code"),
        ("model.ckpt-1000.index", "a TensorFlow 1 checkpoint"),
        ("model.ckpt-1000.data-00000-of-00001", "a TensorFlow 1 checkpoint"),
        ("model.ckpt-1000.meta", "a TensorFlow 1 checkpoint"),
        ("model.ckpt", "a TensorFlow 1 checkpoint"),
        ("checkpoint", "a TensorFlow 1 checkpoint"),
        ("frozen.pb", "a TensorFlow graph"),
        ("net.tflite", "a model for TensorFlow Lite"),
        ("net.mlmodel", "a Core ML model"),
        ("net.GGUF", "a file for llama.cpp"),
        ("net.npz", "NumPy arrays"),
    ],
)
def test_files_of_other_tools_are_refused_by_what_they_are(
    name: str, what: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch x'\ntR.")
    with pytest.raises(ModelFileError) as error:
        import_model(path)
    assert f"{path} is {what}" in str(error.value)
    assert "\n" not in str(error.value)
    assert ": " in str(error.value).removeprefix(str(path)) or ", " in str(error.value)


def test_a_checkpoint_is_known_by_its_name_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt-7.index").touch()
    with pytest.raises(ModelFileError, match="a TensorFlow 1 checkpoint"):
        import_model(tmp_path / "model.ckpt-7")
    (tmp_path / "checkpoint").touch()
    with pytest.raises(ModelFileError, match="a TensorFlow 1 checkpoint"):
        import_model(tmp_path)


def test_no_format_is_both_read_and_refused() -> None:
    suffixes = [suffix for row in READERS.values() for suffix in row.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert not set(suffixes) & REFUSED.keys()


def test_unknown_names_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.doc").touch()
    with pytest.raises(ModelFileError, match=r"ends in one of .*\.keras, \.h5.*, got 'model.doc'"):
        import_model(tmp_path / "model.doc")
    with pytest.raises(ModelFileError, match="no file at"):
        import_model(tmp_path / "missing.keras")
    os.mkfifo(tmp_path / "pipe.keras")
    with pytest.raises(ModelFileError, match="found something else"):
        import_model(tmp_path / "pipe.keras")


def test_the_model_says_where_it_came_from(tmp_path: Path, random: np.random.Generator) -> None:
    path = tmp_path / "net.h5"
    write_h5(path, keras_layers(random))
    model = import_model(path, symbols=write_symbols(tmp_path))
    assert model.training == {
        "imported": {
            "format": "keras",
            "file": "net.h5",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "version": "2.15.0",
        }
    }
