"""Judging the model while it learns: quickly, on a fixed part of the validation text.

The figure that a run ends with is read by the engine on the whole validation text, one character
after the other. Here the text is cut into segments that are read side by side. Each begins with
characters that only warm the state up, so that the figure is close to the carried one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ricorda.engine import make_backend
from ricorda.torch.language_model import RecurrentLanguageModel
from ricorda.torch.output_loss import nats_of_each
from ricorda.training import fused
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.process_group import ALONE, ProcessGroup

SEGMENTS = 32
LARGEST = 32 * 1024  # predictions; reading more would cost a short run too much of its time
WARM_UP = 128  # symbols read before the first that counts
CHUNK = 64  # symbols of each segment read at once


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found, of the weights and, where there is one, of their average."""

    raw: float | None
    """Mean nats per symbol of the weights themselves; None without a text to judge by."""

    averaged: float | None = None
    """The same of the averaged weights."""

    has_average: bool = False
    """Whether weights are averaged."""

    @property
    def averaged_is_better(self) -> bool:
        """Whether the average is the model; without a text to judge by, it is."""
        if not self.has_average or self.raw is None or self.averaged is None:
            return self.has_average
        return self.averaged < self.raw or math.isnan(self.raw)

    @property
    def nats_per_symbol(self) -> float | None:
        """The better figure."""
        return self.averaged if self.averaged_is_better else self.raw

    def figures(self, symbols_per_character: float) -> dict[str, float | None]:
        """What metrics.jsonl tells of it; both figures where there are two."""
        found = {"nats_per_character": self.nats_per_symbol}
        if self.has_average:
            found["raw_nats_per_character"] = self.raw
            found["averaged_nats_per_character"] = self.averaged
        return {
            name: None if nats is None else nats * symbols_per_character
            for name, nats in found.items()
        }


class QuickEvaluation:
    """The mean nats per symbol of a model on a fixed part of a text.

    ranks: the processes that divide its segments among them.
    """

    def __init__(
        self, ids: NDArray[np.unsignedinteger], device: str, ranks: ProcessGroup = ALONE
    ) -> None:
        predictions = len(ids) - 1
        counted = min(predictions, LARGEST)
        segments = max(1, min(SEGMENTS, counted // WARM_UP))
        length = counted // segments
        warm_up = WARM_UP if segments > 1 else 0
        first = np.linspace(0, predictions - length, segments).astype(np.int64)
        start = np.maximum(first - warm_up, 0)  # the text's first segment has nothing before it
        places = start[:, None] + np.arange(warm_up + length + 1)
        places = np.minimum(places, len(ids) - 1)
        self._ranks = ranks
        own = ProcessGroup.share(ranks, segments).rows  # some may have none
        first, places = first[own], places[own]
        targets = places[:, 1:]
        self._counts = torch.from_numpy(
            (targets > first[:, None]) & (targets <= first[:, None] + length)
        ).to(device)  # (segments, warm_up + length)
        self._ids = torch.from_numpy(ids[places].astype(np.int64)).to(device)

    @torch.inference_mode()
    def nats_per_symbol(
        self, model: RecurrentLanguageModel, configuration: TrainingConfiguration
    ) -> float:
        """Read the text with the model as it is, by what takes the run's steps."""
        read = self._by_kernels if fused.applies_to(configuration) else self._by_pytorch
        total = torch.zeros((), dtype=torch.float64, device=self._ids.device)
        for here, nats in read(model, configuration):
            total += nats.double().where(self._counts[:, here], 0.0).sum()
        count = self._counts.sum().double()
        total, count = self._ranks.sum(torch.stack([total, count]).cpu())
        return float(total) / int(count)

    def _by_kernels(
        self, model: RecurrentLanguageModel, configuration: TrainingConfiguration
    ) -> Iterator[tuple[slice, Tensor]]:
        """A chunk's columns and the nats (segments, chunk) there, until all are read."""
        backend = make_backend(
            configuration.model,
            model.tensors(copy=False),
            configuration.precision,
            threads=configuration.threads,
        )
        state = backend.zero_state(len(self._ids))
        for here, inputs, targets in self._chunks():
            surprisals, state = backend.score(inputs.numpy(), targets.numpy(), state)
            yield here, torch.from_numpy(surprisals.nats)

    def _by_pytorch(
        self, model: RecurrentLanguageModel, configuration: TrainingConfiguration
    ) -> Iterator[tuple[slice, Tensor]]:
        """The same, as for a GPU."""
        model.eval()
        state = model.initial_state(len(self._ids))
        for here, inputs, targets in self._chunks():
            with torch.autocast(
                configuration.device, torch.bfloat16, enabled=configuration.precision == "bfloat16"
            ):
                hidden, state = model.hidden(inputs, state)
                nats = nats_of_each(model.output, hidden, targets)
            yield here, nats.view(targets.shape)
        model.train()

    def _chunks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Columns, and the inputs and targets (segments, chunk) there; none without segments."""
        for begin in range(0, self._counts.shape[1] if len(self._ids) else 0, CHUNK):
            here = slice(begin, min(begin + CHUNK, self._counts.shape[1]))
            yield here, self._ids[:, :-1][:, here], self._ids[:, 1:][:, here]
