"""A run that starts from a trained model."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.errors import ConfigurationError, ModelFileError, RunError
from ricorda.model import read_model_file, write_model_file
from ricorda.text import ByteVocabulary, CharacterVocabulary, Vocabulary
from ricorda.text.extension import NEW, extended, label_origins, origins
from ricorda.training import Run
from ricorda.training import run as runs
from ricorda.training.fine_tuning import adapted
from ricorda.training.plan.forecast import forecast
from tests.exchange.models import CASES, Case, log_probabilities, make_model, random_ids
from tests.training.reporters import DoAt, InterruptAt
from tests.training.small_runs import BOTTLES, SHORT, Learn, rows

NEW_TEXT = "".join(f"{number} bottiglie di birra: è così, città e però\n" for number in range(60))
MANY = "".join(map(chr, range(0x4E00, 0x5400)))
"""1,536 characters that no model of these tests has."""


@pytest.fixture
def learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learn:
    """Train on new.txt."""
    monkeypatch.chdir(tmp_path)
    Path("old.txt").write_text(BOTTLES)
    Path("new.txt").write_text(NEW_TEXT)

    def run(*texts: str, **options: Any) -> Run:
        return runs.new_run(*(texts or ["new.txt"]), **({"quiet": True} | SHORT | options))

    return run


@pytest.fixture
def old(learn: Learn) -> Run:
    """A run that learned the old text."""
    return learn("old.txt", hidden_size=12, embedding_size=5, steps=60)


def more(vocabulary: Vocabulary, characters: str) -> Vocabulary:
    """A vocabulary with more characters, a boundary and a label."""
    options: dict[str, Any] = {"has_boundary": True, "labels": ("Latin",)}
    if isinstance(vocabulary, ByteVocabulary):
        return extended(vocabulary, ByteVocabulary(0, **options))
    return extended(vocabulary, CharacterVocabulary(characters, characters[0], **options))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_old_symbols_keep_their_figures(case: Case) -> None:
    old = make_model(case, np.random.default_rng(1))
    ids = random_ids(old, np.random.default_rng(2), 200)
    for characters in ("ì", MANY)[: 2 if case.num_layers == 1 else 1]:
        new = adapted(old, more(old.vocabulary, characters))
        sources = origins(old.vocabulary, new.vocabulary)
        place = np.empty(old.vocabulary.size, np.int64)
        place[sources[sources != NEW]] = np.flatnonzero(sources != NEW)
        for name in ("", *old.vocabulary.labels):
            numbers = [("", *each.vocabulary.labels).index(name) for each in (old, new)]
            before = -log_probabilities(old, ids, numbers[0])
            after = -log_probabilities(new, place[ids], numbers[1])[:, place]
            rise = after - before
            assert rise.min() >= -1e-9
            assert rise.max() <= 1.01e-5


@pytest.mark.parametrize("embedding", [5, None])
def test_rows_of_new_symbols_are_means_and_others_stay(embedding: int | None) -> None:
    old = make_model(Case("lstm", 2, embedding, "labels"), np.random.default_rng(1))
    new = adapted(old, more(old.vocabulary, "ìò"))
    sources = origins(old.vocabulary, new.vocabulary)
    is_new = sources == NEW
    assert is_new.sum() == 2
    by_symbol = {"embedding.weight", "output.weight", "output.bias"}
    by_symbol |= {"layers.0.weight_ih.T"} if embedding is None else set()
    before, after = with_columns(old.tensors), with_columns(new.tensors)
    for name in before.keys() - by_symbol - {"labels.weight", "layers.0.weight_ih"}:
        np.testing.assert_array_equal(after[name], before[name])
    for name in by_symbol & before.keys():
        np.testing.assert_array_equal(after[name][~is_new], before[name][sources[~is_new]])
        mean = before[name].mean(0)
        if name == "output.bias":
            mean -= np.log(2 / (old.vocabulary.size * 1e-5))
        np.testing.assert_allclose(after[name][is_new], [mean] * 2, rtol=1e-6, atol=1e-6)
    assert label_origins(old.vocabulary, new.vocabulary).tolist() == [0, 1, 2, NEW]
    np.testing.assert_array_equal(after["labels.weight"], before["labels.weight"][[0, 1, 2, 0]])


def with_columns(tensors: dict[str, Any]) -> dict[str, Any]:
    """Tensors, and the first layer's input weights by symbol or by element of the embedding."""
    return tensors | {"layers.0.weight_ih.T": tensors["layers.0.weight_ih"].T}


def test_a_model_without_labels_gets_rows_that_add_nothing() -> None:
    old = make_model(Case("gru", 1, 5, "documents"), np.random.default_rng(1))
    new = adapted(old, more(old.vocabulary, "ì"))
    assert new.configuration.num_labels == 2
    assert not new.tensors["labels.weight"].any()


def test_at_step_0_the_old_text_has_its_old_figure(learn: Learn, old: Run) -> None:
    run = learn(from_model=old.folder)
    start = ricorda.load(run.folder / "start.safetensors")
    assert (old.model.vocabulary.unknown("è"), start.vocabulary.unknown("è")) == ("è", "")
    for text in (BOTTLES, BOTTLES[-500:]):
        before = old.model.evaluate(text).nats_per_character
        assert start.evaluate(text).nats_per_character == pytest.approx(before, abs=1e-4)
    (first, *_) = evaluations(run)
    assert first["step"] == 0
    held_back = NEW_TEXT[-run.metrics["validation_characters"] :]
    figure = start.evaluate(held_back).nats_per_character
    assert first["nats_per_character"] == pytest.approx(figure, abs=0.05)
    assert first["nats_per_character"] > evaluations(run)[-1]["nats_per_character"]


def evaluations(run: Run) -> list[dict[str, Any]]:
    return [row for row in rows(run) if row["event"] == "evaluation"]


def test_the_start_stays_the_best_model_if_learning_makes_it_worse(learn: Learn, old: Run) -> None:
    run = learn("old.txt", from_model=old.folder, learning_rate=10.0, clip_norm=1e9)
    assert run.metrics["best_step"] == 0
    start = read_model_file(run.folder / "start.safetensors")
    best = read_model_file(run.folder / "model.safetensors")
    for name, tensor in start.tensors.items():
        np.testing.assert_array_equal(best.tensors[name], tensor)


def test_where_the_run_comes_from_is_recorded(learn: Learn, old: Run) -> None:
    content = (old.folder / "model.safetensors").read_bytes()
    run = learn(from_model=str(old.folder))
    digest = hashlib.sha256(content).hexdigest()
    figure = old.metrics["validation"]["nats_per_character"]
    record = json.loads((run.folder / "config.json").read_text())["start"]
    assert record["model"] == str(old.folder.absolute())
    assert (record["digest"], record["nats_per_character"]) == (digest, figure)
    assert record["new_symbols"] == run.model.vocabulary.size - old.model.vocabulary.size
    found = {"name": "old", "digest": digest, "nats_per_character": figure}
    assert run.model.training["from"] == found
    assert "It started from old. " in (run.folder / "report.html").read_text()


def test_the_network_is_the_models_and_the_plan_that_of_random_weights(
    learn: Learn, old: Run
) -> None:
    fresh = forecast("new.txt", **SHORT, hidden_size=12, embedding_size=5).configuration
    found = forecast("new.txt", **SHORT, from_model=old.folder).configuration
    assert found.model.hidden_size == 12
    assert found.model.embedding_size == 5
    assert found.model.vocabulary_size > fresh.model.vocabulary_size
    assert found.learning_rate == fresh.learning_rate
    given = forecast("new.txt", **SHORT, from_model=old.folder, learning_rate=0.02)
    assert given.configuration.learning_rate == 0.02


@pytest.mark.parametrize(
    "options, message",
    [
        ({"cell": "gru"}, "--cell gru: runs/old has cifg"),
        ({"hidden_size": 13}, "--hidden-size 13: runs/old has 12"),
        ({"num_layers": 2}, "--num-layers 2: runs/old has 1"),
        ({"embedding_size": "onehot"}, "--embedding-size onehot: runs/old has 5"),
        ({"nonlinearity": "relu"}, "--nonlinearity relu: runs/old has tanh"),
        ({"vocabulary": "bytes"}, "--vocabulary bytes: runs/old has characters"),
        ({"vocabulary": "pieces:300"}, "--vocabulary pieces:300: runs/old has characters"),
        ({"initialisation": "uniform"}, "--initialisation is for random weights"),
        ({"forget_bias": 0.0}, "--forget-bias is for random weights"),
    ],
    ids=str,
)
def test_options_that_contradict_the_model(
    learn: Learn, old: Run, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        learn(from_model=old.folder, out=Path("elsewhere"), **options)
    assert "\n" not in str(raised.value)
    assert not Path("elsewhere").exists()


def test_options_that_agree_with_the_model(learn: Learn, old: Run) -> None:
    run = learn(from_model=old.folder, cell="cifg", hidden_size=12, vocabulary="characters")
    assert run.metrics["steps"] == 8


def test_no_model_and_a_damaged_one_are_refused_before_a_folder_is_made(learn: Learn) -> None:
    Path("damaged.safetensors").write_bytes(b"\0" * 100)
    for name in ("missing", "damaged.safetensors", "new.txt"):
        with pytest.raises(ModelFileError):
            learn(from_model=name)
    assert not Path("runs").exists()


STARTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"dropout": 0.3}),
    ({}, {"averaging": 0.9}),
    ({}, {"backend": "torch", "averaging": 0.9}),
    ({}, {"documents": "lines", "steps": 20}),
    ({"documents": "lines"}, {}),
    ({"documents": "lines"}, {"documents": "files", "softmax_candidates": 9}),
    ({"vocabulary": "bytes"}, {"documents": "lines"}),
    ({"vocabulary": "pieces:60"}, {"softmax_candidates": 9}),
    ({"vocabulary": "words"}, {"min_count": 3}),
    ({"embedding_size": "onehot", "cell": "gru"}, {"backend": "torch"}),
    ({"min_count": 12}, {}),
]
"""How the old text was learned, and how the new one is."""


@pytest.mark.parametrize("before, options", STARTS, ids=str)
def test_a_run_from_a_model_goes_on_to_the_same_bits(
    learn: Learn, before: dict[str, Any], options: dict[str, Any]
) -> None:
    shape = {"hidden_size": 6, "embedding_size": 5} | before
    model = learn("old.txt", **shape).folder / "model.safetensors"
    options = {"from_model": model} | options
    whole = learn(**options)
    first, second = (learn(**options, reporter=InterruptAt(step)) for step in (1, 5))
    model.unlink()  # the run's folder has all that it needs
    for stopped in (first, second):
        resumed = runs.resumed_run(stopped.folder, quiet=True)
        assert rows(resumed) == rows(whole)
        names = ["model.safetensors", "samples.jsonl", "start.safetensors"]
        names.append(f"checkpoints/{whole.metrics['steps']}/tensors.safetensors")
        for name in names:
            assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.parametrize("before, options", STARTS[3:10:2], ids=str)
def test_both_learners_and_the_engine_start_alike(
    learn: Learn, before: dict[str, Any], options: dict[str, Any]
) -> None:
    shape = {"hidden_size": 6, "embedding_size": 5} | before
    model = learn("old.txt", **shape).folder
    found = []
    for backend in ("kernels", "torch"):
        run = learn(from_model=model, **options | {"backend": backend, "steps": 2})
        found.append(evaluations(run)[0]["nats_per_character"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_run_killed_during_its_first_evaluation_starts_anew(learn: Learn, old: Run) -> None:
    whole = learn(from_model=old.folder)
    stopped = learn(from_model=old.folder, reporter=InterruptAt(1))
    for path in sorted((stopped.folder / "checkpoints").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for name in ("metrics.jsonl", "samples.jsonl"):
        path = stopped.folder / name
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    resumed = runs.resumed_run(stopped.folder, quiet=True)
    assert rows(resumed) == rows(whole)
    assert (resumed.folder / "samples.jsonl").read_bytes() == (
        whole.folder / "samples.jsonl"
    ).read_bytes()


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_start_that_is_not_the_runs_is_refused(learn: Learn, old: Run, damage: str) -> None:
    stopped = learn(from_model=old.folder, reporter=InterruptAt(3))
    start = stopped.folder / "start.safetensors"
    start.unlink()
    if damage == "changed":
        write_model_file(start, read_model_file(old.folder / "model.safetensors"))
    with pytest.raises(RunError, match=r"start\.safetensors, the model that the run started from"):
        runs.resumed_run(stopped.folder, quiet=True)


def test_a_text_is_a_document_for_a_model_of_documents(learn: Learn) -> None:
    model = learn("old.txt", documents="files", hidden_size=6).folder
    run = learn(from_model=model)
    assert run.model.vocabulary.boundary is not None
    assert run.model.reading.documents == "files"
    with pytest.raises(ConfigurationError, match="--documents text: runs/old learned documents"):
        learn(from_model=model, documents="text")
    of_lines = learn("old.txt", documents="lines", hidden_size=6).folder
    assert learn(from_model=of_lines).model.reading.documents == "lines"


def test_labels_are_matched_by_name_and_kept(learn: Learn) -> None:
    for name in ("it", "la", "de"):
        Path(f"{name}.txt").write_text("".join(f"{name}{number}\n" for number in range(40)))
    labelled = {"documents": "lines", "label_from": "file", "hidden_size": 6}
    model = learn("it.txt", "la.txt", **labelled)
    assert model.model.vocabulary.labels == ("it", "la")
    run = learn("de.txt", "la.txt", from_model=model.folder, label_from="file")
    assert run.model.vocabulary.labels == ("it", "la", "de")
    rows = read_model_file(run.folder / "start.safetensors").tensors["labels.weight"]
    before = read_model_file(model.folder / "model.safetensors").tensors["labels.weight"]
    np.testing.assert_array_equal(rows, before[[0, 1, 2, 0]])
    assert run.model.training["label_counts"][0] == 0
    without = learn("de.txt", from_model=model.folder)
    assert without.model.vocabulary.labels == ("it", "la")


def test_line_ends_are_read_as_the_model_read_its_own(learn: Learn) -> None:
    Path("dos.txt").write_bytes(BOTTLES.replace("\n", "\r\n").encode())
    kept = learn("dos.txt", newlines="keep", hidden_size=6).folder
    assert "\r" not in learn(from_model=kept).model.vocabulary.unknown("\r")
    plain = learn("old.txt", hidden_size=6).folder
    assert learn("dos.txt", from_model=plain).model.vocabulary.unknown("\r") == "\r"
    assert learn("dos.txt", from_model=plain, newlines="keep").model.vocabulary.unknown("\r") == ""


def test_a_fine_tuned_run_may_be_started_from(learn: Learn, old: Run) -> None:
    middle = learn(from_model=old.folder)
    last = learn("old.txt", from_model=middle.folder)
    assert last.model.vocabulary == middle.model.vocabulary  # unused symbols are kept
    assert last.model.training["from"]["name"] == "new"


def test_a_model_of_another_tool_may_be_started_from(learn: Learn) -> None:
    model = make_model(Case("gru", 2, None), np.random.default_rng(1))
    assert model.training == {}
    write_model_file(Path("other.safetensors"), model)
    run = learn(from_model="other.safetensors", steps=20)
    assert run.model.configuration.embedding_size == "onehot"
    assert run.model.training["from"]["name"] == "other.safetensors"
    assert run.model.training["from"]["nats_per_character"] is None
    assert run.metrics["best_step"] > 0


def test_it_reports_what_it_starts_from(learn: Learn, old: Run) -> None:
    reporter = DoAt(lambda: None)
    run = learn(from_model=old.folder, reporter=reporter)
    number = run.model.vocabulary.size - old.model.vocabulary.size
    assert f"from {old.folder.absolute()}, {number} new symbols" in "\n".join(reporter.lines)


def test_a_run_killed_before_it_began_may_be_begun_again(learn: Learn, old: Run) -> None:
    Path("run").mkdir()
    Path("run/start.safetensors").write_bytes(b"of the user")
    with pytest.raises(RunError, match="holds other files"):
        learn(from_model=old.folder, out=Path("run"))
    Path("run/.ricorda.lock").write_bytes(b"")  # a run's, and so is the file beside it
    assert learn(from_model=old.folder, out=Path("run")).metrics["steps"] == 8
