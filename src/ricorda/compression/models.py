"""A trained model as the predictor of a file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.compression.symbols import Alphabet, ByteAlphabet, CharacterAlphabet
from ricorda.engine.model import MODEL_FILE_NAME, load_file
from ricorda.errors import ConfigurationError, MissingExtra
from ricorda.model.model_file import ModelFile
from ricorda.text.vocabulary import ByteVocabulary, CharacterVocabulary

SEGMENT = 32
RATES = (2e-4, 6e-4, 1.8e-3)
PULL = 1e-3
"""The settings of adaptive reading, which belong to the format."""


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
        sizes = getattr(self.file, "gradient_sizes", None)
        return None if sizes is None else exact_factors(sizes)


def exact_factors(sizes: dict[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
    """Return 1 / (root mean square + a share of their mean) of each weight's gradient.

    The byte v stands for the root mean square 2^(v / 8 - 32). Only operations that are rounded in
    the same way everywhere are used.
    """
    table = [_EIGHTHS[value % 8] * 2.0 ** (value // 8 - 32) for value in range(256)]
    counts = np.zeros(256, np.int64)
    for each in sizes.values():
        counts += np.bincount(each.ravel(), minlength=256)
    mean = 0.0
    for value, count in zip(table, counts.tolist(), strict=True):
        mean += value * count
    mean /= int(counts.sum())
    factors = np.array([1 / (value + FLOOR * mean) for value in table], np.float32)
    return {name: factors[each] for name, each in sizes.items()}


FLOOR = 0.03

_EIGHTHS = (
    1.0,
    1.0905077326652577,
    1.189207115002721,
    1.2968395546510096,
    1.4142135623730951,
    1.5422108254079407,
    1.681792830507429,
    1.8340080864093424,
)
"""2^(i / 8)."""
