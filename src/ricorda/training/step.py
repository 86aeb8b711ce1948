"""One step of learning."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ricorda.errors import NonFiniteLoss
from ricorda.torch.cells.base import State
from ricorda.torch.language_model import RecurrentLanguageModel
from ricorda.torch.output_loss import CandidateTensors, mean_nats, sampled_mean_nats
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.process_group import ALONE, ProcessGroup


class Batch(NamedTuple):
    """One window of every stream, on the device."""

    inputs: Tensor  # (B, T)
    targets: Tensor  # (B, T)
    restart: Tensor | None  # (B,) 1.0 where the state starts from zero; None where none does
    candidates: CandidateTensors | None = None
    """What the targets are compared with where the softmax is sampled; None: with all symbols."""


class StepMetrics(NamedTuple):
    """What one step tells."""

    nats_per_symbol: float
    gradient_norm: float


class WindowLoss(nn.Module):
    """A model and its loss as one module, which can be spread over several processes."""

    def __init__(self, model: RecurrentLanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor,
        state: Sequence[State],
        candidates: CandidateTensors | None = None,
    ) -> tuple[Tensor, list[State]]:
        """The mean nats of targets (B, T) after inputs (B, T), and the state after them."""
        hidden, after = self.model.hidden(inputs, state)
        if candidates is None:
            return mean_nats(self.model.output, hidden, targets), after
        return sampled_mean_nats(self.model.output, hidden, targets, candidates), after


def make_optimizer(
    model: RecurrentLanguageModel, configuration: TrainingConfiguration
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter, 2019) with betas .9 and .99; matrices of layers decay."""
    decaying = [p for name, p in model.named_parameters() if decays(name, p)]
    others = [p for name, p in model.named_parameters() if not decays(name, p)]
    groups = [
        {"params": decaying, "weight_decay": configuration.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=configuration.learning_rate, betas=(0.9, 0.99), fused=True)


def train_step(
    model: RecurrentLanguageModel,
    optimizer: torch.optim.AdamW,
    batch: Batch,
    state: Sequence[State],
    configuration: TrainingConfiguration,
    *,
    window_loss: nn.Module | None = None,
    ranks: ProcessGroup = ALONE,
) -> tuple[StepMetrics, list[State]]:
    """Take one optimizer step on one truncated-BPTT window.

    The state's values flow into the next window; its gradients stop here.
    optimizer: a fused one. It learns on the device itself whether to leave all weights alone, so
    that nothing waits for the processor's word; loss and norm are then read at once.
    window_loss: the model's `WindowLoss`, where ranks are several one that adds gradients up and
    divides them by the number of ranks, as DistributedDataParallel does.
    Raises NonFiniteLoss, before any weight changes, if the gradient is not finite.
    """
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(
        configuration.device, torch.bfloat16, enabled=configuration.precision == "bfloat16"
    ):
        loss, state = (window_loss or WindowLoss(model))(
            batch.inputs, batch.targets, restarted(state, batch.restart), batch.candidates
        )
    nats = loss.detach()
    if ranks.size > 1:
        part = batch.inputs.shape[0] / configuration.batch_size
        loss, nats = loss * part * ranks.size, nats * part
    loss.backward()
    length = torch.nn.utils.clip_grad_norm_(model.parameters(), configuration.clip_norm)
    optimizer.found_inf = length.isfinite().logical_not().float()  # type: ignore[attr-defined]
    optimizer.step()
    mean, norm = torch.stack([nats, length]).tolist()
    if ranks.size > 1:
        mean = ranks.average(ranks.exchange(0), mean)  # the gradients were, on the way backwards
    if not math.isfinite(norm):
        raise non_finite(mean, norm)
    return StepMetrics(mean, norm), detached(state)


def non_finite(nats: float, norm: float) -> NonFiniteLoss:
    """What is raised where no step can be taken."""
    return NonFiniteLoss(
        f"the loss is {nats:g} and its gradient has norm {norm:g}: "
        "try a lower --learning-rate or --precision float32"
    )


def restarted(state: Sequence[State], restart: Tensor | None) -> Sequence[State]:
    """The state with zeros in the rows that start anew."""
    if restart is None:
        return state
    keep = (1.0 - restart)[:, None]  # (B, 1)
    return [tuple(part * keep for part in layer) for layer in state]


def detached(state: Sequence[State]) -> list[State]:
    """The state's values without their history."""
    return [tuple(part.detach() for part in layer) for layer in state]


def decays(name: str, parameter: Tensor) -> bool:
    """Weight decay is for matrices; an embedding's rows are not mixed, so it is left out."""
    return parameter.dim() > 1 and not name.startswith("embedding")
