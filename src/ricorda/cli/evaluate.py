"""`ricorda evaluate`: how well a model predicts a text."""

from collections.abc import Iterator
from pathlib import Path

import click

from ricorda.cli.models import load_model
from ricorda.cli.options import whole_number
from ricorda.cli.output import print_json
from ricorda.errors import ConfigurationError
from ricorda.pages import plural
from ricorda.text import (
    ByteVocabulary,
    Decompression,
    Newlines,
    Vocabulary,
    find_sources,
    parse_size,
    read_bytes,
    read_text,
)
from ricorda.text.reading import PLAIN


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option(
    "--window",
    type=whole_number(at_least=1),
    help="Start from nothing every so many symbols, as models with windows are scored; "
    "by default the state is carried through the whole text.",
)
@click.option("--encoding", help="The text's encoding where it is not UTF-8.")
@click.option(
    "--newlines",
    type=click.Choice(["auto", "normalise", "keep"]),
    default="auto",
    help="Line ends, as in training.",
)
@click.option(
    "--decompress",
    type=click.Choice(["auto", "off"]),
    default="auto",
    help="Whether to read what gzip, zstd and xz files hold, as in training.",
)
@click.option(
    "--max-decompressed",
    metavar="SIZE",
    help="The most that a compressed file may come to, such as 20GB.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path,
    texts: tuple[str, ...],
    window: int | None,
    encoding: str | None,
    newlines: str,
    decompress: str,
    max_decompressed: str | None,
    as_json: bool,
) -> None:
    """Say how well MODEL predicts TEXT: nats and bits per character, bits per byte.

    Every symbol but the first is predicted once. Characters that the model never saw have no
    probability: they are left out, and told.
    """
    trained = load_model(model)
    skipped = Skipped(trained.vocabulary)
    limit = None if max_decompressed is None else parse_size("--max-decompressed", max_decompressed)
    decompression = Decompression(decompress == "auto", limit)
    pieces = pieces_for(trained.vocabulary, texts, encoding, newlines, decompression)
    figures = trained.evaluate(skipped.watch(pieces), window, on_unknown="skip").as_json()
    skipped.tell()
    if as_json:
        print_json(figures)
        return
    click.echo(f"{figures['nats_per_character']:.4f} nats per character")
    click.echo(f"{figures['bits_per_character']:.4f} bits per character")
    click.echo(f"{figures['bits_per_byte']:.4f} bits per byte")
    click.echo(f"{figures['perplexity']:.4f} perplexity")
    click.echo(
        f"{figures['characters']:,} characters, {figures['bytes']:,} bytes, {figures['protocol']}"
    )


def pieces_for(
    vocabulary: Vocabulary,
    texts: tuple[str, ...],
    encoding: str | None,
    newlines: str,
    decompression: Decompression = PLAIN,
) -> Iterator[str | bytes]:
    """The texts as a vocabulary takes them in training: bytes as they are, or characters."""
    if newlines not in ("auto", "normalise", "keep"):
        raise ConfigurationError(f"--newlines {newlines}: expected auto, normalise or keep")
    sources = find_sources(texts, encoding=encoding, decompress=decompression.enabled)
    if isinstance(vocabulary, ByteVocabulary) and encoding is None:
        ends: Newlines = "normalise" if newlines == "normalise" else "keep"
        return read_bytes(sources, ends, decompression=decompression)
    ends = "keep" if newlines == "keep" else "normalise"
    return read_text(sources, encoding or "utf-8", ends, decompression=decompression)


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
            click.echo(
                f"left out {plural(self._count, 'character')} that the model never saw in "
                f"training: {self._characters[:40]!r}",
                err=True,
            )
