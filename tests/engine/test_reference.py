"""The NumPy engine against torch.nn, with carried states; whole = chunks = single steps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ricorda.engine import ReferenceBackend, zero_state
from ricorda.model.configuration import ModelConfiguration

VOCABULARY, HIDDEN, STREAMS, TIME = 11, 6, 3, 9

CELLS: list[dict[str, Any]] = [
    {"cell": "rnn"},
    {"cell": "rnn", "nonlinearity": "relu"},
    {"cell": "gru"},
    {"cell": "lstm"},
    {"cell": "cifg"},
    {"cell": "mingru"},
    {"cell": "minlstm"},
]
Tensors = dict[str, NDArray[np.float32]]
TensorsOf = Callable[..., Tensors]


@pytest.fixture(params=CELLS, ids=lambda cell: "-".join(cell.values()))
def cell(request: pytest.FixtureRequest) -> dict[str, Any]:
    chosen: dict[str, Any] = request.param
    return chosen


@pytest.fixture(params=["onehot", 5])
def embedding_size(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[1, 2, 3])
def configuration(
    request: pytest.FixtureRequest, cell: dict[str, Any], embedding_size: Any
) -> ModelConfiguration:
    return ModelConfiguration(
        vocabulary_size=VOCABULARY,
        hidden_size=HIDDEN,
        num_layers=request.param,
        embedding_size=embedding_size,
        **cell,
    )


@pytest.fixture
def ids() -> NDArray[np.int64]:
    return np.random.default_rng(5).integers(0, VOCABULARY, (STREAMS, TIME))


class TorchNetwork:
    """The same network by torch.nn, from the same tensors."""

    def __init__(self, configuration: ModelConfiguration, tensors: Tensors) -> None:
        self.configuration = configuration
        self.tensors = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
        kinds: dict[str, Any] = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
        kinds["cifg"] = torch.nn.LSTM
        if configuration.cell not in kinds:
            self.layers: Any = self.parallel_layers
            return
        options = (
            {"nonlinearity": configuration.nonlinearity} if configuration.cell == "rnn" else {}
        )
        self.layers = kinds[configuration.cell](
            configuration.input_size,
            configuration.hidden_size,
            configuration.num_layers,
            batch_first=True,
            **options,
        )
        self.layers.load_state_dict(
            {
                f"{kind}_{part}_l{layer}": self.blocks(f"layers.{layer}.{kind}_{part}")
                for layer in range(configuration.num_layers)
                for kind in ("weight", "bias")
                for part in ("ih", "hh")
            }
        )

    def parallel_layers(
        self, inputs: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute h' = a * h + b of all times at once: inputs (B, T, I), state (L, B, H).

        With A the product of all a so far, h = A * (the first h + the sum of b / A).
        """
        hidden, last = inputs.double(), []
        for layer in range(self.configuration.num_layers):
            weight, bias = (
                self.tensors[f"layers.{layer}.{each}_ih"] for each in ("weight", "bias")
            )
            gates = (hidden @ weight.double().T + bias).chunk(self.configuration.gates, dim=2)
            update = gates[0].sigmoid()
            if self.configuration.cell == "minlstm":
                update = update / (update + gates[1].sigmoid())
            kept = (1 - update).cumprod(1)
            hidden = kept * (state[layer, :, None] + (update * gates[-1] / kept).cumsum(1))
            last.append(hidden[:, -1])
        return hidden.float(), torch.stack(last).float()

    def blocks(self, name: str) -> torch.Tensor:
        """The rows of torch.nn's gates: a CIFG's forget gate is 1 - sigmoid(x) = sigmoid(-x)."""
        if self.configuration.cell != "cifg":
            return self.tensors[name]
        input_gate, *others = self.tensors[name].chunk(3)
        return torch.cat([input_gate, -input_gate, *others])

    @torch.no_grad()
    def forward(
        self, ids: NDArray[np.int64], state: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        symbols = torch.from_numpy(ids)
        if self.configuration.embedding_size == "onehot":
            inputs = torch.nn.functional.one_hot(symbols, VOCABULARY).float()
        else:
            inputs = self.tensors["embedding.weight"][symbols]
        parts = tuple(torch.from_numpy(part) for part in state)
        outputs, after = self.layers(inputs, parts if len(parts) == 2 else parts[0])
        logits = outputs @ self.tensors["output.weight"].T + self.tensors["output.bias"]
        carried = after if isinstance(after, tuple) else (after,)
        return logits.numpy(), torch.stack(carried).numpy()


def random_state(configuration: ModelConfiguration) -> NDArray[np.float32]:
    shape = zero_state(configuration, STREAMS).shape
    return np.random.default_rng(9).normal(0, 0.5, shape).astype(np.float32)


def test_logits_and_state_equal_torch(
    configuration: ModelConfiguration, ids: NDArray[np.int64], tensors_of: TensorsOf
) -> None:
    tensors = tensors_of(configuration)
    backend, network = (
        ReferenceBackend(configuration, tensors),
        TorchNetwork(configuration, tensors),
    )
    state = expected_state = random_state(configuration)
    for chunk in (ids[:, :4], ids[:, 4:]):  # the second from the state of the first
        logits, state = backend.forward(chunk, state)
        expected, expected_state = network.forward(chunk, expected_state)
        assert logits.dtype == state.dtype == np.float32
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(state, expected_state, rtol=1e-5, atol=1e-5)


def test_whole_equals_chunks_equals_steps(
    configuration: ModelConfiguration, ids: NDArray[np.int64], tensors_of: TensorsOf
) -> None:
    backend = ReferenceBackend(configuration, tensors_of(configuration), np.float64)
    whole, last = backend.forward(ids, backend.zero_state(STREAMS))
    state = backend.zero_state(STREAMS)
    chunks = []
    for begin, end in ((0, 1), (1, 6), (6, TIME)):
        logits, state = backend.forward(ids[:, begin:end], state)
        chunks.append(logits)
    np.testing.assert_allclose(np.concatenate(chunks, axis=1), whole, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(state, last, rtol=1e-12, atol=1e-12)
    state = backend.zero_state(STREAMS)
    for time in range(TIME):
        logits, state = backend.step(ids[:, time], state)
        np.testing.assert_allclose(logits, whole[:, time], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(state, last, rtol=1e-12, atol=1e-12)


def test_streams_do_not_touch_each_other(
    configuration: ModelConfiguration, ids: NDArray[np.int64], tensors_of: TensorsOf
) -> None:
    backend = ReferenceBackend(configuration, tensors_of(configuration))
    together, _ = backend.forward(ids, backend.zero_state(STREAMS))
    for stream in range(STREAMS):
        alone, _ = backend.forward(ids[stream : stream + 1], backend.zero_state(1))
        np.testing.assert_allclose(alone[0], together[stream], rtol=1e-5, atol=1e-5)


def test_a_state_is_never_changed(
    configuration: ModelConfiguration, ids: NDArray[np.int64], tensors_of: TensorsOf
) -> None:
    backend = ReferenceBackend(configuration, tensors_of(configuration))
    state = random_state(configuration)
    before = state.copy()
    backend.forward(ids, state)
    backend.step(ids[:, 0], state)
    backend.trace(ids[0], state[:, :, :1])
    np.testing.assert_array_equal(state, before)


NAMES = {
    "rnn": {"hidden"},
    "gru": {"hidden", "reset_gate", "update_gate", "candidate"},
    "lstm": {"hidden", "cell", "input_gate", "forget_gate", "candidate", "output_gate"},
    "cifg": {"hidden", "cell", "input_gate", "candidate", "output_gate"},
    "mingru": {"hidden", "update_gate", "candidate"},
    "minlstm": {"hidden", "input_gate", "forget_gate", "candidate"},
}


def test_trace_shows_what_forward_does(
    configuration: ModelConfiguration, ids: NDArray[np.int64], tensors_of: TensorsOf
) -> None:
    backend = ReferenceBackend(configuration, tensors_of(configuration), np.float64)
    arrays, state = backend.trace(ids[0], backend.zero_state(1))
    assert set(arrays) == NAMES[configuration.cell]
    for array in arrays.values():
        assert array.shape == (TIME, configuration.num_layers, HIDDEN)
    for time in range(TIME):  # what is carried is what forward carries
        _, expected = backend.forward(ids[:1, : time + 1], backend.zero_state(1))
        np.testing.assert_allclose(arrays["hidden"][time], expected[0, :, 0], atol=1e-12)
        if "cell" in arrays:
            np.testing.assert_allclose(arrays["cell"][time], expected[1, :, 0], atol=1e-12)
    np.testing.assert_allclose(arrays["hidden"][-1], state[0, :, 0], atol=1e-12)


def test_traced_gates_fulfil_the_equations(
    configuration: ModelConfiguration, ids: NDArray[np.int64], tensors_of: TensorsOf
) -> None:
    backend = ReferenceBackend(configuration, tensors_of(configuration), np.float64)
    arrays, _ = backend.trace(ids[0], backend.zero_state(1))
    zeros = np.zeros((1, *arrays["hidden"].shape[1:]))

    def before(name: str) -> NDArray[np.float64]:
        return np.concatenate([zeros, arrays[name][:-1]])

    if "cell" in arrays:
        forget_gate = arrays.get("forget_gate", 1 - arrays["input_gate"])
        kept = forget_gate * before("cell")
        cell = kept + arrays["input_gate"] * arrays["candidate"]
        np.testing.assert_allclose(arrays["cell"], cell, atol=1e-12)
        hidden = arrays["output_gate"] * np.tanh(cell)
        np.testing.assert_allclose(arrays["hidden"], hidden, atol=1e-12)
    if configuration.cell == "gru":
        update = arrays["update_gate"]
        hidden = (1 - update) * arrays["candidate"] + update * before("hidden")
        np.testing.assert_allclose(arrays["hidden"], hidden, atol=1e-12)
    if configuration.cell == "mingru":
        update = arrays["update_gate"]
        hidden = (1 - update) * before("hidden") + update * arrays["candidate"]
        np.testing.assert_allclose(arrays["hidden"], hidden, atol=1e-12)
    if configuration.cell == "minlstm":
        i, f = arrays["input_gate"], arrays["forget_gate"]
        hidden = (f * before("hidden") + i * arrays["candidate"]) / (f + i)
        np.testing.assert_allclose(arrays["hidden"], hidden, atol=1e-12)
    for name in arrays:
        if name.endswith("_gate"):
            assert (arrays[name] > 0).all()
            assert (arrays[name] < 1).all()


def test_extreme_weights_neither_warn_nor_give_wrong_numbers(tensors_of: TensorsOf) -> None:
    configuration = ModelConfiguration(cell="lstm", vocabulary_size=4, hidden_size=3)
    tensors = {name: tensor * 1e4 for name, tensor in tensors_of(configuration).items()}
    logits, state = ReferenceBackend(configuration, tensors).forward(
        np.arange(4)[np.newaxis], zero_state(configuration, 1)
    )
    assert np.isfinite(logits).all()
    assert (np.abs(state[0]) <= 1).all()


def test_surprisals_are_those_of_the_logits(
    configuration: ModelConfiguration, ids: NDArray[np.int64], tensors_of: TensorsOf
) -> None:
    backend = ReferenceBackend(configuration, tensors_of(configuration))
    logits, expected_state = backend.forward(ids[:, :-1], backend.zero_state(STREAMS))
    weights = np.exp(logits.astype(np.float64))
    nats = -np.log(weights / weights.sum(axis=-1, keepdims=True))
    scores, state = backend.score(ids[:, :-1], ids[:, 1:], backend.zero_state(STREAMS), 4)
    np.testing.assert_array_equal(state, expected_state)
    expected = np.take_along_axis(nats, ids[:, 1:, np.newaxis], axis=-1)[..., 0]
    np.testing.assert_allclose(scores.nats, expected, rtol=1e-10, atol=1e-12)
    assert scores.alternative_ids.shape == (STREAMS, TIME - 1, 4)
    np.testing.assert_allclose(scores.alternative_nats, np.sort(nats)[..., :4], 1e-10, 1e-12)
    chosen = np.take_along_axis(nats, scores.alternative_ids.astype(np.intp), axis=-1)
    np.testing.assert_allclose(scores.alternative_nats, chosen, rtol=1e-10, atol=1e-12)
    without, _ = backend.score(ids[:, :-1], ids[:, 1:], backend.zero_state(STREAMS))
    assert without.alternative_ids.shape == without.alternative_nats.shape == (3, TIME - 1, 0)
