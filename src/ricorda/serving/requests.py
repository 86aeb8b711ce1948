"""What clients send, checked strictly: an unknown field is refused, never ignored."""

import json
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

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


class StreamOptions(BaseModel):
    """What a stream tells besides the text."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    include_usage: bool = False
    """Send a last chunk with the usage of the whole request."""


class CompletionRequest(BaseModel):
    """A text to continue, or to score."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    model: ModelName
    """One of the models that /v1/models lists."""

    prompt: (
        str
        | Annotated[list[str], Field(min_length=1)]
        | Annotated[list[SymbolId], Field(min_length=1)]
        | Annotated[list[list[SymbolId]], Field(min_length=1)]
        | None
    ) = ""
    """What to continue: a text, several, the ids of a text's symbols, or those of several."""

    max_tokens: Annotated[Integer, Field(ge=0)] | None = 16
    """How many symbols to write at most; 0 with `echo` and `logprobs` scores the prompt alone."""

    n: Annotated[Integer, Field(ge=1)] | None = 1
    """How many continuations of each prompt to give back."""

    best_of: Annotated[Integer, Field(ge=1)] | None = None
    """Write so many and give back the `n` with the highest log-probability a symbol."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    """Divides the logits: below 1 safer, above 1 more daring, 0 always the most likely symbol."""

    top_p: Share | None = 1.0
    """Choose among the fewest symbols whose probabilities reach p together."""

    top_k: Annotated[Integer, Field(ge=0, lt=2**31)] | None = None
    """Choose among the k most likely symbols alone; 0 means all. An extension."""

    min_p: Share | None = None
    """Leave out symbols less likely than this fraction of the likeliest one. An extension."""

    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    """The text ends before the first of these strings, up to 4, which is not part of it."""

    logprobs: Annotated[Integer, Field(ge=0, le=5)] | None = None
    """Tell the log-probability of each symbol and of so many of the likeliest ones."""

    echo: bool | None = False
    """Give back the prompt before its continuation."""

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
    """Taken off the logit of each symbol that was written before, the prompt not counted."""

    frequency_penalty: Penalty | None = 0.0
    """The same, times how often it was written."""

    suffix: Annotated[str, StringConstraints(max_length=0)] | None = None
    """A text to end with: no recurrent model can insert, so only null or empty is taken."""

    user: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Who is behind the request; written to the access log."""

    return_token_ids: bool | None = False
    """Give back the ids of the prompt's and the text's symbols. An extension."""

    on_unknown: OnUnknown | None = None
    """What of a prompt's characters that the model never saw: `error` or `skip`. An extension."""


class TokenizeRequest(BaseModel):
    """A text to turn into ids."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    model: ModelName | None = None
    """One of the models; may be left out where there is only one."""

    prompt: str
    """The text."""

    add_special_tokens: bool = True
    """There are no special symbols, so both mean the same; other servers' clients send it."""

    return_token_strs: bool = False
    """Give back the symbols' names too."""


class DetokenizeRequest(BaseModel):
    """Ids to turn into a text."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    model: ModelName | None = None
    """One of the models; may be left out where there is only one."""

    tokens: list[SymbolId]
    """The ids."""


async def read_body(request: Request, body: type[Body], *, longest: int) -> Body:
    """Read and check a request's JSON. Raises Problem: 400, 413 or 415."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        raise Problem(415, f"expected the Content-Type application/json, got {declared[:80]!r}")
    try:
        content = await request.body()
    except ClientDisconnect:
        raise Problem(400, "the request ended before its body did") from None
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
    try:
        return body.model_validate(value)
    except PydanticError as error:
        raise _as_problem(error, body) from None


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
    """Name the first field that is wrong, and what it may be."""
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
    return SENTENCES.get(detail["type"]) or detail["msg"].replace("Input should", "must", 1)


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", list: "a list", type(None): "null"}
    return names.get(type(value), "a number")
