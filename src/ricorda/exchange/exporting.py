"""The table of export formats, and how an export is written."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ricorda.durable import write_atomically
from ricorda.errors import ConfigurationError
from ricorda.model import ModelFile

Weights = Literal["float32", "int8"]
"""How an export stores its matrices; int8 with a float32 scale for each row."""


@dataclass(frozen=True)
class Export:
    """What an exporter makes of a model."""

    files: Mapping[str, bytes]
    """The content of each file of the folder, by name."""

    notes: tuple[str, ...] = ()
    """Lines for the person who exports, such as the memory that the program needs."""


class Format(NamedTuple):
    """A row of the table of formats."""

    module: str
    """Its `export(model, weights)` makes an Export; it is imported when it is called."""

    summary: str
    weights: tuple[Weights, ...] = ("float32", "int8")


EXPORTERS: dict[str, Format] = {
    "onnx": Format("ricorda.exchange.onnx_export", "graphs for ONNX Runtime"),
    "torch": Format("ricorda.exchange.torch_export", "a state dict of torch.nn", ("float32",)),
    "c": Format("ricorda.exchange.c_export", "C99 without allocation or libraries"),
    "web": Format("ricorda.exchange.web_export", "a web page that runs the model"),
}


def export_model(
    model: ModelFile, to: str, out: Path, *, weights: Weights = "float32", force: bool = False
) -> Export:
    """Write a model for another runtime into the folder `out`, which is made if it is missing.

    Raises ConfigurationError for an unknown format, weights that it does not store, or files that
    are there already without `force`.
    """
    if to not in EXPORTERS:
        raise ConfigurationError(f"expected a format among {', '.join(EXPORTERS)}, got {to!r}")
    if weights not in EXPORTERS[to].weights:
        known = " or ".join(EXPORTERS[to].weights)
        raise ConfigurationError(f"--to {to} stores weights as {known}, not as {weights}")
    exporter: Callable[[ModelFile, Weights], Export]
    exporter = importlib.import_module(EXPORTERS[to].module).export
    export = exporter(model, weights)
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"expected a folder for the export, found a file at {out}")
    taken = [name for name in export.files if (out / name).exists()]
    if taken and not force:
        raise ConfigurationError(
            f"{out / taken[0]} is there already: choose another folder with --out, "
            "or replace its files with --force"
        )
    out.mkdir(parents=True, exist_ok=True)
    for name, content in export.files.items():
        write_atomically(out / name, content)
    return export
