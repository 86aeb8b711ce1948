"""A trained model as the predictor of a file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.compression.symbols import Alphabet, ByteAlphabet, CharacterAlphabet
from ricorda.engine.adaptive import PULL, RATES, SEGMENT, gradient_factors
from ricorda.engine.model import MODEL_FILE_NAME, load_file
from ricorda.errors import ConfigurationError, MissingExtra
from ricorda.model.model_file import ModelFile
from ricorda.text.vocabulary import ByteVocabulary, CharacterVocabulary


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
        place = path / MODEL_FILE_NAME if path.is_dir() else path
        return cls(file, hashlib.sha256(place.read_bytes()).digest())

    def alphabet(self, *, escapes: bool) -> Alphabet:
        """Return the symbols that it predicts, and those of other bytes."""
        vocabulary = self.file.vocabulary
        if isinstance(vocabulary, CharacterVocabulary):
            return CharacterAlphabet(vocabulary, escapes=escapes)
        return ByteAlphabet(vocabulary.size)

    def arguments(self, threads: int, kernels: str = "") -> dict[str, Any]:
        """Return the arguments by which a SymbolEncoder or SymbolDecoder takes the model."""
        try:
            from ricorda import _kernels
            from ricorda.engine.native import make_network
        except ImportError:
            raise MissingExtra(
                "compressing needs the compiled kernels, which are missing"
            ) from None
        configuration = self.file.configuration
        tensors = {
            name: np.ascontiguousarray(self.file.tensors[name], np.float32)
            for name in configuration.tensor_shapes()
        }
        network = make_network(
            configuration, tensors, "float32", _kernels.choose_exact_set(kernels)
        )
        factors = self._factors()
        reader = _kernels.AdaptiveReader(
            network,
            parameters=[
                (
                    tensor.ravel(),
                    factors[name].ravel() if factors else np.zeros_like(tensor.ravel()),
                )
                for name, tensor in tensors.items()
            ],
            rates=list(RATES) if factors else [],
            pull=PULL,
            segment=SEGMENT,
            threads=threads,
        )
        return {"network": reader, "start": self.file.vocabulary.start}

    def _factors(self) -> dict[str, NDArray[np.float32]] | None:
        """Return what gradients are multiplied by; None for a file that does not say."""
        sizes = self.file.gradient_sizes
        return None if sizes is None else gradient_factors(sizes)
