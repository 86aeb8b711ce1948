"""Surprisal and alternatives, symbol by symbol."""

import math

import pytest

from ricorda.errors import ConfigurationError, TextError
from ricorda.insight import alternatives
from tests.insight.planted import planted_model


def test_every_symbol_has_its_surprisal_and_alternatives() -> None:
    model = planted_model()
    found = alternatives(model, "the\n", top=3)
    scores = model.score("the\n", 3)
    assert [each.symbol for each in found] == ["t", "h", "e", "\\n"]
    assert (found[0].nats, found[0].bits, found[0].alternatives) == (None, None, ())
    for place in (1, 2, 3):
        each = found[place]
        assert each.nats == scores.nats[place]
        assert each.bits == pytest.approx(scores.nats[place] / math.log(2))
        assert list(each.alternatives) == scores.alternatives(place)
        assert len(each.alternatives) == 3


def test_what_cannot_be_is_reported() -> None:
    with pytest.raises(TextError):
        alternatives(planted_model(), "éé")
    with pytest.raises(ConfigurationError, match="at least 0, got -1"):
        alternatives(planted_model(), "the", top=-1)
    assert alternatives(planted_model(), "the", top=0)[1].alternatives == ()
