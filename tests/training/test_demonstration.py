"""The demonstration's parts; `tests/cli` runs it whole."""

import pytest

from ricorda.training import demonstration as demo


def test_the_sequence_is_a_period_and_the_beginning_of_the_next() -> None:
    assert len(demo.SEQUENCE) == 25
    assert (demo.PERIOD * 2)[: len(demo.SEQUENCE)] == demo.SEQUENCE
    assert demo.VOCABULARY.symbols == "abcd"


@pytest.mark.parametrize(
    "text, right",
    [
        ("a", 1),
        (demo.SEQUENCE, 25),
        (demo.PERIOD * 3, 63),
        ("dac", 2),
        ("aaaaaa", 5),
        ("ccb", 2),
        ("cacd", 4),
        ("bd", 1),
    ],
)
def test_a_stretch_of_the_endless_pattern_is_right(text: str, right: int) -> None:
    assert demo.right_length(text) == right


@pytest.mark.parametrize("seed", [3, 4])
def test_a_few_epochs_give_the_sequence_back(seed: int) -> None:
    *_, last = demo.learn_as_the_tutorial(seed, epochs=100)
    assert demo.generate_seq(last.model, "a", 25) == demo.SEQUENCE


def test_the_loss_falls_and_is_a_mean_per_character() -> None:
    moments = list(demo.learn_as_the_tutorial(1, epochs=30))
    assert moments[0].loss == pytest.approx(1.386, abs=0.15)  # ln 4: it knows nothing yet
    assert moments[-1].loss < 0.1
