"""The exported program computes with torch.nn what the reference computes."""

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.errors import ConfigurationError
from ricorda.exchange import export_model
from ricorda.exchange.torch_export import export
from ricorda.model import ModelFile
from ricorda.model.cells import CELLS, CellName
from ricorda.text.vocabulary import CharacterVocabulary
from tests.exchange.models import (
    KNOWN_CASES,
    UNKNOWN_CELLS,
    Case,
    greedy,
    log_probabilities,
    make_model,
    random_ids,
)

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")


STEPS = 1000 if os.environ.get("FAULTS") == "all" else 200


def written(folder: Path, model: ModelFile) -> Path:
    """Write an export's files; return its program."""
    for name, content in export(model, "float32").files.items():
        (folder / name).write_bytes(content)
    return folder / "generate.py"


@pytest.mark.parametrize("case", KNOWN_CASES, ids=str)
def test_the_program_computes_what_the_model_computes(
    random: np.random.Generator, tmp_path: Path, case: Case
) -> None:
    model = make_model(case, random)
    program = runpy.run_path(str(written(tmp_path, model)))
    label = 2 if model.configuration.num_labels else 0
    network = program["load"](label) if label else program["load"]()
    ids = random_ids(model, random, STEPS)
    state, rows = None, []
    with torch.inference_mode():
        for symbol in ids:
            logits, state = network(torch.tensor(symbol), state)
            rows.append(logits.double().log_softmax(0).numpy())
    expected = log_probabilities(model, ids, label)
    np.testing.assert_allclose(np.stack(rows), expected, rtol=0, atol=1e-4)
    symbol, state, text = torch.tensor(model.vocabulary.start), None, []
    with torch.inference_mode():
        for _ in range(50):
            logits, state = network(symbol, state)
            symbol = logits.argmax()
            text.append(int(symbol))
    assert text == greedy(model, model.vocabulary.start, 50, label)


@pytest.mark.parametrize("cell", UNKNOWN_CELLS)
def test_a_cell_that_torch_does_not_have_is_refused(
    random: np.random.Generator, tmp_path: Path, cell: CellName
) -> None:
    label = CELLS[cell].label
    with pytest.raises(ConfigurationError, match=f"torch.nn has no {label}: export it to onnx, c"):
        export_model(make_model(Case(cell, 2, 5), random), "torch", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_tensors_have_torchs_names(random: np.random.Generator, tmp_path: Path) -> None:
    written(tmp_path, make_model(Case("cifg", 2, 5), random))
    tensors = safetensors.load_file(tmp_path / "state_dict.safetensors")
    rnn = torch.nn.LSTM(5, 12, 2)
    assert set(tensors) == {
        "embedding.weight",
        "output.weight",
        "output.bias",
        *(f"rnn.{name}" for name in rnn.state_dict()),
    }
    rnn.load_state_dict(
        {name[4:]: tensor for name, tensor in tensors.items() if name.startswith("rnn.")}
    )


def test_the_program_writes_text_in_a_process_of_its_own(
    random: np.random.Generator, tmp_path: Path
) -> None:
    program = written(tmp_path, make_model(Case("lstm", 1, 5, "pieces"), random))
    done = subprocess.run(
        [sys.executable, program, "40"],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "utf-8"},
    )
    text = done.stdout.decode().removesuffix("\n")
    symbols = json.loads((tmp_path / "vocabulary.json").read_text("utf-8"))["symbols"]
    assert len(text) >= 40
    assert set(text) <= set("".join(symbols))


def run(program: Path, *arguments: str) -> str:
    """What the program prints."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", [str(program), *arguments])
        runpy.run_path(str(program), run_name="__main__")
    return printed.getvalue()


def test_the_program_writes_bytes(random: np.random.Generator, tmp_path: Path) -> None:
    model = make_model(Case("gru", 1, None, "bytes"), random)
    model.tensors["output.bias"][ord("e")] = 1000
    assert run(written(tmp_path, model), "40") == "e" * 40 + "\n"


def test_the_program_stops_at_the_boundary(random: np.random.Generator, tmp_path: Path) -> None:
    model = make_model(Case("lstm", 1, 5, "labels"), random)
    boundary = model.vocabulary.boundary
    model.tensors["output.bias"][boundary] = -1000
    assert len(run(written(tmp_path, model), "40", "Italian").removesuffix("\n")) >= 40
    model.tensors["output.bias"][boundary] = 1000
    assert run(written(tmp_path, model), "40") == "\n"


def test_the_rare_symbol_is_never_written(random: np.random.Generator, tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary("\n abcdeèλ€", start="\n", has_rare=True)
    model = make_model(Case("gru", vocabulary="documents"), random)
    changed: dict[str, Any] = vars(model.configuration) | {
        "documents": False,
        "vocabulary_size": vocabulary.size,
    }
    shape = type(model.configuration)(**{k: v for k, v in changed.items() if k[0] != "_"})
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in shape.tensor_shapes().items()
    }
    tensors["output.bias"][vocabulary.rare] = 1000
    program = runpy.run_path(str(written(tmp_path, ModelFile(shape, vocabulary, tensors))))
    found = list(program["generate"](program["load"](), 100))
    assert len(found) == 100
    assert vocabulary.rare not in found
