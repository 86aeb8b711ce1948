"""API keys: where they are read from, and what a key must be."""

import os
from pathlib import Path

from ricorda.errors import ConfigurationError

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
