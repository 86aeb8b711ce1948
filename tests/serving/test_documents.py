"""Models of documents behind the API: boundaries, labels, and what evaluation harnesses ask for."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ricorda
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, write_model_file
from ricorda.text.vocabulary import CharacterVocabulary
from tests.serving.conftest import Server, running

VOCABULARY = CharacterVocabulary("\n abcde", "\n", has_boundary=True, labels=("cat", "dog"))
BOUNDARY = VOCABULARY.size - 1
NAME = "<|boundary|>"
ALL = VOCABULARY.size


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of documents with random weights, whose texts are short."""
    configuration = ModelConfiguration(
        "gru", ALL, hidden_size=12, documents=True, num_labels=len(VOCABULARY.labels) + 1
    )
    random = np.random.default_rng(4)
    tensors = {
        name: random.normal(0, 0.8, shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    tensors["output.bias"][BOUNDARY] += 1.0
    path = tmp_path_factory.mktemp("documents") / "model.safetensors"
    write_model_file(path, ModelFile(configuration, VOCABULARY, tensors))
    return path


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    with running({"letters": place}) as server:
        yield server


@pytest.fixture(scope="module")
def reference(place: Path) -> ricorda.Model:
    """The same model on the NumPy engine."""
    return ricorda.load(place, backend="numpy")


def nats(model: ricorda.Model, text: str, label: int = 0) -> list[float]:
    """Return the surprisal of each symbol of a document and of its end, by single steps."""
    state = model.backend.zero_state(1)
    labels = np.array([label]) if label else None
    found, before = [], BOUNDARY
    for symbol in [*VOCABULARY.encode(text).tolist(), BOUNDARY]:
        logits, state = model.backend.step(np.array([before]), state, labels=labels)
        found.append(float(np.logaddexp.reduce(logits[0]) - logits[0, symbol]))
        before = symbol
    return found


def test_an_empty_prompt_begins_a_document_that_ends_by_itself(server: Server) -> None:
    answer = server.complete(prompt="", max_tokens=2000, n=8, seed=3, logprobs=0)
    choices = answer["choices"]
    assert all(choice["finish_reason"] == "stop" for choice in choices)
    assert all(choice["logprobs"]["tokens"][-1] == NAME for choice in choices)
    assert not any(NAME in choice["text"] for choice in choices)
    assert len({choice["text"] for choice in choices}) > 4
    for choice in choices:
        assert "".join(choice["logprobs"]["tokens"][:-1]) == choice["text"]
        expected = list(range(len(choice["text"]) + 1))
        assert choice["logprobs"]["text_offset"] == expected
    assert answer["usage"]["prompt_tokens"] == 0


def test_a_written_document_has_the_models_own_probabilities(
    server: Server, reference: ricorda.Model
) -> None:
    (choice,) = server.complete(prompt="ab", max_tokens=500, seed=1, logprobs=0)["choices"]
    expected = nats(reference, "ab" + choice["text"])[2:]
    np.testing.assert_allclose(
        choice["logprobs"]["token_logprobs"], np.negative(expected), atol=1e-4
    )


@pytest.mark.parametrize("label", [None, "cat", "dog"])
def test_an_echoed_document_is_scored_from_its_first_symbol(
    server: Server, reference: ricorda.Model, label: str | None
) -> None:
    fields = {"prompt": "bad cab", "echo": True, "logprobs": 1, "max_tokens": 0, "label": label}
    (choice,) = server.complete(**fields)["choices"]
    number = 0 if label is None else VOCABULARY.labels.index(label) + 1
    expected = np.negative(nats(reference, "bad cab", number)[:-1])
    np.testing.assert_allclose(choice["logprobs"]["token_logprobs"], expected, atol=1e-4)
    assert choice["logprobs"]["text_offset"] == list(range(7))


def test_a_label_changes_what_is_written(server: Server) -> None:
    texts = {server.text(prompt="", label=label, seed=1, max_tokens=60) for label in ("cat", "dog")}
    assert len(texts) == 2
    status, error = server.refused(label="cow")
    assert (status, error["param"]) == (400, "label")


def test_ids_may_begin_with_the_boundary(server: Server) -> None:
    ids = VOCABULARY.encode("bad").tolist()
    fields = {"echo": True, "logprobs": 0, "max_tokens": 0}
    (plain,) = server.complete(prompt=ids, **fields)["choices"]
    (marked,) = server.complete(prompt=[BOUNDARY, *ids], **fields)["choices"]
    assert marked["logprobs"]["tokens"] == [NAME, *plain["logprobs"]["tokens"]]
    assert marked["logprobs"]["token_logprobs"] == [None, *plain["logprobs"]["token_logprobs"]]
    assert marked["text"] == plain["text"]


def test_what_a_harness_asks_for(server: Server) -> None:
    info = server.ask("GET", "/tokenizer_info")[2]
    assert (info["eos_token"], info["bos_token"], info["vocab_size"]) == (NAME, NAME, ALL)
    tokens = server.ask("POST", "/tokenize", {"prompt": NAME, "add_special_tokens": False})[2]
    assert tokens["tokens"] == [BOUNDARY]
    assert server.ask("POST", "/detokenize", {"tokens": [BOUNDARY, 2]})[2] == {"prompt": "a"}
    assert server.text(prompt="ab", seed=1, max_tokens=90, stop=[NAME]) == server.text(
        prompt="ab", seed=1, max_tokens=90
    )


def test_one_more_symbol_is_always_returned_so_that_scores_line_up(server: Server) -> None:
    """lm-eval asks for one symbol after the prompt and drops it: an end must be there, too."""
    bias = {str(BOUNDARY): 100}
    fields = {"echo": True, "logprobs": 1, "max_tokens": 1, "logit_bias": bias}
    (choice,) = server.complete(prompt=VOCABULARY.encode("bad").tolist(), **fields)["choices"]
    assert choice["logprobs"]["tokens"] == ["b", "a", "d", NAME]
    assert choice["finish_reason"] == "stop"


def test_answers_of_several_lines_end_at_the_boundary(server: Server) -> None:
    choices = server.complete(prompt="", max_tokens=2000, n=16, seed=5)["choices"]
    assert any("\n" in choice["text"].rstrip("\n") for choice in choices)


def test_allowed_characters_let_a_document_end(server: Server) -> None:
    choices = server.complete(prompt="", max_tokens=4000, n=8, seed=5, allowed="ab")["choices"]
    assert all(set(choice["text"]) <= set("ab") for choice in choices)
    assert all(choice["finish_reason"] == "stop" for choice in choices)
    banned = server.complete(prompt="", max_tokens=90, n=8, seed=5, banned="ab")["choices"]
    assert all(not set(choice["text"]) & set("ab") for choice in banned)
    words = server.complete(prompt="", max_tokens=90, n=8, seed=5, banned_word=["ab", "e"])
    assert all("ab" not in each["text"] and "e" not in each["text"] for each in words["choices"])


def test_streams_tell_the_end(server: Server) -> None:
    events = server.events(prompt="", max_tokens=2000, seed=3, logprobs=0)
    tokens = [
        token
        for event in events
        for each in event["choices"]
        for token in each["logprobs"]["tokens"]
    ]
    text = "".join(each["text"] for event in events for each in event["choices"])
    assert tokens == [*text, NAME]
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


def test_all_alternatives(server: Server) -> None:
    (choice,) = server.complete(prompt="a", max_tokens=1, logprobs=ALL)["choices"]
    (top,) = choice["logprobs"]["top_logprobs"]
    assert len(top) == ALL
    assert NAME in top
    assert np.exp(list(top.values())).sum() == pytest.approx(1, abs=1e-5)


def test_a_lenient_server_names_what_it_ignores(place: Path) -> None:
    body = {
        "model": "letters", "prompt": "a", "max_tokens": 2, "seed": 1,
        "best_wishes": 1, "caf\u00e9\r\n": 2, "stream_options": {"include_usage": False, "x": 1},
        "stream": False,
    }  # fmt: skip
    with running({"letters": place}, lenient=True) as server:
        body["stream"] = True
        status, headers, _ = server.ask("POST", "/v1/completions", body)
        assert status == 200
        ignored = headers["x-ricorda-ignored"].split(", ")
        assert ignored == ["best_wishes", "caf%C3%A9%0D%0A", "stream_options.x"]
        _, headers, answer = server.ask("POST", "/tokenize", {"prompt": "ab", "b": 1})
        assert (answer["count"], headers["x-ricorda-ignored"]) == (2, "b")
        assert "x-ricorda-ignored" not in server.ask("GET", "/health")[1]
    with running({"letters": place}) as server:
        assert server.ask("POST", "/v1/completions", body)[0] == 400
