"""`ricorda step`: one step of one unit, with the real numbers in its equation."""

from pathlib import Path

import click

from ricorda.cli.models import model_path
from ricorda.cli.options import PathName, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_paragraph, visible
from ricorda.cli.texts import GivenReading, UnitType, read_known, reading_options
from ricorda.engine import load_file, open_model
from ricorda.insight import Unit, step_equation
from ricorda.text.unseen import quoted

LONGEST = 2**20  # symbols of the text that are read


@click.command()
@click.argument("model", type=PathName())
@click.argument("text")
@click.option(
    "--unit",
    type=UnitType(),
    default="0",
    help="The unit: 17 is a unit of layer 0, 1:17 one of layer 1.  [default: 0]",
)
@click.option(
    "--position",
    type=whole_number(at_least=0),
    help="Position of the symbol that is read, counted from 0; by default the last.",
)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    model: Path, text: str, unit: Unit, position: int | None, reading: GivenReading, as_json: bool
) -> None:
    """Show how a unit of MODEL reads one symbol of TEXT, with the numbers of every gate.

    The terms of each sum are, in this order: the contribution of the input, the input bias, the
    contribution of the layer's previous outputs, and the recurrent bias.

    \b
    ricorda step runs/my page.txt --unit 3
    ricorda step runs/my page.txt --unit 3 --position 0
    """
    file = load_file(model_path(model))
    trained = open_model(file, backend="numpy")
    known = read_known(trained, text, reading, LONGEST)
    found = step_equation(file, known, -1 if position is None else position, unit)
    if as_json:
        print_json({**found.as_json(), "unseen": [gap.as_json() for gap in known.gaps]})
        return
    say(f"unit {unit} reads {visible(found.symbol)} at {found.position}")
    for gap in known.gaps:
        if gap.before == found.position:
            say(f"before it, the text has {quoted(gap.characters)}, which the model never saw")
    for line in found.lines():
        print_paragraph(line, hanging="     ")
    for terms in found.gates:
        strongest = ", ".join(
            f"{each.source}: {each.weight:.3f} * {each.value:.3f} = {each.product:.3f}"
            for each in terms.strongest
        )
        print_paragraph(f"{terms.letter:<2} largest terms: {strongest or 'none'}", hanging="     ")
