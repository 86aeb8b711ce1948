"""The routes of the API, on FastAPI."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from ricorda.serving.answers import as_json, in_turns, token_pieces
from ricorda.serving.completion import check_gaps, check_ids, encode
from ricorda.serving.documents import describe, docs_page
from ricorda.serving.problems import Problem
from ricorda.serving.requests import (
    CompletionRequest,
    DetokenizeRequest,
    TokenizeRequest,
)
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


def build_api(service: "Service") -> FastAPI:
    """Make the application of a service; the guard stands before it."""
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    api.add_exception_handler(Problem, _on_problem)
    api.add_exception_handler(HTTPException, _on_http_exception)
    api.add_exception_handler(Exception, _on_error)
    _add_completions(api, service)
    _add_models(api, service)
    _add_tokens(api, service)
    _add_operations(api, service)
    return api


def _add_completions(api: FastAPI, service: "Service") -> None:
    @api.post("/v1/completions")
    async def complete(request: Request) -> Response:
        """Continue a text, or score it."""
        await service.turns.wait()
        body = await service.read_body(request, CompletionRequest)
        task = await service.begin(body, request.state.client)
        record = request.state.record

        def end(left: bool) -> None:
            record["left"] = left
            service.end(task, record)

        if body.stream:
            return PieceStream(task.events(), EVENTS, end)
        try:
            finished = await unless_disconnected(request.receive, task.finish())
        except BaseException:
            end(left=False)
            raise
        if finished and task.answer_bytes > AT_ONCE:
            return PieceStream(in_turns(task.pieces(), service.turns), JSON_HEADERS, end)
        await service.turns.wait()
        content = "".join(task.pieces()) if finished else ""  # else nobody reads it
        end(left=not finished)
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

    @api.get("/v1/models")
    async def list_models() -> Response:
        """List the models."""
        cards = [card(name) for name in service.catalogue.models]
        return JSON({"object": "list", "data": cards})

    @api.get("/v1/models/{model}")
    async def get_model(model: str) -> Response:
        """Describe one model."""
        return JSON(card(model))


def _add_tokens(api: FastAPI, service: "Service") -> None:
    @api.post("/tokenize")
    async def tokenize(request: Request) -> Response:
        """Turn a text into the ids of its symbols."""
        body = await service.read_body(request, TokenizeRequest)
        served = service.catalogue.only(body.model)
        unseen = Unseen()
        on_unknown = service.settings.on_unknown
        ids = await service.read_text(
            body.prompt, lambda: encode(body.prompt, served.model, on_unknown, unseen)
        )
        check_gaps(unseen)
        more: dict[str, Any] = {"count": len(ids), "max_model_len": service.settings.max_prompt}
        if unseen.gaps:
            more["skipped"] = [gap.as_json() for gap in unseen.gaps]
        pieces = token_pieces(ids, served.names.names if body.return_token_strs else None, more)
        return PieceStream(in_turns(pieces, service.turns), JSON_HEADERS)

    @api.get("/tokenizer_info")
    async def tokenizer_info(model: str | None = None) -> Response:
        """Describe the symbols of a model, or of the only one; evaluation harnesses ask for it.

        No symbol ends a text. `bos_token` is the symbol that a text without a prompt begins after.
        """
        served = service.catalogue.only(model)
        vocabulary = served.model.vocabulary
        start = served.names.names[vocabulary.start]
        return JSON(
            {
                "tokenizer_class": vocabulary.kind,
                "vocab_size": vocabulary.size,
                "model_max_length": service.settings.max_prompt,
                "bos_token": None if start.startswith("bytes:") else start,
                "eos_token": None,
                "pad_token": None,
            }
        )

    @api.post("/detokenize")
    async def detokenize(request: Request) -> Response:
        """Turn ids into the text of their symbols."""
        body = await service.read_body(request, DetokenizeRequest)
        vocabulary = service.catalogue.only(body.model).model.vocabulary
        return JSON({"prompt": vocabulary.decode(check_ids(body.tokens, vocabulary, "tokens"))})


def _add_operations(api: FastAPI, service: "Service") -> None:
    document: dict[str, Any] = {}

    def described() -> dict[str, Any]:
        if not document:
            document.update(describe(api, service.settings, list(service.catalogue.models)))
        return document

    @api.get("/health")
    async def health() -> Response:
        """Say that the process answers; needs no key."""
        return JSON({"status": "ok"})

    @api.get("/ready")
    async def ready() -> Response:
        """Say whether requests are welcome."""
        service.refuse_while_draining()
        return JSON({"status": "ready", "models": list(service.catalogue.models)})

    @api.get("/metrics")
    async def metrics() -> Response:
        """Give figures for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @api.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSON(described())

    @api.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page(described()))


class JSON(Response):
    """An answer in JSON, made of what the routes put together."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write it in UTF-8."""
        return as_json(content).encode()


class PieceStream(Response):
    """An answer that is sent in pieces.

    At its end, `end` is called with whether the client left before.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: Mapping[str, str],
        end: Callable[[bool], None] = lambda left: None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.body = b""
        self.init_headers(headers)
        del self.headers["content-length"]
        self._pieces, self._end = pieces, end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send pieces until there are no more or the client has left."""
        left = False
        try:
            left = await unless_disconnected(receive, self._send(send)) is None
        finally:
            self._end(left)

    async def _send(self, send: Send) -> bool:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return True


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
    return Response(
        error.body(), error.status, headers=error.headers, media_type="application/json"
    )


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = {
        404: "unknown path: GET /docs lists all paths",
        405: "this path does not accept this method",
    }
    message = messages.get(error.status_code, str(error.detail))
    return await _on_problem(request, Problem(error.status_code, message, headers=error.headers))


async def _on_error(request: Request, error: Exception) -> Response:
    return await _on_problem(request, Problem(500, "the server failed: its log has the reason"))
