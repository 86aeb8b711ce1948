"""`ricorda compress`: compress a file by predicting it."""

from pathlib import Path

import click

from ricorda.cli.options import PathName, archive_options
from ricorda.cli.output import print_json, say
from ricorda.cli.progress import code_progress
from ricorda.pages import plural


@click.command()
@click.argument("file", type=PathName())
@click.option("--out", type=PathName(), help="The archive; by default FILE.ricorda.")
@click.option(
    "--model",
    type=PathName(),
    help="Predict the file with this model. The same model is needed to restore it.",
)
@archive_options
def command(
    file: Path, out: Path | None, model: Path | None, threads: int, force: bool, as_json: bool
) -> None:
    """Compress FILE, which may hold any bytes, by predicting each byte from those before it.

    The predictor learns while it reads. The result is at most 64 bytes larger than that of
    `xz -9e`, and `ricorda decompress` restores the same bytes on any machine. FILE is kept.

    \b
    ricorda compress my.txt
    ricorda decompress my.txt.ricorda --out again.txt
    """
    from ricorda.compression import TrainedModel, compress_file

    trained = None if model is None else TrainedModel.load(model)

    with code_progress("compressing") as progress:
        result = compress_file(
            file, out, model=trained, threads=threads, force=force, progress=progress
        )
    if as_json:
        print_json(
            {
                "file": str(result.path),
                "method": result.method.name.lower(),
                "bytes": result.size,
                "compressed_bytes": result.compressed_size,
                "bits_per_byte": result.bits_per_byte,
            }
        )
    else:
        say(
            f"{result.path}: {plural(result.size, 'byte')} became {result.compressed_size:,}, "
            f"{result.bits_per_byte:.3f} bits per byte"
        )
