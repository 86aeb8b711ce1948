"""`--device mps` on a pretended Apple GPU: every tensor's device and type."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ricorda.errors import ConfigurationError, NonFiniteLoss
from ricorda.text import WindowStream
from ricorda.torch.learner import TorchLearner
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.loader import DataLoader
from ricorda.training.evaluation import QuickEvaluation, evaluate
from ricorda.training.kernel_learner import KernelLearner
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.machine import this_machine
from tests.torch.pretended_gpu import APPLE_GPU, Pretended, pretended_apple_gpu
from tests.torch.test_pretended_gpu import DROPS, IDS, all_tensors, batches, settings, steps


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretended]:
    with pretended_apple_gpu(monkeypatch) as seen:
        yield seen


def on_apple(*network: Any, **changes: Any) -> TrainingConfiguration:
    return settings(*network, device="mps", **changes)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("embedding, options", [(5, DROPS), ("onehot", {})])
def test_a_step_stays_on_the_gpu(
    gpu: Pretended, cell: str, embedding: Any, options: dict[str, Any]
) -> None:
    learner = steps(gpu, on_apple(cell, embedding, **options))
    for name, tensor in all_tensors(learner).items():
        assert (name, tensor.device, tensor.dtype) == (name, APPLE_GPU, torch.float32)
    assert (gpu.learned, gpu.layers) == (2, 4)
    assert gpu.waits == 4  # for the gradient's norm before the update, and at the end of a step


def test_a_sampled_softmax_and_an_evaluation_stay_on_the_gpu(gpu: Pretended) -> None:
    learner = steps(gpu, on_apple(softmax_candidates=4, averaging=0.9))
    evaluate(learner, QuickEvaluation(IDS))
    assert {tensor.device for tensor in all_tensors(learner).values()} == {APPLE_GPU}


def test_a_checkpoint_lies_beside_the_processor_and_comes_back(gpu: Pretended) -> None:
    learner = steps(gpu, on_apple(averaging=0.9))
    _ = learner.is_finite
    saved = learner.tensors()
    assert all(isinstance(array, np.ndarray) for array in saved.values())
    fresh = TorchLearner(on_apple(averaging=0.9))
    fresh.restore(saved)
    assert {tensor.device for tensor in all_tensors(fresh).values()} == {APPLE_GPU}


def test_a_processors_run_continues_on_an_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    here = settings(device="cpu", averaging=0.9)
    learner = KernelLearner(here)
    learner.take_step(batches(here).batch_at(0), 1e-3, 0)
    saved = learner.tensors()
    there = replace(here, device="mps")
    with pretended_apple_gpu(monkeypatch) as gpu:
        moved = TorchLearner(there)
        moved.restore(saved)
        gpu.model = moved.model
        moved.take_step(DataLoader(stream_of(there)).batch_at(1), 1e-3, 1)
        assert {tensor.device for tensor in all_tensors(moved).values()} == {APPLE_GPU}


def stream_of(configuration: TrainingConfiguration) -> WindowStream:
    return WindowStream(IDS, batch_size=4, window=8, seed=configuration.seed)


def test_no_weight_changes_if_the_gradient_is_not_finite(
    gpu: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AdamW for Apple GPUs ignores `found_inf`, so the norm is read first."""
    learner = steps(gpu, on_apple(), count=0)
    monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: float("inf"))
    monkeypatch.setattr(
        learner._optimizer, "step", lambda: pytest.fail("AdamW has changed the weights")
    )
    with pytest.raises(NonFiniteLoss):
        learner.take_step(batches(on_apple()).batch_at(0), 1e-3, 0)


def test_the_stand_in_refuses_float64(gpu: Pretended) -> None:
    with pytest.raises(AssertionError):
        torch.zeros(2, device=APPLE_GPU).double()


def test_what_an_apple_gpu_lacks_is_refused(gpu: Pretended) -> None:
    machine = this_machine(TrainingOptions(device="mps"))
    assert (machine.device, machine.bfloat16) == ("mps", frozenset())
    assert this_machine(TrainingOptions()).device == "cpu"  # not chosen by itself
    with pytest.raises(ConfigurationError, match="2 processes cannot share"):
        this_machine(TrainingOptions(device="mps", processes=2))
    with pytest.raises(ConfigurationError, match="float32 only on mps"):
        this_machine(TrainingOptions(device="mps", precision="bfloat16"))


def test_without_an_apple_gpu_one_line_says_so() -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine has an Apple GPU")
    with pytest.raises(ConfigurationError, match="no Apple GPU here; give --device cpu"):
        this_machine(TrainingOptions(device="mps"))
