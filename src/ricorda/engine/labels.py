"""The labels of documents: a name to its number."""

import difflib
from collections.abc import Sequence

from ricorda.errors import ConfigurationError
from ricorda.text.unseen import quoted
from ricorda.text.vocabulary import Vocabulary

MOST_NEAR = 3


def label_number(vocabulary: Vocabulary, label: str | None) -> int:
    """Return the number of a label, 0 for None. Raises ConfigurationError for an unknown one."""
    if label is None:
        return 0
    check_labels(vocabulary)
    if label not in vocabulary.labels:
        raise ConfigurationError(
            f"the model has no label {label!r}: {_instead(label, vocabulary.labels)}"
        )
    return vocabulary.labels.index(label) + 1


def check_labels(vocabulary: Vocabulary) -> None:
    """Raise ConfigurationError for a model without labels."""
    if not vocabulary.labels:
        raise ConfigurationError(
            "the model has no labels: train one with --label-field or --label-from"
        )


def _instead(label: str, labels: Sequence[str]) -> str:
    """Say which labels are spelled alike, or some of those that there are."""
    by_lower_case = {each.lower(): each for each in reversed(labels)}
    near = difflib.get_close_matches(label.lower(), by_lower_case, n=MOST_NEAR)
    if near:
        return f"did you mean {' or '.join(repr(by_lower_case[each]) for each in near)}?"
    return f"it has {quoted(labels)}"
