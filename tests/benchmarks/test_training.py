"""What `python -m benchmarks train` measures, in sizes that take no time."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import target, training
from benchmarks.nanogpt import Moment
from benchmarks.peers import tutorial_program
from benchmarks.training import Case
from ricorda.engine import kernels_are_built
from ricorda.errors import InputError
from ricorda.training import demonstration
from tests.benchmarks.conftest import Asked, trained

pytestmark = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")

TEXT = "the quick brown fox jumps over the lazy dog\n" * 60
Answering = Callable[..., Asked]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    for module in (training, target):
        monkeypatch.setattr(module, "report", lines.append)
    return lines


def test_the_transcribed_tutorial_learns_its_sequence() -> None:
    *_, network = tutorial_program.learn(seed=1, epochs=70)
    assert tutorial_program.generate(network, "a", 25) == tutorial_program.SEQUENCE
    assert tutorial_program.SEQUENCE == demonstration.SEQUENCE


def test_the_transcribed_tutorial_takes_the_steps_of_whole_sequences() -> None:
    network = next(tutorial_program.learn(seed=3, epochs=1))
    torch.manual_seed(3)
    same = tutorial_program.TutorialNetwork(4, tutorial_program.HIDDEN_SIZE, 4)
    optimizer = torch.optim.Adam(same.parameters(), lr=0.005)
    ids = [tutorial_program.CHARACTERS.index(each) for each in tutorial_program.SEQUENCE]
    inputs = torch.eye(4)[ids[:-1]][None]  # (1, 24, 4)
    logits = same.output(same.rnn(inputs)[0])[0]
    torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum").backward()
    optimizer.step()
    for name, weights in network.state_dict().items():
        assert torch.allclose(weights, same.state_dict()[name], atol=1e-4), name


def test_the_first_exact_continuation_is_looked_for_every_few_epochs() -> None:
    looked_at: list[int] = []

    def write(epoch: int) -> str:
        looked_at.append(epoch)
        return demonstration.SEQUENCE if epoch >= 7 else "a"

    found = training.until_exact(iter(range(1, 21)), write)
    assert (found.exact_epoch, looked_at) == (10, [5, 10])
    assert 0 <= found.exact_seconds <= found.seconds
    assert training.until_exact(iter(range(1, 21)), lambda _: "a").exact_epoch == 20


def test_both_figures_of_the_tutorial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "EPOCHS", 10)
    whole, first = training.measure_tutorial(rounds=2)
    assert (whole.wanted, first.wanted) == (40, 40)
    assert first.details["epochs_theirs"] == 10  # it never gets there in 10


def test_a_step_is_compared_with_the_faster_precision_of_pytorch(
    asked: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = {"float32": 500.0, "bfloat16": 800.0}
    monkeypatch.setattr(training, "torch_speed", lambda text, case, precision: speeds[precision])
    calls = asked(training, lambda _: trained(speed=1600))
    cases = (Case("gru", 8, "float32"), Case("gru", 8, "bfloat16"))
    monkeypatch.setattr(training, "CASES", cases)
    plain, narrow = training.measure_steps(rounds=2)
    assert [each.peer for each in (plain, narrow)] == ["PyTorch float32", "PyTorch bfloat16"]
    assert plain.ratio.median == pytest.approx(3.2)
    assert narrow.ratio.median == pytest.approx(2)
    assert {call["cell"] for call in calls} == {"gru"}
    assert calls[0]["batch-size"] == "32"


def test_a_precision_that_the_processor_lacks_is_left_out(
    asked: Answering, monkeypatch: pytest.MonkeyPatch, reported: list[str]
) -> None:
    def refuse(_: object) -> Any:
        raise InputError("no bfloat16 here")

    asked(training, refuse)
    monkeypatch.setattr(training, "CASES", (Case("gru", 8, "bfloat16"),))
    assert list(training.measure_steps(rounds=1)) == []
    assert reported == ["training step, gru 8 bfloat16: left out: no bfloat16 here"]


def test_the_share_counts_the_products_of_a_step(
    asked: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert training.operations(Case("lstm", 8), 65) == 6 * (4 * 8 * (8 + 64) + 8 * 65)
    asked(training, lambda _: trained(speed=1000))
    monkeypatch.setattr(training, "MATRIX_SIZE", 16)
    (result,) = training.measure_share(rounds=1)
    assert result.ratio.median > 0
    assert result.peer == "torch.mm 16, float32"


def test_the_pytorch_program_takes_the_steps(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    case = Case("lstm", 4, batch_size=2, window=4, steps=5)
    assert training.torch_speed(text, case, "float32") > 0


def test_a_neighbour_is_there_in_the_second_turn_alone(
    asked: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def started(*words: Any, **options: Any) -> "subprocess.Popen[bytes]":
        processes.append(popen(*words, **options))
        return processes[-1]

    def speed(*_: object) -> float:
        return 500.0 if processes and processes[-1].returncode is None else 1000.0

    monkeypatch.setattr("benchmarks.training.subprocess.Popen", started)
    monkeypatch.setattr(training, "torch_speed", speed)
    asked(training, lambda _: trained(speed()))
    ours, theirs = training.measure_neighbour(rounds=1)
    assert (ours.ratio.median, theirs.ratio.median) == (2, 2)
    assert (ours.at_most, ours.wanted, theirs.wanted) == (True, 3, None)
    assert [process.returncode is not None for process in processes] == [True, True]


def test_a_neighbour_ends_where_the_measurement_fails() -> None:
    with pytest.raises(ZeroDivisionError), training.busy_neighbour():
        raise ZeroDivisionError


def test_a_target_is_reached_by_the_smallest_budget_that_does(
    reported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[float, int]] = []

    def learn(_: str, goal: object, minutes: float, seed: int) -> tuple[float, float]:
        tried.append((minutes, seed))
        return minutes * 50, 2.0 if minutes > 0.022 + 0.008 * (seed == 2) else 9.0

    monkeypatch.setattr(target, "learn", learn)
    found = target.seconds_to(2.0, TEXT, target.ON_CPU, 3)
    assert [seed for _, seed in tried] == [1, 1, 2, 2, 2, 3, 3]
    assert found == pytest.approx([1.25, 1.5625, 1.25])
    monkeypatch.setattr(target, "LONGEST_MINUTES", 0.021)
    assert target.seconds_to(2.0, TEXT, target.ON_CPU, 3) is None
    assert reported


def test_the_target_is_what_nanogpt_reaches(
    reported: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "my.txt"
    text.write_text(TEXT)
    moments = [Moment(0.0, 4.0), Moment(5.0, 2.5), Moment(9.0, 2.6)]
    monkeypatch.setattr("benchmarks.nanogpt.learn", lambda *_: moments)
    monkeypatch.setattr(target, "seconds_to", lambda *_: [0.5, 1.0])
    (result,) = target.measure_target(text=text, nanogpt=tmp_path, rounds=2)
    assert result.details["target_nats_per_character"] == 2.5
    assert (result.ratio.least, result.ratio.most) == (5, 10)
    monkeypatch.setattr(target, "seconds_to", lambda *_: None)
    assert list(target.measure_target(text=text, nanogpt=tmp_path, rounds=2)) == []
    assert list(target.measure_target(text=None, nanogpt=tmp_path, rounds=2)) == []
    assert "without --text and --nanogpt" in reported[-1]


def test_the_loss_is_that_of_cold_windows() -> None:
    class Backend:
        def zero_state(self, streams: int) -> int:
            return streams

        def score(self, inputs: Any, targets: Any, state: int) -> Any:
            assert inputs.shape == targets.shape == (240, 64)
            assert state == 240
            assert (inputs[:, 1:] == targets[:, :-1]).all()
            return type("Surprisals", (), {"nats": targets * 0.0 + 1.5}), state

    class Model:
        from ricorda.text import CharacterVocabulary

        vocabulary = CharacterVocabulary.from_text(TEXT)
        backend = Backend()

    assert target.loss(Model(), TEXT, 64) == 1.5  # type: ignore[arg-type]
