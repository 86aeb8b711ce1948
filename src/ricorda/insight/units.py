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
from ricorda.engine.sampling import finite
from ricorda.errors import ConfigurationError, TextError
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile
from ricorda.text.prompts import read_prompt
from ricorda.text.unseen import KnownText, Unseen

Text: TypeAlias = str | Ids | KnownText
"""Characters, the ids of a vocabulary, or ids with the characters that were left out."""

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

    Warns of these in a `str`; raises TextError if nothing is left.
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
        raise TextError("expected a text of at least one symbol that the model knows, got none")
    return known


def known_ids(model: Model | ModelFile, text: Text) -> Ids:
    """Return the ids (T,) of `known_text`."""
    return known_text(model, text).ids


@checked
def read_activations(model: Model, text: Text) -> Iterator[Block]:
    """Read a text from a zero state and hand out every activation, a bounded block at a time.

    Raises TextError for a text without a known symbol, ModelFileError if the state overflows.
    """
    ids = known_ids(model, text)
    begin = 0
    for arrays in traced(model.backend, ids):
        finite(arrays["hidden"][-1])  # a state that overflowed stays so
        yield Block(begin, arrays)
        begin += len(arrays["hidden"])


@checked
def unit_activity(
    model: Model, text: Text, units: Sequence[Unit], name: str = "hidden"
) -> Activity:
    """Tell what a few units did over a text of any length: (T, U), float32.

    `name` is a state or gate that `Model.trace` returns for the model's cell, such as `hidden` or
    `update_gate`. Raises ConfigurationError for a unit or a name that the network does not have.
    """
    layers = [unit.checked(model.configuration).layer for unit in units]
    numbers = [unit.number for unit in units]
    ids = known_ids(model, text)
    found = np.empty((len(ids), len(units)), np.float32)
    for block in read_activations(model, ids):
        if name not in block.arrays:
            raise ConfigurationError(
                f"expected one of {', '.join(block.arrays)} of a {model.configuration.cell}, "
                f"got {name!r}"
            )
        array = block.arrays[name][:, layers, numbers]
        found[block.begin : block.begin + len(array)] = array
    return found
