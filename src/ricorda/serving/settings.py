"""Every option of the server, with a safe default, and where its API keys are read from."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ricorda.engine.backend import Precision
from ricorda.errors import ConfigurationError
from ricorda.text.vocabulary import OnUnknown

AtLeastOne = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
SeveralTexts = tuple[str, ...]


@dataclass(
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", use_attribute_docstrings=True),
)
class ServerSettings:
    """Where the server listens, who may use it, and the limits of clients."""

    host: str = "127.0.0.1"
    """The address to listen at; any other than this machine's own demands an API key."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port to listen at; 0 takes a free one and prints it."""

    api_key_file: Path | None = None
    """A file of API keys, one a line; the environment variable RICORDA_API_KEY may hold one."""

    allow_host: SeveralTexts = ()
    """A further name in the Host header under which the server may be addressed; repeatable."""

    allow_origin: SeveralTexts = ()
    """A site, as https://example.org, whose pages may call the server; repeatable."""

    precision: Precision = "float32"
    """How the engine keeps the weights; int8, bfloat16 and auto are faster and less exact."""

    threads: AtLeastOne | None = None
    """Processor threads of the engine; as many as there are cores if not given."""

    on_unknown: OnUnknown = "error"
    """A character of a prompt that the model never saw is refused (error) or left out (skip)."""

    lenient: bool = False
    """Ignore unknown fields of requests, and name them in the header X-Ricorda-Ignored of the
    answer, instead of refusing them."""

    max_body: AtLeastOne = 1 << 20
    """Largest body of a request, in bytes."""

    max_prompt: AtLeastOne = 65536
    """Longest prompt, in symbols."""

    max_prompts: AtLeastOne = 128
    """Most prompts of a request."""

    max_tokens: AtLeastOne = 4096
    """The largest max_tokens of a request."""

    max_n: AtLeastOne = 16
    """The largest n and best_of of a request."""

    max_answer: AtLeastOne = 32 << 20
    """Largest answer of a request, in bytes, estimated before work begins; a larger one is refused
    with 400. Requests under way may take twice that per client (429), four times in total (503)."""

    max_streams: AtLeastOne = 64
    """Texts that are written at the same time; further ones wait."""

    max_streams_per_client: AtLeastOne = 64
    """The same for one client, known by its key or its address."""

    max_queue: AtLeastOne = 1024
    """Texts that may wait; a request for more is answered with 503."""

    max_queue_per_client: AtLeastOne = 256
    """The same for one client; answered with 429."""

    max_connections: AtLeastOne = 512
    """Connections open at once."""

    head_seconds: Seconds = 10.0
    """How long a request's headers may take to arrive."""

    body_seconds: Seconds = 30.0
    """How long its body may take to arrive."""

    request_seconds: Seconds = 600.0
    """How long a request may be worked on, waiting included."""

    idle_seconds: Seconds = 30.0
    """How long a connection may stay open between two requests."""

    stalled_seconds: Seconds = 20.0
    """How long a client may read nothing of what it is sent before it is dropped."""

    drain_seconds: Seconds = 20.0
    """How long texts under way may go on after SIGTERM or Ctrl-C."""

    watch_seconds: Seconds = 2.0
    """How often to check whether a model's file was replaced."""

    access_log: str = "-"
    """Where a line of JSON for each request goes: a file, - for standard error, or off."""


VARIABLE = "RICORDA_API_KEY"
SHORTEST_KEY = 16


def read_keys(file: Path | None) -> list[str]:
    """Read keys from a file, one a line, and from the environment; none if neither is given.

    Raises ConfigurationError, which shows no key, if the file cannot be read or a key is too short.
    """
    keys: list[str] = []
    if file is not None:
        try:
            lines = file.read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"cannot read the API keys in {file}: {getattr(error, 'strerror', 'not UTF-8')}"
            ) from None
        keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not keys:
            raise ConfigurationError(f"expected an API key on a line of {file}, found none")
    if from_environment := os.environ.get(VARIABLE, "").strip():
        keys.append(from_environment)
    for key in keys:
        if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigurationError(
                f"expected API keys of at least {SHORTEST_KEY} ASCII characters without spaces: "
                "make one with `openssl rand -hex 24`"
            )
    return keys
