"""Documents in a window: each is read as though it stood alone, with its label's row."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ricorda.errors import ConfigurationError
from ricorda.model import ModelConfiguration
from ricorda.model.cells import CELLS, CellName
from ricorda.torch import RecurrentLanguageModel
from ricorda.torch.cells import State
from ricorda.torch.dropout import MaskKey
from ricorda.torch.segments import segments_of

BOUNDARY = 6

every_model = pytest.mark.parametrize(
    "options",
    [
        {"cell": cell, "num_layers": layers, "embedding_size": embedding, "num_labels": labels}
        for cell in CELLS
        for layers, embedding, labels in [(1, "onehot", 3), (2, 5, 3), (2, "onehot", 0), (1, 5, 1)]
    ],
    ids=str,
)


def make(options: dict[str, Any], **settings: Any) -> RecurrentLanguageModel:
    """A model of documents in float64, with label rows that differ."""
    configuration = ModelConfiguration(
        vocabulary_size=7, hidden_size=9, documents=True, **({"cell": "lstm"} | options)
    )
    generator = torch.Generator().manual_seed(1)
    model = RecurrentLanguageModel(configuration, generator=generator, **settings)
    if model.labels is not None:
        torch.nn.init.normal_(model.labels.weight, generator=generator)
    return model.double()


def window() -> tuple[Tensor, Tensor]:
    """A window that cuts documents at both ends, with two boundaries in a row, and its labels."""
    b = BOUNDARY
    ids = torch.tensor(
        [
            [b, 1, 2, b, 3, 4, 5, 0, b, 1, 1],
            [1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5],
            [5, b, b, 0, 1, b, 2, 3, 4, 5, b],
            [2, 2, 2, 2, b, 2, 2, 2, 2, 2, 2],
        ]
    )
    opened = (ids == b).cumsum(1)
    return ids, (opened + torch.arange(4)[:, None]) % 3


def random_state(model: RecurrentLanguageModel, streams: int) -> list[State]:
    generator = torch.Generator().manual_seed(2)
    return [
        tuple(torch.randn(part.shape, generator=generator, dtype=part.dtype) for part in layer)
        for layer in model.initial_state(streams)
    ]


def by_documents(
    model: RecurrentLanguageModel, ids: Tensor, state: list[State], labels: Tensor | None
) -> tuple[Tensor, list[State]]:
    """Read each segment of each stream alone, by a model without documents and labels.

    A label's row, constant within a document, is added to the first layer's input biases.
    """
    configuration = model.configuration
    shape = {name: getattr(configuration, name) for name in ("cell", "num_layers")}
    plain = RecurrentLanguageModel(
        vocabulary_size=7, hidden_size=9, embedding_size=configuration.embedding_size, **shape
    ).double()
    weights = {name: value for name, value in model.named_parameters() if name != "labels.weight"}
    logits, ends = [], []
    for row, stream in enumerate(ids):
        after = [tuple(part[row : row + 1] for part in layer) for layer in state]
        found = []
        cuts = [0, *((stream == BOUNDARY).nonzero()[:, 0]).tolist(), len(stream)]
        for begin, end in pairwise(cuts):
            if begin == end:
                continue
            own: dict[str, torch.Tensor] = dict(weights)
            if model.labels is not None:
                label = 0 if labels is None else int(labels[row, begin])
                own["layers.0.bias_ih"] = own["layers.0.bias_ih"] + model.labels.weight[label]
            if stream[begin] == BOUNDARY:
                after = plain.initial_state(1)
            read = (stream[None, begin:end], after)
            part, after = torch.func.functional_call(plain, own, read)
            found.append(part)
        logits.append(torch.cat(found, 1))
        ends.append(after)
    layers = zip(*ends, strict=True)
    return torch.cat(logits), [
        tuple(torch.cat(parts) for parts in zip(*layer, strict=True)) for layer in layers
    ]


@every_model
@pytest.mark.parametrize("labelled", [True, False])
def test_a_window_is_its_documents_read_alone(options: dict[str, Any], labelled: bool) -> None:
    model = make(options)
    ids, labels = window()
    state = random_state(model, 4)
    given = labels % options["num_labels"] if labelled and options["num_labels"] else None
    logits, after = model(ids, state, given)
    expected, expected_after = by_documents(model, ids, state, given)
    torch.testing.assert_close(logits, expected)
    for layer, expected_layer in zip(after, expected_after, strict=True):
        torch.testing.assert_close(tuple(layer), tuple(expected_layer))
    gradients = [
        torch.autograd.grad(
            F.cross_entropy(each.flatten(0, 1), ids.flatten()), [*model.parameters()]
        )
        for each in (logits, expected)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@every_model
def test_chunks_and_steps_reset_where_the_window_does(options: dict[str, Any]) -> None:
    model = make(options)
    ids, labels = window()
    given = labels % options["num_labels"] if options["num_labels"] else None
    state = random_state(model, 4)
    whole, final = model(ids, state, given)
    columns: list[Any] = [None] * 11 if given is None else list(given.unbind(1))
    chunked, pieces = state, []
    for begin in range(0, 11, 4):
        part = None if given is None else given[:, begin : begin + 4]
        logits, chunked = model(ids[:, begin : begin + 4], chunked, part)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    stepped, steps = state, []
    for now, label in zip(ids.unbind(1), columns, strict=True):
        logits, stepped = model.step(now, stepped, label)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), whole)
    for states in (chunked, stepped):
        for layer, expected in zip(states, final, strict=True):
            torch.testing.assert_close(tuple(layer), tuple(expected))


@pytest.mark.parametrize("cell", CELLS)
def test_no_gradient_flows_back_across_a_boundary(cell: CellName) -> None:
    model = make({"cell": cell, "num_layers": 2, "embedding_size": 5})
    state = [tuple(part.requires_grad_() for part in layer) for layer in random_state(model, 1)]
    logits, _ = model(torch.tensor([[1, 2, BOUNDARY, 3, 4]]), state)
    before = torch.autograd.grad(logits[:, 1].sum(), state[0][0], retain_graph=True)
    (across,) = torch.autograd.grad(logits[:, 2:].sum(), state[0][0], allow_unused=True)
    assert before[0].any()
    assert across is None or not across.any()


def test_a_state_that_overflowed_is_zero_after_a_boundary() -> None:
    model = make({"cell": "rnn", "nonlinearity": "relu"})
    overflowed = [tuple(part + torch.inf for part in layer) for layer in model.initial_state(2)]
    ids = torch.tensor([[BOUNDARY, 1], [BOUNDARY, 2]])
    torch.testing.assert_close(model(ids, overflowed)[0], model(ids)[0])
    torch.testing.assert_close(model.step(ids[:, 0], overflowed)[0], model(ids)[0][:, 0])


def test_dropout_masks_do_not_depend_on_where_documents_begin() -> None:
    """Whose masks depend on the place in the window alone, so that the kernels' are the same."""
    model = make({"num_layers": 2}, dropout=0.5, recurrent_dropout=0.3)
    plain = RecurrentLanguageModel(
        ModelConfiguration(cell="lstm", vocabulary_size=7, hidden_size=9, num_layers=2),
        tensors=model.tensors(),
        dropout=0.5,
        recurrent_dropout=0.3,
    ).double()
    plain.load_state_dict(model.state_dict())
    ids = torch.tensor([[BOUNDARY, 1, 2, 3], [BOUNDARY, 4, 5, 0]])  # boundaries at zero states
    ours, theirs = (each.hidden(ids, masks=MaskKey(9))[0] for each in (model, plain))
    torch.testing.assert_close(ours, theirs)


def test_a_window_without_boundaries_has_no_segments() -> None:
    assert segments_of(torch.tensor([[1, 2], [3, 4]]), BOUNDARY) is None


def test_segments_are_packed_as_pytorch_packs_sequences() -> None:
    ids, _ = window()
    segments = segments_of(ids, BOUNDARY)
    assert segments is not None
    parts: list[Tensor] = []
    for stream in ids:
        cuts = np.unique([0, *(stream == BOUNDARY).nonzero()[:, 0].tolist()])[1:]
        parts += torch.tensor_split(stream, cuts.tolist())
    packed = torch.nn.utils.rnn.pack_sequence(parts, enforce_sorted=False)
    assert torch.equal(segments.sizes, packed.batch_sizes)
    rows = segments.pack(ids[..., None])
    assert rows.shape == (ids.numel(), 1)
    assert torch.equal(segments.unpack(rows)[..., 0], ids)
    for ours, theirs in zip(
        rows[:, 0].split(segments.sizes.tolist()),
        packed.data.split(packed.batch_sizes.tolist()),
        strict=True,
    ):  # of one time, segments of the same length in any order
        assert sorted(ours.tolist()) == sorted(theirs.tolist())


def test_labels_are_refused_where_the_model_has_none() -> None:
    model = make({})
    with pytest.raises(ConfigurationError, match="no labels, since the model has none"):
        model(torch.tensor([[1]]), labels=torch.tensor([[0]]))


def test_rows_of_labels_begin_at_random() -> None:
    configuration = ModelConfiguration(
        cell="gru", vocabulary_size=7, hidden_size=9, documents=True, num_labels=3
    )
    model = RecurrentLanguageModel(configuration)
    ids, labels = window()
    assert not torch.equal(model(ids, labels=labels)[0], model(ids)[0])
    rows = model.state_dict()["labels.weight"]
    assert 0.6 < float(rows.std()) < 1.4
