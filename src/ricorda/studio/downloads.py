"""What of a run is downloaded: its report, its model, and the model as a web page."""

import os
import re
from collections.abc import Iterator
from typing import IO, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from ricorda.durable import open_untrusting
from ricorda.errors import RunError
from ricorda.studio.cache import WorkLimiter
from ricorda.studio.entrance import REPORT_POLICY
from ricorda.studio.looking import NO_MODEL, Looking
from ricorda.studio.workspace import Workspace
from ricorda.training.report.page import report_of

FILE_NAME = re.compile(r"[^\x20-\x7e]|[\"\\]")
BLOCK = 1 << 20  # bytes sent at once
HTML = "text/html; charset=utf-8"


def add_downloads(
    application: FastAPI, workspace: Workspace, looking: Looking, limiter: WorkLimiter
) -> None:
    """Add the addresses of a run's files."""

    @application.get("/api/runs/{name}/report")
    def report(name: str) -> Response:
        # Made from the rows: a run's own report.html may be a stranger's and run scripts.
        content = report_of(workspace.run(name)).encode()
        return Response(content, media_type=HTML, headers=_headers(f"{name}.html"))

    @application.get("/api/runs/{name}/model")
    def model(name: str) -> Response:
        try:
            file = open_untrusting(workspace.run(name).model)
        except OSError as error:
            raise RunError(NO_MODEL) from error
        size = os.fstat(file.fileno()).st_size
        headers = _headers(f"{name}.safetensors") | {"content-length": str(size)}
        return StreamingResponse(
            _blocks(file), media_type="application/octet-stream", headers=headers
        )

    @application.get("/api/runs/{name}/page")
    async def page(request: Request, name: str) -> Response:
        run = workspace.run(name)
        content = await limiter.run(request, lambda _: _page_of(looking.model_file(run)))
        return Response(content, media_type=HTML, headers=_headers(f"{name}-page.html"))


def _page_of(model: Any) -> bytes:
    """The page that `ricorda export --to web` writes. Raises ConfigurationError."""
    from ricorda.exchange.web_export import export

    return export(model, "float32").files["index.html"]


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """A file's content; a model is replaced by a rename, so it stays the same while it is sent."""
    with file:
        while block := file.read(BLOCK):
            yield block


def _headers(name: str) -> dict[str, str]:
    """What has a browser save an answer under a name, and run nothing in it if it is shown."""
    return {
        "content-disposition": f'attachment; filename="{FILE_NAME.sub("_", name)}"',
        "content-security-policy": REPORT_POLICY,
    }
