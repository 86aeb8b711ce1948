"""Small learners and the batches that they learn, for tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.model import ModelConfiguration
from ricorda.model.cells import CELLS
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.data.negatives import Negatives
from ricorda.training.learner import Batch, Learner, Tensors
from ricorda.training.process_group import Share

NETWORKS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn", "num_layers": 3},
    "relu": {"cell": "rnn", "nonlinearity": "relu", "embedding_size": "onehot"},
    "gru": {"cell": "gru", "num_layers": 2, "hidden_size": 20},
    "lstm": {"cell": "lstm", "num_layers": 2},
    "cifg": {"cell": "cifg", "num_layers": 2},
    "mingru": {"cell": "mingru", "num_layers": 2},
    "minlstm": {"cell": "minlstm", "num_layers": 2},
    "documents": {"cell": "gru", "num_layers": 2, "documents": True},
    "documents with labels": {"cell": "lstm", "num_layers": 2, "documents": True, "num_labels": 4},
    "many symbols": {"cell": "lstm", "vocabulary_size": 50, "hidden_size": 16},
}

DROPPING = {"dropout": 0.2, "input_dropout": 0.1, "recurrent_dropout": 0.3, "averaging": 0.9}


def settings(network: dict[str, Any] | None = None, **changes: Any) -> TrainingConfiguration:
    """Settings of a small learner, without dropout of what the network does not have."""
    shape: dict[str, Any] = {
        "cell": "lstm",
        "vocabulary_size": 11,
        "hidden_size": 6,
        "embedding_size": 4,
    } | (network or {})
    if shape["embedding_size"] == "onehot":
        changes.pop("input_dropout", None)
    if not CELLS[shape["cell"]].has_recurrent_weights:
        changes.pop("recurrent_dropout", None)
    options: dict[str, Any] = {
        "model": ModelConfiguration(**shape),
        "budget": Budget(steps=10),
        "batch_size": 3,
        "window": 7,
        "learning_rate": 0.01,
    }
    return TrainingConfiguration(**(options | changes))


def batch(step: int, configuration: TrainingConfiguration, share: Share | None = None) -> Batch:
    """Return a random window; every third restarts the first row.

    One in V symbols is a boundary. Labels change with each symbol, which a learner may not mind.
    """
    random = np.random.default_rng(step)
    rows = slice(None) if share is None else share.rows
    size = (2, configuration.batch_size, configuration.window)
    symbols = random.integers(configuration.model.vocabulary_size, size=size, dtype=np.uint32)
    inputs, targets = symbols[:, rows]
    restart = np.eye(configuration.batch_size, dtype=np.float32)[0][rows] if step % 3 == 2 else None
    negatives = None
    if configuration.softmax_candidates:
        ids = np.arange(step % 2, configuration.model.vocabulary_size, 2).astype(np.uint32)
        negatives = Negatives(ids, np.full(len(ids), np.log(0.5), np.float32))
    return Batch(inputs, targets, restart, negatives, labels_of(inputs, configuration))


def labels_of(
    inputs: NDArray[np.uint32], configuration: TrainingConfiguration
) -> NDArray[np.uint32] | None:
    """Return a label for each input, (B, T), if the model has labels."""
    number = configuration.model.num_labels
    return ((inputs * 7 + 3) % number).astype(np.uint32) if number else None


def learn(learner: Learner, steps: range) -> list[float]:
    """Take steps at a falling rate; return each one's nats."""
    return [
        learner.take_step(
            batch(step, learner.configuration, learner.share), 0.02 / (1 + step), step
        ).nats_per_symbol
        for step in steps
    ]


def assert_equal(ours: Tensors, theirs: Tensors) -> None:
    """Check that everything is equal, bit for bit."""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def assert_near(ours: Tensors, theirs: Tensors, share: float = 1e-5) -> None:
    """Check that everything is equal within a share of each array's largest entry."""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        scale = max(float(np.abs(theirs[name]).max()), 1e-6)
        distance = float(np.abs(value - theirs[name]).max())
        assert distance <= share * scale, f"{name}: {distance:g} of {scale:g}"
