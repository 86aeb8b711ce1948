"""A trained model as the predictor of a file."""

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ricorda.compression.symbols import Alphabet, ByteAlphabet, CharacterAlphabet
from ricorda.engine.adaptive import make_reader
from ricorda.engine.loading import load_file
from ricorda.errors import ConfigurationError, MissingExtra
from ricorda.model.model_file import ModelFile, model_file_path
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary


@dataclass(frozen=True)
class TrainedModel:
    """A model, and by what an archive knows it."""

    file: ModelFile
    digest: bytes
    """SHA-256 of its file."""

    @classmethod
    def load(cls, path: Path) -> "TrainedModel":
        """Load a model file or that of a run's folder.

        Raises ModelFileError for one that is missing or damaged, ConfigurationError for a model of
        words or pieces.
        """
        file = load_file(path)
        if not isinstance(file.vocabulary, CharacterVocabulary | ByteVocabulary):
            raise ConfigurationError(
                f"expected a model of characters or bytes to compress with, {path} predicts "
                f"{file.vocabulary.kind}"
            )
        return cls(file, hashlib.sha256(model_file_path(path).read_bytes()).digest())

    def alphabet(self, *, escapes: bool) -> Alphabet:
        """Return the symbols that it predicts, and those of other bytes."""
        vocabulary = self.file.vocabulary
        if isinstance(vocabulary, CharacterVocabulary):
            return CharacterAlphabet(vocabulary, escapes=escapes)
        return ByteAlphabet(vocabulary.size)

    def arguments(self, threads: int, kernels: str = "") -> dict[str, Any]:
        """Return the arguments by which a SymbolEncoder or SymbolDecoder takes the model."""
        kernels_module = compiled_kernels()
        from ricorda.engine.native import make_network

        configuration = self.file.configuration
        tensors = {
            name: np.ascontiguousarray(self.file.tensors[name], np.float32)
            for name in configuration.tensor_shapes()
        }
        network = make_network(
            configuration, tensors, "float32", kernels_module.choose_exact_set(kernels)
        )
        reader = make_reader(network, configuration, tensors, self.file.gradient_sizes, threads)
        return {"network": reader, "start": self.file.vocabulary.start}


def compiled_kernels() -> Any:
    """Return the module of the kernels. Raises MissingExtra if it was not built."""
    try:
        return importlib.import_module("ricorda._kernels")
    except ImportError:
        raise MissingExtra(
            "the compiled kernels are missing, which this compression needs: install a C++ "
            "compiler and reinstall ricorda, or install a wheel with kernels"
        ) from None
