"""What is given is kept; what is not is chosen within sensible bounds."""

from dataclasses import replace
from typing import Any

import pytest

from ricorda.errors import ConfigurationError
from ricorda.model.cells import CellName
from ricorda.training import Budget, TrainingConfiguration, TrainingOptions, choose
from ricorda.training.configuration import Device
from ricorda.training.plan import planner
from ricorda.training.plan.planner import (
    SAMPLED_FROM,
    SOFTMAX_CANDIDATES,
    Machine,
    depends_on_speed,
    operations_of,
    output_rows,
)

MACHINE = Machine(device="cpu", threads=2, bfloat16=frozenset({"rnn", "gru", "lstm"}))


def plan(
    size: int = 1_000_000, vocabulary: int = 65, machine: Machine = MACHINE, **options: Any
) -> TrainingConfiguration:
    return choose(
        TrainingOptions(**options),
        training_size=size,
        vocabulary_size=vocabulary,
        machine=machine,
    )


def test_what_is_given_is_kept() -> None:
    given: dict[str, Any] = {
        "hidden_size": 7,
        "num_layers": 3,
        "embedding_size": "onehot",
        "batch_size": 5,
        "window": 11,
        "learning_rate": 0.5,
        "dropout": 0.0,
        "input_dropout": 0.0,
        "recurrent_dropout": 0.15,
        "averaging": 0.99,
        "initialisation": "uniform",
        "weight_decay": 0.0,
        "clip_norm": 2.0,
        "softmax_candidates": 30,
        "steps": 9,
        "patience": 4,
        "seed": 8,
        "threads": 3,
        "cell": "rnn",
        "nonlinearity": "relu",
        "precision": "float32",
    }
    chosen = plan(**given)
    settled = {**vars(chosen), **vars(chosen.model), **vars(chosen.budget)}
    assert {name: settled[name] for name in given} == given


@pytest.mark.parametrize(
    "wanted, device, are_built, backend",
    [
        ("auto", "cpu", True, "kernels"),
        ("kernels", "cpu", True, "kernels"),
        ("torch", "cpu", True, "torch"),
        ("auto", "cpu", False, "torch"),
        ("auto", "cuda", True, "torch"),
        ("torch", "mps", True, "torch"),
    ],
)
def test_the_kernels_compute_where_they_can(
    monkeypatch: pytest.MonkeyPatch, wanted: Any, device: str, are_built: bool, backend: str
) -> None:
    monkeypatch.setattr(planner, "kernels_are_built", lambda: are_built)
    monkeypatch.setattr(planner, "require_torch", lambda: None)
    assert planner.choose_backend(wanted, device) == backend


@pytest.mark.parametrize("device, are_built", [("cpu", False), ("cuda", True)])
def test_kernels_that_cannot_be_used_are_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, are_built: bool
) -> None:
    monkeypatch.setattr(planner, "kernels_are_built", lambda: are_built)
    with pytest.raises(ConfigurationError, match="--backend kernels: the kernels "):
        planner.choose_backend("kernels", device)


def test_what_other_cells_and_inputs_have_no_use_for_is_kept() -> None:
    assert plan(forget_bias=1.0).forget_bias == 1
    assert plan(input_dropout=0.3).input_dropout == 0.3


def test_a_network_too_small_to_memorize_the_text_needs_less_against_it() -> None:
    small, large = (plan(minutes=3, hidden_size=size) for size in (64, 512))
    assert small.dropout < large.dropout
    assert small.recurrent_dropout < large.recurrent_dropout
    assert small.weight_decay < large.weight_decay


def test_what_nothing_speaks_for_is_left_out() -> None:
    chosen = plan()
    assert (chosen.input_dropout, chosen.averaging) == (0, 0)
    assert (chosen.initialisation, chosen.forget_bias) == ("orthogonal", 0)


def test_without_a_budget_it_is_three_minutes() -> None:
    assert plan().budget == Budget(minutes=3)
    assert str(plan().budget) == "3 minutes"
    assert str(plan(minutes=1).budget) == "1 minute"


def test_more_time_or_a_faster_machine_buys_a_larger_network_and_more_dropout() -> None:
    by_time = [plan(minutes=minutes) for minutes in (0.2, 1, 3, 10, 60)]
    machines = [replace(MACHINE, operations=10.0**digits) for digits in (9, 10, 11, 12, 13)]
    by_speed = [plan(machine=machine, minutes=1) for machine in machines]
    for plans in (by_time, by_speed):
        sizes = [each.model.hidden_size for each in plans]
        assert sizes == sorted(set(sizes))
        dropouts = [each.dropout for each in plans]
        assert dropouts == sorted(dropouts)
        assert dropouts[0] < 0.15
        decays = [each.weight_decay for each in plans]
        assert decays == sorted(decays)
        assert decays[0] < decays[-1] <= 0.1
        assert 0.2 < dropouts[-1] <= 0.5


def test_a_given_size_changes_how_often_the_text_is_read() -> None:
    fitting, large = (plan(minutes=3, hidden_size=size) for size in (512, 1024))
    assert fitting.dropout > large.dropout
    assert fitting.learning_rate > large.learning_rate


def test_a_small_text_gets_a_small_network_and_more_dropout() -> None:
    plans = [plan(size, minutes=10) for size in (2_000, 20_000, 200_000, 10**7)]
    sizes = [each.model.hidden_size for each in plans]
    assert sizes == sorted(sizes)
    assert sizes[0] < 100 < sizes[1]
    assert plans[0].dropout == 0.5
    assert plans[0].recurrent_dropout > plans[-1].recurrent_dropout
    assert plans[-1].dropout < 0.1


def test_deep_and_many_symbols_leave_fewer_units() -> None:
    units = plan(minutes=3).model.hidden_size
    assert plan(minutes=3, num_layers=2).model.hidden_size < units
    assert plan(minutes=3, vocabulary=5_000).model.hidden_size < units
    assert plan(minutes=3, cell="rnn").model.hidden_size > units


def test_a_cell_without_recurrent_weights_gets_layers_and_no_dropout_of_them() -> None:
    chosen = plan(cell="mingru", minutes=3, hidden_size=512)
    assert chosen.model.num_layers == 2
    assert chosen.recurrent_dropout == 0 < chosen.dropout
    assert plan(cell="mingru", num_layers=1).model.num_layers == 1
    assert operations_of(chosen.model, 65) == 6 * (2 * 512**2 + 65 * 512)
    assert plan(minutes=3, cell="mingru").model.hidden_size > plan(minutes=3).model.hidden_size


def test_more_threads_share_more_streams() -> None:
    batches = [plan(machine=replace(MACHINE, threads=n)).batch_size for n in (1, 2, 4, 64)]
    assert batches == [16, 16, 32, 64]


def test_the_speed_matters_where_time_decides_the_size() -> None:
    assert depends_on_speed(TrainingOptions(minutes=1))
    assert depends_on_speed(TrainingOptions())
    for given in ({"steps": 5}, {"epochs": 1.0}, {"minutes": 1.0, "hidden_size": 8}):
        assert not depends_on_speed(TrainingOptions(**given))


def test_the_operations_of_a_symbol_are_counted() -> None:
    model = plan(hidden_size=10, num_layers=3, vocabulary=7).model
    assert operations_of(model, 7) == 6 * (3 * 10 * 10 * 5 + 7 * 10)


@pytest.mark.parametrize("vocabulary, device, given, drawn", [
    (65, "cpu", None, 0),
    (SAMPLED_FROM - 1, "cpu", None, 0),
    (SAMPLED_FROM, "cpu", None, SOFTMAX_CANDIDATES),
    (20_000, "cpu", None, SOFTMAX_CANDIDATES),
    (20_000, "cuda", None, 0),
    (20_000, "cuda", 300, 300),
    (20_000, "cpu", 0, 0),
    (65, "cpu", 64, 64),
    (65, "cpu", 65, 0),  # all of them
])  # fmt: skip
def test_many_symbols_have_a_sampled_softmax(
    vocabulary: int, device: Device, given: int | None, drawn: int
) -> None:
    machine = replace(MACHINE, device=device)
    chosen = plan(vocabulary=vocabulary, machine=machine, softmax_candidates=given)
    assert chosen.softmax_candidates == drawn


def test_a_sampled_softmax_leaves_room_for_more_units() -> None:
    sampled, exact = (plan(vocabulary=6000, softmax_candidates=count) for count in (512, 0))
    assert sampled.model.hidden_size > exact.model.hidden_size


@pytest.mark.parametrize("candidates, rows", [(0, 6000), (512, 512 + 256), (5900, 6000)])
def test_the_rows_of_the_output_layer_are_counted(candidates: int, rows: int) -> None:
    assert output_rows(6000, candidates, 16 * 64) == rows


def test_a_text_to_memorize_has_no_dropout() -> None:
    assert plan(600, minutes=1).dropout == plan(600, minutes=1).recurrent_dropout == 0
    assert plan(700, minutes=1).dropout == 0.5


@pytest.mark.parametrize("size", [2, 25, 1_000, 10_000, 10**6, 10**9])
@pytest.mark.parametrize("vocabulary", [1, 4, 65, 256, 3_000, 20_000])
@pytest.mark.parametrize(
    "budget", [{"minutes": 0.01}, {"minutes": 600}, {"epochs": 3}, {"steps": 1}]
)
def test_any_text_and_budget_gets_a_sensible_plan(
    size: int, vocabulary: int, budget: dict[str, Any]
) -> None:
    chosen = plan(size, vocabulary, **budget)
    assert 64 <= chosen.model.hidden_size <= 2048
    assert 0 <= chosen.dropout <= 0.5
    assert 8 <= chosen.batch_size <= 64
    assert 1e-4 < chosen.learning_rate < 0.02
    assert 1 <= chosen.evaluations <= 20
    if chosen.budget.steps is not None:
        assert chosen.warmup_steps <= chosen.budget.steps


@pytest.mark.parametrize(
    "cell, faster, precision",
    [
        ("lstm", {"lstm"}, "bfloat16"),
        ("lstm", set(), "float32"),
        ("gru", {"lstm"}, "float32"),
        ("rnn", {"lstm"}, "float32"),
        ("gru", {"rnn", "gru", "lstm"}, "bfloat16"),
    ],
)
def test_bfloat16_is_taken_where_it_is_faster(
    cell: CellName, faster: set[CellName], precision: str
) -> None:
    machine = Machine(device="cpu", threads=1, bfloat16=frozenset(faster))
    assert plan(machine=machine, cell=cell).precision == precision


@pytest.mark.parametrize("size, minutes, units, dropouts, decay, rate", [
    (1_000_000, 3, 640, (0.18, 0.07), 0.066, 0.0043),
    (20_000, 3, 128, (0.5, 0.3), 0.1, 0.0082),
    (1_000_000, 60, 1024, (0.48, 0.3), 0.1, 0.0034),
    (10**9, 60, 1536, (0.0, 0.0), 0.01, 0.0028),
])  # fmt: skip
def test_the_choices_for_a_known_text_are_these(
    size: int, minutes: float, units: int, dropouts: tuple[float, float], decay: float, rate: float
) -> None:
    chosen = plan(size, minutes=minutes)
    assert chosen.model.hidden_size == units
    assert (chosen.dropout, chosen.recurrent_dropout) == dropouts
    assert (chosen.weight_decay, chosen.learning_rate) == (decay, rate)
