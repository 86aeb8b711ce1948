"""The average of the weights over the steps, which often predicts better than the weights."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ricorda.torch.language_model import RecurrentLanguageModel


class WeightAverage:
    """An exponential moving average of a model's weights (Polyak & Juditsky, 1992).

    After step n the average keeps min(decay, (1 + n) / (10 + n)) of itself: it forgets the first
    steps soon, and so needs no correction for where it began.
    """

    def __init__(self, model: RecurrentLanguageModel, decay: float) -> None:
        self.decay = decay
        """The share that a step keeps, below 1."""
        self.steps = 0
        """How many steps were averaged."""
        self.tensors: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in model.named_parameters()
        }
        """The averaged weights, float32, by the model's names."""

    def next_kept(self) -> float:
        """The share of itself that the average keeps at the next step."""
        return min(self.decay, (2 + self.steps) / (11 + self.steps))

    @torch.no_grad()
    def update(self, model: RecurrentLanguageModel) -> None:
        """Take in the weights after a step."""
        kept = self.next_kept()
        self.steps += 1
        weights = [self._in(model, name) for name in self.tensors]
        torch._foreach_lerp_(list(self.tensors.values()), weights, 1.0 - kept)

    @contextlib.contextmanager
    def swapped_in(self, model: RecurrentLanguageModel) -> Iterator[None]:
        """Let the model have the averaged weights for a while, in the same memory as its own."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: the averaged weights, and how many steps they tell of."""
        return {**self.tensors, "steps": torch.tensor(self.steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what a checkpoint kept. Raises KeyError where it lacks a tensor."""
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])
        self.steps = int(state["steps"])

    @torch.no_grad()
    def _swap(self, model: RecurrentLanguageModel) -> None:
        for name, averaged in self.tensors.items():
            weight = self._in(model, name)
            before = weight.clone()
            weight.copy_(averaged)
            averaged.copy_(before)

    @staticmethod
    def _in(model: RecurrentLanguageModel, name: str) -> Tensor:
        return model.get_parameter(name).detach()
