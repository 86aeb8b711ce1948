"""A whole training step, loss and optimizer included: `ricorda train`'s and a PyTorch program's."""

import itertools
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from benchmarks.peers.torch_network import LayerNetwork, Training
from benchmarks.result import Result
from benchmarks.steps import Step, repeated, step_of
from benchmarks.timing import compare
from ricorda import _kernels
from ricorda.model import ModelConfiguration
from ricorda.text import Ids
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.data.loader import make_loader
from ricorda.training.learner import make_learner

VOCABULARY_SIZE = 65
EMBEDDING_SIZE = 64
LEARNING_RATE = 1e-4
DIFFERENT = 8  # batches that are learned in turn


def settings(hidden_size: int, batch_size: int, window: int) -> TrainingConfiguration:
    """One LSTM layer between 65 symbols, in bfloat16 where the processor multiplies it."""
    return TrainingConfiguration(
        model=ModelConfiguration(
            cell="lstm",
            vocabulary_size=VOCABULARY_SIZE,
            hidden_size=hidden_size,
            embedding_size=EMBEDDING_SIZE,
        ),
        budget=Budget(steps=1),
        batch_size=batch_size,
        window=window,
        learning_rate=LEARNING_RATE,
        precision="bfloat16" if _kernels.learns_bfloat16() else "float32",
        threads=torch.get_num_threads(),
    )


def stepper(configuration: TrainingConfiguration, by: Literal["ricorda", "torch"]) -> Step:
    """Return a function that takes the next training step: ricorda's, or that of a PyTorch program.

    Both start from the same weights and take the same symbols with the state carried.
    """
    configuration = replace(configuration, kernels="auto", reset_probability=0.0)
    ids = _symbols(configuration)
    return step_of(configuration, ids) if by == "ricorda" else torch_step_of(configuration, ids)


def torch_step_of(configuration: TrainingConfiguration, ids: Ids) -> Step:
    """One step of torch.nn's layers, AdamW and clipping on the windows that ricorda reads.

    What it takes from ricorda, the first weights and the windows, is made before the first step.
    """
    network = LayerNetwork(configuration.model.cell, make_learner(configuration).model.tensors())
    training = Training(
        network,
        learning_rate=configuration.learning_rate,
        weight_decay=configuration.weight_decay,
        clip_norm=configuration.clip_norm,
        bfloat16=configuration.precision == "bfloat16",
    )
    loader = make_loader(configuration, ids, torch.device("cpu"))
    batches = itertools.cycle([loader.batch_at(number)[:2] for number in range(DIFFERENT)])

    def step() -> float:
        return training.step(*next(batches))

    return step


def _symbols(configuration: TrainingConfiguration) -> Ids:
    """As many random symbols as there are different batches."""
    size = configuration.batch_size * configuration.window * DIFFERENT
    random = np.random.default_rng(1)
    return random.integers(0, VOCABULARY_SIZE, size + 1).astype(np.uint8)


def operations(configuration: TrainingConfiguration) -> float:
    """The products of a step: 2 for each weight and symbol forwards, twice that backwards."""
    model = configuration.model
    hidden, inputs = model.hidden_size, model.input_size
    weights = model.gates * hidden * (hidden + inputs) + hidden * model.vocabulary_size
    return 6.0 * configuration.batch_size * configuration.window * weights


def measure_share(configuration: TrainingConfiguration, matrix_size: int, rounds: int) -> Result:
    """The step's rate as a share of what PyTorch's matrix product reaches, taken by turns."""
    kind = torch.bfloat16 if configuration.precision == "bfloat16" else torch.float32
    left = torch.randn(matrix_size, matrix_size).to(kind)
    right = torch.randn(matrix_size, matrix_size).to(kind)

    def multiply(count: int) -> None:
        for _ in range(count):
            torch.mm(left, right)

    of_step, of_product = operations(configuration), 2.0 * matrix_size**3
    ratio = compare(repeated(stepper(configuration, "ricorda")), multiply, rounds)
    assert ratio.ours is not None
    assert ratio.peer is not None
    model = configuration.model
    return Result(
        f"step of {model.cell} {model.hidden_size}, batch {configuration.batch_size}, window "
        f"{configuration.window}: share of a product's rate",
        f"torch.mm {matrix_size}, {configuration.precision}",
        ratio.scaled(of_step / of_product),
        0.6,
        details={
            "gigaflops_a_second_ours": of_step / ratio.ours / 1e9,
            "gigaflops_a_second_theirs": of_product / ratio.peer / 1e9,
        },
    )
