"""A benchmark's peers run no code of ricorda and compute the same results as ricorda."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ricorda
from benchmarks import engine, peers
from benchmarks.peers import sample_program, torch_network, tutorial_program
from benchmarks.peers.onnx_network import OnnxNetwork, onnx_steps, with_choice
from benchmarks.peers.torch_network import CellNetwork, LayerNetwork, Tensors
from ricorda.engine import GenerationSettings, ReferenceBackend
from ricorda.engine.scoring import evaluate
from ricorda.exchange.onnx_export import export
from ricorda.model import ModelConfiguration, ModelFile, write_model_file
from ricorda.model.cells import CellName
from ricorda.text import CharacterVocabulary

PACKAGE = Path(ricorda.__file__).parent
PEERS = Path(peers.__file__).parent
CELLS: tuple[CellName, ...] = ("rnn", "gru", "lstm")
VOCABULARY = CharacterVocabulary("\nabcdef", "\n")
HIDDEN_SIZE = 9
PYTORCHS = re.compile(
    r"(aten|autograd|torch::autograd)::|Optimizer\.|\[|detach$|[A-Z]\w*Backward\d+$"
)
"""Names of PyTorch's operations; that of a custom `autograd.Function` ends without a number."""


def random_network(
    random: np.random.Generator, cell: CellName, embedding_size: Any = 4, num_layers: int = 1
) -> tuple[ModelConfiguration, Tensors]:
    configuration = ModelConfiguration(
        cell=cell,
        vocabulary_size=VOCABULARY.size,
        hidden_size=HIDDEN_SIZE,
        embedding_size=embedding_size,
        num_layers=num_layers,
    )
    return configuration, {
        name: (0.4 * random.standard_normal(shape)).astype(np.float32)  # rounding does not grow
        for name, shape in configuration.tensor_shapes().items()
    }


def log_softmax(logits: NDArray[Any]) -> NDArray[Any]:
    shifted = logits - logits.max(-1, keepdims=True)
    result: NDArray[Any] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def expected_log_probabilities(
    configuration: ModelConfiguration, tensors: Tensors, ids: NDArray[np.int64]
) -> NDArray[Any]:
    """The reference's after each symbol, one after the other, (T, V)."""
    backend = ReferenceBackend(configuration, tensors)
    state, rows = backend.zero_state(1), []
    for symbol in ids:
        logits, state = backend.step(np.array([symbol]), state)
        rows.append(logits[0])
    return log_softmax(np.stack(rows))


def code_that_ran(work: Callable[[], object]) -> set[str]:
    """The files of the Python code that work runs."""
    found: set[str] = set()

    def look(frame: Any, event: str, _: object) -> None:
        if event == "call":
            found.add(frame.f_code.co_filename)

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def of_ricorda(code: set[str]) -> set[str]:
    """What belongs to ricorda, the peers' own files left out."""
    return {
        each
        for each in code
        if Path(each).is_relative_to(PACKAGE) and not Path(each).is_relative_to(PEERS)
    }


def operations_of(work: Callable[[], object]) -> set[str]:
    """The names of the operations that PyTorch records while work runs."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    return {event.key for event in profile.key_averages()}


def foreign(operations: set[str]) -> set[str]:
    """Those that are not PyTorch's own."""
    return {each for each in operations if not PYTORCHS.match(each)}


def check_it_is_pytorchs(work: Callable[[], object]) -> None:
    work()  # what is imported or set up at first
    assert of_ricorda(code_that_ran(work)) == set()
    operations = operations_of(work)
    assert "aten::linear" in operations
    assert foreign(operations) == set()


@pytest.mark.parametrize("path", sorted(PEERS.glob("*.py")), ids=lambda path: path.name)
def test_no_peer_imports_ricorda(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not [name.name for name in node.names if name.name.startswith("ricorda")]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert not str(node.module).startswith("ricorda")


def test_ricordas_code_would_be_found(random: np.random.Generator) -> None:
    configuration, tensors = random_network(random, "lstm")
    backend = ReferenceBackend(configuration, tensors)
    state, ids = backend.zero_state(1), np.array([0])
    code = of_ricorda(code_that_ran(lambda: backend.step(ids, state)))
    assert str(PACKAGE / "engine" / "reference.py") in code


def test_a_foreign_operation_would_be_found() -> None:
    class Foreign(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
            return values * 2

    values = torch.ones(2, requires_grad=True)
    assert foreign(operations_of(lambda: Foreign.apply(values))) == {"Foreign"}  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("embedding_size", ["onehot", 4])
@pytest.mark.parametrize("cell", CELLS)
@torch.inference_mode()
def test_torchs_layer_and_cell_predict_what_ricorda_predicts(
    random: np.random.Generator, cell: CellName, embedding_size: Any, num_layers: int
) -> None:
    configuration, tensors = random_network(random, cell, embedding_size, num_layers)
    ids = random.integers(0, VOCABULARY.size, 12)
    expected = expected_log_probabilities(configuration, tensors, ids)

    whole, _ = LayerNetwork(cell, tensors)(torch.from_numpy(ids)[None])
    np.testing.assert_allclose(log_softmax(whole[0].numpy()), expected, atol=1e-5)
    for network, shape in ((LayerNetwork(cell, tensors), (1, 1)), (CellNetwork(cell, tensors), 1)):
        state, rows = None, []
        for symbol in ids:
            logits, state = network(torch.full(np.atleast_1d(shape).tolist(), int(symbol)), state)
            rows.append(logits.flatten().numpy())
        np.testing.assert_allclose(log_softmax(np.stack(rows)), expected, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_torchs_modules_are_torch_nns(random: np.random.Generator, cell: CellName) -> None:
    _, tensors = random_network(random, cell)
    of_layer = [type(part) for part in LayerNetwork(cell, tensors).children()]
    layer = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
    assert of_layer == [torch.nn.Embedding, layer, torch.nn.Linear]
    (of_cell,) = CellNetwork(cell, tensors).cells
    expected = {"rnn": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}[cell]
    assert type(of_cell) is expected


@pytest.mark.parametrize("cell", CELLS)
def test_torchs_steps_write_ricordas_text_and_run_no_code_of_it(
    random: np.random.Generator, cell: CellName
) -> None:
    configuration, tensors = random_network(random, cell)
    expected = greedy_symbols(configuration, tensors, 20)
    for steps in (
        torch_network.layer_steps(cell, tensors, 0),
        torch_network.cell_steps(cell, tensors, 0),
        torch_network.cell_steps(cell, tensors, 0, onednn=False),
    ):
        assert [*steps(7), *steps(13)] == expected  # the state is carried from call to call
        check_it_is_pytorchs(lambda steps=steps: steps(2))  # type: ignore[misc]


def greedy_symbols(configuration: ModelConfiguration, tensors: Tensors, count: int) -> list[int]:
    """The most likely continuation of symbol 0, by the engine."""
    session = ReferenceBackend(configuration, tensors).session(VOCABULARY)
    session.add(np.array([0]), GenerationSettings(length=count, greedy=True))
    written: list[int] = []
    for _ in range(count + 1):
        for _, symbols in session.advance_symbols():
            written += np.asarray(symbols.ids).tolist()
    return written[:count]


@pytest.mark.parametrize("cell", CELLS)
def test_onnx_runtime_writes_ricordas_text_and_runs_no_code_of_it(
    random: np.random.Generator, cell: CellName
) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    configuration, tensors = random_network(random, cell)
    model = ModelFile(configuration, VOCABULARY, dict(tensors))
    content = export(model, "float32").files["step.onnx"]
    onnx.checker.check_model(onnx.load_from_string(with_choice(content)), full_check=True)
    steps = onnx_steps(content, 0)
    assert [*steps(7), *steps(13)] == greedy_symbols(configuration, tensors, 20)
    code = code_that_ran(lambda: steps(2))
    assert of_ricorda(code) == set()
    assert any("onnxruntime" in each for each in code)

    network, ids = OnnxNetwork(content), random.integers(0, VOCABULARY.size, 6)
    logits = [network.step(np.array([symbol]), ["logits"])[0][0] for symbol in ids]
    expected = expected_log_probabilities(configuration, tensors, ids)
    np.testing.assert_allclose(log_softmax(np.stack(logits)), expected, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_both_score_the_same_nats(random: np.random.Generator, cell: CellName) -> None:
    configuration, tensors = random_network(random, cell)
    ids = random.integers(0, VOCABULARY.size, 5 * 8 + 1)
    score = torch_network.scorer(cell, tensors, ids, 8, 2)
    expected = 0.0
    for first in range(0, 40, 8):
        logs = expected_log_probabilities(configuration, tensors, ids[first : first + 8])
        expected -= logs[np.arange(8), ids[first + 1 : first + 9]].sum()
    assert score() == pytest.approx(expected, rel=1e-5)
    backend = ReferenceBackend(configuration, tensors)
    ours = evaluate(backend, VOCABULARY, [ids.astype(np.uint8)], 8)
    assert ours.nats == pytest.approx(expected, rel=1e-5)
    assert ours.predictions == 40
    check_it_is_pytorchs(score)


@pytest.fixture
def model_path(random: np.random.Generator, tmp_path: Path) -> Path:
    configuration, tensors = random_network(random, "lstm")
    path = tmp_path / "model.safetensors"
    write_model_file(path, ModelFile(configuration, VOCABULARY, dict(tensors)))
    return path


def test_the_sampling_program_writes_what_ricorda_writes(
    model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample_program.main(str(model_path), 30, 0)
    written = capsys.readouterr().out.removesuffix("\n")
    model = ricorda.load(model_path, backend="numpy", precision="float32")
    assert written == model.generate(length=30, greedy=True)
    sample_program.main(str(model_path), 30)
    assert capsys.readouterr().out.removesuffix("\n") != written  # it draws at 0.8


def test_the_sampling_program_loads_nothing_of_ricorda(model_path: Path) -> None:
    program = (
        "import runpy, sys; path, *sys.argv = sys.argv[1:]; sys.argv.insert(0, path);"
        "runpy.run_path(path, run_name='__main__');"
        "print([name for name in sys.modules if name.startswith('ricorda')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(engine.PROGRAM), str(model_path), "5"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("\n[]\n")


@pytest.mark.parametrize("cell", CELLS)
def test_pytorchs_training_is_truncated_backpropagation_through_time(cell: CellName) -> None:
    torch.manual_seed(1)
    tensors = torch_network.random_tensors(cell, 7, 4, HIDDEN_SIZE)
    training, same = LayerNetwork(cell, tensors), LayerNetwork(cell, tensors)
    by_program = torch_network.Training(
        training, learning_rate=0.02, weight_decay=0.0, clip_norm=1e9
    )
    optimizer = torch.optim.AdamW(same.parameters(), lr=0.02, betas=(0.9, 0.99), weight_decay=0.0)
    ids, state = torch.randint(7, (3, 2, 6)), None
    for step in range(3):
        inputs, targets = ids[step, :, :-1], ids[step, :, 1:]
        logits, state = same(inputs, state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        assert by_program.step(inputs, targets) == pytest.approx(loss.item(), rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        parts = state if isinstance(state, tuple) else (state,)
        detached = tuple(part.detach() for part in parts)
        state = detached if isinstance(state, tuple) else detached[0]


def test_pytorchs_training_step_runs_no_code_of_ricorda() -> None:
    network = LayerNetwork("lstm", torch_network.random_tensors("lstm", 7, 4, HIDDEN_SIZE))
    training = torch_network.Training(network, learning_rate=0.02, weight_decay=0.1, clip_norm=1.0)
    ids = torch.randint(7, (2, 6))

    def step() -> float:
        return training.step(ids[:, :-1], ids[:, 1:])

    step()
    assert of_ricorda(code_that_ran(step)) == set()
    assert foreign(operations_of(step)) == set()


def test_the_tutorials_program_runs_no_code_of_ricorda() -> None:
    learning: Iterator[object] = tutorial_program.learn(seed=1, epochs=3)
    check_it_is_pytorchs(lambda: next(learning, None))
