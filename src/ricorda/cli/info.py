"""`ricorda info`: what a model is."""

import math
from collections.abc import Sequence
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
from ricorda.model.model_file import model_file_path
from ricorda.pages import fixed
from ricorda.text.file_names import displayed
from ricorda.text.vocabulary import Vocabulary


@click.command()
@click.argument("model", type=PathName(), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(model: Path | None, as_json: bool) -> None:
    """Describe MODEL and the run that made it; by default the newest run.

    \b
    ricorda info runs/my
    """
    path = model_path(model)
    file_path = model_file_path(path)
    file = read_model_file(file_path)
    if as_json:
        print_json(_as_json(file_path, file))
        return
    for name, value in _lines(file_path, file):
        print_paragraph(f"{name:<12} {value}", hanging=" " * 13)


def _as_json(file_path: Path, file: ModelFile) -> dict[str, Any]:
    """Everything but the weights."""
    return {
        "model": str(file_path),
        "parameters": file.configuration.parameters,
        "configuration": asdict(file.configuration),
        "vocabulary": file.vocabulary.to_json(),
        "training": file.training,
    }


def _lines(file_path: Path, file: ModelFile) -> list[tuple[str, str]]:
    """Return what a person wants to know, one line each."""
    configuration, training = file.configuration, file.training
    embedding = configuration.embedding_size
    lines = [
        ("model", f"{file_path} ({decimal(file_path.stat().st_size)})"),
        (
            "network",
            f"{configuration.cell}, {configuration.num_layers} x {configuration.hidden_size} "
            "units, " + ("one-hot input" if embedding == "onehot" else f"embedding {embedding}"),
        ),
        ("parameters", f"{configuration.parameters:,}"),
        ("vocabulary", _vocabulary(file.vocabulary)),
    ]
    if file.reading.division is not None:
        lines.append(("documents", _documents(file)))
    if labels := file.vocabulary.labels:
        lines.append(("labels", f"{len(labels):,}: {_first(labels)}"))
    if isinstance(texts := training.get("texts"), list) and texts:
        lines.append(("learned", _first(texts)))
    lines += _origins(training)
    if isinstance(imported := training.get("imported"), dict):
        lines += _imported(imported)
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
        at_step = f" at step {step:,}" if isinstance(step, int) else ""
        lines.append(("branch of", f"{displayed(name)}{at_step}"))
    return lines


def _vocabulary(vocabulary: Vocabulary) -> str:
    """What its symbols are, those that stand for no text of their own included."""
    special = []
    if vocabulary.rare is not None:
        special.append("one for rare characters")
    if vocabulary.boundary is not None:
        special.append("the boundary between documents")
    among = f", with {' and '.join(special)}" if special else ""
    return f"{vocabulary.size:,} {vocabulary.kind}{among}"


def _documents(file: ModelFile) -> str:
    """What its documents are, and how many of them trained it."""
    reading = file.reading
    kind = displayed(reading.documents) + (
        f" ({displayed(reading.field)})" if reading.field else ""
    )
    count = file.training.get("training_documents")
    return kind + (f", {count:,} in training" if type(count) is int else "")


def _first(names: Sequence[object]) -> str:
    """The first three of some names, and how many follow."""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f"{', '.join(displayed(str(name)) for name in names[:3])}{more}"


def _imported(imported: dict[str, Any]) -> list[tuple[str, str]]:
    """Which file of another tool it was, and how it differs from it."""
    about = {name: displayed(str(imported.get(name, ""))) for name in ("file", "format", "version")}
    made = f"{about['format']} {about['version']}".strip() or "another tool"
    lines = [("imported", f"{about['file'] or 'a file'} ({made})")]
    if digest := imported.get("sha256"):
        lines.append(("sha256", displayed(str(digest))))
    notes = imported.get("notes")
    notes = notes if isinstance(notes, list) else []
    return lines + [("note", displayed(str(each))) for each in notes]


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
