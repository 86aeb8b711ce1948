"""A planted unit is found; chance is not."""

from collections.abc import Sequence

import numpy as np
import pytest

from ricorda.engine import Model, open_model
from ricorda.engine.backend import Array, Ids, State
from ricorda.errors import ConfigurationError, TextError
from ricorda.insight import Tracked, Unit, track_units
from ricorda.insight.tracking import SHORTEST, SIGNIFICANT, Effects, Levels, Progress, Ranks
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CellName
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary
from tests.insight.planted import HIDDEN_SIZE, QUOTE_UNIT, planted_model, planted_text

LEAST_EFFECT: dict[CellName, float] = {"lstm": 0.99, "cifg": 0.99, "gru": 0.99, "rnn": 0.85}
"""The simple network's unit is late by one symbol at each opening quote."""


@pytest.fixture(scope="module")
def lstm() -> Tracked:
    return track_units(planted_model("lstm"), planted_text())


@pytest.mark.parametrize("cell", LEAST_EFFECT)
def test_the_planted_unit_is_first(cell: CellName) -> None:
    tracked = track_units(planted_model(cell), planted_text())
    quotes = [entry for entry in tracked.ranking if entry.feature.key == "inside_straight_quotes"]
    first = quotes[0]
    assert tracked.ranking[0] == first
    assert first.unit == QUOTE_UNIT
    assert first.direction == 1
    assert first.effect > LEAST_EFFECT[cell]
    assert first.fitted_effect > LEAST_EFFECT[cell]
    assert first.control < 0.12
    assert first.p_value == pytest.approx(1 / 40)


def test_with_moved_labels_nothing_is_found(lstm: Tracked) -> None:
    assert len(lstm.control_best) == 39
    assert np.median(lstm.control_best) < 0.2
    assert max(lstm.control_best) < 0.4


def test_moved_labels_stand_clear_of_their_own_places(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    effects = Ranks.effects

    def recorded(
        self: Ranks, levels: Levels, shifts: Sequence[int] = (0,), *progress: Progress
    ) -> Effects:
        asked.append(list(shifts))
        return effects(self, levels, shifts, *progress)

    monkeypatch.setattr(Ranks, "effects", recorded)
    text = planted_text()[:4000]
    for seed in range(4):
        track_units(planted_model("gru"), text, shifts=500, seed=seed)
    assert len(asked) == 2 * 4  # the part that chooses and the part that measures
    assert {shifts[0] for shifts in asked} == {0}
    moved = np.array([shifts[1:] for shifts in asked])
    assert moved.shape == (8, 500)
    assert (moved.min(), moved.max()) == (100, 1900)  # a twentieth of 2,000 from either end


def test_a_rare_feature_is_allowed_what_chance_makes_of_it() -> None:
    """Brackets in one place of each half go with many units of a network that reads none."""
    plain = planted_text(200)[:5200]
    symbols = list(plain)
    for begin in [*range(1000, 1060, 15), *range(4100, 4160, 15)]:
        symbols[begin], symbols[begin + 5] = "()"
    text = "".join(symbols)
    vocabulary = CharacterVocabulary("".join(sorted(set(text) | set('\n"'))), "\n")
    ids = vocabulary.encode(text)
    model = planted_model("gru")
    tracked = track_units(_Deaf(model, model.vocabulary.encode(plain), vocabulary), ids)
    assert "inside_parentheses" in {feature.key for feature in tracked.features}
    chosen = [entry.feature.key for entry in tracked.ranking]
    assert "inside_parentheses" not in chosen
    assert tracked.ranking[0].unit == QUOTE_UNIT


def test_a_network_that_tracks_nothing_is_not_called_significant() -> None:
    """Of texts that have nothing to do with the labels, few may come out at 1/20."""
    alarms = 0
    for seed in range(10):
        model = planted_model("gru", seed)
        generator = np.random.default_rng(seed)
        text = planted_text(60, seed)
        ids = model.vocabulary.encode(text)
        scrambled = generator.permutation(ids)  # units follow this, features another order
        tracked = track_units(_Deaf(model, scrambled), ids, shifts=19, seed=seed)
        alarms += tracked.ranking[0].p_value <= 0.05
    assert alarms <= 3


class _Deaf(Model):
    """A model that reads other symbols than the ones it is shown."""

    def __init__(
        self, model: Model, heard: Ids, vocabulary: CharacterVocabulary | None = None
    ) -> None:
        known = vocabulary or model.vocabulary
        super().__init__(model.configuration, known, _Elsewhere(model, heard))  # type: ignore[arg-type]


class _Elsewhere:
    def __init__(self, model: Model, heard: Ids) -> None:
        self._backend, self._heard, self._read = model.backend, heard, 0
        self.zero_state = model.backend.zero_state
        self.configuration = model.configuration

    def trace(
        self, ids: Ids, state: State, *, labels: Ids | None = None
    ) -> tuple[dict[str, Array], State]:
        heard = self._heard[self._read : self._read + len(ids)]
        self._read += len(ids)
        return self._backend.trace(heard, state, labels=labels)


def test_the_ranking_has_each_unit_once_by_falling_effect(lstm: Tracked) -> None:
    assert {entry.unit for entry in lstm.ranking} == {Unit(0, n) for n in range(HIDDEN_SIZE)}
    order = [(entry.p_value > SIGNIFICANT, -entry.effect) for entry in lstm.ranking]
    assert order == sorted(order)
    assert lstm.of(QUOTE_UNIT) == lstm.ranking[0]
    with pytest.raises(KeyError):
        lstm.of(Unit(1, 0))


def test_the_table_holds_what_the_ranking_says(lstm: Tracked) -> None:
    keys = [feature.key for feature in lstm.features]
    for entry in lstm.ranking:
        place = (keys.index(entry.feature.key), *entry.unit)
        assert lstm.effects[place] * entry.direction == pytest.approx(entry.effect)
        assert lstm.fitted_effects[place] * entry.direction == pytest.approx(entry.fitted_effect)
        fitted = np.abs(lstm.fitted_effects[:, entry.unit.layer, entry.unit.number])
        assert entry.fitted_effect >= fitted.max() - 0.35  # less what chance makes of a feature


def test_units_for_a_feature(lstm: Tracked) -> None:
    (unit, effect), *others = lstm.units_for("inside_straight_quotes", 5)
    assert unit == QUOTE_UNIT
    assert effect > 0.99
    assert len(others) == 4
    assert max(abs(effect) for _, effect in others) < 0.5
    with pytest.raises(ConfigurationError, match="expected a feature that changes in this text"):
        lstm.units_for("digit")


def test_options_change_something(lstm: Tracked) -> None:
    model, text = planted_model("lstm"), planted_text()
    fewer = track_units(model, text, symbols=3000)
    assert fewer.symbols == 3000
    assert lstm.symbols == len(text)
    assert len(track_units(model, text, shifts=5).control_best) == 5
    assert track_units(model, text, seed=1).control_best != lstm.control_best
    assert track_units(model, text).ranking == lstm.ranking


def test_wrong_options_are_reported() -> None:
    model, text = planted_model(), planted_text()
    with pytest.raises(ConfigurationError, match="shifts must be at least 1, got 0"):
        track_units(model, text, shifts=0)
    with pytest.raises(ConfigurationError, match="symbols must be at least 200, got 7"):
        track_units(model, text, symbols=7)
    with pytest.raises(TextError, match="at least 200 symbols, got 5"):
        track_units(model, text[:5])
    with pytest.raises(TextError, match="none does often enough"):
        track_units(model, "t" * SHORTEST)


def test_layers_and_bytes() -> None:
    configuration = ModelConfiguration("rnn", 256, 6, 2, 5, "relu")
    generator = np.random.default_rng(3)
    tensors = {
        name: generator.normal(0, 0.2, shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    model = open_model(ModelFile(configuration, ByteVocabulary(10), tensors))
    tracked = track_units(model, planted_text(60).replace("cat", "città"), shifts=3)
    assert tracked.effects.shape == (len(tracked.features), 2, 6)
    assert {entry.unit.layer for entry in tracked.ranking} == {0, 1}
    assert "continuation_byte" in {feature.key for feature in tracked.features}
    assert np.abs(tracked.effects).max() <= 1.00001


def test_the_progress_rises_to_the_end() -> None:
    shares: list[float] = []
    model = planted_model("gru")
    watched = track_units(model, planted_text(), symbols=3000, shifts=4, progress=shares.append)
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1
    assert any(abs(share - 0.5) < 1e-9 for share in shares)  # the first of the two parts
    assert watched.ranking == track_units(model, planted_text(), symbols=3000, shifts=4).ranking
