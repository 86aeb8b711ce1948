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
    """Address to listen on. An address that other machines can reach requires an API key."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 chooses a free port and prints it."""

    api_key_file: Path | None = None
    """File of API keys, one per line. A key can also be set in the variable RICORDA_API_KEY."""

    allow_host: SeveralTexts = ()
    """Additional name, that of a proxy or a tunnel, under which clients reach the server. May be
    repeated."""

    allow_origin: SeveralTexts = ()
    """Site, such as https://example.org, whose pages may call the server. May be repeated."""

    root_path: str = ""
    """Path under which a proxy publishes the server, such as /user/me/proxy/8000, whether or not
    it removes the path from the requests that it forwards."""

    precision: Precision = "float32"
    """Precision of the weights; int8, bfloat16 and auto are faster and less exact."""

    threads: AtLeastOne | None = None
    """CPU threads of the engine; by default one per core."""

    on_unknown: OnUnknown = "error"
    """Characters of a prompt that the model never saw: error refuses the request, skip leaves them
    out."""

    lenient: bool = False
    """Ignore unknown fields of a request instead of refusing it, except those that would change
    the text, such as tools. The header X-Ricorda-Ignored of the response names them."""

    max_body: AtLeastOne = 1 << 20
    """Maximum size of a request's body in bytes."""

    max_prompt: AtLeastOne = 65536
    """Maximum length of a prompt in symbols."""

    max_prompts: AtLeastOne = 128
    """Maximum number of prompts in a request."""

    max_inputs: AtLeastOne = 2048
    """Maximum number of texts in a request for embeddings."""

    max_tokens: AtLeastOne = 4096
    """Maximum value of max_tokens in a request."""

    max_n: AtLeastOne = 16
    """Maximum value of n and best_of in a request."""

    max_answer: AtLeastOne = 32 << 20
    """Maximum size of a response in bytes. It is estimated in advance, and a request with a larger
    response is refused with 400. All responses in progress may take twice this size for a client
    (429) and four times in total (503)."""

    max_streams: AtLeastOne = 64
    """Maximum number of texts that are written at the same time; further texts wait."""

    max_streams_per_client: AtLeastOne = 64
    """The same for one client, identified by its key or address."""

    max_queue: AtLeastOne = 1024
    """Maximum number of waiting texts; further requests are refused with 503."""

    max_queue_per_client: AtLeastOne = 256
    """The same for one client; further requests are refused with 429."""

    max_connections: AtLeastOne = 512
    """Maximum number of open connections."""

    head_seconds: Seconds = 10.0
    """Time limit for receiving the headers of a request."""

    body_seconds: Seconds = 30.0
    """Time limit for receiving the body of a request."""

    request_seconds: Seconds = 600.0
    """Time limit for processing a request, including the time that it waits."""

    idle_seconds: Seconds = 30.0
    """Time limit for a connection without a request."""

    stalled_seconds: Seconds = 20.0
    """Time after which a client that does not read its response is disconnected."""

    drain_seconds: Seconds = 20.0
    """Time limit for finishing texts after SIGTERM or Ctrl-C."""

    watch_seconds: Seconds = 2.0
    """Interval between checks whether the file of a model was replaced."""

    access_log: str = "-"
    """Where to log each request as a line of JSON: a file, - for standard error, or off."""


VARIABLE = "RICORDA_API_KEY"
SHORTEST_KEY = 16


def read_keys(file: Path | None) -> list[str]:
    """Read keys from a file, one per line, and from the environment; none if neither is given.

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
