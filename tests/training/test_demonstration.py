"""The demonstration's parts; `tests/cli` runs it whole."""

import numpy as np
import pytest

from ricorda.training import demonstration as demo


def test_the_sequence_is_a_period_and_the_beginning_of_the_next() -> None:
    assert len(demo.SEQUENCE) == 25
    assert (demo.PERIOD * 2)[: len(demo.SEQUENCE)] == demo.SEQUENCE
    assert demo.VOCABULARY.symbols == "abcd"
    assert (demo.WINDOW, demo.EPOCHS, demo.STEPS, demo.LENGTH) == (24, 1000, 400, 210)


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


def test_the_sequence_is_learned_in_as_many_epochs_as_by_the_tutorials_program() -> None:
    """On PyTorch, with seeds 0 to 7: after 22 to 64 epochs, in the median 40."""
    found = []
    for seed in range(5):
        for moment in demo.learn_as_the_tutorial(seed, epochs=150):
            if demo.generate_seq(moment.model, "a", 25) == demo.SEQUENCE:
                found.append(moment.count + 1)
                break
    assert len(found) == 5
    assert 30 <= sorted(found)[2] <= 60


def test_the_loss_falls_and_is_a_mean_per_character() -> None:
    moments = list(demo.learn_as_the_tutorial(1, epochs=60))
    assert moments[0].loss == pytest.approx(1.386, abs=0.15)  # ln 4: it knows nothing yet
    assert moments[-1].loss < 0.1


def test_the_first_weights_are_distributed_as_pytorchs() -> None:
    """Uniform in +-1/sqrt(H), the biases too; they have moved by one step of 0.005."""
    moment = next(demo.learn_as_the_tutorial(1))
    bound = 128**-0.5 + 0.005
    for name, weights in moment.learner.weights().items():
        assert np.abs(weights).max() <= bound, name
        if weights.size > 4:
            assert weights.std() == pytest.approx(128**-0.5 / 3**0.5, rel=0.3), name


def test_the_floor_is_the_tutorials() -> None:
    """1.662 nats per window, which cannot be known, over 24 characters."""
    assert demo.floor() == pytest.approx(0.0692, abs=5e-5)
