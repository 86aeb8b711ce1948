"""The options by name, for type checkers; their descriptions are in the settings classes.

Made from those classes by `python -m tests.keyword_files`.
"""

import os
from collections.abc import Iterable
from typing import Literal, TypedDict


class TrialKeywords(TypedDict, total=False):
    """The options of a trial."""

    minutes: float | None
    epochs: float | None
    steps: int | None
    from_model: str | os.PathLike[str] | None
    cell: Literal["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"] | None
    nonlinearity: Literal["tanh", "relu"] | None
    hidden_size: int | None
    num_layers: int | None
    embedding_size: int | Literal["onehot"] | None
    dropout: float | None
    input_dropout: float
    recurrent_dropout: float | None
    batch_size: int | None
    window: int | None
    learning_rate: float | None
    weight_decay: float | None
    clip_norm: float
    softmax_candidates: int | None
    averaging: float
    initialisation: Literal["orthogonal", "uniform"]
    forget_bias: float
    adaptive_validation: bool
    early_samples: bool
    patience: int | None
    keep: int
    log: str | Iterable[str]
    seed: int
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "float32", "bfloat16"]
    backend: Literal["auto", "kernels", "torch"]
    threads: int | None
    vocabulary: str
    min_count: int
    encoding: str | None
    newlines: Literal["auto", "normalise", "keep"]
    decompress: Literal["auto", "off"]
    max_decompressed: str | None
    documents: str
    field: str | None
    label_field: str | None
    label_from: Literal["folder", "file"] | None
    split: Literal["end", "documents", "blocks"] | None
    validation_fraction: float | None
    test_fraction: float
    cache: str | None
    validation: str | os.PathLike[str] | None


class ComparisonKeywords(TrialKeywords, total=False):
    """The options of `compare`."""

    seeds: int
    match: Literal["time", "parameters", "operations"]
    out: str | os.PathLike[str] | None


class TuningKeywords(TrialKeywords, total=False):
    """The options of `tune`."""

    trials: int
    processes: int
    out: str | os.PathLike[str] | None
