"""The way through a GPU, with a GPU that is not there: every tensor's device, every wait for it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ricorda.training.learner_state import Learner

from ricorda.errors import ConfigurationError
from ricorda.model import ModelConfiguration
from ricorda.text import WindowStream
from ricorda.torch import output_loss
from ricorda.training import TrainingOptions
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.data.loader import DataLoader
from ricorda.training.data.negatives import CandidateSampler
from ricorda.training.evaluation import QuickEvaluation
from ricorda.training.learner import make_learner, take_step, to_batch
from ricorda.training.plan import forecast
from ricorda.training.plan.machine import computing_with, take_own_gpu, tf32, this_machine
from ricorda.training.plan.memory import memory_need
from tests.torch.pretended_gpu import GPU, Pretended, pretended_gpu

IDS = np.random.default_rng(4).integers(0, 11, 6000).astype(np.uint8)
SMALL: dict[str, Any] = {
    "budget": Budget(steps=9),
    "batch_size": 4,
    "window": 8,
    "learning_rate": 1e-3,
    "reset_probability": 1.0,
    "device": "cuda",
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


def steps(gpu: Pretended, configuration: TrainingConfiguration, count: int = 2) -> Learner:
    """A learner that has taken some steps, each of which begins every stream anew."""
    learner = make_learner(configuration)
    learner.model.train()
    gpu.model = learner.model
    stream = WindowStream(IDS, batch_size=4, window=8, seed=1, reset_probability=1.0)
    drawn = None
    if configuration.softmax_candidates:
        drawn = CandidateSampler(IDS, 11, configuration.softmax_candidates, seed=1)
    for number in range(count):
        candidates = None if drawn is None else drawn.at(number)
        batch = to_batch(stream.window_at(number), GPU, candidates)
        assert batch.restart is not None
        take_step(learner, batch, 1e-3, configuration)
    return learner


def all_tensors(learner: Learner) -> dict[str, torch.Tensor]:
    assert isinstance(learner.optimizer, torch.optim.Optimizer)
    found: dict[str, torch.Tensor] = dict(learner.model.named_parameters())
    for number, moments in enumerate(learner.optimizer.state.values()):
        found |= {f"{number}.{name}": value for name, value in moments.items()}
    found |= {f"state.{n}": part for n, layer in enumerate(learner.state) for part in layer}
    if learner.average is not None:
        found |= {f"average.{name}": value for name, value in learner.average.tensors.items()}
    return found


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
def test_a_judgement_waits_for_the_gpu_at_its_end_alone(gpu: Pretended, precision: Any) -> None:
    configuration = settings(precision=precision, averaging=0.9)
    learner = steps(gpu, configuration, count=1)
    gpu.waits = 0
    evaluation = QuickEvaluation(IDS, "cuda")
    evaluation.nats_per_symbol(learner.model, configuration)
    assert gpu.waits == 0  # one copy to the processor, of two numbers
    assert learner.average is not None
    with learner.average.swapped_in(learner.model):
        assert {each.device for each in learner.model.parameters()} == {GPU}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_checkpoint_lies_beside_the_processor_and_comes_back(
    gpu: Pretended, precision: Any
) -> None:
    configuration = settings(precision=precision, averaging=0.9)
    learner = steps(gpu, configuration)
    _ = learner.is_finite  # whatever it comes to without contents
    saved = learner.tensors()
    assert {tensor.device.type for tensor in saved.values()} == {"cpu"}
    fresh = make_learner(configuration)
    fresh.restore(saved)
    gpu.model = fresh.model
    for tensor in all_tensors(fresh).values():
        assert tensor.device == GPU
    stream = WindowStream(IDS, batch_size=4, window=8, seed=1)
    take_step(fresh, to_batch(stream.window_at(3), GPU), 1e-3, configuration)


def test_a_processors_run_goes_on_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one whose steps the kernels took, with one count of steps for all parameters."""
    here = settings(device="cpu", averaging=0.9)
    learner = make_learner(here)
    stream = WindowStream(IDS, batch_size=4, window=8, seed=1)
    take_step(learner, to_batch(stream.window_at(0), "cpu"), 1e-3, here)
    saved = learner.tensors()
    there = replace(here, device="cuda")
    with pretended_gpu(monkeypatch) as gpu:
        moved = make_learner(there)
        moved.restore(gpu.without_contents(saved))
        gpu.model = moved.model
        take_step(moved, to_batch(stream.window_at(1), GPU), 1e-3, there)
        tensors = all_tensors(moved)
        assert {tensor.device for tensor in tensors.values()} == {GPU}
        assert sum(name.endswith(".step") for name in tensors) == len(
            list(moved.model.parameters())
        )


def test_devices_are_not_mixed_unseen(gpu: Pretended) -> None:
    """The stand-in itself: what a GPU would refuse, it refuses."""
    configuration = settings()
    learner = make_learner(configuration)
    gpu.model = learner.model
    stream = WindowStream(IDS, batch_size=4, window=8, seed=1)
    with pytest.raises(RuntimeError, match="device"):
        take_step(learner, to_batch(stream.window_at(0), "cpu"), 1e-3, configuration)


def test_windows_are_prepared_for_the_learners_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[torch.device] = []
    brought: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(
        "ricorda.training.data.loader.to_batch",
        lambda window, device, drawn: brought.append(device),
    )
    second = torch.device("cuda", 1)
    loader = DataLoader(WindowStream(IDS, batch_size=4, window=8, seed=1), second)
    for step in range(3):
        loader.batch_at(step)
    loader.close()
    assert taken == [second]
    assert set(brought) == {second}


def test_each_process_of_a_machine_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch, gpus=2):
        machine = this_machine(TrainingOptions(processes=2))
        assert (machine.device, machine.processes) == ("cuda", 2)
        assert machine.bfloat16 == {"rnn", "gru", "lstm"}
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
        monkeypatch.setattr("ricorda.training.plan.machine._layers_learn_bfloat16", lambda: False)
        assert not this_machine(TrainingOptions()).bfloat16
        with pytest.raises(ConfigurationError, match=r"PyTorch 2\.10"):
            this_machine(TrainingOptions(precision="bfloat16"))


def test_float32_is_not_rounded_whoever_switched_it_on() -> None:
    """By the newer of PyTorch's two switches, after which the older cannot even be read."""
    places = torch.backends.cuda.matmul, torch.backends.cudnn.rnn
    if not hasattr(places[0], "fp32_precision"):
        pytest.skip("needs PyTorch 2.9")
    with tf32(on=True):
        assert [place.fp32_precision for place in places] == ["tf32", "tf32"]
        with computing_with(settings(device="cpu")):
            assert [place.fp32_precision for place in places] == ["ieee", "ieee"]
        assert [place.fp32_precision for place in places] == ["tf32", "tf32"]


def test_each_gpu_has_memory_of_its_own() -> None:
    alone, together = settings(), settings(processes=2)
    assert memory_need(together, 6000).learner == memory_need(alone, 6000).learner
    assert memory_need(together, 6000).window < memory_need(alone, 6000).window
    beside = memory_need(replace(together, device="cpu", kernels="off"), 6000)
    assert beside.learner == 2 * memory_need(alone, 6000).learner


@pytest.mark.parametrize("device, measured", [("cuda", 3), ("cpu", 1)])
def test_a_larger_network_is_measured_again_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, measured: int
) -> None:
    sizes: list[int] = []

    def speed(configuration: TrainingConfiguration, *_: Any) -> float:
        """Ten steps a second whatever the size, as where a GPU is not filled."""
        sizes.append(configuration.model.hidden_size)
        return 10.0

    monkeypatch.setattr(forecast, "measure_speed", speed)
    monkeypatch.setattr(forecast, "check_memory", lambda *_: None)
    dataset: Any = type("Dataset", (), {})()
    dataset.training = np.zeros(50_000_000, np.uint8)
    dataset.text = type("Text", (), {"vocabulary": type("Vocabulary", (), {"size": 90})})
    machine = replace(this_machine(TrainingOptions(device="cpu")), device=device, operations=1e10)
    forecast.settle(TrainingOptions(minutes=60), dataset, machine)
    assert len(sizes) == measured
    assert sizes == sorted(set(sizes))


def test_a_measured_step_that_lacks_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def speed(*_: Any) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(forecast, "measure_speed", speed)
    with pytest.raises(ConfigurationError, match="--batch-size"):
        forecast._operations(settings(), IDS)
