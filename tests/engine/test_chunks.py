"""Cutting ids into blocks that overlap by one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.engine import chunks
from ricorda.engine.chunks import (
    NUMBERS_AT_ONCE,
    overlapping,
    parts_of,
    positions_at_once,
    scored_text,
)
from ricorda.model.configuration import ModelConfiguration


@given(st.lists(st.integers(0, 12), max_size=8), st.integers(1, 15))
def test_each_id_but_the_first_is_predicted_once(sizes: list[int], length: int) -> None:
    ids = np.arange(sum(sizes), dtype=np.uint8)
    pieces = np.split(ids, np.cumsum(sizes))[:-1]
    blocks = list(overlapping(pieces, length))
    assert all(len(block) == length + 1 for block in blocks[:-1])
    assert all(2 <= len(block) <= length + 1 for block in blocks)
    assert [number for block in blocks for number in block[1:]] == ids[1:].tolist()
    for block in blocks:
        np.testing.assert_array_equal(np.diff(block.astype(int)), 1)


def test_memory_is_bounded_also_for_large_vocabularies() -> None:
    for size in (2, 100, 30000, 0x110000):
        configuration = ModelConfiguration(cell="rnn", vocabulary_size=size, hidden_size=64)
        assert 1 <= positions_at_once(configuration) * max(size, 64) <= NUMBERS_AT_ONCE


BOUNDARY = 8


class TestPartsSideBySide:
    """A long text is scored in parts side by side as it is with one carried state."""

    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Blocks of 2,003 symbols in five parts, and three that remain."""
        pytest.importorskip("ricorda._kernels")
        for name, value in {"PARTS": 5, "LONGEST_PART": 1, "WARM_UP": 96}.items():
            monkeypatch.setattr(chunks, name, value)
        monkeypatch.setattr(chunks, "positions_at_once", lambda _: 2_003)

    @pytest.fixture(params=[False, True], ids=["undivided", "documents"])
    def backend(self, tensors_of: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
        """A network that forgets within some dozen symbols."""
        from ricorda.engine.native import NativeBackend

        labels = 3 if request.param else 0
        configuration = ModelConfiguration(
            cell="lstm", vocabulary_size=9, hidden_size=8, documents=request.param,
            num_labels=labels,
        )  # fmt: skip
        tensors = {name: 0.5 * tensor for name, tensor in tensors_of(configuration).items()}
        return NativeBackend(configuration, tensors, threads=2)

    @pytest.fixture
    def ids(self) -> Any:
        return np.random.default_rng(0).integers(0, 9, 4_711).astype(np.uint32)

    @staticmethod
    def label(backend: Any) -> int:
        return 2 if backend.configuration.num_labels else 0

    def alone(self, backend: Any, ids: Any) -> Any:
        """With one state, from the first symbol to the last."""
        label = self.label(backend)
        labels = np.full((1, len(ids) - 1), label) if label else None
        state = backend.zero_state(1)
        return backend.score(ids[None, :-1], ids[None, 1:], state, 2, labels=labels)[0]

    def in_parts(self, backend: Any, ids: Any) -> list[Any]:
        blocks = list(scored_text(backend, parts_of(ids, 700), 2, self.label(backend)))
        assert len(blocks) == 3
        assert np.concatenate([block[0, 1:] for block, _ in blocks]).tolist() == ids[1:].tolist()
        found = zip(*(found for _, found in blocks), strict=True)
        return [np.concatenate(arrays, axis=1) for arrays in found]

    def test_estimated_states_differ_by_rounding(self, backend: Any, ids: Any) -> None:
        nats, alternatives, theirs = self.in_parts(backend, ids)
        expected = self.alone(backend, ids)
        np.testing.assert_allclose(nats, expected.nats, rtol=2e-5)
        np.testing.assert_allclose(theirs, expected.alternative_nats, rtol=2e-5)
        assert (alternatives == expected.alternative_ids).mean() > 0.99

    def test_parts_are_read_side_by_side(
        self, backend: Any, ids: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = []
        score = backend.score

        def counted(ids: Any, *arguments: Any, **options: Any) -> Any:
            read.append(ids.shape)
            return score(ids, *arguments, **options)

        monkeypatch.setattr(backend, "score", counted)
        list(scored_text(backend, [ids], 0, self.label(backend)))
        assert {rows for rows, _ in read} == {4, 5, 1}  # before parts, parts, and what remains
        assert max(rows * steps for rows, steps in read) <= 2_003
        alone = sum(steps for rows, steps in read if rows == 1)
        assert alone == 3 + 3 + 704  # two blocks leave three, the last is too short for parts

    def test_where_a_network_does_not_forget_one_stream_reads_the_rest(
        self, backend: Any, ids: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The bits are then those of one state."""
        monkeypatch.setattr(chunks, "WARM_UP", 1)
        ids = ids % BOUNDARY  # after a boundary, any state would be the right one
        found, expected = self.in_parts(backend, ids), self.alone(backend, ids)
        for array, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(array, other)
