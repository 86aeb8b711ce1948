"""What a request may cost: the size of its answer, and the memory of its body."""

import asyncio
import json
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ricorda.engine import Symbols
from ricorda.serving.answers import Reader, choice_pieces, symbol_names
from ricorda.serving.catalogue import Catalogue
from ricorda.serving.guard import Problem
from ricorda.serving.limits import Budget
from ricorda.serving.requests import _parse_long, parse
from ricorda.serving.schema import CompletionRequest, DetokenizeRequest, TokenizeRequest
from ricorda.serving.service import Service
from ricorda.serving.settings import ServerSettings
from ricorda.serving.worker import ScoringJob
from ricorda.text.vocabulary import CharacterVocabulary
from tests.serving.conftest import SYMBOLS, Server, eventually

Serve = Callable[..., Any]

TOO_LARGE: list[dict[str, Any]] = [
    {"prompt": ["e"] * 15, "n": 16, "max_tokens": 4096, "logprobs": 5},
    {"prompt": "e" * 60_000, "n": 16, "echo": True, "logprobs": 5, "max_tokens": 0},
    {"prompt": ["e" * 6000] * 16, "n": 16, "echo": True, "logprobs": 5, "max_tokens": 0},
    {"prompt": ["e"] * 15, "n": 1, "best_of": 16, "max_tokens": 4096, "logprobs": 5},
    {"prompt": "e" * 60_000, "n": 16, "echo": True, "logprobs": 0, "max_tokens": 0},
    {"prompt": ["e"] * 128, "n": 16, "max_tokens": 4096},
]


@pytest.mark.parametrize("fields", TOO_LARGE, ids=range(len(TOO_LARGE)))
def test_a_request_for_too_large_an_answer_is_refused_before_any_work(
    server: Server, fields: dict[str, Any]
) -> None:
    for stream in (False, True) if "best_of" not in fields else (False,):
        status, error = server.refused(**fields, stream=stream)
        assert (status, error["code"]) == (400, "answer_too_large")
        assert "--max-answer" in error["message"]
        assert server.service.answers.taken == 0


def test_answers_under_way_are_bounded_for_a_client(serve: Serve) -> None:
    with serve(max_answer=40_000) as server:
        answers = server.service.answers
        answers.take("127.0.0.1", 70_000)
        status, error = server.refused(max_tokens=4096)  # 33,000 bytes
        assert (status, error["code"]) == (429, "rate_limit_exceeded")
        answers.give_back("127.0.0.1", 70_000)
        answers.take("somebody else", 80_000)
        answers.take("another", 80_000)
        assert server.refused(max_tokens=4096)[0] == 503
        answers.give_back("another", 80_000)
        assert server.text(max_tokens=4096)
        assert eventually(lambda: answers.taken == 80_000)


def test_a_budget_bounds_each_client_and_all() -> None:
    budget = Budget(what="answers", option="--max-answer", per_client=10, total=25)
    budget.take("a", 10)
    with pytest.raises(Problem, match="--max-answer") as refused:
        budget.take("a", 1)
    assert refused.value.status == 429
    budget.take("b", 10)
    with pytest.raises(Problem, match="20 of at most 25 bytes of answers") as refused:
        budget.take("c", 6)
    assert refused.value.status == 503
    budget.take("c", 5)
    budget.give_back("a", 10)
    assert budget.taken == 15
    with budget.charged("a", 10):
        assert budget.taken == 25
    assert budget.taken == 15


def test_a_refused_request_gives_its_budget_back(serve: Serve) -> None:
    with serve(max_streams=1, max_queue=1) as server:
        assert server.refused(n=3)[0] == 503
        assert server.refused(logit_bias={"33": 1})[0] == 400
        assert server.service.answers.taken == 0
        assert server.service.bodies.taken == 0


ONE = b'{"model": "letters", '
WRONG_BODIES: dict[str, tuple[type[Any], bytes]] = {
    "fractions": (CompletionRequest, ONE + b'"prompt": [%s]}' % b",".join([b"1.5"] * 50_000)),
    "objects": (CompletionRequest, ONE + b'"prompt": [%s]}' % b",".join([b"{}"] * 50_000)),
    "nulls": (CompletionRequest, ONE + b'"prompt": [%s]}' % b",".join([b"null"] * 50_000)),
    "lists of lists": (CompletionRequest, ONE + b'"prompt": [%s]}' % b",".join([b"[[]]"] * 50_000)),
    "one list": (CompletionRequest, ONE + b'"prompt": [[%s]]}' % b",".join([b"-1"] * 50_000)),
    "ids, then texts": (CompletionRequest, ONE + b'"prompt": [1%s]}' % (b',"a"' * 50_000)),
    "texts, then ids": (CompletionRequest, ONE + b'"prompt": ["a"%s]}' % (b",1" * 50_000)),
    "stops": (CompletionRequest, ONE + b'"stop": [%s]}' % b",".join([b"1"] * 50_000)),
    "biases": (
        CompletionRequest,
        ONE + b'"logit_bias": {%s}}' % b",".join(b'"a%d": 1' % i for i in range(20_000)),
    ),
    "unknown fields": (
        CompletionRequest,
        ONE + b",".join(b'"a%d": 1' % i for i in range(20_000)) + b"}",
    ),
    "stream options": (
        CompletionRequest,
        ONE + b'"stream_options": {%s}}' % b",".join(b'"a%d": 1' % i for i in range(20_000)),
    ),
    "model": (CompletionRequest, b'{"model": [%s]}' % b",".join([b"{}"] * 50_000)),
    "tokens": (DetokenizeRequest, b'{"tokens": [%s]}' % b",".join([b'""'] * 50_000)),
    "tokenized": (TokenizeRequest, b'{"prompt": [%s]}' % b",".join([b"{}"] * 50_000)),
}


@pytest.mark.parametrize("name", WRONG_BODIES)
def test_a_wrong_body_takes_memory_in_proportion_to_its_length(name: str) -> None:
    """A small object takes 64 bytes and a place in a list, whatever is wrong with it."""
    body, content = WRONG_BODIES[name]
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as refused:
            parse(content, body, len(content))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.status == 400
    assert len(refused.value.message) < 500
    assert peak < 50 * len(content)


def test_the_refusal_of_a_long_body_keeps_none_of_it() -> None:
    content = ONE + b'"prompt": [%s]}' % b",".join([b"{}"] * 50_000)
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as refused:
            _parse_long(content, CompletionRequest, len(content), None)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.status == 400
    assert kept < 500_000


def test_long_good_bodies_are_read(server: Server) -> None:
    ids = [1, 2.0] * 10_000
    assert server.text(prompt=ids, seed=1) == server.text(prompt=[1, 2] * 10_000, seed=1)
    status, _, found = server.ask(
        "POST", "/tokenize", {"model": "letters", "prompt": "ab" * 30_000}
    )
    assert (status, found["count"], len(found["tokens"])) == (200, 60_000, 60_000)
    body = {"model": "letters", "tokens": found["tokens"]}
    assert server.ask("POST", "/detokenize", body)[2] == {"prompt": "ab" * 30_000}


def test_a_long_choice_is_written_in_short_pieces() -> None:
    vocabulary = CharacterVocabulary("".join(sorted(SYMBOLS)), "\n")
    random = np.random.default_rng(1)
    count, size = 5000, vocabulary.size
    symbols = Symbols(
        random.integers(0, size, count),
        -random.random(count, np.float32),
        np.argsort(random.random((count, size)))[:, :5],
        -random.random((count, 5), np.float32),
    )
    request = CompletionRequest(model="m", logprobs=5, return_token_ids=True)
    reader = Reader(vocabulary, symbol_names(vocabulary), logprobs=5)
    blocks = [Symbols._make(column[:9] for column in symbols)]
    blocks += [Symbols._make(column[9:] for column in symbols)]
    prompt = symbols.ids[:9]
    pieces = list(
        choice_pieces(3, reader, blocks, request, echoed=9, prompt=prompt, reason="length")
    )
    assert max(map(len, pieces)) < 65_536
    choice = json.loads("".join(pieces))
    text = vocabulary.decode(symbols.ids)
    assert (choice["text"], choice["index"], choice["finish_reason"]) == (text, 3, "length")
    assert choice["token_ids"] == symbols.ids[9:].tolist()
    assert choice["prompt_token_ids"] == symbols.ids[:9].tolist()
    logprobs = choice["logprobs"]
    assert logprobs["tokens"] == list(text)
    assert logprobs["text_offset"] == list(range(count))
    assert logprobs["token_logprobs"] == [float(value) for value in symbols.log_probabilities]
    for row in (0, 255, 256, 4999):
        expected = {
            vocabulary.decode([symbol]): float(value)
            for symbol, value in zip(
                symbols.alternative_ids[row],
                symbols.alternative_log_probabilities[row],
                strict=True,
            )
        }
        expected[text[row]] = float(symbols.log_probabilities[row])
        assert logprobs["top_logprobs"][row] == expected


def test_a_stream_sends_a_long_echo_in_many_events(server: Server) -> None:
    events = server.events(prompt="ab" * 3000, echo=True, max_tokens=1, logprobs=1)
    lengths = [len(choice["text"]) for event in events for choice in event["choices"]]
    assert sum(lengths) == 6001
    assert max(lengths) <= 256


def test_results_that_nobody_takes_are_kept_in_few_blocks() -> None:
    job = ScoringJob(np.zeros(2, np.int64), 0)
    for number in range(1000):
        one = np.array([number])
        job.add(Symbols(one, -one / 2, one[:, None], -one[:, None] / 2))
    assert len(job.new) <= 10
    ids = np.concatenate([block.ids for block in job.new])
    np.testing.assert_array_equal(ids, np.arange(1000))


@pytest.mark.parametrize("stream", [False, True])
def test_too_many_places_of_unknown_characters_are_refused(server: Server, *, stream: bool) -> None:
    few, many = "aX" * 4096, ["aX" * 2048, "aX" * 2049]
    fields = {"model": "letters", "max_tokens": 1, "on_unknown": "skip", "stream": stream}
    assert server.ask("POST", "/v1/completions", {"prompt": few, **fields})[0] == 200
    status, _, answer = server.ask("POST", "/v1/completions", {"prompt": many, **fields})
    assert status == 400
    assert "at most 4096 places, got 4097" in answer["error"]["message"]


@pytest.mark.parametrize("size, in_a_thread", [(1000, False), (50_000, True)])
def test_long_texts_are_read_outside_the_event_loop(size: int, *, in_a_thread: bool) -> None:
    service = Service(Catalogue([]), ServerSettings())
    for text in ("a" * size, ["a" * (size // 10)] * 10):
        reader = asyncio.run(service.read_text(text, threading.get_ident))
        assert (reader != threading.get_ident()) == in_a_thread
