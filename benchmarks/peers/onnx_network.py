"""ONNX Runtime on a graph that steps a network, with one stream and one thread."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class OnnxNetwork:
    """A session of ONNX Runtime that steps a graph: ids (1,), states (1, 1, H) -> logits, states.

    The graph chooses the most likely symbol too, which would take longer outside it.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            with_choice(content), options, providers=["CPUExecutionProvider"]
        )
        symbol, *states = self.session.get_inputs()
        self.names = [symbol.name, *(each.name for each in states)]
        self.state = [np.zeros((1, 1, each.shape[2]), np.float32) for each in states]
        """What the next step starts from, arrays of (1, 1, H)."""

    def step(self, symbol: NDArray[np.int64], outputs: list[str]) -> list[NDArray[Any]]:
        """Read a symbol (1,) and carry the state; return the named outputs."""
        feed = dict(zip(self.names, [symbol, *self.state], strict=True))
        wanted = [*outputs, *(f"{name}_after" for name in self.names[1:])]
        found: list[NDArray[Any]] = self.session.run(wanted, feed)
        self.state = found[len(outputs) :]
        return found[: len(outputs)]


def onnx_steps(content: bytes, first: int) -> Callable[[int], list[int]]:
    """Write n symbols greedily with a graph, starting after `first`."""
    network = OnnxNetwork(content)
    symbol = np.array([first], np.int64)

    def take(count: int) -> list[int]:
        nonlocal symbol
        written = []
        for _ in range(count):
            (symbol,) = network.step(symbol, ["choice"])
            written.append(int(symbol[0]))
        return written

    return take


def with_choice(content: bytes) -> bytes:
    """Add to a graph the output `choice` (1,), the most likely symbol of its `logits` (1, V)."""
    import onnx
    from onnx import helper

    model = onnx.load_from_string(content)
    model.graph.node.append(helper.make_node("ArgMax", ["logits"], ["choice"], axis=1, keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("choice", onnx.TensorProto.INT64, [1]))
    result: bytes = model.SerializeToString()
    return result
