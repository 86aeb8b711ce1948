"""The beginning of a TEXT as ids of a model's vocabulary."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ricorda.cli.texts import GivenReading, Skipped
from ricorda.engine import Model
from ricorda.engine.backend import Ids
from ricorda.errors import TextError
from ricorda.insight.units import Unit
from ricorda.text import ByteVocabulary

if TYPE_CHECKING:
    ParameterType = click.ParamType[Any]
else:
    ParameterType = click.ParamType  # older versions of click have no `[]`


class UnitType(ParameterType):
    """A unit as it is typed: `17`, or `1:17` of layer 1."""

    name = "unit"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Unit:
        """Parse what was typed. Raises ConfigurationError if it is no unit."""
        return value if isinstance(value, Unit) else Unit.parse(str(value))


def read_ids(model: Model, text: str, reading: GivenReading, symbols: int) -> Ids:
    """Read a text's first `symbols` symbols that the model knows, and tell what was left out.

    Raises TextError if there is none.
    """
    skipped = Skipped(model.vocabulary)
    reader = reading.reader_for(model)
    pieces = skipped.watch(reader.symbols((text,), model.vocabulary))
    found: list[Ids] = []
    size = 0
    for ids in _encoded(model, pieces):
        found.append(ids[: symbols - size])
        size += len(found[-1])
        if size >= symbols:
            break
    skipped.tell()
    if size == 0:
        raise TextError("expected a text of at least one symbol that the model knows, got none")
    return np.concatenate(found)


def _encoded(model: Model, pieces: Iterator[str | bytes]) -> Iterator[Ids]:
    """Each piece as ids."""
    for piece in pieces:
        if isinstance(piece, str):
            yield model.vocabulary.encode(piece, "skip")
        else:
            assert isinstance(model.vocabulary, ByteVocabulary)
            yield np.frombuffer(piece, np.uint8)
