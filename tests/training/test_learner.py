"""Making what learns."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from ricorda.model import ModelConfiguration
from ricorda.training import Budget, TrainingConfiguration
from ricorda.training.learner import make_learner
from ricorda.training.process_group import ProcessGroup


class TwoOfThem(ProcessGroup):
    """The first of two processes, which exchange nothing."""

    size = 2


@pytest.mark.skipif(not dist.is_available(), reason="PyTorch without torch.distributed")
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_learner_by_pytorch_among_several_warns_of_nothing(tmp_path: Path, cell: Any) -> None:
    """Nobody who trains can do anything about PyTorch's warnings of its own options."""
    settings = TrainingConfiguration(
        model=ModelConfiguration(cell=cell, vocabulary_size=5, hidden_size=4, embedding_size=3),
        budget=Budget(steps=1),
        batch_size=2,
        window=3,
        learning_rate=0.01,
        kernels="off",
    )
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            learner = make_learner(settings, TwoOfThem())
    finally:
        dist.destroy_process_group()
    assert isinstance(learner.loss, torch.nn.parallel.DistributedDataParallel)
    assert not list(learner.model.buffers())  # which would be sent with every step
