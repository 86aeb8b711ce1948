"""A learner's step across boundaries and under labels, against plain PyTorch and by differences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ricorda.engine import ReferenceBackend
from tests.kernels.learning.conftest import EVERY_SET, Learning, LearningCase, long
from tests.kernels.learning.test_gradients import (
    BFLOAT16_ROUNDING,
    assert_near,
    every_cell,
    needs_bfloat16,
    relative,
)

MakeCase = Callable[..., LearningCase]
Tensors = dict[str, Tensor]
DOCUMENTS: dict[str, Any] = {"vocabulary_size": 6, "documents": True, "num_labels": 4}


def cell_step(cell: str, inputs: Tensor, hidden: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
    """One step from the gates' two sides (B, G*H): the new state's parts (B, H)."""
    if cell in ("tanh", "relu"):
        return [getattr(torch, cell)(inputs + hidden)]
    if cell == "gru":
        (r, z, n), (hr, hz, hn) = inputs.chunk(3, dim=1), hidden.chunk(3, dim=1)
        reset, update = torch.sigmoid(r + hr), torch.sigmoid(z + hz)
        candidate = torch.tanh(n + reset * hn)
        return [(1 - update) * candidate + update * state[0]]
    if cell == "mingru":
        z, n = inputs.chunk(2, dim=1)
        return [(1 - torch.sigmoid(z)) * state[0] + torch.sigmoid(z) * n]
    if cell == "minlstm":
        i, f, g = inputs.chunk(3, dim=1)
        i, f = torch.sigmoid(i), torch.sigmoid(f)
        return [(f * state[0] + i * g) / (f + i)]
    gates = (inputs + hidden).chunk(4 if cell == "lstm" else 3, dim=1)
    i, g, o = torch.sigmoid(gates[0]), torch.tanh(gates[-2]), torch.sigmoid(gates[-1])
    forget = torch.sigmoid(gates[1]) if cell == "lstm" else 1 - i
    memory = forget * state[1] + i * g
    return [o * torch.tanh(memory), memory]


def loss_of(case: LearningCase, tensors: Tensors) -> tuple[Tensor, list[Tensor]]:
    """The window's mean nats, symbol by symbol, and the parts of the state after it."""
    shape = case.configuration
    cell = shape.nonlinearity if shape.cell == "rnn" else shape.cell
    parts = shape.state_parts
    keep = torch.from_numpy(1.0 - case.restart).double()[:, None]
    states = [torch.from_numpy(part).double() * keep for part in case.state]
    ids, outputs = long(case.inputs), []
    for time in range(case.steps):
        keep = (ids[:, time] != shape.vocabulary_size - 1).double()[:, None]
        states = [part * keep for part in states]
        values = F.one_hot(ids[:, time], shape.vocabulary_size).double()
        if "embedding.weight" in tensors:
            values = values @ tensors["embedding.weight"]
        for layer in range(shape.num_layers):
            here = f"layers.{layer}"
            state = states[layer * parts : (layer + 1) * parts]
            gates = values @ tensors[f"{here}.weight_ih"].T + tensors[f"{here}.bias_ih"]
            if layer == 0 and case.labels is not None:
                gates = gates + tensors["labels.weight"][long(case.labels[:, time])]
            past = torch.zeros_like(gates)
            if f"{here}.weight_hh" in tensors:
                past = state[0] @ tensors[f"{here}.weight_hh"].T + tensors[f"{here}.bias_hh"]
            state = cell_step(cell, gates, past, state)
            states[layer * parts : (layer + 1) * parts] = state
            values = state[0]
        outputs.append(values @ tensors["output.weight"].T + tensors["output.bias"])
    logits = torch.stack(outputs, dim=1)  # (B, T, V)
    return F.cross_entropy(logits.flatten(0, 1), long(case.targets).flatten()), states


def expected_of(case: LearningCase) -> tuple[float, dict[str, NDArray[Any]], list[Tensor]]:
    """The loss, the gradients by the parameters' names and the state after the window."""
    tensors = {
        name: torch.from_numpy(weight).double().requires_grad_()
        for name, weight in case.weights.items()
    }
    loss, states = loss_of(case, tensors)
    gradients = torch.autograd.grad(loss, list(tensors.values()))
    named = {name: g.numpy() for name, g in zip(tensors, gradients, strict=True)}
    return loss.item(), named, states


def check(case: LearningCase, *variants: dict[str, Any]) -> None:
    """Compare a step with each variant of the learner's options."""
    if case.configuration.nonlinearity == "relu":
        case.stay_off_the_kinks()
    nats, gradients, states = expected_of(case)
    squares = sum(float((gradient**2).sum()) for gradient in gradients.values())
    for options in variants or ({},):
        learner = case.learner(**options)
        actual, norm = learner.step(learning_rate=0.0)
        assert actual == pytest.approx(nats, rel=2e-6, abs=1e-6), options
        assert norm == pytest.approx(squares**0.5, rel=1e-5), options
        assert_near(learner.gradients(), gradients)
        for part, expected in zip(learner.state, states, strict=True):
            np.testing.assert_allclose(part, expected.detach(), rtol=2e-6, atol=5e-6)


@every_cell
@pytest.mark.parametrize("embedding", ["onehot", 5])
@pytest.mark.parametrize("layers", [1, 2])
def test_gradients_across_boundaries_and_under_labels(
    make_case: MakeCase, cell: dict[str, str], embedding: Any, layers: int
) -> None:
    for hidden, streams, steps in [(1, 1, 2), (5, 3, 9), (33, 4, 20)]:
        size = {"hidden_size": hidden, "streams": streams, "steps": steps}
        shape = DOCUMENTS | {"embedding_size": embedding, "num_layers": layers} | size
        check(make_case(**cell, **shape), *EVERY_SET)


@every_cell
def test_gradients_without_a_table(make_case: MakeCase, cell: dict[str, str]) -> None:
    shape = {"vocabulary_size": 60, "documents": True, "num_labels": 100}
    case = make_case(**cell, **shape, num_layers=2, streams=3, steps=11)
    case.inputs[np.random.default_rng(1).random(case.inputs.shape) < 0.3] = 59
    check(case, {"threads": 2})


@every_cell
def test_groups_of_streams(make_case: MakeCase, cell: dict[str, str]) -> None:
    shape = DOCUMENTS | {"hidden_size": 72, "embedding_size": 40}
    case = make_case(**cell, **shape, streams=5, steps=40)
    check(case, *({"threads": threads} for threads in (1, 2, 3)))


def test_more_symbols_than_are_summed_together(make_case: MakeCase) -> None:
    """Weight gradients are summed 512 symbols at a time: resets lie in several of such blocks."""
    check(make_case(**DOCUMENTS, streams=3, steps=301))
    check(make_case(**DOCUMENTS, streams=600, steps=3, cell="gru"))
    check(make_case(**DOCUMENTS, streams=1, steps=1030, num_layers=2, cell="cifg"))


@pytest.mark.parametrize("shape", [{"num_labels": 0}, {"documents": False}])
def test_either_without_the_other(make_case: MakeCase, shape: dict[str, Any]) -> None:
    case = make_case(**DOCUMENTS | shape)
    if not case.configuration.documents:
        case.inputs[case.inputs == 5] = 0  # the reference resets at the last symbol
    check(case)


@every_cell
def test_only_boundaries(make_case: MakeCase, cell: dict[str, str]) -> None:
    case = make_case(**cell, **DOCUMENTS, num_layers=2)
    case.inputs[:] = 5
    check(case)
    _, gradients, _ = expected_of(case)
    learner = case.learner()
    learner.step(learning_rate=0.0)
    recurrent = [name for name in case.weights if name.endswith("weight_hh")]
    assert len(recurrent) == (0 if cell["cell"] in ("mingru", "minlstm") else 2)
    for name in recurrent:  # what is always multiplied with zero has no gradient at all
        assert not gradients[name].any()
        assert not learner.gradients()[name].any()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "cifg", "mingru", "minlstm"])
@pytest.mark.parametrize("embedding", ["onehot", 3])
def test_gradients_of_labels_by_differences(make_case: MakeCase, cell: str, embedding: Any) -> None:
    case = make_case(**DOCUMENTS, cell=cell, embedding_size=embedding, num_layers=2)
    case.restart[:] = 0
    learner = case.learner()
    learner.step(learning_rate=0.0)
    gradient = learner.gradients()["labels.weight"]
    parts = case.configuration.state_parts
    state = np.stack(case.state).reshape(2, parts, 3, 6).swapaxes(0, 1).astype(np.float64)

    def nats(tensors: dict[str, NDArray[Any]]) -> float:
        backend = ReferenceBackend(case.configuration, tensors, np.float64)
        found, _ = backend.score(case.inputs, case.targets, state, labels=case.labels)
        return float(found.nats.mean())

    rows = case.weights["labels.weight"].astype(np.float64)
    for place in [(0, 0), (1, 4), (2, 5), (3, rows.shape[1] - 1)]:
        moved = []
        for step in (1e-5, -1e-5):
            changed = rows.copy()
            changed[place] += step
            moved.append(nats({**case.weights, "labels.weight": changed}))
        assert gradient[place] == pytest.approx((moved[0] - moved[1]) / 2e-5, rel=1e-4, abs=1e-7)


def test_no_labels_are_label_0(make_case: MakeCase) -> None:
    case = make_case(**DOCUMENTS)
    given, none = case.learner(), case.learner()
    case.labels = np.zeros_like(case.inputs)
    results = [given.step(), none.step(labels=None)]
    assert results[0] == results[1]
    for mine, its in zip(given.arrays(), none.arrays(), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_labels_are_averaged_and_do_not_decay(make_case: MakeCase) -> None:
    case = make_case(**DOCUMENTS)
    case.labels = np.full_like(case.inputs, 2)
    learner = case.learner(weight_decay=0.5, averaged=True)
    learner.step(learning_rate=0.1, average_share=0.5)
    name, before = learner.names.index("labels.weight"), case.weights["labels.weight"]
    after, average = learner.weights[name], learner.averages[name]
    np.testing.assert_array_equal(after[[0, 1, 3]], before[[0, 1, 3]])
    assert (after[2] != before[2]).all()
    np.testing.assert_allclose(average, (before + after) / 2, rtol=1e-6, atol=1e-7)


def test_input_dropout_leaves_labels(make_case: MakeCase) -> None:
    case = make_case(**DOCUMENTS)
    changed = [case.learner(input_dropout=share).step(key=3)[0] for share in (0, 0.9)]
    case.weights["embedding.weight"][:] = 0  # no input but the labels
    equal = [case.learner(input_dropout=share) for share in (0, 0.9)]
    nats = [learner.step(key=3)[0] for learner in equal]
    assert nats[0] == nats[1]
    assert changed[0] != changed[1]
    one, other = (learner.gradients()["labels.weight"] for learner in equal)
    np.testing.assert_array_equal(one, other)
    assert one.any()


def test_the_same_threads_give_the_same_bits(make_case: MakeCase) -> None:
    case = make_case(**DOCUMENTS, hidden_size=72, streams=6, steps=40)
    for threads in (1, 2):
        one, other = case.learner(threads=threads), case.learner(threads=threads)
        for key in range(3):
            assert one.step(key=key) == other.step(key=key)
        for mine, its in zip(one.arrays(), other.arrays(), strict=True):
            np.testing.assert_array_equal(mine, its)


@needs_bfloat16
@every_cell
def test_bfloat16(make_case: MakeCase, cell: dict[str, str]) -> None:
    """The bound is that of windows without boundaries, for one layer."""
    case = make_case(**cell, **DOCUMENTS, hidden_size=33, streams=4, steps=20)
    if case.configuration.nonlinearity == "relu":
        case.stay_off_the_kinks()
    exact, rounded = case.learner(), case.learner(precision="bfloat16")
    nats = [learner.step(learning_rate=0.0)[0] for learner in (exact, rounded)]
    assert 0 < abs(nats[1] - nats[0]) < BFLOAT16_ROUNDING * nats[0]
    distances = relative(rounded.gradients(), exact.gradients())
    assert all(0 < each < 7 * 2 * BFLOAT16_ROUNDING for each in distances.values()), distances


def test_a_window_that_begins_with_boundaries_forgets_the_state(make_case: MakeCase) -> None:
    case = make_case(**DOCUMENTS)
    case.inputs[:, 0] = 5
    learners = [case.learner(), case.learner()]
    for part in learners[1].state:
        part[:] = 0
    assert learners[0].step() == learners[1].step()
    for mine, its in zip(learners[0].arrays(), learners[1].arrays(), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_labels_that_do_not_fit_are_refused(make_case: MakeCase) -> None:
    def step(learner: Learning, labels: NDArray[np.uint32]) -> None:
        learner.step(labels=labels)

    case = make_case(**DOCUMENTS)
    labels = np.zeros_like(case.inputs)
    with pytest.raises(ValueError, match="labels must have the shape"):
        step(case.learner(), labels[:, 1:].copy())
    with pytest.raises(ValueError, match="labels must be below the number of labels 4"):
        step(case.learner(), labels + np.uint32(4))
    with pytest.raises(ValueError, match="the network has no labels"):
        step(make_case().learner(), labels)
