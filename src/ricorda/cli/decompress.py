"""`ricorda decompress`: restore a compressed file, byte for byte."""

from pathlib import Path

import click

from ricorda.cli.options import PathName, archive_options
from ricorda.cli.output import print_json, say
from ricorda.cli.progress import code_progress
from ricorda.pages import plural


@click.command()
@click.argument("file", type=PathName())
@click.option("--out", type=PathName(), help="The restored file; by default FILE without .ricorda.")
@click.option("--model", type=PathName(), help="The model that FILE was compressed with.")
@archive_options
def command(
    file: Path, out: Path | None, model: Path | None, threads: int, force: bool, as_json: bool
) -> None:
    """Restore the file that `ricorda compress` stored in FILE.

    FILE is kept. A damaged file is refused, and nothing is written.
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
        say(f"{result.path}: {plural(result.size, 'byte')}")
