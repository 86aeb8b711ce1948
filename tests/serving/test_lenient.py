"""`--lenient`: which unknown fields are ignored, counted and logged, and which are refused."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.conftest import Server, running


@pytest.fixture(scope="module")
def lenient(models: dict[str, Path]) -> Iterator[Server]:
    with running(models, lenient=True) as server:
        yield server


def counted(server: Server) -> float:
    """Return the metric of ignored fields."""
    found = re.search(
        rb"^ricorda_ignored_fields_total (\S+)$", server.ask("GET", "/metrics")[2], re.MULTILINE
    )
    assert found is not None
    return float(found[1])


def test_ignored_fields_are_counted_and_logged_once(
    models: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ricorda.serving")
    with running(models, lenient=True) as server:
        assert counted(server) == 0
        for _ in range(3):
            server.complete(store=True, metadata={"a": 1})
        server.ask("POST", "/tokenize", {"model": "letters", "prompt": "a", "store": 1})
        assert counted(server) == 7
    said = [record.getMessage() for record in caplog.records]
    ignored = [each for each in said if each.startswith("ignored the unknown field")]
    assert len(ignored) == 2
    assert "store of a request to /v1/completions" in ignored[0]
    assert "metadata" in ignored[1]


def test_the_log_of_many_names_is_bounded(
    lenient: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ricorda.serving")
    for group in range(5):
        lenient.complete(**{f"x{group}{number}\n": 1 for number in range(30)})
    said = [each.getMessage() for each in caplog.records if "ignored" in each.getMessage()]
    assert 32 < len(said) <= 64
    assert not any("\n" in each for each in said)


def test_a_name_that_is_no_unicode_is_ignored(lenient: Server) -> None:
    body = b'{"model":"letters","prompt":"abc","max_tokens":3,"\\ud800":1}'
    head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\n"
    connection = lenient.connect()
    connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
    answer = b""
    while part := connection.recv(65536):
        answer += part
    connection.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"x-ricorda-ignored: %3F\r\n" in answer


CHANGES_THE_TEXT: list[tuple[str, Any]] = [
    ("tools", [{"type": "function"}]),
    ("tool_choice", "required"),
    ("response_format", {"type": "json_object"}),
    ("messages", [{"role": "user", "content": "a"}]),
    ("guided_regex", "a+"),
    ("grammar", 'root ::= "a"'),
    ("min_tokens", 5),
    ("ignore_eos", True),
    ("stop_token_ids", [1]),
    ("length_penalty", 2.0),
    ("typical_p", 0.5),
    ("best_of", 17),
    ("suffix", "end"),
]


@pytest.mark.parametrize("name, value", CHANGES_THE_TEXT, ids=str)
def test_fields_that_change_the_text_are_refused(lenient: Server, name: str, value: Any) -> None:
    status, error = lenient.refused(**{name: value})
    assert (status, error["param"]) == (400, name)
    assert name in error["message"]


ASKS_FOR_NOTHING: list[tuple[str, Any]] = [
    ("tools", None),
    ("tools", []),
    ("tool_choice", "auto"),
    ("response_format", {"type": "text"}),
    ("min_tokens", 0),
    ("ignore_eos", False),
    ("length_penalty", 1.0),
]


@pytest.mark.parametrize("name, value", ASKS_FOR_NOTHING, ids=str)
def test_they_are_ignored_where_they_ask_for_nothing(
    lenient: Server, name: str, value: Any
) -> None:
    assert lenient.text(seed=1, **{name: value}) == lenient.text(seed=1)


def test_without_the_option_each_is_refused_by_name(server: Server) -> None:
    status, error = server.refused(tools=[])
    assert (status, error["param"]) == (400, "tools")
