"""The reader of ONNX files finds what the onnx package finds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.errors import ModelFileError
from ricorda.exchange.onnx_constants import computed_constants
from ricorda.exchange.onnx_file import Graph, OnnxFileError, Tensor, read_graph

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

TYPES = {
    "FLOAT": "f4",
    "UINT8": "u1",
    "INT8": "i1",
    "INT32": "i4",
    "INT64": "i8",
    "BOOL": "?",
    "FLOAT16": "f2",
    "DOUBLE": "f8",
}


def written(path: Path, nodes: list[Any], tensors: list[Any]) -> Graph:
    """Write a graph with the onnx package, and read it."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph(nodes, "graph", [value], [value], tensors))
    helper.set_model_props(model, {"a": "è", "b": ""})
    path.write_bytes(model.SerializeToString())
    return read_graph(path)


@pytest.mark.parametrize("is_raw", [True, False])
@pytest.mark.parametrize("name", TYPES)
def test_tensors_of_each_type(
    random: np.random.Generator, tmp_path: Path, name: str, is_raw: bool
) -> None:
    array = (random.standard_normal((3, 4)) * 50).astype("i2").astype(TYPES[name])
    values = array.tobytes() if is_raw else array.flatten().tolist()
    tensor = helper.make_tensor("t", getattr(TensorProto, name), (3, 4), values, raw=is_raw)
    graph = written(tmp_path / "a.onnx", [], [tensor])
    found = graph.tensors["t"].array()
    np.testing.assert_array_equal(found, numpy_helper.to_array(tensor))
    np.testing.assert_array_equal(found, array)
    assert graph.metadata == {"a": "è", "b": ""}
    assert graph.inputs == graph.outputs == ["x"]


@pytest.mark.parametrize("is_raw", [True, False])
def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path, is_raw: bool) -> None:
    values = np.array([1.0, -2.5, 3e38, 0.0], np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2")
    tensor = TensorProto(name="t", data_type=TensorProto.BFLOAT16, dims=[4])
    if is_raw:
        tensor.raw_data = bits.tobytes()
    else:
        tensor.int32_data.extend(bits.tolist())
    found = written(tmp_path / "a.onnx", [], [tensor]).tensors["t"].array()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=1e-2)


def test_nodes_and_attributes(tmp_path: Path) -> None:
    node = helper.make_node(
        "GRU",
        ["x", "", "w"],
        ["y"],
        domain="their.own",
        size=-7,
        ratio=0.5,
        name_of_it="è",
        numbers=[1, -2],
        ratios=[0.5, 2.0],
        names=["a", "b"],
        value=numpy_helper.from_array(np.array([3, 4], np.int64)),
    )
    (found,) = written(tmp_path / "a.onnx", [node], []).nodes
    assert found.operator == "their.own.GRU"
    assert (found.inputs, found.outputs) == (["x", "", "w"], ["y"])
    assert [found.input(number) for number in range(4)] == ["x", "", "w", ""]
    value = found.attributes.pop("value")
    assert isinstance(value, Tensor)
    assert value.array().tolist() == [3, 4]
    assert found.attributes == {
        "size": -7,
        "ratio": 0.5,
        "name_of_it": "è",
        "numbers": [1, -2],
        "ratios": [0.5, 2.0],
        "names": ["a", "b"],
    }


def node(operator: str, *inputs: str, **attributes: Any) -> Any:
    return helper.make_node(operator, list(inputs), ["y"], **attributes)


@pytest.mark.parametrize(
    "operation",
    [
        node("Cast", "a", to=TensorProto.FLOAT),
        node("Concat", "a", "a", axis=1),
        node("Identity", "a"),
        node("Mul", "a", "row"),
        node("Neg", "a"),
        node("Reshape", "a", "shape"),
        node("Slice", "a", "from", "to", "axes"),
        node("Slice", "a", "from", "to", "axes", "steps"),
        node("Transpose", "a"),
        node("Transpose", "a", perm=[0, 1]),
        node("Unsqueeze", "a", "axes"),
        node("Squeeze", "row", "axis0"),
        node("DequantizeLinear", "bytes", "scales", "zeros", axis=1),
        node("DequantizeLinear", "bytes", "scale", axis=1),
        node("Constant", value=numpy_helper.from_array(np.ones(3, np.float32))),
        node("Constant", value_float=1.5),
        node("Constant", value_ints=[1, 2]),
    ],
    ids=lambda operation: f"{operation.op_type} {len(operation.input)}",
)
def test_constants_are_computed_as_the_standard_says(
    random: np.random.Generator, tmp_path: Path, operation: Any
) -> None:
    arrays: dict[str, Any] = {
        "a": random.standard_normal((4, 6)).astype(np.float32),
        "row": random.standard_normal((1, 6)).astype(np.float32),
        "shape": np.array([0, -1, 2]),
        "from": np.array([1]),
        "to": np.array([5]),
        "axes": np.array([1]),
        "steps": np.array([2]),
        "axis0": np.array([0]),
        "bytes": random.integers(-128, 128, (4, 6)).astype(np.int8),
        "scales": random.random(6).astype(np.float32),
        "scale": np.array(0.25, np.float32),
        "zeros": random.integers(-128, 128, 6).astype(np.int8),
    }
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = written(tmp_path / "a.onnx", [operation], tensors)
    kind = TensorProto.INT64 if "value_ints" in str(operation) else TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            [operation], "g", [], [helper.make_tensor_value_info("y", kind, None)], tensors
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {})
    found = computed_constants(graph)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.shape == np.shape(expected)


def test_a_file_that_is_missing_or_a_folder_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(ModelFileError, match="cannot read"):
            read_graph(path)


def test_a_tensor_of_too_few_numbers_is_refused(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.ones((2, 3), np.float32), "t")
    tensor.dims[0] = 3
    graph = written(tmp_path / "a.onnx", [], [tensor])
    with pytest.raises(OnnxFileError, match="6 numbers, not as many as its shape"):
        graph.tensors["t"].array()
