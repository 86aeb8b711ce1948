"""What clients send and what the server answers, as the OpenAPI document describes it.

A check stops at the first wrong element, in time and memory proportional to the body. pydantic
collects an error for every element, so it never sees a long list: `_check_prompt` and `_check_ids`
check those of symbols and texts, and `requests.parse` bounds all others.
"""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
)

from ricorda.engine.embedding import VectorKind
from ricorda.text.vocabulary import OnUnknown


def _whole(value: object) -> object:
    """1.0 is an integer in JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_whole)]
SymbolId = Annotated[int, BeforeValidator(_whole), Field(ge=0, lt=2**31)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
ModelName = Annotated[str, StringConstraints(max_length=200)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Characters = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


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


def _check_input(value: object) -> object:
    """Check a text, texts, ids, or lists of ids, none of them empty."""
    found = _check_prompt(value)
    several = found if isinstance(found, list) and not isinstance(found[0], int) else [found]
    if not all(several):
        raise ValueError("must not be empty")
    return found


LARGEST_ID = 2**31
Ids = Annotated[list[SymbolId], PlainValidator(_check_ids, json_schema_input_type=list[SymbolId])]
AnyPrompt = (
    str
    | Annotated[list[str], Field(min_length=1)]
    | Annotated[list[SymbolId], Field(min_length=1)]
    | Annotated[list[list[SymbolId]], Field(min_length=1)]
    | None
)
AnyInput = (
    Annotated[str, StringConstraints(min_length=1)]
    | Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(min_length=1)]
    | Annotated[list[SymbolId], Field(min_length=1)]
    | Annotated[list[Annotated[list[SymbolId], Field(min_length=1)]], Field(min_length=1)]
)


class Strict(BaseModel):
    """What a client sends: every field has exactly its type, and others are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class StreamOptions(Strict):
    """What a stream sends besides the text."""

    include_usage: bool = False
    """Send a last chunk with the usage of the whole request."""


class CompletionRequest(Strict):
    """A text to continue, or to score."""

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
    """Leave out symbols less likely than this fraction of the most likely one. An extension."""

    stop: Stop | Annotated[list[Stop], Field(max_length=32)] | None = None
    """The text ends before the first of these strings, up to 32, which is not part of it. A
    document also ends at its boundary."""

    logprobs: Annotated[Integer, Field(ge=0, lt=2**31)] | None = None
    """Return the log-probability of each symbol and of this number of the most likely ones, at most
    all of the model's, and 65,536."""

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

    label: ShortText | None = None
    """Write or score documents of this label, one that the model learned. An extension."""

    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    """Above 1: makes the symbols of the last `repetition_window` less likely, as `ricorda sample`
    does. An extension."""

    repetition_window: Annotated[Integer, Field(ge=1, le=4096)] | None = None
    """How many of the last symbols the penalty looks at, 64 by default. An extension."""

    allowed: Characters | None = None
    """The only characters that may be written. An extension."""

    banned: Characters | None = None
    """Characters that are never written. An extension."""

    banned_word: ShortText | Annotated[list[ShortText], Field(max_length=32)] | None = None
    """A run of characters that is never completed, or up to 32 of them, of 128
    characters together. An extension."""


class EmbeddingRequest(Strict):
    """Texts to turn into vectors: the state of the network after each."""

    model: ModelName
    """One of the models that /v1/models lists."""

    input: Annotated[AnyInput, PlainValidator(_check_input, json_schema_input_type=AnyInput)]
    """A text, several, the ids of a text's symbols, or those of several; none of them empty."""

    encoding_format: Literal["float", "base64"] | None = "float"
    """Write a vector as a list of numbers, or as base64 of little-endian float32."""

    dimensions: Annotated[Integer, Field(ge=1)] | None = None
    """The size of the vectors; only the model's own is taken."""

    user: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Who is behind the request; written to the access log."""

    vector: VectorKind | None = None
    """`hidden`, the default: the hidden state of the last layer; `layers`: those of all layers;
    `state`: the whole state, with the cells of an LSTM or CIFG. An extension."""

    on_unknown: OnUnknown | None = None
    """Characters that the model never saw: `error` or `skip`. An extension."""

    label: ShortText | None = None
    """Read the texts under this label, one that the model learned. An extension."""


class TokenizeRequest(Strict):
    """A text to turn into ids."""

    model: ModelName | None = None
    """One of the models; optional if there is only one."""

    prompt: str
    """The text."""

    add_special_tokens: bool = True
    """Has no effect: each prompt is read after a boundary anyway. Clients of other servers send
    it."""

    return_token_strs: bool = False
    """Return the symbols' names too."""


class DetokenizeRequest(Strict):
    """Ids to turn into a text."""

    model: ModelName | None = None
    """One of the models; optional if there is only one."""

    tokens: Ids
    """The ids."""


class Answer(BaseModel):
    """A part of an answer; it has no fields but those named."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Logprobs(Answer):
    """The model's own log-probabilities, before any sampling option."""

    tokens: list[str]
    """The symbols: characters; of a model of bytes, `bytes:\\xNN` where a byte is none. The
    boundary that ends a document is `<|boundary|>`."""

    token_logprobs: list[float | None]
    """Natural logarithms of their probabilities, -9999.0 for an impossible symbol; null for the
    first symbol of an echoed prompt, unless it begins a document."""

    top_logprobs: list[dict[str, float] | None]
    """The most likely symbols in its place, the chosen one always among them."""

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
    """`stop`: a stop string or the end of the document came; `length`: the text is cut; null while
    it continues."""

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


class Embedding(Answer):
    """The vector of one text, of length 1."""

    object: Literal["embedding"]
    index: int
    """The number of the text."""

    embedding: list[float] | str
    """The numbers, or the base64 of them."""


class EmbeddingUsage(Answer):
    """How many symbols were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Answer):
    """The answer to a request for vectors, in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage

    skipped: list[Skipped] | None = None
    """The characters that the model never saw, with `on_unknown: skip`. Absent if there are none.
    An extension."""


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

    tokenizer_class: Literal["characters", "bytes", "pieces", "words"]
    vocab_size: int
    model_max_length: int
    """The longest prompt that is taken, in symbols."""

    bos_token: str | None
    """The symbol that a text without a prompt begins after: the boundary, else usually a line
    end."""

    eos_token: str | None
    """The boundary, which ends a document; null for a model of an undivided text."""

    pad_token: None
    """No symbol is for padding."""


class Text(Answer):
    """Ids as a text."""

    prompt: str


class Health(Answer):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Answer):
    """Requests are accepted."""

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
