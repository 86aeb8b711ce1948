"""`ricorda train`: every way to name a text, every option, what is printed."""

import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.training import fit

Call = Callable[..., tuple[int, str, str]]

KEYS = [
    "run",
    "model",
    "parameters",
    "vocabulary_size",
    "training_characters",
    "validation_characters",
    "steps",
    "characters_seen",
    "train_seconds",
    "validation",
    "validation_warning",
    "baselines",
    "best_step",
    "stopped_because",
]
VALIDATION_KEYS = ["nats_per_character", "bits_per_character", "bits_per_byte", "perplexity"]

SHORT = ["--steps", "2", "--hidden-size", "4", "--threads", "1"]


@pytest.fixture
def train(here: Path, call: Call) -> Callable[..., dict[str, Any]]:
    """Train quietly, with a short budget; hand back what --json printed."""

    def run(*words: str | Path) -> dict[str, Any]:
        code, out, err = call("train", *words, *SHORT, "--quiet", "--json")
        assert (code, err) == (0, "")
        assert out.count("\n") == 1
        found: dict[str, Any] = json.loads(out)
        return found

    return run


Train = Callable[..., dict[str, Any]]


def recorded(run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(run["run"], "config.json").read_text())
    return found


def stand_for_standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_json_has_the_promised_keys(train: Train, bottles: str) -> None:
    found = train("my.txt")
    assert list(found) == KEYS
    assert list(found["validation"]) == VALIDATION_KEYS
    assert found["run"] == "runs/my"
    assert found["model"] == "runs/my/model.safetensors"
    assert found["vocabulary_size"] == len(set(bottles))
    assert found["training_characters"] + found["validation_characters"] == len(bottles)
    assert found["stopped_because"] == "steps"


def test_messages_go_to_standard_error_and_say_every_setting(here: Path, call: Call) -> None:
    code, out, err = call("train", "my.txt", *SHORT, "--seed", "7")
    assert (code, out) == (0, "")
    for said in (
        "2,782 characters for training, 310 for validation, 24 different",
        "cifg, 1 x 4 units, embedding 64",
        "2 steps",
        "learning rate",
        "dropout",
        "seed 7",
        "run: runs/my",
        "validation: ",
        " bits per character\n",
        " bits per byte",
        "ricorda sample runs/my",
    ):
        assert said in err


def test_json_comes_last_and_alone(here: Path, call: Call) -> None:
    code, out, err = call("train", "my.txt", *SHORT, "--json")
    assert code == 0
    assert list(json.loads(out)) == KEYS
    assert ": validation " in err


def test_quiet_says_nothing(here: Path, call: Call) -> None:
    assert call("train", "my.txt", *SHORT, "--quiet") == (0, "", "")


def test_where_there_is_no_terminal_lines_are_plain(here: Path, call: Call) -> None:
    _, _, err = call("train", "my.txt", *SHORT)
    assert "\x1b" not in err
    assert "\r" not in err
    assert "━" not in err


def test_standard_input_is_kept_for_resuming(
    train: Train, bottles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_for_standard_input(monkeypatch, bottles.encode())
    run = train("-")
    assert run["run"] == "runs/stdin"
    (text,) = recorded(run)["text"]["texts"]
    assert Path(text).read_text() == bottles
    assert Path(text).parent == Path("runs/stdin").absolute()


def test_standard_input_beside_a_file(
    train: Train, bottles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_for_standard_input(monkeypatch, b"and some more\n")
    run = train("my.txt", "-")
    assert run["training_characters"] + run["validation_characters"] == len(bottles) + 12


def test_standard_input_without_text_leaves_nothing(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b"", b"\xff\xfe\xfd", b"a"):
        stand_for_standard_input(monkeypatch, content)
        code, out, err = call("train", "-", *SHORT)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert [entry.name for entry in Path("runs").iterdir()] == ["tiny"]


DIES_BEFORE_IT_BEGINS = """
import os, signal, sys
from ricorda.cli.main import main
from ricorda.training import start
start.write_record = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("texts", [["-"], ["my.txt"]], ids=["a pipe again", "a file"])
def test_a_run_on_standard_input_that_was_killed_before_it_began_may_be_begun_again(
    train: Train, bottles: str, monkeypatch: pytest.MonkeyPatch, texts: list[str]
) -> None:
    words = ["train", "-", "--out", "killed", *SHORT]
    killed = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_IT_BEGINS, *words],
        input=b"another text that is long enough\n" * 90,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert sorted(path.name for path in Path("killed").iterdir()) == [
        ".ricorda.lock",
        "input-1.txt",
    ]
    stand_for_standard_input(monkeypatch, bottles.encode())
    run = train(*texts, "--out", "killed")
    assert run["training_characters"] + run["validation_characters"] == len(bottles)
    assert Path("killed", "input-1.txt").exists() == (texts == ["-"])


def test_an_input_file_of_the_user_is_not_a_killed_runs(here: Path, call: Call) -> None:
    Path("mine").mkdir()
    Path("mine/input-1.txt").write_text("of the user")
    code, _, err = call("train", "my.txt", "--out", "mine", *SHORT)
    assert (code, Path("mine/input-1.txt").read_text()) == (2, "of the user")
    assert "holds other files" in err


@pytest.fixture
def poems(here: Path) -> Path:
    """A folder of 3 texts of 29 characters and a line end each, and things that are no text."""
    for name in ("a.txt", "b.txt", "deep/c.txt"):
        path = Path("poems", name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"this is the poem {name:>12}\n")
    Path("poems/.hidden").write_text("secret")
    Path("poems/picture").write_bytes(b"\x89PNG\0\0")
    return Path("poems")


@pytest.mark.parametrize(
    "words, files, name",
    [
        (["poems"], 3, "poems"),
        (["poems/"], 3, "poems"),
        (["poems/*.txt"], 2, "poems"),
        (["poems/**/*.txt"], 3, "poems"),
        (["poems/a.txt", "poems/deep/c.txt"], 2, "a"),
        (["poems/a.txt", "poems"], 3, "a"),
        (["poems/../poems/."], 3, "poems"),
    ],
    ids=str,
)
def test_files_folders_and_patterns(
    train: Train, poems: Path, words: list[str], files: int, name: str
) -> None:
    run = train(*words)
    assert run["training_characters"] + run["validation_characters"] == 29 * files
    assert run["run"] == f"runs/{name}"
    assert len(recorded(run)["text"]["texts"]) == files


def test_the_folder_one_is_in(train: Train, poems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(poems)
    assert train(".")["run"] == "runs/poems"


def test_what_a_folder_holds_besides_is_reported(poems: Path, call: Call) -> None:
    _, _, err = call("train", "poems", *SHORT)
    assert "left out 2 files and folders: poems/.hidden (hidden), " in err


OPTIONS: dict[str, Any] = {
    "cell": "rnn",
    "nonlinearity": "relu",
    "hidden_size": 5,
    "num_layers": 2,
    "embedding_size": "onehot",
    "dropout": 0.25,
    "recurrent_dropout": 0.15,
    "batch_size": 3,
    "window": 11,
    "learning_rate": 0.002,
    "weight_decay": 0.5,
    "clip_norm": 0.7,
    "averaging": 0.9,
    "initialisation": "uniform",
    "epochs": 0.5,
    "vocabulary": "bytes",
    "encoding": "latin-1",
    "newlines": "keep",
    "validation_fraction": 0.3,
    "patience": 4,
    "seed": 9,
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
}
"""Every option but --out, --validation, --minutes, --steps, and those that these exclude."""


def test_every_option_reaches_the_run(here: Path, call: Call) -> None:
    words = [word for name, value in OPTIONS.items() for word in _flag(name, value)]
    code, out, err = call("train", "my.txt", *words, "--out", "deep/mine", "--quiet", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["run"] == "deep/mine"
    assert settled(Path("deep/mine/config.json")) == OPTIONS


def test_options_of_the_lstm_and_of_learned_vectors_reach_the_run(here: Path, call: Call) -> None:
    words = ["--forget-bias", "-0.5", "--input-dropout", "0.3", *SHORT]
    assert call("train", "my.txt", *words, "--quiet") == (0, "", "")
    training = json.loads(Path("runs/my/config.json").read_text())["training"]
    assert (training["forget_bias"], training["input_dropout"]) == (-0.5, 0.3)


def _flag(name: str, value: Any) -> list[str]:
    return [f"--{name.replace('_', '-')}", str(value)]


def settled(config: Path) -> dict[str, Any]:
    """The options as config.json tells them."""
    record = json.loads(config.read_text())
    training = record["training"]
    flat = {**training, **training["model"], **training["budget"], **record["text"]}
    return {name: flat[name] for name in OPTIONS}


def test_minutes(train: Train, here: Path, call: Call) -> None:
    code, out, _ = call(
        "train", "my.txt", "--minutes", "0.005", "--hidden-size", "4", "--threads", "1", "--json"
    )
    assert code == 0
    found = json.loads(out)
    assert found["stopped_because"] == "minutes"
    lines = Path(found["run"], "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["event"] == "training"]
    assert found["steps"] == rows[-1]["step"] >= 1


@pytest.mark.parametrize("steps", [7, 1201])
def test_time_that_ends_between_two_rows(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    spent = property(lambda clock: clock._steps_timed >= steps)
    monkeypatch.setattr("ricorda.training.plan.budget.BudgetClock.spent", spent)
    code, out, _ = call(
        "train", "my.txt", "--minutes", "10", "--hidden-size", "4", "--threads", "1", "--json"
    )
    assert code == 0
    run = json.loads(out)
    assert (run["steps"], run["stopped_because"]) == (steps, "minutes")
    lines = Path(run["run"], "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["event"] == "training"]
    assert rows[-1]["step"] == steps


def test_a_file_for_validation(train: Train, bottles: str) -> None:
    Path("other.txt").write_text("7 bottles of beer on the wall\n")
    run = train("my.txt", "--validation", "other.txt")
    assert run["training_characters"] == len(bottles)
    assert run["validation_characters"] == 30


def test_a_text_too_short_to_evaluate_is_reported(here: Path, call: Call) -> None:
    Path("short.txt").write_text("abcabcabc")
    code, out, err = call("train", "short.txt", *SHORT, "--json")
    assert code == 0
    assert "too short to validate with" in err
    found = json.loads(out)
    assert found["validation"] is None
    assert found["validation_characters"] == 0


def test_names_that_are_odd(train: Train) -> None:
    for name, run in {
        "two words.txt": "two-words",
        "new\nline.txt": "new-line",
        "[1].txt": "1",
        "-dash.txt": "dash",
        "x" * 200 + ".txt": "x" * 60,
        "日本語.txt": "日本語",
    }.items():
        Path(name).write_text("some text to learn\n" * 9)
        assert train(f"./{name}")["run"] == f"runs/{run}"


def test_the_model_is_the_one_that_was_evaluated(
    here: Path, call: Call, train: Train, bottles: str
) -> None:
    run = train("my.txt")
    Path("validation.txt").write_text(bottles[-run["validation_characters"] :])
    found = json.loads(call("evaluate", run["run"], "validation.txt", "--json")[1])
    for name in VALIDATION_KEYS:
        assert found[name] == pytest.approx(run["validation"][name], abs=1e-4)
    model = ricorda.load(run["run"])
    assert model.parameters == run["parameters"]


DRY = ["--hidden-size", "4", "--threads", "1", "--dry-run"]


def test_a_dry_run_tells_the_plan_and_writes_nothing(here: Path, call: Call) -> None:
    before = sorted(here.rglob("*"))
    code, out, err = call("train", "my.txt", *DRY, "--epochs", "2", "--averaging", "0.5")
    assert (code, err) == (0, "")
    assert sorted(here.rglob("*")) == before
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "for training 2,782",
        "for validation 310",
        "different symbols 24",
        "hidden_size 4",
        "budget 2 epochs",
        "averaging 0.5",
        "patience none",
    ):
        assert line in lines
    record = json.loads(Path("runs/tiny/config.json").read_text())["training"]
    settings = (set(record) | set(record["model"])) - {"model"}
    assert settings <= {line.split()[0] for line in lines}
    steps, read, passes, memory, time = lines[-5:]
    assert steps.startswith("steps 10, ")
    assert read == "characters read 5,120"
    assert passes == "passes over the text 1.84"
    assert memory.startswith("memory about ")
    assert time.startswith("time ")


def test_a_dry_run_as_json(
    here: Path, call: Call, bottles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_for_standard_input(monkeypatch, bottles.encode())
    code, out, err = call("train", "-", *DRY, "--minutes", "1", "--quiet", "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    found = json.loads(out)
    assert found["configuration"]["budget"] == {"minutes": 1.0, "epochs": None, "steps": None}
    assert found["training_characters"] + found["validation_characters"] == len(bottles)
    configuration = found["configuration"]
    symbols = configuration["batch_size"] * configuration["window"]
    assert found["characters"] == found["steps"] * symbols
    assert found["passes"] == pytest.approx(found["characters"] / found["training_characters"])
    assert 0.9 * 60 < found["seconds"] <= 60
    assert found["steps"] < 60 * found["steps_per_second"]
    assert found["vocabulary_size"] == len(set(bottles))
    units, inputs, size = 4, configuration["model"]["embedding_size"], found["vocabulary_size"]
    weights = size * inputs + 3 * units * (inputs + units + 2) + size * (units + 1)
    assert found["parameters"] == weights
    assert found["memory_bytes"] > 4 * 4 * weights  # weights, gradients and two moments
    assert [entry.name for entry in Path("runs").iterdir()] == ["tiny"]


def test_a_dry_run_of_a_bad_text(here: Path, call: Call) -> None:
    Path("bad.txt").write_bytes(b"abc\xff")
    code, out, err = call("train", "bad.txt", *DRY)
    assert (code, out) == (2, "")
    assert "byte 3" in err


def test_a_folder_of_sorted_files_is_reported(tmp_path: Path, call: Call) -> None:
    folder, out = tmp_path / "sorted", tmp_path / "run"
    folder.mkdir()
    for letter in "abcdefghij":
        (folder / f"{letter}.txt").write_text(letter * 200)
    words = ["train", folder, "--out", out, "--steps", "2", "--hidden-size", "4", "--threads", "1"]
    code, stdout, err = call(*words, "--json")
    assert code == 0
    assert "differs" not in err
    code, stdout, err = call(*words, "--split", "end", "--out", tmp_path / "end", "--json")
    out = tmp_path / "end"
    assert code == 0
    (warning,) = [line for line in err.splitlines() if "differs from the training part" in line]
    assert "may be sorted" in warning
    assert json.loads(stdout)["validation_warning"] == warning
    assert "differs from the training part" in (out / "report.html").read_text()


WORDS_OF_A_POEM = ["the", "sea", "and", "night", "wind", "of", "a", "stone", "was", "cold"]


def test_the_end_compares_the_model_with_simple_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(tmp_path)
    draw = random.Random(1)
    words = (draw.choice(WORDS_OF_A_POEM) for _ in range(3_000))
    Path("poem.txt").write_text(" ".join(words), encoding="utf-8")
    code, out, err = call("train", "poem.txt", *SHORT, "--json")
    assert code == 0
    metrics = json.loads(out)
    simple = json.loads(call("baselines", "poem.txt", "--json")[1])["bits_per_character"]
    assert metrics["baselines"] == simple
    bits = metrics["validation"]["bits_per_character"]
    line = (
        f"validation: {bits:.2f} bits per character; "
        f"5-grams {simple['five_grams']:.2f}, xz {simple['xz']:.2f}"
    )
    assert line in err.splitlines()
    assert simple["five_grams"] < bits  # two steps learn nothing
    assert "5-grams predict this text better: train longer with: ricorda resume runs/poem" in err
    page = Path("runs", "poem", "report.html").read_text(encoding="utf-8")
    assert f"5-grams {simple['five_grams']:.3f}, the compressor xz {simple['xz']:.3f}" in page


def test_a_short_validation_part_is_not_compared(train: Callable[..., dict[str, Any]]) -> None:
    assert train("my.txt", *SHORT)["baselines"] is None


def test_the_resume_that_is_proposed_is_longer_than_the_run() -> None:
    metrics = {
        "run": "runs/a",
        "stopped_because": "minutes",
        "steps": 10,
        "train_seconds": 1800.0,
        "baselines": {"five_grams": 2.0, "xz": 2.5},
        "validation": {
            "nats_per_character": 2.08,
            "bits_per_character": 3.0,
            "bits_per_byte": 3.0,
            "perplexity": 8.0,
        },
    }
    lines = fit._result_lines(metrics)
    assert lines[2].endswith("ricorda resume runs/a --minutes 60")
    better = metrics | {"baselines": {"five_grams": 3.5, "xz": 4.0}}
    assert fit._result_lines(better)[0] == (
        "validation: 3.00 bits per character; 5-grams 3.50, xz 4.00"
    )
    assert not any("predict this text better" in line for line in fit._result_lines(better))
