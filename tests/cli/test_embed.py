"""`ricorda embed`: JSON lines, arrays, tables."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.engine.embedding import Vector

Call = Callable[..., tuple[int, str, str]]


def as_vectors(numbers: Any) -> Vector:
    """Numbers as a command wrote them."""
    return np.array(numbers, np.float32)


def names() -> list[str]:
    return Path("names.txt").read_text().split()


def test_json_lines_are_printed(names_here: Path, call: Call) -> None:
    code, out, err = call("embed", "runs/names", "--lines", "names.txt")
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == names()
    assert [row["document"] for row in rows] == list(range(1, len(rows) + 1))
    expected = ricorda.load("runs/names").embed(names())
    np.testing.assert_array_equal(as_vectors([row["vector"] for row in rows]), expected)
    assert "label" not in rows[0]


@pytest.mark.parametrize(
    "options, arguments",
    [
        ([], {}),
        (["--vector", "state", "--normalize"], {"vector": "state", "normalize": True}),
        (["--vector", "layers"], {"vector": "layers"}),
    ],
)
def test_files_hold_the_same(
    names_here: Path, call: Call, options: list[str], arguments: dict[str, object]
) -> None:
    expected = ricorda.load("runs/names").embed(names(), **arguments)  # type: ignore[arg-type]
    for name in ("v.npy", "v.csv", "v.jsonl", "V.NPY"):
        code, out, err = call(
            "embed", "runs/names", "names.txt", "--lines", "--out", name, *options
        )
        assert (code, out) == (0, "")
        assert err == f"wrote {name}: {len(names())} vectors of {expected.shape[1]} numbers\n"
    found = np.load("v.npy")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    assert Path("v.npy").read_bytes() == Path("V.NPY").read_bytes()
    heading, *rows = list(csv.reader(Path("v.csv").read_text().splitlines()))
    assert heading == ["document", "label", "text", *map(str, range(expected.shape[1]))]
    assert [row[2] for row in rows] == names()
    np.testing.assert_array_equal(as_vectors([row[3:] for row in rows]), expected)
    lines = [json.loads(line) for line in Path("v.jsonl").read_text().splitlines()]
    np.testing.assert_array_equal(as_vectors([line["vector"] for line in lines]), expected)


def test_labels_are_printed_and_read_only_where_asked(names_here: Path, call: Call) -> None:
    Path("table.csv").write_text("kind,name\nIrish,aine\nRoman,dino\n,anna\n")
    table = ["embed", "runs/names", "table.csv", "--field", "name"]
    code, out, err = call(*table, "--label-field", "kind")
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row.get("label") for row in rows] == ["Irish", "Roman", None]
    model = ricorda.load("runs/names")
    plain = model.embed(["aine", "dino", "anna"])
    np.testing.assert_array_equal(as_vectors([row["vector"] for row in rows]), plain)
    code, out, _ = call(*table, "--label", "Irish")
    labelled = model.embed([(name, "Irish") for name in ("aine", "dino", "anna")])
    vectors = as_vectors([json.loads(line)["vector"] for line in out.splitlines()])
    np.testing.assert_array_equal(vectors, labelled)
    assert np.abs(vectors - plain).max() > 0
    code, _, err = call(*table, "--label", "Roman")
    assert (code, err.count("\n")) == (2, 1)
    assert "no label 'Roman'" in err


def test_an_undivided_model_embeds_lines_or_files(here: Path, call: Call) -> None:
    Path("short.txt").write_text("5 bottles\n\n7 béers\n")
    model = ricorda.load("runs/tiny")
    code, out, err = call("embed", "runs/tiny", "short.txt", "--lines")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert err == "left out 1 character that the model never saw\n"
    assert [row["text"] for row in rows] == ["5 bottles", "7 béers"]
    assert rows[1]["unseen"] == [{"before": 3, "characters": "é"}]
    np.testing.assert_array_equal(
        as_vectors([row["vector"] for row in rows]), model.embed(["5 bottles", "7 bers"])
    )
    code, out, _ = call("embed", "runs/tiny", "short.txt", "my.txt")
    whole = [json.loads(line) for line in out.splitlines()]
    assert len(whole) == 2
    np.testing.assert_array_equal(
        as_vectors(whole[1]["vector"]), model.embed(Path("my.txt").read_text())[0]
    )


def test_what_cannot_be_written_is_refused(names_here: Path, call: Call) -> None:
    Path("folder.npy").mkdir()
    Path("list.csv").write_text("anna\n")
    before = sorted(each.name for each in Path().iterdir())
    for out, message in [
        ("v.txt", "--out must end with .npy, .csv, .jsonl, got v.txt"),
        ("vectors", "--out must end with"),
        ("folder.npy", "found a folder"),
        ("none/v.npy", "no folder none to write to: make it first"),
        ("list.csv", "give the output another name"),
    ]:
        code, printed, err = call("embed", "runs/names", "list.csv", "--lines", "--out", out)
        assert (code, printed, err.count("\n")) == (2, "", 1), out
        assert message in err
    for texts in (".", "*.csv"):  # where the file is found
        code, printed, err = call("embed", "runs/names", texts, "--lines", "--out", "list.csv")
        assert (code, printed) == (2, "")
        assert "list.csv is one of the input files: give the output another name" in err
    assert sorted(each.name for each in Path().iterdir()) == before
    assert Path("list.csv").read_text() == "anna\n"


def test_nothing_is_left_of_a_file_whose_text_cannot_be_read(names_here: Path, call: Call) -> None:
    Path("broken.txt").write_bytes(b"anna\n" * 50_000 + b"\xff\n")
    Path("v.npy").write_bytes(b"old")
    code, _, err = call("embed", "runs/names", "broken.txt", "--lines", "--out", "v.npy")
    assert (code, err.count("\n")) == (2, 1)
    assert Path("v.npy").read_bytes() == b"old"
    assert not list(Path().glob(".ricorda*"))
