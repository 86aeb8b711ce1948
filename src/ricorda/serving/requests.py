"""Check what clients send, strictly: an unknown field is refused, never ignored.

A check stops at the first wrong element, in time and memory proportional to the body. pydantic
collects an error for every element, so it never sees a long list: `_check_prompt` and `_check_ids`
check those of symbols and texts, and `_check_sizes` bounds all others.
"""

import asyncio
import gc
import json
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
)
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

from ricorda.serving.admission import Budget
from ricorda.serving.problems import Problem
from ricorda.text.vocabulary import OnUnknown
from ricorda.validation import parse_json

Body = TypeVar("Body", bound=BaseModel)


def _whole(value: object) -> object:
    """1.0 is an integer in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_whole)]
SymbolId = Annotated[int, BeforeValidator(_whole), Field(ge=0, lt=2**31)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
ModelName = Annotated[str, StringConstraints(max_length=200)]


def _check_ids(value: object) -> list[int]:
    """Check a list of symbols' ids; 1.0 is an integer in JSON."""
    if type(value) is not list:
        raise ValueError("must be a list of ids")
    ids = []
    for each in value:
        symbol = _whole(each)
        if type(symbol) is not int or not 0 <= symbol < LARGEST_ID:
            raise ValueError("must be a list of ids, which are whole numbers from 0")
        ids.append(symbol)
    return ids


def _check_text(value: object) -> str:
    """Check a text; JSON can write half of a surrogate pair, which is not a character."""
    if type(value) is not str:
        raise ValueError("must be text")
    value.encode("utf-8")
    return value


def _check_prompt(value: object) -> object:
    """Check a text, texts, ids, or lists of ids; the first element decides which."""
    if value is None or type(value) is str:
        return value if value is None else _check_text(value)
    if type(value) is list and value:
        match value[0]:
            case str():
                return [_check_text(each) for each in value]
            case list():
                return [_check_ids(each) for each in value]
            case int() | float():
                return _check_ids(value)
    raise ValueError("must be a prompt")


LARGEST_ID = 2**31
Ids = Annotated[list[SymbolId], PlainValidator(_check_ids, json_schema_input_type=list[SymbolId])]
AnyPrompt = (
    str
    | Annotated[list[str], Field(min_length=1)]
    | Annotated[list[SymbolId], Field(min_length=1)]
    | Annotated[list[list[SymbolId]], Field(min_length=1)]
    | None
)


class StreamOptions(BaseModel):
    """What a stream sends besides the text."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    include_usage: bool = False
    """Send a last chunk with the usage of the whole request."""


class CompletionRequest(BaseModel):
    """A text to continue, or to score."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    model: ModelName
    """One of the models that /v1/models lists."""

    prompt: Annotated[
        AnyPrompt, PlainValidator(_check_prompt, json_schema_input_type=AnyPrompt)
    ] = ""
    """What to continue: a text, several, the ids of a text's symbols, or those of several."""

    max_tokens: Annotated[Integer, Field(ge=0)] | None = 16
    """How many symbols to write at most; 0 with `echo` and `logprobs` scores the prompt alone."""

    n: Annotated[Integer, Field(ge=1)] | None = 1
    """How many continuations of each prompt to return."""

    best_of: Annotated[Integer, Field(ge=1)] | None = None
    """Write this many and return the `n` with the highest mean log-probability of a symbol."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    """Divides the logits: lower is less random; 0 always chooses the most likely symbol."""

    top_p: Share | None = 1.0
    """Choose among the fewest symbols whose probabilities reach p together."""

    top_k: Annotated[Integer, Field(ge=0, lt=2**31)] | None = None
    """Choose among the k most likely symbols alone; 0 means all. An extension."""

    min_p: Share | None = None
    """Leave out symbols less likely than this fraction of the likeliest one. An extension."""

    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    """The text ends before the first of these strings, up to 4, which is not part of it."""

    logprobs: Annotated[Integer, Field(ge=0, le=5)] | None = None
    """Return the log-probability of each symbol and of this number of the likeliest ones."""

    echo: bool | None = False
    """Return the prompt before its continuation."""

    seed: Annotated[Integer, Field(ge=-(2**63), lt=2**63)] | None = None
    """The same seed writes the same text, alone or under load."""

    stream: bool | None = False
    """Send the text as it is written, as server-sent events."""

    stream_options: StreamOptions | None = None
    """Only with `stream`."""

    logit_bias: (
        Annotated[
            dict[
                Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,9})$")],
                Annotated[float, Field(ge=-100, le=100)],
            ],
            Field(max_length=1024),
        ]
        | None
    ) = None
    """Ids of symbols, and what is added to the logit of each."""

    presence_penalty: Penalty | None = 0.0
    """Subtracted from the logit of each symbol already written; the prompt does not count."""

    frequency_penalty: Penalty | None = 0.0
    """The same, multiplied by how often the symbol was written."""

    suffix: Annotated[str, StringConstraints(max_length=0)] | None = None
    """A text to end with: no recurrent model can insert, so only null or empty is taken."""

    user: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Who is behind the request; written to the access log."""

    return_token_ids: bool | None = False
    """Return the ids of the prompt's and the text's symbols. An extension."""

    on_unknown: OnUnknown | None = None
    """Characters of the prompt that the model never saw: `error` or `skip`. An extension."""


class TokenizeRequest(BaseModel):
    """A text to turn into ids."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    model: ModelName | None = None
    """One of the models; optional if there is only one."""

    prompt: str
    """The text."""

    add_special_tokens: bool = True
    """Has no effect, because there are no special symbols; clients of other servers send it."""

    return_token_strs: bool = False
    """Return the symbols' names too."""


class DetokenizeRequest(BaseModel):
    """Ids to turn into a text."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    model: ModelName | None = None
    """One of the models; optional if there is only one."""

    tokens: Ids
    """The ids."""


LONGEST_LIST = 1024
"""Entries of a list or an object, except for prompts and ids, whose check stops at the first
error."""

READ_AT_ONCE = 16 << 10
"""Bytes of a body that are parsed in the event loop; a longer one is parsed in a thread."""


async def read_body(request: Request, body: type[Body], *, longest: int, bodies: Budget) -> Body:
    """Read and check a request's JSON of at most `longest` bytes.

    `bodies` counts the bytes of all bodies that are being read. One long body at a time is parsed,
    in a thread. Raises Problem: 400, 413, 415, 429 or 503.
    """
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        raise Problem(415, f"expected the Content-Type application/json, got {declared[:80]!r}")
    size = int(request.headers.get("content-length", longest))
    with bodies.charged(request.state.client, size):
        try:
            content = await request.body()
        except ClientDisconnect:
            raise Problem(400, "the request ended before its body did") from None
        if len(content) <= READ_AT_ONCE:
            return parse(content, body, longest)
        async with bodies.one_at_a_time:
            return await asyncio.to_thread(_parse_long, content, body, longest)


def _parse_long(content: bytes, body: type[Body], longest: int) -> Body:
    """Parse in a thread, so that nothing that takes long is left to the event loop.

    Garbage collection would look through many small objects again and again; JSON has no cycles. A
    Problem must not keep the parsed body, which would then be freed in the event loop.
    """
    gc.disable()
    try:
        return parse(content, body, longest)
    except Problem as problem:
        problem.__context__ = None
        refusal = problem.with_traceback(None)
    finally:
        gc.enable()
    raise refusal


def parse(content: bytes, body: type[Body], longest: int) -> Body:
    """Parse and check the JSON of a body. Raises Problem (400)."""
    try:
        value = parse_json(content.decode("utf-8"), longest=longest)
    except json.JSONDecodeError as error:
        raise Problem(400, f"expected JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise Problem(400, f"expected JSON in UTF-8, but byte {error.start} is not") from None
    except ValueError as error:
        raise Problem(400, f"expected JSON, but {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise Problem(400, f"expected a JSON object, got {_kind(value)}")
    _check_sizes(value, body)
    try:
        return body.model_validate(value)
    except PydanticError as error:
        raise _as_problem(error, body) from None


def _check_sizes(value: dict[str, Any], body: type[BaseModel]) -> None:
    """Refuse an unknown field, and a list or an object that is too long to be checked in full."""
    for name, each in value.items():
        if name not in body.model_fields:
            shown = name[:60].encode("utf-8", "replace").decode()
            raise Problem(400, f"{shown} {SENTENCES['extra_forbidden']}", param=shown)
        is_long = isinstance(each, list | dict) and len(each) > LONGEST_LIST
        if is_long and name not in ("prompt", "tokens"):
            raise Problem(
                400, f"{name} must have at most {LONGEST_LIST} entries, got {len(each)}", param=name
            )


SENTENCES = {
    "missing": "must be given",
    "extra_forbidden": "is not a field of this request: leave it out",
    "string_unicode": "must be text that UTF-8 can hold",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "list_type": "must be a list",
}


WHOLE_SENTENCES = {
    "stop": "text or a list of up to 4 texts, each of 1 to 1,024 characters",
    "logit_bias": "an object of up to 1,024 ids of symbols, each with a number from -100 to 100",
    "suffix": "null or empty: these models cannot insert",
}
"""What follows "must be", for the fields that are wrong in more than one way."""


def _as_problem(error: PydanticError, body: type[BaseModel]) -> Problem:
    """Name the first wrong field and what it may be."""
    details = error.errors(include_url=False, include_input=False)
    first = details[0]
    name = str(first["loc"][0]) if first["loc"] else "the body"
    if first["type"] == "extra_forbidden":
        where = ".".join(str(part)[:60] for part in first["loc"][:3])
        return Problem(400, f"{where} {SENTENCES['extra_forbidden']}", param=where)
    if name == "prompt" and "prompt" in body.model_fields and body is CompletionRequest:
        wanted = "text, a list of texts, a list of ids, or a list of lists of ids"
        return Problem(400, f"prompt must be {wanted}, none of the lists empty", param="prompt")
    if name in WHOLE_SENTENCES:
        return Problem(400, f"{name} must be {WHOLE_SENTENCES[name]}", param=name)
    same = [detail for detail in details if detail["loc"][:1] == first["loc"][:1]]
    wanted = " or ".join(dict.fromkeys(map(_sentence, same)))
    return Problem(400, f"{name} {wanted}", param=name)


def _sentence(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)
    return SENTENCES.get(detail["type"]) or message


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", list: "a list", type(None): "null"}
    return names.get(type(value), "a number")
