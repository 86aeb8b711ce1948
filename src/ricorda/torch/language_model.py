"""The language model: symbols in, a score for each possible next symbol out."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from ricorda.model.configuration import Initialisation, ModelConfiguration
from ricorda.torch.cells import CELLS, RecurrentCell
from ricorda.torch.cells.base import State
from ricorda.torch.dropout import dropout_mask


class RecurrentLanguageModel(nn.Module):
    """Embedding or one-hot input, recurrent layers, and a linear layer to V logits.

    The state is explicit: `initial_state` makes it, `forward` takes it and hands back the next.
    It is a list with one entry a layer, each a tuple of tensors (B, H).

    In training, numbers are dropped at random, and those that stay are scaled up:

    dropout: the probability for each number of a layer's output (Zaremba et al., 2014).
    input_dropout: the probability for each number of the embedding's table, once for a window, so
    that a symbol's vector is the same wherever it stands in it (after Gal & Ghahramani, 2016).
    recurrent_dropout: the probability for each recurrent weight, once for a window (DropConnect;
    Wan et al., 2013; Merity et al., 2018).

    initialisation, forget_bias: how weights are drawn, as `RecurrentCell.reset_parameters` tells.
    generator: the source of initial weights and dropout masks; None is torch's global one.
    """

    def __init__(
        self,
        configuration: ModelConfiguration,
        *,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        initialisation: Initialisation = "orthogonal",
        forget_bias: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.configuration = configuration
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.recurrent_dropout = recurrent_dropout
        self.initialisation: Initialisation = initialisation
        self.forget_bias = forget_bias
        self.generator = generator
        self.streams: tuple[int, int] | None = None
        """The number of the first stream it reads, and how many there are in all, where several
        processes share them: masks are drawn for all, so that each has the same one anywhere."""
        vocabulary_size, hidden_size = configuration.vocabulary_size, configuration.hidden_size
        self.embedding: nn.Embedding | None = None
        if configuration.embedding_size != "onehot":
            self.embedding = skip_init(nn.Embedding, vocabulary_size, configuration.embedding_size)
        cell = CELLS[configuration.cell]
        self.layers = nn.ModuleList(
            cell(
                hidden_size if layer else configuration.input_size,
                hidden_size,
                configuration.nonlinearity,
            )
            for layer in range(configuration.num_layers)
        )
        self.output = skip_init(nn.Linear, hidden_size, vocabulary_size)
        self.reset_parameters()

    @property
    def cells(self) -> list[RecurrentCell]:
        """The layers, typed."""
        return [layer for layer in self.layers if isinstance(layer, RecurrentCell)]

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw every weight anew; the first predictions are near uniform."""
        if self.embedding is not None:
            self.embedding.weight.normal_(0.0, 1.0, generator=self.generator)
        for cell in self.cells:
            cell.reset_parameters(
                self.generator,
                initialisation=self.initialisation,
                forget_bias=self.forget_bias,
            )
        bound = self.configuration.hidden_size**-0.5
        self.output.weight.uniform_(-bound, bound, generator=self.generator)
        self.output.bias.zero_()

    def initial_state(self, batch_size: int) -> list[State]:
        """The zero state of B streams' beginnings."""
        return [cell.initial_state(batch_size) for cell in self.cells]

    def forward(
        self, ids: Tensor, state: Sequence[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """Read T symbols of B streams: ids (B, T) -> logits (B, T, V), the state after them."""
        hidden, new_state = self.hidden(ids, state)
        return self.output(hidden), new_state

    def hidden(
        self, ids: Tensor, state: Sequence[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """What the output layer reads: ids (B, T) -> (B, T, H), the state after them."""
        if state is None:
            state = self.initial_state(ids.shape[0])
        hidden = self._input(ids)  # (B, T, I)
        new_state: list[State] = []
        for cell, layer_state in zip(self.cells, state, strict=True):
            weight_hh = self._drop(cell.weight_hh, self.recurrent_dropout)
            hidden, layer_after = cell.over_window(hidden, layer_state, weight_hh)  # (B, T, H)
            hidden = self._drop_of_streams(hidden)
            new_state.append(layer_after)
        return hidden, new_state

    def step(self, ids: Tensor, state: Sequence[State]) -> tuple[Tensor, list[State]]:
        """Read one symbol of B streams by the cells' equations: ids (B,) -> logits (B, V), state.

        It computes what `forward` computes on windows of one symbol, without dropout.
        """
        hidden = self._embed(ids)  # (B, I)
        new_state: list[State] = []
        for cell, layer_state in zip(self.cells, state, strict=True):
            layer_after = cell(hidden, layer_state)
            hidden = layer_after[0]  # (B, H)
            new_state.append(layer_after)
        return self.output(hidden), new_state

    def tensors(self, *, copy: bool = True) -> dict[str, NDArray[np.float32]]:
        """Return every weight under its name in the model file.

        copy: whether the arrays keep their values when the model changes. Without it, those of
        a model on the processor share its memory.
        """
        return {
            name: tensor.detach().to("cpu", torch.float32, copy=copy).numpy()
            for name, tensor in self.state_dict().items()
        }

    def load_tensors(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Take the weights of a model file."""
        self.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})

    def _embed(self, ids: Tensor) -> Tensor:
        """The vectors of ids: (...) -> (..., I)."""
        if self.embedding is not None:
            vectors: Tensor = self.embedding(ids)
            return vectors
        one_hot = F.one_hot(ids, self.configuration.vocabulary_size)
        return one_hot.to(self.output.weight.dtype)

    def _input(self, ids: Tensor) -> Tensor:
        """The first layer's input: ids (B, T) -> (B, T, I), of a table with dropout."""
        if self.embedding is None:
            return self._embed(ids)
        table = self._drop(self.embedding.weight, self.input_dropout)  # (V, E)
        return F.embedding(ids, table)

    def _drop(self, values: Tensor, probability: float) -> Tensor:
        """Inverted dropout by the model's own generator."""
        if not self.training or probability == 0.0:
            return values
        return values * dropout_mask(values, probability, self.generator)

    def _drop_of_streams(self, hidden: Tensor) -> Tensor:
        """Dropout of a layer's output (B, T, H), by the masks of all streams."""
        if self.streams is None or not self.training or self.dropout == 0.0:
            return self._drop(hidden, self.dropout)
        first, of = self.streams
        all_streams = hidden.new_empty(()).expand(of, *hidden.shape[1:])
        mask = dropout_mask(all_streams, self.dropout, self.generator)
        return hidden * mask[first : first + hidden.shape[0]]
