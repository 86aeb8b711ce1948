"""ONNX graphs become models that compute what ONNX Runtime computes."""

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine.sampling import log_softmax
from ricorda.errors import ModelFileError
from ricorda.exchange import import_model
from ricorda.exchange.onnx_export import export
from ricorda.model import ModelFile
from ricorda.model.cells import CellName
from tests.exchange.damage import COUNT, damaged, peak_memory, refusal, refused_share
from tests.exchange.models import UNKNOWN_CELLS, Case, log_probabilities, make_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SYMBOLS = "hello wrd"  # in no order
V, E, H = 8, 5, 6
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@pytest.fixture
def symbols(tmp_path: Path) -> Path:
    path = tmp_path / "symbols.json"
    path.write_text(json.dumps(list(dict.fromkeys(SYMBOLS))))
    return path


@pytest.mark.parametrize("cell", UNKNOWN_CELLS)
def test_an_export_of_a_cell_that_onnx_does_not_have_is_refused(
    random: np.random.Generator, tmp_path: Path, cell: CellName
) -> None:
    for name, content in export(make_model(Case(cell, 2), random), "float32").files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match="cannot be imported from a graph: keep the model"):
            import_model(tmp_path / name)


def test_eight_bits_come_back_as_what_they_stand_for(
    random: np.random.Generator, tmp_path: Path
) -> None:
    model = make_model(Case("lstm", 2, 5, "labels"), random)
    (tmp_path / "step.onnx").write_bytes(export(model, "int8").files["step.onnx"])
    found = import_model(tmp_path / "step.onnx")
    for name, tensor in model.tensors.items():
        np.testing.assert_allclose(
            found.tensors[name], tensor, rtol=0, atol=np.abs(tensor).max() / 200
        )


class Graph:
    """A graph of another tool while it is made: Gather, layers, an output layer."""

    def __init__(self, random: np.random.Generator, operator: str = "LSTM") -> None:
        self.random = random
        self.operator = operator
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["T", "B"])]
        self.attributes: dict[str, Any] = {"hidden_size": H}
        if operator == "GRU":
            self.attributes["linear_before_reset"] = 1

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        values = 0.4 * self.random.standard_normal(shape)  # rounding does not grow
        return self.constant(name, values.astype(np.float32))

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def embedding(self) -> str:
        return self.node("Gather", [self.weight("table", V, E), "ids"], "vectors")

    def layer(self, name: str, inputs: str, size: int, *more: str, **attributes: Any) -> str:
        """Add a layer; `more` are its inputs after B. Its output is (T, B, H)."""
        rows = GATES[self.operator] * H
        weights = [
            self.weight(f"{name}.W", 1, rows, size),
            self.weight(f"{name}.R", 1, rows, H),
            self.weight(f"{name}.B", 1, 2 * rows),
        ]
        self.nodes.append(
            helper.make_node(
                self.operator,
                [inputs, *weights, *more],
                [f"{name}.Y"],
                **self.attributes | attributes,
            )
        )
        axes = self.constant(f"{name}.axes", np.array([1], np.int64))
        return self.node("Squeeze", [f"{name}.Y", axes], f"{name}.states")

    def output(self, hidden: str) -> None:
        product = self.node("MatMul", [hidden, self.weight("out.W", H, V)], "product")
        self.node("Add", [self.weight("out.b", V), product], "logits")

    def content(self, output: str = "logits") -> bytes:
        graph = helper.make_graph(
            self.nodes,
            "network",
            self.inputs,
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.constants,
        )
        opset = [helper.make_opsetid("", 17)]
        content: bytes = helper.make_model(
            graph, opset_imports=opset, ir_version=8
        ).SerializeToString()
        return content


def simple(random: np.random.Generator, operator: str = "LSTM", **attributes: Any) -> Graph:
    graph = Graph(random, operator)
    graph.output(graph.layer("layer", graph.embedding(), E, **attributes))
    return graph


def predictions(content: bytes, ids: NDArray[Any], **others: Any) -> NDArray[np.float64]:
    """ONNX Runtime's log-probabilities after each of ids (T,): (T, V)."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0]
    is_batch_first = first.shape[0] == "B"
    feed = ids[np.newaxis] if is_batch_first else ids[:, np.newaxis]
    if "float" in first.type:
        feed = np.eye(V, dtype=np.float32)[feed]
    logits = session.run(["logits"], {first.name: feed, **others})[0]
    found: NDArray[np.float64] = log_softmax(logits.reshape(len(ids), V).astype(np.float64))
    return found


def check(content: bytes, path: Path, symbols: Path, random: Any, **others: Any) -> ModelFile:
    """Import a graph, and compare what both predict after random symbols."""
    path.write_bytes(content)
    model = import_model(path, symbols=symbols)
    names = list(dict.fromkeys(SYMBOLS))
    ids = random.integers(0, V, 300)
    ours = np.array([model.vocabulary.encode(names[each])[0] for each in ids])
    order = [names.index(model.vocabulary.decode([each])) for each in range(V)]
    expected = predictions(content, ids, **others)[:, order]
    np.testing.assert_allclose(log_probabilities(model, ours), expected, rtol=0, atol=1e-5)
    return model


@pytest.mark.parametrize("operator", GATES)
def test_a_graph_predicts_what_onnx_runtime_predicts(
    random: np.random.Generator, tmp_path: Path, symbols: Path, operator: str
) -> None:
    model = check(simple(random, operator).content(), tmp_path / "a.onnx", symbols, random)
    assert model.configuration.cell == operator.lower()
    assert model.training["imported"]["format"] == "onnx"


@pytest.mark.parametrize("operator", GATES)
def test_layers_stand_on_each_other(
    random: np.random.Generator, tmp_path: Path, symbols: Path, operator: str
) -> None:
    graph = Graph(random, operator)
    hidden = graph.layer("second", graph.layer("first", graph.embedding(), E), H)
    dropped = graph.node("Dropout", [hidden], "dropped")
    graph.node("Identity", [dropped], "same")
    graph.output("same")
    assert (
        check(graph.content(), tmp_path / "a.onnx", symbols, random).configuration.num_layers == 2
    )


def test_a_rectifier_is_read(tmp_path: Path, symbols: Path) -> None:
    random = np.random.default_rng(1)  # in some random networks a rectifier's state overflows
    graph = Graph(random, "RNN")
    graph.attributes["activations"] = ["Relu"]
    graph.output(graph.layer("layer", graph.embedding(), E))
    model = check(graph.content(), tmp_path / "a.onnx", symbols, random)
    assert model.configuration.nonlinearity == "relu"


def test_coupled_gates_are_a_cifg(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    by_attribute = simple(random, input_forget=1)
    by_weights = simple(random)
    for tensor in by_weights.constants:
        if tensor.name in {"layer.W", "layer.R", "layer.B"}:
            array = numpy_helper.to_array(tensor).copy()
            halves = np.split(array, 2, axis=1) if tensor.name == "layer.B" else [array]
            for half in halves:
                half[:, 2 * H : 3 * H] = -half[:, :H]
            tensor.CopyFrom(numpy_helper.from_array(np.concatenate(halves, 1), tensor.name))
    for graph in (by_attribute, by_weights):
        model = check(graph.content(), tmp_path / "a.onnx", symbols, random)
        assert model.configuration.cell == "cifg"


@pytest.mark.parametrize("form", ["vectors", "onehot", "identity", "product"])
def test_symbols_come_in_as_vectors_of_zeros_and_a_one(
    random: np.random.Generator, tmp_path: Path, symbols: Path, form: str
) -> None:
    graph = Graph(random, "GRU")
    if form in {"vectors", "product"}:
        graph.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "B", V])]
    given = {"vectors": "x", "product": "x"}.get(form, "vectors")
    if form == "identity":
        table = graph.constant("table", np.eye(V, dtype=np.float32))
        graph.node("Gather", [table, "ids"], "vectors")
    if form == "onehot":
        depth = graph.constant("depth", np.array(V, np.int64))
        values = graph.constant("values", np.array([0, 1], np.float32))
        graph.node("OneHot", ["ids", depth, values], "vectors")
    if form == "product":
        given = graph.node("MatMul", ["x", graph.weight("table", V, E)], "vectors")
    graph.output(graph.layer("layer", given, E if form == "product" else V))
    model = check(graph.content(), tmp_path / "a.onnx", symbols, random)
    assert model.configuration.embedding_size == (E if form == "product" else "onehot")


def test_batch_first_graphs_are_read(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    graph = Graph(random, "LSTM")
    graph.inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", "T"])]
    turned = graph.node("Transpose", [graph.embedding()], "turned", perm=[1, 0, 2])
    back = graph.node("Transpose", [graph.layer("layer", turned, E)], "back", perm=[1, 0, 2])
    shape = graph.constant("shape", np.array([-1, H], np.int64))
    rows = graph.node("Reshape", [back, shape], "rows")
    weights = [graph.weight("out.W", V, H), graph.weight("out.b", V)]
    graph.node("Gemm", [rows, *weights], "logits", transB=1)
    graph.node("LogSoftmax", ["logits"], "logs", axis=1)
    check(graph.content(), tmp_path / "a.onnx", symbols, random)
    content = onnx.load_from_string(graph.content("logs")).SerializeToString()
    (tmp_path / "b.onnx").write_bytes(content)
    assert import_model(tmp_path / "b.onnx", symbols=symbols).configuration.vocabulary_size == V


def test_states_may_be_inputs_or_zero(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    graph = Graph(random, "LSTM")
    graph.inputs.append(helper.make_tensor_value_info("h0", TensorProto.FLOAT, [1, "B", H]))
    shape = graph.constant("shape", np.array([1, 1, H], np.int64))
    zero = graph.node("ConstantOfShape", [shape], "zero")
    graph.output(graph.layer("layer", graph.embedding(), E, "", "h0", zero))
    h0 = np.zeros((1, 1, H), np.float32)
    check(graph.content(), tmp_path / "a.onnx", symbols, random, h0=h0)


def test_weights_that_the_graph_rearranges_are_computed(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    """The form in which torch.onnx leaves weights that it does not fold."""
    graph = Graph(random, "GRU")
    vectors = graph.embedding()
    graph.weight("W", 3 * H, E)
    places = [graph.constant(f"{each}H", np.array([each * H], np.int64)) for each in range(4)]
    parts = [
        graph.node("Slice", ["W", places[each], places[each + 1], places[0]], f"part{each}")
        for each in (1, 0, 2)
    ]
    joined = graph.node("Concat", parts, "joined", axis=0)
    graph.node("Unsqueeze", [joined, places[0]], "layer.rearranged")
    graph.output(graph.layer("layer", vectors, E))
    content = graph.content()
    model = onnx.load_from_string(content)
    (node,) = [each for each in model.graph.node if each.op_type == "GRU"]
    node.input[1] = "layer.rearranged"
    check(model.SerializeToString(), tmp_path / "a.onnx", symbols, random)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_what_torch_exports_is_read(
    random: np.random.Generator, tmp_path: Path, symbols: Path, cell: str, batch_first: bool
) -> None:
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(V, E)
            self.rnn = getattr(torch.nn, cell)(E, H, 2, batch_first=batch_first)
            self.output = torch.nn.Linear(H, V)

        def forward(self, ids: Any) -> Any:
            return self.output(self.rnn(self.embedding(ids))[0])

    torch.manual_seed(int(random.integers(2**31)))
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Network().eval(),
            (torch.zeros(1, 1, dtype=torch.int64),),
            content,
            dynamo=False,
            input_names=["ids"],
            output_names=["logits"],
            dynamic_axes={"ids": {0: "B", 1: "T"} if batch_first else {0: "T", 1: "B"}},
        )
    check(content.getvalue(), tmp_path / "a.onnx", symbols, random)


def test_the_form_of_torchs_newer_exporter_is_read(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    """States cut out of an expanded zero, and a Reshape to what is computed from a Shape."""
    graph = Graph(random, "LSTM")
    numbers = {
        number: graph.constant(f"number{number}", np.array([number], np.int64))
        for number in range(5)
    }
    zero = graph.constant("zero", np.zeros((), np.float32))
    shape = graph.constant("shape", np.array([2, 1, H], np.int64))
    both = graph.node("Expand", [zero, shape], "both")
    hidden, size = graph.embedding(), E
    for layer in range(2):
        places = [numbers[layer], numbers[layer + 1], numbers[0]]
        state = graph.node("Slice", [both, *places], f"state{layer}")
        graph.layer(f"layer{layer}", hidden, size, "", state, state)
        turned = graph.node("Transpose", [f"layer{layer}.Y"], f"turned{layer}", perm=[0, 2, 1, 3])
        lengths = graph.node("Shape", [turned], f"lengths{layer}")
        parts = [
            graph.node("Slice", [lengths, numbers[axis], numbers[axis + 1]], f"part{layer}{axis}")
            for axis in range(4)
        ]
        last = graph.node("Mul", parts[2:], f"last{layer}")
        whole = graph.node("Concat", [*parts[:2], last], f"whole{layer}", axis=0)
        hidden, size = graph.node("Reshape", [turned, whole], f"hidden{layer}"), H
    graph.output(hidden)
    check(graph.content(), tmp_path / "a.onnx", symbols, random)


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "GRU with linear_before_reset = 0": ("GRU", {"linear_before_reset": 0}),
    "direction bidirectional": ("LSTM", {"direction": "bidirectional"}),
    "direction reverse": ("RNN", {"direction": "reverse"}),
    "clip": ("LSTM", {"clip": 3.0}),
    "activations Sigmoid, Relu, Tanh": ("LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}),
    "activations Affine": ("RNN", {"activations": ["Affine"]}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_cells_are_refused_by_name(
    random: np.random.Generator, tmp_path: Path, symbols: Path, name: str
) -> None:
    operator, attributes = REFUSED[name]
    content = simple(random, operator, **attributes).content()
    assert name in str(refusal(tmp_path / "a.onnx", content, symbols))


@pytest.mark.parametrize(
    "name, more",
    [
        ("sequence_lens", ["lengths"]),
        ("an initial state that is neither zero nor an input", ["", "state"]),
        ("peepholes", ["", "", "", "peepholes"]),
    ],
)
def test_other_inputs_are_refused_by_name(
    random: np.random.Generator, tmp_path: Path, symbols: Path, name: str, more: list[str]
) -> None:
    graph = Graph(random, "LSTM")
    graph.constant("lengths", np.array([3], np.int32))
    graph.weight("state", 1, 1, H)
    graph.weight("peepholes", 1, 3 * H)
    graph.output(graph.layer("layer", graph.embedding(), E, *more))
    assert name in str(refusal(tmp_path / "a.onnx", graph.content(), symbols))


def test_other_networks_are_refused_by_name(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    graph = Graph(random, "LSTM")
    activated = graph.node("Elu", [graph.layer("layer", graph.embedding(), E)], "activated")
    graph.output(activated)
    assert "'Elu'" in str(refusal(tmp_path / "a.onnx", graph.content(), symbols))
    graph = Graph(random, "LSTM")
    scaled = graph.node("Sqrt", [graph.embedding()], "scaled")
    graph.output(graph.layer("layer", scaled, E))
    assert "'Sqrt'" in str(refusal(tmp_path / "a.onnx", graph.content(), symbols))
    graph = Graph(random, "LSTM")
    graph.node("Tanh", [graph.layer("layer", graph.embedding(), E)], "logits")
    assert "'Tanh'" in str(refusal(tmp_path / "a.onnx", graph.content(), symbols))


def test_symbols_are_asked_for(random: np.random.Generator, tmp_path: Path) -> None:
    assert "--symbols" in str(refusal(tmp_path / "a.onnx", simple(random).content()))


def test_the_operator_tests_of_the_standard(
    data: Path, random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    """Each node, given a table of vectors and an output layer, with its own weights."""
    folder = data / "onnx_rnn_node_tests"
    if not folder.is_dir():
        pytest.skip(f"the operator tests were not found in {folder}")
    refused = {}
    for path in sorted(folder.iterdir()):
        content = of_node_test(path, random)
        (tmp_path / "a.onnx").write_bytes(content)
        try:
            model = import_model(tmp_path / "a.onnx", symbols=symbols)
        except ModelFileError as error:
            refused[path.name] = str(error)
            continue
        names = list(dict.fromkeys(SYMBOLS))
        ids = random.integers(0, V, 20)
        ours = np.array([model.vocabulary.encode(names[each])[0] for each in ids])
        order = [names.index(model.vocabulary.decode([each])) for each in range(V)]
        expected = predictions(content, ids)[:, order]
        np.testing.assert_allclose(log_probabilities(model, ours), expected, rtol=0, atol=1e-5)
    assert sorted(refused) == [
        "test_gru_batchwise",
        "test_gru_defaults",
        "test_gru_seq_length",
        "test_gru_with_initial_bias",
        "test_lstm_with_peepholes",
    ]
    assert "peepholes" in refused.pop("test_lstm_with_peepholes")
    assert all("linear_before_reset = 0" in message for message in refused.values())


def of_node_test(folder: Path, random: np.random.Generator) -> bytes:
    """A network around the only node of a test."""
    node = onnx.load(folder / "model.onnx").graph.node[0]
    graph = Graph(random, node.op_type)
    names = [name for name in node.input if name]
    for number, name in enumerate(names):
        tensor = onnx.load_tensor(folder / "test_data_set_0" / f"input_{number}.pb")
        if name in {"W", "R", "B", "P"}:
            graph.constant(name, numpy_helper.to_array(tensor))
        elif name == "X":
            size = tensor.dims[-1]
    hidden = helper.get_attribute_value(
        next(each for each in node.attribute if each.name == "hidden_size")
    )
    layout = any(each.name == "layout" and each.i for each in node.attribute)
    if layout:  # which ONNX Runtime does not run
        del node.attribute[[each.name for each in node.attribute].index("layout")]
    graph.node("Gather", [graph.weight("table", V, size), "ids"], "vectors")
    inputs = [name if name in {"W", "R", "B", "P"} else "" for name in node.input]
    inputs[0] = "vectors"
    del node.input[:], node.output[:]
    while inputs[-1] == "":
        inputs.pop()
    node.input.extend(inputs)
    node.output.extend(["Y"])
    graph.nodes.append(node)
    axes = graph.constant("axes", np.array([1], np.int64))
    states = graph.node("Squeeze", ["Y", axes], "states")
    product = graph.node("MatMul", [states, graph.weight("out.W", hidden, V)], "product")
    graph.node("Add", [product, graph.weight("out.b", V)], "logits")
    return graph.content()


def test_damaged_files_are_refused_in_one_line(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    own = export(make_model(Case("lstm", 2, 5, "labels"), random), "int8").files["sequence.onnx"]
    foreign = simple(random, "GRU").content()

    def work() -> None:
        for content, given in ((own, None), (foreign, symbols)):
            contents = (damaged(content, random) for _ in range(COUNT // 2))
            assert refused_share(tmp_path / "a.onnx", contents, given) > 0.5

    assert peak_memory(work) < 32 * 2**20  # symbols.json may have 16


def mangled(content: bytes, random: np.random.Generator) -> bytes:
    """A graph whose messages are whole, and in which one thing is another."""
    model = onnx.load_from_string(content)
    graph = model.graph
    node, other = (graph.node[each] for each in random.integers(0, len(graph.node), 2))
    tensor = graph.initializer[int(random.integers(0, len(graph.initializer)))]
    names = [name for each in graph.node for name in (*each.input, *each.output)]
    values: list[Any] = [0, 3, -1, 0.5, "x", [0], [1, 0], [0.5], ["x", "Tanh"], []]
    value = values[int(random.integers(0, len(values)))]
    match int(random.integers(0, 9)):
        case 0:
            node.op_type = other.op_type
        case 1:
            graph.node.remove(node)
        case 2 if node.input:
            node.input[int(random.integers(0, len(node.input)))] = str(random.choice(names))
        case 3:
            del node.output[:]
        case 4:
            del node.input[int(random.integers(0, len(node.input) + 1)) :]
        case 5:
            known = ["axis", "perm", "to", "direction", "activations", "alpha", "transB", "value"]
            kind = onnx.AttributeProto.INTS if value == [] else None
            for each in [each for each in node.attribute if random.random() < 0.5]:
                known.append(each.name)
                node.attribute.remove(each)
            node.attribute.append(helper.make_attribute(known[-1], value, attr_type=kind))
            name = str(random.choice(known[:-1]))
            node.attribute.append(helper.make_attribute(name, value, attr_type=kind))
        case 6:
            array = numpy_helper.to_array(tensor)
            shapes = [(-1,), (1, -1), (-1, 1, 1), array.shape[::-1]]
            changed = array.reshape(shapes[int(random.integers(0, 4))])
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
        case 7:
            array = numpy_helper.to_array(tensor)
            kinds = ["?", "i1", "i8", "f2", "f8"]
            changed = array.astype(kinds[int(random.integers(0, 5))])
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
        case 8:
            tensor.name = str(random.choice(names))
    changed_content: bytes = model.SerializeToString()
    return changed_content


def test_mangled_graphs_are_refused_in_one_line(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    own = export(make_model(Case("cifg", 2, 5, "labels"), random), "int8").files["step.onnx"]
    graph = Graph(random, "GRU")
    whole = graph.constant("whole", np.array([0, 0, E]))
    dense = graph.node("Reshape", [graph.embedding(), whole], "dense")
    turned = graph.node("Transpose", [graph.layer("layer", dense, E)], "turned", perm=[1, 0, 2])
    back = graph.node("Transpose", [turned], "back", perm=[1, 0, 2])
    graph.node("Constant", [], "more", value_ints=[1, 2])
    graph.output(back)
    foreign = graph.content()
    for content, given in ((own, None), (foreign, symbols)):
        contents = (mangled(content, random) for _ in range(COUNT // 2))
        assert refused_share(tmp_path / "a.onnx", contents, given) > 0.2


def hostile(random: np.random.Generator) -> dict[str, bytes]:
    """Files that ask for memory, other files or endless work, and the word that refuses each."""
    files = {}
    model = onnx.load_from_string(simple(random).content())
    tensor = next(each for each in model.graph.initializer if each.name == "layer.W")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    files["another file"] = model.SerializeToString()
    for dims in ([2**40, 2**40], [-1], [2**62, 4], [0, 2**47, 2**47]):
        model = onnx.load_from_string(simple(random).content())
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)
        files[f"not as many as its shape {dims}"] = model.SerializeToString()
    model = onnx.load_from_string(simple(random).content())
    tensor = next(each for each in model.graph.initializer if each.name == "out.W")
    tensor.CopyFrom(TensorProto(name="out.W", data_type=TensorProto.FLOAT, dims=[0, 2**40]))
    files["a shape and no numbers"] = model.SerializeToString()
    graph = simple(random)
    graph.node("Identity", ["b"], "a")
    graph.node("Identity", ["a"], "b")
    files["cycle"] = graph.content("a")
    graph = Graph(random)
    graph.output("layer.states")
    graph.layer("layer", "layer.states", H)
    files["cycle "] = graph.content()
    graph = simple(random)
    last = graph.weight("much", 100)
    for number in range(60):
        last = graph.node("Concat", [last] * 100, f"much{number}", axis=0)
    files["too much memory"] = graph.content()
    graph = simple(random)
    graph.node("Mul", [graph.weight("row", 1, 9000), graph.weight("column", 9000, 1)], "square")
    files["Mul of constants is wrong"] = graph.content()
    node = bytes([0x0A, 0])  # an empty one takes two bytes
    files["nodes and tensors"] = field(7, node * 500_000)
    files["fields"] = field(7, field(1, b"\x18\x00" * 2_000_000))
    files["ends within"] = bytes([0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07])
    files["has no graph"] = b""
    files["unknown type"] = b"\x3b\x00"
    return files


def field(number: int, content: bytes) -> bytes:
    """A message within a message."""
    length, size = b"", len(content)
    while True:
        length += bytes([size % 128 | (0x80 if size >= 128 else 0)])
        size //= 128
        if not size:
            return bytes([number << 3 | 2]) + length + content


def test_hostile_files_are_refused_and_take_little_memory(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    def work() -> None:
        for reason, content in hostile(random).items():
            message = refusal(tmp_path / "a.onnx", content, symbols)
            assert reason.partition("[")[0].strip() in str(message)

    assert peak_memory(work) < 64 * 2**20


def test_deep_messages_are_not_followed(tmp_path: Path, symbols: Path) -> None:
    content = b""
    for _ in range(20_000):  # a graph in an attribute of a node of a graph ...
        content = field(7, field(1, field(5, field(6, content[:100_000]))))
    assert refusal(tmp_path / "a.onnx", content, symbols) is not None


def test_no_other_file_is_read(random: np.random.Generator, tmp_path: Path, symbols: Path) -> None:
    """Whether it is there or not, nothing of another file is used."""
    model = onnx.load_from_string(simple(random).content())
    onnx.save(
        model,
        tmp_path / "a.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(ModelFileError, match="another file"):
        import_model(tmp_path / "a.onnx", symbols=symbols)
