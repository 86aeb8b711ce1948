"""`ricorda memorised`: the longest passage that a text copies from the training text."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from annotated_types import Gt, Lt

from ricorda.cli.models import load_model
from ricorda.cli.options import PathName, number, options_from, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_paragraph, print_table
from ricorda.cli.texts import GivenReading, reading_options
from ricorda.engine.generation import GenerationSettings
from ricorda.errors import ConfigurationError, InputError, TextError
from ricorda.insight import Shared, shared_stretches
from ricorda.insight.memorisation import (
    Characters,
    Written,
    characters_of,
    first_characters,
    written_by,
)
from ricorda.pages import percent
from ricorda.pages.document import finite
from ricorda.runs import RunFolder
from ricorda.text import EncodedText, Part, encode_sources, split
from ricorda.text.splits import Split
from ricorda.training.checkpoint.record import read_record

LENGTH = 10_000
SHOWN = 200  # characters of a stretch in the table


@click.command()
@click.argument("written", type=PathName())
@click.argument("training", nargs=-1, required=True)
@click.option(
    "--length",
    type=whole_number(at_least=1),
    default=LENGTH,
    help="Number of symbols that a model writes, or that are read from a text.  [default: "
    f"{LENGTH}]",
)
@options_from(GenerationSettings, ["temperature", "top_k", "top_p", "min_p", "seed"])
@click.option(
    "--validation-fraction",
    type=number(Gt(0), Lt(1)),
    help="Compare with this fraction of the training text, such as the 0.1 that `train` holds "
    "back. It is then excluded from the training text, which is divided as in training.",
)
@click.option("--control", help="Compare with this text, which the model never saw.")
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    written: Path,
    training: tuple[str, ...],
    length: int,
    validation_fraction: float | None,
    control: str | None,
    reading: GivenReading,
    as_json: bool,
    **options: Any,
) -> None:
    """Find passages of WRITTEN that occur verbatim in the TRAINING texts.

    WRITTEN is a text, or a model (a run's folder or a .safetensors file) that writes a text first.
    The training texts are read once and may be larger than memory. All language repeats itself: for
    comparison, --validation-fraction and --control measure a text of the same length that the model
    never saw.

    \b
    ricorda memorised runs/my my.txt --validation-fraction 0.1
    """
    if validation_fraction is not None and control is not None:
        raise ConfigurationError("--validation-fraction and --control: give one of the two")
    texts = _Texts(reading)
    own, seed = _written(written, length, options, texts)
    documents = [own] if isinstance(own, str | bytes) else own
    texts.as_bytes = isinstance(documents[0] if documents else "", bytes)
    others: list[Written] = []
    if control is not None:
        others.append(_beginning(texts.pieces((control,)), length))
    if validation_fraction is None and not texts.of_documents:
        found = shared_stretches([own, *others], texts.pieces(training))
    else:
        with texts.encoded(training) as text:
            parts = _divided(text, written, validation_fraction)
            if parts.validation is not None:
                others = [_held_back(text, parts.validation, sum(map(len, documents)))]
            learned = characters_of(text.vocabulary, parts.training)
            found = shared_stretches([own, *others], learned, documents=texts.of_documents)
    if as_json:
        print_json(_as_json(found, seed))
    else:
        _print(found)


class _Texts:
    """Texts as characters, or as bytes where a model of bytes writes."""

    def __init__(self, reading: GivenReading) -> None:
        self.reading = reading
        self.reader = reading.reader
        self.as_bytes = False
        self.of_documents = False
        """Whether a model of documents writes."""

    def pieces(self, names: tuple[str, ...]) -> Iterator[Characters]:
        return self.reader.data(names) if self.as_bytes else self.reader.text(names)

    @contextmanager
    def encoded(self, names: tuple[str, ...]) -> Iterator[EncodedText]:
        """Encode texts as training did, into a temporary file."""
        settings = self.reader.settings
        if not self.of_documents:
            settings = replace(settings, documents="text")
        with (
            tempfile.TemporaryDirectory(prefix="ricorda-") as folder,
            encode_sources(
                settings.find(names),
                vocabulary="bytes" if self.as_bytes else "characters",
                folder=Path(folder),
                reading=settings,
            ) as text,
        ):
            yield text


def _written(
    path: Path, length: int, options: dict[str, Any], texts: _Texts
) -> tuple[Written, int | None]:
    """The text to compare, and the seed if a model wrote it."""
    if not path.is_dir() and path.suffix.lower() != ".safetensors":
        if extra := [name for name, value in options.items() if value is not None]:
            raise ConfigurationError(
                f"--{extra[0].replace('_', '-')} is for a model that writes, {path} is a text"
            )
        return _beginning(texts.pieces((str(path),)), length), None
    model = load_model(path, precision="auto")
    texts.reader = texts.reading.reader_for(model)
    texts.of_documents = model.vocabulary.boundary is not None
    given = {name: value for name, value in options.items() if value is not None}
    return written_by(model, length, **given)


def _divided(text: EncodedText, written: Path, fraction: float | None) -> Split:
    """Hold back a fraction of the training text as training does; nothing without a fraction.

    Of a run, its kind of split and its test part are those of its own training.
    """
    if fraction is None:
        return split(text.part, 0.0)
    run = RunFolder(written)
    if not (written.is_dir() and run.is_run):
        return split(text.part, fraction)
    record = read_record(run).text
    return split(text.part, fraction, record.test_fraction, record.split)


def _held_back(text: EncodedText, part: Part, length: int) -> Written:
    """The first characters of a part, of documents those that have so many together.

    Raises InputError if there are fewer.
    """
    found = first_characters(characters_of(text.vocabulary, part), length)
    if (size := sum(map(len, found))) == length:
        return found if text.part.boundary is not None else found[0][:0].join(found)  # type: ignore[arg-type]
    raise InputError(
        f"expected at least {length:,} characters in the held-back part of the training text, "
        f"got {size:,}: give a smaller --length or another --control"
    )


def _beginning(pieces: Iterator[Characters], length: int) -> Characters:
    """The first characters of a text. Raises TextError if there is none."""
    found = first_characters(pieces, length)
    if not any(found):
        raise TextError("expected a text of at least one character, got none")
    return found[0][:0].join(found)  # type: ignore[arg-type]


NAMES = ("written", "never seen")


def _print(found: list[Shared]) -> None:
    """A column for each text."""
    own = found[0]
    columns = ["", *(f">{name}" for name in itertools.islice(NAMES, len(found)))]
    rows = [["longest passage, characters", *(str(each.longest.length) for each in found)]]
    for length, share in own.shares.items():
        if share is not None:
            shares = (each.shares[length] for each in found)
            shown = ("–" if each is None else _share(each) for each in shares)
            rows.append([f"{length}-character passages found in the training text", *shown])
    rows.append(["longest by chance", *(f"{each.chance:.1f}" for each in found)])
    print_table(columns, rows)
    longest = own.longest
    say()
    print_paragraph(
        f"{own.characters:,} characters compared with {own.training_characters:,} of the training "
        f"text. The longest passage, at position {longest.position:,} of the compared text and "
        f"{longest.training_position:,} of the training text:"
    )
    say(longest.text[:SHOWN] + ("…" if len(longest.text) > SHOWN else ""))


def _share(value: float) -> str:
    return "0 %" if value == 0 else "100 %" if value == 1 else percent(value)


def _as_json(found: list[Shared], seed: int | None) -> dict[str, Any]:
    written, *never_seen = [finite(asdict(each)) for each in found]
    return {"seed": seed, "written": written, "never_seen": never_seen[0] if never_seen else None}
