"""PyTorch's learner among several processes; `test_backends.py` compares it with the kernels'."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from ricorda.torch.learner import TorchLearner
from ricorda.training.process_group import ProcessGroup
from tests.training.learners import batch, settings


class OneOfTwo(ProcessGroup):
    """The first of two processes, whose gradients nobody adds up."""

    size = 2


@pytest.fixture
def world(tmp_path: Path) -> Any:
    """A group of PyTorch's with this process alone."""
    if not dist.is_available():
        pytest.skip("PyTorch without torch.distributed")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
def test_a_learner_among_several_warns_of_nothing(world: None, cell: str) -> None:
    """A user can do nothing about PyTorch's warnings of its own options."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner = TorchLearner(settings({"cell": cell}), OneOfTwo())
        learner.take_step(batch(0, learner.configuration, learner.share), 0.01, 0)
    assert isinstance(learner._loss, torch.nn.parallel.DistributedDataParallel)
    assert not list(learner.model.buffers())  # which would be sent with every step


def test_a_process_with_more_streams_counts_for_more(world: None) -> None:
    """The group of one divides gradients by one, where that of two would divide by two."""
    whole = settings(batch_size=5, clip_norm=1e9)
    alone = TorchLearner(settings(batch_size=2, clip_norm=1e9))
    part = TorchLearner(whole, OneOfTwo())
    assert part.share.count == 2
    window = batch(0, alone.configuration)
    one, other = (learner.take_step(window, 0.01, 0) for learner in (alone, part))
    assert other.nats_per_symbol == pytest.approx(one.nats_per_symbol * 2 / 5)
    assert other.gradient_norm == pytest.approx(one.gradient_norm * 2 * 2 / 5)


def test_released_it_has_its_weights_alone() -> None:
    learner = TorchLearner(settings(averaging=0.9))
    learner.take_step(batch(0, learner.configuration), 0.01, 0)
    before = {name: array.copy() for name, array in learner.weights().items()}
    learner.release()
    assert learner.arrays().keys() == {f"model.{name}" for name in before}
    for name, array in learner.weights().items():
        np.testing.assert_array_equal(array, before[name])


def test_threads_are_the_runs_own_during_a_step_alone() -> None:
    threads = torch.get_num_threads()
    learner = TorchLearner(settings(threads=threads + 1))
    with learner._computing():
        assert torch.get_num_threads() == threads + 1
    assert torch.get_num_threads() == threads
