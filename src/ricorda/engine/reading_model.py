"""A trained model as far as it reads texts: evaluates, scores, classifies, embeds, traces."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ricorda.arguments import checked
from ricorda.engine.adaptive import AdaptiveBackend, GradientSizes
from ricorda.engine.backend import Backend, Ids, ScoringBackend
from ricorda.engine.classification import (
    LABEL_COUNTS,
    AccuracyMeasurement,
    Classification,
    Prior,
    classify_documents,
    log_prior,
)
from ricorda.engine.documents import document_figures, evaluate_documents
from ricorda.engine.embedding import Embedding, Vector, VectorKind, embed_documents, vector_size
from ricorda.engine.encoding import (
    CHARACTERS_AT_ONCE,
    DocumentText,
    TextEncoder,
    TextOrDocuments,
)
from ricorda.engine.labels import label_number
from ricorda.engine.results import Trace
from ricorda.engine.scoring import Figures, Scores, evaluate, score
from ricorda.errors import ConfigurationError
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.parts import Part
from ricorda.text.prompts import read_prompt
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.unseen import Unseen, no_symbols_error
from ricorda.text.vocabulary import OnUnknown, Vocabulary


class ReadingModel:
    """A trained model as far as it reads texts; `Model` adds what it writes.

    Texts may be characters, UTF-8 or ids, and are read as training read its own.
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

    @property
    def _encoder(self) -> TextEncoder:
        """What encodes texts by the present `reading`, which may be set."""
        return TextEncoder(self.vocabulary, self.reading)

    @property
    def parameters(self) -> int:
        """How many numbers it learned."""
        return self.configuration.parameters

    @checked
    def read_prompt(self, text: str, *, drop_mark: bool = True) -> str:
        """Return a text as training would have read it: line ends, Unicode form, no leading BOM."""
        return read_prompt(text, self.vocabulary, self.reading, drop_mark=drop_mark)

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
            raise no_symbols_error()
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
