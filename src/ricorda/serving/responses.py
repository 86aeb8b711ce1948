"""What the server answers, as the OpenAPI document describes it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """A part of an answer; it has no fields but those named."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Logprobs(Answer):
    """The model's own log-probabilities, before any sampling option."""

    tokens: list[str]
    """The symbols: characters; of a model of bytes, `bytes:\\xNN` where a byte is none."""

    token_logprobs: list[float | None]
    """Natural logarithms of their probabilities, -9999.0 for an impossible symbol; null for
    the first symbol of an echoed prompt."""

    top_logprobs: list[dict[str, float] | None]
    """The likeliest symbols in its place, the chosen one always among them."""

    text_offset: list[int]
    """Where each begins in the choice's text, in characters."""


class Choice(Answer):
    """One text."""

    text: str
    """The continuation, after the prompt if it was to be echoed."""

    index: int
    """Its number: those of the first prompt come first."""

    logprobs: Logprobs | None
    """Null unless asked for."""

    finish_reason: Literal["stop", "length"] | None
    """`stop`: a stop string came; `length`: the text is cut; null while it goes on."""

    token_ids: list[int] | None = None
    """The ids of the continuation's symbols, if asked for."""

    prompt_token_ids: list[int] | None = None
    """The ids of the prompt's symbols, if asked for."""


class Usage(Answer):
    """How many symbols were read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Gap(Answer):
    """Characters that the model never saw, in a row, which were left out."""

    before: int
    """The number of the symbol that follows them."""

    characters: str


class Skipped(Gap):
    """The same, in one of several prompts."""

    prompt: int
    """The number of the prompt, from 0."""


class Completion(Answer):
    """The answer to a request for completion, or one event of its stream."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    """Changes with the model's weights, their precision and ricorda's version."""

    choices: list[Choice]
    usage: Usage | None = None

    skipped: list[Skipped] | None = None
    """The characters of the prompts that the model never saw, with `on_unknown: skip`. Absent if
    there are none. An extension."""


class ModelCard(Answer):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Answer):
    """All models that are served."""

    object: Literal["list"]
    data: list[ModelCard]


class Tokens(Answer):
    """A text as ids."""

    tokens: list[int]
    count: int
    max_model_len: int
    """The longest prompt that is taken, in symbols."""

    token_strs: list[str] | None = None

    skipped: list[Gap] | None = None
    """The characters that were left out, with `--on-unknown skip`. Absent if there are none."""


class TokenizerInfo(Answer):
    """The symbols of a model."""

    tokenizer_class: Literal["characters", "bytes"]
    vocab_size: int
    model_max_length: int
    """The longest prompt that is taken, in symbols."""

    bos_token: str | None
    """The symbol that a text without a prompt begins after, usually a line end."""

    eos_token: None
    """No symbol ends a text."""

    pad_token: None
    """No symbol is for padding."""


class Text(Answer):
    """Ids as a text."""

    prompt: str


class Health(Answer):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Answer):
    """Requests are welcome."""

    status: Literal["ready"]
    models: list[str]


class ErrorDetail(Answer):
    """What was wrong."""

    message: str
    type: str
    param: str | None
    """The field at fault."""

    code: str | None


class ErrorAnswer(Answer):
    """A request that was refused or failed."""

    error: ErrorDetail
