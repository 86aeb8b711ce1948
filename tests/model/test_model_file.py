"""The model file: what is written is read back; whatever is wrong is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ricorda.errors import ModelFileError
from ricorda.model import ModelConfiguration, ModelFile, read_model_file, write_model_file
from ricorda.text import ByteVocabulary, CharacterVocabulary

CONFIGURATION = ModelConfiguration(
    cell="lstm", vocabulary_size=3, hidden_size=4, num_layers=2, embedding_size=5
)


def random_model(seed: int = 1) -> ModelFile:
    random = np.random.default_rng(seed)
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in CONFIGURATION.tensor_shapes().items()
    }
    vocabulary = CharacterVocabulary("\nzà", "\n")
    return ModelFile(CONFIGURATION, vocabulary, tensors, {"texts": ["è.txt"]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    write_model_file(path, random_model())
    return path


def rewrite(
    path: Path,
    metadata: dict[str, Any] | None = None,
    tensors: dict[str, Any] | None = None,
    drop: tuple[str, ...] = (),
) -> None:
    """Change a model file: JSON values and tensors replaced, names dropped."""
    written = load_file(path)
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    strings: dict[str, str] = header["__metadata__"]
    for name, value in (metadata or {}).items():
        strings[name] = value if isinstance(value, str) else json.dumps(value)
    written |= tensors or {}
    for name in drop:
        written.pop(name, None)
        strings.pop(name, None)
    save_file(written, path, strings)


def test_what_is_written_is_read_back(path: Path) -> None:
    written, read = random_model(), read_model_file(path)
    assert read.configuration == written.configuration
    assert read.vocabulary == written.vocabulary
    assert read.training == written.training
    assert read.tensors.keys() == written.tensors.keys()
    for name, tensor in written.tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)


def test_the_same_model_is_the_same_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    write_model_file(again, random_model())
    assert again.read_bytes() == path.read_bytes()


def test_a_byte_vocabulary_is_read_back(tmp_path: Path) -> None:
    configuration = ModelConfiguration(cell="rnn", vocabulary_size=256, hidden_size=1)
    tensors = {
        name: np.ones(shape, np.float32) for name, shape in configuration.tensor_shapes().items()
    }
    path = tmp_path / "bytes.safetensors"
    write_model_file(path, ModelFile(configuration, ByteVocabulary(10), tensors))
    assert read_model_file(path).vocabulary == ByteVocabulary(10)


def model_json(**changes: Any) -> dict[str, Any]:
    settings = {
        "cell": "lstm",
        "vocabulary_size": 3,
        "hidden_size": 4,
        "num_layers": 2,
        "embedding_size": 5,
        "nonlinearity": "tanh",
    }
    return {**settings, **changes}


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no safetensors": (lambda path: path.write_bytes(b"not a model"), "not a ricorda model file"),
    "empty": (lambda path: path.write_bytes(b""), "not a ricorda model file"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "truncated"),
    "header cut": (lambda path: path.write_bytes(path.read_bytes()[:20]), "truncated"),
    "huge header": (
        lambda path: path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:]),
        "not a ricorda model file",
    ),
    "other safetensors": (
        lambda path: save_file({"a": np.ones(2, np.float32)}, path),
        "no 'ricorda.format'",
    ),
    "newer format": (lambda path: rewrite(path, {"ricorda.format": "2"}), "upgrade ricorda"),
    "format zero": (lambda path: rewrite(path, {"ricorda.format": "0"}), "no format 0"),
    "format word": (lambda path: rewrite(path, {"ricorda.format": "x"}), "should be an integer"),
    "no model": (lambda path: rewrite(path, drop=("ricorda.model",)), "no 'ricorda.model'"),
    "a wrong reading": (
        lambda path: rewrite(path, {"ricorda.training": '{"reading": {"newlines": "maybe"}}'}),
        "in 'ricorda.training', 'reading' is wrong at 'newlines'",
    ),
    "a reading that lifts a limit": (
        lambda path: rewrite(
            path, {"ricorda.training": '{"reading": {"max_decompressed": "1000TB"}}'}
        ),
        "unknown entry 'max_decompressed'",
    ),
    "a reading in no encoding": (
        lambda path: rewrite(path, {"ricorda.training": '{"reading": {"encoding": "klingon"}}'}),
        "names the encoding 'klingon', which this Python does not know",
    ),
    "no training": (lambda path: rewrite(path, drop=("ricorda.training",)), "ricorda.training"),
    "broken JSON": (lambda path: rewrite(path, {"ricorda.model": "{"}), "not JSON"),
    "JSON list": (lambda path: rewrite(path, {"ricorda.model": "[]"}), "JSON object"),
    "deep JSON": (lambda path: rewrite(path, {"ricorda.training": "[" * 99999}), "not JSON"),
    "unknown key": (
        lambda path: rewrite(path, {"ricorda.model": model_json(more=1)}),
        "newer than this ricorda: unknown option more",
    ),
    "unknown key of the vocabulary": (
        lambda path: rewrite(
            path,
            {"ricorda.vocabulary": {"kind": "bytes", "start": 10, "merges": [], "k" * 10**6: 1}},
        ),
        "newer than this ricorda",
    ),
    "unknown kind of vocabulary": (
        lambda path: rewrite(path, {"ricorda.vocabulary": {"kind": "k" * 10**6}}),
        "newer than this ricorda",
    ),
    "a long name": (
        lambda path: rewrite(path, tensors={"k" * 10**6: np.ones(1, np.float32)}),
        "does not belong",
    ),
    "unknown cell": (lambda path: rewrite(path, {"ricorda.model": model_json(cell="x")}), "cell"),
    "hidden zero": (
        lambda path: rewrite(path, {"ricorda.model": model_json(hidden_size=0)}),
        "hidden_size",
    ),
    "hidden text": (
        lambda path: rewrite(path, {"ricorda.model": model_json(hidden_size="4")}),
        "hidden_size",
    ),
    "hidden wrong": (
        lambda path: rewrite(path, {"ricorda.model": model_json(hidden_size=5)}),
        "should have shape",
    ),
    "layers wrong": (
        lambda path: rewrite(path, {"ricorda.model": model_json(num_layers=3)}),
        "3 layers",
    ),
    "vocabulary wrong": (
        lambda path: rewrite(
            path, {"ricorda.vocabulary": {"kind": "characters", "symbols": "ab", "start": "a"}}
        ),
        "2 symbols",
    ),
    "vocabulary repeated": (
        lambda path: rewrite(
            path, {"ricorda.vocabulary": {"kind": "characters", "symbols": "aab", "start": "a"}}
        ),
        "'ricorda.vocabulary' is wrong",
    ),
    "missing tensor": (lambda path: rewrite(path, drop=("output.bias",)), "'output.bias'"),
    "extra tensor": (
        lambda path: rewrite(path, tensors={"more": np.ones(1, np.float32)}),
        "'more' does not belong",
    ),
    "wrong shape": (
        lambda path: rewrite(path, tensors={"output.bias": np.ones(4, np.float32)}),
        "should have shape (3,), has (4,)",
    ),
    "wrong type": (
        lambda path: rewrite(path, tensors={"output.bias": np.ones(3, np.float64)}),
        "should be float32",
    ),
    "not a number": (
        lambda path: rewrite(path, tensors={"output.bias": np.full(3, np.nan, np.float32)}),
        "not finite",
    ),
    "infinite": (
        lambda path: rewrite(path, tensors={"output.bias": np.full(3, np.inf, np.float32)}),
        "not finite",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named(path: Path, fault: str) -> None:
    break_file, message = FAULTS[fault]
    break_file(path)
    with pytest.raises(ModelFileError) as error:
        read_model_file(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model file at"):
        read_model_file(tmp_path / "missing")
    with pytest.raises(ModelFileError, match="expected a model file"):
        read_model_file(tmp_path)


def test_a_model_that_does_not_fit_is_not_written(path: Path) -> None:
    before, model = path.read_bytes(), random_model()
    model.tensors["output.bias"] = np.full(3, np.nan, np.float32)
    with pytest.raises(ModelFileError, match="not finite"):
        write_model_file(path, model)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "extra", [{"format": "pt"}, {"format": "np", "title": "x"}, {"ricorda.more": "{}"}], ids=str
)
def test_keys_of_other_tools_are_ignored(path: Path, extra: dict[str, str]) -> None:
    before = read_model_file(path)
    rewrite(path, extra)
    after = read_model_file(path)
    assert after.configuration == before.configuration
    assert after.vocabulary == before.vocabulary
    assert after.training == before.training
    for name, tensor in before.tensors.items():
        np.testing.assert_array_equal(after.tensors[name], tensor)


def test_a_model_saved_again_without_its_metadata_is_refused(path: Path) -> None:
    save_file(load_file(path), path, {"format": "pt"})
    with pytest.raises(ModelFileError, match="must keep its metadata"):
        read_model_file(path)
