"""Models of every kind, and what an exported one must compute."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.backend import zero_state
from ricorda.engine.reference import ReferenceBackend
from ricorda.engine.sampling import log_softmax
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CELLS, CellName
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.pieces import PieceVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

VOCABULARIES: dict[str, Vocabulary] = {
    "characters": CharacterVocabulary("".join(sorted("\n abcdeèλ€😀'\"\\%")), start="\n"),
    "bytes": ByteVocabulary(start=10),
    "pieces": PieceVocabulary("\n abcdeè", [(1, 2), (3, 4), (9, 5), (8, 10)], start="\n"),
    "documents": CharacterVocabulary("\n abcdeè", start="\n", has_boundary=True),
    "labels": CharacterVocabulary(
        "\n abcdeè", start="\n", has_boundary=True, labels=("Greek", "Italian")
    ),
}


@dataclass(frozen=True)
class Case:
    """The kind of a model."""

    cell: CellName
    num_layers: int = 1
    embedding: int | None = None
    vocabulary: str = "characters"
    nonlinearity: str = "tanh"
    hidden_size: int = 12

    def __str__(self) -> str:
        """Its name among the tests."""
        given = f"embedding {self.embedding}" if self.embedding else "one-hot"
        return f"{self.cell} {self.nonlinearity} x{self.num_layers} {given} {self.vocabulary}"


CELL_NAMES = list(CELLS)

CASES = [
    *(
        Case(cell, layers, embedding)
        for cell in CELL_NAMES
        for layers in (1, 2, 3)
        for embedding in (None, 5)
    ),
    *(Case("rnn", layers, 5, nonlinearity="relu") for layers in (1, 2)),
    *(Case("lstm", 2, 5, vocabulary) for vocabulary in VOCABULARIES if vocabulary != "characters"),
    *(Case("gru", 1, None, vocabulary) for vocabulary in ("bytes", "documents", "labels")),
]
"""Every cell, 1 to 3 layers, both inputs, and every kind of vocabulary."""

KNOWN_CASES = [case for case in CASES if CELLS[case.cell].has_recurrent_weights]
"""Those of a cell that torch.nn and ONNX have."""

UNKNOWN_CELLS = [name for name, cell in CELLS.items() if not cell.has_recurrent_weights]
"""The cells that they do not have."""


def make_model(case: Case, random: np.random.Generator) -> ModelFile:
    """Draw a model whose predictions are far from uniform."""
    vocabulary = VOCABULARIES[case.vocabulary]
    configuration = ModelConfiguration(
        cell=case.cell,
        vocabulary_size=vocabulary.size,
        hidden_size=case.hidden_size,
        num_layers=case.num_layers,
        embedding_size=case.embedding or "onehot",
        nonlinearity=case.nonlinearity,  # type: ignore[arg-type]
        documents=vocabulary.boundary is not None,
        num_labels=len(vocabulary.labels) + 1 if vocabulary.labels else 0,
    )
    tensors = {}
    for name, shape in configuration.tensor_shapes().items():
        # Small recurrent weights, so that rounding does not grow from symbol to symbol; units
        # without bounds grow with depth.
        scale = 0.5 / case.hidden_size**0.5 if name.endswith("weight_hh") else 1.0
        if not configuration.is_bounded and name.startswith("layers"):
            scale = 0.4 / case.hidden_size**0.5
        tensors[name] = (scale * random.standard_normal(shape)).astype(np.float32)
    reading: dict[str, Any] = {"documents": "lines"} if configuration.documents else {}
    return ModelFile(configuration, vocabulary, tensors, {"reading": reading} if reading else {})


def random_ids(model: ModelFile, random: np.random.Generator, count: int = 1000) -> NDArray[Any]:
    """Draw ids (count,), boundaries among them where the model has one."""
    return random.integers(0, model.vocabulary.size, count)


def log_probabilities(model: ModelFile, ids: NDArray[Any], label: int = 0) -> NDArray[np.float64]:
    """Return the natural logarithms of the predictions after each id, (T, V), in float64."""
    backend = ReferenceBackend(model.configuration, model.tensors, np.float64)
    labels = None
    if model.configuration.num_labels:
        labels = np.full((1, len(ids)), label, np.uint32)
    state = zero_state(model.configuration, 1, np.float64)
    logits, _ = backend.forward(ids[np.newaxis].astype(np.uint32), state, labels=labels)
    return log_softmax(logits[0].astype(np.float64))


def greedy(model: ModelFile, first: int, count: int, label: int = 0) -> list[int]:
    """Write the most likely symbol again and again after `first`; ids (count,)."""
    backend = ReferenceBackend(model.configuration, model.tensors, np.float64)
    labels = np.array([label], np.uint32) if model.configuration.num_labels else None
    state = zero_state(model.configuration, 1, np.float64)
    written, symbol = [], first
    for _ in range(count):
        logits, state = backend.step(np.array([symbol], np.uint32), state, labels=labels)
        symbol = int(logits[0].argmax())
        written.append(symbol)
    return written
