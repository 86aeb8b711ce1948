"""The language model as a PyTorch module: symbols in, a score of each possible next symbol out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils import skip_init

from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELLS
from ricorda.model.configuration import ModelConfiguration
from ricorda.torch.cells import CELL_MODULES, RecurrentCell, State
from ricorda.torch.dropout import MaskKey, drop_embedding, drop_outputs, drop_recurrent
from ricorda.torch.segments import Segments, segments_of


class RecurrentLanguageModel(nn.Module):
    """Embedding or one-hot input, recurrent layers, and a linear layer to V logits.

    The state is explicit: `initial_state` makes it, `forward` takes it and returns the next. It is
    a list with one entry per layer, each a tuple of tensors (B, H).

        model = RecurrentLanguageModel(cell="lstm", vocabulary_size=65, hidden_size=256)
        logits, state = model(ids)         # ids (B, T) -> logits (B, T, V)
        logits, state = model(more, state)

    In a model of documents the state is zero before a boundary is read. In a model with labels, the
    row of `labels.weight` of each symbol's label is added to the first layer's gates.

    In training mode numbers are dropped at random, and the others are scaled up:

    dropout: probability for each number of a layer's output (Zaremba et al., 2014).
    input_dropout: probability for each number of the embedding, once for a window, so that a symbol
    has the same vector everywhere in it (after Gal & Ghahramani, 2016).
    recurrent_dropout: probability for each recurrent weight, once for a window (DropConnect; Wan et
    al., 2013; Merity et al., 2018). Raises ConfigurationError for a cell without such weights.
    """

    def __init__(
        self,
        configuration: ModelConfiguration | None = None,
        *,
        tensors: Mapping[str, NDArray[np.float32]] | None = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        generator: torch.Generator | None = None,
        **shape: Any,
    ) -> None:
        """Make a network of a configuration, or of the fields of one as keyword arguments.

        tensors: the weights of a model file; None draws new ones, by generator or PyTorch's own.
        """
        super().__init__()
        self.configuration = configuration = configuration or ModelConfiguration(**shape)
        if recurrent_dropout and not CELLS[configuration.cell].has_recurrent_weights:
            raise ConfigurationError(
                f"recurrent_dropout {recurrent_dropout:g}: {configuration.cell} has no recurrent "
                "weights: leave it out"
            )
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.recurrent_dropout = recurrent_dropout
        vocabulary_size, hidden_size = configuration.vocabulary_size, configuration.hidden_size
        self.embedding: nn.Embedding | None = None
        if configuration.embedding_size != "onehot":
            self.embedding = skip_init(nn.Embedding, vocabulary_size, configuration.embedding_size)
        cell = CELL_MODULES[configuration.cell]
        self.labels: nn.Embedding | None = None
        if configuration.num_labels:
            rows = configuration.gates * hidden_size
            self.labels = skip_init(nn.Embedding, configuration.num_labels, rows)
        self.layers = nn.ModuleList(
            cell(
                hidden_size if layer else configuration.input_size,
                hidden_size,
                configuration.nonlinearity,
            )
            for layer in range(configuration.num_layers)
        )
        self.output = skip_init(nn.Linear, hidden_size, vocabulary_size)
        if tensors is None:
            self.reset_parameters(generator)
        else:
            self.load_tensors(tensors)

    @property
    def cells(self) -> list[RecurrentCell]:
        """The layers, typed."""
        return [layer for layer in self.layers if isinstance(layer, RecurrentCell)]

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw every weight again; the first predictions are near uniform.

        Recurrent weights are orthogonal (Saxe et al., 2014), so that at first the state neither
        vanishes nor explodes, other matrices uniform, embeddings and labels normal, biases zero.
        """
        hidden_size = self.configuration.hidden_size
        for name, parameter in self.named_parameters():
            if parameter.dim() == 1:
                parameter.zero_()
            elif name in {"embedding.weight", "labels.weight"}:
                parameter.normal_(generator=generator)
            elif name.endswith("weight_hh"):
                for gate in parameter.split(hidden_size):
                    nn.init.orthogonal_(gate, generator=generator)
            else:
                bound = min(parameter.shape[1], hidden_size) ** -0.5
                parameter.uniform_(-bound, bound, generator=generator)

    def initial_state(self, batch_size: int) -> list[State]:
        """Return the zero state of B streams."""
        return [cell.initial_state(batch_size) for cell in self.cells]

    def forward(
        self,
        ids: Tensor,
        state: Sequence[State] | None = None,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, list[State]]:
        """Read T symbols of B streams: ids (B, T) -> logits (B, T, V), the state after them.

        labels: the number of the label that each symbol's document has, (B, T); None for 0, no
        label. Raises ConfigurationError for labels where the model has none.
        """
        hidden, new_state = self.hidden(ids, state, labels)
        return self.output(hidden), new_state

    def hidden(
        self,
        ids: Tensor,
        state: Sequence[State] | None = None,
        labels: Tensor | None = None,
        masks: MaskKey | None = None,
    ) -> tuple[Tensor, list[State]]:
        """Return the input of the output layer: ids (B, T) -> (B, T, H), the state after them.

        masks: what decides the dropout masks; None draws a key by PyTorch's generator.
        """
        if masks is None and self._drops:
            masks = MaskKey(int(torch.randint(2**63 - 1, ())))
        state = self.initial_state(ids.shape[0]) if state is None else state
        boundary = self.configuration.boundary
        segments = None if boundary is None else segments_of(ids, boundary)
        hidden, weights = self._labelled(self._input(ids, masks), labels)  # (B, T, I)
        new_state: list[State] = []
        for layer, (cell, layer_state) in enumerate(zip(self.cells, state, strict=True)):
            if masks is not None and self.recurrent_dropout:
                dropped = drop_recurrent(cell.weight_hh, self.recurrent_dropout, masks, layer)
                weights["weight_hh"] = dropped
            hidden, layer_after = _read_window(cell, hidden, layer_state, weights, segments)
            if masks is not None and self.dropout:
                hidden = drop_outputs(hidden, self.dropout, masks, layer)
            new_state.append(layer_after)
            weights = {}
        return hidden, new_state

    def step(
        self, ids: Tensor, state: Sequence[State], labels: Tensor | None = None
    ) -> tuple[Tensor, list[State]]:
        """Read one symbol of B streams by the cells' equations: ids (B,) -> logits (B, V), state.

        It computes what `forward` computes on windows of one symbol, without dropout.
        """
        hidden, weights = self._labelled(self._embed(ids), labels)  # (B, I)
        if (boundary := self.configuration.boundary) is not None:
            resets = ids.eq(boundary)[:, None]
            state = [tuple(part.masked_fill(resets, 0) for part in layer) for layer in state]
        new_state: list[State] = []
        for cell, layer_state in zip(self.cells, state, strict=True):
            layer_after: State = functional_call(cell, weights, (hidden, layer_state))
            hidden = layer_after[0]  # (B, H)
            new_state.append(layer_after)
            weights = {}
        return self.output(hidden), new_state

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return every weight by its name in the model file; on a CPU the arrays share memory."""
        return {
            name: tensor.detach().to("cpu", torch.float32).numpy()
            for name, tensor in self.state_dict().items()
        }

    def load_tensors(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Copy the weights of a model file into the parameters."""
        self.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})

    @property
    def _drops(self) -> bool:
        rates = (self.dropout, self.input_dropout, self.recurrent_dropout)
        return self.training and any(rates)

    def _embed(self, ids: Tensor) -> Tensor:
        """Return the vectors of ids: (...) -> (..., I)."""
        if self.embedding is not None:
            vectors: Tensor = self.embedding(ids)
            return vectors
        one_hot = F.one_hot(ids, self.configuration.vocabulary_size)
        return one_hot.to(self.output.weight.dtype)

    def _input(self, ids: Tensor, masks: MaskKey | None) -> Tensor:
        """Return the first layer's input: ids (B, T) -> (B, T, I)."""
        if self.embedding is None or masks is None or not self.input_dropout:
            return self._embed(ids)
        return F.embedding(ids, drop_embedding(self.embedding.weight, self.input_dropout, masks))

    def _labelled(self, inputs: Tensor, labels: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Append one-hot labels to the first layer's input (..., I), and their rows to its weights.

        So a fused layer adds the row of each symbol's label to its gates. Only the labels that
        occur have a column.
        """
        if self.labels is None:
            if labels is not None:
                raise ConfigurationError("expected no labels, since the model has none, got some")
            return inputs, {}
        if labels is None:
            labels = torch.zeros(inputs.shape[:-1], dtype=torch.int64, device=inputs.device)
        used, column = labels.unique(return_inverse=True)
        one_hot = F.one_hot(column, len(used)).to(inputs.dtype)
        weight_ih = torch.cat([self.cells[0].weight_ih, self.labels(used).T], 1)
        return torch.cat([inputs, one_hot], -1), {"weight_ih": weight_ih}


def _read_window(
    cell: RecurrentCell,
    inputs: Tensor,
    state: State,
    weights: Mapping[str, Tensor],
    segments: Segments | None,
) -> tuple[Tensor, State]:
    """Advance a layer over a window: inputs (B, T, I) -> hidden (B, T, H), the state after it."""
    if segments is None:
        return cell.over_window(inputs, state, weights)
    begin = tuple(segments.begin(part) for part in state)
    hidden, after = cell.over_window(segments.pack(inputs), begin, weights, segments.sizes)
    return segments.unpack(hidden), cell.state_type(*(segments.end(part) for part in after))
