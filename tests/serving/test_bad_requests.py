"""Invalid requests: each gets its 4xx, and the next valid one its answer."""

import json
from typing import Any

import pytest

from ricorda.serving.guard import Problem
from ricorda.serving.requests import parse
from ricorda.serving.schema import CompletionRequest
from tests.serving.conftest import SYMBOLS, Server

GOOD = {"model": "letters", "prompt": "abc", "max_tokens": 3, "seed": 1}

WRONG_VALUES: dict[str, list[Any]] = {
    "model": [None, 1, True, [], {}, ["letters"], "x" * 201],
    "prompt": [
        *(1, True, {}, 1.5, [], [[1], "a"], ["a", 1], [1.5], [-1], [[-1]], [True], [None]),
        *([[[1]]], [2**31], [10**30], [33], [[0, 33]], {"a": 1}, ["a", None]),
    ],
    "max_tokens": ["16", -1, 1.5, True, [], {}, 10**9, 2**63, 4097],
    "n": [0, -1, "1", 1.5, True, [], 17, 10**20],
    "best_of": [0, -1, "1", 1.5, 17, []],
    "temperature": ["1", -0.1, 2.1, True, [], {}, 1e308],
    "top_p": ["1", -0.1, 1.1, True, []],
    "top_k": ["1", -1, 1.5, True, [], 2**40],
    "min_p": ["0", -0.1, 1.1, True, []],
    "stop": [1, True, {}, "", [""], ["a", 1], ["a"] * 33, "x" * 2000, [[]]],
    "logprobs": [-1, 34, "1", 1.5, True, [], 2**31],
    "echo": [1, "true", [], {}],
    "seed": ["1", 1.5, True, [], 2**63, -(2**63) - 1],
    "stream": [1, "true", [], {}],
    "stream_options": [1, True, [], {"include_usage": 1}, {"other": True}, {"include_usage": True}],
    "logit_bias": [
        *(1, True, [], {"a": 1}, {"1": "1"}, {"1": 101}, {"1": -101}, {"-1": 1}, {"1.0": 1}),
        *({"01": 1}, {"33": 1}, {"1": None}, {"9" * 11: 1}, {"": 1}),
    ],
    "presence_penalty": ["1", -2.1, 2.1, True, []],
    "frequency_penalty": ["1", -2.1, 2.1, True, []],
    "suffix": ["x", 1, True, []],
    "user": [1, True, [], "x" * 201],
    "return_token_ids": [1, "true", []],
    "on_unknown": ["ignore", 1, True, []],
    "messages": [[{"role": "user", "content": "hello"}]],
    "label": ["Italian", "", 1, [], "x" * 201],
    "repetition_penalty": [0, -1, "1.1", True, [], 101],
    "repetition_window": [0, -1, 1.5, "64", 4097],
    "allowed": ["", 1, [], "Z", "x" * 1025],
    "banned": ["", 1, [], SYMBOLS, "x" * 1025],
    "banned_word": ["", 1, [""], ["a"] * 33, ["a" * 100, "b" * 29], "x" * 201],
    "greedy": [True],
    "__proto__": [{"admin": True}],
}
FIELDS = [(name, value) for name, values in WRONG_VALUES.items() for value in values]

DEEP = b"[" * 100_000 + b"]" * 100_000
SURROGATE = json.dumps({"model": "letters", "prompt": "\ud800"}).encode()
BODIES = {
    "nothing": b"",
    "a space": b" ",
    "no JSON": b"prompt=abc",
    "half": b'{"model": "letters", "prompt": "ab',
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "text": b'"abc"',
    "empty": b"{}",
    "two objects": b"{}{}",
    "a comma too many": b'{"model": "letters",}',
    "single quotes": b"{'model': 'letters'}",
    "comment": b'{"model": "letters" /* a */}',
    "twice": b'{"model": "letters", "model": "bytes"}',
    "NaN": b'{"model": "letters", "temperature": NaN}',
    "infinity": b'{"model": "letters", "temperature": Infinity}',
    "minus infinity": b'{"model": "letters", "top_p": -Infinity}',
    "too large a float": b'{"model": "letters", "temperature": 1e999}',
    "a very long number": b'{"model": "letters", "seed": ' + b"9" * 10_000 + b"}",
    "deep lists": DEEP,
    "deep prompt": b'{"model": "letters", "prompt": ' + DEEP + b"}",
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "not UTF-8": b'{"model": "letters", "prompt": "\xff\xfe"}',
    "Latin-1": '{"model": "letters", "prompt": "è"}'.encode("latin-1"),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "UTF-32": json.dumps(GOOD).encode("utf-32"),
    "BOM": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "overlong UTF-8": b'{"model": "letters", "prompt": "\xc0\xaf"}',
    "a zero byte": b'{"model": "letters", "prompt": "\x00"}',
    "lone surrogate": SURROGATE,
    "lone surrogate as a key": b'{"model": "letters", "\\ud800": 1}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "too large": b'{"prompt": "' + b"a" * (1 << 20) + b'"}',
    "control character": b'{"model": "letters", "prompt": "\x01"}',
}
STATUS = {"too large": 413}

PATHS = [
    *("/", "/v1", "/v1/", "/v1/completion", "/v1/chat/completions", "/v1/models/", "/health/"),
    *("/v1/models/../../etc/passwd", "/v1/models/..%2f..%2fetc%2fpasswd", "/v1/models/%00"),
    *("/v1/models/letters/../bytes", "/..", "/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"),
    *("//etc/passwd", "/v1/models/letters%0d%0aX:1", "/v1/models/" + "a" * 1000, "/index.php"),
    *("/v1/models/%ff", "/v1/models/file:///etc/passwd", "/.git/config", "/v1/models/letters;a"),
]
METHODS = [
    *(("GET", "/v1/completions"), ("PUT", "/v1/completions"), ("DELETE", "/v1/models/letters")),
    *(("POST", "/v1/models"), ("POST", "/health"), ("PATCH", "/tokenize"), ("GET", "/tokenize")),
    *(("TRACE", "/health"), ("OPTIONS", "/v1/completions"), ("BREW", "/health")),
]

HOST = b"Host: localhost\r\n"
POST = b"POST /v1/completions HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
BODY = json.dumps(GOOD).encode()
CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"

RAW: dict[str, tuple[int, bytes]] = {
    "length and chunked": (400, POST + LENGTH + CHUNKED + b"\r\n" + CHUNK),
    "chunked and length": (400, POST + CHUNKED + LENGTH + b"\r\n" + CHUNK),
    "two lengths": (400, POST + LENGTH + b"Content-Length: 3\r\n\r\n" + BODY),
    "lengths in a list": (400, POST + b"Content-Length: 3, 4\r\n\r\n" + BODY),
    "equal lengths in a list": (
        400,
        POST + b"Content-Length: %d, %d\r\n\r\n" % (len(BODY), len(BODY)) + BODY,
    ),
    "two equal lengths": (400, POST + LENGTH + LENGTH + b"\r\n" + BODY),
    "a folded length": (400, POST + LENGTH + b" 1\r\n\r\n" + BODY),
    "a folded header": (400, POST + b"X: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY),
    "a header folded by a tab": (400, POST + b"X: a\r\n\tb\r\n" + LENGTH + b"\r\n" + BODY),
    "bare line feed in a trailer": (
        400,
        POST + CHUNKED + b"\r\n" + CHUNK[:-2] + b"X: a\nY: b\r\n\r\n",
    ),
    "trailers that end in bare line feeds": (
        400,
        POST + CHUNKED + b"\r\n" + CHUNK[:-2] + b"X: a\n\n",
    ),
    "a bare line feed for no trailers": (400, POST + CHUNKED + b"\r\n" + CHUNK[:-2] + b"\n"),
    "a length in a trailer twice": (
        400,
        POST + CHUNKED + b"\r\n" + CHUNK[:-2] + LENGTH + LENGTH + b"\r\n",
    ),
    "bare carriage return in a chunk's size": (
        400,
        POST + CHUNKED + b"\r\n1;a\rb\r\n{\r\n0\r\n\r\n",
    ),
    "bare line feed after a chunk's size": (
        400,
        POST + CHUNKED + b"\r\n" + CHUNK.replace(b"\r\n", b"\n", 1),
    ),
    "space before a coding's colon": (
        400,
        POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNK,
    ),
    "negative length": (400, POST + b"Content-Length: -1\r\n\r\n" + BODY),
    "length with a sign": (400, POST + b"Content-Length: +3\r\n\r\n" + BODY),
    "length in hex": (400, POST + b"Content-Length: 0x10\r\n\r\n" + BODY),
    "length that is text": (400, POST + b"Content-Length: many\r\n\r\n" + BODY),
    "huge length": (413, POST + b"Content-Length: 99999999999999999\r\n\r\n"),
    "length of 10,000 digits": (400, POST + b"Content-Length: " + b"9" * 10_000 + b"\r\n\r\n"),
    "chunked twice": (400, POST + CHUNKED + CHUNKED + b"\r\n" + CHUNK),
    "identity": (400, POST + b"Transfer-Encoding: identity\r\n\r\n" + BODY),
    "gzip, chunked": (400, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNK),
    "xchunked": (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNK),
    "chunked by a tab": (400, POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + CHUNK),
    "space before the colon": (400, POST + b"Content-Length : 5\r\n\r\n" + BODY),
    "chunk of no number": (400, POST + CHUNKED + b"\r\nzz\r\nabc\r\n0\r\n\r\n"),
    "chunk of a negative number": (400, POST + CHUNKED + b"\r\n-1\r\nabc\r\n0\r\n\r\n"),
    "chunk of a huge number": (400, POST + CHUNKED + b"\r\n" + b"f" * 40 + b"\r\n"),
    "chunk longer than it says": (400, POST + CHUNKED + b"\r\n1\r\nabc\r\n0\r\n\r\n"),
    "chunked in HTTP/1.0": (400, POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + CHUNK),
    "bare line feeds": (400, (POST + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY),
    "one bare line feed": (400, POST + b"X: a\nY: b\r\n" + LENGTH + b"\r\n" + BODY),
    "bare carriage return": (400, POST + b"X: a\rY: b\r\n" + LENGTH + b"\r\n" + BODY),
    "a zero byte in a header": (400, POST + b"X: a\x00b\r\n" + LENGTH + b"\r\n" + BODY),
    "a header without a name": (400, POST + b": a\r\n" + LENGTH + b"\r\n" + BODY),
    "a header without a colon": (400, POST + b"X\r\n" + LENGTH + b"\r\n" + BODY),
    "a folded first header": (400, b"GET /health HTTP/1.1\r\n " + HOST + b"\r\n"),
    "no Host": (400, b"GET /health HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, b"GET /health HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n"),
    "an empty Host": (400, b"GET /health HTTP/1.1\r\nHost:\r\n\r\n"),
    "a Host with a path": (400, b"GET /health HTTP/1.1\r\nHost: localhost/x\r\n\r\n"),
    "a Host with a user": (400, b"GET /health HTTP/1.1\r\nHost: a@localhost\r\n\r\n"),
    "another Host": (403, b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    "a rebound Host": (403, b"GET /v1/models HTTP/1.1\r\nHost: evil.example:8000\r\n\r\n"),
    "an address elsewhere": (403, b"GET /v1/models HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"),
    "a name like ours": (403, b"GET /health HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n"),
    "another Origin": (403, POST + b"Origin: http://evil.example\r\n" + LENGTH + b"\r\n" + BODY),
    "no Origin": (403, POST + b"Origin: null\r\n" + LENGTH + b"\r\n" + BODY),
    "Origin on another port": (403, POST + b"Origin: http://localhost:1\r\n\r\n"),
    "a target elsewhere": (403, b"GET http://evil.example/health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a target without a slash": (404, b"GET health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "CONNECT": (404, b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a long target": (414, b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a long query": (414, b"GET /health?" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a long header": (431, POST + b"X: " + b"a" * 20_000 + b"\r\n\r\n"),
    "a longer header": (431, POST + b"X: " + b"a" * 200_000),
    "many headers": (431, POST + b"".join(b"X%d: a\r\n" % i for i in range(100)) + b"\r\n"),
    "a method in lower case": (405, b"get /health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "HTTP/0.9": (400, b"GET /health\r\n\r\n"),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/9": (400, b"GET /health HTTP/9.9\r\n" + HOST + b"\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "noise": (400, bytes(range(256)) + b"\r\n\r\n"),
    "a space before the method": (400, b" GET /health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "two spaces": (400, b"GET  /health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a target of no ASCII": (400, "GET /è HTTP/1.1\r\n".encode() + HOST + b"\r\n"),
    "no type": (415, POST.replace(b"Content-Type", b"X") + LENGTH + b"\r\n" + BODY),
    "a compressed body": (415, POST + b"Content-Encoding: gzip\r\n" + LENGTH + b"\r\n" + BODY),
    "a form": (415, POST.replace(b"application/json", b"text/plain") + LENGTH + b"\r\n" + BODY),
}


def well(server: Server) -> bool:
    """Whether a good request is answered as ever."""
    status, _, answer = server.ask("POST", "/v1/completions", GOOD)
    return status == 200 and len(answer["choices"][0]["text"]) == 3


@pytest.mark.parametrize("name, value", FIELDS, ids=lambda part: repr(part)[:40])
def test_wrong_values_are_reported_with_their_field(server: Server, name: str, value: Any) -> None:
    status, _, answer = server.ask("POST", "/v1/completions", GOOD | {name: value})
    error = answer["error"]
    if (name, value) == ("model", "x" * 201):
        assert status in (400, 404)
    assert status == 400
    assert error["param"].split(".")[0] == name
    assert error["type"] == "invalid_request_error"
    assert name in error["message"]
    assert len(error["message"]) < 500
    assert well(server)


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_no_request(server: Server, name: str) -> None:
    status, _, answer = server.ask("POST", "/v1/completions", BODIES[name])
    assert status == STATUS.get(name, 400), answer
    assert 10 < len(answer["error"]["message"]) < 500
    assert well(server)


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_lead_nowhere(server: Server, path: str) -> None:
    answer = server.say(b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 404 "), answer
    assert b"root:" not in answer
    assert well(server)


@pytest.mark.parametrize("method, path", METHODS)
def test_methods_that_a_path_does_not_take(server: Server, method: str, path: str) -> None:
    status, headers, answer = server.ask(method, path)
    assert status == 405
    assert headers["allow"]
    assert "method" in answer["error"]["message"]


@pytest.mark.parametrize("name", RAW)
def test_bytes_that_are_no_http(server: Server, name: str) -> None:
    expected, content = RAW[name]
    answer = server.say(content)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % expected), answer
    assert json.loads(body)["error"]["message"]
    assert well(server)


def test_there_are_150_of_them() -> None:
    assert len(FIELDS) + len(BODIES) + len(PATHS) + len(METHODS) + len(RAW) >= 250


def test_a_second_request_in_the_same_bytes_is_no_smuggler(server: Server) -> None:
    good = POST + LENGTH + b"\r\n" + BODY
    with server.connect() as connection:
        connection.sendall(good + b"GET /health HTTP/1.1\nHost: localhost\n\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.count(b"HTTP/1.1 400 ") == 1
    assert b'"ok"' not in answer


def test_strict_lines_leave_good_requests_alone(server: Server) -> None:
    extended = CHUNK.replace(b"\r\n", b";a=b\r\n", 1)[:-2] + b"X-Checksum: 1\r\n\r\n"
    content = POST + CHUNKED + b"Connection: close\r\n\r\n" + extended
    with server.connect() as connection:
        for byte in content:
            connection.sendall(bytes([byte]))
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_pipelined_good_requests_are_answered_in_order(server: Server) -> None:
    two = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
    last = b"GET /ready HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(two + two + last)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.index(b'"ok"') < answer.index(b'"ready"')


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"colour": 1}, "colour is not a field of this request: leave it out"),
        ({"stream_options": {"colour": 1}}, "stream_options.colour is not a field of this request"),
        ({"model": None}, "model must be text of at most 200 characters"),
        ({"n": 0}, "n must be at least 1"),
    ],
)
def test_the_error_names_what_was_expected(changes: dict[str, Any], expected: str) -> None:
    content = json.dumps(GOOD | changes).encode()
    with pytest.raises(Problem) as refused:
        parse(content, CompletionRequest, len(content))
    assert refused.value.message.startswith(expected)


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(Problem) as refused:
        parse(b"{}", CompletionRequest, 2)
    assert refused.value.message == "model must be given"
