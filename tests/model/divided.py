"""Small models of documents with labels and random weights, for tests."""

from dataclasses import replace
from typing import Any

import numpy as np

from ricorda.engine import Model, open_model
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CellName
from ricorda.text import ByteVocabulary, CharacterVocabulary
from ricorda.text.vocabulary import Vocabulary

LABELS = ("Italian", "Irish")
SYMBOLS = "\n \"'(),.abcdefghijklmnopqrstuvwxyz"


def divided_vocabulary(*, of_bytes: bool = False) -> Vocabulary:
    """Letters, or bytes, the boundary and two labels."""
    divided: dict[str, Any] = {"has_boundary": True, "labels": LABELS}
    if of_bytes:
        return ByteVocabulary(10, **divided)
    return CharacterVocabulary(SYMBOLS, "\n", **divided)


def divided_file(
    cell: CellName = "lstm", *, of_bytes: bool = False, seed: int = 1, **shape: Any
) -> ModelFile:
    """A model file of documents whose three label rows differ."""
    vocabulary = divided_vocabulary(of_bytes=of_bytes)
    sizes: dict[str, Any] = {"hidden_size": 8, "num_layers": 2, "embedding_size": 5} | shape
    configuration = ModelConfiguration(
        cell=cell, vocabulary_size=vocabulary.size, documents=True, num_labels=3, **sizes
    )
    random = np.random.default_rng(seed)
    tensors = {
        name: random.normal(0, 0.7, size).astype(np.float32)
        for name, size in configuration.tensor_shapes().items()
    }
    return ModelFile(configuration, vocabulary, tensors, {"texts": ["names"]})


def divided_model(cell: CellName = "lstm", **options: Any) -> Model:
    """The same by the NumPy engine, ready to run."""
    return open_model(divided_file(cell, **options), backend="numpy")


def without_labels(file: ModelFile, label: int = 0) -> ModelFile:
    """The model without labels that computes what another does under one label.

    A label's row, the same at each step, is a part of the first layer's input biases.
    """
    configuration = replace(file.configuration, num_labels=0)
    tensors = {name: tensor for name, tensor in file.tensors.items() if name != "labels.weight"}
    row = file.tensors["labels.weight"][label]
    tensors["layers.0.bias_ih"] = tensors["layers.0.bias_ih"] + row
    return replace(file, configuration=configuration, tensors=tensors)
