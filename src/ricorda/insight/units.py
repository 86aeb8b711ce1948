"""Units and what they did while a text was read, in memory that does not grow with the text."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.engine import Model
from ricorda.engine.backend import Array, Ids
from ricorda.engine.chunks import traced
from ricorda.engine.labels import label_number
from ricorda.engine.sampling import finite
from ricorda.errors import ConfigurationError
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile
from ricorda.text.prompts import read_prompt
from ricorda.text.unseen import Gap, KnownText, Unseen, no_symbols_error
from ricorda.text.vocabulary import Vocabulary, id_type

Text: TypeAlias = str | Ids | KnownText
"""Characters, the ids of a vocabulary, or ids with the characters that were left out.

A model of documents reads it as a document begins: a boundary is its first symbol, and is added
where it is missing. More boundaries in ids begin further documents.
"""

Activity: TypeAlias = NDArray[np.float32]


class Unit(NamedTuple):
    """One unit of a network; both numbers count from 0. Written `17`, or `1:17` in layer 1."""

    layer: int
    number: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.number}"

    @classmethod
    @checked
    def parse(cls, text: str) -> "Unit":
        """Read `17` (of layer 0) or `1:17`. Raises ConfigurationError for anything else."""
        found = re.fullmatch(r"(?:([0-9]{1,6}):)?([0-9]{1,6})", text.strip())
        if not found:
            raise ConfigurationError(
                f"expected a unit as its number, such as 17, or 1:17 for one of layer 1, "
                f"got {text!r}"
            )
        return cls(int(found[1] or 0), int(found[2]))

    def checked(self, configuration: ModelConfiguration) -> "Unit":
        """Hand back the unit. Raises ConfigurationError if the network has none of this number."""
        layers, units = configuration.num_layers, configuration.hidden_size
        if not (0 <= self.layer < layers and 0 <= self.number < units):
            raise ConfigurationError(
                f"expected a unit from 0:0 to {layers - 1}:{units - 1}, got {self}"
            )
        return self


class Block(NamedTuple):
    """What the units did over a part of a text."""

    begin: int
    """The position of its first symbol."""

    arrays: dict[str, Array]
    """Activations by name, each (T, L, H), after each symbol; the names of `Model.trace`."""


def known_text(model: Model | ModelFile, text: Text) -> KnownText:
    """Turn a text, read as in training, into ids and the characters that the model never saw.

    A text of documents begins with the boundary. Warns of unseen characters in a `str`; raises
    TextError if nothing is left.
    """
    if isinstance(text, str):
        unseen = Unseen()
        prompt = read_prompt(text, model.vocabulary, model.reading)
        ids = unseen.encode(model.vocabulary, prompt, "skip")
        if len(ids):
            unseen.warn("the text", stacklevel=3)
        text = KnownText(ids, tuple(unseen.gaps))
    known = text if isinstance(text, KnownText) else KnownText(text)
    if len(known.ids) == 0:
        raise no_symbols_error()
    return _begun(known, model.vocabulary)


def _begun(known: KnownText, vocabulary: Vocabulary) -> KnownText:
    """Put the boundary before a text of documents that does not begin with it."""
    boundary = vocabulary.boundary
    if boundary is None or known.ids[0] == boundary:
        return known
    ids = np.concatenate([[boundary], known.ids]).astype(id_type(vocabulary.size))
    return KnownText(ids, tuple(Gap(gap.before + 1, gap.characters) for gap in known.gaps))


def labels_of(model: Model | ModelFile, label: str | None, count: int) -> Ids | None:
    """Return the number of a label for each of some symbols, (count,); None for no label.

    Raises ConfigurationError if the model has no such label.
    """
    number = label_number(model.vocabulary, label)
    return np.full(count, number, np.uint32) if number else None


@checked
def read_activations(model: Model, text: Text, *, label: str | None = None) -> Iterator[Block]:
    """Read a text from a zero state and yield every activation, a bounded block at a time.

    label: that of its documents. Raises TextError for a text without a known symbol,
    ConfigurationError for an unknown label, ModelFileError if the state overflows.
    """
    ids = known_text(model, text).ids
    begin = 0
    for arrays in traced(model.backend, ids, labels=labels_of(model, label, len(ids))):
        finite(arrays["hidden"][-1])  # a state that overflowed stays so
        yield Block(begin, arrays)
        begin += len(arrays["hidden"])


@checked
def unit_activity(
    model: Model,
    text: Text,
    units: Sequence[Unit],
    name: str = "hidden",
    *,
    label: str | None = None,
) -> Activity:
    """Return what a few units did over a text of any length: (T, U), float32.

    `name` is a state or gate that `Model.trace` returns for the model's cell, such as `hidden` or
    `update_gate`; `label` is that of the text's documents. Raises ConfigurationError for a unit, a
    name or a label that the model does not have.
    """
    layers = [unit.checked(model.configuration).layer for unit in units]
    numbers = [unit.number for unit in units]
    ids = known_text(model, text).ids
    found = np.empty((len(ids), len(units)), np.float32)
    for block in read_activations(model, ids, label=label):
        if name not in block.arrays:
            raise ConfigurationError(
                f"expected one of {', '.join(block.arrays)} of a {model.configuration.cell}, "
                f"got {name!r}"
            )
        array = block.arrays[name][:, layers, numbers]
        found[block.begin : block.begin + len(array)] = array
    return found
