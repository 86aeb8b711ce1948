"""What learns: made from a configuration, and taken one step on."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ricorda.text.windows import Window
from ricorda.torch.language_model import RecurrentLanguageModel
from ricorda.torch.output_loss import CandidateTensors
from ricorda.training import fused
from ricorda.training.average import WeightAverage
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.negatives import Candidates
from ricorda.training.learner_state import Learner
from ricorda.training.process_group import ALONE, ProcessGroup
from ricorda.training.step import Batch, StepMetrics, WindowLoss, make_optimizer, train_step

if TYPE_CHECKING:
    from torch.nn.parallel import DistributedDataParallel


def make_learner(configuration: TrainingConfiguration, ranks: ProcessGroup = ALONE) -> Learner:
    """Draw the network's weights; its optimizer and the streams' state are as at the beginning.

    ranks: the processes that divide the streams among them; the weights are the same in each.
    """
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
    share = ranks.share(configuration.batch_size)
    if not share.is_all:
        model.streams = (share.first, share.of)
    by_kernels = fused.applies_to(configuration)
    return Learner(
        model,
        fused.Moments() if by_kernels else make_optimizer(model, configuration),
        model.initial_state(share.count),
        WeightAverage(model, averaging) if averaging else None,
        ranks=ranks,
        share=share,
        loss=None if by_kernels else _window_loss(model, ranks),
    )


def _window_loss(
    model: RecurrentLanguageModel, ranks: ProcessGroup
) -> "WindowLoss | DistributedDataParallel":
    """The model with its loss; between processes gradients are added up while others are found."""
    loss = WindowLoss(model)
    if ranks.size == 1:
        return loss
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(loss, gradient_as_bucket_view=True)


def to_batch(
    window: Window, device: str | torch.device, candidates: Candidates | None = None
) -> Batch:
    """Bring a window to the device; to a GPU through pinned memory, which it reads by itself."""
    place = torch.device(device)

    def bring(array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        if place.type == "cpu":
            return tensor
        return tensor.pin_memory().to(place, non_blocking=True)

    restart = None
    if window.restart.any():
        restart = bring(window.restart.astype(np.float32))
    drawn = None if candidates is None else (bring(part) for part in candidates)
    return Batch(
        bring(window.inputs),
        bring(window.targets),
        restart,
        None if drawn is None else CandidateTensors(*drawn),
    )


def take_step(
    learner: Learner, batch: Batch, learning_rate: float, configuration: TrainingConfiguration
) -> StepMetrics:
    """Take one step of a run: weights, optimizer, state and average move on.

    Raises NonFiniteLoss, before any weight changes, if the gradient is not finite; ProcessLost if
    another process is gone.
    """
    if isinstance(learner.optimizer, fused.Moments):
        return _take_fused_step(learner, learner.optimizer, batch, learning_rate, configuration)
    for group in learner.optimizer.param_groups:
        group["lr"] = learning_rate
    with learner.ranks.told_as_lost():
        metrics, learner.state = train_step(
            learner.model,
            learner.optimizer,
            batch,
            learner.state,
            configuration,
            window_loss=learner.loss,
            ranks=learner.ranks,
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
        learner.fused = fused.FusedStep(
            learner.model, moments, learner.average, configuration, learner.ranks
        )
    return learner.fused.take(batch, learner.state, learning_rate)
