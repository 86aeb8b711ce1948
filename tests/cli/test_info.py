"""`ricorda info`: what a model is and where it came from."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.model import ModelFile, read_model_file, write_model_file
from ricorda.text import CharacterVocabulary

Call = Callable[..., tuple[int, str, str]]


def test_a_person_reads_it(here: Path, call: Call, tiny: ricorda.Run) -> None:
    code, out, err = call("info", "runs/tiny")
    assert (code, err) == (0, "")
    nats = tiny.metrics["validation"]["nats_per_character"]
    found = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()}
    assert found["model"].startswith("runs/tiny/model.safetensors (")
    assert found["model"].endswith(" kB)")
    assert found["network"] == "cifg, 1 x 12 units, embedding 64"
    assert found["parameters"] == f"{tiny.metrics['parameters']:,}"
    assert found["vocabulary"] == "24 characters"
    assert found["read"] == "as utf-8, line ends converted to \\n"
    assert found["learned"] == "my.txt"
    assert found["validation"].startswith(f"{nats / math.log(2):.4f} bits per character, ")


def test_json_tells_everything_but_the_weights(here: Path, call: Call, tiny: ricorda.Run) -> None:
    code, out, err = call("info", "runs/tiny", "--json")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    found = json.loads(out)
    assert list(found) == ["model", "parameters", "configuration", "vocabulary", "training"]
    assert found["parameters"] == tiny.metrics["parameters"]
    assert found["configuration"]["hidden_size"] == 12
    assert found["training"]["validation"]["nats_per_character"] == pytest.approx(
        tiny.metrics["validation"]["nats_per_character"]
    )


def test_the_newest_run_the_folder_and_the_file_are_one(here: Path, call: Call) -> None:
    outputs = {
        call("info", *model)[1]
        for model in ([], ["runs/tiny"], ["runs/tiny/"], ["runs/tiny/model.safetensors"])
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"texts": 5, "validation": 7},
        {"texts": [], "validation": {}},
        {"texts": [1, None], "validation": {"nats_per_character": None, "bits_per_byte": "x"}},
        {"texts": ["a", "b", "c", "d", "e"]},
        {"texts": ["\x1b]0;obey\x07"]},
    ],
    ids=str,
)
def test_where_a_model_came_from_may_say_anything(
    here: Path, call: Call, training: dict[str, Any]
) -> None:
    path = Path("runs/tiny/model.safetensors")
    file = read_model_file(path)
    write_model_file(path, ModelFile(file.configuration, file.vocabulary, file.tensors, training))
    for more in ([], ["--json"]):
        code, out, err = call("info", "runs/tiny", *more)
        assert (code, err) == (0, "")
        assert "24" in out
        assert "\x1b" not in out


def test_a_wordy_model_is_reported_shortly(here: Path, call: Call) -> None:
    for name in "abcde":
        Path(f"{name}.txt").write_text("some words\n" * 9)
    ricorda.train("*.txt", steps=1, hidden_size=4, threads=1, out="runs/x", quiet=True)
    out = call("info", "runs/x")[1]
    assert "a.txt, b.txt, c.txt and 3 more" in out


def test_documents_labels_and_rare_characters_are_described(names_here: Path, call: Call) -> None:
    described = {
        line.split()[0]: " ".join(line.split()[1:])
        for line in call("info", "runs/names")[1].splitlines()
    }
    assert described["vocabulary"].endswith(" characters, with the boundary between documents")
    assert described["documents"] == "lines, 140 in training"
    assert described["labels"] == "2: Irish, Italian"
    Path("rare.txt").write_text("some words again\n" * 20 + "zq")
    ricorda.train(
        "rare.txt", steps=1, hidden_size=4, threads=1, out="runs/rare", quiet=True, min_count=5
    )
    assert ", with one for rare characters" in call("info", "runs/rare")[1]


def test_many_labels_are_counted(names_here: Path, call: Call) -> None:
    labels = [f"label {number}" for number in range(2_000)]
    path = Path("many.safetensors")
    file = read_model_file(Path("runs/names/model.safetensors"))
    vocabulary = CharacterVocabulary("ab", "a", has_boundary=True, labels=labels)
    configuration = replace(file.configuration, vocabulary_size=3, num_labels=2_001)
    tensors = {
        name: np.zeros(shape, np.float32) for name, shape in configuration.tensor_shapes().items()
    }
    write_model_file(path, ModelFile(configuration, vocabulary, tensors, file.training))
    out = " ".join(call("info", str(path))[1].split())
    assert "labels 2,000: label 0, label 1, label 2 and 1,997 more" in out
