"""`ricorda import`: models of other tools, and what may be done with them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ricorda.model import read_model_file
from tests.exchange.char_rnn_files import SYMBOLS, char_rnn, write_char_rnn
from tests.exchange.keras_files import keras_layers, write_h5, write_symbols

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, random: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model of ml5 in it."""
    monkeypatch.chdir(tmp_path)
    write_char_rnn(tmp_path / "darwin", char_rnn(random))
    (tmp_path / "text.txt").write_text("the hat is his\nshe is at the shore\n" * 9)
    return tmp_path


def test_a_folder_becomes_a_model_file(folder: Path, call: Call) -> None:
    code, out, err = call("import", "darwin")
    assert (code, err) == (0, "")
    assert out == "darwin-imported.safetensors: lstm, 2 x 6 units, 12 symbols\n"
    model = read_model_file(Path("darwin-imported.safetensors"))
    assert model.vocabulary.decode(range(12)) == "".join(sorted(SYMBOLS))


def test_a_model_of_ricorda_needs_no_import(folder: Path, call: Call) -> None:
    assert call("import", "darwin")[0] == 0
    code, _, err = call("import", "darwin-imported.safetensors", "--out", "again.safetensors")
    assert (code, err) == (
        2,
        "ricorda: darwin-imported.safetensors: a model of ricorda already: use it as it is\n",
    )


def test_json_and_another_name(folder: Path, call: Call) -> None:
    code, out, err = call("import", "darwin/manifest.json", "--out", "a.safetensors", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["model"] == "a.safetensors"
    assert (found["cell"], found["symbols"]) == ("lstm", 12)
    assert found["parameters"] == read_model_file(Path("a.safetensors")).configuration.parameters
    assert found["imported"]["format"] == "tensorflowjs"


def test_a_manifest_is_named_after_its_folder(folder: Path, call: Call) -> None:
    assert call("import", "darwin/manifest.json")[1].startswith("darwin-imported.safetensors: ")


def test_notes_are_printed_and_kept(folder: Path, call: Call, random: np.random.Generator) -> None:
    write_h5(folder / "net.h5", keras_layers(random, embedding=False, sequences=False))
    symbols = write_symbols(folder)
    values = json.loads(symbols.read_text())
    symbols.write_text(json.dumps(["<unk>", *values[1:]]))
    code, out, _ = call("import", "net.h5", "--symbols", symbols.name)
    assert code == 0
    assert "windows of 40 symbols" in out
    assert "The id 0 is '<unk>'" in out
    described = " ".join(call("info", "net-imported.safetensors")[1].split())
    assert "imported net.h5 (keras 2.15.0)" in described
    assert "vocabulary 11 characters, with one for rare characters" in described
    assert "windows of 40 symbols" in described
    assert "sha256 " in described


def test_nothing_is_replaced_without_force(folder: Path, call: Call) -> None:
    place = folder / "darwin-imported.safetensors"
    place.write_text("mine")
    code, _, err = call("import", "darwin")
    assert (code, place.read_text()) == (2, "mine")
    assert "--force" in err
    assert call("import", "darwin", "--force")[0] == 0
    assert read_model_file(place).configuration.num_layers == 2


@pytest.mark.parametrize(
    "words, message",
    [
        (["missing.keras"], "no file at missing.keras"),
        (["text.txt"], "expected a file whose name ends in one of"),
        (["old.t7"], "a model of Torch for Lua"),
        (["darwin", "--symbols", "text.txt"], "are not JSON"),
        ([], "Missing argument 'FILE'"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    folder: Path, call: Call, words: list[str], message: str
) -> None:
    (folder / "old.t7").touch()
    code, out, err = call("import", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_help_names_every_format(call: Call) -> None:
    code, out, _ = call("import", "--help")
    assert code == 0
    for word in (".keras", ".h5", ".onnx", ".pt", ".safetensors", "ml5's charRNN", "--symbols"):
        assert word in out


def test_an_imported_model_does_what_a_trained_one_does(folder: Path, call: Call) -> None:
    assert call("import", "darwin")[0] == 0
    model = "darwin-imported.safetensors"
    for words in (
        ["sample", model, "--prompt", "a hat", "--length", "20", "--seed", "1"],
        ["score", model, "text.txt"],
        ["score", model, "text.txt", "--json"],
        ["evaluate", model, "text.txt"],
        ["evaluate", model, "text.txt", "--json"],
        ["memorised", model, "text.txt", "--length", "100", "--seed", "1"],
        ["step", model, "text.txt"],
        ["info", model],
        ["info", model, "--json"],
    ):
        code, out, err = call(*words)
        assert code == 0, (words, err)
        assert out.strip(), words
