"""The influence of past symbols by gradients, offered as `ricorda.insight.gradient_influence`.

A symbol enters the network as a vector x: its embedding, or one-hot. With log p the logarithm of
the probability of the symbol that really followed, and m the mean vector of the text:

norm         |d log p / d x|, how steep log p is there (Simonyan et al., 2014)
product      (x - m) * d log p / d x, what log p gains by x in place of m, were it a straight line
integrated   the same along the straight way from m to x, all D symbols together (integrated
             gradients; Sundararajan et al., 2017). Its sum over the symbols is log p minus what
             it would be if all of them were m.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ricorda.arguments import checked
from ricorda.engine.backend import Ids
from ricorda.engine.labels import label_number
from ricorda.errors import ConfigurationError
from ricorda.insight.deletion import DISTANCE, Places, chosen_places
from ricorda.insight.units import Text, known_text
from ricorda.model import ModelFile
from ricorda.torch.cells import State
from ricorda.torch.language_model import RecurrentLanguageModel

WAYPOINTS = 32  # of the straight way, at the middles of as many equal parts
SYMBOLS_AT_ONCE = 4_096

Measure: TypeAlias = Literal["norm", "product", "integrated"]
MEASURES: tuple[Measure, ...] = ("norm", "product", "integrated")

Numbers: TypeAlias = NDArray[np.float64]


@checked
def gradient_influence(
    file: ModelFile,
    text: Text,
    positions: Sequence[int] | None = None,
    *,
    distance: int = DISTANCE,
    measure: Measure = "norm",
    label: str | None = None,
) -> tuple[Places, Numbers]:
    """Measure by gradients how much the symbols before some places matter to what followed.

    Returns the positions (M,) and by place and distance the measure (M, D), in nats for `product`
    and `integrated`; NaN where the text does not go back so far, 0 before the document. Positions
    and label as in `influence`, which chooses the same positions if none are given. Raises
    ConfigurationError for a wrong option.
    """
    if distance < 1:
        raise ConfigurationError(f"distance must be at least 1, got {distance}")
    known = known_text(file, text)
    ids = known.ids
    places = chosen_places(known, file.vocabulary, positions, distance)
    network = _Network(file, ids, label_number(file.vocabulary, label))
    found = np.full((len(places), distance), np.nan)
    for row, place in enumerate(places.tolist()):
        values = network.measure(place, min(distance, place), measure)
        found[row, : len(values)] = values[::-1]  # the nearest first
    return places, found


class _Network:
    """A model in double precision that reads vectors in place of symbols, under one label."""

    def __init__(self, file: ModelFile, ids: Ids, label: int) -> None:
        model = RecurrentLanguageModel(file.configuration, tensors=file.tensors)
        self._model = model.double().eval().requires_grad_(False)
        if model.labels is not None:  # a label's row adds up with the bias
            model.cells[0].bias_ih.add_(model.labels.weight[label])
            model.labels = None
        self._begins = np.flatnonzero(ids == file.configuration.boundary)  # of documents
        self._ids = torch.from_numpy(ids.astype(np.int64))
        self._table = (  # (V, I)
            torch.eye(file.configuration.vocabulary_size, dtype=torch.float64)
            if self._model.embedding is None
            else self._model.embedding.weight
        )
        counts = torch.bincount(self._ids, minlength=file.configuration.vocabulary_size)
        self._mean = (counts.double() / counts.sum()) @ self._table  # (I,)
        self._restart()

    def _restart(self) -> None:
        self._read, self._state = 0, self._model.initial_state(1)

    def measure(self, place: int, distance: int, measure: Measure) -> Numbers:
        """Measure the symbols before a place, the farthest first: (D,)."""
        begins = self._begins[(self._begins >= place - distance) & (self._begins < place)]
        if len(begins) and (before := int(begins[-1]) - (place - distance)):
            within = self.measure(place, distance - before, measure)
            return np.concatenate([np.zeros(before), within])
        state = (
            self._model.initial_state(1) if len(begins) else self._state_before(place - distance)
        )
        vectors = self._table[self._ids[place - distance : place]]  # (D, I)
        if measure == "norm":
            return _array(self._gradient(vectors[None], state, place)[0].norm(dim=-1))
        away = vectors - self._mean
        if measure == "product":
            gradient = self._gradient(vectors[None], state, place)[0]
        else:
            shares = (torch.arange(WAYPOINTS, dtype=torch.float64) + 0.5) / WAYPOINTS
            way = self._mean + shares[:, None, None] * away  # (waypoints, D, I)
            gradient = self._gradient(way, state, place).mean(dim=0)
        return _array((away * gradient).sum(dim=-1))

    def _state_before(self, place: int) -> list[State]:
        """Return the state after all symbols before a place, continuing from the last one."""
        if place < self._read:
            self._restart()
        while self._read < place:
            part = self._ids[None, self._read : min(self._read + SYMBOLS_AT_ONCE, place)]
            _, self._state = self._model(part, self._state)
            self._read += part.shape[1]
        return self._state

    def _gradient(self, vectors: Tensor, state: list[State], place: int) -> Tensor:
        """Return the gradient of log p at each vector: (B, D, I), state of one stream."""
        given = vectors.detach().clone().requires_grad_()
        hidden = given
        for cell, part in zip(self._model.cells, state, strict=True):
            start = tuple(each.expand(len(given), -1).contiguous() for each in part)
            hidden, _ = cell.over_window(hidden, start)
        logits = self._model.output(hidden[:, -1])  # (B, V)
        wanted = logits.log_softmax(dim=-1)[:, self._ids[place]].sum()
        (gradient,) = torch.autograd.grad(wanted, given)
        return gradient


def _array(values: Tensor) -> Numbers:
    found: Numbers = values.numpy()
    return found
