"""The studio's addresses and their answers, behind the guard."""

import errno
import functools
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import ricorda
from ricorda.errors import InputError, RicordaError, TextError
from ricorda.runs import RunFolder, read_rows, summary
from ricorda.serving.guard import Application, Guard, GuardSettings, Problem
from ricorda.serving.prefix import UnderPrefix
from ricorda.shell import command_line
from ricorda.studio import settings as ask
from ricorda.studio.baselines import NONE, BaselineFigures
from ricorda.studio.cache import FromFile, WorkLimiter
from ricorda.studio.downloads import add_downloads
from ricorda.studio.entrance import Entrance, SafeHeaders
from ricorda.studio.feed import FeedPosition, curve, read_news
from ricorda.studio.looking import Looking
from ricorda.studio.managing import add_management, dated, described
from ricorda.studio.planning import planned
from ricorda.studio.reading import Reading, read_config, reading_of
from ricorda.studio.texts import SAMPLES, Texts
from ricorda.studio.trainings import Trainings
from ricorda.studio.trash import Trash
from ricorda.studio.workspace import Workspace

LARGEST_REQUEST = 256 * 1024  # bytes, but for texts
UPLOAD = "/api/texts"
PRINTED = "open the newest address that `ricorda studio` printed"
FULL = 507  # the status that says that the disk is full
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "svg": "image/svg+xml",
}
"""What is served, by the ends of files' names."""

Kind = Literal["characters", "bytes"]


@dataclass
class Studio:
    """Everything that the addresses answer from."""

    workspace: Workspace
    texts: Texts
    trainings: Trainings
    looking: Looking
    baselines: BaselineFigures
    entrance: Entrance
    trash: Trash
    limiter: WorkLimiter = field(default_factory=WorkLimiter)
    """For what takes long."""

    def close(self) -> None:
        """Stop what belongs to the page; trainings continue."""
        self.trainings.close()
        self.baselines.close()
        self.texts.close()

    def run(self, name: str) -> RunFolder:
        """A run's folder, or that of one that has yet to begin. Raises RunError."""
        if self.trainings.knows(name):
            return RunFolder(self.workspace.runs / name)
        return self.workspace.run(name)

    def status(self, run: RunFolder) -> dict[str, Any]:
        """What a run is doing, and what there is of it."""
        state = self.trainings.state(run.path.name)
        return {
            **state,
            "has_model": run.model.is_file(),
            "has_report": run.report.is_file() or (run.is_run and state["state"] != "ended"),
            "has_config": run.is_run,
        }


def make_studio(workspace: Workspace, entrance: Entrance, largest_text: int) -> Studio:
    """Put a studio together for two folders.

    Raises ConfigurationError if its private folder cannot be used.
    """
    texts = Texts(workspace, largest_text)
    texts.clean()
    trainings = Trainings(workspace, may_learn=lambda run: texts.permitted(reading_of(run)))
    return Studio(
        workspace,
        texts,
        trainings,
        Looking(texts),
        BaselineFigures(workspace),
        entrance,
        Trash(workspace, trainings),
    )


def make_application(
    studio: Studio, largest_text: int, hosts: frozenset[str] = frozenset(), prefix: str = ""
) -> Application:
    """The whole application: the guard, the page's policy, the addresses.

    hosts, prefix: where a proxy shows the page besides this machine's own address.
    """
    application = FastAPI(openapi_url=None, redirect_slashes=False, default_response_class=JSON)
    for kind in (
        *(Problem, HTTPException, ClientDisconnect, OSError, RicordaError, RequestValidationError),
    ):
        application.add_exception_handler(kind, _refuse)
    _add_page(application, studio)
    _add_texts(application, studio)
    _add_runs(application, studio)
    _add_run(application, studio)
    _add_looks(application, studio)
    add_management(application, studio.workspace, studio.trainings, studio.trash)
    add_downloads(application, studio.workspace, studio.looking, studio.limiter)
    guard = GuardSettings(
        hosts=hosts,
        largest_body=LARGEST_REQUEST,
        largest_bodies={UPLOAD: largest_text},
        open_paths=frozenset({"/"}),
        wrong_host=f"the Host header names no address of this server: {PRINTED}, or start it with "
        "--allow-host",
        wrong_origin="pages of other sites may not call this server; behind a proxy, start it with "
        "--allow-host",
        no_key=PRINTED,
    )
    return SafeHeaders(UnderPrefix(Guard(application, guard, studio.entrance), prefix))


class JSON(JSONResponse):
    """ASCII, so that half a pair of UTF-16, which UTF-8 has no form for, is an escape."""

    def render(self, content: Any) -> bytes:
        """Write it. Raises ValueError for a number that is not finite."""
        return _as_json(content)


def _as_json(content: Any) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


async def _refuse(request: Request, error: Exception) -> Response:
    """An error as one line of JSON."""
    problem = _problem_of(error)
    return JSON(problem.as_json(), problem.status, problem.headers)


def _problem_of(error: Exception) -> Problem:
    """What is said of an error; never a path that the system refused."""
    if isinstance(error.__cause__, Problem):  # a body too large, found as FastAPI read it
        error = error.__cause__
    match error:
        case Problem():
            return error
        case HTTPException():
            return Problem(error.status_code, error.detail.lower(), headers=error.headers)
        case ClientDisconnect():
            return Problem(400, "the request was interrupted")  # nobody reads it
        case OSError():
            return _system_problem(error)
        case RequestValidationError():
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
            message = f"{where}: {first['msg']}"
            return Problem(422, message, param=where, code="invalid_request")
        case _:
            code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
            status = 422 if isinstance(error, InputError) else 500
            return Problem(status, str(error), code=code)


def _system_problem(error: OSError) -> Problem:
    """What the system refused: a person can do something about a full disk."""
    reason = (error.strerror or "it gave no reason").lower()
    if error.errno in NO_ROOM:
        return Problem(FULL, f"the disk is full ({reason}): free some space, then try again")
    return Problem(500, f"the system reported: {reason}", code="system_error")


def _add_page(application: FastAPI, studio: Studio) -> None:
    """The page, its files, and those that it shares with reports; nothing else is served."""
    folders = (files("ricorda.pages"), files("ricorda.studio").joinpath("page"))
    page = {
        file.name: (file.read_bytes(), TYPES[file.name.rpartition(".")[2]])
        for folder in folders
        for file in folder.iterdir()
        if file.name.rpartition(".")[2] in TYPES
    }

    def answer(name: str, status: int = 200) -> Response:
        content, kind = page[name]
        return Response(content, status, media_type=kind)

    @application.get("/")
    async def index(request: Request, ticket: str = "") -> Response:
        if studio.entrance.exchange(ticket):
            return RedirectResponse("./", 303, {"set-cookie": studio.entrance.cookie})
        if studio.entrance.identify(request.scope) is None:
            return answer("closed.html", 401)
        return answer("index.html")

    @application.get("/page/{name}")
    async def file(name: str) -> Response:
        if name not in page:
            raise Problem(404, "the page has no such file")
        return answer(name)

    @application.get("/api/studio")
    def about() -> dict[str, Any]:
        return {
            "version": ricorda.__version__,
            "cores": studio.trainings.cores,
            "settings": ask.TrainingRequest.model_json_schema()["properties"],
            "texts": studio.texts.list(),
            "samples": list(SAMPLES),
            "running": studio.trainings.running(),
            "waiting": studio.trainings.waiting(),
        }


def _add_texts(application: FastAPI, studio: Studio) -> None:
    """Adding texts, and describing them."""
    texts = studio.texts

    @application.post(UPLOAD)
    async def keep(request: Request, name: str = "text", encoding: str = "utf-8") -> dict[str, str]:
        return {"name": await texts.keep(name, request.stream(), encoding)}

    @application.post("/api/sample-texts")
    def keep_sample(request: ask.SampleTextRequest) -> dict[str, str]:
        return {"name": texts.keep_sample(request.name)}

    @application.get("/api/texts/{name}")
    async def facts(request: Request, name: str, vocabulary: Kind = "characters") -> dict[str, Any]:
        reading = texts.reading(name, vocabulary)
        command = command_line(["ricorda", "baselines", *reading.words])
        found = await studio.limiter.run(request, lambda gone: texts.facts(reading, gone))
        return {"name": name, "command": command, **found}

    @application.get("/api/texts/{name}/baselines")
    def baselines(name: str, vocabulary: Kind = "characters") -> dict[str, Any]:
        return _baselines(studio, texts.reading(name, vocabulary))


def _add_runs(application: FastAPI, studio: Studio) -> None:
    """All runs, and a new one."""
    workspace, trainings = studio.workspace, studio.trainings
    summaries, settings = FromFile(summary), FromFile(described, lambda run: run.config)

    def row(run: RunFolder) -> dict[str, Any]:
        name = run.path.name
        figures = {**summaries.of(run), **settings.of(run), **dated(run)}
        resumed = workspace.resumed_mark_of(name).exists()
        return {**figures, "name": name, "resumed": resumed, **studio.status(run)}

    @application.get("/api/runs")
    def runs() -> dict[str, Any]:
        begun = {run.path.name: row(run) for run in workspace.list_runs()}
        waiting = [
            {"name": name, **trainings.state(name)}
            for name in trainings.names()
            if name not in begun
        ]
        deleted = [{"number": each.number, "name": each.name} for each in studio.trash.runs()]
        return {"runs": [*waiting, *begun.values()], "deleted": deleted}

    @application.post("/api/runs")
    def begin(request: ask.TrainingRequest) -> dict[str, str]:
        return {"name": trainings.begin(workspace.text(request.text), request)}

    @application.post("/api/plan")
    async def plan(client: Request, request: ask.TrainingRequest) -> dict[str, Any]:
        def choose(gone: threading.Event) -> dict[str, Any]:
            text = workspace.text(request.text)
            parts = functools.partial(studio.texts.parts, cancelled=gone)
            return planned(request, text, parts, trainings.cores)

        return await studio.limiter.run(client, choose)


def _add_run(application: FastAPI, studio: Studio) -> None:
    """One run: what it is, and its rows as they come; paused, resumed, ended."""
    workspace, trainings = studio.workspace, studio.trainings

    @application.get("/api/runs/{name}")
    def details(name: str) -> dict[str, Any]:
        run = studio.run(name)
        config = read_config(run) if run.is_run else {}
        return {
            "name": name,
            "path": str(run.path),
            "training": config.get("training"),
            "text": config.get("text"),
            "texts": [_short(each) for each in reading_of(run).names] if config else [],
            "command": command_line(["ricorda", *_command(studio, run)]),
            **studio.status(run),
        }

    @application.get("/api/runs/{name}/facts")
    async def facts(request: Request, name: str) -> dict[str, Any]:
        reading = reading_of(workspace.run(name))
        return await studio.limiter.run(request, lambda gone: studio.texts.facts(reading, gone))

    @application.get("/api/runs/{name}/baselines")
    def baselines(name: str) -> dict[str, Any]:
        return _baselines(studio, reading_of(workspace.run(name)))

    @application.get("/api/runs/{name}/curve")
    def losses(name: str) -> dict[str, Any]:
        return curve(read_rows(workspace.run(name).metrics))

    @application.get("/api/runs/{name}/news")
    def news(name: str, after: str = "") -> dict[str, Any]:
        run = studio.run(name)
        found = read_news(run, FeedPosition.parse(after))
        return {
            "after": str(found.position),
            "metrics": found.metrics,
            "samples": found.samples,
            "from_the_beginning": found.from_the_beginning,
            "more": found.more,
            "status": studio.status(run),
        }

    def act(path: str, action: Callable[[str], None]) -> None:
        @application.post(f"/api/runs/{{name}}/{path}")
        def answer(name: str) -> dict[str, Any]:
            action(name)
            return trainings.state(name)

    act("pause", trainings.pause)
    act("stop", trainings.stop)
    act("resume", trainings.go_on)


def _add_looks(application: FastAPI, studio: Studio) -> None:
    """What a run's model shows."""
    looking = studio.looking

    async def answered(
        client: Request, name: str, reads_text: bool, show: Callable[[RunFolder], Any]
    ) -> Any:
        def work(gone: threading.Event) -> Any:
            run = studio.workspace.run(name)
            if reads_text:  # beforehand, so that it can be cancelled and holds up no other run
                studio.texts.prepare(reading_of(run), gone)
            found = show(run)
            if isinstance(found, bytes):
                return Response(found, media_type="application/octet-stream")
            return found

        return await studio.limiter.run(client, work)

    def look(path: str, show: Callable[..., Any], kind: type[ask.Request]) -> None:
        async def answer(client: Request, name: str, request: Any) -> Any:
            reads_text = request.reads_the_run_text
            return await answered(client, name, reads_text, lambda run: show(run, request))

        answer.__annotations__ = {"client": Request, "name": str, "request": kind, "return": Any}
        application.post(f"/api/runs/{{name}}/{path}")(answer)

    look("surprise", looking.surprise, ask.SurpriseRequest)
    look("activity", looking.activity, ask.UnitRequest)
    look("heat", looking.heat, ask.HeatRequest)
    look("step", looking.step, ask.PlaceRequest)
    look("influence", looking.influence, ask.PositionRequest)
    look("clamp", looking.clamp, ask.ClampRequest)
    look("next", looking.next, ask.NextRequest)
    look("write", looking.write, ask.WriteRequest)
    look("memorised", looking.memorised, ask.MemorisedRequest)

    @application.post("/api/runs/{name}/stream")
    async def stream(name: str, request: ask.StreamRequest) -> Response:
        def write() -> Iterator[dict[str, Any]]:
            yield from looking.stream(studio.workspace.run(name), request)

        pieces = studio.limiter.iterate(write())
        first = await anext(pieces)  # a refusal is an answer of its own

        async def lines() -> AsyncIterator[bytes]:
            yield _as_json(first) + b"\n"
            async for piece in pieces:
                yield _as_json(piece) + b"\n"

        return StreamingResponse(lines(), media_type=TYPES["jsonl"])

    @application.get("/api/runs/{name}/units")
    async def units(client: Request, name: str) -> Any:
        return await answered(client, name, True, looking.units)


def _command(studio: Studio, run: RunFolder) -> list[str]:
    """What, typed in a terminal, repeats a run."""
    given = studio.trainings.arguments(run.path.name)
    if given is not None and given[0] == "train":
        return given
    if not run.is_run:
        return ["runs"]
    reading = reading_of(run)
    shortened = replace(reading, names=tuple(map(_short, reading.names)))
    return ["train", *shortened.words, "--config", str(run.path)]


def _baselines(studio: Studio, reading: Reading) -> dict[str, Any]:
    """Figures of the baselines of a text; none for a text that the studio may not read."""
    try:
        permitted = studio.texts.permitted(reading)
    except TextError:
        return NONE
    return studio.baselines.get(permitted)


def _short(name: str) -> str:
    """A path as it is typed here: from this folder, where it lies below."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else name
