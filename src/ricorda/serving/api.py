"""The routes of the API, on FastAPI, and their description as an OpenAPI document and a page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

import ricorda
from ricorda.pages.document import document, escape
from ricorda.serving.answers import BOUNDARY_NAME, as_json, in_turns, token_pieces
from ricorda.serving.guard import Problem
from ricorda.serving.prefix import root_path
from ricorda.serving.requests import check_gaps, check_ids, encode_named
from ricorda.serving.schema import (
    Completion,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingList,
    EmbeddingRequest,
    ErrorAnswer,
    Health,
    ModelCard,
    ModelList,
    Readiness,
    Text,
    TokenizeRequest,
    TokenizerInfo,
    Tokens,
)
from ricorda.serving.settings import ServerSettings
from ricorda.serving.task import Task
from ricorda.text.unseen import Unseen

if TYPE_CHECKING:
    from ricorda.serving.service import Service

Result = TypeVar("Result")
AT_ONCE = 64 << 10
"""Bytes of an answer that are sent in one piece, with a Content-Length."""

JSON_HEADERS = {"content-type": "application/json"}
EVENTS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
REQUESTS: tuple[type[BaseModel], ...] = (
    CompletionRequest,
    EmbeddingRequest,
    TokenizeRequest,
    DetokenizeRequest,
)
REFERENCE = "#/components/schemas/{model}"

EVENT = {
    "type": "object",
    "description": "An event: its data is a Completion in JSON, an ErrorAnswer, or `[DONE]`.",
    "properties": {"data": {"type": "string"}},
    "required": ["data"],
}
REFUSED: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorAnswer, "description": "Refused."},
}
NOT_NOW = REFUSED | {503: {"model": ErrorAnswer, "description": "Not now."}}
STREAMED = NOT_NOW | {200: {"content": {"text/event-stream": {"schema": EVENT}}}}


def build_api(service: "Service") -> FastAPI:
    """Make the application of a service; the guard stands before it."""
    api = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, responses=REFUSED
    )
    api.add_exception_handler(Problem, _on_problem)
    api.add_exception_handler(HTTPException, _on_http_exception)
    api.add_exception_handler(Exception, _on_error)
    _add_completions(api, service)
    _add_embeddings(api, service)
    _add_models(api, service)
    _add_tokens(api, service)
    _add_operations(api, service)
    _refuse_chats(api)
    return api


def _takes(body: type[BaseModel]) -> dict[str, Any]:
    """Describe a request's body, which `Service.read_body` reads."""
    schema = {"$ref": REFERENCE.format(model=body.__name__)}
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _add_completions(api: FastAPI, service: "Service") -> None:
    @api.post(
        "/v1/completions",
        response_model=Completion,
        responses=STREAMED,
        openapi_extra=_takes(CompletionRequest),
    )
    async def complete(request: Request) -> Response:
        """Continue a text, or score it."""
        await service.turns.wait()
        body = await service.read_body(request, CompletionRequest)
        task = await service.begin(body, request.state.client)
        if body.stream:
            return PieceStream(task.events(), EVENTS, _ender(service, task, request))
        return await _whole_answer(service, task, request)


def _add_embeddings(api: FastAPI, service: "Service") -> None:
    @api.post(
        "/v1/embeddings",
        response_model=EmbeddingList,
        responses=NOT_NOW,
        openapi_extra=_takes(EmbeddingRequest),
    )
    async def embed(request: Request) -> Response:
        """Turn texts into vectors: the state of the network after each."""
        await service.turns.wait()
        body = await service.read_body(request, EmbeddingRequest)
        task = await service.begin_embedding(body, request.state.client)
        return await _whole_answer(service, task, request)


def _ender(service: "Service", task: Task, request: Request) -> Callable[[bool], None]:
    """Return what ends a task; it is called with whether the client left before."""
    record = request.state.record

    def end(left: bool) -> None:
        record["left"] = left
        service.end(task, record)

    return end


async def _whole_answer(service: "Service", task: Task, request: Request) -> Response:
    """Wait for a task, and send its answer: a long one in pieces."""
    end = _ender(service, task, request)
    try:
        finished = await unless_disconnected(request.receive, task.finish())
    except BaseException:
        end(False)
        raise
    if finished and task.answer_bytes > AT_ONCE:
        return PieceStream(in_turns(task.pieces(), service.turns), JSON_HEADERS, end)
    await service.turns.wait()
    content = "".join(task.pieces()) if finished else ""  # else nobody reads it
    end(not finished)
    return Response(content, media_type="application/json")


def _add_models(api: FastAPI, service: "Service") -> None:
    def card(name: str) -> dict[str, Any]:
        served = service.catalogue.get(name)
        return {
            "id": served.name,
            "object": "model",
            "created": served.created,
            "owned_by": "ricorda",
        }

    @api.get("/v1/models", response_model=ModelList)
    async def list_models() -> Response:
        """List the models."""
        cards = [card(name) for name in service.catalogue.models]
        return JSON({"object": "list", "data": cards})

    @api.get("/v1/models/{model}", response_model=ModelCard)
    async def get_model(model: str) -> Response:
        """Describe one model."""
        return JSON(card(model))


def _add_tokens(api: FastAPI, service: "Service") -> None:
    @api.post("/tokenize", response_model=Tokens, openapi_extra=_takes(TokenizeRequest))
    async def tokenize(request: Request) -> Response:
        """Turn a text into the ids of its symbols."""
        body = await service.read_body(request, TokenizeRequest)
        served = service.catalogue.only(body.model)
        unseen = Unseen()
        on_unknown = service.settings.on_unknown
        ids = await service.read_text(
            body.prompt, lambda: encode_named(body.prompt, served.model, on_unknown, unseen)
        )
        check_gaps(unseen)
        more: dict[str, Any] = {"count": len(ids), "max_model_len": service.settings.max_prompt}
        if unseen.gaps:
            more["skipped"] = [gap.as_json() for gap in unseen.gaps]
        pieces = token_pieces(ids, served.names if body.return_token_strs else None, more)
        return PieceStream(in_turns(pieces, service.turns), JSON_HEADERS)

    @api.get("/tokenizer_info", response_model=TokenizerInfo)
    async def tokenizer_info(model: str | None = None) -> Response:
        """Describe the symbols of a model, or of the only one; evaluation harnesses ask for it.

        `bos_token` is the symbol that a text without a prompt begins after, and `eos_token` the
        boundary that ends a document, if the model learned documents.
        """
        served = service.catalogue.only(model)
        vocabulary = served.model.vocabulary
        start = served.names[vocabulary.start]
        return JSON(
            {
                "tokenizer_class": vocabulary.kind,
                "vocab_size": vocabulary.size,
                "model_max_length": service.settings.max_prompt,
                "bos_token": None if start.startswith("bytes:") else start,
                "eos_token": None if vocabulary.boundary is None else BOUNDARY_NAME,
                "pad_token": None,
            }
        )

    @api.post("/detokenize", response_model=Text, openapi_extra=_takes(DetokenizeRequest))
    async def detokenize(request: Request) -> Response:
        """Turn ids into the text of their symbols."""
        body = await service.read_body(request, DetokenizeRequest)
        vocabulary = service.catalogue.only(body.model).model.vocabulary
        return JSON({"prompt": vocabulary.decode(check_ids(body.tokens, vocabulary, "tokens"))})


def _add_operations(api: FastAPI, service: "Service") -> None:
    description: dict[str, Any] = {}

    def described() -> dict[str, Any]:
        if not description:
            description.update(describe(api, service.settings, list(service.catalogue.models)))
        return description

    @api.get("/health", response_model=Health)
    async def health() -> Response:
        """Say that the process answers; needs no key."""
        return JSON({"status": "ok"})

    @api.get("/ready", response_model=Readiness, responses=NOT_NOW)
    async def ready() -> Response:
        """Say whether requests are accepted."""
        service.refuse_while_draining()
        return JSON({"status": "ready", "models": list(service.catalogue.models)})

    @api.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Give figures for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @api.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSON(described())

    @api.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page(described()))


def _refuse_chats(api: FastAPI) -> None:
    """Say what to use instead of the paths of chats."""

    async def refuse() -> Response:
        raise Problem(
            404,
            "these models continue texts and know no chat: POST /v1/completions with a prompt "
            "instead of messages",
            code="no_chat",
        )

    for path in ("/v1/chat/completions", "/v1/responses"):
        api.add_api_route(path, refuse, methods=["GET", "POST"], include_in_schema=False)


class JSON(Response):
    """An answer in JSON, made of what the routes put together."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write it in UTF-8."""
        return as_json(content).encode()


class PieceStream(StreamingResponse):
    """An answer that is sent in pieces.

    At its end, `end` is called with whether the client left before.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: Mapping[str, str],
        end: Callable[[bool], None] = lambda left: None,
    ) -> None:
        super().__init__(pieces, headers=headers)
        self._is_complete = False
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send pieces until there are no more or the client has left."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end(not self._is_complete)

    async def stream_response(self, send: Send) -> None:
        """Send the pieces."""
        await super().stream_response(send)
        self._is_complete = True


async def unless_disconnected(receive: Receive, work: Awaitable[Result]) -> Result | None:
    """Wait for some work, but only as long as the client does; None if it has left."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for each in (working, watching):
            each.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = {
        404: f"unknown path: {_remedy(request.scope['path'])}",
        405: "this path does not accept this method",
    }
    message = messages.get(error.status_code, str(error.detail))
    return await _on_problem(request, Problem(error.status_code, message, headers=error.headers))


def _remedy(path: str) -> str:
    """What to do about an unknown path; a wrong base URL is the usual reason."""
    for known in ("/v1/completions", "/v1/embeddings", "/v1/models"):
        if path.endswith(known.removeprefix("/v1")):
            return f"expected {known}: the base URL of a client is the server's address and /v1"
    return "GET /docs lists all paths"


async def _on_error(request: Request, error: Exception) -> Response:
    return await _on_problem(request, Problem(500, "the server failed: its log has the reason"))


def describe(api: FastAPI, settings: ServerSettings, models: list[str]) -> dict[str, Any]:
    """Make the OpenAPI document of what is served, with this server's own limits in it."""
    found = get_openapi(
        title="ricorda",
        version=ricorda.__version__,
        description="Continues and scores texts by recurrent networks.",
        routes=api.routes,
    )
    _, definitions = models_json_schema(
        [(each, "validation") for each in REQUESTS], ref_template=REFERENCE
    )
    schemas = found["components"]["schemas"]
    schemas |= definitions["$defs"]
    found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"key": []}, {}]
    if prefix := root_path(settings.root_path):
        found["servers"] = [{"url": prefix}]
    for request in REQUESTS:
        _not_null(schemas[request.__name__]["properties"]["model"])["enum"] = models
    fields = schemas["CompletionRequest"]["properties"]
    _not_null(fields["max_tokens"])["maximum"] = settings.max_tokens
    for name in ("n", "best_of"):
        _not_null(fields[name])["maximum"] = settings.max_n
    for path in ("/v1/models/{model}", "/tokenizer_info"):
        (parameter,) = found["paths"][path]["get"]["parameters"]
        parameter["schema"] = {"type": "string", "enum": models}
        parameter["required"] = parameter["in"] == "path" or len(models) > 1
    return found


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The part of a schema that is not null."""
    found: dict[str, Any] = schema["anyOf"][0] if "anyOf" in schema else schema
    return found


def docs_page(description: Mapping[str, Any]) -> str:
    """Make a page that lists every path with the fields of its request and its answer."""
    schemas = description["components"]["schemas"]
    parts = [
        "<header><h1>ricorda's API</h1><p>What OpenAI's clients call the legacy completions API. "
        'The same for programs: <a href="openapi.json">openapi.json</a>.</p></header>'
    ]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(operation['description'])}</p>")
            bodies = (operation.get("requestBody"), operation["responses"]["200"])
            for title, body in zip(("Request", "Answer"), bodies, strict=True):
                content = (body or {}).get("content", {}).get("application/json")
                if content:
                    schema = schemas[content["schema"]["$ref"].rsplit("/", 1)[1]]
                    parts.append(f"<h3>{title}</h3><dl>{_rows(schema)}</dl>")
            parts.append("</section>")
    return document("ricorda's API", "".join(parts))


def _rows(schema: Mapping[str, Any]) -> str:
    """The fields of a schema."""
    return "".join(
        f"<dt><code>{escape(name)}</code> <span class=muted>{escape(_type(field))}</span></dt>"
        f"<dd>{escape(field.get('description', ''))}</dd>"
        for name, field in schema.get("properties", {}).items()
    )


def _type(field: Mapping[str, Any]) -> str:
    """A field's type in words."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(map(_type, field["anyOf"])))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    named = field.get("$ref", "").rsplit("/", 1)[-1]
    return str(named or field.get("type") or field.get("const", ""))
