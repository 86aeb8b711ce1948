"""`ricorda decompress`: the file that `ricorda compress` made smaller, byte for byte."""

from pathlib import Path

import click

from ricorda.cli.options import PathName, whole_number
from ricorda.cli.output import print_json, say
from ricorda.cli.progress import code_progress


@click.command()
@click.argument("file", type=PathName())
@click.option("--out", type=PathName(), help="The restored file; by default FILE without .ricorda.")
@click.option("--model", type=PathName(), help="The model that FILE was compressed with.")
@click.option("--threads", type=whole_number(at_least=1), default=2, help="Change no byte.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: Path, out: Path | None, model: Path | None, threads: int, force: bool, as_json: bool
) -> None:
    """Restore what `ricorda compress` wrote into FILE, which stays.

    A damaged file is refused, and nothing is written.
    """
    from ricorda.compression import TrainedModel, decompress_file

    trained = None if model is None else TrainedModel.load(model)

    with code_progress("restoring") as progress:
        result = decompress_file(
            file, out, model=trained, threads=threads, force=force, progress=progress
        )
    if as_json:
        print_json(
            {
                "file": str(result.path),
                "method": result.method.name.lower(),
                "bytes": result.size,
                "compressed_bytes": result.compressed_size,
            }
        )
    else:
        say(f"{result.path}: {result.size:,} bytes")
