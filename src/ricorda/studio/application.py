"""The studio's addresses and their answers, behind the guard."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import ricorda
from ricorda.errors import InputError, RicordaError, TextError
from ricorda.run_summary import summary
from ricorda.runs import RunFolder, read_rows
from ricorda.serving.guard import Application, Guard, GuardSettings, Problem
from ricorda.shell import command_line
from ricorda.studio import settings as ask
from ricorda.studio.answers import JSON, refusal, system_problem
from ricorda.studio.entrance import REPORT_POLICY, Entrance, SafeHeaders
from ricorda.studio.feed import Place, read_news
from ricorda.studio.figures import NONE, BaselineFigures
from ricorda.studio.looking import Looking
from ricorda.studio.page_files import read_page_files
from ricorda.studio.reading import Reading, read_config, reading_of
from ricorda.studio.rows import FromRows
from ricorda.studio.sample_texts import SAMPLES, sample_text
from ricorda.studio.texts import Texts
from ricorda.studio.trainings import Trainings
from ricorda.studio.turns import Turns
from ricorda.studio.workspace import Workspace
from ricorda.training.report.page import report_of

LARGEST_REQUEST = 256 * 1024  # bytes, but for texts
UPLOAD = "/api/texts"
PRINTED = "open the newest address that `ricorda studio` printed"
FILE_NAME = re.compile(r"[^\x20-\x7e]|[\"\\]")


@dataclass
class Studio:
    """Everything that the addresses answer from."""

    workspace: Workspace
    texts: Texts
    trainings: Trainings
    looking: Looking
    baselines: BaselineFigures
    entrance: Entrance
    turns: Turns = field(default_factory=Turns)
    """For what takes long."""

    def close(self) -> None:
        """End what belongs to the page; trainings go on."""
        self.trainings.close()
        self.baselines.close()
        self.texts.close()


def make_studio(workspace: Workspace, entrance: Entrance, largest_text: int) -> Studio:
    """Put a studio together for two folders.

    Raises ConfigurationError if its private folder cannot be used.
    """
    texts = Texts(workspace, largest_text)
    texts.clean()
    return Studio(
        workspace,
        texts,
        Trainings(workspace, may_learn=lambda run: texts.permitted(reading_of(run))),
        Looking(texts),
        BaselineFigures(workspace),
        entrance,
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
        no_key=PRINTED,
    )
    return SafeHeaders(Guard(application, guard, studio.entrance))


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
    async def index(request: Request, ticket: str = "") -> Response:
        if studio.entrance.exchange(ticket):
            return RedirectResponse("/", 303, {"set-cookie": studio.entrance.cookie})
        if studio.entrance.identify(request.scope) is None:
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
    async def facts(request: Request, name: str, vocabulary: Kind = "characters") -> dict[str, Any]:
        reading = studio.texts.reading(name, vocabulary)
        command = command_line(["ricorda", "baselines", *reading.words])
        found = await studio.turns.take(request, lambda gone: studio.texts.facts(reading, gone))
        return {"name": name, "command": command, **found}

    @application.get("/api/texts/{name}/baselines")
    def baselines_of_text(name: str, vocabulary: Kind = "characters") -> dict[str, Any]:
        return _baselines(studio, studio.texts.reading(name, vocabulary))


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
    async def facts_of_run(request: Request, name: str) -> dict[str, Any]:
        reading = reading_of(workspace.run(name))
        return await studio.turns.take(request, lambda gone: studio.texts.facts(reading, gone))

    @application.get("/api/runs/{name}/baselines")
    def baselines_of_run(name: str) -> dict[str, Any]:
        return _baselines(studio, reading_of(workspace.run(name)))

    @application.get("/api/runs/{name}/curve")
    def curve(name: str) -> dict[str, Any]:
        rows = read_rows(workspace.run(name).metrics)
        judged = [row for row in rows if row.get("event") == "evaluation"]
        points = [[row.get("seconds"), row.get("nats_per_character")] for row in judged]
        return {"points": [point for point in points if None not in point]}


def _add_trainings(application: FastAPI, studio: Studio) -> None:
    """A run as it learns: watched, paused, resumed, ended, its report taken home."""
    workspace, trainings = studio.workspace, studio.trainings

    @application.get("/api/runs/{name}/news")
    def news(name: str, after: str = "") -> dict[str, Any]:
        run = _place(studio, name)
        found = read_news(run, Place.parse(after))
        return {
            "after": str(found.place),
            "metrics": found.metrics,
            "samples": found.samples,
            "from_the_beginning": found.from_the_beginning,
            "more": found.more,
            "status": {
                **trainings.state(name),
                "has_model": run.model.is_file(),
                "has_report": _has_report(run, trainings),
                "has_config": run.is_run,
            },
        }

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
        headers = {
            "content-disposition": f'attachment; filename="{file}"',
            "content-security-policy": REPORT_POLICY,
        }
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def _add_looks(application: FastAPI, studio: Studio) -> None:
    """What a run's model shows."""
    workspace, looking = studio.workspace, studio.looking

    async def answered(
        client: Request, name: str, reads_text: bool, show: Callable[[RunFolder], Any]
    ) -> Any:
        def work(gone: threading.Event) -> Any:
            run = workspace.run(name)
            if reads_text:  # beforehand, so that it can be cancelled and holds up no other run
                studio.texts.prepare(reading_of(run), gone)
            return show(run)

        return await studio.turns.take(client, work)

    def look(path: str, show: Callable[..., Any], kind: type[ask.Request]) -> None:
        async def answer(client: Request, name: str, request: Any) -> Any:
            reads_text = request.reads_the_run_text
            return await answered(client, name, reads_text, lambda run: show(run, request))

        answer.__annotations__ = {"client": Request, "name": str, "request": kind, "return": Any}
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
    async def heat(client: Request, name: str, request: ask.HeatRequest) -> Response:
        reads_text = request.reads_the_run_text
        content = await answered(client, name, reads_text, lambda run: looking.heat(run, request))
        return Response(content, media_type="application/octet-stream")

    @application.get("/api/runs/{name}/units")
    async def units(client: Request, name: str) -> Any:
        return await answered(client, name, True, looking.units)


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
    """A run's page, made from its rows: its own report.html may be a stranger's and run scripts.

    Raises RunError if the rows are damaged.
    """
    return report_of(run).encode()


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
