"""ONNX Runtime computes with an exported graph what the reference computes."""

import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine.sampling import log_softmax
from ricorda.errors import ConfigurationError, MissingExtra
from ricorda.exchange import onnx_export
from ricorda.exchange.onnx_export import export
from ricorda.model import ModelFile
from tests.exchange.models import (
    CASES,
    Case,
    greedy,
    log_probabilities,
    make_model,
    random_ids,
)

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

DIVIDED = [case for case in CASES if case.vocabulary in {"documents", "labels"}]


class Runtime:
    """A session of ONNX Runtime and the state that it carries."""

    def __init__(self, content: bytes, streams: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self.inputs = {each.name: each for each in self.session.get_inputs()}
        self.state = {
            name: np.zeros((each.shape[0], streams, each.shape[2]), np.float32)
            for name, each in self.inputs.items()
            if name in {"hidden", "cell"}
        }

    def read(self, ids: NDArray[Any], label: int = 0) -> NDArray[np.float64]:
        """Read ids (B,) or (B, T) -> log-probabilities (..., V); carry the state."""
        feed = {"ids": ids.astype(np.int64)} | self.state
        if "labels" in self.inputs:
            feed["labels"] = np.full(ids.shape, label, np.int64)
        logits, *state = self.session.run(None, feed)
        self.state = dict(zip(self.state, state, strict=True))
        found: NDArray[np.float64] = log_softmax(logits.astype(np.float64))
        return found

    def greedy(self, first: int, count: int, label: int = 0) -> list[int]:
        """Write the most likely symbol again and again after `first`."""
        written, symbol = [], first
        for _ in range(count):
            symbol = int(self.read(np.array([symbol]), label)[0].argmax())
            written.append(symbol)
        return written


def label_of(model: ModelFile) -> int:
    return 2 if model.configuration.num_labels else 0


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_graphs_compute_what_the_model_computes(
    random: np.random.Generator, case: Case
) -> None:
    model = make_model(case, random)
    files, label = export(model, "float32").files, label_of(model)
    ids = random_ids(model, random)
    expected = log_probabilities(model, ids, label)
    found = Runtime(files["sequence.onnx"]).read(ids[np.newaxis], label)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    stepped = Runtime(files["step.onnx"])
    rows = np.concatenate([stepped.read(ids[place : place + 1], label) for place in range(100)])
    np.testing.assert_allclose(rows, expected[:100], rtol=0, atol=1e-4)
    start = model.vocabulary.start
    assert Runtime(files["step.onnx"]).greedy(start, 50, label) == greedy(model, start, 50, label)


@pytest.mark.parametrize("case", DIVIDED, ids=str)
def test_streams_stand_side_by_side_and_chunks_carry_the_state(
    random: np.random.Generator, case: Case
) -> None:
    model = make_model(case, random)
    files = export(model, "float32").files
    ids = random.integers(0, model.vocabulary.size, (3, 30))
    sequence, step = (Runtime(files[f"{name}.onnx"], 3) for name in ("sequence", "step"))
    chunks = np.concatenate([sequence.read(ids[:, :11], 1), sequence.read(ids[:, 11:], 1)], axis=1)
    steps = np.stack([step.read(column, 1) for column in ids.T], axis=1)
    for stream in range(3):
        label = 1 if model.configuration.num_labels else 0
        expected = log_probabilities(model, ids[stream], label)
        np.testing.assert_allclose(chunks[stream], expected, rtol=0, atol=1e-4)
        np.testing.assert_allclose(steps[stream], expected, rtol=0, atol=1e-4)


def test_a_label_stands_beside_each_symbol(random: np.random.Generator) -> None:
    model = make_model(Case("lstm", 1, 5, "labels"), random)
    session = Runtime(export(model, "float32").files["sequence.onnx"], 2)
    ids = np.tile(random_ids(model, random, 20), (2, 1))
    labels = np.array([[1] * 20, [2] * 20])
    logits, *_ = session.session.run(None, {"ids": ids, "labels": labels} | session.state)
    for stream, label in enumerate((1, 2)):
        expected = log_probabilities(model, ids[stream], label)
        np.testing.assert_allclose(log_softmax(logits[stream]), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "case",
    [
        *(Case("cifg", 2, 5, "labels"), Case("gru"), Case("rnn", 2)),
        *(Case("mingru", 2, 5, "labels"), Case("minlstm")),
    ],
    ids=str,
)
def test_eight_bits_are_rounded_weights(random: np.random.Generator, case: Case) -> None:
    model = make_model(case, random)
    files = export(model, "int8").files
    rounded = ModelFile(
        model.configuration,
        model.vocabulary,
        {name: rounded_rows(name, tensor) for name, tensor in model.tensors.items()},
    )
    ids, label = random_ids(model, random, 200), label_of(model)
    expected = log_probabilities(rounded, ids, label)
    assert not np.allclose(expected, log_probabilities(model, ids, label), atol=1e-3)
    found = Runtime(files["sequence.onnx"]).read(ids[np.newaxis], label)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    stepped = Runtime(files["step.onnx"])
    rows = np.concatenate([stepped.read(ids[place : place + 1], label) for place in range(50)])
    np.testing.assert_allclose(rows, expected[:50], rtol=0, atol=1e-4)


def rounded_rows(name: str, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row rounded to 255 steps between its largest magnitude and the negative of that."""
    if tensor.ndim == 1:
        return tensor
    rows = tensor.T if name == "labels.weight" else tensor  # a row for each gate's unit
    scale = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127)
    result: NDArray[np.float32] = (np.rint(rows / scale) * scale).astype(np.float32)
    return result.T if name == "labels.weight" else result


def test_eight_bits_take_a_quarter(random: np.random.Generator) -> None:
    model = make_model(Case("lstm", 2, 64, "bytes", hidden_size=96), random)
    small, large = (export(model, weights).files for weights in ("int8", "float32"))
    for name in ("step.onnx", "sequence.onnx"):
        assert len(small[name]) < 0.3 * len(large[name])


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize(
    "case", [Case("gru", 2, None, "labels"), Case("cifg", 1, 5, "bytes")], ids=str
)
def test_the_graphs_are_standard(random: np.random.Generator, case: Case, weights: Any) -> None:
    for content in export(make_model(case, random), weights).files.values():
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model, full_check=True)
        assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
        assert {node.domain for node in model.graph.node} == {""}


def test_without_documents_a_layer_is_one_operator(random: np.random.Generator) -> None:
    content = export(make_model(Case("lstm", 2, 5), random), "float32").files["sequence.onnx"]
    operators = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert operators.count("LSTM") == 2
    assert "Scan" not in operators


def test_the_same_model_gives_the_same_bytes(random: np.random.Generator) -> None:
    model = make_model(Case("gru", 2, 5, "labels"), random)
    assert export(model, "float32").files == export(model, "float32").files


def test_without_the_package_the_extra_is_named(
    random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ricorda\[onnx\]'"):
        export(make_model(Case("rnn"), random), "float32")


def test_more_weights_than_a_file_can_hold_are_refused(
    random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "LARGEST", 2**24 + 1000)
    with pytest.raises(ConfigurationError, match="--weights int8"):
        export(make_model(Case("rnn"), random), "float32")
