"""`--log` with the real TensorBoard, Weights & Biases and MLflow: `make dashboards`.

Each test is skipped where its package is not installed. Runs are killed by SIGKILL.
"""

import json
import os
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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


def read_events(folder: Path) -> Any:
    """Read the event files of a folder with TensorBoard's own reader."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = accumulators.EventAccumulator(
        str(folder), {"tensors": 0, "scalars": 0, "histograms": 0}
    )
    return accumulator.Reload()


def scalars(accumulator: Any, tag: str) -> dict[int, float]:
    """The values by step, each of which must be there once."""
    events = accumulator.Scalars(tag)
    found = {event.step: event.value for event in events}
    assert [event.step for event in events] == sorted(found)
    return found


def texts(accumulator: Any, tag: str) -> dict[int, str]:
    events = accumulator.Tensors(tag)
    found = {event.step: event.tensor_proto.string_val[0].decode() for event in events}
    assert [event.step for event in events] == sorted(found)
    return found


def test_tensorboard_reads_each_step_once() -> None:
    pytest.importorskip("tensorboard")
    folder = kill_and_resume("tensorboard")
    events = read_events(folder)
    for event, tag in (("training", "training"), ("evaluation", "validation")):
        expected = figures(folder, event, "nats_per_character")
        read = in_nats(scalars(events, f"bits_per_character/{tag}"))
        assert read == pytest.approx(expected, rel=1e-5)
    for name in ("learning_rate", "gradient_norm"):
        expected = figures(folder, "training", name)
        assert scalars(events, name) == pytest.approx(expected, rel=1e-5)
    assert list(scalars(events, "characters_per_second")) == list(range(1, STEPS + 1))
    evaluated = list(figures(folder, "evaluation", "seconds"))
    histograms = events.Histograms("weights/output.weight")
    assert [each.step for each in histograms] == evaluated
    model = ricorda.load(folder)
    assert {sum(each.histogram_value.bucket) for each in histograms} == {
        model.configuration.vocabulary_size * 8
    }
    assert list(scalars(events, "weight_norm/output.weight")) == evaluated
    written = {row["step"]: row["text"] for row in read_rows(folder / "samples.jsonl")}
    samples = texts(events, "sample")
    assert {
        step: "\n".join(line[4:] for line in text.split("\n")) for step, text in samples.items()
    } == written
    assert "| hidden_size | 8 |" in texts(events, "settings")[0]
    assert list(scalars(events, "final/validation")) == [STEPS]
    assert events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    names = [path.name for path in RunFolder(folder).events]
    assert names == ["events.out.tfevents.0000000002.ricorda"]
    assert delete_run(RunFolder(folder)) == []


def test_a_histogram_counts_all_values(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from ricorda.training.report.dashboards.tensorboard import TensorBoard

    values = np.array([[-1.0, 0.0, 0.5], [0.5, 0.5, 2.0]], np.float32)
    board = TensorBoard()
    board.began(tmp_path, {}, 0)
    board.weighed(1, {"w": values, "same": np.ones(4, np.float32)})
    board.finished()
    events = read_events(tmp_path)
    found = events.Histograms("weights/w")[0].histogram_value
    assert (found.min, found.max, found.num, found.sum) == (-1.0, 2.0, 6.0, 2.5)
    assert found.sum_squares == pytest.approx((values.astype(float) ** 2).sum())
    for limit, count in zip(found.bucket_limit, np.cumsum(found.bucket), strict=True):
        below = values < limit if limit < 2.0 else values <= limit
        assert count == pytest.approx(below.sum())
    assert scalars(events, "weight_norm/w")[1] == pytest.approx(np.linalg.norm(values))
    assert sum(events.Histograms("weights/same")[0].histogram_value.bucket) == 4


def test_the_steps_after_a_return_or_a_kill_are_dropped(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from ricorda.training.report.dashboards.tensorboard import TensorBoard

    def rates(*rows: tuple[int, float]) -> None:
        for step, rate in rows:
            board.logged({"step": step, "event": "training", "learning_rate": rate})

    board = TensorBoard()
    board.began(tmp_path, {"cell": "lstm"}, 0)
    rates((1, 5.0), (2, 6.0), (3, 7.0))
    board.logged({"step": 1, "event": "returned", "from_step": 3})
    rates((2, 8.0), (3, 9.0))
    assert scalars(read_events(tmp_path), "learning_rate") == {1: 5.0, 2: 8.0, 3: 9.0}
    board.finished()
    (file,) = RunFolder(tmp_path).events
    file.write_bytes(file.read_bytes()[:-3])  # an event that the kill has cut off
    board = TensorBoard()
    board.began(tmp_path, {"cell": "lstm"}, 2)
    rates((3, 1.0))
    board.finished()
    events = read_events(tmp_path)
    assert scalars(events, "learning_rate") == {1: 5.0, 2: 8.0, 3: 1.0}
    assert "lstm" in texts(events, "settings")[0]
    assert len(RunFolder(tmp_path).events) == 1
    board = TensorBoard()
    board.began(tmp_path, {"cell": "gru"}, 0)  # no checkpoint was there: everything comes again
    board.finished()
    events = read_events(tmp_path)
    assert "gru" in texts(events, "settings")[0]
    assert events.Tags()["scalars"] == []


def test_tensorboard_needs_neither_torch_nor_tensorflow() -> None:
    pytest.importorskip("tensorboard")
    program = (
        "import sys, ricorda\n"
        "ricorda.train('my.txt', steps=3, hidden_size=8, log='tensorboard', quiet=True)\n"
        "assert not {'torch', 'tensorflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_wandb_writes_the_whole_run_offline_under_one_id() -> None:
    wandb = pytest.importorskip("wandb")
    folder = kill_and_resume("wandb")
    wandb.teardown()  # as at the end of a process: its own process writes the last block
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

    rows = []
    for content in logged_records(path.read_bytes()):
        record = Record.FromString(content)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append(
                {
                    "/".join(item.nested_key) or item.key: json.loads(item.value_json)
                    for item in items
                }
            )
    return rows


def logged_records(log: bytes) -> Iterator[bytes]:
    """The records of LevelDB's log format, in blocks of 32 KiB, after 7 bytes of wandb's own."""
    assert log[:4] == b":W&B"
    place, whole = 7, b""
    while place + 7 <= len(log):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", log, place + 4)
        whole += log[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


@pytest.mark.filterwarnings("ignore")  # MLflow's packages warn about each other
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
