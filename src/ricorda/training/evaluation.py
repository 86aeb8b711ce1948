"""Evaluation during training: quick, on a fixed part of the validation text.

The figure that a run ends with is computed by the engine on the whole validation text, one
character after the other. Here the text is cut into segments that are read side by side. Each
begins with symbols that only warm the state up, so that the figure is close to the carried one; of
documents that begin in a segment or its warm-up it is exact, since their state starts from zero.
"""

import math
from dataclasses import dataclass

import numpy as np

from ricorda.engine import Model, make_backend
from ricorda.model import ModelFile
from ricorda.text import Part, Vocabulary
from ricorda.training.learner import Learner
from ricorda.training.process_group import ALONE, ProcessGroup

SEGMENTS = 32
LARGEST = 32 * 1024  # predictions; reading more would cost a short run too much of its time
WARM_UP = 128  # symbols read before the first that counts
SAMPLE_LENGTH = 200  # symbols
SAMPLE_DOCUMENTS = 25  # at most
SAMPLE_SEED = 1  # always the same, so that samples can be compared


@dataclass(frozen=True)
class EvaluationResult:
    """The validation losses of the weights and, if there is one, of their average."""

    raw: float | None
    """Mean nats per symbol of the weights themselves; None without a validation text."""

    averaged: float | None = None
    """The same of the averaged weights."""

    has_average: bool = False
    """Whether weights are averaged."""

    @property
    def averaged_is_better(self) -> bool:
        """Whether the average becomes the model; without a validation text, it does."""
        if not self.has_average or self.raw is None or self.averaged is None:
            return self.has_average
        return self.averaged < self.raw or math.isnan(self.raw)

    @property
    def nats_per_symbol(self) -> float | None:
        """The better figure."""
        return self.averaged if self.averaged_is_better else self.raw

    def figures(self, symbols_per_character: float) -> dict[str, float | None]:
        """Return the figures for metrics.jsonl; both where there are two."""
        losses = {"nats_per_character": self.nats_per_symbol}
        if self.has_average:
            losses["raw_nats_per_character"] = self.raw
            losses["averaged_nats_per_character"] = self.averaged
        return {
            name: None if nats is None else nats * symbols_per_character
            for name, nats in losses.items()
        }


class QuickEvaluation:
    """The mean nats per symbol of a learner's weights on a fixed sample of a part.

    group: the processes that divide its segments among them.
    """

    def __init__(self, part: Part, group: ProcessGroup = ALONE) -> None:
        predictions = len(part) - 1
        counted = min(predictions, LARGEST)
        segments = max(1, min(SEGMENTS, counted // WARM_UP))
        length = counted // segments
        warm_up = WARM_UP if segments > 1 else 0
        first = np.linspace(0, predictions - length, segments).astype(np.int64)
        start = np.maximum(first - warm_up, 0)  # the text's first segment has nothing before it
        places = start[:, None] + np.arange(warm_up + length + 1)
        places = np.minimum(places, len(part) - 1)
        symbols = part.rows(places.ravel(), 1).reshape(places.shape)
        labels = part.row_labels(places.ravel(), 1)
        counts = (places[:, 1:] > first[:, None]) & (
            places[:, 1:] <= first[:, None] + length
        )  # (segments, warm_up + length)
        self._predicted = symbols[:, 1:][counts]
        own = ProcessGroup.share(group, segments).rows  # some processes may have none
        self._group = group
        self._inputs, self._targets = symbols[own, :-1], symbols[own, 1:]
        self._labels = None if labels is None else labels.reshape(places.shape)[own, :-1]
        self._counts = counts[own]

    def symbols_per_character(self, vocabulary: Vocabulary) -> float:
        """Return the predicted symbols for each character: more than 1 for bytes and documents.

        The boundary after a document is predicted, and is no character.
        """
        return len(self._predicted) / max(1, vocabulary.count(self._predicted)[0])

    def nats_per_symbol(self, learner: Learner, *, averaged: bool = False) -> float:
        """Read the text with the learner's weights, or with their average."""
        total = 0.0
        if len(self._inputs):
            nats, _ = learner.score(
                self._inputs, self._targets, averaged=averaged, labels=self._labels
            )
            total = float(nats[self._counts].sum(dtype=np.float64))
        sums = np.array([total, self._counts.sum()], np.float64)
        self._group.all_reduce(sums)
        return float(sums[0] / sums[1])


def evaluate(learner: Learner, evaluation: QuickEvaluation | None) -> EvaluationResult:
    """Evaluate a learner's weights, and their average if there is one.

    evaluation: None without a validation text.
    """
    if evaluation is None:
        return EvaluationResult(None, has_average=learner.has_average)
    raw = evaluation.nats_per_symbol(learner)
    if not learner.has_average:
        return EvaluationResult(raw)
    averaged = evaluation.nats_per_symbol(learner, averaged=True)
    return EvaluationResult(raw, averaged, has_average=True)


def write_sample(file: ModelFile) -> str:
    """Return a text that the model writes from its start symbol, always with the same seed.

    Of documents these are several, as long as one text together: one a line, or with a blank line
    between those that have lines.
    """
    backend = make_backend(file.configuration, file.tensors)
    model = Model(file.configuration, file.vocabulary, backend, file.training)
    if file.vocabulary.boundary is None:
        return model.generate(length=SAMPLE_LENGTH, seed=SAMPLE_SEED)
    written: list[str] = []
    rest = SAMPLE_LENGTH
    while rest > 0 and len(written) < SAMPLE_DOCUMENTS:
        written.append(model.generate(length=rest, seed=SAMPLE_SEED + len(written)))
        rest -= len(written[-1]) + 1
    return ("\n\n" if any("\n" in text for text in written) else "\n").join(written)
