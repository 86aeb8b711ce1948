"""`ricorda export`: a model for another runtime."""

from pathlib import Path
from typing import cast

import click

from ricorda.cli.models import model_path
from ricorda.cli.options import PathName
from ricorda.cli.output import print_json, say
from ricorda.exchange.exporting import EXPORTERS, Weights, export_model
from ricorda.model import read_model_file
from ricorda.model.model_file import model_file_path


@click.command()
@click.argument("model", type=PathName(), required=False)
@click.option(
    "--to",
    required=True,
    type=click.Choice(list(EXPORTERS)),
    help="; ".join(f"{name}: {row.summary}" for name, row in EXPORTERS.items()) + ".",
)
@click.option("--out", type=PathName(), help="The folder to write; by default MODEL's name-FORMAT.")
@click.option(
    "--weights",
    type=click.Choice(["float32", "int8"]),
    default="float32",
    show_default=True,
    help="How matrices are stored: int8 takes a quarter of the space and is less exact.",
)
@click.option("--force", is_flag=True, help="Replace files of an earlier export.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path | None, to: str, out: Path | None, weights: str, force: bool, as_json: bool
) -> None:
    """Write MODEL, by default the newest run's, as files that another runtime reads.

    \b
    ricorda export runs/my --to web --out page
    """
    path = model_path(model)
    place = model_file_path(path)
    out = out or Path(f"{path.resolve().name.removesuffix('.safetensors')}-{to}")
    export = export_model(
        read_model_file(place), to, out, weights=cast(Weights, weights), force=force
    )
    sizes = {name: len(content) for name, content in export.files.items()}
    if as_json:
        print_json({"folder": str(out), "format": to, "bytes": sizes, "notes": list(export.notes)})
        return
    for name, size in sizes.items():
        say(f"{out / name}: {size:,} bytes")
    for note in export.notes:
        say(note)
