"""Prompts from files: a whole file, or one prompt per line."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ricorda.errors import TextError
from ricorda.text.decoding import StrictDecoder
from ricorda.text.file_names import displayed
from ricorda.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from ricorda.engine import Model

LARGEST_PROMPT = 16 << 20
"""Bytes of a prompt from a file or from standard input."""


@dataclass(frozen=True)
class GivenPrompt:
    """A prompt of a file of prompts."""

    text: str

    id: Any = None
    """What the file calls it; None if nothing."""

    def as_json(self) -> dict[str, Any]:
        """Give what describes the prompt in the output."""
        return {**({} if self.id is None else {"id": self.id}), "prompt": self.text}


def read_prompt_file(name: str, model: "Model") -> str:
    """Return a whole file as the model's training would have read it.

    Raises TextError for a file that cannot be read, is too large or is not UTF-8.
    """
    with _opened(name) as file:
        data = file.read(LARGEST_PROMPT + 1)
    _check_size(data, name)
    return model.read_prompt(_decoded(data, _displayed(name), model))


def read_prompts(name: str, model: "Model") -> Iterator[GivenPrompt]:
    """Yield the prompts of a file as they are wanted: its lines, or those of JSON objects.

    If the first line is a JSON object with a prompt, all are. Raises TextError, naming the line,
    for one that is too long, is not UTF-8 or is no such object.
    """
    with _opened(name) as file:
        is_json: bool | None = None
        for place, line in _lines(file, name, model):
            text = line.removesuffix("\n").removesuffix("\r")
            if is_json is None:
                text = text.removeprefix("\ufeff")
                is_json = _object(text) is not None
            if not is_json:
                yield GivenPrompt(text)
            elif text.strip():
                yield _from_json(text, place)
        if is_json is None:
            raise TextError(f"{_displayed(name)} is empty: expected one prompt per line")


def _lines(file: IO[bytes], name: str, model: "Model") -> Iterator[tuple[str, str]]:
    """Yield the lines of a file, decoded, each after its place for a message.

    UTF-16 and UTF-32 are decoded before they are divided.
    """

    def place(number: int) -> str:
        return f"line {number} of {_displayed(name)}"

    if not _has_bytes_of_ascii(model.reading.encoding or "utf-8"):
        data = file.read(LARGEST_PROMPT + 1)
        _check_size(data, name)
        for number, text in enumerate(io.StringIO(_decoded(data, _displayed(name), model)), 1):
            yield place(number), text
        return
    for number, line in enumerate(iter(lambda: file.readline(LARGEST_PROMPT + 1), b""), 1):
        _check_size(line, place(number))
        yield place(number), _decoded(line, place(number), model)


def _has_bytes_of_ascii(encoding: str) -> bool:
    """Whether ASCII's characters have their own bytes in an encoding, so that lines end in one."""
    try:
        return b"a\n".decode(encoding) == "a\n"
    except UnicodeDecodeError:
        return False


def _from_json(line: str, place: str) -> GivenPrompt:
    found = _object(line)
    if found is None:
        raise TextError(
            f'{place}: expected a JSON object such as {{"prompt": "Once", "id": 1}}, as on line 1'
        )
    try:
        json.dumps(found.get("id"), allow_nan=False)
    except ValueError as error:
        raise TextError(f"{place}: expected an id whose numbers are finite") from error
    return GivenPrompt(found["prompt"], found.get("id"))


def _object(line: str) -> dict[str, Any] | None:
    """Parse a JSON object with a prompt; None if the line is none."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("prompt"), str) else None


def _decoded(data: bytes, what: str, model: "Model") -> str:
    if model.reading.takes_raw_bytes(model.vocabulary.kind):
        return data.decode("utf-8", "surrogateescape")
    return StrictDecoder(what, model.reading.encoding or "utf-8").decode(data, final=True)


def _check_size(data: bytes, what: str) -> None:
    if len(data) > LARGEST_PROMPT:
        raise TextError(
            f"{_displayed(what)}: expected a prompt of at most {LARGEST_PROMPT:,} bytes"
        )


def _displayed(name: str) -> str:
    return "standard input" if name == STANDARD_INPUT else displayed(name)


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """Open a file, or standard input for -. Raises TextError."""
    if name == STANDARD_INPUT:
        buffer = getattr(sys.stdin, "buffer", None)
        if buffer is None:
            raise TextError("standard input is closed: name a file in place of -")
        yield buffer
        return
    if not name:
        raise TextError("expected the name of a file with prompts, got an empty one")
    try:
        with Path(name).open("rb") as file:
            yield file
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TextError(f"cannot read {displayed(name)}: {reason.lower()}") from error
