"""Training on documents, from files to figures, samples and resumes."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.engine import make_backend
from ricorda.errors import ConfigurationError
from ricorda.model import read_model_file
from ricorda.runs import read_rows
from ricorda.text import Part
from ricorda.training import Run
from ricorda.training import run as runs
from ricorda.training.evaluation import LARGEST, QuickEvaluation
from ricorda.training.kernel_learner import KernelLearner
from tests.training.learners import settings
from tests.training.reporters import InterruptAt, Recorder

SMALL: dict[str, Any] = {"hidden_size": 24, "threads": 1, "precision": "float32"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def learn(*texts: str, **options: Any) -> tuple[Run, list[str]]:
    reporter = Recorder()
    return runs.new_run(*texts, reporter=reporter, **(SMALL | options)), reporter.lines


def files(folder: str, texts: dict[str, str]) -> str:
    for name, text in texts.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def nats_of(run: Run, document: str, before: Sequence[str] = ()) -> np.ndarray[Any, Any]:
    """The surprisals of a document's symbols and its end, after others in one stream."""
    file = read_model_file(run.folder / "model.safetensors")
    boundary = file.vocabulary.boundary
    assert boundary is not None
    ids = [boundary]
    for each in (*before, document):
        ids += [*file.vocabulary.encode(each).tolist(), boundary]
    backend = make_backend(file.configuration, file.tensors)
    stream = np.array([ids], np.uint32)
    scored, _ = backend.score(stream[:, :-1], stream[:, 1:], backend.zero_state(1))
    return np.asarray(scored.nats[0, -len(document) - 1 :])


def test_documents_that_repeat_their_own_number() -> None:
    texts = {f"{number:03}.txt": f"{number:03} " * 20 for number in range(200)}
    run, lines = learn(files("numbers", texts), steps=900, batch_size=16, window=64, cell="lstm")
    assert any("in 180 documents" in line for line in lines)
    assert any("held back: 20 of 200 documents, drawn at random" in line for line in lines)
    # The number itself costs log(200) or so, its repetitions hardly anything.
    found = run.metrics["validation"]["nats_per_character"]
    assert found < 0.3
    document = texts["123.txt"]
    alone = nats_of(run, document)
    after = nats_of(run, document, before=[texts["045.txt"], texts["077.txt"]])
    np.testing.assert_array_equal(alone, after)
    samples = [row["text"] for row in read_rows(run.folder / "samples.jsonl")]
    first, *_ = samples[-1].split("\n")
    assert len(set(first.split())) <= 2  # a document repeats one number, and is cut off at the most


def test_ten_files_of_one_letter_each() -> None:
    """Sorted files, and still each letter is learned and validated."""
    texts = {f"{letter}.txt": letter * 4000 for letter in "abcdefghij"}
    run, lines = learn(files("letters", texts), steps=150)
    assert "held back: 20 blocks of about 200 symbols, spread evenly over the text" in lines
    assert not any("differs from the training part" in line for line in lines)
    assert not any("far above" in line for line in lines)
    rows = list(read_rows(run.folder / "metrics.jsonl"))
    training = [row["nats_per_character"] for row in rows if row["event"] == "training"][-1]
    validation = run.metrics["validation"]["nats_per_character"]
    # Each document has a first letter, one of ten, and an end that comes at any time.
    per_document = 2 * math.log(10) + math.log(4000)
    assert abs(validation - training) < per_document / 400
    assert validation < 0.1


def test_a_sorted_text_held_back_at_its_end_is_reported() -> None:
    texts = {f"{letter}.txt": letter * 4000 for letter in "abcdefghij"}
    _, lines = learn(files("letters", texts), steps=40, split="end", epochs=None)
    assert any("--split blocks" in line for line in lines)


def test_a_validation_loss_far_above_from_the_beginning_is_reported() -> None:
    """The same letters in another order, which their frequencies do not show."""
    Path("halves.txt").write_text("ab" * 27_000 + "aabb" * 1500)
    _, lines = learn("halves.txt", steps=1000, patience=1)
    (line,) = [line for line in lines if "far above the training loss" in line]
    assert "--split blocks" in line
    _, lines = learn("halves.txt", steps=1000, patience=1, split="blocks")
    assert not any("far above the training loss" in line for line in lines)


@pytest.mark.parametrize("steps, is_reported", [(940, True), (960, False)])
def test_a_gap_after_three_readings_may_be_overfitting_and_is_not_reported(
    steps: int, is_reported: bool
) -> None:
    """16 windows are a reading; the first evaluation is after step 47 or 48."""
    predictions = 16 * 8 * 32
    Path("halves.txt").write_text("ab" * (predictions // 2 + 32) + "aabb" * 115)
    sizes = {"batch_size": 8, "window": 32, "validation_fraction": 0.1}
    _, lines = learn("halves.txt", steps=steps, patience=1, learning_rate=0.02, **sizes)
    assert any("far above the training loss" in line for line in lines) is is_reported


NAMES = [f"{first}{middle}{last}" for first in "bdlmt" for middle in "aeiou" for last in "nrsx"]


def test_lines_are_documents_and_samples_whole_ones() -> None:
    Path("names.txt").write_text("".join(f"{name}\n" for name in NAMES))
    run, lines = learn("names.txt", documents="lines", steps=600, validation_fraction=0.2)
    assert any("in 80 documents, 60 for validation, 14 different" in line for line in lines)
    *whole, _ = [row["text"] for row in read_rows(run.folder / "samples.jsonl")][-1].split("\n")
    assert len(whole) > 20
    assert sum(name in NAMES for name in whole) > len(whole) * 0.8
    # 5 x 5 x 4 names are equally likely: log(100) nats for 3 characters
    assert run.metrics["validation"]["nats_per_character"] == pytest.approx(
        math.log(100) / 3, abs=0.15
    )


def test_the_order_of_validation_documents_changes_nothing() -> None:
    Path("names.txt").write_text("".join(f"{name}\n" for name in NAMES))
    Path("some.txt").write_text("".join(f"{name}\n" for name in NAMES[:40]))
    Path("turned.txt").write_text("".join(f"{name}\n" for name in NAMES[:40][::-1]))
    found = [
        learn("names.txt", documents="lines", steps=30, validation=name)[0].metrics["validation"]
        for name in ("some.txt", "turned.txt")
    ]
    assert found[0]["nats_per_character"] == pytest.approx(found[1]["nats_per_character"])


def test_a_test_is_evaluated_once_at_the_end() -> None:
    Path("names.txt").write_text("".join(f"{name}\n" for name in NAMES * 3))
    run, lines = learn("names.txt", documents="lines", steps=20, test_fraction=0.2)
    assert run.metrics["test_characters"] == 180
    assert set(run.metrics["test"]) == set(run.metrics["validation"])
    assert any(line.startswith("test: ") for line in lines)
    assert any("180 for the test" in line for line in lines)
    training = read_model_file(run.folder / "model.safetensors").training
    assert training["test"]["nats_per_character"] == run.metrics["test"]["nats_per_character"]
    assert "which was not used to choose anything" in (run.folder / "report.html").read_text()
    rows = list(read_rows(run.folder / "metrics.jsonl"))
    assert [row["event"] for row in rows if "test" in row] == ["ended"]
    without, _ = learn("names.txt", documents="lines", steps=20)
    assert "test" not in without.metrics
    assert "test_characters" not in without.metrics


def labelled() -> str:
    """Names of two languages, one file each."""
    return files("languages", {"up.txt": "abc\n" * 120, "down.txt": "cba\n" * 120})


def test_labels_are_learned() -> None:
    options: dict[str, Any] = {"documents": "lines", "label_from": "file", "steps": 300}
    run, _ = learn(labelled(), **options)
    file = read_model_file(run.folder / "model.safetensors")
    assert file.vocabulary.labels == ("down", "up")
    assert file.configuration.num_labels == 3
    assert sum(file.training["label_counts"]) == file.training["training_documents"] == 216
    model = ricorda.load(run.folder)
    assert [model.generate(label=label, greedy=True) for label in ("down", "up")] == ["cba", "abc"]
    assert run.metrics["validation"]["classification"]["accuracy"] == 1
    # Without a label both are likely, so a tenth of the documents was read without.
    assert run.metrics["validation"]["nats_per_character"] < 0.1


def test_an_interrupted_run_of_labelled_documents_continues_to_the_same_bits() -> None:
    options: dict[str, Any] = {"documents": "lines", "label_from": "file", "steps": 40}
    whole, _ = learn(labelled(), **options)
    stopped = runs.new_run("languages", reporter=InterruptAt(17), **(SMALL | options))
    assert stopped.metrics["steps"] == 17
    resumed = runs.resumed_run(stopped.folder, quiet=True)
    assert (resumed.folder / "model.safetensors").read_bytes() == (
        whole.folder / "model.safetensors"
    ).read_bytes()


def test_a_folder_of_one_file_is_still_documents_when_the_run_is_resumed() -> None:
    files("one", {"text.txt": "to be or not to be " * 300})
    stopped = runs.new_run("one", reporter=InterruptAt(2), steps=6, **SMALL)
    record = json.loads((stopped.folder / "config.json").read_text())
    assert record["text"]["documents"] == "files"
    assert record["training"]["model"]["documents"] is True
    assert record["training"]["reset_probability"] == 0
    assert runs.resumed_run(stopped.folder, quiet=True).metrics["steps"] == 6


def test_an_archive_is_read_again_when_the_run_is_resumed() -> None:
    files("many", {f"{number}.txt": f"{number} and {number} " * 30 for number in range(60)})
    archive = shutil.make_archive("many", "zip", "many")
    stopped = runs.new_run(archive, reporter=InterruptAt(2), steps=6, **SMALL)
    record = json.loads((stopped.folder / "config.json").read_text())
    assert record["text"]["texts"] == [archive]
    assert runs.resumed_run(stopped.folder, quiet=True).metrics["steps"] == 6


def test_a_list_is_proposed_as_documents() -> None:
    Path("names.txt").write_text("".join(f"{name}\n" for name in NAMES))
    _, lines = learn("names.txt", steps=2)
    assert any("--documents lines" in line for line in lines)
    _, lines = learn("names.txt", steps=2, documents="text")
    assert not any("--documents lines" in line for line in lines)


def test_a_config_of_an_earlier_version_is_an_undivided_text() -> None:
    Path("my.txt").write_text("to be or not to be " * 100)
    stopped = runs.new_run("my.txt", reporter=InterruptAt(2), steps=6, **SMALL)
    config = stopped.folder / "config.json"
    record = json.loads(config.read_text())
    for name in ("documents", "field", "label_field", "label_from", "split", "test_fraction"):
        del record["text"][name]
    for name in ("documents", "num_labels"):
        del record["training"]["model"][name]
    config.write_text(json.dumps(record))
    assert runs.resumed_run(stopped.folder, quiet=True).metrics["steps"] == 6


def test_options_that_contradict() -> None:
    Path("my.txt").write_text("abcd\n" * 500)
    with pytest.raises(ConfigurationError, match=r"which --validation other\.txt replaces"):
        learn("my.txt", validation="other.txt", split="blocks")
    with pytest.raises(ConfigurationError, match="--split documents: the text is undivided"):
        learn("my.txt", split="documents", steps=1)
    with pytest.raises(ConfigurationError, match="expected auto, text, files, lines"):
        learn("my.txt", documents="words", steps=1)


def test_a_quick_evaluation_of_short_documents_is_exact() -> None:
    """Documents that begin in a segment or its warm-up are read from their beginning."""
    random = np.random.default_rng(3)
    documents = [random.integers(0, 8, random.integers(1, 60)) for _ in range(300)]
    ids = np.concatenate([[8, *each] for each in documents] + [[8]]).astype(np.uint8)
    network = {"cell": "gru", "vocabulary_size": 9, "hidden_size": 20, "documents": True}
    learner = KernelLearner(settings(network))
    for array in learner.weights().values():
        array[...] *= 3.0
    part = Part.whole(ids, 8)
    assert len(part) < LARGEST
    found = QuickEvaluation(part).nats_per_symbol(learner)
    backend = make_backend(learner.configuration.model, learner.weights())
    total = 0.0
    for each in documents:
        stream = np.array([[8, *each, 8]], np.uint32)
        scored, _ = backend.score(stream[:, :-1], stream[:, 1:], backend.zero_state(1))
        total += float(scored.nats.sum(dtype=float))
    # Segments of whole symbols leave out fewer than 32 of the predictions.
    assert found == pytest.approx(total / (len(part) - 1), rel=0.005)
