"""What every engine can do: advance a trained network from an explicit state.

Dimensions: B streams side by side, T time, V vocabulary, H hidden, L layers, S parts of the
state (`CELLS` in ricorda.model.cells lists those of each cell, hidden first).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ricorda.errors import ConfigurationError
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ricorda.engine.generation import Ending, GenerationSettings, Piece

Array: TypeAlias = NDArray[np.floating[Any]]
Ids: TypeAlias = NDArray[np.integer[Any]]
"""Numbers of symbols, of any integer type, each at least 0 and below V."""

State: TypeAlias = Array
"""What is carried from step to step, (S, L, B, H): passed in, a new one returned."""


Precision = Literal["auto", "float32", "bfloat16", "int8"]
"""How weights are kept: `auto` is the fastest that loses almost nothing."""


class Surprisals(NamedTuple):
    """How well the symbols that followed were expected: B streams, T time, N alternatives."""

    nats: Array
    """Minus the natural logarithm of each one's probability, (B, T)."""

    alternative_ids: Ids
    """The most likely symbols, the most likely first, (B, T, N)."""

    alternative_nats: Array
    """Their surprisals, (B, T, N)."""


class Symbols(NamedTuple):
    """Symbols that a stream has written for certain: n of them, N alternatives each."""

    ids: Ids
    """The symbols, (n,)."""

    log_probabilities: Array
    """In nats, the model's own, (n,); (0,) if not asked for."""

    alternative_ids: Ids
    """The most likely symbols, the most likely first, (n, N)."""

    alternative_log_probabilities: Array
    """Their log-probabilities, (n, N)."""

    def part(self, start: int, end: int) -> "Symbols":
        """Return the symbols from number `start` to before `end`."""
        return Symbols._make(array[start:end] for array in self)

    def then(self, others: "Symbols") -> "Symbols":
        """Return these symbols followed by others."""
        if len(self.ids) == 0 or len(others.ids) == 0:  # their N may differ
            return self if len(self.ids) else others
        return Symbols._make(np.concatenate(pair) for pair in zip(self, others, strict=True))


class ScoringBackend(Protocol):
    """What scoring a text needs of a backend; see `Backend`."""

    @property
    def configuration(self) -> ModelConfiguration:
        """The shape of the network."""

    @property
    def is_exact_in_batches(self) -> bool:
        """Whether a stream's results are bit-identical alone and in a batch."""

    def zero_state(self, streams: int) -> State:
        """Make the state before the first symbol, (S, L, B, H), for B streams."""

    def score(
        self,
        ids: Ids,
        targets: Ids,
        state: State,
        alternatives: int = 0,
        *,
        labels: Ids | None = None,
    ) -> tuple[Surprisals, State]:
        """Read T symbols in each stream and say how surprising the ones that followed were.

        ids and targets (B, T) -> surprisals, with N alternatives (V at most), and the new state.
        Where a logit is not finite, a surprisal is not.
        """


class Backend(ScoringBackend, Protocol):
    """The arithmetic of one trained network.

    A state is made by `zero_state`, passed in and never changed: each call returns a new one,
    so a text may be continued from one state many times.

    Before a stream reads the boundary of a model of documents, its state becomes zero: what comes
    after a boundary does not depend on what came before it.

    `labels` are the numbers of the labels under which symbols are read, of the shape of `ids`; None
    is number 0, no label, for all. A model without labels takes None alone.
    """

    @property
    def tensors(self) -> Mapping[str, Array]:
        """The tensors of the model file, by name."""

    def step(self, ids: Ids, state: State, *, labels: Ids | None = None) -> tuple[Array, State]:
        """Read one symbol in each stream: ids (B,) -> logits of the next (B, V), new state."""

    def read(self, ids: Ids, state: State, *, labels: Ids | None = None) -> State:
        """Read T symbols in each stream: ids (B, T) -> new state; nothing is predicted."""

    def forward(self, ids: Ids, state: State, *, labels: Ids | None = None) -> tuple[Array, State]:
        """Read T symbols in each stream: ids (B, T) -> logits (B, T, V), new state."""

    def trace(
        self, ids: Ids, state: State, *, labels: Ids | None = None
    ) -> tuple[dict[str, Array], State]:
        """Read one stream and keep what every unit did.

        ids (T,), state (S, L, 1, H) -> arrays (T, L, H) by name, new state. The names are
        the cell's `traced` in ricorda.model.cells, such as `hidden` and `reset_gate`. Gates are
        after their sigmoid, candidates after their tanh.
        """

    def session(self, vocabulary: Vocabulary) -> "Session":
        """Begin to write texts, any number side by side."""


class Stream(Protocol):
    """One text of a session."""

    @property
    def seed(self) -> int:
        """The seed of its random numbers, which writes the same text again."""

    @property
    def ended(self) -> "Ending | None":
        """Why it ended; None while it has not."""

    @property
    def written(self) -> int:
        """How many symbols were chosen so far, a boundary or those of a stop string included."""

    @property
    def failed(self) -> bool:
        """Whether its logits were not finite; it is no longer in the session then."""

    @property
    def cut(self) -> int:
        """How many characters of the last symbol's text belong to a stop string."""


class InProgress:
    """A part of a text that is being written; it belongs to its process and cannot be copied."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be copied or pickled, because it is a text being "
            "written: copy its model, or the text that it wrote"
        )


class Session(Protocol):
    """Texts being written side by side; they come and go between calls of `advance`.

    A text depends on its own prompt, label, settings and seed alone. A document ends with "stop"
    when its boundary is chosen, which is its last symbol and stands for no characters.
    """

    def add(
        self,
        ids: Ids,
        settings: "GenerationSettings",
        *,
        state: State | None = None,
        before: Ids | None = None,
        label: int = 0,
    ) -> Stream:
        """Begin to continue the symbols ids (n,), at least one, from a state (S, L, 1, H).

        Without a state, from zeros. `before` are symbols read earlier, which the repetition
        penalty looks at; `label` is the number of the text's label, 0 for none. Raises
        ConfigurationError if the settings leave no symbol or the model has no such label.
        """

    def advance(self, steps: int = 1) -> "Sequence[tuple[Stream, Piece | None]]":
        """Take up to `steps` steps in every stream that has not ended.

        In a step a stream reads a symbol of its prompt and, from its last one on, chooses the
        next. Returns each of these streams with its new text, None if no character is complete.
        """

    def advance_symbols(self, steps: int = 1) -> "Sequence[tuple[Stream, Symbols]]":
        """Do as `advance` does, and return symbols as arrays instead of text.

        A stream whose logits are not finite is removed; its `failed` is true then.
        """

    def interrupt(self) -> None:
        """Let the call of `advance` under way, or the next, end after the step it is in."""

    def remove(self, stream: Any) -> None:
        """Forget a stream, whether it has ended or not."""

    def save(self, stream: Any) -> tuple[Ids, State]:
        """Hand back where a stream is: symbols that it has yet to read (n,), state (S, L, 1, H).

        `add` continues from there, any number of times.
        """

    def __len__(self) -> int: ...


def zero_state(
    configuration: ModelConfiguration, streams: int, dtype: DTypeLike = np.float32
) -> State:
    """Make a state of zeros, (S, L, B, H)."""
    parts, layers = configuration.state_parts, configuration.num_layers
    return np.zeros((parts, layers, streams, configuration.hidden_size), dtype)


def label_numbers(
    configuration: ModelConfiguration, labels: Ids | None, shape: tuple[int, ...]
) -> NDArray[np.uint32] | None:
    """Check labels that are read beside ids of a shape; None stands for number 0 everywhere.

    Raises ConfigurationError if the model has no labels, or for a wrong type, shape or number.
    """
    if labels is None:
        return None
    array = np.asarray(labels)
    if configuration.num_labels == 0:
        raise ConfigurationError("the model has no labels: read its symbols without labels")
    if array.dtype.kind not in "iu" or array.shape != shape:
        raise ConfigurationError(
            f"expected labels as integers of the ids' shape {shape}, "
            f"got {array.dtype} of the shape {array.shape}"
        )
    if array.size and (array.min() < 0 or array.max() >= configuration.num_labels):
        wrong = array.min() if array.min() < 0 else array.max()
        raise ConfigurationError(
            f"labels must be at least 0 and below {configuration.num_labels}, got {wrong}"
        )
    return np.ascontiguousarray(array, np.uint32)


def stream_labels(configuration: ModelConfiguration, label: int) -> NDArray[np.uint32] | None:
    """Return the labels (1,) that one text's steps take; label 0 is none.

    Raises ConfigurationError if the model has no such label.
    """
    return label_numbers(configuration, np.array([label]) if label else None, (1,))
