"""How often the most likely label of documents is their own."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Accuracy:
    """The accuracy over documents, and for each label."""

    counts: dict[str, tuple[int, int]]
    """For each label: how many documents have it, and for how many it is the most likely."""

    @property
    def documents(self) -> int:
        """How many documents have a label that the model knows."""
        return sum(count for count, _ in self.counts.values())

    @property
    def overall(self) -> float:
        """The share of documents whose label is found; NaN without documents."""
        found = sum(correct for _, correct in self.counts.values())
        return found / self.documents if self.documents else math.nan

    @property
    def mean_over_labels(self) -> float:
        """The mean of the labels' own accuracies, however many documents each has."""
        shares = [correct / count for count, correct in self.counts.values()]
        return sum(shares) / len(shares) if shares else math.nan

    def as_json(self) -> dict[str, Any]:
        """Give what `ricorda evaluate --json` prints."""
        return {
            "accuracy": self.overall,
            "mean_over_labels": self.mean_over_labels,
            "documents": self.documents,
            "labels": {
                label: {"documents": count, "accuracy": correct / count}
                for label, (count, correct) in self.counts.items()
            },
        }
