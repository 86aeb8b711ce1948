"""Deletion and replacement do what reading the changed text again does."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine import Model, open_model
from ricorda.engine.backend import Ids
from ricorda.engine.sampling import log_softmax
from ricorda.errors import ConfigurationError, TextError
from ricorda.insight import deletion, influence
from ricorda.insight.deletion import METHODS, Method
from ricorda.text import CharacterVocabulary
from tests.insight.planted import planted_model, planted_text
from tests.insight.test_step_equation import NETWORKS, TEXT

Numbers = NDArray[np.float64]


def log_probabilities(model: Model, ids: list[int]) -> Numbers:
    """What comes after some symbols, read from the beginning: (V,)."""
    logits, _ = model.backend.forward(np.array([ids]), model.backend.zero_state(1))
    return log_softmax(logits[0, -1])


@pytest.mark.parametrize("name", NETWORKS)
def test_leaving_out_is_reading_without(name: str) -> None:
    model = open_model(NETWORKS[name], backend="numpy")
    ids = model.vocabulary.encode(TEXT).tolist()
    found = influence(model, TEXT, [8, 2, 5], distance=4)
    assert found.positions.tolist() == [8, 2, 5]
    for row, place in enumerate(found.positions.tolist()):
        own = log_probabilities(model, ids[:place])
        for far in found.distances:
            if far > place:
                assert np.isnan(found.nats[row, far - 1])
                continue
            other = log_probabilities(model, ids[: place - far] + ids[place - far + 1 : place])
            nats = own[ids[place]] - other[ids[place]]
            assert found.nats[row, far - 1] == pytest.approx(nats, abs=1e-5)
            divergence = (np.exp(own) * (own - other)).sum()
            assert found.divergence[row, far - 1] == pytest.approx(divergence, abs=1e-5)


def test_replacing_is_reading_others(monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(NETWORKS["gru"], backend="numpy")
    ids = model.vocabulary.encode(TEXT).tolist()
    drawn: dict[int, list[int]] = {}

    class Draws:
        def __init__(self, *_: object) -> None:
            self.step = 3

        def draw(self, symbols: Ids) -> object:
            others = np.array(
                [[(symbol + more) % 4 for more in (1, 2, 3, 1)] for symbol in symbols]
            )
            drawn[self.step] = others[0].tolist()
            self.step -= 1
            return others.reshape(-1)

    monkeypatch.setattr("ricorda.insight.deletion._Replacements", Draws)
    found = influence(model, TEXT, [7], distance=3, method="replace")
    own = log_probabilities(model, ids[:7])
    for far in (1, 2, 3):
        others = [
            log_probabilities(model, [*ids[: 7 - far], other, *ids[8 - far : 7]])
            for other in drawn[far]
        ]
        nats = np.mean([own[ids[7]] - other[ids[7]] for other in others])
        divergence = np.mean([(np.exp(own) * (own - other)).sum() for other in others])
        assert found.nats[0, far - 1] == pytest.approx(nats, abs=1e-5)
        assert found.divergence[0, far - 1] == pytest.approx(divergence, abs=1e-5)


def test_a_symbol_is_never_replaced_by_itself() -> None:
    """A text of two symbols leaves one to draw: the figures are those of the other symbol."""
    model = open_model(NETWORKS["gru"], backend="numpy")
    text = TEXT[0] * 9 + TEXT[1] + TEXT[0]
    ids = model.vocabulary.encode(text).tolist()
    other = {ids[0]: ids[9], ids[9]: ids[0]}
    assert ids[0] != ids[9]
    found = influence(model, text, [10], distance=4, method="replace")
    own = log_probabilities(model, ids[:10])
    for far in (1, 2, 3, 4):
        changed = [*ids[: 10 - far], other[ids[10 - far]], *ids[11 - far : 10]]
        nats = own[ids[10]] - log_probabilities(model, changed)[ids[10]]
        assert found.nats[0, far - 1] == pytest.approx(nats, abs=1e-5)


def test_the_drawn_symbols_are_others_and_differ() -> None:
    ids = np.array([0, 1, 1, 2, 2, 2, 2])
    replacements = deletion._Replacements(ids, CharacterVocabulary("abcd", "a"), seed=3)
    drawn = np.stack([replacements.draw(np.array([1, 2])).reshape(2, 4) for _ in range(200)])
    assert set(drawn[:, 0].ravel().tolist()) == {0, 2}
    assert set(drawn[:, 1].ravel().tolist()) == {0, 1}
    assert np.mean(drawn[:, 0] == 2) == pytest.approx(4 / 5, abs=0.05)  # as frequent as in the text
    assert np.mean(drawn[:, 1] == 1) == pytest.approx(2 / 3, abs=0.05)
    assert len(np.unique(drawn[:, 0], axis=0)) > 4


def test_a_boundary_is_never_drawn_and_is_replaced_like_any_symbol() -> None:
    vocabulary = CharacterVocabulary("abc", "a", has_boundary=True)
    replacements = deletion._Replacements(np.array([3, 0, 1, 3, 1]), vocabulary, seed=3)
    drawn = np.stack([replacements.draw(np.array([0, 3])).reshape(2, 4) for _ in range(50)])
    assert set(drawn[:, 0].ravel().tolist()) == {1}
    assert set(drawn[:, 1].ravel().tolist()) == {0, 1}


def test_the_sole_symbol_cannot_be_left_out() -> None:
    found = influence(planted_model(), "the cat", [1], distance=3)
    assert np.isnan(found.nats).all()
    replaced = influence(planted_model(), "the cat", [1], distance=3, method="replace")
    assert np.isfinite(replaced.nats[0, 0])
    assert np.isnan(replaced.nats[0, 1:]).all()


@pytest.mark.parametrize("method", METHODS)
def test_places_do_not_depend_on_each_other(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, text = planted_model(), planted_text(9)
    together = influence(model, text, [5, 60, 200], distance=7, method=method)
    monkeypatch.setattr("ricorda.insight.deletion.NUMBERS_AT_ONCE", 1)
    one_by_one = influence(model, text, [5, 60, 200], distance=7, method=method)
    if method == "leave out":
        np.testing.assert_allclose(together.nats, one_by_one.nats, atol=1e-6)
    assert np.array_equal(np.isnan(together.nats), np.isnan(one_by_one.nats))
    assert (one_by_one.divergence[~np.isnan(one_by_one.divergence)] > -1e-9).all()


def test_places_are_spread_over_the_text() -> None:
    model, text = planted_model(), planted_text(10)
    found = influence(model, text, distance=20)
    assert len(found.positions) == 32
    assert found.positions[0] == 20
    assert found.positions[-1] == len(text) - 1
    assert not np.isnan(found.nats).any()
    assert found.mean_divergence == pytest.approx(found.divergence.mean(axis=0))
    assert found.mean_nats == pytest.approx(found.nats.mean(axis=0))
    short = influence(model, text[:3], distance=20)
    assert short.positions.tolist() == [2]
    assert np.isnan(short.mean_nats[2:]).all()


def test_one_places_past() -> None:
    model = planted_model()
    found = influence(model, "the cat\n", [5], distance=10)
    past = found.at(0)
    assert [(place, symbol) for place, symbol, _, _ in past] == list(enumerate("the c"))[::-1]
    assert [nats for *_, nats, _ in past] == found.nats[0, :5].tolist()
    assert influence(model, "the cat\n", [7], distance=1).symbols[-1] == "\\n"


def test_options_change_something() -> None:
    model, text = planted_model(), planted_text(6)
    left_out = influence(model, text, distance=5)
    replaced = influence(model, text, distance=5, method="replace")
    assert not np.allclose(left_out.nats, replaced.nats)
    again = influence(model, text, distance=5, method="replace")
    np.testing.assert_array_equal(again.nats, replaced.nats)
    other = influence(model, text, distance=5, method="replace", seed=1)
    assert not np.allclose(other.nats, replaced.nats)


def test_what_cannot_be_is_reported() -> None:
    model = planted_model()
    with pytest.raises(ConfigurationError, match="distance must be at least 1, got 0"):
        influence(model, "the cat", distance=0)
    with pytest.raises(ConfigurationError, match="method must be 'leave out' or 'replace'"):
        influence(model, "the cat", method="x")  # type: ignore[arg-type]
    for positions in ([0], [7], [], [-1]):
        with pytest.raises(ConfigurationError, match="expected positions from 1 to 6"):
            influence(model, "the cat", positions)
    with pytest.raises(TextError, match="at least two symbols"):
        influence(model, "t")
    with pytest.raises(TextError, match="two different symbols"):
        influence(model, "tttt", method="replace")
