"""Commands with a model of documents: sample, score, classify, evaluate."""

import csv
import io
import itertools
import json
import math
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.cli.documents import beginning
from ricorda.engine.sampling import log_softmax

Call = Callable[..., tuple[int, str, str]]
Start = Callable[..., "subprocess.Popen[bytes]"]
LABELS = {"Irish", "Italian"}


def alone(text: str, label: str | None = None) -> float:
    """The nats of a document and its end, by stepping the NumPy engine from zeros."""
    model = ricorda.load("runs/names", backend="numpy")
    boundary = model.vocabulary.size - 1
    ids = [boundary, *model.vocabulary.encode(text).tolist(), boundary]
    number = model.vocabulary.labels.index(label) + 1 if label else 0
    state = model.backend.zero_state(1)
    total = 0.0
    for current, following in itertools.pairwise(ids):
        logits, state = model.backend.step(np.array([current]), state, labels=np.array([number]))
        total -= float(log_softmax(logits)[0, following])
    return total


def json_lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.usefixtures("names_here")
def test_count_writes_a_document_a_line(call: Call) -> None:
    code, out, err = call("sample", "--count", "9", "--seed", "4")
    assert (code, err) == (0, "seed 4\n")
    model = ricorda.load("runs/names")
    expected = [model.begin(seed=4, stream_index=index).text() for index in range(9)]
    assert out.split("\n") == [*expected, ""]
    found = json_lines(call("sample", "--count", "9", "--seed", "4", "--json")[1])
    assert [each["text"] for each in found] == expected
    assert {(each["seed"], each["prompt"]) for each in found} == {(4, "")}
    assert {each["ended"] for each in found} == {"stop"}


@pytest.mark.usefixtures("names_here")
def test_unique_and_novel_texts(call: Call) -> None:
    known = set(Path("names.txt").read_text().split())
    options = ["sample", "--seed", "1", "--temperature", "0.8", "--count"]
    plain = call(*options, "900")[1].splitlines()
    assert known & set(plain)
    options.append("300")
    code, out, _ = call(*options, "--unique", "--novel")
    texts = out.splitlines()
    assert code == 0
    assert texts == [each for each in dict.fromkeys(plain) if each and each not in known][:300]
    assert len(texts) == 300
    assert not known & set(texts)
    code, out, _ = call(*options, "--novel", "--prompt", "an")
    assert len(out.splitlines()) == 300
    assert not known & set(out.splitlines())
    assert all(text.startswith("an") for text in out.splitlines())


@pytest.mark.usefixtures("names_here")
def test_too_few_texts_are_reported(call: Call) -> None:
    code, out, err = call("sample", "--greedy", "--count", "3", "--unique", "--seed", "1")
    assert (code, out.count("\n")) == (1, 1)
    assert "found 1 of 3 texts: the last 2,000 that were written were all written before" in err
    Path("runs/names/documents.index").unlink()
    code, out, err = call("sample", "--novel")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "documents.index" in err


@pytest.mark.usefixtures("names_here")
def test_labels(call: Call) -> None:
    code, out, err = call("sample", "--label", "Irish", "--count", "5", "--seed", "2")
    model = ricorda.load("runs/names")
    assert out.splitlines() == model.generate(label="Irish", count=5, seed=2)
    code, out, err = call("sample", "--label", "irsh")
    assert (code, out) == (2, "")
    assert err == "ricorda: the model has no label 'irsh': did you mean 'Irish'?\n"


def test_labels_and_new_documents_are_for_models_of_documents(here: Path, call: Call) -> None:
    for options, message in (
        (["sample", "--label", "Irish"], "the model has no labels"),
        (["sample", "--novel"], "ricorda memorised"),
        (["score", "runs/tiny", "my.txt", "--lines"], "learned one undivided text"),
        (["classify", "runs/tiny", "my.txt"], "the model has no labels"),
        (["evaluate", "runs/tiny", "my.txt", "--lines"], "learned an undivided text"),
    ):
        code, _, err = call(*options)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


@pytest.mark.usefixtures("names_here")
@pytest.mark.parametrize("form", ["lines", "json"])
def test_prompts_are_continued_as_each_alone(call: Call, form: str) -> None:
    prompts = ["an", "", "c", "an", "niall"] * 20
    if form == "lines":
        Path("prompts").write_text("\n".join(prompts) + "\n")
    else:
        rows = [{"prompt": each, "id": f"row {n}"} for n, each in enumerate(prompts)]
        Path("prompts").write_text("\n".join(map(json.dumps, rows)))
    code, out, err = call("sample", "--prompts", "prompts", "--seed", "3", "--json")
    assert (code, err) == (0, "seed 3\n")
    found = json_lines(out)
    model = ricorda.load("runs/names")
    assert [each["text"] for each in found] == [model.generate(each, seed=3) for each in prompts]
    assert [each["prompt"] for each in found] == prompts
    if form == "json":
        assert [each["id"] for each in found] == [f"row {n}" for n in range(len(prompts))]
    lines = call("sample", "--prompts", "prompts", "--seed", "3")[1].splitlines()
    assert lines == [each["prompt"] + each["text"] for each in found]


@pytest.mark.usefixtures("names_here")
def test_wrong_prompts(call: Call) -> None:
    Path("empty").touch()
    Path("mixed").write_text('{"prompt": "an"}\nniall\n')
    Path("latin").write_bytes(b"an\xff\n")
    Path("endless").write_text('{"prompt": "an", "id": [1e999]}\n')
    for options, message in (
        (["--prompts", "empty"], "empty is empty: expected one prompt per line"),
        (["--prompts", "mixed"], "line 2 of mixed: expected a JSON object"),
        (["--prompts", "latin"], "line 1 of latin"),
        (["--prompts", "endless"], "line 1 of endless: expected an id whose numbers are finite"),
        (["--prompts", "absent"], "cannot read absent"),
        (["--prompt-file", "runs"], "cannot read runs"),
        (["--prompts", "names.txt", "--prompt", "a"], "expected one of --prompt and --prompts"),
        (["--prompts", "names.txt", "--unique"], "--unique and --novel are for one prompt"),
        (["--raw", "--json"], "--raw writes the bytes of one text"),
        (["--length", "-1"], "--length"),
    ):
        code, _, err = call("sample", *options, "--seed", "1")
        assert code == 2
        assert message in err.splitlines()[-1]


@pytest.mark.usefixtures("names_here")
def test_a_file_is_a_prompt_and_raw_bytes_are_exact(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("prompt").write_text("ann")
    model = ricorda.load("runs/names")
    expected = "ann" + model.generate("ann", seed=6)
    for given, data in ((["--prompt-file", "prompt"], b""), (["--prompt-file", "-"], b"ann")):
        process = start("sample", *given, "--raw", "--seed", "6", stdin=subprocess.PIPE)
        out, err = process.communicate(data)
        assert (process.returncode, out) == (0, expected.encode())
        assert err == b"seed 6\n"


def test_raw_bytes_of_a_model_of_bytes(here: Path, start: Start) -> None:
    ricorda.train(
        "my.txt", vocabulary="bytes", steps=1, hidden_size=4, threads=1, quiet=True, out="bytes"
    )
    process = start("sample", "bytes", "--raw", "--seed", "1", "--length", "300")
    out, _ = process.communicate()
    pieces = ricorda.load("bytes").begin("", seed=1, length=300)
    assert out == b"".join(bytes(piece.ids) for piece in pieces)
    assert len(out) == 300


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_endless_text_continues_until_it_is_interrupted(here: Path, start: Start) -> None:
    process = start("sample", "runs/tiny", "--length", "inf", "--seed", "1")
    assert process.stdout is not None
    assert process.stderr is not None
    begun = process.stdout.read(20_000)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert len(begun) == 20_000
    closed = start("sample", "runs/tiny", "--length", "inf", "--seed", "1")
    assert closed.stdout is not None
    assert closed.stdout.read(20_000) == begun
    closed.stdout.close()
    closed.stdout = None
    _, err = closed.communicate()
    assert closed.returncode == 1
    assert b"Traceback" not in err


def test_several_endless_texts_are_refused(here: Path, call: Call) -> None:
    for options in (["--count", "2"], ["--json"], ["--prompts", "my.txt"]):
        code, _, err = call("sample", "runs/tiny", "--length", "inf", *options)
        assert (code, err.count("\n")) == (2, 1)
        assert "--length inf is for one text" in err


@pytest.mark.usefixtures("names_here")
def test_a_row_per_line(call: Call) -> None:
    Path("some.txt").write_text("anna\n\nXan\ncian\n")
    code, out, _ = call("score", "runs/names", "some.txt", "--lines", "--json")
    assert code == 0
    first, second, third = json_lines(out)
    assert first["nats"] == pytest.approx(alone("anna"), rel=1e-4)
    assert first["bits_per_character"] == pytest.approx(alone("anna") / 4 / math.log(2), rel=1e-4)
    assert (second["text"], second["characters"], second["unseen_characters"]) == ("Xan", 1, 1)
    assert second["unseen"] == [{"before": 0, "characters": "X"}]
    assert third["text"] == "cian"
    rows = list(
        csv.DictReader(io.StringIO(call("score", "runs/names", "some.txt", "--lines", "--csv")[1]))
    )
    assert [row["text"] for row in rows] == ["anna", "Xan", "cian"]
    assert float(rows[2]["nats"]) == third["nats"]
    code, out, _ = call("score", "runs/names", "some.txt", "--lines")
    assert "(1 never seen)" in out.splitlines()[2]


@pytest.mark.usefixtures("names_here")
@pytest.mark.parametrize("sort, key", [("bits", "bits_per_character"), ("nats", "nats")])
def test_sorted_rows(call: Call, sort: str, key: str) -> None:
    Path("some.txt").write_text(Path("names.txt").read_text() + "XX\n")
    words = ["score", "runs/names", "some.txt", "--lines", "--json", "--sort", sort]
    down = json_lines(call(*words)[1])
    figures = [row[key] for row in down[:-1]]
    assert figures == sorted(figures, reverse=True)
    up = json_lines(call(*words, "--ascending")[1])
    assert [row[key] for row in up[:-1]] == figures[::-1]
    assert down[-1]["text"] == up[-1]["text"] == "XX"  # no figure: not ranked


@pytest.mark.usefixtures("names_here")
def test_rows_of_a_table_and_under_each_label(call: Call) -> None:
    Path("table.csv").write_text("who,note\nanna,1\ncian,2\n")
    code, out, _ = call(
        "score", "runs/names", "table.csv", "--field", "who", "--json", "--by-label"
    )
    assert code == 0
    rows = json_lines(out)
    assert [(row["text"], row["label"]) for row in rows] == [
        (text, label) for text in ("anna", "cian") for label in ("Irish", "Italian")
    ]
    for row in rows:
        assert row["nats"] == pytest.approx(alone(row["text"], row["label"]), rel=1e-4)
    own = json_lines(
        call("score", "runs/names", "table.csv", "--field", "1", "--label", "Irish", "--json")[1]
    )
    assert [row["nats"] for row in own] == [row["nats"] for row in rows[::2]]


@pytest.mark.usefixtures("names_here")
def test_a_single_document_is_scored_symbol_by_symbol(call: Call) -> None:
    Path("one.txt").write_text("anna\n")
    code, out, _ = call("score", "runs/names", "one.txt", "--json")
    found = json.loads(out)
    assert found["symbols"] == ["a", "n", "n", "a", "◇"]
    assert sum(found["nats"]) == pytest.approx(alone("anna"), rel=1e-4)
    assert found["characters"] == 4
    assert call("score", "runs/names", "one.txt", "--html", "page.html")[0] == 0
    Path("empty.txt").touch()
    for command in (["score"], ["evaluate"]):
        code, _, err = call(*command, "runs/names", "empty.txt")
        assert (code, err.count("\n")) == (2, 1)


@pytest.mark.usefixtures("names_here")
def test_unseen_characters_of_documents_are_counted_and_shown(call: Call) -> None:
    Path("odd.txt").write_text("anna\nan☃na\nanna☃\n")
    code, out, err = call("evaluate", "runs/names", "odd.txt", "--lines", "--json")
    assert code == 0
    assert "left out 2 characters" in err
    found = json.loads(out)
    assert found["unseen"] == [
        {"document": 2, "before": 2, "characters": "☃"},
        {"document": 3, "before": 4, "characters": "☃"},
    ]
    # The character after the first, and the end after the second, which is no character.
    assert (found["unseen_characters"], found["left_out"], found["characters"]) == (2, 1, 11)
    shown = call("evaluate", "runs/names", "odd.txt", "--lines")[1]
    assert "positions: after symbol 2 of document 2 '☃', after symbol 4 of document 3" in " ".join(
        shown.split()
    )
    rows = json_lines(call("score", "runs/names", "odd.txt", "--lines", "--json")[1])
    assert found["nats_per_character"] == pytest.approx(sum(row["nats"] for row in rows) / 11)
    Path("odd.txt").write_text("an☃na")
    single = json.loads(call("score", "runs/names", "odd.txt", "--json")[1])
    assert [nats is None for nats in single["nats"]] == [False, False, True, False, False]
    assert call("score", "runs/names", "odd.txt", "--html", "page.html")[0] == 0
    assert "☃" in Path("page.html").read_text("utf-8")
    assert "☃" in call("sample", "runs/names", "--prompt", "an☃", "--seed", "1")[2]


@pytest.mark.usefixtures("names_here")
@pytest.mark.parametrize(
    "options, message",
    [
        (["--sort", "bits"], "--sort is for rows"),
        (["--csv"], "--csv is for rows"),
        (["--lines", "--ascending"], "--ascending is for sorted rows"),
        (["--lines", "--field", "1"], "expected one of --lines and --field"),
        (["--lines", "--csv", "--json"], "expected one of --csv and --json"),
        (["--lines", "--html", "a.html"], "--html shows one text"),
        (["--label", "a", "--by-label"], "expected one of --label and --by-label"),
    ],
)
def test_options_of_rows_that_contradict(call: Call, options: list[str], message: str) -> None:
    code, out, err = call("score", "runs/names", "names.txt", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.usefixtures("names_here")
def test_the_label_of_each_document(call: Call) -> None:
    code, out, _ = call("classify", "runs/names", "names.txt", "--json", "--top", "2")
    assert code == 0
    rows = json_lines(out)
    for row, name in zip(rows, Path("names.txt").read_text().split(), strict=True):
        joint = {"Irish": 3, "Italian": 4}  # how many of the names have each label
        counts = dict(zip(LABELS, (0, 0), strict=True)) | joint
        training = ricorda.load("runs/names").training["label_counts"]
        shares = dict(zip(("Irish", "Italian"), training, strict=True))
        assert set(counts) == LABELS
        odds = {label: math.exp(-alone(name, label)) * shares[label] for label in LABELS}
        total = sum(odds.values())
        assert row["text"] == name
        for label in LABELS:
            assert row["labels"][label] == pytest.approx(odds[label] / total, rel=1e-3)
        assert row["label"] == max(odds, key=lambda each: odds[each])
        assert row["probability"] == max(row["labels"].values())
    code, out, _ = call("classify", "runs/names", "--text", "anna", "--text", "Xcian", "--csv")
    assert [row["unseen_characters"] for row in csv.DictReader(io.StringIO(out))] == ["0", "1"]
    assert call("classify", "runs/names", "--text", "anna")[1].count(", ") == 1
    for words, message in [
        ([], "expected texts to classify, got none"),
        (["--text", "anna", "--lines"], "--text gives a document directly"),
        (["--text", "anna", "--encoding", "latin-1"], "--text gives a document directly"),
        (["--text", "anna", "names.txt"], "--text gives a document directly"),
    ]:
        code, _, err = call("classify", "runs/names", *words)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


@pytest.mark.usefixtures("names_here")
def test_evaluation_does_not_depend_on_the_order_of_files(call: Call) -> None:
    names = Path("names.txt").read_text().split() * 3
    random.Random(1).shuffle(names)
    Path("Irish.txt").write_text("\n".join(names[:11]))
    Path("Italian.txt").write_text("\n".join(names[11:]))
    one = call("evaluate", "runs/names", "Irish.txt", "Italian.txt", "--json")
    other = call("evaluate", "runs/names", "Italian.txt", "Irish.txt", "--json")
    assert one == other
    found = json.loads(one[1])
    total = sum(alone(name, "Irish") for name in names[:11])
    total += sum(alone(name, "Italian") for name in names[11:])
    characters = sum(map(len, names))
    assert found["nats_per_character"] == pytest.approx(total / characters, rel=1e-4)
    assert (found["documents"], found["characters"]) == (len(names), characters)
    labels = [ricorda.load("runs/names").classify(name).label for name in names]
    right = sum(label == "Irish" for label in labels[:11])
    right += sum(label == "Italian" for label in labels[11:])
    assert found["classification"]["accuracy"] == pytest.approx(right / len(names))
    Path("Greek.txt").write_text("anna\n")
    code, out, err = call("evaluate", "runs/names", "Greek.txt")
    assert code == 0
    assert "1 documents without their label, which the model does not have: 'Greek'" in err
    assert "accuracy" not in out


@pytest.mark.parametrize(
    "width, shown",
    [
        (63, "one two three four five six seven eight nine ten"),
        (62, "one two three four five six seven eight nine…"),
        (40, "one two three four five…"),
        (10, "one two…"),
    ],
)
def test_the_beginning_of_a_document_fits_beside_its_figures(
    monkeypatch: pytest.MonkeyPatch, width: int, shown: str
) -> None:
    monkeypatch.setattr("ricorda.cli.documents.terminal_width", lambda: width)
    text = "one two three four five\nsix seven eight nine ten"
    assert beginning(text, "  2.53   10.42 ") == shown
