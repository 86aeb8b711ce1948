"""The beginning of a TEXT as ids of a model's vocabulary."""

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ricorda.cli.texts import GivenReading
from ricorda.engine import Model
from ricorda.engine.backend import Ids
from ricorda.errors import TextError
from ricorda.insight.units import Unit
from ricorda.text import ByteVocabulary
from ricorda.text.unseen import KnownText, Unseen

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


def read_known(model: Model, text: str, reading: GivenReading, symbols: int) -> KnownText:
    """Read a text's first `symbols` symbols that the model knows, and warn of what was left out.

    Raises TextError if there is none.
    """
    unseen = Unseen()
    found: list[Ids] = []
    for piece in reading.reader_for(model).symbols((text,), model.vocabulary):
        found.append(_encoded(model, piece, unseen))
        if unseen.symbols >= symbols:
            break
    if unseen.symbols == 0:
        raise TextError("expected a text of at least one symbol that the model knows, got none")
    unseen.warn("the text", stacklevel=2)
    known = KnownText(np.concatenate(found), tuple(unseen.gaps))
    return known if unseen.symbols <= symbols else known.first(symbols)


def _encoded(model: Model, piece: str | bytes, unseen: Unseen) -> Ids:
    """A piece as ids."""
    if isinstance(piece, str):
        return unseen.encode(model.vocabulary, piece, "skip")
    assert isinstance(model.vocabulary, ByteVocabulary)
    unseen.symbols += len(piece)
    return np.frombuffer(piece, np.uint8)
