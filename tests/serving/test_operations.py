"""Operating a server: starting, reloading, stopping, logging, and what its clients see."""

import json
import logging
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ricorda
from ricorda.text.vocabulary import CharacterVocabulary
from tests.serving.conftest import SYMBOLS, Command, Server, eventually, write_model
from tests.serving.load import request

Serve = Callable[..., Any]
LONG = {"model": "letters", "prompt": "abc", "max_tokens": 4096, "seed": 1, "temperature": 1}


def other_model(path: Path) -> Path:
    """A model of the same symbols that writes another text."""
    vocabulary = CharacterVocabulary("".join(sorted(SYMBOLS)), "\n")
    return write_model(path, vocabulary, seed=2)


def begin(server: Server, **fields: Any) -> socket.socket:
    """Send a request for a long text and read none of it."""
    connection = server.connect()
    connection.sendall(request(LONG | fields))
    return connection


def is_answered(connection: socket.socket) -> bool:
    """Whether an answer has begun to arrive."""
    return bool(select.select([connection], [], [], 0)[0])


def running(server: Server) -> int:
    return int(server.service.admission.running)


@pytest.fixture
def slow(serve: Serve, tmp_path: Path) -> Iterator[Server]:
    """A server whose one model takes its time."""
    vocabulary = CharacterVocabulary("".join(sorted(SYMBOLS)), "\n")
    path = write_model(tmp_path / "slow.safetensors", vocabulary, hidden_size=384, num_layers=3)
    with serve(
        {"letters": path}, precision="float32", max_streams=4, max_queue=8, max_tokens=10**6
    ) as server:
        yield server


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_place(slow: Server, stream: bool) -> None:
    connections = [begin(slow, stream=stream, max_tokens=10**6) for _ in range(6)]
    assert eventually(lambda: running(slow) == 4)
    assert eventually(lambda: slow.service.admission.waiting == 2)
    for connection in connections:
        connection.close()
    assert eventually(lambda: running(slow) == slow.service.admission.waiting == 0)
    worker = slow.service.catalogue.get("letters").worker
    assert eventually(lambda: len(worker._session) == 0)
    assert slow.text(max_tokens=3)


def test_a_new_text_need_not_wait_for_those_that_run(slow: Server) -> None:
    others = [begin(slow, stream=True, max_tokens=10**6) for _ in range(3)]
    assert eventually(lambda: running(slow) == 3)
    assert slow.text(max_tokens=2)
    prompt = "abc" * 500
    assert slow.text(max_tokens=2, prompt=prompt)
    assert running(slow) == 3  # they still write
    for other in others:
        other.close()


def test_ten_times_the_queue_loses_nothing_that_was_accepted(slow: Server) -> None:
    expected = slow.text(max_tokens=60, seed=1)
    connections = [begin(slow, max_tokens=60) for _ in range(120)]
    answers = [read_all(connection) for connection in connections]
    kinds = [answer[9:12] for answer in answers]
    assert set(kinds) <= {b"200", b"429", b"503"}
    assert kinds.count(b"200") >= 12
    for kind, answer in zip(kinds, answers, strict=True):
        head, _, body = answer.partition(b"\r\n\r\n")
        if kind == b"200":
            assert json.loads(body)["choices"][0]["text"] == expected
        else:
            assert b"\r\nretry-after: " in head
    assert slow.text(max_tokens=60, seed=1) == expected


def read_all(connection: socket.socket) -> bytes:
    """Read one answer with a Content-Length."""
    answer = b""
    with connection:
        while part := connection.recv(65536):
            answer += part
            head, _, body = answer.partition(b"\r\n\r\n")
            lengths = [line for line in head.split(b"\r\n") if line.startswith(b"content-length")]
            if lengths and len(body) >= int(lengths[0].split()[1]):
                break
    return answer


def test_a_request_has_its_time(serve: Serve, slow: Server, models: dict[str, Path]) -> None:
    place = slow.service.catalogue._sources["letters"].path
    limits = {"request_seconds": 0.6, "max_tokens": 10**6, "precision": "float32"}
    with serve({"letters": place}, **limits) as server:
        status, error = server.refused(max_tokens=10**6)
        assert (status, error["code"]) == (503, "cut_off")
        events = server.events(max_tokens=10**6)
        assert events[-1]["choices"][0]["finish_reason"] == "length"
        assert eventually(lambda: running(server) == 0)


LIMITS: list[tuple[dict[str, Any], dict[str, Any], int]] = [
    ({"max_prompt": 5}, {"prompt": "abcdef"}, 400),
    ({"max_prompts": 2}, {"prompt": ["a", "b", "c"]}, 400),
    ({"max_tokens": 5}, {"max_tokens": 6}, 400),
    ({"max_n": 2}, {"n": 3}, 400),
    ({"max_body": 100}, {"prompt": "a" * 100}, 413),
    ({"max_streams": 1, "max_queue": 1}, {"n": 3}, 503),
    ({"max_streams_per_client": 1, "max_queue_per_client": 1}, {"n": 3}, 429),
]


@pytest.mark.parametrize("settings, fields, status", LIMITS)
def test_each_limit_has_its_error(
    serve: Serve, settings: dict[str, Any], fields: dict[str, Any], status: int
) -> None:
    with serve(**settings) as server:
        assert server.text(prompt="ab", max_tokens=3)
        assert server.refused(**fields)[0] == status
        assert server.text(prompt="ab", max_tokens=3)


def test_heads_have_their_time(serve: Serve) -> None:
    with serve(head_seconds=1) as server, server.connect() as silent:
        assert server.say(b"GET /health HT").startswith(b"HTTP/1.1 408 ")
        assert silent.recv(1) == b""  # nothing was asked: closed without a word


def test_bodies_and_idle_connections_have_their_time(serve: Serve) -> None:
    with serve(body_seconds=0.05, idle_seconds=0.05) as server:
        assert server.say(request(LONG)[:-5]).startswith(b"HTTP/1.1 408 ")
        with server.connect() as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
            assert answer.endswith(b'{"status":"ok"}')
        assert eventually(lambda: server.host.connections == 0)


def test_a_reader_that_takes_nothing_is_dropped(serve: Serve) -> None:
    with serve(stalled_seconds=0.1, max_n=16) as server:
        connection = server.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        fields = {"stream": True, "n": 16, "logprobs": 5, "max_tokens": 4096}
        connection.sendall(request(LONG | fields))
        assert eventually(lambda: is_answered(connection))
        assert eventually(lambda: server.host.connections == 0)
        assert eventually(lambda: running(server) == 0)
        connection.close()
        assert server.text(max_tokens=3)


def test_of_too_many_connections_those_without_a_request_are_closed(serve: Serve) -> None:
    with serve(max_connections=4) as server:
        idle = [server.connect() for _ in range(10)]
        assert eventually(lambda: server.host.connections <= 4)
        assert server.text(max_tokens=3)
        for connection in idle:
            connection.close()
        assert eventually(lambda: server.host.connections == 0)


def test_busy_connections_stay_and_the_next_is_reported(slow: Server, serve: Serve) -> None:
    place = slow.service.catalogue._sources["letters"].path
    with serve(
        {"letters": place}, max_connections=2, max_tokens=10**6, precision="float32"
    ) as server:
        busy = [begin(server, max_tokens=10**6) for _ in range(2)]
        assert eventually(lambda: running(server) == 2)
        assert server.say(b"").startswith(b"HTTP/1.1 503 ")
        assert running(server) == 2
        for connection in busy:
            connection.close()


def test_a_replaced_file_is_read_while_texts_continue(serve: Serve, tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary("".join(sorted(SYMBOLS)), "\n")
    path = write_model(tmp_path / "served.safetensors", vocabulary, hidden_size=256, num_layers=2)
    new = other_model(tmp_path / "new.safetensors")
    settings = {"watch_seconds": 0.02, "max_tokens": 10**6, "precision": "float32"}
    with serve({"letters": path}, **settings) as server:
        old = server.complete(seed=1, max_tokens=1000)
        running_text = begin(server, max_tokens=1000)
        assert eventually(lambda: running(server) == 1 or is_answered(running_text))
        new.replace(path)
        assert eventually(lambda: fingerprint(server) != old["system_fingerprint"])
        expected = ricorda.load(path).generate("abc", length=16, seed=1, temperature=1.0)
        assert server.text(seed=1) == expected
        body = json.loads(read_all(running_text).partition(b"\r\n\r\n")[2])
        assert body["choices"][0]["text"] == old["choices"][0]["text"]
        assert body["system_fingerprint"] == old["system_fingerprint"]
        before = fingerprint(server)
        path.write_bytes(b"no model")  # the last good one stays
        reloads = server.service.metrics.reloads.labels("letters", "failed")
        assert eventually(lambda: reloads._value.get() >= 1)
        assert fingerprint(server) == before
        path.unlink()
        assert server.text(seed=1) == expected


def fingerprint(server: Server) -> str:
    return str(server.complete(max_tokens=1)["system_fingerprint"])


def test_draining_ends_streams_with_a_valid_last_event(slow: Server, serve: Serve) -> None:
    place = slow.service.catalogue._sources["letters"].path
    settings = {"max_tokens": 10**6, "drain_seconds": 0.2, "precision": "float32"}
    with serve({"letters": place}, **settings) as server:
        stream = begin(server, stream=True, max_tokens=10**6)
        whole = begin(server, max_tokens=10**6)
        assert eventually(lambda: running(server) == 2)
        server.host.stop()
        content = b""
        while part := stream.recv(65536):
            content += part
        assert b'"finish_reason":"length"' in content
        assert b"data: [DONE]\n\n" in content[-60:]
        assert read_all(whole).startswith(b"HTTP/1.1 503 ")
        stream.close()


LOGGED = {
    *("time", "request", "address", "client", "method", "path", "status", "seconds", "stream"),
    *("model", "prompt_symbols", "written_symbols", "first_symbol_seconds"),
}
"""What the access log says of a request; `request` is random."""


def test_signals(command: Command, models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    shutil.copy(models["letters"], path)
    log = tmp_path / "access.jsonl"
    served = command(f"m={path}", "--port", "0", "--access-log", str(log), "--watch-seconds", "999")
    line = served.line()
    assert line.startswith("ricorda: serving m at http://127.0.0.1:")
    port = int(line.rsplit(":", 1)[1].split("/")[0])
    server = Server(None, None, None, port)  # type: ignore[arg-type]
    text = server.text(model="m", seed=1, user="somebody")
    other_model(tmp_path / "other").replace(path)
    assert server.text(model="m", seed=1) == text
    served.process.send_signal(signal.SIGHUP)
    assert served.line() == "ricorda: reloaded the model m\n"
    assert server.text(model="m", seed=1) != text
    served.process.send_signal(signal.SIGTERM)
    code, _, err = served.end()
    assert code == 0
    assert "Traceback" not in err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 200]
    assert lines[0]["user"] == "somebody"
    assert (lines[0]["prompt_symbols"], lines[0]["written_symbols"]) == (3, 16)
    for line in lines:
        assert line.keys() - {"user"} == LOGGED
        assert len(line.pop("request")) == 16
        assert not [value for value in line.values() if "abc" in str(value)]  # no text, no prompt


def test_a_second_signal_does_not_wait(command: Command, tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary("".join(sorted(SYMBOLS)), "\n")
    path = write_model(tmp_path / "slow.safetensors", vocabulary, hidden_size=384, num_layers=3)
    options = ("--max-tokens", "1000000", "--drain-seconds", "1000", "--access-log", "off")
    served = command(f"letters={path}", "--port", "0", *options)
    port = int(served.line().rsplit(":", 1)[1].split("/")[0])
    stream = begin(Server(None, None, None, port), stream=True, max_tokens=10**6)  # type: ignore[arg-type]
    assert stream.recv(1) == b"H"
    served.process.send_signal(signal.SIGTERM)
    assert "shutting down" in served.line()
    assert served.process.poll() is None
    served.process.send_signal(signal.SIGTERM)
    code, _, err = served.end()
    assert code == 0
    assert "Traceback" not in err
    stream.close()


def test_ctrl_c_ends_it_quietly(command: Command, models: dict[str, Path]) -> None:
    served = command(f"m={models['letters']}", "--port", "0")
    served.line()
    served.process.send_signal(signal.SIGINT)
    code, _, err = served.end()
    assert (code, "Traceback" in err) == (0, False)


def test_no_secret_is_written_anywhere(
    command: Command, models: dict[str, Path], tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    secret = "s3cr3t-s3cr3t-s3cr3t"
    keys.write_text(secret + "\n")
    served = command(f"m={models['letters']}", "--port", "0", "--api-key-file", str(keys))
    port = int(served.line().rsplit(":", 1)[1].split("/")[0])
    server = Server(None, None, None, port)  # type: ignore[arg-type]
    for key in (secret, secret + "x"):
        server.ask("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
    server.say(f"GET /{secret}\r\nAuthorization: Bearer {secret}\r\n\r\n".encode())
    served.process.send_signal(signal.SIGTERM)
    code, out, err = served.end()
    assert code == 0
    assert '"client": "key 1"' in err
    assert secret not in (out + err).replace(f"/{secret}", "")


WRONG: list[tuple[list[str], str]] = [
    (["none.safetensors"], "no model file at none.safetensors"),
    (["{letters}", "{letters}"], "two models have the name 'letters'"),
    (["a/b={letters}"], "expected a model's name"),
    (["{letters}", "--host", "0.0.0.0"], "needs an API key"),
    (["{letters}", "--host", "192.0.2.1", "--api-key-file", "none"], "cannot read the API keys"),
    (["{letters}", "--port", "70000"], "expected a whole number, at least 0 and at most 65535"),
    (["{letters}", "--max-streams", "0"], "expected a whole number, at least 1"),
    (["{letters}", "--head-seconds", "nan"], "expected a number, above 0"),
    (["{letters}", "--access-log", "none/there"], "cannot write the access log"),
    (["{letters}", "--precision", "int4"], "int4"),
]


@pytest.mark.parametrize("words, message", WRONG, ids=lambda part: str(part)[:30])
def test_wrong_command_lines_are_reported_in_a_line(
    words: list[str],
    message: str,
    models: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ricorda.cli.main import main

    monkeypatch.delenv("RICORDA_API_KEY", raising=False)
    given = [word.format(letters=models["letters"]) for word in words]
    assert main(["serve", *given, "--check"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_check_tells_what_would_be_served(
    models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from ricorda.cli.main import main

    taken = socket.create_server(("127.0.0.1", 0))
    port = str(taken.getsockname()[1])
    words = ["serve", str(models["letters"].parent), f"raw={models['bytes']}", "--check"]
    assert main([*words, "--port", port]) == 2
    assert "cannot listen" in capsys.readouterr().err
    taken.close()
    assert main([*words, "--port", port]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^letters +[\d,]+ +\d+ +float32 *$", out, re.MULTILINE)
    assert re.search(r"^raw +[\d,]+ +256 +float32 *$", out, re.MULTILINE)
    assert f"Ready: 2 models can be served at http://127.0.0.1:{port}/v1." in out
    assert main([*words, "--port", port, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [model["id"] for model in found["models"]] == ["letters", "raw"]
    assert found["models"][1]["symbols"] == 256
    assert main([*words[:-1], "--json"]) == 2
    assert "--json is for --check" in capsys.readouterr().err


def test_the_command_leaves_the_log_as_it_was(models: dict[str, Path]) -> None:
    from ricorda.cli.main import main

    log = logging.getLogger("ricorda.serving")
    before = (log.handlers[:], log.level, log.propagate)
    present = models["letters"]
    for path, status in ((present, 0), (present.with_name("missing"), 2)):
        assert main(["serve", str(path), "--check", "--port", "0"]) == status
        assert (log.handlers, log.level, log.propagate) == before


def test_without_the_extra_one_line_says_what_to_install(models: dict[str, Path]) -> None:
    program = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from ricorda.cli.main import main\n"
        f"sys.exit(main(['serve', {str(models['letters'])!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 1
    assert done.stderr == (
        "ricorda: serving needs fastapi, which is not installed: pip install 'ricorda[serve]'\n"
    )


def test_serving_needs_no_torch(models: dict[str, Path]) -> None:
    program = (
        "import sys\nfrom ricorda.cli.main import main\n"
        f"assert main(['serve', {str(models['letters'])!r}, '--check', '--port', '0']) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
