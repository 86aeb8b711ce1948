"""Which requests are admitted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ricorda.errors import ConfigurationError
from ricorda.serving.host import bind, is_loopback
from ricorda.serving.settings import read_keys
from tests.serving.conftest import Server

Serve = Callable[..., Any]
KEY, OTHER = "a-key-of-some-length", "another-key-of-some-length"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# ours\n{KEY}\n\n{OTHER}\n")
    return path


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_opens_every_route_and_health_needs_none(serve: Serve, keys: Path) -> None:
    with serve(api_key_file=keys) as server:
        for path in ("/v1/models", "/ready", "/metrics", "/docs", "/openapi.json", "/nowhere"):
            for headers in ({}, bearer("wrong"), {"Authorization": f"Basic {KEY}"}, bearer("")):
                status, found, answer = server.ask("GET", path, headers=headers)
                assert status == 401, path
                assert found["www-authenticate"] == "Bearer"
                assert answer["error"]["code"] == "invalid_api_key"
                assert KEY not in str(answer)
            for key in (KEY, OTHER):
                assert server.ask("GET", path, headers=bearer(key))[0] in (200, 404)
        assert server.ask("GET", "/health")[0] == 200
        body = {"model": "letters", "prompt": "abc"}
        assert server.ask("POST", "/v1/completions", body)[0] == 401
        assert server.ask("POST", "/v1/completions", body, bearer(KEY))[0] == 200


def test_one_header_of_authorization_is_expected(serve: Serve, keys: Path) -> None:
    head = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
    line = f"Authorization: Bearer {KEY}\r\n".encode()
    with serve(api_key_file=keys) as server:
        assert server.say(head + line + b"\r\n").startswith(b"HTTP/1.1 200 ")
        assert server.say(head + line * 2 + b"\r\n").startswith(b"HTTP/1.1 401 ")
        other = f"Authorization: Bearer {OTHER}\r\n".encode()
        assert server.say(head + line + other + b"\r\n").startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("source", ["file", "environment"])
def test_keys_have_at_least_16_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.delenv("RICORDA_API_KEY", raising=False)
    path = tmp_path / "keys"

    def read(key: str) -> list[str]:
        if source == "environment":
            monkeypatch.setenv("RICORDA_API_KEY", key)
            return read_keys(None)
        path.write_text(key)
        return read_keys(path)

    for length in (1, 8, 15):
        with pytest.raises(ConfigurationError, match="at least 16 ASCII characters"):
            read("k" * length)
    assert read("k" * 16) == ["k" * 16]


def test_keys_are_read_again_with_the_models(serve: Serve, keys: Path) -> None:
    from tests.serving.conftest import eventually

    with serve(api_key_file=keys) as server:
        loop = server.service.catalogue._loop
        keys.write_text("a-new-key-of-some-length\n")
        loop.call_soon_threadsafe(server.service.reload)
        new = bearer("a-new-key-of-some-length")
        assert eventually(lambda: server.ask("GET", "/v1/models", headers=new)[0] == 200)
        assert server.ask("GET", "/v1/models", headers=bearer(KEY))[0] == 401
        keys.write_text("")
        loop.call_soon_threadsafe(server.service.reload)  # no key left: the last ones stay
        assert server.ask("GET", "/v1/models", headers=new)[0] == 200


def test_other_machines_need_a_key(
    serve: Serve, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RICORDA_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="needs an API key"), serve(host="0.0.0.0"):
        pass
    monkeypatch.setenv("RICORDA_API_KEY", KEY)
    with serve(host="0.0.0.0") as server:
        assert server.ask("GET", "/v1/models", headers=bearer(KEY))[0] == 200
        elsewhere = bearer(KEY) | {"Host": "192.0.2.7:8000"}
        assert server.ask("GET", "/v1/models", headers=elsewhere)[0] == 200
        rebound = bearer(KEY) | {"Host": "evil.example"}
        assert server.ask("GET", "/v1/models", headers=rebound)[0] == 403


@pytest.mark.parametrize("content", ["", "# only a comment\n", "short\n", "with a space in it\n"])
def test_keys_that_are_none_are_reported(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as error:
        read_keys(path)
    assert "short" not in str(error.value)
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_keys(tmp_path / "missing")


def test_names_and_sites_that_are_allowed(serve: Serve) -> None:
    with serve(allow_host=["Models.Example"], allow_origin=["https://page.example/"]) as server:
        there = {"Host": "models.example:443"}
        assert server.ask("GET", "/health", headers=there)[0] == 200
        page = {"Origin": "https://page.example"}
        status, headers, _ = server.ask("GET", "/health", headers=page)
        assert (status, headers["access-control-allow-origin"]) == (200, "https://page.example")
        asks = page | {"Access-Control-Request-Method": "POST"}
        status, headers, _ = server.ask("OPTIONS", "/v1/completions", headers=asks)
        assert status == 204
        assert "authorization" in headers["access-control-allow-headers"]
        wrong = {"Origin": "https://page.example.evil"}
        assert server.ask("GET", "/health", headers=wrong)[0] == 403


def test_no_site_is_allowed_unless_asked(server: Server) -> None:
    asks = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    status, headers, _ = server.ask("OPTIONS", "/v1/completions", headers=asks)
    assert status == 403
    assert not [name for name in headers if name.startswith("access-control")]
    own = {"Origin": server.url.replace("127.0.0.1", "localhost")}
    own["Host"] = own["Origin"].removeprefix("http://")
    assert server.ask("GET", "/health", headers=own)[0] == 200


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.0.2.1", "example.org", "")))


def test_an_address_that_is_taken_is_reported() -> None:
    taken = bind("127.0.0.1", 0)
    try:
        with pytest.raises(ConfigurationError, match="cannot listen on 127"):
            bind("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="cannot listen"):
            bind("192.0.2.1", 0)
        for host in ("models..org", ".local", "a" * 64):
            with pytest.raises(ConfigurationError, match="cannot listen"):
                bind(host, 0)
        with pytest.raises(ConfigurationError, match="a port from 0 to 65535, got 70000"):
            bind("127.0.0.1", 70000)
    finally:
        taken.close()


def test_a_key_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("0123456789abcdef\n", encoding="utf-8-sig")
    assert read_keys(path) == ["0123456789abcdef"]
