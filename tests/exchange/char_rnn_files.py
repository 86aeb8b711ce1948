"""ml5's charRNN models as files, and what TensorFlow 1 computes with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SYMBOLS = " eta\noishr'A"
"""In the order of how often they occur, as the training program numbers them."""

V, H = len(SYMBOLS), 6
Tensors = dict[str, NDArray[np.float32]]


def cell_name(layer: int, part: str, cell: str = "basic_lstm_cell") -> str:
    return f"rnnlm/multi_rnn_cell/cell_{layer}/{cell}/{part}"


def char_rnn(
    random: np.random.Generator,
    *,
    layers: int = 2,
    embedding: bool = True,
    parts: tuple[str, str] = ("kernel", "bias"),
) -> Tensors:
    """Random tensors under the names of the training program."""

    def draw(*shape: int) -> NDArray[np.float32]:
        return (0.7 * random.standard_normal(shape)).astype(np.float32)

    tensors: Tensors = {"Variable": np.float32(0.002)}  # type: ignore[dict-item]
    if embedding:
        tensors["embedding"] = draw(V, H)
    for layer in range(layers):
        read = H if layer or embedding else V
        tensors[cell_name(layer, parts[0])] = draw(read + H, 4 * H)
        tensors[cell_name(layer, parts[1])] = draw(4 * H)
    tensors["rnnlm/softmax_w"] = draw(H, V)
    tensors["rnnlm/softmax_b"] = draw(V)
    return tensors


def write_char_rnn(folder: Path, tensors: Tensors, vocabulary: Any = SYMBOLS) -> Path:
    """Write a model's folder."""
    folder.mkdir(exist_ok=True)
    manifest = {}
    for name, tensor in tensors.items():
        file = name.replace("/", "_")
        manifest[name] = {"filename": file, "shape": list(tensor.shape)}
        (folder / file).write_bytes(np.asarray(tensor, "<f4").tobytes())
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    if isinstance(vocabulary, str):
        vocabulary = {symbol: number for number, symbol in enumerate(vocabulary)}
    if vocabulary is not None:
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
    return folder


def predictions(tensors: Tensors, ids: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logarithms of the predictions after each id, (T, V), in float64.

    BasicLSTMCell: i, j, f, o = [x, h] kernel + bias; c = c sigmoid(f + 1) + sigmoid(i) tanh(j);
    h = tanh(c) sigmoid(o).
    """
    wide = {name: np.asarray(tensor, np.float64) for name, tensor in tensors.items()}
    layers = sum(name.endswith(("kernel", "weights")) for name in wide)
    hidden, cell = np.zeros((layers, H)), np.zeros((layers, H))
    found = []
    for id in ids:
        values = wide["embedding"][id] if "embedding" in wide else np.eye(V)[id]
        for layer in range(layers):
            kernel, bias = (
                next(
                    wide[cell_name(layer, each)] for each in names if cell_name(layer, each) in wide
                )
                for names in (("kernel", "weights"), ("bias", "biases"))
            )
            i, j, f, o = np.split(np.concatenate([values, hidden[layer]]) @ kernel + bias, 4)
            cell[layer] = cell[layer] * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
            values = hidden[layer] = np.tanh(cell[layer]) * sigmoid(o)
        logits = values @ wide["rnnlm/softmax_w"] + wide["rnnlm/softmax_b"]
        found.append(logits - np.log(np.exp(logits).sum()))
    return np.array(found)


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values))
