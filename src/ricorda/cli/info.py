"""`ricorda info`: what a model is."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.filesize import decimal

from ricorda.cli.models import model_path
from ricorda.cli.options import PathName
from ricorda.cli.output import print_json
from ricorda.cli.tables import print_paragraph
from ricorda.model import ModelFile, read_model_file
from ricorda.pages import fixed
from ricorda.runs import RunFolder
from ricorda.text.sources import displayed


@click.command()
@click.argument("model", type=PathName(), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(model: Path | None, as_json: bool) -> None:
    """Describe MODEL and the run that made it; by default the newest run.

    \b
    ricorda info runs/my
    """
    path = model_path(model)
    place = RunFolder(path).model if path.is_dir() else path
    file = read_model_file(place)
    if as_json:
        print_json(_as_json(place, file))
        return
    for name, value in _lines(place, file):
        print_paragraph(f"{name:<12} {value}", hanging=" " * 13)


def _as_json(place: Path, file: ModelFile) -> dict[str, Any]:
    """Everything but the weights."""
    return {
        "model": str(place),
        "parameters": file.configuration.parameters,
        "configuration": asdict(file.configuration),
        "vocabulary": file.vocabulary.to_json(),
        "training": file.training,
    }


def _lines(place: Path, file: ModelFile) -> list[tuple[str, str]]:
    """Return what a person wants to know, one line each."""
    configuration, training = file.configuration, file.training
    embedding = configuration.embedding_size
    lines = [
        ("model", f"{place} ({decimal(place.stat().st_size)})"),
        (
            "network",
            f"{configuration.cell}, {configuration.num_layers} x {configuration.hidden_size} "
            "units, " + ("one-hot input" if embedding == "onehot" else f"embedding {embedding}"),
        ),
        ("parameters", f"{configuration.parameters:,}"),
        ("vocabulary", f"{file.vocabulary.size:,} {file.vocabulary.kind}"),
    ]
    if isinstance(texts := training.get("texts"), list) and texts:
        more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
        lines.append(("learned", f"{', '.join(map(displayed, map(str, texts[:3])))}{more}"))
    lines += _origins(training)
    lines.append(("read as", _reading(file)))
    for name in ("validation", "test"):
        if isinstance(figures := training.get(name), dict):
            lines.append((name, _figures(figures)))
    return lines


def _origins(training: dict[str, Any]) -> list[tuple[str, str]]:
    """The model that its run started from, and the run of which that is a branch.

    The file may be a stranger's: what is not as ricorda writes it is left out.
    """
    lines = []
    start, branch = training.get("from"), training.get("branch")
    if isinstance(start, dict) and isinstance(name := start.get("name"), str):
        nats, digest = start.get("nats_per_character"), start.get("digest")
        figure = ""
        if isinstance(nats, float):
            figure = f", {fixed(nats / math.log(2), 4)} bits per character on its own text"
        shown = f", digest {displayed(digest[:12])}" if isinstance(digest, str) else ""
        lines.append(("from", f"{displayed(name)}{figure}{shown}"))
    if isinstance(branch, dict) and isinstance(name := branch.get("run"), str):
        step = branch.get("step")
        place = f" at step {step:,}" if isinstance(step, int) else ""
        lines.append(("branch of", f"{displayed(name)}{place}"))
    return lines


def _reading(file: ModelFile) -> str:
    """How its text was read, and how prompts are read."""
    kind, reading = file.vocabulary.kind, file.reading
    encoding = "raw bytes" if reading.takes_raw_bytes(kind) else reading.encoding or "utf-8"
    ends = "kept" if reading.line_ends(kind) == "keep" else "converted to \\n"
    packed = "" if reading.decompression.enabled else ", not decompressed"
    return f"{encoding}, line ends {ends}{packed}"


def _figures(evaluated: dict[str, Any]) -> str:
    """Its validation figures; a dash for a figure that the file does not have."""
    names = ("bits_per_character", "nats_per_character", "bits_per_byte")
    found = [evaluated.get(name) for name in names]
    known = [fixed(each if isinstance(each, float) else None, 4) for each in found]
    return f"{known[0]} bits per character, {known[1]} nats per character, {known[2]} bits per byte"
