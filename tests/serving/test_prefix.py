"""Behind a proxy: a prefix that it removes or passes on, its name, and who is still refused."""

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ricorda.errors import ConfigurationError
from ricorda.serving.prefix import root_path
from tests.serving.conftest import Server, running

PREFIX = "/user/jo%40home/proxy/8000"
NAME = "hub.example.org"


@pytest.fixture(scope="module")
def behind(models: dict[str, Path]) -> Iterator[Server]:
    with running(models, root_path=PREFIX + "/", allow_host=[NAME, f"{NAME}:8443"]) as server:
        yield server


@pytest.mark.parametrize("prefix", ["", PREFIX, PREFIX.replace("%40", "@")])
def test_paths_with_the_prefix_and_without_it_are_served(behind: Server, prefix: str) -> None:
    status, _, answer = behind.ask("GET", f"{prefix}/v1/models")
    assert (status, answer["data"][0]["id"]) == (200, "letters")
    body = {"model": "letters", "prompt": "abc", "seed": 1}
    status, _, answer = behind.ask("POST", f"{prefix}/v1/completions", body)
    assert (status, answer["choices"][0]["text"]) == (200, behind.text(seed=1))
    assert behind.ask("GET", f"{prefix}/docs")[0] == 200


@pytest.mark.parametrize(
    "path", ["/user/jo%40home", PREFIX + "s/v1/models", "/x" + PREFIX + "/v1/models", PREFIX * 2]
)
def test_other_paths_are_not(behind: Server, path: str) -> None:
    assert behind.ask("GET", path)[0] == 404


def test_the_prefix_without_a_slash_leads_to_the_one_with_it(behind: Server) -> None:
    status, headers, _ = behind.ask("GET", f"{PREFIX}?a=1")
    assert (status, headers["location"]) == (307, "8000/?a=1")


def test_the_prefix_is_in_the_description(behind: Server, server: Server) -> None:
    description = behind.ask("GET", "/openapi.json")[2]
    assert description["servers"] == [{"url": PREFIX}]
    assert "servers" not in server.ask("GET", "/openapi.json")[2]
    assert b'href="/' not in behind.ask("GET", "/docs")[2]


@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_a_target_may_be_a_whole_address(behind: Server, prefix: str) -> None:
    name = NAME.encode()
    head = b"GET http://" + name + f"{prefix}/v1/models".encode() + b"?a=1 HTTP/1.1\r\n"
    assert behind.say(head + b"Host: other.example\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    status, _, _ = behind.ask("GET", f"HTTP://{NAME}{prefix}/nowhere")
    assert status == 404


HEADERS: list[tuple[dict[str, str], int]] = [
    ({"Host": NAME}, 200),
    ({"Host": f"{NAME}:1234"}, 200),
    ({"Host": NAME.upper(), "Origin": f"https://{NAME}"}, 200),
    ({"Origin": f"https://{NAME}"}, 200),  # the proxy has replaced the Host
    ({"Origin": f"https://{NAME}:8443"}, 200),
    ({"Origin": f"https://{NAME}:9999"}, 403),
    ({"Origin": f"https://evil.{NAME}"}, 403),
    ({"Origin": f"ftp://{NAME}"}, 403),
    ({"Origin": "null"}, 403),
    ({"Host": "evil.example"}, 403),
    ({"Host": f"evil.{NAME}"}, 403),
    ({"Host": NAME, "Origin": "https://evil.example"}, 403),
]


@pytest.mark.parametrize("headers, status", HEADERS, ids=str)
@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_the_proxys_name_is_allowed_and_no_other(
    behind: Server, prefix: str, headers: dict[str, str], status: int
) -> None:
    assert behind.ask("GET", f"{prefix}/v1/models", headers=headers)[0] == status


def test_limits_and_keys_hold_below_the_prefix(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RICORDA_API_KEY", "a-key-of-some-length")
    with running(models, root_path=PREFIX, max_body=100) as server:
        assert server.ask("GET", f"{PREFIX}/health")[0] == 200  # needs no key
        assert server.ask("GET", f"{PREFIX}/v1/models")[0] == 401
        key = {"Authorization": "Bearer a-key-of-some-length"}
        body = {"model": "letters", "prompt": "a" * 100}
        assert server.ask("POST", f"{PREFIX}/v1/completions", body, key)[0] == 413


@pytest.mark.parametrize(
    "given, expected", [("", ""), ("/", ""), ("/a", "/a"), ("/a/b-c_d~1/", "/a/b-c_d~1")]
)
def test_prefixes(given: str, expected: str) -> None:
    assert root_path(given) == expected


@pytest.mark.parametrize("given", ["a", "//", "/a//b", "https://x/a", "/a?b", "/a b", "/a\n"])
def test_what_is_no_prefix_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--root-path: expected a path such as"):
        root_path(given)


@pytest.mark.parametrize("given", ["https://x", "x/y", "x:y", "a b", "", "x:"])
def test_what_is_no_host_is_refused(serve: Callable[..., Any], given: str) -> None:
    with pytest.raises(ConfigurationError, match="--allow-host"), serve(allow_host=[given]):
        pass


def test_the_length_of_a_path_counts_the_prefix_away(behind: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", behind.port, timeout=60)
    connection.request("GET", f"{PREFIX}/{'a' * 3000}")
    assert connection.getresponse().status == 414
    connection.close()
