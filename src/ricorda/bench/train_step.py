"""A whole training step, loss and optimizer included, as `ricorda train` takes it."""

from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from ricorda import _kernels
from ricorda.bench.result import Result
from ricorda.bench.steps import Step, repeated, step_of
from ricorda.bench.timing import compare
from ricorda.models import ModelConfiguration
from ricorda.training.configuration import Budget, TrainingConfiguration

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
    """One step of a learning that goes on: as ricorda's loop takes it, or by PyTorch alone."""
    random = np.random.default_rng(1)
    size = configuration.batch_size * configuration.window * DIFFERENT
    ids = random.integers(0, VOCABULARY_SIZE, size + 1).astype(np.uint8)
    kernels: Literal["auto", "off"] = "auto" if by == "ricorda" else "off"
    return step_of(replace(configuration, kernels=kernels, reset_probability=0.0), ids)


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
