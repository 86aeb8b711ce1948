"""The engine in C++ (`ricorda._kernels`), which runs at the speed of the processor's caches."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda import _kernels
from ricorda.cores import usable_cores
from ricorda.engine.backend import (
    Array,
    Ids,
    Precision,
    State,
    Surprisals,
    label_numbers,
    zero_state,
)
from ricorda.engine.sampling import Probabilities, log_softmax
from ricorda.engine.session import NativeSession, kernel_errors, kernel_floats, kernel_ids
from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELLS
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.vocabulary import Vocabulary

LARGEST_LOSS = 0.002
"""In nats per symbol."""

STREAMS = 8
MOST_STEPS = 32
PROBABILITIES_AT_ONCE = 2**20

FASTEST_FIRST = {
    "amx": ("int8", "bfloat16"),
    "avx512": ("int8", "bfloat16"),
    "avx512-base": ("int8", "bfloat16"),
    "avx2": ("int8", "bfloat16"),
    "portable": (),
}
"""The precisions that are faster than float32 on each instruction set."""


class NativeBackend:
    """A trained network run by the C++ kernels; a Backend.

    The result of a stream has the same bits alone and beside any others, with any number of
    threads. `kernels` forces an instruction set of `instruction_sets()`; if not given, the
    environment variable RICORDA_KERNELS may name one, else the best is used. The precision `auto`
    is the fastest that loses less than 0.002 nats per symbol on a text of the model's own.

    It pickles as its options and its tensors, which it keeps for that; so does what `auto` chose.
    """

    is_exact_in_batches = True

    def __init__(
        self,
        configuration: ModelConfiguration,
        tensors: Mapping[str, Array],
        precision: Precision = "float32",
        *,
        threads: int | None = None,
        kernels: str | None = None,
    ) -> None:
        """Pack the tensors of a model file, by name.

        Raises ConfigurationError if a tensor's shape, the precision, the number of threads or the
        instruction set is wrong.
        """
        self.configuration = configuration
        self._tensors, self._given_threads = dict(tensors), threads
        self.threads = usable_cores() if threads is None else threads
        if self.threads < 1:
            raise ConfigurationError(f"threads must be at least 1, got {threads}")
        self._kernels = kernels
        packed = {name: kernel_floats(tensor) for name, tensor in tensors.items()}

        def make(chosen: str) -> _kernels.Network:
            return make_network(configuration, packed, chosen, kernels or "")

        with kernel_errors():
            if precision == "auto":
                self.network = fastest_network(configuration, make)
            else:
                self.network = make(precision)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        options = (self.precision, self._given_threads, self._kernels)
        return _remade, (self.configuration, self._tensors, *options)

    @property
    def tensors(self) -> Mapping[str, Array]:
        """The tensors of the model file, by name."""
        return self._tensors

    @property
    def precision(self) -> str:
        """The precision of the weights: float32, bfloat16 or int8."""
        return self.network.precision

    @property
    def instruction_set(self) -> str:
        """The instruction set in use, one of those that `instruction_sets` lists."""
        return self.network.instruction_set

    def zero_state(self, streams: int) -> State:
        """Make the state before the first symbol, (S, L, B, H)."""
        return zero_state(self.configuration, streams)

    def step(self, ids: Ids, state: State, *, labels: Ids | None = None) -> tuple[Array, State]:
        """Read one symbol in each stream: ids (B,) -> logits (B, V), new state."""
        labels = None if labels is None else np.asarray(labels)[:, np.newaxis]
        logits, state = self.forward(np.asarray(ids)[:, np.newaxis], state, labels=labels)
        return logits[:, 0], state

    def read(self, ids: Ids, state: State, *, labels: Ids | None = None) -> State:
        """Read T symbols in each stream: ids (B, T) -> new state. Raises as `forward` does."""
        ids = self._ids(ids, 2)
        numbers = label_numbers(self.configuration, labels, ids.shape)
        with kernel_errors():
            return self.network.read(ids, kernel_floats(state), self.threads, labels=numbers)

    def forward(self, ids: Ids, state: State, *, labels: Ids | None = None) -> tuple[Array, State]:
        """Read T symbols in each stream: ids (B, T) -> logits (B, T, V), new state.

        Raises VocabularyError for an id that is not below V, ConfigurationError for a wrong shape
        or for labels that the model does not have.
        """
        ids = self._ids(ids, 2)
        numbers = label_numbers(self.configuration, labels, ids.shape)
        with kernel_errors():
            return self.network.forward(ids, kernel_floats(state), self.threads, labels=numbers)

    def score(
        self,
        ids: Ids,
        targets: Ids,
        state: State,
        alternatives: int = 0,
        *,
        labels: Ids | None = None,
    ) -> tuple[Surprisals, State]:
        """Read T symbols in each stream and say how well the ones that followed were expected.

        ids and targets (B, T) -> surprisals in nats, the N most likely symbols and theirs, and the
        new state. Where a logit is not finite, a surprisal is NaN. Raises as `forward` does.
        """
        ids, targets = self._ids(ids, 2), self._ids(targets, 2)
        numbers = label_numbers(self.configuration, labels, ids.shape)
        with kernel_errors():
            nats, best, best_nats, state = self.network.score(
                ids, targets, kernel_floats(state), alternatives, self.threads, labels=numbers
            )
        return Surprisals(nats, best, best_nats), state

    def session(self, vocabulary: Vocabulary) -> NativeSession:
        """Begin to write texts, any number side by side."""
        return NativeSession(self.network, self.configuration, vocabulary, self.threads)

    def trace(
        self, ids: Ids, state: State, *, labels: Ids | None = None
    ) -> tuple[dict[str, Array], State]:
        """Read one stream, ids (T,), and keep every activation: arrays (T, L, H), new state."""
        labels = None if labels is None else np.asarray(labels)[np.newaxis]
        ids = self._ids(ids, 1)[np.newaxis]
        numbers = label_numbers(self.configuration, labels, ids.shape)
        with kernel_errors():
            arrays, state = self.network.trace(ids, kernel_floats(state), labels=numbers)
        return dict(zip(CELLS[self.configuration.cell].traced, arrays, strict=True)), state

    def _ids(self, ids: Ids, dimensions: int) -> NDArray[np.uint32]:
        return kernel_ids(ids, dimensions, self.configuration.vocabulary_size)


def _remade(
    configuration: ModelConfiguration,
    tensors: Mapping[str, Array],
    precision: Precision,
    threads: int | None,
    kernels: str | None,
) -> NativeBackend:
    """Make a backend from its pickled form."""
    return NativeBackend(configuration, tensors, precision, threads=threads, kernels=kernels)


def make_network(
    configuration: ModelConfiguration,
    tensors: Mapping[str, NDArray[np.float32]],
    precision: str = "float32",
    kernels: str = "",
) -> _kernels.Network:
    """Hand the tensors of a model file to the kernels. Raises ValueError for a wrong one."""
    return _kernels.Network(
        **shape_arguments(configuration),
        tensors=dict(tensors),
        precision=precision,
        kernels=kernels,
    )


def shape_arguments(configuration: ModelConfiguration) -> dict[str, Any]:
    """Return the arguments by which the kernels take a network's shape; one-hot input is 0."""
    embedding_size = configuration.embedding_size
    return asdict(configuration) | {
        "embedding_size": 0 if embedding_size == "onehot" else embedding_size
    }


def instruction_sets() -> dict[str, str]:
    """Name the instruction sets that this processor has, the fastest first, and describe them."""
    return dict(_kernels.instruction_sets())


def fastest_network(
    configuration: ModelConfiguration, make: Callable[[str], _kernels.Network]
) -> _kernels.Network:
    """Make the network in the fastest precision that loses less than LARGEST_LOSS.

    The loss is measured on a text that the network itself generates. There the mean surprisal
    rises by exactly the divergence (Kullback & Leibler, 1951) of the precision's probabilities
    from those of float32, which is computed over the whole vocabulary at each symbol.
    """
    exact = make("float32")
    ids = written_text(configuration, exact)
    expected = log_probabilities(configuration, exact, ids)
    for precision in FASTEST_FIRST[exact.instruction_set]:
        network = make(precision)
        found = log_probabilities(configuration, network, ids)
        if divergence(expected, found) < LARGEST_LOSS:  # false for NaN, of a network that overflows
            return network
    return exact


def written_text(
    configuration: ModelConfiguration, network: _kernels.Network
) -> NDArray[np.uint32]:
    """Generate from symbols spread over the vocabulary: ids (B, T), the first symbols included.

    After the boundary of a document another one follows. A stream whose logits are not
    finite keeps only what it had before.
    """
    symbols = configuration.vocabulary_size
    steps = min(MOST_STEPS, max(2, PROBABILITIES_AT_ONCE // (STREAMS * symbols)))
    ids = np.zeros((STREAMS, steps), np.uint32)
    ids[:] = np.arange(STREAMS)[:, np.newaxis] * symbols // STREAMS
    labels = written_labels(configuration)
    session, settings = _kernels.Session(network), _kernels.SamplingSettings()
    begins: dict[int, tuple[int, int]] = {}  # of each text: its stream, and where it begins

    def begin(stream: int, read: int) -> None:
        """Write on from the symbol `read` of a stream."""
        number = session.add(
            ids[stream, read : read + 1],
            settings,
            steps - 1 - read,
            seed=stream,
            stream_index=read,
            label=int(labels[stream]),
        )
        begins[number] = stream, read + 1

    for stream in range(STREAMS):
        begin(stream, 0)
    while begins:
        for number, written, *_, ending in session.advance(steps):
            stream, first = begins.pop(number)
            end = first + len(written)
            ids[stream, first:end] = written
            if ending == "stop" and end < steps:
                begin(stream, end - 1)
    return ids


def written_labels(configuration: ModelConfiguration) -> NDArray[np.uint32]:
    """Return the labels (B,) of the texts that `written_text` generates, spread over all."""
    return (np.arange(STREAMS) * configuration.num_labels // STREAMS).astype(np.uint32)


def log_probabilities(
    configuration: ModelConfiguration, network: _kernels.Network, ids: NDArray[np.uint32]
) -> Probabilities:
    """Return the log-probabilities (B, T, V) after each of ids (B, T), from a zero state."""
    labels = None
    if configuration.num_labels:
        labels = np.repeat(written_labels(configuration)[:, np.newaxis], ids.shape[1], axis=1)
    logits, _ = network.forward(ids, zero_state(configuration, len(ids)), labels=labels)
    return log_softmax(logits)


def divergence(expected: Probabilities, found: Probabilities) -> float:
    """Return the mean of sum(p (log p - log q)), in nats, of log-probabilities (..., V)."""
    return float((np.exp(expected) * (expected - found)).sum(axis=-1).mean())
