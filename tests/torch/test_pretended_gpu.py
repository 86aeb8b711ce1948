"""Training on a pretended GPU: every tensor's device, and every synchronization."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ricorda.errors import ConfigurationError
from ricorda.model import ModelConfiguration
from ricorda.model.cells import CELLS
from ricorda.text import CharacterVocabulary, Part, WindowStream
from ricorda.torch import output_loss
from ricorda.torch.device import take_own_gpu, tf32
from ricorda.torch.learner import TorchLearner
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.data.loader import DataLoader
from ricorda.training.data.negatives import NegativeSampler
from ricorda.training.evaluation import QuickEvaluation, evaluate
from ricorda.training.kernel_learner import KernelLearner
from ricorda.training.options import TrainingOptions
from ricorda.training.plan import forecast
from ricorda.training.plan.machine import memory_need, this_machine
from tests.torch.pretended_gpu import GPU, Pretended, pretended_gpu

ASCII = "".join(map(chr, range(33, 123)))
IDS = Part.whole(np.random.default_rng(4).integers(0, 11, 6000).astype(np.uint8))
SMALL: dict[str, Any] = {
    "budget": Budget(steps=9),
    "batch_size": 4,
    "window": 8,
    "learning_rate": 1e-3,
    "reset_probability": 1.0,
    "device": "cuda",
    "backend": "torch",
}
DROPS: dict[str, Any] = {
    "dropout": 0.2,
    "recurrent_dropout": 0.2,
    "input_dropout": 0.1,
    "averaging": 0.99,
}


def settings(cell: Any = "lstm", embedding: Any = 5, **changes: Any) -> TrainingConfiguration:
    network = ModelConfiguration(
        cell=cell, vocabulary_size=11, hidden_size=6, num_layers=2, embedding_size=embedding
    )
    return TrainingConfiguration(model=network, **{**SMALL, **changes})


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretended]:
    with pretended_gpu(monkeypatch) as seen:
        yield seen


def batches(configuration: TrainingConfiguration) -> DataLoader:
    """Batches that restart every stream."""
    stream = WindowStream(IDS, batch_size=4, window=8, seed=1, reset_probability=1.0)
    count = configuration.softmax_candidates
    return DataLoader(stream, NegativeSampler(IDS, 11, count, seed=1) if count else None)


def steps(gpu: Pretended, configuration: TrainingConfiguration, count: int = 2) -> TorchLearner:
    """A learner that has taken some steps."""
    learner = TorchLearner(configuration)
    gpu.model = learner.model
    loader = batches(configuration)
    for number in range(count):
        learner.take_step(loader.batch_at(number), 1e-3, number)
    return learner


def all_tensors(learner: TorchLearner) -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint but the count of averaged steps, which needs no GPU."""
    return {name: t for name, t in learner._tensors().items() if name != "average.steps"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_step_stays_on_the_gpu_and_waits_for_it_once(
    gpu: Pretended, cell: str, precision: Any
) -> None:
    for embedding, options in ((5, DROPS), ("onehot", {})):
        learner = steps(gpu, settings(cell, embedding, precision=precision, **options))
        for name, tensor in all_tensors(learner).items():
            assert (name, tensor.device, tensor.dtype) == (name, GPU, torch.float32)
    assert (gpu.learned, gpu.layers, gpu.waits) == (4, 8, 4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_large_vocabulary_is_read_on_the_gpu(
    gpu: Pretended, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    monkeypatch.setattr(output_loss.mean_nats, "__defaults__", (33,))
    steps(gpu, settings(precision=precision))
    assert gpu.waits == 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_sampled_softmax_is_read_on_the_gpu(gpu: Pretended, precision: Any) -> None:
    learner = steps(gpu, settings(precision=precision, softmax_candidates=4))
    assert {tensor.device for tensor in all_tensors(learner).values()} == {GPU}
    assert gpu.waits == 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_evaluation_waits_for_the_gpu_at_its_end_alone(gpu: Pretended, precision: Any) -> None:
    learner = steps(gpu, settings(precision=precision, averaging=0.9), count=1)
    gpu.waits = gpu.layers = 0
    evaluate(learner, QuickEvaluation(IDS))
    assert gpu.waits == 0  # one copy of all nats to the processor for each kind of weights
    assert gpu.layers > 4
    assert {tensor.device for tensor in all_tensors(learner).values()} == {GPU}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_checkpoint_lies_beside_the_processor_and_comes_back(
    gpu: Pretended, precision: Any
) -> None:
    configuration = settings(precision=precision, averaging=0.9)
    learner = steps(gpu, configuration)
    _ = learner.is_finite  # whatever it is without contents
    saved = learner.tensors()
    assert all(isinstance(array, np.ndarray) for array in saved.values())
    fresh = TorchLearner(configuration)
    fresh.restore(saved)
    gpu.model = fresh.model
    for tensor in all_tensors(fresh).values():
        assert tensor.device == GPU
    fresh.take_step(batches(configuration).batch_at(3), 1e-3, 3)


def test_a_processors_run_continues_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    here = settings(device="cpu", averaging=0.9)
    learner = KernelLearner(here)
    learner.take_step(batches(here).batch_at(0), 1e-3, 0)
    saved = learner.tensors()
    there = replace(here, device="cuda")
    with pretended_gpu(monkeypatch) as gpu:
        moved = TorchLearner(there)
        moved.restore(saved)
        gpu.model = moved.model
        moved.take_step(batches(there).batch_at(1), 1e-3, 1)
        assert {tensor.device for tensor in all_tensors(moved).values()} == {GPU}


def test_devices_are_not_mixed_unseen(gpu: Pretended) -> None:
    """The stand-in itself: what a GPU would refuse, it refuses."""
    learner = TorchLearner(settings())
    gpu.model = learner.model
    learner._state = [tuple(part.cpu() for part in layer) for layer in learner._state]
    with pytest.raises((RuntimeError, AssertionError)):
        learner.take_step(batches(settings()).batch_at(0)._replace(restart=None), 1e-3, 0)


def test_each_process_of_a_machine_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch, gpus=2):
        machine = this_machine(TrainingOptions(processes=2))
        assert (machine.device, machine.processes) == ("cuda", 2)
        assert machine.bfloat16 == set(CELLS)
        with pytest.raises(ConfigurationError, match="GPU for each of 3"):
            this_machine(TrainingOptions(processes=3))
        assert this_machine(TrainingOptions(processes=3, device="cpu")).device == "cpu"


def test_each_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    take_own_gpu()  # alone: whatever the program has chosen
    assert not taken
    for name, value in (
        ("RANK", "3"),
        ("WORLD_SIZE", "4"),
        ("MASTER_ADDR", ""),
        ("MASTER_PORT", ""),
    ):
        monkeypatch.setenv(name, value)
    for number in ("1", "2"):  # the second finds no GPU of its number, and no CUDA error either
        monkeypatch.setenv("LOCAL_RANK", number)
        take_own_gpu()
    assert taken == [1]


def test_bfloat16_is_refused_where_layers_lack_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch):
        monkeypatch.setattr("ricorda.torch.device._layers_learn_bfloat16", lambda: False)
        assert not this_machine(TrainingOptions()).bfloat16
        with pytest.raises(ConfigurationError, match=r"PyTorch 2\.10"):
            this_machine(TrainingOptions(precision="bfloat16"))


def test_float32_is_not_rounded_whoever_switched_it_on() -> None:
    """By the newer of PyTorch's two switches, after which the older cannot even be read."""
    places = torch.backends.cuda.matmul, torch.backends.cudnn.rnn
    if not hasattr(places[0], "fp32_precision"):
        pytest.skip("needs PyTorch 2.9")
    learner = TorchLearner(settings(device="cpu"))
    with tf32(on=True):
        assert [place.fp32_precision for place in places] == ["tf32", "tf32"]
        with learner._computing():
            assert [place.fp32_precision for place in places] == ["ieee", "ieee"]
        assert [place.fp32_precision for place in places] == ["tf32", "tf32"]


def test_each_gpu_has_memory_of_its_own() -> None:
    alone, together = settings(), settings(processes=2)
    assert memory_need(together, 6000).learner == memory_need(alone, 6000).learner
    assert memory_need(together, 6000).window < memory_need(alone, 6000).window
    beside = memory_need(replace(together, device="cpu"), 6000)
    assert beside.learner == 2 * memory_need(alone, 6000).learner


@pytest.mark.parametrize("device, measured", [("cuda", 3), ("cpu", 1)])
def test_a_larger_network_is_measured_again_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, device: Any, measured: int
) -> None:
    sizes: list[int] = []

    def speed(configuration: TrainingConfiguration, *_: Any) -> float:
        """Ten steps per second whatever the size, as where a GPU is not filled."""
        sizes.append(configuration.model.hidden_size)
        return 10.0

    monkeypatch.setattr(forecast, "measure_speed", speed)
    monkeypatch.setattr(forecast, "check_memory", lambda *_: None)
    dataset: Any = type("Dataset", (), {})()
    dataset.training = Part.whole(np.zeros(50_000_000, np.uint8))
    dataset.text = type("Text", (), {"vocabulary": CharacterVocabulary(ASCII, "a")})
    machine = replace(this_machine(TrainingOptions(device="cpu")), device=device, operations=1e10)
    forecast.settle(TrainingOptions(minutes=60), dataset, machine)
    assert len(sizes) == measured
    assert sizes == sorted(set(sizes))


def test_a_measured_step_that_lacks_memory_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def speed(*_: Any) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(forecast, "measure_speed", speed)
    with pytest.raises(ConfigurationError, match="--batch-size"):
        forecast._operations(settings(), IDS)
