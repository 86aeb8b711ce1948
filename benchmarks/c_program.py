"""The exported C program against the engine: `python -m benchmarks export --part c`."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.engine import VOCABULARY, network, writer
from benchmarks.figures import ROUNDS, Result, Work, compare, report
from ricorda.exchange import Weights, export_model
from ricorda.model import ModelFile

HIDDEN_SIZE = 256

WANTED: dict[Weights, float | None] = {"int8": 0.5, "float32": None}
"""The share of the portable engine's speed that the C program is meant to reach."""

STEPS = """
#include "model.h"

static struct model_state state;
static float logits[MODEL_SYMBOLS];
static int symbol = MODEL_START;

void advance(long count);
void advance(long count) {
  while (count-- > 0) {
    model_step(&state, symbol, logits);
    symbol = 0;
    for (int next = 1; next < MODEL_SYMBOLS; next++)
      if (logits[next] > logits[symbol]) symbol = next;
  }
}
"""
"""Writes the most likely symbol again and again, as the engine's session does."""


def measure_c(*, rounds: int = ROUNDS, **_: Any) -> Iterator[Result]:
    """The C program, built with -O3 for any x86-64, against the engine without instruction sets."""
    if shutil.which("gcc") is None:
        report("gcc is not installed: C is left out")
        return
    configuration, tensors = network("lstm", HIDDEN_SIZE)
    model = ModelFile(configuration, VOCABULARY, dict(tensors))
    portable = writer(configuration, tensors, kernels="portable")
    for weights, wanted in WANTED.items():
        with tempfile.TemporaryDirectory() as folder:
            ratio = compare(c_steps(model, weights, Path(folder)), portable, rounds)
        what = f"lstm {HIDDEN_SIZE} in C, {weights}, one stream"
        yield Result(what, "ricorda portable, float32", ratio, wanted)


def c_steps(model: ModelFile, weights: Weights, folder: Path) -> Work:
    """Export a model, compile it, and return what advances it by so many symbols."""
    export_model(model, "c", folder, weights=weights)
    (folder / "steps.c").write_text(STEPS, "ascii")
    library = folder / "steps.so"
    options = ["-std=c99", "-O3", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run(["gcc", *options, "model.c", "steps.c"], cwd=folder, check=True)
    advance = ctypes.CDLL(str(library)).advance
    advance.argtypes, advance.restype = [ctypes.c_long], None
    return advance
