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


class TestPartsSideBySide:
    """A long text is scored in parts side by side as it is with one carried state."""

    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("ricorda._kernels")
        for name, value in {"PARTS": 5, "LONGEST_PART": 400, "WARM_UP": 64}.items():
            monkeypatch.setattr(chunks, name, value)

    @pytest.fixture
    def backend(self, tensors_of: Callable[..., Any]) -> Any:
        """A network that forgets within some dozen symbols."""
        from ricorda.engine.native import NativeBackend

        configuration = ModelConfiguration(cell="lstm", vocabulary_size=9, hidden_size=8)
        tensors = {name: 0.5 * tensor for name, tensor in tensors_of(configuration).items()}
        return NativeBackend(configuration, tensors, threads=2)

    @pytest.fixture
    def ids(self) -> Any:
        return np.random.default_rng(0).integers(0, 9, 4_711).astype(np.uint32)

    def alone(self, backend: Any, ids: Any) -> Any:
        """With one state, from the first symbol to the last."""
        found, _ = backend.score(ids[None, :-1], ids[None, 1:], backend.zero_state(1), 2)
        return found

    def in_parts(self, backend: Any, ids: Any, size: int) -> list[Any]:
        blocks = list(scored_text(backend, parts_of(ids, size), 2))
        assert np.concatenate([block[0, 1:] for block, _ in blocks]).tolist() == ids[1:].tolist()
        found = zip(*(found for _, found in blocks), strict=True)
        return [np.concatenate(arrays, axis=1) for arrays in found]

    @pytest.mark.parametrize("size", [100, 5_000])
    def test_what_is_guessed_differs_by_rounding(self, backend: Any, ids: Any, size: int) -> None:
        nats, alternatives, theirs = self.in_parts(backend, ids, size)
        expected = self.alone(backend, ids)
        np.testing.assert_allclose(nats, expected.nats, rtol=1e-3)
        np.testing.assert_allclose(theirs, expected.alternative_nats, rtol=1e-3)
        assert (alternatives == expected.alternative_ids).mean() > 0.99

    def test_a_wrong_guess_is_read_again(
        self, backend: Any, ids: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Then the bits are those of one state; later guesses begin earlier."""
        monkeypatch.setattr(chunks, "WARM_UP", 1)
        found, expected = self.in_parts(backend, ids, 5_000), self.alone(backend, ids)
        for array, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(array, other)
        reader = chunks._TextReader(backend, 0, 0)
        for block in overlapping([ids], reader.at_once):
            reader.read(block)
        assert reader._warm_up == 2
