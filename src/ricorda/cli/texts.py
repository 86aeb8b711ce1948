"""The TEXT of a command: how it is read, also as ids of a model's vocabulary."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ricorda.cli.options import Command, options_from
from ricorda.cli.output import say
from ricorda.text import ByteVocabulary, ReadingSettings, TextReader
from ricorda.text.decoding import canonical_encoding
from ricorda.text.unseen import KnownText, Unseen, no_symbols_error
from ricorda.training.options import TrainingOptions

if TYPE_CHECKING:
    from ricorda.engine import Model
    from ricorda.insight.units import Unit

    ParameterType = click.ParamType[Any]
else:
    ParameterType = click.ParamType  # older versions of click have no `[]`

OPTIONS = ("encoding", "newlines", "decompress", "max_decompressed")


def reading_options(command: Command) -> Command:
    """Give a command training's options of reading, and pass it the `reading` that they make."""

    @wraps(command)
    def with_reader(**options: Any) -> Any:
        given = {name: options.pop(name) for name in OPTIONS}
        return command(reading=GivenReading(given), **options)

    decorate: Callable[[Any], Any] = options_from(TrainingOptions, OPTIONS, unset="as in training")
    return decorate(with_reader)  # type: ignore[no-any-return]


class GivenReading:
    """The options of reading that a command was given."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Keep what is not None. Raises ConfigurationError for contradictory options."""
        self._given = {name: value for name, value in options.items() if value is not None}
        self.reader = TextReader(ReadingSettings(**self._given))
        """Reads texts when there is no model that records how its own was read."""

    @property
    def is_given(self) -> bool:
        """Whether any option was given."""
        return bool(self._given)

    def reader_for(self, model: "Model") -> TextReader:
        """Read as the model's training did, except that given options take precedence.

        The model then reads prompts and texts in the same way. Each option that differs from
        training is reported. Raises ConfigurationError for options that contradict,
        TextError for an unknown encoding.
        """
        if "encoding" in self._given:
            canonical_encoding(self._given["encoding"])
        of_training = model.reading
        model.reading = replace(of_training, **self._given)
        kind = model.vocabulary.kind
        before, now = of_training.to_json(kind), model.reading.to_json(kind)
        for name in self._given.keys() & {name for name in now if now[name] != before[name]}:
            given = self._given[name]
            meant = "" if given == now[name] else f" ({now[name]})"
            say(
                f"--{name} {given}{meant}: differs from the model's training, which used "
                f"{'no encoding' if before[name] is None else before[name]}",
                err=True,
            )
        return TextReader(model.reading)


class UnitType(ParameterType):
    """A unit as it is typed: `17`, or `1:17` of layer 1."""

    name = "unit"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Unit":
        """Parse what was typed. Raises ConfigurationError if it is no unit."""
        from ricorda.insight.units import Unit

        return value if isinstance(value, Unit) else Unit.parse(str(value))


def read_known(model: "Model", text: str, reading: GivenReading, symbols: int) -> KnownText:
    """Read a text's first `symbols` symbols that the model knows, and warn of what was left out.

    Of a model of documents, the boundary comes before them. Raises TextError if there is none.
    """
    from ricorda.insight.units import known_text

    unseen, vocabulary = Unseen(), model.vocabulary
    found = []
    for piece in reading.reader_for(model).symbols((text,), vocabulary):
        if isinstance(piece, str):
            found.append(unseen.encode(vocabulary, piece, "skip"))
        else:
            assert isinstance(vocabulary, ByteVocabulary)
            unseen.symbols += len(piece)
            found.append(np.frombuffer(piece, np.uint8))
        if unseen.symbols >= symbols:
            break
    if unseen.symbols == 0:
        raise no_symbols_error()
    unseen.warn("the text", stacklevel=2)
    known = KnownText(np.concatenate(found), tuple(unseen.gaps))
    return known_text(model, known if unseen.symbols <= symbols else known.first(symbols))
