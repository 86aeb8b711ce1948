"""A trained model with everything it can do, and how it is loaded."""

import importlib
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np

from ricorda.arguments import checked, unfit
from ricorda.arguments import path as argument_path
from ricorda.engine.backend import Array, Backend, Ids, Precision
from ricorda.engine.chunks import read
from ricorda.engine.constraints import constraint_of
from ricorda.engine.generation import Generation, GenerationSettings
from ricorda.engine.reference import ReferenceBackend
from ricorda.engine.sampling import Probabilities, SamplingSettings, distribution, most_likely_first
from ricorda.engine.scoring import Figures, Scores, evaluate, score
from ricorda.errors import ConfigurationError, TextError, UnseenCharactersWarning
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, read_model_file
from ricorda.text.decoding import StrictDecoder
from ricorda.text.prompts import PromptReader, read_prompt
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.unseen import Unseen
from ricorda.text.vocabulary import ByteVocabulary, OnUnknown, Vocabulary
from ricorda.validation import validated

BackendName = Literal["auto", "native", "numpy"]

MODEL_FILE_NAME = "model.safetensors"

CHARACTERS_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class Distribution:
    """How likely each symbol is to come next."""

    symbols: tuple[str, ...]
    """The V symbols as a person may read them, line ends and odd bytes spelled out."""

    probabilities: Probabilities
    """Their probabilities, (V,), with a sum of 1."""

    @checked
    def most_likely(self, count: int = 10) -> list[tuple[str, float]]:
        """List the most likely symbols and their probabilities, the most likely first."""
        order = most_likely_first(self.probabilities)[:count].tolist()
        return [(self.symbols[symbol], float(self.probabilities[symbol])) for symbol in order]


@dataclass(frozen=True, eq=False)
class Trace(Mapping[str, Array]):
    """The activations of all layers over a text, by name: `trace["hidden"]` is (T, L, H).

    The names are those of `Backend.trace`.
    """

    symbols: tuple[str, ...]
    """The T symbols as a person may read them, line ends and odd bytes spelled out."""

    arrays: dict[str, Array]
    """Each (T, L, H): the value of each unit after each symbol."""

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


@runtime_checkable
class InFolder(Protocol):
    """An object that has a folder with a model, such as a Run."""

    @property
    def folder(self) -> Path:
        """The folder."""


class Model:
    """A trained model: writes, scores and shows its inside.

    >>> model = ricorda.load("runs/my")
    >>> model.generate("Nel mezzo", length=200, temperature=0.8, seed=1)
    """

    def __init__(
        self,
        configuration: ModelConfiguration,
        vocabulary: Vocabulary,
        backend: Backend,
        training: Mapping[str, Any] | None = None,
    ) -> None:
        """Put together the network's shape, its symbols, its arithmetic and where it came from."""
        self.configuration = configuration
        self.vocabulary = vocabulary
        self.backend = backend
        self.training = dict(training or {})
        self.reading = ReadingSettings.from_training(self.training, vocabulary)
        """How training read its text, and how every text given to this model is read."""

    @property
    def parameters(self) -> int:
        """How many numbers it learned."""
        return self.configuration.parameters

    @checked
    def generate(
        self,
        prompt: str | bytes = "",
        *,
        length: int = 200,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        on_unknown: OnUnknown = "skip",
        **sampling: Any,
    ) -> str:
        """Continue a prompt; the result is the continuation alone.

        Without a prompt it starts from the vocabulary's start, usually a line end. `sampling` are
        the fields of SamplingSettings. Raises ConfigurationError for an option that is unknown or
        out of range, VocabularyError for an unknown character if `on_unknown` is "error". With
        "skip" the network does not read such a character, and UnseenCharactersWarning names it.
        """
        return self.begin(
            prompt, length=length, seed=seed, stop=stop, on_unknown=on_unknown, **sampling
        ).text()

    @checked
    def stream(
        self,
        prompt: str | bytes = "",
        *,
        length: int = 200,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        on_unknown: OnUnknown = "skip",
        **sampling: Any,
    ) -> Iterator[str]:
        """Continue a prompt piece by piece, as it is written; otherwise as `generate`."""
        generation = self.begin(
            prompt, length=length, seed=seed, stop=stop, on_unknown=on_unknown, **sampling
        )
        return (piece.text for piece in generation)

    @checked
    def begin(self, prompt: str | bytes = "", **options: Any) -> Generation:
        """Check the options, fields of GenerationSettings, and begin to continue a prompt.

        The object yields pieces with their symbols, and tells the seed that was drawn, which
        characters of the prompt were left out, and why the text ended.
        """
        settings = validated(GenerationSettings, **options)
        if settings.stop:
            stops = tuple(self.read_prompt(stop, drop_mark=False) for stop in settings.stop)
            settings = replace(settings, stop=stops)
        read_as_trained = self.read_prompt(self._text(prompt))
        generation = Generation(self.backend, self.vocabulary, read_as_trained, settings)
        for note in generation.notes:
            warnings.warn(note, UnseenCharactersWarning, stacklevel=3)
        return generation

    @checked
    def read_prompt(self, text: str, *, drop_mark: bool = True) -> str:
        """Return a text as training would have read it: line ends, Unicode form, no leading BOM."""
        return read_prompt(text, self.vocabulary, self.reading, drop_mark=drop_mark)

    @checked
    def distribution(
        self, prompt: str | bytes = "", *, on_unknown: OnUnknown = "skip", **sampling: Any
    ) -> Distribution:
        """Say what `generate`, with the same options, draws the next symbol from.

        The model's own probabilities are those at `temperature=1`.
        """
        settings = validated(SamplingSettings, **sampling)
        unseen = Unseen()
        read_as_trained = self.read_prompt(self._text(prompt))
        ids: Ids = unseen.encode(self.vocabulary, read_as_trained, on_unknown)
        unseen.warn("the prompt", stacklevel=2)
        if len(ids) == 0:
            ids = np.array([self.vocabulary.start])
        constraint = constraint_of(settings, self.vocabulary, ids.tolist())
        permitted = None
        if constraint is not None:
            permitted = constraint.permitted(constraint.start, self.vocabulary.size)
        logits, _ = read(self.backend, ids)
        recent = ids[-settings.repetition_window :].tolist()
        probabilities = distribution(logits, settings, recent, permitted)
        return Distribution(self._labels(range(self.vocabulary.size)), probabilities)

    @checked
    def score(
        self,
        text: str | bytes | Ids | Iterable[str | bytes | Ids],
        alternatives: int = 0,
        *,
        on_unknown: OnUnknown = "error",
    ) -> Scores:
        """Say how surprising each symbol of a text is, and which ones were likelier.

        Raises TextError for an empty text, VocabularyError for an unknown character unless it is
        to be skipped.
        """
        pieces = [text] if isinstance(text, str | bytes | np.ndarray) else text
        unseen = Unseen()
        known = list(self._encode_pieces(pieces, on_unknown, unseen))
        ids = np.concatenate(known) if known else self.vocabulary.encode("")
        scores = score(self.backend, self.vocabulary, ids, alternatives, unseen.gaps)
        unseen.warn("the text", stacklevel=2)
        return scores

    @checked
    def evaluate(
        self,
        text: str | bytes | Ids | Iterable[str | bytes | Ids],
        window: int | None = None,
        *,
        on_unknown: OnUnknown = "error",
    ) -> Figures:
        """Say how well a text is predicted: nats and bits per character, bits per byte.

        The text, or the pieces of a text that need not fit in memory, are characters, UTF-8 or
        ids. See `evaluate` in ricorda.engine.scoring for the two protocols. Raises TextError for a
        text of less than two symbols or invalid UTF-8, VocabularyError for an unknown character
        unless it is to be skipped.
        """
        pieces = [text] if isinstance(text, str | bytes | np.ndarray) else text
        unseen = Unseen()
        ids = self._encode_pieces(pieces, on_unknown, unseen)
        figures = evaluate(self.backend, self.vocabulary, ids, window, unseen)
        unseen.warn("the text", stacklevel=2)
        return figures

    @checked
    def trace(self, text: str | bytes, *, on_unknown: OnUnknown = "error") -> Trace:
        """Show every state and gate, (T, L, H), after each symbol of a text.

        Raises TextError for an empty text, VocabularyError for an unknown character unless it is
        to be skipped.
        """
        unseen = Unseen()
        ids = unseen.encode(self.vocabulary, self.read_prompt(self._text(text)), on_unknown)
        unseen.warn("the text", stacklevel=2)
        if len(ids) == 0:
            raise TextError("expected a text of at least one symbol that the model knows, got none")
        arrays, _ = self.backend.trace(ids, self.backend.zero_state(1))
        return Trace(self._labels(ids.tolist()), arrays)

    def _text(self, given: str | bytes) -> str:
        """A text of characters; bytes are UTF-8, or anything in a model of bytes."""
        if isinstance(given, str):
            return given
        if isinstance(self.vocabulary, ByteVocabulary):
            return given.decode("utf-8", "surrogateescape")
        return StrictDecoder("the text", "utf-8").decode(given, final=True)

    def _encode_pieces(
        self, pieces: Iterable[str | bytes | Ids], on_unknown: OnUnknown, unseen: Unseen
    ) -> Iterator[Ids]:
        """Turn a text, read as training read its own, into ids; record what is left out."""
        for piece in self._read_pieces(pieces):
            if isinstance(piece, str):
                yield unseen.encode(self.vocabulary, piece, on_unknown)
            else:
                unseen.symbols += len(piece)
                yield piece

    def _read_pieces(self, pieces: Iterable[str | bytes | Ids]) -> Iterator[str | Ids]:
        """Read the pieces of a text as training did; bytes for a model of bytes become ids."""
        by_bytes = isinstance(self.vocabulary, ByteVocabulary)
        utf8 = StrictDecoder("the text", "utf-8")
        text, data = (PromptReader(self.vocabulary, self.reading) for _ in range(2))
        for piece in pieces:
            if isinstance(piece, np.ndarray):
                yield text.read("", final=True)
                yield piece
            elif isinstance(piece, str):
                for begin in range(0, len(piece), CHARACTERS_AT_ONCE):
                    yield text.read(piece[begin : begin + CHARACTERS_AT_ONCE])
            elif not isinstance(piece, bytes):
                expected = "text, bytes or an array of whole numbers"
                raise unfit("a piece of the text", expected, piece)
            elif by_bytes:
                yield np.frombuffer(data.read_bytes(piece), np.uint8)
            else:
                yield text.read(utf8.decode(piece))
        if by_bytes:
            yield np.frombuffer(data.read_bytes(b"", final=True), np.uint8)
        yield text.read(utf8.decode(b"", final=True), final=True)

    def _labels(self, ids: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.vocabulary.label(symbol) for symbol in ids)


@checked
def load(
    path: str | bytes | os.PathLike[str] | Annotated[InFolder, "a run"],
    precision: Precision = "float32",
    backend: BackendName = "auto",
    *,
    threads: int | None = None,
) -> Model:
    """Load a trained model from its file, its run's folder or its Run; needs no PyTorch.

    float32 is the reference; `auto` is the fastest that loses less than 0.002 nats per symbol.
    threads: how many threads the kernels use, by default one for each core.

    Raises ModelFileError if the file is missing or damaged, ConfigurationError if the precision or
    the backend is not available.
    """
    return open_model(load_file(path), precision, backend, threads=threads)


@checked
def load_file(path: str | bytes | os.PathLike[str] | InFolder) -> ModelFile:
    """Read a model's file, or that of a run's folder, weights and all; `open_model` runs it.

    Raises ModelFileError if the file is missing or damaged.
    """
    place = argument_path("path", path.folder if isinstance(path, InFolder) else path)
    return read_model_file(place / MODEL_FILE_NAME if place.is_dir() else place)


@checked
def open_model(
    file: ModelFile,
    precision: Precision = "float32",
    backend: BackendName = "auto",
    *,
    threads: int | None = None,
) -> Model:
    """Make what a model file holds ready to run; otherwise as `load`."""
    engine = make_backend(file.configuration, file.tensors, precision, backend, threads=threads)
    return Model(file.configuration, file.vocabulary, engine, file.training)


@checked
def make_backend(
    configuration: ModelConfiguration,
    tensors: Mapping[str, Array],
    precision: Precision = "float32",
    backend: BackendName = "auto",
    *,
    threads: int | None = None,
) -> Backend:
    """Choose the engine for a network: the C++ kernels where they were built, else NumPy.

    Raises ConfigurationError if the precision or the backend is not to be had.
    """
    if backend != "numpy" and kernels_are_built():
        from ricorda.engine.native import NativeBackend

        return NativeBackend(configuration, tensors, precision, threads=threads)
    if backend == "native":
        raise ConfigurationError(
            "backend native needs the compiled kernels, which this installation lacks: "
            "reinstall ricorda where there is a C++ compiler, or give backend numpy"
        )
    if precision in ("bfloat16", "int8"):
        raise ConfigurationError(
            f"precision {precision} needs the compiled kernels, got the NumPy engine: "
            "give precision float32 or auto"
        )
    return ReferenceBackend(configuration, tensors)


def kernels_are_built() -> bool:
    """Say whether this installation has the C++ kernels."""
    try:
        importlib.import_module("ricorda._kernels")
    except ImportError:
        return False
    return True
