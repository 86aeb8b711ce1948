"""The negatives of a sampled softmax, and that runs with them are the same on both backends."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ricorda
from ricorda.errors import ConfigurationError
from ricorda.model import ModelConfiguration
from ricorda.runs import RunFolder
from ricorda.text import Part
from ricorda.training import Budget, TrainingConfiguration
from ricorda.training.checkpoint.record import read_record
from ricorda.training.data import negatives
from ricorda.training.data.negatives import NegativeSampler, frequencies, inclusion_probabilities
from ricorda.training.plan.machine import memory_need
from tests.training.reporters import Recorder


def text(vocabulary_size: int, size: int) -> NDArray[np.uint16]:
    """Symbols of which few are frequent; the last never occurs."""
    weights = 1.0 / np.arange(1, vocabulary_size)
    random = np.random.default_rng(1)
    drawn = random.choice(vocabulary_size - 1, size, p=weights / weights.sum())
    return drawn.astype(np.uint16)


@pytest.mark.parametrize("count", [1, 10, 150, 399])
def test_probabilities_are_in_proportion_and_sum_to_the_count(count: int) -> None:
    weights = np.random.default_rng(2).pareto(1.0, 400) + 0.01
    probabilities = inclusion_probabilities(weights, count)
    assert probabilities.sum() == pytest.approx(count)
    assert probabilities.min() > 0
    assert probabilities.max() <= 1
    below = probabilities < 1
    ratios = probabilities[below] / weights[below]
    np.testing.assert_allclose(ratios, ratios[0])
    if not below.all():
        assert weights[~below].min() >= weights[below].max()


def test_equal_symbols_are_drawn_alike() -> None:
    np.testing.assert_allclose(inclusion_probabilities(np.ones(8), 2), 0.25)


@pytest.mark.parametrize("size", [1, 3000, 10_000, 10_001, 65_000])
def test_a_short_text_is_counted_whole(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(negatives, "BLOCK", 10_000)
    ids = text(50, size)
    np.testing.assert_array_equal(frequencies(Part.whole(ids), 50), np.bincount(ids, minlength=50))


@pytest.mark.parametrize("count", [0, 60, 61])
def test_fewer_than_all_are_drawn(count: int) -> None:
    with pytest.raises(ConfigurationError, match="1 to 59 symbols"):
        NegativeSampler(Part.whole(text(60, 100)), 60, count, seed=1)


def test_a_long_text_is_counted_in_blocks_all_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negatives, "COUNTED", 8000)
    monkeypatch.setattr(negatives, "BLOCK", 1000)
    ids = text(50, 60_000)
    ids[-1000:] = 49
    counts = frequencies(Part.whole(ids), 50)
    assert counts.sum() == 8000
    assert counts[49] == 1000
    expected = np.bincount(ids, minlength=50) * (8000 / 60_000)
    assert np.abs(counts - expected)[:49].max() < 5 * expected.max() ** 0.5 + 60


def test_symbols_are_drawn_as_often_as_their_probabilities_say() -> None:
    sampler = NegativeSampler(Part.whole(text(60, 5000)), 60, 20, seed=4)
    drawn = np.zeros(60)
    for step in range(2000):
        ids, logarithms = sampler.at(step)
        assert (np.diff(ids.astype(int)) > 0).all()
        np.testing.assert_allclose(np.exp(logarithms), sampler.probabilities[ids], rtol=1e-6)
        drawn[ids] += 1
    error = (2000 * sampler.probabilities * (1 - sampler.probabilities)) ** 0.5
    assert (np.abs(drawn - 2000 * sampler.probabilities) <= 5 * error).all()
    assert sampler.probabilities[:3].tolist() == [1, 1, 1]
    assert sampler.probabilities[59] > 0  # though it never occurred


def test_draws_follow_the_seed_and_the_step_alone() -> None:
    ids = text(300, 5000)
    one, same, other = (NegativeSampler(Part.whole(ids), 300, 50, seed) for seed in (4, 4, 5))
    one.at(3)
    for step in (0, 7, 2**40):
        np.testing.assert_array_equal(one.at(step).ids, same.at(step).ids)
        assert not np.array_equal(one.at(step).ids, other.at(step).ids)
    assert not np.array_equal(one.at(1).ids, one.at(2).ids)


def learn(path: Path, **options: Any) -> ricorda.Run:
    settings: dict[str, Any] = {
        "steps": 30,
        "hidden_size": 16,
        "embedding_size": 8,
        "batch_size": 4,
        "window": 16,
        "dropout": 0.2,
        "precision": "float32",
        "device": "cpu",
        "threads": 1,
        "softmax_candidates": 60,
        "quiet": True,
    }
    place = path.with_name(f"run-{len(list(path.parent.iterdir()))}")
    return ricorda.train(path, out=place, **(settings | options))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A text of some hundred different characters."""
    path = tmp_path / "text.txt"
    path.write_text("".join(chr(0x4E00 + int(i)) for i in text(400, 6000)), encoding="utf-8")
    return path


def weights(run: ricorda.Run) -> dict[str, NDArray[np.float32]]:
    return dict(ricorda.model.read_model_file(run.folder / "model.safetensors").tensors)


def test_pytorch_learns_the_same_by_the_same_draws(written: Path) -> None:
    pytest.importorskip("torch")
    kernels, by_torch, exact = (
        learn(written, dropout=0.0),
        learn(written, dropout=0.0, backend="torch", cell="cifg"),
        learn(written, dropout=0.0, softmax_candidates=0),
    )
    ours, theirs = weights(kernels), weights(by_torch)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=5e-3, atol=5e-4)
    assert not np.allclose(ours["output.weight"], weights(exact)["output.weight"], atol=5e-3)


def test_the_same_run_twice_is_the_same_and_records_what_it_drew(written: Path) -> None:
    one, again = learn(written), learn(written)
    assert read_record(RunFolder(one.folder)).training.softmax_candidates == 60
    for name, value in weights(one).items():
        np.testing.assert_array_equal(value, weights(again)[name])


def test_a_text_of_fewer_symbols_is_learned_exactly(tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_text("abcd efgh\n" * 60)
    run = learn(path, softmax_candidates=10)
    assert read_record(RunFolder(run.folder)).training.softmax_candidates == 0


def test_a_report_says_that_the_softmax_is_sampled(written: Path) -> None:
    for count, expected in ((60, True), (0, False)):
        reporter = Recorder()
        learn(written, softmax_candidates=count, steps=2, reporter=reporter)
        sampled = "softmax sampled: about 60 negatives, drawn in each step"
        assert (sampled in reporter.lines) == expected


def test_its_memory_is_counted() -> None:
    """PyTorch has the logits of the drawn symbols all at once, and those of a fourth of targets."""
    settings = TrainingConfiguration(
        model=ModelConfiguration(
            cell="rnn", vocabulary_size=20_000, hidden_size=8, embedding_size=8
        ),
        budget=Budget(steps=1),
        batch_size=64,
        window=128,
        learning_rate=0.1,
        backend="torch",
        softmax_candidates=5000,
    )
    places = 64 * 128
    kept, logits = places * 8 * 8, 2 * places * (5000 + places // 4)
    assert memory_need(settings, 10**6).window == 4 * (kept + logits)
