"""`ricorda baselines`: how well simple methods predict a text."""

import tempfile
from pathlib import Path
from typing import Any

import click

from ricorda.cli.options import options_from
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_paragraph, print_table
from ricorda.cli.texts import OPTIONS as READING
from ricorda.pages import fixed, plural
from ricorda.text import encode_sources, split
from ricorda.text.baselines import baselines
from ricorda.text.kinds import wanted
from ricorda.training.options import TrainingOptions

DIVISION = ["documents", "field", "label_field", "label_from"]
OPTIONS = ["vocabulary", *READING, *DIVISION, "split", "validation_fraction", "test_fraction"]

NAMES = {
    "uniform": "every symbol equally likely",
    "frequencies": "symbol frequencies",
    "five_grams": "5-grams (the last four symbols; Witten-Bell smoothing)",
    "xz": "the compressor xz",
}


@click.command()
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@options_from(TrainingOptions, OPTIONS)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(texts: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Measure simple methods on TEXT, in bits per character, for comparison.

    The methods are fitted to the training part of the text and measured on the validation part,
    with the split of `ricorda train`. TEXT takes the same forms as in `ricorda train`.

    \b
    ricorda baselines my.txt
    """
    given = TrainingOptions(**{name: value for name, value in options.items() if value is not None})
    found = figures([*texts], given)
    if as_json:
        print_json(found)
    else:
        _print_table(found)


def figures(texts: list[str], options: TrainingOptions) -> dict[str, Any]:
    """A text's size, its split and the simple methods' figures; None without a validation part."""
    reading = options.reading
    sources = reading.find(texts)
    with (
        tempfile.TemporaryDirectory(prefix="ricorda-") as folder,
        encode_sources(
            sources,
            vocabulary=wanted(options.vocabulary).encoded_as,
            folder=Path(folder),
            reading=reading,
        ) as text,
    ):
        parts = split(text.part, options.validation_fraction, options.test_fraction, options.split)
        evaluated = None
        if parts.validation is not None:
            evaluated = baselines(parts.training, parts.validation, text.vocabulary).as_json()
        return {
            "characters": text.characters,
            "bytes": text.bytes,
            "vocabulary_size": text.vocabulary.size,
            "training": parts.training.symbols,
            "validation": 0 if parts.validation is None else parts.validation.symbols,
            "bits_per_character": evaluated,
        }


def _print_table(found: dict[str, Any]) -> None:
    print_paragraph(
        f"{plural(found['characters'], 'character')}, {plural(found['bytes'], 'byte')}, "
        f"{found['vocabulary_size']:,} different symbols; {found['training']:,} for training, "
        f"{found['validation']:,} for validation"
    )
    evaluated = found["bits_per_character"]
    if evaluated is None:
        say("no part of the text is held back for validation")
        return
    rows = [[fixed(evaluated[name], 3), meaning] for name, meaning in NAMES.items()]
    print_table([">bits/character", "method"], rows)
    if evaluated["counted"] < found["training"] or evaluated["evaluated"] < found["validation"]:
        print_paragraph(
            f"read: the last {evaluated['counted']:,} symbols of the training part and the first "
            f"{evaluated['evaluated']:,} of the validation part"
        )
