"""C programs under test: how they are written and compiled, and what they are asked."""

import ctypes
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.exchange import Weights, export_model
from ricorda.exchange.quantization import quantize_rows
from ricorda.model import ModelFile

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")

BEYOND = 16
"""Floats after the state and the logits that no step may touch."""

ENCODER = r"""
#define main write_text
#include "main.c"
#undef main

/* Print the symbols of each argument, one argument a line. */
int main(int argc, char **argv) {
  for (int each = 1; each < argc; each++) {
    const unsigned char *text = (const unsigned char *)argv[each];
    int symbols[LONGEST_WORD], count;
    while (*text) {
      text += encode(text, symbols, &count);
      for (int k = 0; k < count; k++) printf("%d ", symbols[k]);
    }
    printf("\n");
  }
  return 0;
}
"""

WRITER = r"""
#define main write_text
#include "main.c"
#undef main

/* Write all symbols. */
int main(void) {
  for (int symbol = 0; symbol < MODEL_SYMBOLS; symbol++) write_symbol(symbol);
  return 0;
}
"""

SAMPLER = r"""
#define main write_text
#include "main.c"
#undef main

/* Draw symbols from logits[k] = log(k + 1) and print how often each came. */
int main(int argc, char **argv) {
  static const float logarithms[] = {LOGARITHMS};
  static long counts[MODEL_SYMBOLS];
  uint64_t random = argc > 1 ? (uint64_t)number(argv[1], 9e15) : 0;
  for (long draw = 0; draw < DRAWS; draw++) {
    for (int symbol = 0; symbol < MODEL_SYMBOLS; symbol++) logits[symbol] = logarithms[symbol];
    counts[choose(TEMPERATURE, &random)]++;
  }
  for (int symbol = 0; symbol < MODEL_SYMBOLS; symbol++) printf("%ld ", counts[symbol]);
  return 0;
}
"""


def export(model: ModelFile, folder: Path, weights: Weights = "float32") -> Path:
    """Write the program of a model into a new folder."""
    export_model(model, "c", folder, weights=weights)
    return folder


def compiled(
    folder: Path, *sources: str, options: tuple[str, ...] = ("-O1",), compiler: str = "gcc"
) -> Path:
    """Compile sources of a folder, every warning an error."""
    program = folder / sources[0].replace(".c", ".o" if "-c" in options else "")
    run = subprocess.run(
        [compiler, *STRICT, *options, "-o", program, *sources],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return program


def output(program: Path, *arguments: str) -> bytes:
    """What a program prints; it must succeed."""
    return subprocess.run([program, *arguments], check=True, capture_output=True).stdout


def asked(folder: Path, source: str, *arguments: str, options: tuple[str, ...] = ("-O1",)) -> bytes:
    """What a further program of a folder prints, which includes main.c."""
    (folder / "asked.c").write_text(source, "ascii")
    return output(compiled(folder, "asked.c", "model.c", options=options), *arguments)


def stated_state_bytes(folder: Path) -> int:
    """The size of the state that model.h states."""
    found = re.search(r"struct model_state \{ /\* ([\d,]+) bytes", (folder / "model.h").read_text())
    assert found
    return int(found[1].replace(",", ""))


class Network:
    """model.c, called from Python."""

    def __init__(self, folder: Path, model: ModelFile, compiler: str = "gcc") -> None:
        library = compiled(
            folder, "model.c", options=("-O1", "-shared", "-fPIC"), compiler=compiler
        )
        functions = ctypes.CDLL(str(library))
        self._step, self._reset = functions.model_step, functions.model_reset
        self._has_labels = bool(model.configuration.num_labels)
        floats = stated_state_bytes(folder) // 4
        # Filled with what neither a reset nor a step may take for numbers of their own.
        self._state = np.full(floats + BEYOND, np.nan, np.float32)
        self._logits = np.full(model.configuration.vocabulary_size + BEYOND, np.nan, np.float32)
        self.reset()

    def reset(self) -> None:
        """Begin a text."""
        self._reset(self._state.ctypes)

    def step(self, symbol: int, label: int = 0) -> NDArray[np.float32]:
        """Read a symbol and return the logits (V,) of the next one."""
        labels = [label] if self._has_labels else []
        self._step(self._state.ctypes, int(symbol), *labels, self._logits.ctypes)
        return self._logits[:-BEYOND]

    def logits(self, ids: NDArray[Any], label: int = 0) -> NDArray[np.float64]:
        """Begin with ids (T,) and return the logits after each, (T, V)."""
        self.reset()
        found = np.stack([self.step(symbol, label).astype(np.float64) for symbol in ids])
        assert np.isnan(self._state[-BEYOND:]).all()
        assert np.isnan(self._logits[-BEYOND:]).all()
        return found

    def greedy(self, first: int, count: int, label: int = 0) -> list[int]:
        """Begin with `first` and write the most likely symbol again and again."""
        self.reset()
        written = [first]
        for _ in range(count):
            written.append(int(self.step(written[-1], label).argmax()))
        return written[1:]


def as_computed(model: ModelFile, weights: Weights) -> ModelFile:
    """The model whose numbers the program has: with int8, the rounded ones in float64."""
    if weights == "float32":
        return model
    tensors: dict[str, Any] = {}
    for name, tensor in model.tensors.items():
        tensors[name] = tensor
        if tensor.ndim == 2:
            integers, scales = quantize_rows(tensor)
            tensors[name] = integers.astype(np.float64) * scales[:, np.newaxis].astype(np.float64)
    return replace(model, tensors=tensors)
