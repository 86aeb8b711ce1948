"""The engine in NumPy, written for reading: what faster engines are held to.

A layer's tensors have torch.nn's shapes and gate order. Each cell below is one step: it takes
the layer's input already multiplied by its weights, which for a whole chunk is one product outside
the loop over time, and returns everything that the step computed, by name.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ricorda.engine.backend import Array, Ids, State, Surprisals, label_numbers, zero_state
from ricorda.engine.reference_session import ReferenceSession
from ricorda.engine.sampling import Mask, log_softmax, most_likely_first
from ricorda.model.cells import CELLS, CellName
from ricorda.model.configuration import ModelConfiguration
from ricorda.text.vocabulary import Vocabulary

Activations = dict[str, Array]
"""What one step of one layer computed: each (B, H)."""


class Layer(NamedTuple):
    """One layer's weights, transposed so that inputs stand on their left; G gates, I inputs."""

    input_weights: Array  # (I, G*H)
    input_bias: Array  # (G*H,)
    hidden_weights: Array | None  # (H, G*H); None where no gate reads the hidden state
    hidden_bias: Array | None  # (G*H,), likewise
    nonlinearity: str  # of the rnn

    def project_input(self, inputs: Array) -> Array:
        """Multiply by the input weights: (..., I) -> (..., G*H)."""
        return inputs @ self.input_weights + self.input_bias

    def project_one_hot(self, ids: Ids) -> Array:
        """Do the same for one-hot inputs, whose product picks a row: (...) -> (..., G*H)."""
        return self.input_weights[ids] + self.input_bias

    def project_hidden(self, hidden: Array) -> Array:
        """Multiply by the recurrent weights: (B, H) -> (B, G*H)."""
        assert self.hidden_weights is not None
        assert self.hidden_bias is not None
        return hidden @ self.hidden_weights + self.hidden_bias


def sigmoid(values: Array) -> Array:
    """1 / (1 + exp(-x)), by tanh because it cannot overflow."""
    halved: Array = np.tanh(0.5 * values)
    return 0.5 + 0.5 * halved


def rnn_cell(projected: Array, state: State, layer: Layer) -> Activations:
    """Advance a simple recurrent network (Elman, 1990) by one symbol.

        h' = tanh(W x + b + U h + c)        or relu in place of tanh

    Shapes: projected = W x + b (B, H), state (1, B, H).
    """
    (hidden,) = state
    total = projected + layer.project_hidden(hidden)
    return {"hidden": np.tanh(total) if layer.nonlinearity == "tanh" else np.maximum(total, 0)}


def gru_cell(projected: Array, state: State, layer: Layer) -> Activations:
    """Advance a gated recurrent unit (Cho et al., 2014) by one symbol, in torch's variant.

        r  = sigmoid(W_r x + b_r + U_r h + c_r)         how much of the past the candidate sees
        z  = sigmoid(W_z x + b_z + U_z h + c_z)         how much of the past stays
        n  = tanh(W_n x + b_n + r * (U_n h + c_n))
        h' = (1 - z) * n + z * h

    The variant: r multiplies U_n h + c_n where the paper has U_n (r * h), and z keeps the past.
    Shapes: projected (B, 3H) stacked r, z, n; state (1, B, H).
    """
    (hidden,) = state
    input_reset, input_update, input_candidate = np.split(projected, 3, axis=-1)
    hidden_reset, hidden_update, hidden_candidate = np.split(
        layer.project_hidden(hidden), 3, axis=-1
    )
    reset_gate = sigmoid(input_reset + hidden_reset)
    update_gate = sigmoid(input_update + hidden_update)
    candidate = np.tanh(input_candidate + reset_gate * hidden_candidate)
    return {
        "hidden": (1 - update_gate) * candidate + update_gate * hidden,
        "reset_gate": reset_gate,
        "update_gate": update_gate,
        "candidate": candidate,
    }


def lstm_cell(projected: Array, state: State, layer: Layer) -> Activations:
    """Advance a long short-term memory (Hochreiter & Schmidhuber, 1997) by one symbol.

        i  = sigmoid(W_i x + b_i + U_i h + c_i)         what enters the cell
        f  = sigmoid(W_f x + b_f + U_f h + c_f)         what the cell keeps (Gers et al., 2000)
        g  = tanh   (W_g x + b_g + U_g h + c_g)
        o  = sigmoid(W_o x + b_o + U_o h + c_o)         what the cell shows
        c' = f * c + i * g
        h' = o * tanh(c')

    Shapes: projected (B, 4H) stacked i, f, g, o; state (2, B, H): hidden, then cell.
    """
    hidden, cell = state
    total = projected + layer.project_hidden(hidden)
    input_total, forget_total, candidate_total, output_total = np.split(total, 4, axis=-1)
    input_gate, forget_gate = sigmoid(input_total), sigmoid(forget_total)
    candidate, output_gate = np.tanh(candidate_total), sigmoid(output_total)
    cell = forget_gate * cell + input_gate * candidate
    return {
        "hidden": output_gate * np.tanh(cell),
        "cell": cell,
        "input_gate": input_gate,
        "forget_gate": forget_gate,
        "candidate": candidate,
        "output_gate": output_gate,
    }


def cifg_cell(projected: Array, state: State, layer: Layer) -> Activations:
    """Advance an LSTM with coupled input and forget gates (Greff et al., 2015) by one symbol.

        i  = sigmoid(W_i x + b_i + U_i h + c_i)         how much of the cell is replaced
        g  = tanh   (W_g x + b_g + U_g h + c_g)
        o  = sigmoid(W_o x + b_o + U_o h + c_o)         what the cell shows
        c' = (1 - i) * c + i * g
        h' = o * tanh(c')

    Shapes: projected (B, 3H) stacked i, g, o; state (2, B, H): hidden, then cell.
    """
    hidden, cell = state
    total = projected + layer.project_hidden(hidden)
    input_total, candidate_total, output_total = np.split(total, 3, axis=-1)
    input_gate, output_gate = sigmoid(input_total), sigmoid(output_total)
    candidate = np.tanh(candidate_total)
    cell = (1 - input_gate) * cell + input_gate * candidate
    return {
        "hidden": output_gate * np.tanh(cell),
        "cell": cell,
        "input_gate": input_gate,
        "candidate": candidate,
        "output_gate": output_gate,
    }


def mingru_cell(projected: Array, state: State, layer: Layer) -> Activations:
    """Advance a minimal gated recurrent unit (Feng et al., 2024) by one symbol.

        z  = sigmoid(W_z x + b_z)                       how much of the past is replaced
        n  = W_n x + b_n
        h' = (1 - z) * h + z * n

    Shapes: projected (B, 2H) stacked z, n; state (1, B, H).
    """
    (hidden,) = state
    update_total, candidate = np.split(projected, 2, axis=-1)
    update_gate = sigmoid(update_total)
    return {
        "hidden": (1 - update_gate) * hidden + update_gate * candidate,
        "update_gate": update_gate,
        "candidate": candidate,
    }


def minlstm_cell(projected: Array, state: State, layer: Layer) -> Activations:
    """Advance a minimal long short-term memory (Feng et al., 2024) by one symbol.

        i  = sigmoid(W_i x + b_i)
        f  = sigmoid(W_f x + b_f)
        g  = W_g x + b_g
        h' = (f * h + i * g) / (f + i)

    i / (f + i) is computed from the gates' logarithms, which never vanish.
    Shapes: projected (B, 3H) stacked i, f, g; state (1, B, H).
    """
    (hidden,) = state
    input_total, forget_total, candidate = np.split(projected, 3, axis=-1)
    share = sigmoid(np.logaddexp(0, -forget_total) - np.logaddexp(0, -input_total))
    return {
        "hidden": (1 - share) * hidden + share * candidate,
        "input_gate": sigmoid(input_total),
        "forget_gate": sigmoid(forget_total),
        "candidate": candidate,
    }


STEPS: dict[CellName, Callable[[Array, State, Layer], Activations]] = {
    "rnn": rnn_cell,
    "gru": gru_cell,
    "lstm": lstm_cell,
    "cifg": cifg_cell,
    "mingru": mingru_cell,
    "minlstm": minlstm_cell,
}
"""One step of each cell; its names are those of the cell's trace."""


class ReferenceBackend:
    """A trained network run by NumPy; a Backend.

    Computes in `dtype`: float32 as models are trained, or float64 to measure other engines by.
    """

    is_exact_in_batches = False  # BLAS sums a batch in another order

    def __init__(
        self,
        configuration: ModelConfiguration,
        tensors: Mapping[str, Array],
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Take the tensors of a model file, by name."""

        def tensor(name: str) -> Array:
            return np.ascontiguousarray(np.asarray(tensors[name]).T, dtype)

        def recurrent(name: str) -> Array | None:
            return tensor(name) if CELLS[configuration.cell].has_recurrent_weights else None

        self.configuration = configuration
        self.tensors = tensors
        self._dtype = dtype
        self._cell = STEPS[configuration.cell]
        self._carried = [part.name for part in CELLS[configuration.cell].state]
        self._embedding: Array | None = None  # (V, E)
        if configuration.embedding_size != "onehot":
            self._embedding = np.asarray(tensors["embedding.weight"], dtype)
        self._labels: Array | None = None  # (K, G*H)
        if configuration.num_labels:
            self._labels = np.asarray(tensors["labels.weight"], dtype)
        self._layers = [
            Layer(
                tensor(f"layers.{number}.weight_ih"),
                tensor(f"layers.{number}.bias_ih"),
                recurrent(f"layers.{number}.weight_hh"),
                recurrent(f"layers.{number}.bias_hh"),
                configuration.nonlinearity,
            )
            for number in range(configuration.num_layers)
        ]
        self._output_weights = tensor("output.weight")  # (H, V)
        self._output_bias = tensor("output.bias")  # (V,)

    def zero_state(self, streams: int) -> State:
        """Make the state before the first symbol, (S, L, B, H)."""
        return zero_state(self.configuration, streams, self._dtype)

    def step(self, ids: Ids, state: State, *, labels: Ids | None = None) -> tuple[Array, State]:
        """Read one symbol in each stream: ids (B,) -> logits (B, V), new state."""
        labels = None if labels is None else labels[:, np.newaxis]
        logits, state = self.forward(ids[:, np.newaxis], state, labels=labels)
        return logits[:, 0], state

    def read(self, ids: Ids, state: State, *, labels: Ids | None = None) -> State:
        """Read T symbols in each stream: ids (B, T) -> new state; nothing is predicted."""
        return self._run(ids, state, ("hidden",), labels)[1]

    def forward(self, ids: Ids, state: State, *, labels: Ids | None = None) -> tuple[Array, State]:
        """Read T symbols in each stream: ids (B, T) -> logits (B, T, V), new state."""
        layers, state = self._run(ids, state, ("hidden",), labels)
        # A network with relu may overflow; the caller checks whether the logits are finite.
        with np.errstate(over="ignore", invalid="ignore"):
            return layers[-1]["hidden"] @ self._output_weights + self._output_bias, state

    def score(
        self,
        ids: Ids,
        targets: Ids,
        state: State,
        alternatives: int = 0,
        *,
        labels: Ids | None = None,
    ) -> tuple[Surprisals, State]:
        """Read ids (B, T) and say how surprising targets (B, T) were: surprisals, new state."""
        logits, state = self.forward(ids, state, labels=labels)
        nats = -log_softmax(logits)  # (B, T, V)
        wanted = targets[..., np.newaxis].astype(np.intp)
        best = most_likely_first(-nats)[..., :alternatives] if alternatives else wanted[..., :0]
        surprisals = Surprisals(
            np.take_along_axis(nats, wanted, axis=-1)[..., 0],
            best,
            np.take_along_axis(nats, best, axis=-1),
        )
        return surprisals, state

    def session(self, vocabulary: Vocabulary) -> ReferenceSession:
        """Begin to write texts, any number side by side."""
        return ReferenceSession(self, vocabulary)

    def trace(
        self, ids: Ids, state: State, *, labels: Ids | None = None
    ) -> tuple[dict[str, Array], State]:
        """Read one stream, ids (T,), and keep every activation: arrays (T, L, H), new state."""
        labels = None if labels is None else labels[np.newaxis]
        layers, state = self._run(ids[np.newaxis], state, None, labels)
        names = layers[0].keys()
        return {
            name: np.stack([layer[name][0] for layer in layers], axis=1) for name in names
        }, state

    def _run(
        self, ids: Ids, state: State, keep: tuple[str, ...] | None, labels: Ids | None
    ) -> tuple[list[Activations], State]:
        """Run the layers one after another, each over the whole chunk.

        ids (B, T) -> the activations to keep (all if None) of each layer, (B, T, H); new state.
        """
        labels = label_numbers(self.configuration, labels, ids.shape)
        continues = self._continues(ids)
        layers: list[Activations] = []
        states: list[State] = []
        with np.errstate(over="ignore", invalid="ignore"):
            projected = self._project_symbols(ids, labels)  # (B, T, G*H)
            for number, layer in enumerate(self._layers):
                if number > 0:
                    projected = layer.project_input(layers[-1]["hidden"])
                activations, last = self._run_layer(
                    layer, projected, state[:, number], keep, continues
                )
                layers.append(activations)
                states.append(last)
        return layers, np.stack(states, axis=1)

    def _project_symbols(self, ids: Ids, labels: Ids | None) -> Array:
        """Give the first layer's input times its weights, and its labels' rows: (B, T, G*H)."""
        first = self._layers[0]
        if self._embedding is None:
            projected = first.project_one_hot(ids)
        else:
            projected = first.project_input(self._embedding[ids])
        if self._labels is None:
            return projected
        return projected + self._labels[np.zeros_like(ids) if labels is None else labels]

    def _continues(self, ids: Ids) -> Mask:
        """Where ids (B, T) are read from the state before them; at a boundary it is zero."""
        return np.asarray(ids != self.configuration.boundary)

    def _run_layer(
        self,
        layer: Layer,
        projected: Array,
        state: State,
        keep: tuple[str, ...] | None,
        continues: Mask,
    ) -> tuple[Activations, State]:
        """Loop over time: projected (B, T, G*H), state (S, B, H) -> (B, T, H) by name, state."""
        kept: dict[str, list[Array]] = {}
        for time in range(projected.shape[1]):
            state = np.where(continues[:, time, np.newaxis], state, 0)
            activations = self._cell(projected[:, time], state, layer)
            state = np.stack([activations[name] for name in self._carried])
            for name in keep or activations:
                kept.setdefault(name, []).append(activations[name])
        return {name: np.stack(values, axis=1) for name, values in kept.items()}, state
