"""The TEXT of a command: how it is read, and what of it a model knows."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from ricorda.cli.options import Command, options_from
from ricorda.cli.output import say
from ricorda.pages import plural
from ricorda.text import Decompression, TextReader, Vocabulary
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


class Skipped:
    """Counts the characters of a text that a model never saw, while the text goes by."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._characters = ""
        self._count = 0

    def watch(self, pieces: Iterator[str | bytes]) -> Iterator[str | bytes]:
        """The pieces, unchanged."""
        for piece in pieces:
            if isinstance(piece, str):
                self._look_at(piece)
            yield piece

    def _look_at(self, text: str) -> None:
        unknown = self._vocabulary.unknown(text)
        self._count += sum(text.count(character) for character in unknown)
        self._characters += "".join(each for each in unknown if each not in self._characters)

    def tell(self) -> None:
        """Say what was left out, if anything."""
        if self._count:
            say(
                f"left out {plural(self._count, 'character')} that the model never saw in "
                f"training: {self._characters[:40]!r}",
                err=True,
            )
