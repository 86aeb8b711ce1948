"""The learner whose steps PyTorch takes, on a CPU or a GPU.

It gives the losses of the kernels' learner to rounding, from the same initial weights and with the
same dropout masks, and has the same checkpoints. Several processes average their gradients by
DistributedDataParallel, which communicates during the backward pass.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ricorda import draws
from ricorda.draws import Purpose
from ricorda.torch.cells import State
from ricorda.torch.device import tf32
from ricorda.torch.dropout import MaskKey
from ricorda.torch.language_model import RecurrentLanguageModel
from ricorda.torch.output_loss import NegativeTensors, mean_nats, nats_of_each, sampled_mean_nats
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.initialization import initial_weights
from ricorda.training.learner import (
    BETAS,
    CHUNK,
    Batch,
    Learner,
    StepMetrics,
    Tensors,
    Weights,
    average_share,
    decays,
    require_finite,
)
from ricorda.training.process_group import ALONE, FLAGS, ProcessGroup


class WindowLoss(nn.Module):
    """A model and its loss as one module, which DistributedDataParallel can wrap."""

    def __init__(self, model: RecurrentLanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor,
        labels: Tensor | None,
        state: Sequence[State],
        masks: MaskKey | None,
        negatives: NegativeTensors | None,
    ) -> tuple[Tensor, list[State]]:
        """Return the mean nats of targets (B, T) after inputs (B, T), the state after them."""
        hidden, after = self.model.hidden(inputs, state, labels, masks)
        if negatives is None:
            return mean_nats(self.model.output, hidden, targets), after
        return sampled_mean_nats(self.model.output, hidden, targets, negatives), after


class TorchLearner(Learner):
    """A learner by PyTorch, on any of its devices."""

    prefetches: ClassVar[bool] = True

    def __init__(
        self,
        configuration: TrainingConfiguration,
        group: ProcessGroup = ALONE,
        betas: tuple[float, float] = BETAS,
        weights: Weights | None = None,
    ) -> None:
        super().__init__(configuration, group, betas)
        self.device = torch.device(configuration.device)
        if weights is None:
            weights = initial_weights(configuration)
        self.model = RecurrentLanguageModel(
            configuration.model,
            tensors=weights,
            dropout=configuration.dropout,
            input_dropout=configuration.input_dropout,
            recurrent_dropout=configuration.recurrent_dropout,
        ).to(self.device)
        self._loss: nn.Module = WindowLoss(self.model)
        if group.size > 1:
            self._loss = nn.parallel.DistributedDataParallel(
                self._loss, gradient_as_bucket_view=True
            )
        self._optimizer = make_optimizer(self.model, configuration.weight_decay, betas)
        self._state = self.model.initial_state(self.share.count)
        self._average: RecurrentLanguageModel | None = None
        self._averaged_steps = torch.zeros((), dtype=torch.int64)
        if self.has_average:
            average = RecurrentLanguageModel(configuration.model, tensors=weights)
            self._average = average.to(self.device).requires_grad_(False).eval()

    def take_step(self, batch: Batch, learning_rate: float, step: int) -> StepMetrics:
        """Take one optimizer step on one truncated-BPTT window.

        The processor waits for a GPU once, at the end: AdamW itself leaves all weights as they are
        if the gradient is not finite.
        """
        self._optimizer.zero_grad(set_to_none=True)
        fraction = batch.inputs.shape[0] / self.configuration.batch_size
        with self._computing(), self.group.lost_processes():
            loss, state = self._loss(
                self._ids(batch.inputs),
                self._ids(batch.targets),
                None if batch.labels is None else self._ids(batch.labels),
                self._restarted(batch.restart),
                self._masks(step),
                self._negatives(batch),
            )
            # DistributedDataParallel averages the gradients over the processes
            (loss * fraction * self.group.size).backward()
            length = nn.utils.clip_grad_norm_(self.model.parameters(), self.configuration.clip_norm)
            self._update(length, learning_rate)
            nats, norm = torch.stack([loss.detach() * fraction, length]).tolist()
            metrics = StepMetrics(self._sum_over_processes(nats), norm)
            require_finite(*metrics)
            self._state = [tuple(part.detach().float() for part in layer) for layer in state]
            self._update_average()
        return metrics

    def weights(self, *, averaged: bool = False) -> dict[str, NDArray[np.float32]]:
        """Return the weights, or their average, by the model file's names."""
        return self._model(averaged=averaged).tensors()

    @torch.no_grad()
    def score(
        self,
        inputs: NDArray[np.uint32],
        targets: NDArray[np.uint32],
        state: Any | None = None,
        *,
        labels: NDArray[np.uint32] | None = None,
        averaged: bool = False,
    ) -> tuple[NDArray[np.float32], Any]:
        """Return the nats (S, T) of targets after inputs, and the state after them."""
        model = self._model(averaged=averaged)
        model.eval()
        state = model.initial_state(len(inputs)) if state is None else state
        read = self._ids(inputs).split(CHUNK, 1)
        wanted = self._ids(targets).split(CHUNK, 1)
        given = [None] * len(read) if labels is None else self._ids(labels).split(CHUNK, 1)
        nats = []
        with self._computing():
            for inputs_here, targets_here, labels_here in zip(read, wanted, given, strict=True):
                hidden, state = model.hidden(inputs_here, state, labels_here)
                found = nats_of_each(model.output, hidden, targets_here)
                nats.append(found.view(targets_here.shape))
        self.model.train()
        return torch.cat(nats, 1).cpu().numpy(), state

    def arrays(self) -> Tensors:
        """Return what a checkpoint holds, on the CPU, with the state of this process's streams."""
        return {name: tensor.cpu().numpy() for name, tensor in self._tensors().items()}

    def load(self, tensors: Tensors) -> None:
        """Copy arrays of the names, shapes and types of `arrays` into the learner's tensors."""
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(np.array(tensors[name])))

    @property
    def is_finite(self) -> bool:
        """Whether all numbers, the optimizer's included, are finite in all processes."""
        finite = torch.stack(
            [tensor.isfinite().all().to(self.device) for tensor in self._tensors().values()]
        )
        return not self.group.any(not bool(finite.all()))

    def release(self) -> None:
        """Free all memory but the weights'; no further step can be taken."""
        self._optimizer.state.clear()
        self._average, self._state = None, []
        self.model.zero_grad(set_to_none=True)

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Within, compute with the run's threads and precision."""
        threads = torch.get_num_threads()
        torch.set_num_threads(self.configuration.threads)
        wants_bfloat16 = self.configuration.precision == "bfloat16"
        try:
            with (
                tf32(on=False),
                torch.autocast(self.device.type, torch.bfloat16, enabled=wants_bfloat16),
            ):
                yield
        finally:
            torch.set_num_threads(threads)

    def _update(self, length: Tensor, learning_rate: float) -> None:
        """Change the weights by the gradient, unless its length is not finite."""
        if self.device.type == "mps":  # whose AdamW ignores found_inf
            require_finite(math.nan, float(length))
        self._optimizer.found_inf = length.isfinite().logical_not().float()  # type: ignore[attr-defined]
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()

    def _sum_over_processes(self, nats: float) -> float:
        """Return the mean nats of all streams from this process's part of it."""
        if self.group.size == 1:
            return nats
        values = np.zeros(1 + FLAGS, np.float32)
        values[0] = nats
        self.group.reduce_step(values)
        return float(values[0])

    def _model(self, *, averaged: bool) -> RecurrentLanguageModel:
        return self._average if averaged and self._average is not None else self.model

    def _tensors(self) -> dict[str, Tensor]:
        """Return the learner's own tensors under their names in a checkpoint."""
        found = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key, moment in self._optimizer.state[parameter].items():
                found[f"optimizer.{name}.{key}"] = moment
        if self._average is not None:
            for name, tensor in self._average.state_dict().items():
                found[f"average.{name}"] = tensor
            found["average.steps"] = self._averaged_steps
        for layer, parts in enumerate(self._state):
            found |= {f"state.{layer}.{number}": part for number, part in enumerate(parts)}
        return found

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the average towards the weights."""
        if self._average is None:
            return
        share = average_share(self.configuration.averaging, int(self._averaged_steps))
        pairs = zip(self._average.parameters(), self.model.parameters(), strict=True)
        for averaged, weight in pairs:
            averaged.lerp_(weight, share)
        self._averaged_steps += 1

    def _masks(self, step: int) -> MaskKey:
        """Return what decides a step's dropout masks."""
        key = draws.key(self.configuration.seed, Purpose.DROPOUT, step)
        return MaskKey(key, self.share.first, self.share.of)

    def _negatives(self, batch: Batch) -> NegativeTensors | None:
        if batch.negatives is None:
            return None
        ids, log_probabilities = batch.negatives
        return NegativeTensors(self._ids(ids), self._on_device(log_probabilities))

    def _restarted(self, restart: NDArray[np.float32] | None) -> list[State]:
        """Return the state with zeros in the rows that restart."""
        if restart is None:
            return self._state
        keep = 1.0 - self._on_device(restart)[:, None]  # (B, 1)
        return [tuple(part * keep for part in layer) for layer in self._state]

    def _ids(self, ids: NDArray[np.uint32]) -> Tensor:
        """Copy symbols to the device, in the type that PyTorch indexes by."""
        return self._on_device(ids.astype(np.int64))

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        """Copy an array to the device; to a CUDA GPU from pinned memory, without waiting."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def make_optimizer(
    model: RecurrentLanguageModel, weight_decay: float, betas: tuple[float, float]
) -> torch.optim.AdamW:
    """Make AdamW (Loshchilov & Hutter, 2019) with moments of zero; matrices of layers decay."""
    groups: list[dict[str, Any]] = [
        {"params": [], "weight_decay": 0.0},
        {"params": [], "weight_decay": weight_decay},
    ]
    for name, parameter in model.named_parameters():
        groups[decays(name, parameter.dim())]["params"].append(parameter)
    optimizer = torch.optim.AdamW(groups, betas=betas, fused=True)
    for parameter in model.parameters():
        optimizer.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer
