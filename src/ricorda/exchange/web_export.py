"""A web page that runs the model, and its engine as an ES module for Node and other pages."""

import base64
import json
from dataclasses import asdict
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ricorda
from ricorda.exchange.exporting import Export, Weights
from ricorda.exchange.quantization import quantize_rows
from ricorda.model import ModelFile
from ricorda.model.cells import CELLS
from ricorda.pages import data_block, document, escape, joined_script, json_text, resource

FORMAT = 1
SCRIPTS = (
    *(("ricorda.pages", name) for name in ("dom.js", "numbers.js", "symbols.js")),
    *(("ricorda.exchange", f"web/{name}") for name in ("engine.mjs", "sheet.js", "page.js")),
)
"""The modules of the page's script, each after those that it imports from."""


def export(model: ModelFile, weights: Weights) -> Export:
    """Make the page, which holds the model, and the engine with the model beside it."""
    described = description(model, weights)
    files = {
        "index.html": page(described),
        "engine.mjs": _source("engine.mjs"),
        "example.mjs": _source("example.mjs"),
        "model.json": json_text(described),
    }
    notes = (
        "open index.html in a browser: it is self-contained",
        "engine.mjs runs model.json in Node or in a page of your own; example.mjs shows how",
    )
    return Export({name: text.encode() for name, text in files.items()}, notes)


def description(model: ModelFile, weights: Weights) -> dict[str, Any]:
    """Describe a model for the engine: what model.json holds."""
    reading, kind = model.reading, model.vocabulary.kind
    validation = model.training.get("validation")
    bits = validation.get("bits_per_character") if isinstance(validation, dict) else None
    texts = model.training.get("texts")
    return {
        "format": FORMAT,
        "made_with": f"ricorda {ricorda.__version__}",
        "name": model.name or "ricorda",
        "texts": [str(each) for each in texts] if isinstance(texts, list) else [],
        "parameters": model.configuration.parameters,
        "bits_per_character": bits if isinstance(bits, float) else None,
        "cell": CELLS[model.configuration.cell].label,
        "configuration": asdict(model.configuration),
        "vocabulary": model.vocabulary.to_json(),
        "reading": {
            "newlines": reading.line_ends(kind),
            "drop_mark": not reading.takes_raw_bytes(kind),
        },
        "weights": weights,
        "tensors": {name: _tensor(each, weights) for name, each in model.tensors.items()},
    }


def page(described: dict[str, Any]) -> str:
    """Make the page of a model that is described for the engine."""
    name = escape(described["name"])
    body = Template(_source("page.html")).substitute(name=name)
    words = json.loads(_source("words.json"))
    return document(
        described["name"],
        f"{body}{data_block('words', words)}{data_block('model', described)}",
        style=_source("page.css"),
        script=joined_script(*SCRIPTS),
        footer='<p id="made"></p>',
    )


def _source(name: str) -> str:
    return resource("ricorda.exchange", f"web/{name}")


def _tensor(tensor: NDArray[np.float32], weights: Weights) -> dict[str, Any]:
    """A tensor in base64, by rows; of an int8 matrix with a float32 scale for each row."""
    described: dict[str, Any] = {"shape": list(tensor.shape)}
    if weights == "float32" or tensor.ndim == 1:
        return described | {"data": _base64(tensor, "<f4")}
    integers, scales = quantize_rows(tensor)
    return described | {"data": _base64(integers, "i1"), "scales": _base64(scales, "<f4")}


def _base64(numbers: NDArray[Any], kind: str) -> str:
    return base64.b64encode(numbers.astype(kind).tobytes()).decode()
