"""Which label explains a document best.

The probability of a label given a document is proportional to the label's prior times the
probability of the document, its end included, under that label (Bayes' rule).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np

from ricorda.arguments import checked
from ricorda.engine.accuracy import Accuracy
from ricorda.engine.backend import Backend
from ricorda.engine.display.cards import chances_card, chances_words
from ricorda.engine.documents import Document, scored_documents
from ricorda.engine.labels import check_labels
from ricorda.engine.sampling import Probabilities, log_softmax, most_likely_first
from ricorda.errors import ConfigurationError
from ricorda.text.unseen import Gap
from ricorda.text.vocabulary import Vocabulary

LABEL_COUNTS = "label_counts"
"""The entry of a model file's `ricorda.training`: how many training documents each label has, a
list in the order of the vocabulary's labels."""

DOCUMENTS_AT_ONCE = 256
"""Documents that are classified together while they pass."""

Prior = Literal["training", "uniform"]
"""How likely labels are before a document is read: as often as in training, or all the same."""


@dataclass(frozen=True, eq=False)
class Classification:
    """How likely each label is for one document."""

    labels: tuple[str, ...]
    """The labels of the model."""

    probabilities: Probabilities
    """Their probabilities, (K,), with a sum of 1."""

    nats: Probabilities
    """The surprisal of the document under each label, (K,)."""

    gaps: tuple[Gap, ...] = ()
    """The characters of the document that the model never saw. They are left out, with the
    character after them."""

    def __repr__(self) -> str:
        return f"<ricorda.Classification: {chances_words(self.most_likely(3))}>"

    def _repr_html_(self) -> str:
        return chances_card("Label", "", self.most_likely(10))

    @property
    def unseen(self) -> int:
        """How many characters the model never saw."""
        return sum(len(gap.characters) for gap in self.gaps)

    @property
    def label(self) -> str:
        """The most likely label."""
        return self.labels[int(most_likely_first(self.probabilities)[0])]

    @checked
    def most_likely(self, count: int = 3) -> list[tuple[str, float]]:
        """List the most likely labels and their probabilities, the most likely first."""
        order = most_likely_first(self.probabilities)[:count].tolist()
        return [(self.labels[place], float(self.probabilities[place])) for place in order]


def log_prior(vocabulary: Vocabulary, training: Mapping[str, Any], prior: Prior) -> Probabilities:
    """Return the logarithms of the labels' prior probabilities, (K,).

    A label without a document in the training part counts as one with a single document.
    Raises ConfigurationError for a model without labels or without their counts.
    """
    check_labels(vocabulary)
    number = len(vocabulary.labels)
    if prior == "uniform":
        return np.full(number, -np.log(number))
    counts = training.get(LABEL_COUNTS)
    is_list = isinstance(counts, list) and len(counts) == number
    if not is_list or not all(type(count) is int and count >= 0 for count in counts or ()):
        raise ConfigurationError(
            "the model does not record how many documents each label has: take a uniform prior"
        )
    expected = np.maximum(np.array(counts, np.float64), 1)
    found: Probabilities = np.log(expected / expected.sum())
    return found


def classify_documents(
    backend: Backend, vocabulary: Vocabulary, documents: Iterable[Document], prior: Probabilities
) -> Iterator[Classification]:
    """Yield the classification of each document, in order; `prior` comes from `log_prior`."""
    number = len(vocabulary.labels)
    under_each = (
        replace(document, label=label + 1) for document in documents for label in range(number)
    )
    scored = scored_documents(backend, vocabulary, under_each)
    while found := list(islice(scored, number)):
        nats = np.array([float(each[~np.isnan(each)].sum()) for _, each in found])
        probabilities = np.exp(log_softmax(prior - nats))
        yield Classification(vocabulary.labels, probabilities, nats, found[0][0].gaps)


class AccuracyMeasurement:
    """Classifies documents while they pass, and compares with their own labels."""

    def __init__(self, backend: Backend, vocabulary: Vocabulary, prior: Probabilities) -> None:
        """Measure with a prior from `log_prior`."""
        self._backend, self._vocabulary, self._prior = backend, vocabulary, prior
        self._counts = np.zeros((len(vocabulary.labels), 2), np.int64)

    def passing(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield the documents, in order; those without a label are not classified."""
        coming = iter(documents)
        while block := list(islice(coming, DOCUMENTS_AT_ONCE)):
            self._add([document for document in block if document.label])
            yield from block

    def _add(self, labelled: Sequence[Document]) -> None:
        found = classify_documents(self._backend, self._vocabulary, labelled, self._prior)
        for document, classification in zip(labelled, found, strict=True):
            own = document.label - 1
            self._counts[own] += 1, classification.label == self._vocabulary.labels[own]

    @property
    def accuracy(self) -> Accuracy:
        """The accuracy over the documents that passed."""
        rows = zip(self._vocabulary.labels, self._counts.tolist(), strict=True)
        return Accuracy({label: (count, found) for label, (count, found) in rows if count})
