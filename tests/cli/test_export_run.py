"""`ricorda export-run`: the rows of a run as a table."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ricorda.runs import RunFolder, read_rows
from ricorda.training.report.run_tables import table_of

Call = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("here")


def rows(name: str) -> list[dict[str, object]]:
    return list(read_rows(Path("runs/tiny") / name))


def test_metrics_as_csv(call: Call) -> None:
    assert call("export-run", "runs/tiny", "--csv", "metrics.csv") == (0, "", "")
    read = list(csv.DictReader(Path("metrics.csv").read_text().splitlines()))
    written = rows("metrics.jsonl")
    assert list(read[0])[:4] == ["step", "event", "seconds", "characters_seen"]
    assert [row["event"] for row in read] == [row["event"] for row in written]
    for found, row in zip(read, written, strict=True):
        if row["event"] == "training":
            assert float(found["learning_rate"]) == row["learning_rate"]
            assert found["validation.nats_per_character"] == ""
    assert float(read[-1]["validation.nats_per_character"]) > 0


def test_samples_on_standard_output(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    from ricorda.cli.main import main

    assert main(["export-run", "--table", "samples", "--csv", "-"]) == 0
    text = capsysbinary.readouterr().out.decode()
    read = list(csv.DictReader(io.StringIO(text)))
    assert read == [
        {"step": str(row["step"]), "text": row["text"]} for row in rows("samples.jsonl")
    ]
    assert main(["export-run", "--table", "samples", "--jsonl", "-"]) == 0
    lines = capsysbinary.readouterr().out.decode().splitlines()
    assert list(map(json.loads, lines)) == rows("samples.jsonl")


def test_metrics_as_parquet(call: Call) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert call("export-run", "--parquet", "metrics.parquet")[0] == 0
    table = parquet.read_table("metrics.parquet")
    assert table.to_pylist() == table_of(RunFolder(Path("runs/tiny")), "metrics")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["step"], kinds["learning_rate"], kinds["event"]) == ("int64", "double", "string")


def test_a_run_that_is_still_training_is_exported(call: Call) -> None:
    path = Path("runs/tiny/metrics.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:10])  # a row that is being written
    assert call("export-run", "--jsonl", "out.jsonl")[0] == 0
    assert len(Path("out.jsonl").read_text().splitlines()) == 3


def test_a_run_without_rows_has_a_header_alone(call: Call) -> None:
    Path("runs/tiny/metrics.jsonl").unlink()
    assert call("export-run", "--csv", "out.csv")[0] == 0
    assert Path("out.csv").read_text() == "step\n"


def test_lists_and_mixed_columns_have_one_type() -> None:
    run = RunFolder(Path("mixed"))
    run.path.mkdir()
    run.metrics.write_text(
        '{"step": 1, "event": "branched", "changes": {"dropout": 0.1}, "label": "a"}\n'
        '{"step": 2, "event": "ended", "counts": [1, 2], "label": 3}\n'
    )
    assert table_of(run, "metrics") == [
        {"step": 1, "event": "branched", "changes.dropout": 0.1, "label": "a", "counts": None},
        {"step": 2, "event": "ended", "changes.dropout": None, "label": 3, "counts": "[1, 2]"},
    ]


WRONG: list[tuple[list[str], int, str]] = [
    ([], 2, "expected one of --csv, --parquet, --jsonl with a file, got 0"),
    (["--csv", "a", "--jsonl", "b"], 2, "got 2"),
    (["none", "--csv", "a"], 2, "found none at none"),
    (["--csv", "none/a"], 2, "cannot write none/a"),
    (["--csv", "a", "--table", "others"], 2, "others"),
]


@pytest.mark.parametrize("words, code, message", WRONG)
def test_wrong_arguments_are_one_line(
    call: Call, words: list[str], code: int, message: str
) -> None:
    found, out, err = call("export-run", *words)
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


def test_parquet_without_pyarrow_says_what_to_install(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    code, _, err = call("export-run", "--parquet", "out.parquet")
    assert code == 1
    assert "pip install 'ricorda[parquet]'" in err
