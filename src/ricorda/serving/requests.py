"""Read what clients send: a body of JSON, checked strictly, and the prompts in it as symbols.

An unknown field is refused; with `--lenient` it is ignored, and the answer names it.
"""

import asyncio
import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from ricorda.engine import Model
from ricorda.engine.backend import Ids
from ricorda.errors import VocabularyError
from ricorda.serving.answers import BOUNDARY_NAME
from ricorda.serving.guard import Problem
from ricorda.serving.limits import Budget
from ricorda.serving.schema import StreamOptions, TokenizeRequest
from ricorda.serving.settings import ServerSettings
from ricorda.text.unseen import Unseen, quoted
from ricorda.text.vocabulary import OnUnknown, Vocabulary
from ricorda.validation import parse_json, requirement

Body = TypeVar("Body", bound=BaseModel)

LONGEST_LIST = 1024
"""Entries of a list or an object, except for prompts and ids, whose check stops at the first
error."""

READ_AT_ONCE = 16 << 10
"""Bytes of a body that are parsed in the event loop; a longer one is parsed in a thread."""


async def read_body(
    request: Request, body: type[Body], *, longest: int, lenient: bool, bodies: Budget
) -> Body:
    """Read and check a request's JSON of at most `longest` bytes.

    `bodies` counts the bytes of all bodies that are being read. One long body at a time is parsed,
    in a thread. Unknown fields are refused, or if `lenient` ignored and named in the answer's
    header. Raises Problem: 400, 413, 415, 429 or 503.
    """
    ignored: list[str] | None = [] if lenient else None
    parsed = await _read(request, body, longest, ignored, bodies)
    if ignored:
        request.state.ignored = ignored
    return parsed


async def _read(
    request: Request, body: type[Body], longest: int, ignored: list[str] | None, bodies: Budget
) -> Body:
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        raise Problem(415, f"expected the Content-Type application/json, got {declared[:80]!r}")
    coding = request.headers.get("content-encoding", "identity")
    if coding.strip().lower() not in ("", "identity"):
        raise Problem(
            415,
            f"expected a body as it is, got the Content-Encoding {coding[:80]!r}: send it "
            "uncompressed",
            headers={"accept-encoding": "identity"},
        )
    size = int(request.headers.get("content-length", longest))
    with bodies.charged(request.state.client, size):
        try:
            content = await request.body()
        except ClientDisconnect:
            raise Problem(400, "the request ended before its body did") from None
        if len(content) <= READ_AT_ONCE:
            return parse(content, body, longest, ignored)
        async with bodies.one_at_a_time:
            return await asyncio.to_thread(_parse_long, content, body, longest, ignored)


def _parse_long(content: bytes, body: type[Body], longest: int, ignored: list[str] | None) -> Body:
    """Parse in a thread, so that nothing that takes long is left to the event loop.

    Garbage collection would look through many small objects again and again; JSON has no cycles. A
    Problem must not keep the parsed body, which would then be freed in the event loop.
    """
    gc.disable()
    try:
        return parse(content, body, longest, ignored)
    except Problem as problem:
        problem.__context__ = None
        refusal = problem.with_traceback(None)
    finally:
        gc.enable()
    raise refusal


def parse(content: bytes, body: type[Body], longest: int, ignored: list[str] | None = None) -> Body:
    """Parse and check the JSON of a body. Raises Problem (400).

    An unknown field is refused; if there is a list `ignored`, its name is added there instead.
    """
    try:
        value = parse_json(content.decode("utf-8"), longest=longest)
    except json.JSONDecodeError as error:
        raise Problem(400, f"expected JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise Problem(400, f"expected JSON in UTF-8, but byte {error.start} is not") from None
    except ValueError as error:
        raise Problem(400, f"expected JSON, but {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise Problem(400, "expected a JSON object")
    if ignored is not None:
        _leave_out_unknown(value, body, ignored)
    _check_sizes(value, body)
    try:
        return body.model_validate(value)
    except ValidationError as error:
        raise _as_problem(error, body) from None


def _check_sizes(value: dict[str, Any], body: type[BaseModel]) -> None:
    """Refuse an unknown field, and a list or an object that is too long to be checked in full."""
    for name, each in value.items():
        if name not in body.model_fields:
            raise _unknown(name[:60].encode("utf-8", "replace").decode())
        is_long = isinstance(each, list | dict) and len(each) > LONGEST_LIST
        if is_long and name not in ("prompt", "tokens", "input"):
            raise Problem(
                400, f"{name} must have at most {LONGEST_LIST} entries, got {len(each)}", param=name
            )


def _leave_out_unknown(value: dict[str, Any], body: type[BaseModel], ignored: list[str]) -> None:
    """Remove the fields that the request does not have, and add their names, escaped."""
    for name in [name for name in value if name not in body.model_fields]:
        asked = value.pop(name)
        if name in NEVER_IGNORED and asked and asked not in NEVER_IGNORED[name]:
            raise Problem(
                400,
                f"{name} asks for something that this server cannot do: leave it out (--lenient "
                "ignores only fields that do not change the text)",
                param=name,
            )
        ignored.append(quote(name[:60], safe="", errors="replace"))
    options = value.get("stream_options")
    if "stream_options" in body.model_fields and isinstance(options, dict):
        unknown = [name for name in options if name not in StreamOptions.model_fields]
        for name in unknown:
            del options[name]
            ignored.append("stream_options." + quote(name[:60], safe="", errors="replace"))
    del ignored[MOST_IGNORED:]


NEVER_IGNORED: dict[str, tuple[object, ...]] = {
    **dict.fromkeys(
        (
            *("tools", "functions", "function_call", "messages", "structured_outputs"),
            *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "grammar"),
            *("json_schema", "truncate_prompt_tokens", "prompt_embeds", "use_beam_search"),
            *("min_tokens", "ignore_eos", "stop_token_ids", "bad_words", "allowed_token_ids"),
            "mirostat",
        ),
        (),
    ),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "length_penalty": (1,),
    "typical_p": (1,),
}
"""Fields of other servers that change the text or its form, with the values, besides null, zero and
empty ones, by which they ask for nothing."""

MOST_IGNORED = 32
"""Fields that an answer names."""

WANTED = {
    "model": "text of at most 200 characters",
    "user": "text of at most 200 characters",
    "stream_options": "an object with include_usage, which is true or false",
    "prompt": "text, a list of texts, a list of ids, or a list of lists of ids, none of them empty",
    "input": "text, a list of texts, a list of ids, or a list of lists of ids, none of them empty",
    "tokens": "a list of ids, which are whole numbers from 0",
    "stop": "text or a list of up to 32 texts, each of 1 to 1,024 characters",
    "banned_word": "text or a list of up to 32 texts, each of 1 to 200 characters",
    "logit_bias": "an object of up to 1,024 ids of symbols, each with a number from -100 to 100",
    "suffix": "null or empty: these models cannot insert",
}
"""What the fields must be that can be wrong in more than one way."""


def _as_problem(error: ValidationError, body: type[BaseModel]) -> Problem:
    """Name the first wrong field and what it may be."""
    details = error.errors(include_url=False)
    first = details[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return _unknown(".".join(str(part)[:60] for part in first["loc"][:3]))
    if first["type"] == "missing":
        return Problem(400, f"{name} must be given", param=name)
    same = [detail for detail in details if detail["loc"][:1] == first["loc"][:1]]
    wanted = " or ".join(dict.fromkeys(map(requirement, same)))
    if name in WANTED and body is not TokenizeRequest:
        wanted = WANTED[name]
    return Problem(400, f"{name} must be {wanted}", param=name)


def _unknown(field: str) -> Problem:
    return Problem(400, f"{field} is not a field of this request: leave it out", param=field)


MOST_GAPS = 4096
"""Places of a request's prompts where characters were left out; each is reported."""


@dataclass(frozen=True)
class Prompt:
    """What is continued."""

    ids: Ids
    """Its symbols, (n,); none for an empty prompt."""

    lead: Ids
    """What the network reads: of a document, the boundary before the symbols, too; else the
    symbols, or the vocabulary's start in place of none."""

    unseen: Unseen = field(default_factory=Unseen)
    """The characters that were left out."""


def read_prompts(
    given: str | Sequence[Any] | None,
    model: Model,
    on_unknown: OnUnknown,
    settings: ServerSettings,
    param: str = "prompt",
) -> list[Prompt]:
    """Turn whatever a prompt may be into symbols; `param` is the field. Raises Problem (400)."""
    if given is None or isinstance(given, str):
        several: list[Any] = [given or ""]
    else:
        several = [given] if isinstance(given[0], int) else list(given)
    option = "--max-prompts" if param == "prompt" else "--max-inputs"
    most = settings.max_prompts if param == "prompt" else settings.max_inputs
    if len(several) > most:
        raise wrong(param, f"at most {most} texts ({option})", len(several))
    prompts = [
        _read_prompt(each, model, on_unknown, settings.max_prompt, param) for each in several
    ]
    check_gaps(*(prompt.unseen for prompt in prompts), param=param)
    return prompts


def check_gaps(*unseen: Unseen, param: str = "prompt") -> None:
    """Refuse texts of which too much was left out to report. Raises Problem (400)."""
    count = sum(len(each.gaps) for each in unseen)
    if count > MOST_GAPS:
        raise Problem(
            400,
            f"{param} must have characters that the model never saw in at most {MOST_GAPS} places, "
            f"got {count}",
            param=param,
            code="unknown_characters",
        )


def _read_prompt(
    given: str | list[int], model: Model, on_unknown: OnUnknown, longest: int, param: str
) -> Prompt:
    ids: Ids
    unseen = Unseen()
    if isinstance(given, str):
        ids = encode(given, model, on_unknown, unseen, param)
    else:
        ids = check_ids(given, model.vocabulary, param)
    if len(ids) > longest:
        raise wrong(param, f"of at most {longest} symbols (--max-prompt)", len(ids))
    return Prompt(ids, _lead(ids, model.vocabulary), unseen)


def _lead(ids: Ids, vocabulary: Vocabulary) -> Ids:
    start = np.array([vocabulary.start])
    if len(ids) == 0:
        return start
    if vocabulary.boundary in (None, ids[0]):
        return ids
    return np.concatenate([start, ids])


def encode_named(text: str, model: Model, on_unknown: OnUnknown, unseen: Unseen) -> Ids:
    """Turn a text into ids, where the boundary's name alone is the boundary."""
    if text == BOUNDARY_NAME and model.vocabulary.boundary is not None:
        return np.array([model.vocabulary.boundary])
    return encode(text, model, on_unknown, unseen)


def encode(
    text: str, model: Model, on_unknown: OnUnknown, unseen: Unseen, param: str = "prompt"
) -> Ids:
    """Turn a prompt, read as training read its text, into ids; record what is left out.

    Raises Problem (400) naming characters that have none.
    """
    text, vocabulary = model.read_prompt(text), model.vocabulary
    try:
        return unseen.encode(vocabulary, text, on_unknown)
    except VocabularyError:
        unknown = quoted(vocabulary.unknown(text))
        raise Problem(
            400,
            f"{param} has characters that the model never saw: {unknown}; leave them out, or "
            'send "on_unknown": "skip"',
            param=param,
            code="unknown_characters",
        ) from None


def check_ids(given: Sequence[int], vocabulary: Vocabulary, param: str) -> Ids:
    """Turn a list of ids into an array. Raises Problem (400) if one is none of the model's."""
    ids = np.array(given, np.int64)
    if len(ids) and ids.max() >= vocabulary.size:
        raise wrong(param, f"ids from 0 to {vocabulary.size - 1}", int(ids.max()))
    return ids


def wrong(name: str, expected: str, got: int) -> Problem:
    """Return the problem of a field's value."""
    return Problem(400, f"{name} must be {expected}, got {got}", param=name)
