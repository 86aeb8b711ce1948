"""The operator tests of the ONNX standard for RNN, GRU and LSTM, replayed through the kernels.

Each distinct input vector becomes a symbol's embedding, and an output layer that copies the hidden
state makes the logits the operator's result.

Not all can be: ricorda's LSTM has no peepholes, and its GRU applies the reset gate after the
recurrent product (`linear_before_reset` 1 in ONNX, the only variant of torch and cuDNN), which is
the same as ONNX's default only where the state or the bias of that product is zero.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine.native import NativeBackend
from ricorda.model.configuration import ModelConfiguration

onnx = pytest.importorskip("onnx")

REPLAYED = [
    "test_gru_batchwise",
    "test_gru_defaults",
    "test_gru_with_initial_bias",
    "test_lstm_batchwise",
    "test_lstm_defaults",
    "test_lstm_with_initial_bias",
    "test_rnn_seq_length",
    "test_simple_rnn_batchwise",
    "test_simple_rnn_defaults",
    "test_simple_rnn_with_initial_bias",
]
OTHERWISE = {
    "test_gru_seq_length": "reset before the product, from a state and a bias that are not zero",
    "test_lstm_with_peepholes": "peepholes",
}
GATES = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 2, 3, 1]}
"""Where torch's gates stand in ONNX's order: z, r, h and i, o, f, c."""

Arrays = dict[str, NDArray[np.float32]]


@pytest.fixture
def folder(data: Path) -> Path:
    found = data / "onnx_rnn_node_tests"
    if not found.is_dir():
        pytest.skip(f"the operator tests were not found in {found}")
    return found


def test_every_test_is_accounted_for(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted([*REPLAYED, *OTHERWISE])


@pytest.mark.parametrize("name", REPLAYED)
def test_replayed(folder: Path, kernels: str, name: str) -> None:
    node, inputs, outputs = read_test(folder / name)
    options = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    assert set(options) <= {"hidden_size", "layout"}
    assert set(inputs) <= {"X", "W", "R", "B"}
    steps_first = inputs["X"] if not options.get("layout") else inputs["X"].swapaxes(0, 1)
    hidden = run(node.op_type, options["hidden_size"], steps_first, inputs, kernels)  # (B, T, H)
    if "Y_h" in outputs:
        expected = outputs["Y_h"].reshape(hidden[:, -1].shape)
        np.testing.assert_allclose(hidden[:, -1], expected, rtol=1e-3, atol=1e-6)
    if "Y" in outputs:  # (B, T, 1, H) where the layout is 1
        np.testing.assert_allclose(hidden, outputs["Y"][:, :, 0], rtol=1e-3, atol=1e-6)


def read_test(folder: Path) -> tuple[Any, Arrays, Arrays]:
    """The only node of a test's model, its inputs and its outputs by name."""
    node = onnx.load(folder / "model.onnx").graph.node[0]

    def arrays(names: list[str], kind: str) -> Arrays:
        given = [name for name in names if name]
        return {
            name: onnx.numpy_helper.to_array(
                onnx.load_tensor(folder / "test_data_set_0" / f"{kind}_{number}.pb")
            )
            for number, name in enumerate(given)
        }

    return node, arrays(node.input, "input"), arrays(node.output, "output")


def run(
    operator: str,
    hidden_size: int,
    steps_first: NDArray[np.float32],
    inputs: Arrays,
    kernels: str,
) -> NDArray[np.floating[Any]]:
    """Inputs (T, B, I) -> the hidden states (B, T, H)."""
    steps, streams, input_size = steps_first.shape
    symbols = max(steps * streams, hidden_size)
    gates = len(GATES[operator])
    embedding = np.zeros((symbols, input_size), np.float32)
    embedding[: steps * streams] = steps_first.reshape(-1, input_size)
    bias = inputs.get("B", np.zeros((1, 2 * gates * hidden_size), np.float32))[0]

    def stacked(array: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([np.split(array, gates)[place] for place in GATES[operator]])

    tensors = {
        "embedding.weight": embedding,
        "layers.0.weight_ih": stacked(inputs["W"][0]),
        "layers.0.weight_hh": stacked(inputs["R"][0]),
        "layers.0.bias_ih": stacked(bias[: len(bias) // 2]),
        "layers.0.bias_hh": stacked(bias[len(bias) // 2 :]),
        "output.weight": np.eye(symbols, hidden_size, dtype=np.float32),
        "output.bias": np.zeros(symbols, np.float32),
    }
    configuration = ModelConfiguration(
        cell=operator.lower(),  # type: ignore[arg-type]
        vocabulary_size=symbols,
        hidden_size=hidden_size,
        embedding_size=input_size,
    )
    backend = NativeBackend(configuration, tensors, "float32", kernels=kernels)
    ids = np.arange(steps * streams).reshape(steps, streams).T
    logits, _ = backend.forward(ids, backend.zero_state(streams))
    return logits[..., :hidden_size]
