"""The studio's addresses and their answers, behind the guard."""

import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import ricorda
from ricorda.durable import open_untrusting
from ricorda.errors import InputError, RicordaError, RunError
from ricorda.run_summary import summary
from ricorda.runs import RunFolder, read_rows
from ricorda.serving.guard import Application, Guard, GuardSettings
from ricorda.serving.problems import Problem
from ricorda.shell import command_line
from ricorda.studio import settings as ask
from ricorda.studio.answers import JSON, refusal, system_problem
from ricorda.studio.entrance import SafeHeaders, Token
from ricorda.studio.feed import events
from ricorda.studio.figures import BaselineFigures
from ricorda.studio.looking import Looking
from ricorda.studio.page_files import read_page_files
from ricorda.studio.rows import FromRows
from ricorda.studio.sample_texts import SAMPLES, sample_text
from ricorda.studio.texts import Texts, read_config, reading_of
from ricorda.studio.trainings import Trainings
from ricorda.studio.turns import Turns
from ricorda.studio.workspace import Workspace
from ricorda.training.report import report_so_far

LARGEST_REQUEST = 256 * 1024  # bytes, but for texts
LARGEST_REPORT = 256 * 1024 * 1024  # bytes
UPLOAD = "/api/texts"
PRINTED = "open the address that `ricorda studio` printed"
FILE_NAME = re.compile(r"[^\x20-\x7e]|[\"\\]")


@dataclass
class Studio:
    """Everything that the addresses answer from."""

    workspace: Workspace
    texts: Texts
    trainings: Trainings
    looking: Looking
    baselines: BaselineFigures
    token: Token
    turns: Turns = field(default_factory=Turns)
    """For what takes long."""
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the end begins: what the page listens to ends by itself."""

    def close(self) -> None:
        """End what belongs to the page; trainings go on."""
        self.trainings.close()
        self.baselines.close()


def make_studio(workspace: Workspace, token: Token, largest_text: int) -> Studio:
    """Put a studio together for two folders."""
    texts = Texts(workspace, largest_text)
    return Studio(
        workspace,
        texts,
        Trainings(workspace),
        Looking(texts),
        BaselineFigures(workspace),
        token,
    )


def make_application(studio: Studio, largest_text: int) -> Application:
    """The whole application: the guard, the page's policy, the addresses."""
    application = FastAPI(
        title="ricorda studio",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        default_response_class=JSON,
    )
    _add_errors(application)
    _add_page(application, studio)
    _add_texts(application, studio)
    _add_runs(application, studio)
    _add_trainings(application, studio)
    _add_looks(application, studio)
    guard = GuardSettings(
        largest_body=LARGEST_REQUEST,
        largest_bodies={UPLOAD: largest_text},
        open_paths=frozenset({"/"}),
        wrong_host=f"the Host header names no address of this server: {PRINTED}",
        wrong_origin="pages of other sites may not call this server",
        no_key=f"{PRINTED}, token and all",
    )
    return SafeHeaders(Guard(application, guard, studio.token))


def _add_errors(application: FastAPI) -> None:
    """Every error as one line of JSON."""

    @application.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return refusal(error)

    @application.exception_handler(HTTPException)
    async def no_such(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, Problem):  # a body found too large while FastAPI read it
            return refusal(error.__cause__)
        return refusal(Problem(error.status_code, error.detail.lower(), headers=error.headers))

    @application.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return refusal(Problem(400, "the request broke off"))  # nobody reads it

    @application.exception_handler(OSError)
    async def system(request: Request, error: OSError) -> Response:
        return refusal(system_problem(error))

    @application.exception_handler(RicordaError)
    async def ours(request: Request, error: RicordaError) -> Response:
        status = 422 if isinstance(error, InputError) else 500
        code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
        return refusal(Problem(status, str(error), code=code))

    @application.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
        message = f"{where}: {first['msg']}"
        return refusal(Problem(422, message, param=where, code="invalid_request"))


def _add_page(application: FastAPI, studio: Studio) -> None:
    """The page and its files."""
    page = read_page_files()

    @application.get("/")
    async def index(request: Request, token: str = "") -> Response:
        if token and studio.token.fits(token):
            return RedirectResponse("/", 303, {"set-cookie": studio.token.cookie})
        if studio.token.identify(request.scope) is None:
            content, kind = page["closed.html"]
            return Response(content, 401, media_type=kind)
        content, kind = page["index.html"]
        return Response(content, media_type=kind)

    @application.get("/page/{name}")
    async def file(name: str) -> Response:
        if name not in page:
            raise Problem(404, "the page has no such file")
        content, kind = page[name]
        return Response(content, media_type=kind)

    @application.get("/api/studio")
    def about() -> dict[str, Any]:
        return {
            "version": ricorda.__version__,
            "cores": studio.trainings.cores,
            "texts": studio.texts.list(),
            "samples": list(SAMPLES),
            "running": studio.trainings.running(),
            "waiting": studio.trainings.waiting(),
        }


def _add_texts(application: FastAPI, studio: Studio) -> None:
    """Bringing texts in, and what they are."""
    Kind = Literal["characters", "bytes"]  # noqa: N806 - a type

    @application.post(UPLOAD)
    async def keep(request: Request, name: str = "text", encoding: str = "utf-8") -> dict[str, str]:
        return {"name": await studio.texts.keep(name, request.stream(), encoding)}

    @application.post("/api/sample-texts")
    def keep_sample(request: ask.SampleTextRequest) -> dict[str, str]:
        pieces = sample_text(request.name)
        return {"name": studio.texts.keep_now(SAMPLES.get(request.name, request.name), pieces)}

    @application.get("/api/texts/{name}")
    async def facts(name: str, vocabulary: Kind = "characters") -> dict[str, Any]:
        reading = studio.texts.reading(name, vocabulary)
        command = command_line(["ricorda", "baselines", *reading.words])
        found = await studio.turns.take(lambda: studio.texts.facts(reading))
        return {"name": name, "command": command, **found}

    @application.get("/api/texts/{name}/baselines")
    def baselines_of_text(name: str, vocabulary: Kind = "characters") -> dict[str, Any]:
        return studio.baselines.get(studio.texts.reading(name, vocabulary))


def _add_runs(application: FastAPI, studio: Studio) -> None:
    """Runs: all of them, a new one, and what each one is."""
    workspace, trainings = studio.workspace, studio.trainings
    summaries = FromRows(summary)

    @application.get("/api/runs")
    def runs() -> dict[str, Any]:
        begun = [
            {
                **summaries.of(run),
                "name": run.path.name,
                **trainings.state(run.path.name),
                "has_report": _has_report(run, trainings),
            }
            for run in workspace.list_runs()
        ]
        there = {row["name"] for row in begun}
        waiting = [
            {"name": name, **trainings.state(name)}
            for name in trainings.names()
            if name not in there
        ]
        return {"runs": [*waiting, *begun]}

    @application.post("/api/runs")
    def begin(request: ask.TrainingRequest) -> dict[str, str]:
        return {"name": trainings.begin(workspace.text(request.text), request)}

    @application.get("/api/runs/{name}")
    def details(name: str) -> dict[str, Any]:
        run = _place(studio, name)
        config = read_config(run) if run.is_run else None
        return {
            "name": name,
            "path": str(run.path),
            "training": None if config is None else config.get("training"),
            "text": None if config is None else config.get("text"),
            "texts": [] if config is None else [_short(each) for each in reading_of(run).names],
            "has_model": run.model.is_file(),
            "has_report": _has_report(run, trainings),
            "command": command_line(["ricorda", *_command(studio, run)]),
            **trainings.state(name),
        }

    @application.get("/api/runs/{name}/facts")
    async def facts_of_run(name: str) -> dict[str, Any]:
        return await studio.turns.take(lambda: studio.texts.facts(reading_of(workspace.run(name))))

    @application.get("/api/runs/{name}/baselines")
    def baselines_of_run(name: str) -> dict[str, Any]:
        return studio.baselines.get(reading_of(workspace.run(name)))

    @application.get("/api/runs/{name}/curve")
    def curve(name: str) -> dict[str, Any]:
        rows = read_rows(workspace.run(name).metrics)
        judged = [row for row in rows if row.get("event") == "evaluation"]
        points = [[row.get("seconds"), row.get("nats_per_character")] for row in judged]
        return {"points": [point for point in points if None not in point]}


def _add_trainings(application: FastAPI, studio: Studio) -> None:
    """A run as it learns: watched, paused, resumed, ended, its report taken home."""
    workspace, trainings = studio.workspace, studio.trainings

    @application.get("/api/runs/{name}/events")
    async def follow(name: str, request: Request) -> StreamingResponse:
        run = _place(studio, name)

        def status() -> dict[str, Any]:
            return {
                **trainings.state(name),
                "has_model": run.model.is_file(),
                "has_report": _has_report(run, trainings),
                "has_config": run.is_run,
            }

        stream = events(run, request.headers.get("last-event-id"), status, studio.closing)
        return StreamingResponse(stream, media_type="text/event-stream")

    @application.post("/api/runs/{name}/pause")
    def pause(name: str) -> dict[str, Any]:
        trainings.pause(name)
        return trainings.state(name)

    @application.post("/api/runs/{name}/stop")
    def stop(name: str) -> dict[str, Any]:
        trainings.stop(name)
        return trainings.state(name)

    @application.post("/api/runs/{name}/resume")
    def resume(name: str) -> dict[str, Any]:
        trainings.go_on(name)
        return trainings.state(name)

    @application.get("/api/runs/{name}/report")
    def report(name: str) -> Response:
        content = _report(workspace.run(name))
        file = FILE_NAME.sub("_", f"{name}.html")
        headers = {"content-disposition": f'attachment; filename="{file}"'}
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def _add_looks(application: FastAPI, studio: Studio) -> None:
    """What a run's model shows."""
    workspace, looking = studio.workspace, studio.looking

    def look(path: str, show: Callable[..., Any], kind: type[ask.Request]) -> None:
        async def answer(name: str, request: Any) -> Any:
            return await studio.turns.take(lambda: show(workspace.run(name), request))

        answer.__annotations__ = {"name": str, "request": kind, "return": Any}
        application.post(f"/api/runs/{{name}}/{path}")(answer)

    look("surprise", looking.surprise, ask.ReadRequest)
    look("activity", looking.activity, ask.UnitRequest)
    look("step", looking.step, ask.PlaceRequest)
    look("influence", looking.influence, ask.PositionRequest)
    look("clamp", looking.clamp, ask.ClampRequest)
    look("next", looking.next, ask.NextRequest)
    look("write", looking.write, ask.WriteRequest)
    look("memorised", looking.memorised, ask.MemorisedRequest)

    @application.post("/api/runs/{name}/heat")
    async def heat(name: str, request: ask.HeatRequest) -> Response:
        content = await studio.turns.take(lambda: looking.heat(workspace.run(name), request))
        return Response(content, media_type="application/octet-stream")

    @application.get("/api/runs/{name}/units")
    async def units(name: str) -> dict[str, Any]:
        return await studio.turns.take(lambda: looking.units(workspace.run(name)))


def _place(studio: Studio, name: str) -> RunFolder:
    """A run's folder, or that of one that has yet to begin."""
    if studio.trainings.knows(name):
        return RunFolder(studio.workspace.runs / name)
    return studio.workspace.run(name)


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


def _has_report(run: RunFolder, trainings: Trainings) -> bool:
    """Whether there is a page of a run: its own, or one of how far it has come."""
    return run.report.is_file() or (run.is_run and not trainings.has_ended(run))


def _report(run: RunFolder) -> bytes:
    """A run's page: the one that it left when it ended or paused, else how far it has come.

    Raises RunError if it ended without one.
    """
    last = deque(read_rows(run.metrics), maxlen=1)
    if not last or last[0].get("event") != "ended":
        return report_so_far(run).encode()
    try:
        with open_untrusting(run.report) as report:
            return report.read(LARGEST_REPORT)
    except OSError:
        raise RunError("this run has ended and its report is gone") from None


def _short(name: str) -> str:
    """A path as it is typed here: from this folder, where it lies below."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else name
