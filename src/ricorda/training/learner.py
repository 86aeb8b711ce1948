"""What learns: made from a configuration, and taken one step on."""

import numpy as np
import torch

from ricorda.models.language_model import RecurrentLanguageModel
from ricorda.text.windows import Window
from ricorda.training import fused
from ricorda.training.average import WeightAverage
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.learner_state import Learner
from ricorda.training.step import Batch, StepMetrics, make_optimizer, train_step


def make_learner(configuration: TrainingConfiguration) -> Learner:
    """Draw the network's weights; its optimizer and the streams' state are as at the beginning."""
    device = torch.device(configuration.device)
    initial = torch.Generator().manual_seed(configuration.seed)
    model = RecurrentLanguageModel(
        configuration.model,
        dropout=configuration.dropout,
        input_dropout=configuration.input_dropout,
        recurrent_dropout=configuration.recurrent_dropout,
        initialisation=configuration.initialisation,
        forget_bias=configuration.forget_bias,
        generator=initial,
    ).to(device)
    model.generator = torch.Generator(device).manual_seed(configuration.seed + 1)
    averaging = configuration.averaging
    return Learner(
        model,
        fused.Moments()
        if fused.applies_to(configuration)
        else make_optimizer(model, configuration),
        model.initial_state(configuration.batch_size),
        WeightAverage(model, averaging) if averaging else None,
    )


def to_batch(window: Window, device: str) -> Batch:
    """Bring a window to the device."""
    restart = None
    if window.restart.any():
        restart = torch.from_numpy(window.restart.astype(np.float32)).to(device)
    return Batch(
        torch.from_numpy(window.inputs).to(device),
        torch.from_numpy(window.targets).to(device),
        restart,
    )


def take_step(
    learner: Learner, batch: Batch, learning_rate: float, configuration: TrainingConfiguration
) -> StepMetrics:
    """Take one step of a run: weights, optimizer, state and average move on.

    Raises NonFiniteLoss, before any weight changes, if the gradient is not finite.
    """
    if isinstance(learner.optimizer, fused.Moments):
        return _take_fused_step(learner, learner.optimizer, batch, learning_rate, configuration)
    for group in learner.optimizer.param_groups:
        group["lr"] = learning_rate
    metrics, learner.state = train_step(
        learner.model, learner.optimizer, batch, learner.state, configuration
    )
    if learner.average is not None:
        learner.average.update(learner.model)
    return metrics


def _take_fused_step(
    learner: Learner,
    moments: fused.Moments,
    batch: Batch,
    learning_rate: float,
    configuration: TrainingConfiguration,
) -> StepMetrics:
    """Take the step by the kernels, which change the weights in their place."""
    if learner.fused is None:
        learner.fused = fused.FusedStep(learner.model, moments, learner.average, configuration)
    return learner.fused.take(batch, learner.state, learning_rate)
