"""A trained model with everything it can do."""

import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack, cast, overload

import numpy as np

from ricorda.arguments import checked
from ricorda.arguments import path as argument_path
from ricorda.engine.adaptive import AdaptiveBackend, GradientSizes
from ricorda.engine.backend import Array, Backend, Ids, ScoringBackend
from ricorda.engine.choice import make_backend
from ricorda.engine.chunks import read
from ricorda.engine.classification import (
    LABEL_COUNTS,
    AccuracyMeasurement,
    Classification,
    Prior,
    classify_documents,
    log_prior,
)
from ricorda.engine.constraints import constraint_of
from ricorda.engine.display.cards import chances_card, chances_words, model_card, model_words
from ricorda.engine.display.heat_map import heat_map
from ricorda.engine.documents import document_figures, evaluate_documents
from ricorda.engine.embedding import Embedding, Vector, VectorKind, embed_documents, vector_size
from ricorda.engine.encoding import (
    CHARACTERS_AT_ONCE,
    DocumentText,
    TextEncoder,
    TextOrDocuments,
)
from ricorda.engine.generation import (
    ENDLESS,
    LONGEST_DOCUMENT,
    LONGEST_TEXT,
    Generation,
    GenerationSettings,
    Length,
    Prompt,
)
from ricorda.engine.keywords import GenerationKeywords, SamplingKeywords
from ricorda.engine.labels import label_number
from ricorda.engine.sampling import (
    Probabilities,
    SamplingSettings,
    distribution,
    drawn_seed,
    most_likely_first,
)
from ricorda.engine.scoring import Figures, Scores, evaluate, score
from ricorda.engine.texts import Order, Texts
from ricorda.errors import ConfigurationError, TextError, UnseenCharactersWarning
from ricorda.frames import Library, frame
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, write_model_file
from ricorda.pages import plural
from ricorda.signatures import names_of, shows_options
from ricorda.text.parts import Part
from ricorda.text.prompts import read_prompt
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.unseen import Unseen
from ricorda.text.vocabulary import OnUnknown, Vocabulary
from ricorda.validation import validated


@dataclass(frozen=True, eq=False)
class Distribution:
    """How likely each symbol is to come next."""

    symbols: tuple[str, ...]
    """The V symbols as a person may read them, line ends and odd bytes spelled out."""

    probabilities: Probabilities
    """Their probabilities, (V,), with a sum of 1."""

    def __repr__(self) -> str:
        return f"<ricorda.Distribution: {chances_words(self.most_likely(3))}, ...>"

    def _repr_html_(self) -> str:
        return chances_card("Next symbol", "", self.most_likely(10))

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

    def __repr__(self) -> str:
        length, layers, units = self._shown.shape
        shape = (plural(length, "symbol"), plural(layers, "layer"), plural(units, "unit"))
        return f"<ricorda.Trace: {', '.join(self.arrays)}; each {' x '.join(shape)}>"

    def _repr_html_(self) -> str:
        return heat_map(self.symbols, self._name, self._shown)

    @property
    def _name(self) -> str:
        """The array that is shown unless another one is asked for."""
        return "hidden" if "hidden" in self.arrays else next(iter(self.arrays))

    @property
    def _shown(self) -> Array:
        return self.arrays[self._name]

    @checked
    def to_frame(self, library: Library = "pandas", name: str | None = None) -> Any:
        """Return one of the arrays as a table for pandas or polars, with a row for each symbol.

        Its columns are `symbol` and one for each unit, such as `0:17`: unit 17 of layer 0. By
        default it is the array `hidden`.

        Raises MissingExtra if the library is not installed, KeyError for an unknown name.
        """
        array = self.arrays[self._name if name is None else name]
        _, layers, units = array.shape
        columns: dict[str, Any] = {"symbol": list(self.symbols)}
        for layer, unit in itertools.product(range(layers), range(units)):
            columns[f"{layer}:{unit}"] = array[:, layer, unit]
        return frame(columns, library)

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


SAMPLING, GENERATION = names_of(SamplingSettings), names_of(GenerationSettings)


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
        gradient_sizes: GradientSizes | None = None,
    ) -> None:
        """Put together the network's shape, its symbols, its arithmetic and where it came from.

        gradient_sizes: those of a model file, for adaptive reading.
        """
        self.configuration = configuration
        self.vocabulary = vocabulary
        self.backend = backend
        self.training = dict(training or {})
        self.gradient_sizes = gradient_sizes
        """How large gradients were in training, which adaptive reading needs; None: not known."""
        self.reading = ReadingSettings.from_training(self.training, vocabulary)
        """How training read its text, and how every text given to this model is read."""

    def __repr__(self) -> str:
        return f"<ricorda.Model: {model_words(self)}>"

    def _repr_html_(self) -> str:
        return model_card(self)

    @property
    def _encoder(self) -> TextEncoder:
        """What encodes texts by the present `reading`, which may be set."""
        return TextEncoder(self.vocabulary, self.reading)

    @property
    def parameters(self) -> int:
        """How many numbers it learned."""
        return self.configuration.parameters

    @overload
    def generate(
        self,
        prompt: str | bytes = "",
        *,
        length: Length | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        label: str | None = None,
        count: None = None,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> str: ...

    @overload
    def generate(
        self,
        prompt: str | bytes = "",
        *,
        length: Length | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        label: str | None = None,
        count: int,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> list[str]: ...

    @shows_options(SamplingSettings, SAMPLING)
    @checked
    def generate(
        self,
        prompt: str | bytes = "",
        *,
        length: Length | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        label: str | None = None,
        count: int | None = None,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> str | list[str]:
        """Continue a prompt; the result is the continuation alone, or a list of `count` of them.

        Without a prompt a document begins, or, in a model of an undivided text, a line. A document
        ends by itself, or at `length` symbols, by default 4000; an undivided text has 200. It also
        ends before the first `stop` string. `label` is the label of the document. The same `seed`
        writes the same text.

        Raises ConfigurationError for an option that is unknown or out of range, VocabularyError for
        an unknown character if `on_unknown` is "error". With "skip" the network does not read such
        a character, and UnseenCharactersWarning names it.
        """
        options: dict[str, Any] = {
            **sampling,
            "length": length,
            "seed": seed,
            "stop": stop,
            "label": label,
            "on_unknown": on_unknown,
        }
        if count is None:
            return self.begin(prompt, **options).text()
        return [written.text for written in self.begin_many([prompt], count=count, **options)]

    @shows_options(GenerationSettings, GENERATION)
    @checked
    def generate_many(
        self,
        prompts: Iterable[str | bytes],
        *,
        count: int | None = 1,
        **options: Unpack[GenerationKeywords],
    ) -> list[str]:
        """Continue many prompts side by side; each result is what `generate` gives for the prompt.

        The options are those of `generate`. With a `count`, that many texts follow each other for
        each prompt. Without a seed one is drawn, which all prompts share.
        """
        return [written.text for written in self.begin_many(prompts, count=count, **options)]

    @shows_options(GenerationSettings, GENERATION)
    @checked
    def begin_many(
        self,
        prompts: Iterable[str | bytes],
        *,
        count: int | None = 1,
        **options: Unpack[GenerationKeywords],
    ) -> Texts:
        """Check the options, fields of GenerationSettings, and begin `count` texts for each prompt.

        Iterate over the object for the texts, in order. Text n of a prompt has the `stream_index`
        n; with None for `count` they are endless. Prompts are read while texts are written, and
        unknown characters in them are reported then.
        """
        if count is not None and count < 0:
            raise ConfigurationError(f"count must be at least 0, got {count}")
        settings = self._generation_settings(options)
        settings = replace(settings, seed=drawn_seed(settings.seed))
        assert settings.seed is not None
        orders = self._orders(prompts, count, settings)
        return Texts(self.backend, self.vocabulary, orders, settings.seed)

    def _orders(
        self, prompts: Iterable[str | bytes], count: int | None, settings: GenerationSettings
    ) -> Iterator[Order]:
        first = settings.stream_index
        for number, given in enumerate(prompts):
            text = self.read_prompt(self._encoder.text(given))
            prompt = self._prompt(text, settings, stacklevel=3)
            shown = "" if prompt.start is not None else text
            indices = itertools.count(first) if count is None else range(first, first + count)
            for index in indices:
                own = settings if index == first else replace(settings, stream_index=index)
                yield Order(number, shown, prompt, own)

    @shows_options(SamplingSettings, SAMPLING)
    @checked
    def stream(
        self,
        prompt: str | bytes = "",
        *,
        length: Length | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        label: str | None = None,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> Iterator[str]:
        """Continue a prompt piece by piece, as it is written; otherwise as `generate`."""
        generation = self.begin(
            prompt,
            length=length,
            seed=seed,
            stop=stop,
            label=label,
            on_unknown=on_unknown,
            **sampling,
        )
        return (piece.text for piece in generation)

    @shows_options(GenerationSettings, GENERATION)
    @checked
    def begin(self, prompt: str | bytes = "", **options: Unpack[GenerationKeywords]) -> Generation:
        """Check the options, fields of GenerationSettings, and begin to continue a prompt.

        The object yields pieces with their symbols, and has the seed that was drawn, the characters
        of the prompt that were left out, and why the text ended.
        """
        settings = self._generation_settings(options)
        read_as_trained = self.read_prompt(self._encoder.text(prompt))
        generation = Generation(self.backend, self.vocabulary, read_as_trained, settings)
        for note in generation.notes:
            warnings.warn(note, UnseenCharactersWarning, stacklevel=3)
        return generation

    def _generation_settings(self, options: Mapping[str, Any]) -> GenerationSettings:
        """Check options; a length that is not given is that of the model's kind of text."""
        given = dict(options)
        if given.get("length") is None:
            divided = self.vocabulary.boundary is not None
            given["length"] = LONGEST_DOCUMENT if divided else LONGEST_TEXT
        elif given["length"] == "inf":
            given["length"] = ENDLESS
        settings = validated(GenerationSettings, **given)
        if not settings.stop:
            return settings
        stops = tuple(self.read_prompt(stop, drop_mark=False) for stop in settings.stop)
        return replace(settings, stop=stops)

    def _prompt(self, text: str, settings: GenerationSettings, *, stacklevel: int) -> Prompt:
        """Encode a prompt, read as training read its text, and warn of what is left out of it."""
        found = Prompt.of(self.vocabulary, text, settings)
        for note in found.notes:
            warnings.warn(note, UnseenCharactersWarning, stacklevel=stacklevel + 1)
        return found

    @checked
    def read_prompt(self, text: str, *, drop_mark: bool = True) -> str:
        """Return a text as training would have read it: line ends, Unicode form, no leading BOM."""
        return read_prompt(text, self.vocabulary, self.reading, drop_mark=drop_mark)

    @shows_options(SamplingSettings, SAMPLING)
    @checked
    def distribution(
        self,
        prompt: str | bytes = "",
        *,
        label: str | None = None,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> Distribution:
        """Return the probabilities from which `generate`, with the same options, draws the next
        symbol.

        The model's own probabilities are those at `temperature=1`.
        """
        settings = validated(SamplingSettings, **sampling)
        given = GenerationSettings(label=label, on_unknown=on_unknown)
        found = self._prompt(self.read_prompt(self._encoder.text(prompt)), given, stacklevel=3)
        ids = found.ids
        constraint = constraint_of(settings, self.vocabulary, ids.tolist())
        permitted = None
        if constraint is not None:
            permitted = constraint.permitted(constraint.start, self.vocabulary.size)
        labels = np.full(len(ids), found.label) if found.label else None
        logits, _ = read(self.backend, ids, labels=labels)
        recent = ids[-settings.repetition_window :].tolist()
        probabilities = distribution(logits, settings, recent, permitted)
        return Distribution(self._labels(range(self.vocabulary.size)), probabilities)

    @checked
    def adapt(
        self,
        text: TextOrDocuments,
        *,
        on_unknown: OnUnknown = "error",
    ) -> "Model":
        """Read a text as `evaluate` does, learning from it, and return a model that has learned.

        This model is not changed. The other may be saved, used as any model, and adapted again.

        Raises as `evaluate` does, and ConfigurationError for a model without `gradient_sizes` or an
        engine without the compiled kernels.
        """
        backend = self.adaptive_backend(counts=False)
        unseen = Unseen()
        self._evaluated(backend, text, None, on_unknown, unseen)
        unseen.warn("the text", stacklevel=2)
        engine = make_backend(
            self.configuration, backend.weights(), backend.precision, threads=backend.threads
        )
        training = self.training | {"adapted": True}
        return Model(self.configuration, self.vocabulary, engine, training, self.gradient_sizes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, whole or not at all; `load` reads it.

        Raises OSError if the disk refuses, ConfigurationError for an engine that keeps no tensors.
        """
        tensors = {
            name: np.asarray(tensor, np.float32) for name, tensor in self.backend.tensors.items()
        }
        write_model_file(
            argument_path("path", path),
            ModelFile(
                self.configuration, self.vocabulary, tensors, self.training, self.gradient_sizes
            ),
        )

    def adaptive_backend(self, *, counts: bool = True) -> AdaptiveBackend:
        """Begin to read a text, or documents one after the other, and to learn from them.

        `counts`: mix in counts of what was read, which are no part of a network.

        Raises ConfigurationError for a model without `gradient_sizes` or an engine without the
        compiled kernels.
        """
        if self.gradient_sizes is None:
            raise ConfigurationError(
                "the model file lacks the gradient sizes that adaptive reading needs: "
                "`ricorda resume` of its run adds them, as does training again"
            )
        vocabulary = self.vocabulary if counts else None
        return AdaptiveBackend(self.backend, self.gradient_sizes, vocabulary)

    @checked
    def score(
        self,
        text: str | bytes | Ids | Iterable[str | bytes | Ids],
        alternatives: int = 0,
        *,
        label: str | None = None,
        on_unknown: OnUnknown = "error",
        adaptive: bool = False,
    ) -> Scores:
        """Return the surprisal of each symbol of a text, and the symbols that were more likely.

        For a model of documents the text is one document: its first symbol is predicted, and its
        end, which comes last. `label` is the label under which it is read. `adaptive`: to a reader
        that learns from what it has read; see `ricorda.engine.adaptive`.

        Raises TextError for an empty text, VocabularyError for an unknown character unless it is
        to be skipped, ConfigurationError for an unknown label.
        """
        pieces = [text] if isinstance(text, str | bytes | np.ndarray) else text
        number = label_number(self.vocabulary, label)
        unseen = Unseen()
        ids = self._encoder.encode(pieces, on_unknown, unseen)
        backend = self.adaptive_backend() if adaptive else self.backend
        scores = score(backend, self.vocabulary, ids, alternatives, unseen.gaps, label=number)
        unseen.warn("the text", stacklevel=2)
        return replace(scores, adaptive=adaptive)

    @checked
    def score_documents(
        self,
        documents: Iterable[DocumentText],
        *,
        on_unknown: OnUnknown = "error",
        adaptive: bool = False,
    ) -> Iterator[Figures]:
        """Yield the figures of each document, in order; many are read side by side.

        `adaptive`: to a reader that learns from the documents before.

        A document is a text, or a pair of a text and the label under which it is read. Its nats
        include its first symbol and its end. The documents may exceed memory. With "skip", a
        document's `unseen` and `gaps` say which of its characters the model never saw.

        Raises ConfigurationError for a model of an undivided text or an unknown label,
        VocabularyError for an unknown character unless it is to be skipped.
        """
        self._check_divided()
        encoded = self._encoder.documents(documents, on_unknown, Unseen())
        if adaptive:
            backend = self.adaptive_backend()
            found = document_figures(backend, self.vocabulary, encoded, in_order=True)
            return (replace(figures, protocol="adaptive") for figures in found)
        return document_figures(self.backend, self.vocabulary, encoded)

    @checked
    def classify(
        self,
        text: str | bytes | Ids,
        *,
        prior: Prior = "training",
        on_unknown: OnUnknown = "error",
    ) -> Classification:
        """Return the probability of each label for a document.

        `prior`: the labels' probabilities before the document is read, as in the training documents
        or all the same.

        Raises ConfigurationError for a model without labels, VocabularyError for an unknown
        character unless it is to be skipped.
        """
        unseen = Unseen()
        pair = (text, None)
        (found,) = self._classified([pair], prior, on_unknown, unseen)
        unseen.warn("the text", stacklevel=2)
        return found

    @checked
    def classify_documents(
        self,
        documents: Iterable[DocumentText],
        *,
        prior: Prior = "training",
        on_unknown: OnUnknown = "error",
    ) -> Iterator[Classification]:
        """Classify many documents side by side, in order; otherwise as `classify`."""
        return self._classified(documents, prior, on_unknown, Unseen())

    def _classified(
        self,
        documents: Iterable[DocumentText],
        prior: Prior,
        on_unknown: OnUnknown,
        unseen: Unseen,
    ) -> Iterator[Classification]:
        logarithms = log_prior(self.vocabulary, self.training, prior)
        encoded = self._encoder.documents(documents, on_unknown, unseen)
        return classify_documents(self.backend, self.vocabulary, encoded, logarithms)

    @checked
    def embed(
        self,
        texts: str | bytes | Ids | Iterable[DocumentText],
        *,
        vector: VectorKind = "hidden",
        normalize: bool = False,
        on_unknown: OnUnknown = "error",
    ) -> Vector:
        """Return a vector for each text, (N, D): the state of the network after its last symbol.

        `vector` says which part: the `hidden` state of the last layer, those of all `layers`, or
        the whole `state`, which has the cell states of an LSTM or CIFG too. `normalize` gives each
        vector the length 1.

        Each text is read by itself, in a model of documents after the boundary; a pair of a text
        and a label is read under the label. The vector of an empty text is the state before a
        first symbol, of an undivided text zeros. Many are read side by side, with the same result.

        Raises VocabularyError for an unknown character unless it is to be skipped,
        ConfigurationError for an unknown label.
        """
        several = [texts] if isinstance(texts, str | bytes | np.ndarray) else texts
        unseen = Unseen()
        encoded = self._encoder.documents(several, on_unknown, unseen)
        found = embed_documents(self.backend, encoded, vector, normalize=normalize)
        vectors = [each.vector for each in found]
        unseen.warn("the texts", stacklevel=2)
        size = vector_size(self.configuration, vector)
        return np.stack(vectors) if vectors else np.empty((0, size), np.float32)

    @checked
    def embed_documents(
        self,
        documents: Iterable[DocumentText],
        *,
        vector: VectorKind = "hidden",
        normalize: bool = False,
        on_unknown: OnUnknown = "error",
    ) -> Iterator[Embedding]:
        """Yield the vector of each document, in order, and what was left out; otherwise as `embed`.

        The documents may exceed memory.
        """
        encoded = self._encoder.documents(documents, on_unknown, Unseen())
        return embed_documents(self.backend, encoded, vector, normalize=normalize)

    @checked
    def evaluate(
        self,
        text: TextOrDocuments,
        window: int | None = None,
        *,
        on_unknown: OnUnknown = "error",
        adaptive: bool = False,
    ) -> Figures:
        """Measure how well a text is predicted: nats and bits per character, bits per byte.

        `adaptive`: by a reader that learns from what it has read, which is a protocol of its own;
        see `ricorda.engine.adaptive`.

        For a model of an undivided text: the text, or the pieces of a text that need not fit in
        memory, as characters, UTF-8 or ids. For a model of documents: a document, or many, each a
        text or a pair of a text and its label; if there are labels, `accuracy` says how often the
        most likely label is the document's own. See `ricorda.engine.scoring` for the protocols.

        Raises TextError for a text of less than two symbols or invalid UTF-8, VocabularyError for
        an unknown character unless it is to be skipped, ConfigurationError for a window in a model
        of documents.
        """
        unseen = Unseen()
        backend = self.adaptive_backend() if adaptive else self.backend
        if adaptive and window is not None:
            raise ConfigurationError("adaptive reading carries its state: leave the window out")
        figures = self._evaluated(backend, text, window, on_unknown, unseen)
        unseen.warn("the text", stacklevel=2)
        return replace(figures, protocol="adaptive") if adaptive else figures

    def _evaluated(
        self,
        backend: ScoringBackend,
        text: TextOrDocuments,
        window: int | None,
        on_unknown: OnUnknown,
        unseen: Unseen,
    ) -> Figures:
        if self.vocabulary.boundary is None:
            return self._evaluate_undivided(backend, text, window, on_unknown, unseen)
        if window is not None:
            raise ConfigurationError(
                "a window is for a model of an undivided text, but this one reads each document "
                "from its beginning: leave it out"
            )
        figures = self._evaluate_documents(backend, text, on_unknown, unseen)
        return replace(figures, gaps=tuple(unseen.first))

    def _evaluate_undivided(
        self,
        backend: ScoringBackend,
        text: TextOrDocuments,
        window: int | None,
        on_unknown: OnUnknown,
        unseen: Unseen,
    ) -> Figures:
        pieces: Iterable[Any]
        if isinstance(text, Part):
            pieces = text.blocks(CHARACTERS_AT_ONCE)
        else:
            several = [text] if isinstance(text, str | bytes | np.ndarray) else text
            pieces = cast("Iterable[Any]", several)
        ids = self._encoder.pieces(pieces, on_unknown, unseen)
        return evaluate(backend, self.vocabulary, ids, window, unseen)

    def _evaluate_documents(
        self,
        backend: ScoringBackend,
        text: TextOrDocuments,
        on_unknown: OnUnknown,
        unseen: Unseen,
    ) -> Figures:
        documents = self._encoder.documents_of(text, on_unknown, unseen)
        in_order = backend is not self.backend
        if in_order or not self.vocabulary.labels:
            return evaluate_documents(backend, self.vocabulary, documents, in_order=in_order)
        prior: Prior = "training" if LABEL_COUNTS in self.training else "uniform"
        logarithms = log_prior(self.vocabulary, self.training, prior)
        measurement = AccuracyMeasurement(self.backend, self.vocabulary, logarithms)
        passing = measurement.passing(documents)
        figures = evaluate_documents(self.backend, self.vocabulary, passing)
        accuracy = measurement.accuracy
        return replace(figures, accuracy=accuracy) if accuracy.documents else figures

    @checked
    def trace(self, text: str | bytes, *, on_unknown: OnUnknown = "error") -> Trace:
        """Show every state and gate, (T, L, H), after each symbol of a text.

        Raises TextError for an empty text, VocabularyError for an unknown character unless it is
        to be skipped.
        """
        unseen = Unseen()
        ids = unseen.encode(self.vocabulary, self.read_prompt(self._encoder.text(text)), on_unknown)
        unseen.warn("the text", stacklevel=2)
        if len(ids) == 0:
            raise TextError("expected a text of at least one symbol that the model knows, got none")
        skipped = 0 if self.vocabulary.boundary is None else 1
        read = np.concatenate([np.full(skipped, self.vocabulary.start, np.uint32), ids])
        arrays, _ = self.backend.trace(read, self.backend.zero_state(1))
        arrays = {name: array[skipped:] for name, array in arrays.items()}
        return Trace(self._labels(ids.tolist()), arrays)

    def _check_divided(self) -> None:
        """Raise ConfigurationError for a model of an undivided text."""
        if self.vocabulary.boundary is None:
            raise ConfigurationError(
                "the model learned one undivided text, not documents: score the text as a whole, "
                "or train a model with --documents lines or files"
            )

    def _labels(self, ids: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.vocabulary.label(symbol) for symbol in ids)
