"""`ricorda import`: a model that another tool trained."""

from pathlib import Path
from typing import Literal

import click

from ricorda.cli.options import PathName
from ricorda.cli.output import print_json, say
from ricorda.durable import check_output
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
    help="A JSON file with the model's symbols, where FILE has none: a list in the order of their "
    "ids, or an object of symbols and ids. One of them may stand for no character.",
)
@click.option(
    "--nonlinearity",
    type=click.Choice(["tanh", "relu"]),
    help="The activation of a plain RNN, where FILE does not say it; by default tanh.",
)
@click.option("--force", is_flag=True, help="Replace the model file if it is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: Path,
    out: Path | None,
    symbols: Path | None,
    nonlinearity: Literal["tanh", "relu"] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Turn FILE, a recurrent network trained by another tool, into a model of ricorda."""
    found = file.resolve()
    # A manifest is named after its folder: all have the same name.
    name = found.parent.name if found.name in {"manifest.json", "model.json"} else found.stem
    out = out or Path(f"{name}-imported.safetensors")
    check_output(out, [file])
    if out.exists() and not force:
        raise ModelFileError(
            f"{out} is there already: choose another name with --out, or replace it with --force"
        )
    model = import_model(file, symbols=symbols, nonlinearity=nonlinearity)
    write_model_file(out, model)
    shape, imported = model.configuration, model.training["imported"]
    if as_json:
        numbers = {"parameters": shape.parameters, "symbols": shape.vocabulary_size}
        print_json({"model": str(out), "cell": shape.cell} | numbers | {"imported": imported})
        return
    say(
        f"{out}: {shape.cell}, {shape.num_layers} x {shape.hidden_size} units, "
        f"{shape.vocabulary_size:,} symbols"
    )
    for note in imported.get("notes", []):
        say(note)


command.help = (
    (command.help or "")
    + "\n\nKnown: "
    + "; ".join(f"{row.summary} ({', '.join(row.suffixes)})" for row in READERS.values())
    + ".\n\n\b\nricorda import net.pt --symbols symbols.json --out net.safetensors"
)
