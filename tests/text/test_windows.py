"""The windows of truncated backpropagation through time."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import ConfigurationError, TextError
from ricorda.text import Ids, Part, Window, WindowStream, split


def text(length: int) -> Ids:
    """Ids that are their own places."""
    return np.arange(length, dtype=np.uint32)


def stream(
    length: int, batch_size: int, window: int, *, seed: int = 0, reset_probability: float = 0.0
) -> WindowStream:
    return WindowStream(
        Part.whole(text(length)),
        batch_size=batch_size,
        window=window,
        seed=seed,
        reset_probability=reset_probability,
    )


def epoch_of(windows: WindowStream, epoch: int) -> list[Window]:
    first = epoch * windows.windows_per_epoch
    return [windows.window_at(first + number) for number in range(windows.windows_per_epoch)]


def assert_equal(one: Window, other: Window) -> None:
    for expected, actual in zip(one, other, strict=True):
        np.testing.assert_array_equal(expected, actual)


# (N, B, T): the text fills many windows, just one, or none of B rows; N at least 2.
SHAPES = st.tuples(st.integers(2, 400), st.integers(1, 9), st.integers(1, 70))


@given(SHAPES, st.integers(0, 2**64 - 1), st.integers(0, 1000))
def test_every_window_is_part_of_the_text(
    shape: tuple[int, int, int], seed: int, step: int
) -> None:
    length, batch_size, window = shape
    windows = stream(length, batch_size, window, seed=seed)
    inputs, targets, restart, _ = windows.window_at(step)
    assert windows.window == min(window, length - 1)
    assert inputs.shape == targets.shape == (batch_size, windows.window)
    assert inputs.dtype == targets.dtype == np.uint32
    assert restart.shape == (batch_size,)
    assert restart.dtype == np.bool_
    # The ids are places, so a stretch of the text counts upwards.
    np.testing.assert_array_equal(targets, inputs + 1)
    np.testing.assert_array_equal(np.diff(inputs.astype(int), axis=1), 1)
    assert inputs.min() >= 0
    assert targets.max() < length


@given(SHAPES, st.integers(0, 5))
def test_a_row_continues_where_its_last_window_ended(
    shape: tuple[int, int, int], epoch: int
) -> None:
    parts = epoch_of(stream(*shape, seed=3), epoch)
    for before, after in pairwise(parts):
        np.testing.assert_array_equal(after.inputs[:, 0], before.targets[:, -1])


@given(SHAPES)
def test_rows_start_cold_in_the_first_window_of_an_epoch(shape: tuple[int, int, int]) -> None:
    for epoch in range(3):
        first, *rest = epoch_of(stream(*shape), epoch)
        assert first.restart.all()
        assert not any(window.restart.any() for window in rest)


@given(SHAPES, st.integers(0, 300))
def test_a_window_depends_on_its_number_alone(shape: tuple[int, int, int], step: int) -> None:
    one, other = (stream(*shape, seed=5, reset_probability=0.3) for _ in range(2))
    for earlier in range(0, step, 37):
        one.window_at(earlier)
    assert_equal(one.window_at(step), other.window_at(step))


@given(SHAPES)
def test_all_of_the_text_is_learned(shape: tuple[int, int, int]) -> None:
    length, batch_size, window = shape
    windows = stream(*shape)
    seen: set[int] = set()
    # A symbol is missed by an epoch with a probability below 1 - 1 / (all places of a row).
    for epoch in range(40 * (length + batch_size * window)):
        for part in epoch_of(windows, epoch):
            seen.update(part.targets.ravel().tolist())
        if len(seen) == length - 1:
            return
    pytest.fail(f"{length - 1 - len(seen)} symbols are never learned")


@given(SHAPES.filter(lambda shape: shape[0] - 1 >= shape[1] * shape[2]), st.integers(0, 20))
def test_an_epoch_covers_the_text_but_for_its_ends(shape: tuple[int, int, int], epoch: int) -> None:
    length, batch_size, window = shape
    windows = stream(*shape)
    assert windows.windows_per_epoch == (length - 1) // (batch_size * window)
    targets = np.concatenate([part.targets.ravel() for part in epoch_of(windows, epoch)])
    distinct = np.unique(targets)
    assert len(distinct) >= len(targets) - (window - 1)
    np.testing.assert_array_equal(distinct, np.arange(distinct[0], distinct[-1] + 1))


@pytest.mark.parametrize("length, batch_size, window", [(1001, 4, 10), (81, 2, 8), (997, 3, 20)])
def test_windows_begin_elsewhere_in_each_epoch(length: int, batch_size: int, window: int) -> None:
    windows = stream(length, batch_size, window)
    # Even where the rows fill the text exactly (1,000 = 4 x 25 x 10).
    begins = [epoch_of(windows, epoch)[0].inputs[:, 0] % window for epoch in range(300)]
    for row in range(batch_size):
        assert len({int(begin[row]) for begin in begins}) == window


@pytest.mark.parametrize("batch_size", [2, 50])
def test_a_text_shorter_than_a_batch_is_sampled_cold(batch_size: int) -> None:
    windows = stream(25, batch_size, 20)
    assert windows.windows_per_epoch == 1
    parts = [windows.window_at(step) for step in range(200)]
    assert all(part.restart.all() for part in parts)
    assert {int(begin) for part in parts for begin in part.inputs[:, 0]} == set(range(5))


@pytest.mark.parametrize("length", [2, 3, 24])
def test_a_text_shorter_than_a_window(length: int) -> None:
    windows = stream(length, 3, 64)
    assert windows.window == length - 1
    inputs, targets, restart, _ = windows.window_at(7)
    np.testing.assert_array_equal(inputs, np.tile(np.arange(length - 1), (3, 1)))
    np.testing.assert_array_equal(targets, inputs + 1)
    assert restart.all()


def test_seeds_differ() -> None:
    begins = {
        tuple(stream(1000, 4, 7, seed=seed).window_at(0).inputs[:, 0].tolist())
        for seed in [0, 1, 2, 3, 2**63, 2**64 - 1]
    }
    assert len(begins) > 3


def test_rows_restart_with_the_given_probability() -> None:
    windows = stream(100_000, 8, 5, reset_probability=0.25)
    parts = epoch_of(windows, 2)
    restarts = np.array([part.restart for part in parts[1:]])
    assert abs(restarts.mean() - 0.25) < 0.01
    assert not np.array_equal(restarts[0], restarts[1])
    assert not np.array_equal(restarts[1:], [part.restart for part in epoch_of(windows, 3)[2:]])
    always = stream(1000, 2, 5, reset_probability=1)
    assert all(part.restart.all() for part in epoch_of(always, 0))


def test_resets_leave_the_windows_as_they_are() -> None:
    for step in [0, 5, 77]:
        with_resets = stream(1000, 3, 5, reset_probability=0.5).window_at(step)
        np.testing.assert_array_equal(with_resets.inputs, stream(1000, 3, 5).window_at(step).inputs)


@pytest.mark.parametrize("type_", [np.uint8, np.uint16, np.uint32])
def test_any_type_of_ids_gives_the_same_windows(type_: type) -> None:
    ids: Ids = np.arange(200).astype(type_)
    windows = WindowStream(Part.whole(ids), batch_size=3, window=5, seed=1)
    assert_equal(windows.window_at(4), stream(200, 3, 5, seed=1).window_at(4))


def test_windows_may_be_written_to() -> None:
    ids = text(100)
    ids.flags.writeable = False
    inputs, targets, *_ = WindowStream(Part.whole(ids), batch_size=2, window=5, seed=0).window_at(0)
    assert inputs.flags.writeable
    assert inputs.flags.c_contiguous
    assert targets.flags.c_contiguous
    assert not np.shares_memory(inputs, targets)


@pytest.mark.parametrize("length", [0, 1])
def test_a_text_with_nothing_to_predict(length: int) -> None:
    with pytest.raises(TextError, match="at least 2 symbols"):
        stream(length, 1, 1)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"batch_size": 0}, "batch size: expected 1 or more, but it is 0"),
        ({"window": 0}, "window: expected 1 or more, but it is 0"),
        ({"seed": -1}, "seed: expected 0 or more, but it is -1"),
        ({"seed": 2**64}, "seed: expected"),
        ({"reset_probability": 1.5}, "reset probability: expected a number from 0 to 1"),
        ({"reset_probability": float("nan")}, "reset probability: expected a number from 0 to 1"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        WindowStream(Part.whole(text(100)), **{"batch_size": 1, "window": 1, "seed": 0, **options})


def test_there_is_no_window_before_the_first() -> None:
    with pytest.raises(ConfigurationError, match="step: expected 0 or more"):
        stream(100, 1, 1).window_at(-1)


BOUNDARY = 1000


def documents(*sizes: int, labels: bool = False) -> Part:
    """Documents of numbers that no other document has; document k has label k % 4."""
    ids = [np.array([BOUNDARY], np.uint32)]
    begin = 0
    for number, size in enumerate(sizes):
        ids[-1][-1] += number % 4 if labels else 0
        ids.append(np.arange(begin, begin + size, dtype=np.uint32))
        ids.append(np.array([BOUNDARY], np.uint32))
        begin += size
    assert begin <= BOUNDARY
    return Part.whole(np.concatenate(ids), BOUNDARY)


def of_documents(part: Part, batch_size: int, window: int, seed: int = 0) -> WindowStream:
    return WindowStream(part, batch_size=batch_size, window=window, seed=seed)


def rows_of(windows: WindowStream, epoch: int) -> list[list[int]]:
    """What each row reads in an epoch, its first input included."""
    parts = epoch_of(windows, epoch)
    targets = np.concatenate([part.targets for part in parts], axis=1)
    rows: list[list[int]] = np.concatenate([parts[0].inputs[:, :1], targets], axis=1).tolist()
    return rows


# Sizes of documents, B, T
DIVIDED = st.tuples(
    st.lists(st.integers(1, 15), min_size=1, max_size=60), st.integers(1, 9), st.integers(1, 70)
)


@given(DIVIDED, st.integers(0, 3))
def test_every_document_is_seen_in_every_epoch(
    shape: tuple[list[int], int, int], epoch: int
) -> None:
    sizes, batch_size, window = shape
    windows = of_documents(documents(*sizes), batch_size, window)
    predictions = sum(sizes) + len(sizes)
    assert windows.windows_per_epoch == -(-predictions // (batch_size * windows.window))
    targets = np.concatenate([part.targets.ravel() for part in epoch_of(windows, epoch)])
    assert set(range(sum(sizes))) | {BOUNDARY} == set(targets.tolist())


@given(DIVIDED)
def test_documents_stay_whole(shape: tuple[list[int], int, int]) -> None:
    """After each symbol comes the next of its document, or the boundary at its end."""
    sizes, batch_size, window = shape
    ends = np.cumsum(sizes)
    starts, last = set((ends - sizes).tolist()), set((ends - 1).tolist())
    windows = of_documents(documents(*sizes), batch_size, window)
    for part in epoch_of(windows, 1):
        pairs = zip(part.inputs.ravel().tolist(), part.targets.ravel().tolist(), strict=True)
        for here, after in pairs:
            if here == BOUNDARY:
                assert after in starts
            else:
                assert after == (BOUNDARY if here in last else here + 1)


@given(DIVIDED)
def test_rows_of_documents_continue_where_their_last_window_ended(
    shape: tuple[list[int], int, int],
) -> None:
    sizes, batch_size, window = shape
    first, *rest = epoch_of(of_documents(documents(*sizes), batch_size, window), 0)
    assert first.restart.all()
    for before, after in pairwise([first, *rest]):
        same = after.inputs[:, 0] == before.targets[:, -1]
        assert (after.restart | same).all()


def test_each_document_is_read_once_but_for_the_rows_ends() -> None:
    sizes = [7] * 100
    windows = of_documents(documents(*sizes), 4, 10)
    assert windows.windows_per_epoch == 20
    targets = np.concatenate([part.targets.ravel() for part in epoch_of(windows, 0)])
    symbols, counts = np.unique(targets[targets != BOUNDARY], return_counts=True)
    assert len(symbols) == 700
    assert set(counts.tolist()) == {1}  # 800 targets, 4 x 20 x 10


def test_documents_come_in_another_order_in_each_epoch_and_for_each_seed() -> None:
    part = documents(*[1] * 300)

    def order(epoch: int, seed: int) -> list[int]:
        windows = of_documents(part, 1, 600, seed)
        return list(epoch_of(windows, epoch)[0].targets[0, ::2])

    orders = [order(epoch, seed) for epoch, seed in [(0, 0), (1, 0), (0, 1), (0, 0)]]
    assert orders[0] == orders[3]
    assert len({tuple(each) for each in orders}) == 3
    assert all(sorted(each) == list(range(300)) for each in orders)
    displaced = np.array(orders[0]) - np.arange(300)
    assert np.abs(displaced).mean() > 60  # 100 of a random order


@given(DIVIDED, st.integers(0, 100))
def test_a_window_of_documents_depends_on_its_number_alone(
    shape: tuple[list[int], int, int], step: int
) -> None:
    part = documents(*shape[0], labels=True)
    one, other = (of_documents(part, *shape[1:], seed=5) for _ in range(2))
    for earlier in (0, step // 2, step + 3):
        one.window_at(earlier)
    assert_equal(one.window_at(step), other.window_at(step))
    rows = WindowStream(
        part, batch_size=shape[1], window=shape[2], seed=5, rows=slice(shape[1] // 2, None)
    )
    whole = other.window_at(step)
    mine = rows.window_at(step)
    for its, own in zip(whole, mine, strict=True):
        np.testing.assert_array_equal(None if its is None else its[shape[1] // 2 :], own)


def labels_of(windows: WindowStream, epoch: int) -> dict[int, int]:
    """The label under which each symbol was read."""
    found: dict[int, int] = {}
    for part in epoch_of(windows, epoch):
        assert part.labels is not None
        for symbol, label in zip(part.inputs.ravel(), part.labels.ravel(), strict=True):
            if symbol != BOUNDARY:
                assert found.setdefault(int(symbol), int(label)) == label
    return found


def test_labels_follow_their_documents_and_a_tenth_is_read_without() -> None:
    windows = of_documents(documents(*[2] * 500, labels=True), 3, 20, seed=2)
    unlabelled = []
    for epoch in range(4):
        found = labels_of(windows, epoch)
        labels = [found[2 * number] for number in range(499)]
        assert labels == [found[2 * number + 1] for number in range(499)]
        assert all(label in (0, number % 4) for number, label in enumerate(labels))
        unlabelled.append({number for number in range(499) if number % 4 and not labels[number]})
    assert 90 < sum(map(len, unlabelled)) < 210  # of 4 x 375, a tenth is 150
    assert len({frozenset(each) for each in unlabelled}) == 4


def test_the_boundary_before_a_document_has_its_label() -> None:
    windows = of_documents(documents(*[1] * 400, labels=True), 1, 800)
    (part,) = epoch_of(windows, 0)
    assert part.labels is not None
    np.testing.assert_array_equal(part.labels[0, ::2], part.labels[0, 1::2])
    assert (part.inputs[0, ::2] == BOUNDARY).all()


def test_an_undivided_text_has_no_labels() -> None:
    assert stream(100, 2, 5).window_at(0).labels is None
    assert of_documents(documents(3, 4), 1, 5).window_at(0).labels is None


def test_documents_of_a_cut_part_are_shuffled_whole() -> None:
    """What is left of a document on both sides of a block stays together."""
    part = split(documents(*[150] * 5), 0.5).training
    windows = of_documents(part, 1, 40)
    rows = rows_of(windows, 0)[0]
    assert rows.count(BOUNDARY) >= 5
    followed = {here: after for here, after in pairwise(rows) if here != BOUNDARY}
    inside = [after - here for here, after in followed.items() if after != BOUNDARY]
    assert sorted(set(inside)) == [1, 76]
