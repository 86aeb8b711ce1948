"""`ricorda import`: a model that another tool trained."""

from pathlib import Path

import click

from ricorda.cli.options import PathName
from ricorda.cli.output import print_json, say
from ricorda.errors import ModelFileError
from ricorda.exchange.importing import READERS, import_model
from ricorda.model.model_file import write_model_file


@click.command(name="import")
@click.argument("file", type=PathName())
@click.option(
    "--out",
    type=PathName(),
    help="The model file to write; by default FILE's name with -imported.safetensors.",
)
@click.option(
    "--symbols",
    type=PathName(),
    help="A file with the model's symbols in the order of their ids, where FILE has none: JSON (a "
    "list of strings, or an object of symbols and ids).",
)
@click.option("--force", is_flag=True, help="Replace the model file if it is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: Path, out: Path | None, symbols: Path | None, force: bool, as_json: bool) -> None:
    """Turn FILE, a recurrent network trained by another tool, into a model of ricorda."""
    out = out or Path(f"{file.resolve().stem}-imported.safetensors")
    if out.exists() and not force:
        raise ModelFileError(
            f"{out} is there already: choose another name with --out, or replace it with --force"
        )
    model = import_model(file, symbols=symbols)
    write_model_file(out, model)
    shape = model.configuration
    if as_json:
        print_json({"model": str(out), "parameters": shape.parameters, "cell": shape.cell})
        return
    say(
        f"{out}: {shape.cell}, {shape.num_layers} x {shape.hidden_size} units, "
        f"{shape.vocabulary_size:,} symbols"
    )


command.help = (
    (command.help or "")
    + "\n\nKnown: "
    + "; ".join(f"{row.summary} ({', '.join(row.suffixes)})" for row in READERS.values())
    + ".\n\n\b\nricorda import net.pt --symbols symbols.json --out net.safetensors"
)
