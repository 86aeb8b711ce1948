"""A server in a thread of its own, with small models of random weights."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, write_model_file
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

collect_ignore_glob = [] if find_spec("fastapi") and find_spec("uvicorn") else ["test_*.py"]

SYMBOLS = "\n ,.abcdefghijklmnopqrstuvwxyzèé世"

PATIENCE = 120.0  # seconds that anything here may take on a slow machine


def write_model(path: Path, vocabulary: Vocabulary, seed: int = 1, **network: Any) -> Path:
    """Write a model of random weights, large enough that distributions are far from uniform."""
    shape: dict[str, Any] = {"cell": "lstm", "hidden_size": 16} | network
    configuration = ModelConfiguration(vocabulary_size=vocabulary.size, **shape)
    random = np.random.default_rng(seed)
    tensors = {
        name: random.normal(0, 0.7, size).astype(np.float32)
        for name, size in configuration.tensor_shapes().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_model_file(path, ModelFile(configuration, vocabulary, tensors))
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of a model of characters and of one of bytes."""
    folder = tmp_path_factory.mktemp("models")
    characters = CharacterVocabulary("".join(sorted(SYMBOLS)), "\n")
    return {
        "letters": write_model(folder / "letters" / "model.safetensors", characters),
        "bytes": write_model(folder / "bytes" / "model.safetensors", ByteVocabulary(10)),
    }


Answer = tuple[int, dict[str, str], Any]
"""Status, headers (names in lower case), and the body: JSON parsed, else bytes."""


@dataclass
class Server:
    """A server that runs, and ways to ask it."""

    service: Any
    host: Any
    thread: threading.Thread

    @property
    def port(self) -> int:
        return int(self.host.listening.getsockname()[1]) if self.running else self._port

    _port: int = 0

    @property
    def running(self) -> bool:
        return bool(self.host.listening.fileno() >= 0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request on a connection of its own; a body that is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        given = {"Content-Type": "application/json"} if body is not None else {}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, given | (headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            raw = response.read()
        finally:
            connection.close()
        is_json = found.get("content-type", "") == "application/json"
        return response.status, found, json.loads(raw) if is_json and raw else raw

    def complete(self, **fields: Any) -> dict[str, Any]:
        """Ask for a completion that must succeed."""
        body = {"model": "letters", "prompt": "abc"} | fields
        status, _, answer = self.ask("POST", "/v1/completions", body)
        assert status == 200, answer
        return dict(answer)

    def text(self, **fields: Any) -> str:
        """The text of the only choice."""
        (choice,) = self.complete(**fields)["choices"]
        return str(choice["text"])

    def refused(self, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Ask for a completion that must be refused: the status, and the error."""
        body = {"model": "letters", "prompt": "abc"} | fields
        status, _, answer = self.ask("POST", "/v1/completions", body)
        assert status >= 400, answer
        return status, answer["error"]

    def events(self, **fields: Any) -> list[Any]:
        """The events of a stream, parsed; the last one must be [DONE]."""
        body = {"model": "letters", "prompt": "abc", "stream": True} | fields
        status, headers, raw = self.ask("POST", "/v1/completions", body)
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        *events, last, rest = raw.decode().split("\n\n")
        assert (last, rest) == ("data: [DONE]", "")
        return [json.loads(event.removeprefix("data: ")) for event in events]

    def connect(self) -> socket.socket:
        """A connection to speak to by hand."""
        return socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)

    def say(self, content: bytes) -> bytes:
        """Send bytes and read until the server closes or says nothing for a while."""
        with self.connect() as connection:
            connection.sendall(content)
            connection.settimeout(PATIENCE)
            answer = b""
            while part := connection.recv(65536):
                answer += part
                if _is_whole(answer):
                    break
            return answer


def _is_whole(answer: bytes) -> bool:
    """Whether an answer with a Content-Length has come to its end."""
    head, _, body = answer.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return False


@contextmanager
def running(models: dict[str, Path], **settings: Any) -> Iterator[Server]:
    """Run a server until the block ends."""
    from ricorda.serving.catalogue import Catalogue, ModelSource
    from ricorda.serving.service import Service, make_host
    from ricorda.serving.settings import ServerSettings

    options: dict[str, Any] = {
        "port": 0,
        "access_log": "off",
        "threads": 1,
        "drain_seconds": 1,
    } | settings
    chosen = ServerSettings(**options)
    sources = [ModelSource(name, path) for name, path in models.items()]
    catalogue = Catalogue(sources, precision=chosen.precision, threads=chosen.threads)
    service = Service(catalogue, chosen)
    ready = threading.Event()
    host = make_host(service, lambda address: ready.set())
    thread = threading.Thread(target=host.run, name="server", daemon=True)
    port = host.listening.getsockname()[1]
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield Server(service, host, thread, port)
    finally:
        host.stop()
        thread.join(PATIENCE)
        service.stop()
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def server(models: dict[str, Path]) -> Iterator[Server]:
    """A server with default limits; nothing that a test does to it may last."""
    with running(models) as server:
        yield server


@pytest.fixture
def serve(models: dict[str, Path]) -> Callable[..., Any]:
    """Run a server with other settings: `with serve(max_streams=1) as server`."""

    def begin(chosen: dict[str, Path] | None = None, **settings: Any) -> Any:
        return running(chosen or models, **settings)

    return begin


def eventually(holds: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait until something holds, but not for ever."""
    import time

    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Process:
    """`ricorda serve` from the command line."""

    def __init__(self, *words: str, **options: Any) -> None:
        base = {k: v for k, v in os.environ.items() if k != "RICORDA_API_KEY"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ricorda", "serve", *words],
            stdout=subprocess.PIPE,
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
            env=base | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def line(self) -> str:
        assert self.process.stderr is not None
        return str(self.process.stderr.readline())

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


Command = Callable[..., Process]


@pytest.fixture
def command() -> Iterator[Command]:
    """Start `ricorda serve`; what a test that failed left behind is ended."""
    begun: list[Process] = []

    def begin(*words: str, **options: Any) -> Process:
        begun.append(Process(*words, **options))
        return begun[-1]

    yield begin
    for each in begun:
        with each.process as process:
            process.kill()
