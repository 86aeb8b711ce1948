"""Start a run from a trained model: what the model decides, and its weights for more symbols.

The network is the model's. Its vocabulary is the model's too, extended by the new text's
characters, boundary and labels. A new symbol gets the mean of the rows of all old ones, in the
embedding (or the columns of the one-hot input) and in the output layer, so that it is read and
predicted like an average symbol. A new label gets the row of documents without a label.

New symbols take probability from the old ones. At every step the mean logit of V symbols belongs to
a probability of at most 1 / V, since a geometric mean is at most an arithmetic one. So the bias of
N new symbols is the mean bias less log(N / (V s)), and together they have at most the share s of
any prediction: the old text's loss rises by at most s nats a symbol.
"""

import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ricorda.durable import open_untrusting, write_atomically
from ricorda.errors import ConfigurationError, ModelFileError, RunError
from ricorda.model import ModelFile, read_model_file
from ricorda.model.cells import CELLS
from ricorda.model.model_file import model_file_bytes, model_file_path
from ricorda.runs import RunFolder
from ricorda.text import PieceVocabulary, Vocabulary
from ricorda.text.extension import NEW, label_origins, origins
from ricorda.training.checkpoint.record import StartRecord
from ricorda.training.options import INITIAL, NETWORK, TrainingOptions

NEW_SHARE = 1e-5
"""The most that all new symbols together may take of a prediction of the model, in nats too."""

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Start:
    """A model that a run starts from."""

    path: Path
    """As it was given: a model file, or a run's folder."""

    file: ModelFile
    digest: str
    """SHA-256 of the file."""


def read_start(given: Path) -> Start:
    """Read a model file, or that of a run's folder. Raises ModelFileError."""
    path = model_file_path(given)
    file = read_model_file(path)
    with path.open("rb") as opened:
        return Start(given, file, _digest(opened))


def completed(options: TrainingOptions, given: Collection[str], start: Start) -> TrainingOptions:
    """Take from the model what it decides, and how it read its text where nothing else is given.

    given: the names of the options that were set. Raises ConfigurationError for one that the model
    contradicts.
    """
    model, vocabulary = start.file.configuration, start.file.vocabulary
    for name in NETWORK:
        _agree(name, getattr(options, name), getattr(model, name), given, start)
    for name in INITIAL:
        if name in given:
            raise ConfigurationError(
                f"{_flag(name)} is for random weights, but --from starts from those of "
                f"{start.path}: leave one of them out"
            )
    kind = _vocabulary_option(vocabulary)
    _agree("vocabulary", options.vocabulary, kind, given, start)
    reading = start.file.reading
    settled: dict[str, Any] = {name: getattr(model, name) for name in NETWORK}
    if not CELLS[model.cell].takes_nonlinearity:
        del settled["nonlinearity"]
    settled |= {"vocabulary": kind, "documents": _documents(options, start)}
    if options.newlines == "auto":
        settled["newlines"] = reading.line_ends(vocabulary.kind)
    return replace(options, **settled)


def _agree(name: str, value: Any, has: Any, given: Collection[str], start: Start) -> None:
    """Raise ConfigurationError if an option was given that differs from what the model has."""
    if name in given and value != has:
        raise ConfigurationError(
            f"{_flag(name)} {value}: {start.path} has {has}, and a run that starts from a model "
            "keeps that: leave the option out, or leave out --from"
        )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _vocabulary_option(vocabulary: Vocabulary) -> str:
    """The --vocabulary that a model's symbols are of."""
    if not isinstance(vocabulary, PieceVocabulary):
        return vocabulary.kind
    special = (vocabulary.rare is not None) + (vocabulary.boundary is not None)
    return f"pieces:{vocabulary.size - special}"


def _documents(options: TrainingOptions, start: Start) -> str:
    """How the text is divided: for a model of documents a whole text is a document."""
    if start.file.vocabulary.boundary is None:
        return options.documents
    if options.documents == "text":
        raise ConfigurationError(
            f"--documents text: {start.path} learned documents, so a whole text is one of them: "
            "give --documents files"
        )
    if options.documents != "auto" or options.field is not None:
        return options.documents
    before = start.file.reading.documents
    return "files" if before in {"auto", "text", "rows"} else before


def adapted(file: ModelFile, vocabulary: Vocabulary) -> ModelFile:
    """Give a model more symbols and labels: all those of an extended vocabulary."""
    sources = origins(file.vocabulary, vocabulary)
    shape = replace(
        file.configuration,
        vocabulary_size=vocabulary.size,
        documents=vocabulary.boundary is not None,
        num_labels=len(vocabulary.labels) + 1 if vocabulary.labels else 0,
    )
    tensors = dict(file.tensors)
    for name in ("embedding.weight", "output.weight"):
        if name in tensors:
            tensors[name] = _with_mean_rows(tensors[name], sources)
    if shape.embedding_size == "onehot":
        columns = tensors["layers.0.weight_ih"].T
        tensors["layers.0.weight_ih"] = _with_mean_rows(columns, sources).T
    tensors["output.bias"] = _output_bias(tensors["output.bias"], sources)
    if shape.num_labels:
        without_labels = np.zeros((1, shape.gates * shape.hidden_size), np.float32)
        rows = tensors.get("labels.weight", without_labels)
        tensors["labels.weight"] = _label_rows(rows, label_origins(file.vocabulary, vocabulary))
    tensors = {name: np.ascontiguousarray(tensors[name]) for name in shape.tensor_shapes()}
    return ModelFile(shape, vocabulary, tensors, file.training)


def _with_mean_rows(rows: NDArray[np.float32], sources: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the rows (V, N) that symbols have in an old matrix, the mean row for new ones."""
    mean = rows.mean(0, dtype=np.float64).astype(np.float32)
    return np.concatenate([rows, mean[None]])[sources]  # NEW is the last row


def _label_rows(rows: NDArray[np.float32], sources: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the rows (K, N) of labels: for new ones, and where there were none, that of no label.

    A model that learned without labels has one row of zeros.
    """
    known = (sources != NEW) & (sources < len(rows))
    return rows[np.where(known, sources, 0)]


def _output_bias(bias: NDArray[np.float32], sources: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the output bias (V,): for new symbols so low that the old ones keep their figures."""
    number = np.count_nonzero(sources == NEW)
    lowered = math.log(max(1.0, number / (len(bias) * NEW_SHARE)))
    new = np.float32(bias.mean(dtype=np.float64) - lowered)
    return np.append(bias, new)[sources]


def save_start(folder: RunFolder, start: Start, vocabulary: Vocabulary) -> StartRecord:
    """Write the model with the text's vocabulary into a run's folder; return what to record."""
    content = model_file_bytes(adapted(start.file, vocabulary))
    write_atomically(folder.start, content)
    figures = start.file.training.get("validation")
    nats = figures.get("nats_per_character") if isinstance(figures, dict) else None
    is_figure = isinstance(nats, float) and math.isfinite(nats)
    return StartRecord(
        model=str(start.path.absolute()),
        digest=start.digest,
        nats_per_character=nats if is_figure else None,
        own_digest=hashlib.sha256(content).hexdigest(),
        new_symbols=vocabulary.size - start.file.vocabulary.size,
    )


def saved_start(folder: RunFolder, record: StartRecord) -> ModelFile:
    """Read the model that a run started from. Raises RunError if it is missing or has changed."""
    try:
        with open_untrusting(folder.start) as file:
            has_changed = _digest(file) != record.own_digest
        if not has_changed:
            return read_model_file(folder.start)
        reason = "has changed since the run began"
    except (OSError, ModelFileError) as error:
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    raise RunError(
        f"{folder.start}, the model that the run started from, {reason}: restore it, or start a "
        "new run"
    )


def _digest(file: IO[bytes]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
