"""`/v1/embeddings`: OpenAI's client, limits, errors, and the same vectors as from Python."""

import base64
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.engine import load
from ricorda.engine.embedding import Vector, VectorReader
from ricorda.text.vocabulary import CharacterVocabulary

from .conftest import SYMBOLS, Server, eventually, running, write_model

LABELS = ("Irish", "Italian")
TEXTS = ["abc", "a", "nel mezzo del cammin di nostra vita, ", "世", "abc" * 70, "zz"]


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of documents with labels."""
    symbols = "".join(sorted(SYMBOLS))
    vocabulary = CharacterVocabulary(symbols, "\n", has_boundary=True, labels=LABELS)
    folder = tmp_path_factory.mktemp("divided")
    return write_model(
        folder / "model.safetensors", vocabulary, num_layers=2, documents=True, num_labels=3
    )


@pytest.fixture(scope="module")
def own_server(divided: Path) -> Iterator[Server]:
    with running({"names": divided}, max_inputs=200) as server:
        yield server


def as_vectors(numbers: Any) -> Vector:
    """Numbers as the server wrote them."""
    return np.array(numbers, np.float32)


def embed(server: Server, given: Any, **fields: Any) -> dict[str, Any]:
    """Ask for vectors, which must succeed."""
    body = {"model": "letters", "input": given} | fields
    status, _, answer = server.ask("POST", "/v1/embeddings", body)
    assert status == 200, answer
    return dict(answer)


def vectors(server: Server, given: Any, **fields: Any) -> Vector:
    """The vectors of texts, (N, D)."""
    data = embed(server, given, **fields)["data"]
    assert [each["index"] for each in data] == list(range(len(data)))
    return as_vectors([each["embedding"] for each in data])


def refused(server: Server, given: Any, **fields: Any) -> tuple[int, dict[str, Any]]:
    """Ask for vectors, which must be refused."""
    body = {"model": "letters", "input": given} | fields
    status, _, answer = server.ask("POST", "/v1/embeddings", body)
    assert status >= 400, answer
    return status, answer["error"]


@pytest.mark.parametrize("method", ["__init__", "advance"])
def test_an_unforeseen_error_is_answered_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(VectorReader, method, fail)
    assert refused(server, "abc")[0] == 500
    monkeypatch.undo()
    assert len(embed(server, "abc")["data"]) == 1


def test_openais_client(server: Server, models: dict[str, Path]) -> None:
    openai = pytest.importorskip("openai")
    expected = load(models["letters"]).embed(TEXTS, normalize=True)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        answer = client.embeddings.create(model="letters", input=TEXTS)
        found = as_vectors([each.embedding for each in answer.data])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        assert answer.model == "letters"
        symbols = sum(map(len, TEXTS))
        assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (symbols, symbols)
        plain = client.embeddings.create(model="letters", input="abc", encoding_format="float")
        np.testing.assert_allclose(as_vectors(plain.data[0].embedding), expected[0], atol=1e-6)
        with pytest.raises(openai.BadRequestError) as wrong:
            client.embeddings.create(model="letters", input="")
        assert wrong.value.param == "input"
        with pytest.raises(openai.BadRequestError) as wrong:
            client.embeddings.create(model="letters", input="abc", dimensions=5)
        assert wrong.value.param == "dimensions"
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="none", input="abc")


def test_the_answer_has_openais_shape(server: Server) -> None:
    answer = embed(server, "abc")
    assert list(answer) == ["object", "data", "model", "usage"]
    (entry,) = answer["data"]
    assert (answer["object"], entry["object"], entry["index"]) == ("list", "embedding", 0)
    assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert np.linalg.norm(entry["embedding"]) == pytest.approx(1, abs=1e-6)
    (coded,) = embed(server, "abc", encoding_format="base64")["data"]
    raw = np.frombuffer(base64.b64decode(coded["embedding"]), "<f4")
    np.testing.assert_array_equal(raw, as_vectors(entry["embedding"]))


def test_texts_and_ids(server: Server, models: dict[str, Path]) -> None:
    model = load(models["letters"])
    ids = [model.vocabulary.encode(text).tolist() for text in TEXTS]
    together = vectors(server, TEXTS)
    np.testing.assert_array_equal(vectors(server, ids), together)
    np.testing.assert_array_equal(vectors(server, ids[0]), together[:1])
    np.testing.assert_array_equal(vectors(server, TEXTS[2]), together[2:3])
    many = vectors(server, [text for text in TEXTS for _ in range(40)])
    np.testing.assert_allclose(many[::40], together, atol=1e-6)
    for kind in ("hidden", "layers", "state"):
        expected = model.embed(TEXTS, vector=kind, normalize=True)
        np.testing.assert_allclose(vectors(server, TEXTS, vector=kind), expected, atol=1e-6)


def test_documents_and_labels(own_server: Server, divided: Path) -> None:
    model = load(divided)
    given = {"model": "names"}
    expected = model.embed(TEXTS, normalize=True)
    np.testing.assert_allclose(vectors(own_server, TEXTS, **given), expected, atol=1e-6)
    expected = model.embed([(text, "Irish") for text in TEXTS], normalize=True)
    found = vectors(own_server, TEXTS, label="Irish", **given)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    status, error = refused(own_server, TEXTS, label="Roman", **given)
    assert (status, error["param"]) == (400, "label")


def test_unseen_characters(server: Server) -> None:
    status, error = refused(server, ["abc", "aXbX"])
    assert (status, error["param"], error["code"]) == (400, "input", "unknown_characters")
    assert error["message"].startswith("input has characters that the model never saw: 'X'")
    answer = embed(server, ["abc", "aXbX", "X"], on_unknown="skip")
    assert answer["skipped"] == [
        {"prompt": 1, "before": 1, "characters": "X"},
        {"prompt": 1, "before": 2, "characters": "X"},
        {"prompt": 2, "before": 0, "characters": "X"},
    ]
    assert answer["usage"]["prompt_tokens"] == 5
    found = as_vectors([each["embedding"] for each in answer["data"]])
    np.testing.assert_array_equal(found[1], vectors(server, "ab")[0])
    assert not found[2].any()  # nothing was read
    only = embed(server, ["X"] * 70, on_unknown="skip")
    assert len(only["data"]) == 70


@pytest.mark.parametrize(
    "given", ["", [], [""], ["a", ""], [[]], [[1], []], None, 3, {}, [1, "a"], ["a", 1], [[1], "a"],
              [-1], [1.5], [[2**31]], ["\ud800"]],
)  # fmt: skip
def test_other_inputs_are_refused(server: Server, given: Any) -> None:
    status, error = refused(server, given)
    assert (status, error["param"]) == (400, "input")
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 15}, "dimensions"),
        ({"dimensions": 0}, "dimensions"),
        ({"vector": "cells"}, "vector"),
        ({"prompt": "abc"}, "prompt"),
        ({"label": "Irish"}, "label"),
        ({"input": [99]}, "input"),
    ],
)
def test_other_fields_are_refused(server: Server, fields: dict[str, Any], param: str) -> None:
    status, error = refused(server, fields.pop("input", "abc"), **fields)
    assert (status, error["param"]) == (400, param)


def test_the_models_own_size_is_taken(server: Server) -> None:
    assert vectors(server, "abc", dimensions=16).shape == (1, 16)
    assert vectors(server, "abc", dimensions=32, vector="state").shape == (1, 32)


def test_limits(own_server: Server, serve: Callable[..., Any]) -> None:
    given = {"model": "names"}
    assert vectors(own_server, ["a"] * 200, **given).shape == (200, 16)
    status, error = refused(own_server, ["a"] * 201, **given)
    assert (status, error["param"]) == (400, "input")
    assert "at most 200 texts (--max-inputs)" in error["message"]
    with serve(max_prompt=10, max_answer=3000) as server:
        assert refused(server, "a" * 11)[1]["message"].endswith("got 11")
        vectors(server, ["a"] * 9)
        status, error = refused(server, ["a"] * 10)
        assert (status, error["code"]) == (400, "answer_too_large")
        embed(server, ["a"] * 15, encoding_format="base64")


def test_it_takes_its_place_in_the_queue(serve: Callable[..., Any]) -> None:
    """Beside a text that takes the only place, a request waits; beyond the queue it is refused."""
    with serve(max_streams=1, max_queue=1, max_queue_per_client=1, max_tokens=10**6) as server:
        with server.connect() as busy:
            body = b'{"model": "letters", "prompt": "abc", "max_tokens": 1000000, "stream": true}'
            busy.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            admission = server.service.admission
            assert eventually(lambda: admission.running == 1)
            answers: list[Vector] = []
            waiting = threading.Thread(target=lambda: answers.append(vectors(server, TEXTS)))
            waiting.start()
            assert eventually(lambda: admission.waiting == 1)
            assert refused(server, "abc")[0] == 429
            assert not answers
        waiting.join()
        assert answers[0].shape == (len(TEXTS), 16)
        assert eventually(lambda: admission.running == 0)
        assert eventually(lambda: server.service.answers.taken == 0)


def test_a_model_that_overflows_fails_alone(tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary("".join(sorted(SYMBOLS)), "\n")
    path = tmp_path / "model.safetensors"
    write_model(path, vocabulary, cell="rnn", nonlinearity="relu", hidden_size=64)
    with running({"letters": path}) as server:
        status, error = refused(server, "abc" * 3000)
        assert (status, error["code"]) == (500, "model_failed")
        assert vectors(server, "abc").shape == (1, 64)


def test_an_access_log_names_the_request(tmp_path: Path, serve: Callable[..., Any]) -> None:
    import json

    log = tmp_path / "access.log"
    with serve(access_log=str(log)) as server:
        embed(server, TEXTS, user="somebody")
        assert eventually(lambda: log.read_text().endswith("\n"))
    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["path"], line["model"], line["user"]) == ("/v1/embeddings", "letters", "somebody")
    assert (line["prompt_symbols"], line["written_symbols"]) == (sum(map(len, TEXTS)), 0)
