"""`--log` with the real TensorBoard, Weights & Biases and MLflow: `make dashboards`.

Each test is skipped where its package is not installed. Runs are killed by SIGKILL.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.runs import RunFolder, read_rows
from ricorda.training.checkpoint.deletion import delete_run

STEPS = 60
KILLED = 47
PROGRAM = f"""
import signal, sys, ricorda
from tests.training.reporters import InterruptAt
ricorda.train("my.txt", steps={STEPS}, hidden_size=8, batch_size=4, window=8, threads=1, seed=3,
              log=sys.argv[1], out="runs/my",
              reporter=InterruptAt({KILLED}, number=signal.SIGKILL))
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my.txt").write_text("one line of a song\n" * 60)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def kill_and_resume(log: str) -> Path:
    """Train in a process that is killed, then resume here."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, log],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    run = ricorda.resume("runs/my", quiet=True)
    assert run.metrics["steps"] == STEPS
    return run.folder


def figures(folder: Path, event: str, name: str) -> dict[int, float]:
    """The figures of metrics.jsonl by step."""
    rows = read_rows(folder / "metrics.jsonl")
    return {row["step"]: row[name] for row in rows if row["event"] == event}


def in_nats(points: dict[int, float]) -> dict[int, float]:
    return {step: bits * 0.6931471805599453 for step, bits in points.items()}


def test_tensorboard_reads_each_step_once() -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = kill_and_resume("tensorboard")
    files = RunFolder(folder).events
    assert [path.name for path in files] == [
        f"events.out.tfevents.000000000{number}.ricorda" for number in (1, 2)
    ]
    accumulator = accumulators.EventAccumulator(
        str(folder), {"tensors": 0, "scalars": 0, "histograms": 0}
    )
    accumulator.Reload()
    from tensorboard.util.tensor_util import make_ndarray

    def tensors(tag: str) -> dict[int, Any]:
        events = accumulator.Tensors(tag)
        steps = [event.step for event in events]
        assert steps == sorted(set(steps)), tag
        return {event.step: make_ndarray(event.tensor_proto) for event in events}

    tags = accumulator.Tags()["tensors"]
    found = {tag: tensors(tag) for tag in tags}
    scalars = {tag: {s: float(v) for s, v in at.items() if not v.shape} for tag, at in found.items()}
    expected = figures(folder, "training", "nats_per_character")
    assert in_nats(scalars["bits_per_character/training"]) == pytest.approx(expected, rel=1e-5)
    expected = figures(folder, "evaluation", "nats_per_character")
    assert in_nats(scalars["bits_per_character/validation"]) == pytest.approx(expected, rel=1e-5)
    for name in ("learning_rate", "gradient_norm", "characters_per_second"):
        expected = figures(folder, "training", name)
        assert scalars[name] == pytest.approx(expected, rel=1e-5)
    evaluated = list(figures(folder, "evaluation", "seconds"))
    histogram = found["weights/output.weight"]
    assert list(histogram) == evaluated
    assert {each.shape for each in histogram.values()} == {(30, 3)}
    size = {round(each[:, 2].sum()) for each in histogram.values()}
    assert size == {ricorda.load(folder).configuration.vocabulary_size * 8}
    assert list(scalars["weight_norm/output.weight"]) == evaluated
    samples = {step: text[()].decode() for step, text in found["sample"].items()}
    assert {
        step: "\n".join(line[4:] for line in text.split("\n")) for step, text in samples.items()
    } == {row["step"]: row["text"] for row in read_rows(folder / "samples.jsonl")}
    assert "| hidden_size | 8 |" in found["settings"][0][()].decode()
    assert list(scalars["final/validation"]) == [STEPS]
    assert set(accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    assert delete_run(RunFolder(folder)) == []


def test_tensorboard_drops_the_steps_after_a_return(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from ricorda.training.report.dashboards.tensorboard import TensorBoard

    board = TensorBoard()
    board.began(tmp_path, {"cell": "lstm"}, 0)
    for row in ((1, 5.0), (2, 6.0), (3, 7.0)):
        board.logged({"step": row[0], "event": "training", "learning_rate": row[1]})
    board.logged({"step": 1, "event": "returned", "from_step": 3})
    board.logged({"step": 2, "event": "training", "learning_rate": 8.0})
    board.close()
    accumulator = accumulators.EventAccumulator(str(tmp_path), {"tensors": 0})
    accumulator.Reload()
    events = accumulator.Tensors("learning_rate")
    assert [(each.step, each.tensor_proto.float_val[0]) for each in events] == [(1, 5.0), (2, 8.0)]


def test_tensorboard_needs_neither_torch_nor_tensorflow() -> None:
    pytest.importorskip("tensorboard")
    program = (
        "import sys, ricorda\n"
        "ricorda.train('my.txt', steps=3, hidden_size=8, log='tensorboard', quiet=True)\n"
        "assert not {'torch', 'tensorflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_wandb_writes_the_whole_run_offline_under_one_id() -> None:
    pytest.importorskip("wandb")
    folder = kill_and_resume("wandb")
    sessions = sorted((folder / "wandb").glob("offline-run-*"))
    assert len(sessions) == 2
    identifier = json.loads((folder / "dashboards.json").read_text())["wandb"]
    assert {path.name.rsplit("-", 1)[1] for path in sessions} == {identifier}
    newest = (folder / "wandb" / "latest-run").resolve()
    (recorded,) = newest.glob("run-*.wandb")
    rows = history(recorded)
    seen = Counter((name, int(row["_step"])) for row in rows for name in row)
    assert set(seen.values()) == {1}
    trained = {
        int(row["_step"]): row["bits_per_character/training"]
        for row in rows
        if "bits_per_character/training" in row
    }
    expected = figures(folder, "training", "nats_per_character")
    assert in_nats(trained) == pytest.approx(expected)
    samples = {int(row["_step"]): row["sample"] for row in rows if "sample" in row}
    assert samples == {row["step"]: row["text"] for row in read_rows(folder / "samples.jsonl")}


def history(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that `wandb sync` would upload."""
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    store = DataStore()
    store.open_for_scan(str(path))
    rows = []
    while content := store.scan_data():
        record = Record()
        record.ParseFromString(content)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append(
                {
                    "/".join(item.nested_key) or item.key: json.loads(item.value_json)
                    for item in items
                }
            )
    return rows


def test_mlflow_has_one_run_with_each_step_once() -> None:
    mlflow = pytest.importorskip("mlflow")
    folder = kill_and_resume("mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder.parent.absolute() / 'mlflow.db'}")
    (experiment,) = [each for each in client.search_experiments() if each.name == "ricorda"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("my", "FINISHED")
    assert run.data.params["hidden_size"] == "8"
    trained = client.get_metric_history(run.info.run_id, "bits_per_character/training")
    assert len({each.step for each in trained}) == len(trained)
    points = {each.step: each.value for each in trained}
    assert in_nats(points) == pytest.approx(figures(folder, "training", "nats_per_character"))
    files = client.list_artifacts(run.info.run_id, "samples")
    rows = list(read_rows(folder / "samples.jsonl"))
    assert [each.path for each in files] == [f"samples/{row['step']:09}.txt" for row in rows]
