"""The model file: what is written is read back; whatever is wrong is named."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ricorda.errors import ModelFileError
from ricorda.model import ModelConfiguration, ModelFile, read_model_file, write_model_file
from ricorda.text import ByteVocabulary, CharacterVocabulary
from tests.model.divided import divided_file, without_labels

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


@pytest.mark.parametrize(
    "place, name",
    [("a.safetensors", "a"), ("z.tuned.safetensors", "z.tuned"), ("run/model.safetensors", "run")],
)
def test_a_model_has_the_name_of_its_file_or_its_run(
    path: Path, tmp_path: Path, place: str, name: str
) -> None:
    copy = tmp_path / "copies" / place
    copy.parent.mkdir(parents=True)
    copy.write_bytes(path.read_bytes())
    assert read_model_file(copy).name == name


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
    "newer format": (lambda path: rewrite(path, {"ricorda.format": "3"}), "upgrade ricorda"),
    "documents in format 1": (
        lambda path: rewrite(path, {"ricorda.model": model_json(documents=True)}),
        "a model of format 1 has no 'documents'",
    ),
    "labels in format 1": (
        lambda path: rewrite(path, {"ricorda.model": model_json(num_labels=0)}),
        "a model of format 1 has no 'num_labels'",
    ),
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


DIVISION_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no boundary in the configuration": (
        {"documents": False},
        "the vocabulary has a boundary between documents, the configuration has none",
    ),
    "documents that are no boolean": ({"documents": 1}, "documents"),
    "too many labels": (
        {"num_labels": 4},
        "the vocabulary has 2 labels, the configuration 4 with that for none; expected 3 or 0",
    ),
    "a label less": ({"num_labels": 2}, "expected 3 or 0"),
    "rows without labels": ({"num_labels": 0}, "'labels.weight' does not belong"),
    "labels below zero": ({"num_labels": -1}, "num_labels"),
}


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    path = tmp_path / "divided.safetensors"
    write_model_file(path, divided_file())
    return path


def metadata_of(path: Path) -> dict[str, str]:
    """The strings of a header, read by the safetensors library."""
    with safe_open(path, "numpy") as file:
        found: dict[str, str] = file.metadata()
    return found


@pytest.mark.parametrize("of_bytes", [False, True])
def test_a_model_of_documents_and_labels_is_read_back(tmp_path: Path, *, of_bytes: bool) -> None:
    path, written = tmp_path / "divided.safetensors", divided_file(of_bytes=of_bytes)
    write_model_file(path, written)
    read = read_model_file(path)
    assert read.configuration == written.configuration
    assert read.vocabulary == written.vocabulary
    assert read.vocabulary.labels == ("Italian", "Irish")
    assert read.vocabulary.boundary == read.configuration.boundary == read.vocabulary.size - 1
    np.testing.assert_array_equal(read.tensors["labels.weight"], written.tensors["labels.weight"])


def test_documents_are_format_2_and_all_other_models_have_the_keys_of_format_1(
    path: Path, divided: Path
) -> None:
    """A reader of format 1 refuses the former by their format, and reads the latter."""
    assert metadata_of(divided)["ricorda.format"] == "2"
    metadata = metadata_of(path)
    assert metadata["ricorda.format"] == "1"
    assert json.loads(metadata["ricorda.model"]) == model_json()
    assert json.loads(metadata["ricorda.vocabulary"]).keys() == {"kind", "symbols", "start"}


def test_a_model_of_documents_may_be_without_labels(tmp_path: Path) -> None:
    path, written = tmp_path / "unlabelled.safetensors", without_labels(divided_file())
    write_model_file(path, written)
    assert metadata_of(path)["ricorda.format"] == "2"
    assert read_model_file(path).configuration == written.configuration


@pytest.mark.parametrize("fault", DIVISION_FAULTS)
def test_a_division_that_does_not_fit_is_named(divided: Path, fault: str) -> None:
    changes, message = DIVISION_FAULTS[fault]
    described = json.loads(metadata_of(divided)["ricorda.model"]) | changes
    rewrite(divided, {"ricorda.model": described})
    with pytest.raises(ModelFileError, match=message):
        read_model_file(divided)


def test_a_configuration_of_documents_needs_a_vocabulary_with_a_boundary(divided: Path) -> None:
    symbols = "".join(map(chr, range(97, 97 + divided_file().vocabulary.size)))
    vocabulary = {"kind": "characters", "symbols": symbols, "start": "a"}
    rewrite(divided, {"ricorda.vocabulary": vocabulary})
    with pytest.raises(ModelFileError, match="the configuration has a boundary between documents"):
        read_model_file(divided)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named(path: Path, fault: str) -> None:
    break_file, message = FAULTS[fault]
    break_file(path)
    with pytest.raises(ModelFileError) as error:
        read_model_file(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_a_missing_file_and_a_folder_are_reported(tmp_path: Path) -> None:
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


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        random_model().training = {}  # type: ignore[misc]


@pytest.mark.parametrize("digits, named", [("9" * 9, "newer"), ("9" * 10, "integer")])
def test_the_number_of_a_format_has_at_most_nine_digits(
    path: Path, digits: str, named: str
) -> None:
    rewrite(path, {"ricorda.format": digits})
    with pytest.raises(ModelFileError, match=named):
        read_model_file(path)


def test_an_entry_of_the_metadata_has_at_most_16_mebibytes(path: Path) -> None:
    longest = 16 * 2**20
    rewrite(path, {"ricorda.training": '{"a":"' + "b" * (longest - 8) + '"}'})
    assert len(read_model_file(path).training["a"]) == longest - 8
    rewrite(path, {"ricorda.training": '{"a":"' + "b" * (longest - 7) + '"}'})
    with pytest.raises(ModelFileError, match="training"):
        read_model_file(path)


def with_sizes() -> ModelFile:
    model = random_model()
    sizes = {
        name: np.arange(tensor.size).astype(np.uint8).reshape(tensor.shape)
        for name, tensor in model.tensors.items()
    }
    return dataclasses.replace(model, gradient_sizes=sizes)


def test_sizes_of_gradients_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = with_sizes()
    write_model_file(path, model)
    read = read_model_file(path)
    assert metadata_of(path)["ricorda.format"] == "2"
    assert read.gradient_sizes is not None
    assert model.gradient_sizes is not None
    assert read.gradient_sizes.keys() == read.tensors.keys() == model.tensors.keys()
    for name, array in model.gradient_sizes.items():
        assert read.gradient_sizes[name].dtype == np.uint8
        assert (read.gradient_sizes[name] == array).all()
        assert (read.tensors[name] == model.tensors[name]).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"drop": ("adaptive.output.bias",)}, "'adaptive.output.bias' is missing"),
        ({"tensors": {"adaptive.more": np.zeros(3, np.uint8)}}, "'adaptive.more' does not belong"),
        (
            {"tensors": {"adaptive.output.bias": np.zeros(3, np.float32)}},
            "'adaptive.output.bias' should be bytes",
        ),
        (
            {"tensors": {"adaptive.output.bias": np.zeros(4, np.uint8)}},
            r"'adaptive.output.bias' should have shape \(3,\), has \(4,\)",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "model.safetensors"
    write_model_file(path, with_sizes())
    rewrite(path, **change)
    with pytest.raises(ModelFileError, match=message):
        read_model_file(path)
