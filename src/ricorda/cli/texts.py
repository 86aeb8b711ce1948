"""The TEXT of a command: how it is read."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from ricorda.cli.options import Command, options_from
from ricorda.text import Decompression, TextReader
from ricorda.training.options import TrainingOptions

OPTIONS = ("encoding", "newlines", "decompress", "max_decompressed")


def reading_options(command: Command) -> Command:
    """Give a command training's options of reading, and pass it the `reader` that they make."""

    @wraps(command)
    def with_reader(**options: Any) -> Any:
        given = {name: options.pop(name) for name in OPTIONS}
        return command(reader=reader_of(given), **options)

    decorate: Callable[[Any], Any] = options_from(TrainingOptions, OPTIONS)
    return decorate(with_reader)  # type: ignore[no-any-return]


def reader_of(options: dict[str, Any]) -> TextReader:
    """What the options of reading mean. Raises ConfigurationError if they do not fit."""
    given = {name: options[name] for name in OPTIONS if options[name] is not None}
    chosen = TrainingOptions(**given)
    decompression = Decompression.of(chosen.decompress, chosen.max_decompressed)
    return TextReader(chosen.encoding, chosen.newlines, decompression)
