"""`train --from`, `resume` that branches, and where `info` and `runs` say that a run comes from."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import ricorda
from ricorda.model import read_model_file, write_model_file

Call = Callable[..., tuple[int, str, str]]

NEW = "".join(f"{number} bottiglie di birra: è così\n" for number in range(60))
SMALL = ["--steps", "4", "--threads", "1", "--quiet"]


@pytest.fixture
def new(here: Path) -> Path:
    """A text with characters that the tiny model lacks."""
    (here / "new.txt").write_text(NEW)
    return Path("new.txt")


def test_a_run_starts_from_a_run_and_from_a_file(new: Path, call: Call) -> None:
    for model in ("runs/tiny", "runs/tiny/model.safetensors"):
        code, out, err = call("train", new, "--from", model, *SMALL, "--json")
        assert (code, err) == (0, "")
        run = Path(json.loads(out)["run"])
        config = json.loads((run / "config.json").read_text())
        assert config["start"]["model"] == str(Path(model).absolute())


@pytest.mark.parametrize(
    "words, message",
    [
        (["--from", "runs/missing"], "no model file at runs/missing"),
        (["--from", "new.txt"], "new.txt is not a ricorda model file"),
        (["--from", ""], "expected the name of a file or a folder, got an empty one"),
        (["--from", "runs/tiny", "--cell", "gru"], "--cell gru: runs/tiny has cifg"),
        (["--from", "runs/tiny", "--hidden-size", "9"], "--hidden-size 9: runs/tiny has 12"),
        (["--from", "runs/tiny", "--num-layers", "2"], "--num-layers 2: runs/tiny has 1"),
        (["--from", "runs/tiny", "--vocabulary", "words"], "--vocabulary words: runs/tiny has"),
        (["--from", "runs/tiny", "--forget-bias", "1"], "--forget-bias is for random weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["train", "dry run"])
def test_what_is_refused(
    new: Path, call: Call, words: list[str], message: str, dry: list[str]
) -> None:
    code, out, err = call("train", new, *words, *SMALL, *dry)
    assert (code, out) == (2, "")
    assert message in err
    assert err.strip().count("\n") == 0
    assert [path.name for path in Path("runs").iterdir()] == ["tiny"]


def test_a_file_of_options_may_name_the_model(new: Path, call: Call) -> None:
    Path("options.toml").write_text('from = "runs/tiny"\nsteps = 3\n')
    words = ["--config", "options.toml", "--threads", "1", "--quiet"]
    assert call("train", new, *words, "--out", "runs/tuned")[0] == 0
    code, _, err = call("train", new, "--config", "runs/tuned", "--quiet", "--out", "runs/again")
    assert (code, err) == (0, "")
    models = [
        read_model_file(Path("runs", name, "model.safetensors")) for name in ("tuned", "again")
    ]
    assert models[0].tensors.keys() == models[1].tensors.keys()
    for name, tensor in models[0].tensors.items():
        assert tensor.tobytes() == models[1].tensors[name].tobytes()
    # The model on the command line decides, whatever the run of the options had.
    words = ["--config", "runs/tuned", "--from", "runs/again", "--out", "runs/third", "--quiet"]
    assert call("train", new, *words)[0] == 0


def test_info_shows_where_a_model_comes_from(new: Path, call: Call, tiny: ricorda.Run) -> None:
    assert call("train", new, "--from", "runs/tiny", *SMALL)[0] == 0
    words = ["--learning-rate", "1e-4", "--steps", "6", "--quiet"]
    assert call("resume", "runs/new", *words) == (0, "", "")
    _, out, _ = call("info", "runs/new-branch")
    bits = tiny.metrics["validation"]["bits_per_character"]
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if line[0] != " ")
    assert lines["from"].startswith(f"tiny, {bits:.4f} bits per character on its own text, digest ")
    assert "branch of    new at step 4" in out
    found = json.loads(call("info", "runs/new-branch", "--json")[1])["training"]
    assert found["branch"] == {"run": "new", "step": 4}
    assert found["from"]["name"] == "tiny"


def test_info_bears_what_a_stranger_wrote(new: Path, call: Call) -> None:
    file = read_model_file(Path("runs/tiny/model.safetensors"))
    for origin in (
        {"from": 5, "branch": [1]},
        {"from": {"name": 7}, "branch": {"run": None}},
        {"from": {"name": "a\x1b[31mb", "digest": 5}, "branch": {"run": "a\nb", "step": "x"}},
    ):
        file.training.update(origin)
        write_model_file(Path("other.safetensors"), file)
        code, out, err = call("info", "other.safetensors")
        assert (code, err) == (0, "")
        assert "\x1b" not in out
        assert "a\nb" not in out


def test_runs_shows_where_runs_come_from(new: Path, call: Call) -> None:
    assert "origin" not in call("runs")[1]
    assert call("train", new, "--from", "runs/tiny", *SMALL)[0] == 0
    assert call("resume", "runs/new", "--dropout", "0.2", "--steps", "6", "--quiet")[0] == 0
    found = {row["run"]: row for row in json.loads(call("runs", "--json")[1])["runs"]}
    assert "from" not in found["runs/tiny"]
    assert found["runs/new"]["from"]["name"] == "tiny"
    assert found["runs/new-branch"]["branch"] == {"run": "new", "step": 4}
    _, out, _ = call("runs")
    assert "from tiny, branch of new at step 4" in " ".join(out.split())


def test_a_branch_says_where_it_is(new: Path, call: Call) -> None:
    words = ["--clip-norm", "0.5", "--steps", "44", "--out", "runs/other"]
    code, out, err = call("resume", "runs/tiny", *words)
    assert (code, out) == (0, "")
    assert "branch of runs/tiny at step 40: runs/other" in err
    assert "ricorda sample runs/other" in err
    code, _, err = call("resume", "runs/tiny", *words)
    assert code == 2
    assert "runs/other already holds a run" in err


def test_a_run_that_is_deleted_takes_its_start_along(new: Path, call: Call) -> None:
    assert call("train", new, "--from", "runs/tiny", *SMALL)[0] == 0
    assert call("runs", "--delete", "new", "--yes")[0] == 0
    assert not Path("runs/new").exists()
