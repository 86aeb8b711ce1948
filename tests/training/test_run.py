"""A run from its text to its figures, interrupted and resumed, and what it refuses."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ricorda.errors import ConfigurationError, RunError, TextError
from ricorda.model import read_model_file
from ricorda.runs import RunFolder, read_rows
from ricorda.training import Run
from ricorda.training import run as runs
from ricorda.training.plan import machine as device
from ricorda.training.plan.budget import BudgetClock
from tests.training.precision import skip_without_bfloat16
from tests.training.reporters import InterruptAt
from tests.training.small_runs import BOTTLES

SMALL: dict[str, Any] = {
    "hidden_size": 12,
    "embedding_size": 5,
    "batch_size": 4,
    "window": 16,
    "steps": 40,
    "threads": 1,
}

Learn = Callable[..., Run]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "bottles.txt"
    path.write_text(BOTTLES)
    return path


@pytest.fixture
def learn(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learn:
    monkeypatch.chdir(tmp_path)

    def run(**options: Any) -> Run:
        return runs.new_run(text, **({"quiet": True} | SMALL | options))

    return run


def rows(run: Run, event: str) -> list[dict[str, Any]]:
    """The rows of one kind, without what depends on time."""
    timed = {"seconds", "characters_per_second"}
    return [
        {name: value for name, value in row.items() if name not in timed}
        for row in read_rows(RunFolder(run.folder).metrics)
        if row["event"] == event
    ]


def weights(run: Run) -> dict[str, bytes]:
    """The tensors of a run's model: its metadata differs with every option."""
    file = read_model_file(run.folder / "model.safetensors")
    return {name: tensor.tobytes() for name, tensor in file.tensors.items()}


def test_a_run_leaves_everything_behind(learn: Learn, tmp_path: Path) -> None:
    run = learn()
    assert run.folder == Path("runs/bottles")
    assert {entry.name for entry in run.folder.iterdir()} == {
        ".ricorda.lock",
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
        "samples.jsonl",
    }
    metrics = run.metrics
    assert metrics["steps"] == 40
    assert metrics["characters_seen"] == 40 * 4 * 16
    assert metrics["training_characters"] + metrics["validation_characters"] == len(BOTTLES)
    assert metrics["stopped_because"] == "steps"
    assert metrics["parameters"] == run.model.parameters
    evaluations = rows(run, "evaluation")
    assert len(evaluations) == 20
    assert evaluations[-1]["nats_per_character"] < evaluations[0]["nats_per_character"] - 0.3
    samples = list(read_rows(run.folder / "samples.jsonl"))
    assert len(samples) == 20
    assert all(len(sample["text"]) == 200 for sample in samples)
    assert len(rows(run, "training")) == 40


def test_the_final_figure_is_that_of_evaluate(learn: Learn) -> None:
    run = learn()
    validation = BOTTLES[-run.metrics["validation_characters"] :]
    figures = run.model.evaluate(validation)
    for name, value in run.metrics["validation"].items():
        assert getattr(figures, name) == pytest.approx(value, rel=1e-6)
    assert run.model.training["validation"] == pytest.approx(figures.as_json())


def test_the_best_model_is_kept(learn: Learn) -> None:
    run = learn(patience=2, learning_rate=5.0, clip_norm=1e9, steps=400)
    found = {row["step"]: row["nats_per_character"] for row in rows(run, "evaluation")}
    best = min(found, key=found.__getitem__)
    assert best < max(found)
    assert found[max(found)] > found[best] + 0.1
    assert run.metrics["best_step"] == best
    assert run.model.training["step"] == best
    validation = BOTTLES[-run.metrics["validation_characters"] :]
    kept = run.model.evaluate(validation).nats_per_character
    assert kept == pytest.approx(found[best], abs=0.02)


def test_patience_stops_a_run_that_does_not_improve(learn: Learn) -> None:
    run = learn(patience=2, learning_rate=5.0, clip_norm=1e9, steps=400)
    assert run.metrics["stopped_because"] == "patience"
    assert run.metrics["steps"] < 400


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(learn: Learn) -> None:
    first, second, third = (learn(seed=seed, dropout=0.3) for seed in (1, 1, 2))
    assert weights(first) == weights(second) != weights(third)
    assert rows(first, "training") == rows(second, "training")
    begin, other = (rows(run, "training")[0] for run in (first, third))
    assert begin["nats_per_character"] != other["nats_per_character"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "num_layers": 2, "dropout": 0.4},
        {"cell": "gru", "embedding_size": "onehot"},
        {"cell": "rnn", "vocabulary": "bytes", "patience": 15},
        {"cell": "lstm", "precision": "bfloat16", "dropout": 0.1},
        {"cell": "gru", "averaging": 0.9, "recurrent_dropout": 0.3, "input_dropout": 0.2},
    ],
    ids=str,
)
def test_an_interrupted_run_continues_bit_for_bit(
    learn: Learn, options: dict[str, Any], number: int
) -> None:
    skip_without_bfloat16(options)
    whole = learn(**options)
    stopped = learn(**options, reporter=InterruptAt(13, number=number))
    assert stopped.signal_number == number
    assert stopped.metrics["stopped_because"] == "interrupted"
    assert stopped.metrics["steps"] == 13
    resumed = runs.resumed_run(stopped.folder, quiet=True)
    assert resumed.signal_number is None
    assert (resumed.folder / "model.safetensors").read_bytes() == (
        whole.folder / "model.safetensors"
    ).read_bytes()
    for event in ("training", "evaluation"):
        assert rows(resumed, event) == rows(whole, event)
    samples = [list(read_rows(run.folder / "samples.jsonl")) for run in (whole, resumed)]
    assert samples[0] == samples[1]
    assert resumed.metrics["train_seconds"] >= stopped.metrics["train_seconds"]


def test_a_run_that_is_watched_writes_before_its_first_step(learn: Learn) -> None:
    whole = learn(steps=300, early_samples=True)
    stopped = learn(steps=300, early_samples=True, reporter=InterruptAt(5))
    samples = [list(read_rows(run.folder / "samples.jsonl")) for run in (whole, stopped)]
    assert [row["step"] for row in samples[0][:6]] == [0, 1, 2, 4, 8, 15]  # 15: an evaluation
    assert samples[1] == samples[0][:4]
    assert samples[0][0]["text"] != samples[0][-1]["text"]
    trained = [row["step"] for row in rows(whole, "training")]
    assert len(trained) == len(set(trained))
    assert {1, 2, 4, 8} <= set(trained)
    resumed = runs.resumed_run(stopped.folder, quiet=True)
    assert list(read_rows(resumed.folder / "samples.jsonl")) == samples[0]
    assert rows(resumed, "training") == rows(whole, "training")


def test_watching_changes_no_weight(learn: Learn) -> None:
    runs = [learn(early_samples=watched) for watched in (False, True)]
    assert runs[0].metrics["validation"] == runs[1].metrics["validation"]
    assert rows(runs[0], "evaluation") == rows(runs[1], "evaluation")


def test_an_interrupted_run_has_a_model(learn: Learn) -> None:
    run = learn(reporter=InterruptAt(1))
    assert run.metrics["validation"] is None
    assert len(run.model.generate(length=5, seed=1)) == 5


def test_signals_act_as_before_after_a_run(learn: Learn) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    learn(reporter=InterruptAt(3))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_global_random_numbers_are_left_alone(learn: Learn) -> None:
    before = torch.random.get_rng_state()
    learn(dropout=0.5)
    assert torch.equal(before, torch.random.get_rng_state())


def test_minutes_bound_the_time(learn: Learn) -> None:
    run = learn(steps=None, minutes=0.01)
    assert run.metrics["stopped_because"] == "minutes"
    assert run.metrics["steps"] > 0
    assert run.metrics["train_seconds"] < 60  # far above, for machines that stumble


def test_epochs_count_readings_of_the_training_text(learn: Learn) -> None:
    run = learn(steps=None, epochs=2)
    windows = (run.metrics["training_characters"] - 1) // (4 * 16)
    assert run.metrics["steps"] == 2 * windows
    assert run.metrics["stopped_because"] == "epochs"


def test_a_validation_file_is_used_instead_of_the_texts_end(learn: Learn, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("5 bottles of water on the wall\n§" * 10)
    run = learn(validation=tmp_path / "other.txt")
    assert run.metrics["training_characters"] == len(BOTTLES)
    assert run.metrics["validation_characters"] == 31 * 10


def test_a_tiny_text_is_learned_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.txt").write_text("abcabcabc")
    run = runs.new_run("tiny.txt", steps=60, hidden_size=16, threads=1, quiet=True)
    assert run.metrics["validation"] is None
    assert run.model.generate("a", length=5, greedy=True) == "bcabc"


def test_a_text_of_one_symbol_repeated_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "same.txt").write_text("a" * 1000)
    run = runs.new_run("same.txt", steps=2, hidden_size=4, threads=1, quiet=True)
    assert run.metrics["validation"]["nats_per_character"] == pytest.approx(0.0, abs=1e-6)
    assert run.model.generate(length=3, seed=1) == "aaa"


# Averaging changes the model only where the average is better: see the two tests below.
OPTIONS_THAT_MATTER: list[dict[str, Any]] = [
    {"cell": "gru"},
    {"cell": "rnn"},
    {"cell": "rnn", "nonlinearity": "relu"},
    {"hidden_size": 13},
    {"num_layers": 2},
    {"embedding_size": "onehot"},
    {"dropout": 0.2},
    {"batch_size": 5},
    {"window": 9},
    {"learning_rate": 0.001},
    {"input_dropout": 0.2},
    {"recurrent_dropout": 0.2},
    {"initialisation": "uniform"},
    {"forget_bias": 0.5},
    {"weight_decay": 5.0},
    {"clip_norm": 0.01},
    {"steps": 41},
    {"vocabulary": "bytes"},
    {"validation_fraction": 0.3},
    {"seed": 2},
]


def test_every_option_changes_the_model(learn: Learn) -> None:
    precision = {"precision": "float32"}
    cases = [precision, *(precision | options for options in OPTIONS_THAT_MATTER)]
    found: dict[str, dict[str, Any]] = {}
    for options in cases:
        digest = str(sorted(weights(learn(**options)).items()))
        assert digest not in found, f"{options} and {found[digest]} give the same weights"
        found[digest] = options


def test_the_precision_changes_the_model(learn: Learn) -> None:
    skip_without_bfloat16({"precision": "bfloat16"})
    runs = [learn(precision=precision) for precision in ("float32", "bfloat16")]
    assert weights(runs[0]) != weights(runs[1])


def test_a_precision_that_the_processor_lacks_is_refused(
    learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cells, advice in ((frozenset(), "out$"), (frozenset(["lstm"]), "or take --cell lstm$")):
        monkeypatch.setattr(device, "_bfloat16_cells", lambda *_, cells=cells, **__: cells)
        with pytest.raises(ConfigurationError, match=advice):
            learn(precision="bfloat16", cell="gru")
    monkeypatch.setattr(device, "_bfloat16_cells", lambda *_, **__: frozenset())
    with pytest.raises(ConfigurationError, match="cifg is computed in float32 only"):
        learn(precision="bfloat16")


def test_averaged_weights_are_evaluated_beside_the_raw_ones(learn: Learn) -> None:
    run = learn(averaging=0.9, learning_rate=0.05)
    evaluations = rows(run, "evaluation")
    for row in evaluations:
        both = (row["raw_nats_per_character"], row["averaged_nats_per_character"])
        assert row["nats_per_character"] == min(both)
        assert both[0] != both[1]
    best = min(evaluations, key=lambda row: float(row["nats_per_character"]))
    assert run.metrics["best_step"] == best["step"]
    averaged = best["averaged_nats_per_character"] < best["raw_nats_per_character"]
    assert run.model.training["averaged"] is averaged
    figure = run.metrics["validation"]["nats_per_character"]
    assert figure == pytest.approx(best["nats_per_character"], abs=0.02)


def test_averaging_leaves_the_weights_themselves_alone(learn: Learn) -> None:
    raw = [row["nats_per_character"] for row in rows(learn(), "evaluation")]
    beside = rows(learn(averaging=0.9), "evaluation")
    assert [row["raw_nats_per_character"] for row in beside] == raw


def test_a_text_without_validation_is_continued_by_the_average(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.txt").write_text("abcabcabc")
    options: dict[str, Any] = {"steps": 5, "hidden_size": 4, "threads": 1, "quiet": True}
    models = [runs.new_run("tiny.txt", averaging=each, **options).model for each in (0.9, 0.0)]
    assert models[0].training["averaged"] is True
    assert "averaged" not in models[1].training
    assert models[0].evaluate("abc") != models[1].evaluate("abc")


def test_the_configuration_repeats_the_run(learn: Learn) -> None:
    run = learn()
    record = json.loads((run.folder / "config.json").read_text())
    assert record["training"]["model"]["hidden_size"] == 12
    assert record["training"]["budget"] == {"minutes": None, "epochs": None, "steps": 40}
    assert record["text"]["texts"] == [str(Path("bottles.txt").absolute())]


def test_names_of_runs_are_numbered(learn: Learn) -> None:
    assert [learn(steps=1).folder.name for _ in range(3)] == ["bottles", "bottles-2", "bottles-3"]


def test_a_folder_that_holds_something_is_refused(learn: Learn, tmp_path: Path) -> None:
    run = learn(out=tmp_path / "mine", steps=1)
    before = sorted(entry.name for entry in run.folder.iterdir())
    with pytest.raises(RunError, match="already holds a run"):
        learn(out=tmp_path / "mine")
    assert sorted(entry.name for entry in run.folder.iterdir()) == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="holds other files"):
        learn(out=tmp_path / "full")
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"dropout": 1.5}, "dropout must be at most 0.99, got 1.5"),
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"minutes": 1.0}, "give only one of"),
        ({"minutes": float("nan"), "steps": None}, "minutes"),
        ({"hiden_size": 3}, "did you mean hidden_size"),
        ({"nonlinearity": "relu"}, "is for --cell rnn"),
        ({"cell": "gru", "precision": "bfloat16", "backend": "torch"}, "in float32 only on this"),
        ({"cell": "gru", "forget_bias": 1.0}, "--forget-bias 1 is for --cell lstm"),
        ({"cell": "mingru", "recurrent_dropout": 0.1}, "0.1 is for --cell rnn or gru or lstm or"),
        ({"cell": "mingru", "initialisation": "uniform"}, "uniform is for --cell rnn or gru or"),
        ({"embedding_size": "onehot", "input_dropout": 0.1}, "is for learned embeddings"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_before_anything_is_written(
    learn: Learn, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        learn(**options)
    assert not Path("runs").exists()


def test_a_text_that_cannot_be_used_leaves_no_folder(learn: Learn, text: Path) -> None:
    text.write_bytes(b"a")
    with pytest.raises(TextError, match="one character"):
        learn()
    text.write_bytes(b"abc\xff")
    with pytest.raises(TextError, match="byte 3"):
        learn()
    assert not list(Path("runs").glob("*"))


def test_resuming_is_refused_where_it_makes_no_sense(learn: Learn, text: Path) -> None:
    with pytest.raises(RunError, match="no run found"):
        runs.resumed_run()
    ended = learn()
    with pytest.raises(RunError, match="has ended"):
        runs.resumed_run(ended.folder)
    stopped = learn(reporter=InterruptAt(5))
    text.write_text(BOTTLES.replace("beer", "wine"))
    with pytest.raises(RunError, match="changed since this run began"):
        runs.resumed_run(stopped.folder, quiet=True)
    text.unlink()
    with pytest.raises(RunError, match="cannot be read again"):
        runs.resumed_run(stopped.folder, quiet=True)
    text.write_text(BOTTLES)
    assert runs.resumed_run(stopped.folder, quiet=True).metrics["steps"] == 40


def test_the_newest_run_is_resumed_unless_another_is_named(learn: Learn) -> None:
    learn(reporter=InterruptAt(5))
    second = learn(reporter=InterruptAt(6))
    assert runs.resumed_run(quiet=True).folder == second.folder


def test_a_budget_that_is_spent_at_once_takes_a_step(
    learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BudgetClock, "spent", property(lambda self: True))
    metrics = learn(minutes=1, steps=None).metrics
    assert metrics["steps"] == 1
    assert metrics["validation"]["nats_per_character"] > 0
