"""A model that continues to learn while it reads (dynamic evaluation).

After each segment of symbols, every one of them predicted before it was seen, the weights of this
reader change by the segment's gradient, divided weight by weight by the root mean square that
gradients had over the training text, and are pulled back a little to the trained weights (Krause,
Kahembwe, Murray & Renals, 2018, arXiv 1709.07432; Mikolov et al., 2010). Several rates are tried
side by side and mixed with the trained network by how well each predicts.

What the text repeats word for word is counted as well: symbols under contexts of 1 to 9 symbols, of
words, and what followed the longest earlier occurrence of the last symbols. Online learned weights
mix these with the networks (kernels/mixing).

The root mean squares are gathered at the end of training, on segments of the same length, and kept
in the model file as one byte per weight: the byte v stands for 2^(v / 8 - 32).
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.backend import Array, Backend, Ids, Precision, State, Surprisals, zero_state
from ricorda.errors import ConfigurationError
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.parts import Part
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

try:
    from ricorda import _kernels
except ImportError:  # installed without a compiler
    _kernels = None  # type: ignore[assignment]

SEGMENT = 32
"""Symbols between two updates of the weights. This and the next three are part of the format of
archives that are compressed with a model."""

RATES = (2e-4, 6e-4, 1.8e-3)
PULL = 1e-3
"""The share of the way back to the trained weights with each update."""

FLOOR = 0.03
"""Added to each root mean square, as a share of their mean: some weights hardly had a gradient."""

_EIGHTHS = (
    1.0,
    1.0905077326652577,
    1.189207115002721,
    1.2968395546510096,
    1.4142135623730951,
    1.5422108254079407,
    1.681792830507429,
    1.8340080864093424,
)
"""2^(k / 8), written out: libraries round it differently."""

LARGEST_IN_FLOAT32 = 1 << 18
"""Weights that a reader multiplies in float32; those of larger networks do not fit a core's cache
and are rounded to bfloat16 for the products, which then take little more than half the time."""

TABLE_BITS = 20
"""Counts are kept in 2 to this power buckets of 64 bytes."""

MOST_SEGMENTS = 400
LEAST_SEGMENTS = 32
SEGMENTS_IN_A_ROW = 16  # of one place in the text; the first of them only warms the state up

LearningPrecision = Literal["float32", "bfloat16"]

GradientSizes = dict[str, NDArray[np.uint8]]
"""The root mean square of each weight's gradient, as bytes, by the tensor's name."""


class AdaptiveBackend:
    """Scores one text, or one document after the other, learning from it; a part of a Backend.

    It carries its own state, so the state that is passed in and returned means nothing, and
    there is one stream. The trained network is not changed. `_kernels` must be built.
    """

    is_exact_in_batches = False  # there is one stream

    def __init__(
        self,
        trained: Backend,
        sizes: GradientSizes,
        vocabulary: Vocabulary | None = None,
        *,
        precision: LearningPrecision | None = None,
    ) -> None:
        """Begin to read from a zero state and the trained weights.

        With a vocabulary, what was read is counted and mixed in. The precision of products is
        bfloat16 by default if the trained network has it or many weights, else float32. Raises
        ConfigurationError for a backend other than the kernels'.
        """
        kernels_needed = ConfigurationError(
            "adaptive reading needs the compiled kernels, which this engine lacks: install a "
            "C++ compiler, reinstall ricorda, and use backend native"
        )
        if _kernels is None:
            raise kernels_needed
        from ricorda.engine.native import NativeBackend, make_network
        from ricorda.engine.session import kernel_floats

        if not isinstance(trained, NativeBackend):
            raise kernels_needed
        self.configuration = trained.configuration
        self.threads = trained.threads
        self.precision = cast("Precision", trained.precision)
        if precision is None:
            is_large = self.configuration.parameters > LARGEST_IN_FLOAT32
            precision = "bfloat16" if is_large or self.precision == "bfloat16" else "float32"
        network = trained.network
        if (network.precision, precision) == ("float32", "bfloat16"):
            tensors = {name: kernel_floats(each) for name, each in trained.tensors.items()}
            network = make_network(self.configuration, tensors, precision, network.instruction_set)
        self._reader = make_reader(
            network,
            self.configuration,
            trained.tensors,
            sizes,
            trained.threads,
            precision=precision,
            letters=None if vocabulary is None else letters_of(vocabulary),
        )

    def zero_state(self, streams: int) -> State:
        """Make a state that stands for the reader's own; there is one stream."""
        assert streams == 1, "adaptive reading has one stream"
        return zero_state(self.configuration, 1)

    def score(
        self,
        ids: Ids,
        targets: Ids,
        state: State,
        alternatives: int = 0,
        *,
        labels: Ids | None = None,
    ) -> tuple[Surprisals, State]:
        """Read on, ids and targets (1, T), and learn from them; otherwise as `Backend.score`."""
        from ricorda.engine.session import kernel_errors, kernel_ids

        size = self.configuration.vocabulary_size
        inputs, following = (kernel_ids(each, 2, size)[0] for each in (ids, targets))
        numbers = None if labels is None else np.ascontiguousarray(labels[0], np.uint32)
        with kernel_errors():
            nats, best, best_nats = self._reader.read(
                inputs, following, numbers, min(alternatives, size)
            )
        found = Surprisals(nats[np.newaxis], best[np.newaxis], best_nats[np.newaxis])
        return found, state

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy the weights that predict best now, by name."""
        shapes = self.configuration.tensor_shapes()
        copies = {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
        for number, copy in enumerate(copies.values()):
            self._reader.copy_weights(number, copy.reshape(-1))
        return copies


def make_reader(
    network: "_kernels.Network",
    configuration: ModelConfiguration,
    tensors: Mapping[str, Array],
    sizes: GradientSizes | None,
    threads: int,
    *,
    precision: LearningPrecision = "float32",
    letters: NDArray[np.uint32] | None = None,
) -> "_kernels.AdaptiveReader":
    """Begin to read with a trained network, whose weights are `tensors`.

    Without sizes of gradients no copy learns; with the `letters` of a vocabulary, counts are mixed
    in. Raises ConfigurationError for an option that the kernels refuse.
    """
    from ricorda.engine.session import kernel_errors, kernel_floats

    weights = {name: kernel_floats(tensors[name]) for name in configuration.tensor_shapes()}
    factors = gradient_factors(sizes) if sizes else {}
    with kernel_errors():
        return _kernels.AdaptiveReader(
            network,
            parameters=[
                (each.ravel(), factors.get(name, np.zeros_like(each)).ravel())
                for name, each in weights.items()
            ],
            rates=list(RATES) if sizes else [],
            pull=PULL,
            segment=SEGMENT,
            precision=precision,
            threads=threads,
            letters=letters,
            table_bits=TABLE_BITS,
        )


def letters_of(vocabulary: Vocabulary) -> NDArray[np.uint32]:
    """Return for each symbol (V,) 0, or for a letter a number that both its cases share.

    Words are made of letters. Every byte above 127 counts as one; pieces and words are none.
    """
    letters = np.zeros(vocabulary.size, np.uint32)
    if isinstance(vocabulary, CharacterVocabulary):
        found = [ord(each.lower()[0]) if each.isalpha() else 0 for each in vocabulary.symbols]
        letters[: len(found)] = found
    elif isinstance(vocabulary, ByteVocabulary):
        letters[:256] = letters_of_bytes()
    return letters


def letters_of_bytes() -> NDArray[np.uint32]:
    """Return the same for the bytes (256,)."""
    numbers = np.arange(256, dtype=np.uint32)
    ascii_letters = (numbers | 32) - ord("a") < 26
    return np.where(ascii_letters, numbers | 32, numbers * (numbers >= 128)).astype(np.uint32)


def segments_for(symbols_seen: int) -> int:
    """Return how many segments to measure gradients on: a fiftieth of what training has read."""
    return max(LEAST_SEGMENTS, min(MOST_SEGMENTS, symbols_seen // (50 * SEGMENT)))


def gradient_factors(sizes: GradientSizes) -> dict[str, NDArray[np.float32]]:
    """Return what a gradient is multiplied by: 1 / (root mean square + FLOOR times their mean).

    Only operations that are rounded in the same way everywhere are used: archives depend on it.
    """
    table = [_EIGHTHS[byte % 8] * 2.0 ** (byte // 8 - 32) for byte in range(256)]
    counts = np.zeros(256, np.int64)
    for each in sizes.values():
        counts += np.bincount(each.ravel(), minlength=256)
    mean = 0.0
    for value, count in zip(table, counts.tolist(), strict=True):
        mean += value * count
    mean /= int(counts.sum())
    factors = np.array([1 / (value + FLOOR * mean) for value in table], np.float32)
    return {name: factors[each] for name, each in sizes.items()}


def gather_gradient_sizes(
    configuration: ModelConfiguration,
    tensors: Mapping[str, Array],
    part: Part,
    segments: int = MOST_SEGMENTS,
) -> GradientSizes | None:
    """Measure the root mean square of each weight's gradient over segments spread over a part.

    None where the part is too short for a segment, or the kernels are not built.
    """
    if _kernels is None or len(part) <= SEGMENT:
        return None
    gradients = _SegmentGradients(configuration, tensors)
    squares = np.zeros(configuration.parameters, np.float32)
    counted = 0
    last = max(0, len(part) - 1 - SEGMENTS_IN_A_ROW * SEGMENT)
    for begin in np.linspace(0, last, max(1, segments // SEGMENTS_IN_A_ROW), dtype=int).tolist():
        end = min(len(part), begin + SEGMENTS_IN_A_ROW * SEGMENT + 1)
        ids, labels = part.read(begin, end), part.labels(begin, end)
        gradients.restart()
        for place in range(0, len(ids) - SEGMENT, SEGMENT):
            here = slice(place, place + SEGMENT)
            beside = None if labels is None else labels[here]
            gradient = gradients.read(ids[here], ids[place + 1 : place + SEGMENT + 1], beside)
            if place or len(ids) <= 2 * SEGMENT:
                squares += np.square(gradient, out=gradient)
                counted += 1
    return _as_bytes(configuration, np.sqrt(squares / counted))


class _SegmentGradients:
    """The gradients of segments of one stream, with the state carried between them."""

    def __init__(self, configuration: ModelConfiguration, tensors: Mapping[str, Array]) -> None:
        from ricorda.engine.native import shape_arguments
        from ricorda.engine.session import kernel_floats

        weights = [kernel_floats(tensors[name]).copy() for name in configuration.tensor_shapes()]
        zeros = np.zeros(max(each.size for each in weights), np.float32)  # stay so: below
        moments = [zeros[: each.size].reshape(each.shape) for each in weights]
        self._learner = _kernels.Learner(
            **shape_arguments(configuration),
            parameters=[
                (each, moment, moment, None) for each, moment in zip(weights, moments, strict=True)
            ],
            streams=1,
            steps=SEGMENT,
        )
        parts = configuration.num_layers * configuration.state_parts
        self._state = [np.zeros((1, configuration.hidden_size), np.float32) for _ in range(parts)]
        self._gradient = np.empty(configuration.parameters, np.float32)
        self._nothing = np.zeros(configuration.parameters, np.float32)

    def restart(self) -> None:
        for part in self._state:
            part[...] = 0

    def read(self, inputs: Ids, targets: Ids, labels: Ids | None) -> NDArray[np.float32]:
        first, following = (
            np.ascontiguousarray(each[np.newaxis], np.uint32) for each in (inputs, targets)
        )
        given: dict[str, Any] = {}
        if labels is not None:
            given["labels"] = np.ascontiguousarray(labels[np.newaxis], np.uint32)
        self._learner.gradients(first, following, self._state, None, self._gradient, **given)
        # a step with a gradient of zero carries the state and changes neither weights nor moments
        self._learner.apply(self._state, self._nothing, learning_rate=0.0, number=1)
        return self._gradient


def _as_bytes(configuration: ModelConfiguration, flat: NDArray[np.float32]) -> GradientSizes:
    """Round root mean squares (P,) to bytes, by tensor."""
    with np.errstate(divide="ignore"):
        rounded = np.clip(np.rint((np.log2(flat) + 32) * 8), 0, 255).astype(np.uint8)
    sizes: GradientSizes = {}
    begin = 0
    for name, shape in configuration.tensor_shapes().items():
        end = begin + int(np.prod(shape))
        sizes[name] = rounded[begin:end].reshape(shape)
        begin = end
    return sizes
