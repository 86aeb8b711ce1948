"""What `ricorda bench train` measures: the same work on both sides, in sizes that take no time."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import (
    timing,
    train,
    train_layer,
    train_memory,
    train_neighbour,
    train_step,
    train_target,
    train_tutorial,
)
from benchmarks.nanogpt import Moment
from benchmarks.peers import tutorial_program
from benchmarks.result import Result
from benchmarks.timing import Ratio
from ricorda.engine import kernels_are_built
from ricorda.errors import InputError, RicordaError
from ricorda.model.configuration import CellName
from ricorda.torch.cells import CELLS
from ricorda.training import demonstration

pytestmark = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")

TINY = train.Sizes(
    epochs=10,
    cases=(train_layer.Case("gru", 8, 2, 1),),
    batch_size=2,
    layer_window=3,
    step_hidden_size=8,
    step_window=4,
    matrix_size=16,
    neighbour=train_neighbour.Workload(hidden_size=8, batch_size=2, window=4, seconds=0.0),
)
TEXT = "the quick brown fox jumps over the lazy dog\n" * 60


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SECONDS", 1e-4)


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_result_tells_its_figures_and_its_bound() -> None:
    ratio = Ratio(2.0, 1.0, 3.0, 0.5, 1.0)
    told = Result("step", "PyTorch", ratio, 1.5, details={"epochs": 5}).as_json()
    assert told == {
        "what": "step",
        "against": "PyTorch",
        "wanted": 1.5,
        "at_most": False,
        "times": {"median": 2.0, "least": 1.0, "most": 3.0},
        "seconds": {"ours": 0.5, "theirs": 1.0},
        "details": {"epochs": 5},
    }
    memory = Result("memory", "", Ratio(9, 9, 9), 700, at_most=True, unit="megabytes").as_json()
    assert memory["megabytes"] == {"median": 9, "least": 9, "most": 9}
    assert "seconds" not in memory


def test_whole_runs_take_turns_and_are_numbered() -> None:
    turns: list[tuple[str, int]] = []

    def side(name: str, seconds: float) -> Callable[[int], float]:
        def run(number: int) -> float:
            turns.append((name, number))
            return seconds

        return run

    ratio = timing.compare_runs(side("ours", 0.5), side("peer", 2.0), 2)
    assert turns == [("ours", 1), ("peer", 1), ("ours", 2), ("peer", 2)]
    assert ratio.median == pytest.approx(4)
    assert ratio.scaled(0.5).most == pytest.approx(2)


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
    def learning() -> Iterator[int]:
        yield from range(1, 21)

    looked_at: list[int] = []

    def write(epoch: int) -> str:
        looked_at.append(epoch)
        return demonstration.SEQUENCE if epoch >= 7 else "a"

    seconds, reached = train_tutorial.until_exact(learning(), write)
    assert (reached, looked_at) == (10, [5, 10])
    assert seconds >= 0
    assert train_tutorial.until_exact(learning(), lambda _: "a")[1] is None


def test_both_figures_of_the_tutorial_come_with_their_seeds(said: list[str]) -> None:
    whole, first = train_tutorial.measure(10, 2, said.append)
    assert (whole.wanted, first.wanted) == (40, 40)
    assert first.details["epochs_theirs"] == 10  # it never gets there in 10
    assert "the tutorial's program, seed 2: never exact in 10 epochs, counted in full" in said


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_layer_is_measured_in_both_precisions(cell: CellName, said: list[str]) -> None:
    cases = (train_layer.Case(cell, 8, 3, 2),)
    in_float32, *rest = train_layer.measure(cases, 2, 3, 1, said.append)
    assert (in_float32.peer, in_float32.wanted) == ("PyTorch float32", 2)
    operations = 12 * 2 * 3 * CELLS[cell].gates * 8 * 8
    assert in_float32.ratio.ours is not None
    expected = operations / in_float32.ratio.ours / 1e9
    assert in_float32.details["gigaflops_a_second_ours"] == pytest.approx(expected)
    assert [each.wanted for each in rest] == ([3] if not said else [])


def test_without_bfloat16_its_layers_are_left_out(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.train_layer._kernels.learns_bfloat16", lambda: False)
    results = list(train_layer.measure(TINY.cases, 2, 3, 1, said.append))
    assert len(results) == 1
    assert said == ["this processor has no AVX512_BF16: layers in bfloat16 are left out"]


def test_the_share_counts_the_products_of_a_step() -> None:
    configuration = train_step.settings(8, 2, 4)
    assert train_step.operations(configuration) == 6 * 2 * 4 * (4 * 8 * (8 + 64) + 8 * 65)
    result = train_step.measure_share(configuration, 16, 1)
    assert result.ratio.median == pytest.approx(
        result.details["gigaflops_a_second_ours"] / result.details["gigaflops_a_second_theirs"]
    )


@pytest.mark.parametrize("by", ["ricorda", "torch"])
def test_a_neighbour_is_there_in_the_second_turn_alone(
    by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def started(*words: Any, **options: Any) -> "subprocess.Popen[bytes]":
        processes.append(popen(*words, **options))
        return processes[-1]

    monkeypatch.setattr("benchmarks.train_neighbour.subprocess.Popen", started)
    train_neighbour.main(by, TINY.neighbour)  # type: ignore[arg-type]
    figures = Ratio(**json.loads(capsys.readouterr().out))
    assert figures.ours is not None
    assert figures.peer is not None
    assert figures.median == pytest.approx(figures.ours / figures.peer)
    assert [process.returncode is not None for process in processes] == [True]


def test_a_neighbour_goes_where_the_measurement_fails() -> None:
    with pytest.raises(ZeroDivisionError), train_neighbour.busy_neighbour():
        raise ZeroDivisionError
    with train_neighbour.busy_neighbour():
        assert train_neighbour.median_seconds(lambda: None, 0.0) >= 0


def test_the_sides_run_in_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, json.dumps(vars(Ratio(2, 1, 3))), "")

    monkeypatch.setattr("benchmarks.train_neighbour.subprocess.run", run)
    ours, theirs = train_neighbour.measure(TINY.neighbour)
    assert [command[3] for command in commands] == ["ricorda", "torch"]
    assert (ours.at_most, ours.wanted, theirs.wanted) == (True, 3, None)


def test_a_target_is_reached_by_the_smallest_budget_that_does(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[float, int]] = []

    def learn(_: object, minutes: float, seed: int, target: float) -> tuple[float, float]:
        tried.append((minutes, seed))
        return minutes * 50, target if minutes > 0.022 + 0.008 * (seed == 2) else 9.0

    monkeypatch.setattr(train_target, "learn", learn)
    task = train_target.make_task(TEXT)
    found = train_target.seconds_to_target(task, 2.0, 3, said.append)
    assert [seed for _, seed in tried] == [1, 1, 2, 2, 3]
    assert found == pytest.approx([1.25, 1.5625, 1.5625])
    monkeypatch.setattr(train_target, "LONGEST_MINUTES", 0.021)
    assert train_target.seconds_to_target(task, 2.0, 3, said.append) is None


def test_learning_stops_where_the_target_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_target, "measure_speed", lambda *_: 40.0)
    task = train_target.make_task(TEXT)
    assert task.inputs.shape == task.targets.shape == (240, 64)
    _, easy = train_target.learn(task, 0.001, 1, 100.0)
    _, hard = train_target.learn(task, 0.001, 1, 0.0)
    assert easy > hard  # the first result was enough


def test_the_target_is_what_nanogpt_reaches(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "my.txt"
    text.write_text(TEXT)
    moments = [Moment(0.0, 4.0), Moment(5.0, 2.5), Moment(9.0, 2.6)]
    monkeypatch.setattr("benchmarks.train_target.nanogpt.learn", lambda *_: moments)
    monkeypatch.setattr(train_target, "seconds_to_target", lambda *_: [0.5, 1.0])
    (result,) = train_target.measure(text, tmp_path, 2, said.append)
    assert result.details["target_nats_per_character"] == 2.5
    assert (result.ratio.least, result.ratio.most) == (5, 10)
    assert "nanoGPT stayed above 1.886 nats: its best, 2.5000, is to be reached" in said
    monkeypatch.setattr(train_target, "seconds_to_target", lambda *_: None)
    assert list(train_target.measure(text, tmp_path, 2, said.append)) == []


def test_memory_is_the_childs_alone() -> None:
    held = bytearray(200_000_000)  # of this process
    little = train_memory.peak_megabytes([sys.executable, "-S", "-c", "pass"])
    program = "held = bytearray(60_000_000)\nfor i in range(0, len(held), 4096): held[i] = 1"
    more = train_memory.peak_megabytes([sys.executable, "-S", "-c", program])
    assert little + 50 < more < len(held) / 1e6
    with pytest.raises(RicordaError, match="ended badly"):
        train_memory.peak_megabytes([sys.executable, "-c", "import sys; sys.exit('ended badly')"])


def test_the_memory_of_a_training_is_that_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def peak(command: list[str]) -> float:
        commands.append(command)
        return 5.0

    monkeypatch.setattr(train_memory, "peak_megabytes", peak)
    result = train_memory.measure(tmp_path / "my.txt", 0.5)
    assert (result.ratio.median, result.unit, result.at_most) == (5.0, "megabytes", True)
    words = commands[0]
    assert words[1:5] == ["-m", "ricorda", "train", str(tmp_path / "my.txt")]
    assert words[words.index("--minutes") + 1] == "0.5"


def test_parts_are_measured_as_asked_and_missing_texts_are_told(said: list[str]) -> None:
    results = list(
        train.run(said.append, rounds=1, parts=["layers", "share", "target", "memory"], sizes=TINY)
    )
    assert len(results) in (2, 3)  # without and with bfloat16
    assert [each for each in said if "without" in each] == [
        "without --text and --nanogpt: the time to nanoGPT's loss is left out",
        "without --text: the memory of a training is left out",
    ]


def test_a_text_that_cannot_be_learned_is_wrong_input(tmp_path: Path) -> None:
    text = tmp_path / "empty.txt"
    text.touch()
    with pytest.raises(InputError, match=r"empty.txt: empty; a text of at least 2"):
        train_memory.measure(text, 0.001)
