"""The arithmetic of trained recurrent networks, in C++.

Everything here takes contiguous arrays of exactly the types named and lets go of the GIL while it
works. Raises ValueError for a wrong shape or option, IndexError for an id that is not below V,
TypeError for an array of another type. ricorda.engine.native wraps it.

Dimensions: B streams side by side, T time, V vocabulary, H hidden, L layers, S parts of the state.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

def instruction_sets() -> list[tuple[str, str]]:
    """Name and describe the instruction sets that this processor has, the fastest first."""

def choose_instruction_set(kernels: str = "") -> str:
    """Name the instruction set that is used for `kernels`; raises ValueError if it is not had.

    For the empty string, what the environment variable RICORDA_KERNELS says, else the fastest.
    """

def usable_cores() -> int:
    """Say how many cores this process may use."""

def activation(name: str, values: NDArray[np.float32], kernels: str = "") -> NDArray[np.float32]:
    """Compute `exp`, `tanh` or `sigmoid` of values (n,) as the kernels do."""

def read(values: NDArray[np.float32], times: int = 1, kernels: str = "") -> float:
    """Sum values (n,), n a multiple of 16, so many times over: the fastest read of memory."""

Progress = tuple[
    int,
    NDArray[np.uint32],
    NDArray[np.float32],
    NDArray[np.uint32],
    NDArray[np.float32],
    int,
    Literal["length", "stop", "not finite"] | None,
]
"""What a stream wrote in one call: its number; ids (n,); their log-probabilities (n,), or (0,) if
not asked for; the most likely ids (n, N) and theirs (n, N); how many symbols it chose so far; and
why it ended: "length", "stop", "not finite" (its logits), None if it has not."""

def philox(seed: int, stream_index: int, count: int) -> NDArray[np.uint64]:
    """Draw the first numbers of a stream, (count,), as numpy.random.Philox does."""

def choose(
    logits: NDArray[np.float32],
    settings: SamplingSettings,
    recent: NDArray[np.uint32],
    uniforms: NDArray[np.float64],
    kernels: str = "",
    written: NDArray[np.uint32] | None = None,
) -> NDArray[np.uint32]:
    """Say what is chosen from logits (V,) after the symbols `recent` by each uniform number.

    `written` are the symbols that presence and frequency penalty count.
    """

class SamplingSettings:
    """How the next symbol is chosen; see ricorda.engine.sampling. 0 means no limit for top_k.

    `constraint` is what ricorda.engine.constraints makes: start, begins (N + 1), symbols (n),
    next (n), otherwise (N). `choose` takes its start state.
    """

    def __init__(
        self,
        *,
        repetition_penalty: float = 1.0,
        repetition_window: int = 64,
        constraint: tuple[int, list[int], list[int], list[int], list[int]] | None = None,
        greedy: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        bias: NDArray[np.float32] | None = None,
    ) -> None: ...

class Session:
    """Many texts being written at once; may be used by several threads."""

    def __init__(self, network: Network) -> None: ...
    def add(
        self,
        ids: NDArray[np.uint32],
        sampling: SamplingSettings,
        length: int,
        seed: int,
        stream_index: int = 0,
        stops: Sequence[Sequence[int]] = (),
        alternatives: int = -1,
        state: NDArray[np.float32] | None = None,
        before: NDArray[np.uint32] | None = None,
    ) -> int:
        """Begin to continue ids (n,) from a state (S, L, 1, H); returns the stream's number.

        `before` are earlier symbols, for the repetition penalty; `alternatives` how many of the
        most likely symbols to tell with each one, -1 for no log-probabilities at all.
        """

    def remove(self, stream: int) -> None:
        """Forget a stream; raises IndexError if there is none of this number."""

    def advance(self, steps: int, threads: int = 1) -> list[Progress]:
        """Take up to `steps` steps in every stream that has not ended."""

    def interrupt(self) -> None:
        """Let the `advance` under way, or the next, end after its step; waits for nothing."""

    def save(self, stream: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Hand back the symbols yet to read (n,) and the state (S, L, 1, H) to read them from."""

    def __len__(self) -> int: ...

class Network:
    """A trained network with its weights packed; not changed by any call."""

    def __init__(
        self,
        cell: str,
        nonlinearity: str,
        vocabulary_size: int,
        hidden_size: int,
        num_layers: int,
        embedding_size: int,
        tensors: Mapping[str, NDArray[np.float32]],
        precision: str = "float32",
        kernels: str = "",
    ) -> None:
        """Take the tensors of a model file; an embedding size of 0 means one-hot."""

    def forward(
        self, ids: NDArray[np.uint32], state: NDArray[np.float32], threads: int = 1
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read ids (B, T) from a state (S, L, B, H): logits (B, T, V), new state."""

    def score(
        self,
        ids: NDArray[np.uint32],
        targets: NDArray[np.uint32],
        state: NDArray[np.float32],
        top: int = 0,
        threads: int = 1,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
        """Read ids (B, T): nats of the targets (B, T), best ids and nats (B, T, N), new state."""

    def trace(
        self, ids: NDArray[np.uint32], state: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read ids (1, T): activations (parts, T, L, H), new state."""

    @property
    def instruction_set(self) -> str:
        """The name of the instruction set in use."""

    @property
    def precision(self) -> str:
        """float32, bfloat16 or int8."""

    @property
    def step_bytes(self) -> int:
        """How many bytes of weights one step of one stream reads."""

    @property
    def bytes(self) -> int:
        """How many bytes all the weights occupy."""

def learns_bfloat16(kernels: str = "") -> bool:
    """Whether this processor can learn in bfloat16: whether it has AVX512_BF16."""

Array = NDArray[np.float32]

def drop(values: Array, key: int, first: int, keep: float, kernels: str = "") -> None:
    """Drop out of values in place, by the mask's numbers from `first` on; for the tests."""

class Learner:
    """A whole step of learning in one call, on arrays that belong to the caller."""

    def __init__(
        self,
        *,
        cell: str,
        nonlinearity: str,
        vocabulary_size: int,
        hidden_size: int,
        num_layers: int,
        embedding_size: int,
        parameters: Sequence[tuple[Array, Array, Array, Array | None]],
        streams: int,
        steps: int,
        precision: str = "float32",
        threads: int = 1,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_decay: float = 0.0,
        clip_norm: float = 1.0,
        first_beta: float = 0.9,
        second_beta: float = 0.99,
        epsilon: float = 1e-8,
        first_stream: int = 0,
        all_streams: int = 0,
        kernels: str = "",
    ) -> None:
        """Take the parameters in a model file's order, each with its moments and its average.

        They stay where they are and are changed in place. An embedding size of 0 means one-hot.
        first_stream, all_streams: where several processes share a batch, which of its streams
        these are, and how many it has; 0: these are all.
        """

    def step(
        self,
        inputs: NDArray[np.int64],
        targets: NDArray[np.int64],
        state: Sequence[Array],
        restart: Array | None = None,
        *,
        learning_rate: float,
        number: int,
        key: int = 0,
        candidates: tuple[NDArray[np.int64], Array] | None = None,
        average_share: float = 0.0,
        update: bool = True,
    ) -> tuple[float, float]:
        """Learn from inputs and targets (B, T); returns mean nats and the gradient's norm.

        `state` are the parts (B, H) of each layer, changed in place; `restart` (B,) is 1 where it
        counts as zero. `number` counts steps from 1; `key` seeds the dropout masks. `candidates`
        are symbols (K,), ascending, with the logarithms (K,) of the probabilities with which they
        were drawn, for a sampled softmax. If the norm is not finite, nothing is changed.
        """

    def gradients(
        self,
        inputs: NDArray[np.int64],
        targets: NDArray[np.int64],
        state: Sequence[Array],
        restart: Array | None,
        flat: Array,
        *,
        key: int = 0,
        candidates: tuple[NDArray[np.int64], Array] | None = None,
    ) -> float:
        """Fill `flat` (P,) with what these streams add to the gradient of all.

        Returns what they add to the mean nats. Nothing else is changed.
        """

    def apply(
        self,
        state: Sequence[Array],
        flat: Array,
        *,
        learning_rate: float,
        number: int,
        average_share: float = 0.0,
    ) -> float:
        """Update with the gradient of all streams (P,), after `gradients`; returns its norm.

        The state's parts become those after the window. If the norm is not finite, nothing is
        changed.
        """

    def copy_gradient(self, parameter: int, gradient: Array) -> None:
        """Copy the last step's gradient of a parameter, by its number, into `gradient`."""
