"""The server as a whole: models, limits and routes put together, from its start to its end."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from starlette.requests import Request

from ricorda.errors import ConfigurationError
from ricorda.serving.account import AccessLog, Account, Metrics
from ricorda.serving.api import build_api
from ricorda.serving.catalogue import Catalogue, ServedModel
from ricorda.serving.completion import CompletionTask
from ricorda.serving.connection import ConnectionLimits
from ricorda.serving.embedding import EmbeddingTask
from ricorda.serving.guard import (
    Anyone,
    Application,
    Authenticator,
    BearerKeys,
    Guard,
    GuardSettings,
    Problem,
    allowed_hosts,
)
from ricorda.serving.host import Host, bind, is_loopback
from ricorda.serving.limits import Admission, Budget, Turns
from ricorda.serving.prefix import UnderPrefix, root_path
from ricorda.serving.requests import READ_AT_ONCE, Body, read_body
from ricorda.serving.schema import CompletionRequest, EmbeddingRequest
from ricorda.serving.settings import ServerSettings, read_keys
from ricorda.serving.task import Task

ORIGIN = re.compile(r"https?://[^/\s]+/?", re.IGNORECASE)

MOST_REPORTED = 64
"""Unknown fields that the log names; clients choose the names."""

log = logging.getLogger("ricorda.serving")

Result = TypeVar("Result")
AnyTask = TypeVar("AnyTask", bound=Task)


class Service:
    """All that a server holds; everything but its making happens in the event loop."""

    def __init__(self, catalogue: Catalogue, settings: ServerSettings) -> None:
        """Put a server together.

        Raises ConfigurationError if it would be open to other machines without a key, or if a host
        or an origin that is let in is none.
        """
        self.catalogue = catalogue
        self.settings = settings
        self.admission = Admission(settings)
        self.answers = Budget(
            what="answers",
            option="--max-answer",
            per_client=2 * settings.max_answer,
            total=4 * settings.max_answer,
        )
        self.bodies = Budget(
            what="request bodies",
            option="--max-body",
            per_client=16 * settings.max_body,
            total=64 * settings.max_body,
        )
        self.metrics = Metrics(lambda: self.admission.running, lambda: self.admission.waiting)
        self.turns = Turns()
        self.draining = False
        self.guard = Guard(build_api(self), rules(settings), authenticator(settings))
        self.access_log = AccessLog(settings.access_log)
        self.account = Account(self.guard, self.access_log, self.metrics)
        self.application: Application = UnderPrefix(self.account, root_path(settings.root_path))
        self._tasks: set[Task] = set()
        self._ignored: set[str] = set()
        """Unknown fields that the log has named."""
        self._watching: asyncio.Task[None] | None = None
        self._reloading: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the engines, and to look for files that are replaced."""
        self.catalogue.start(asyncio.get_running_loop())
        for name in self.catalogue.models:  # from 0, so that the first failure is an increase
            for result in ("done", "failed"):
                self.metrics.reloads.labels(name, result)
        self._watching = asyncio.ensure_future(self._watch())

    async def read_body(self, request: Request, body: type[Body]) -> Body:
        """Read and check the body of a request. Raises Problem."""
        read = await read_body(
            request,
            body,
            longest=self.settings.max_body,
            lenient=self.settings.lenient,
            bodies=self.bodies,
        )
        self.note_ignored(request)
        return read

    def note_ignored(self, request: Request) -> None:
        """Count the unknown fields that a request was served without; log each name once."""
        ignored: list[str] = getattr(request.state, "ignored", [])
        self.metrics.ignored_fields.inc(len(ignored))
        for name in ignored:
            if name not in self._ignored and len(self._ignored) < MOST_REPORTED:
                self._ignored.add(name)
                log.info(
                    "ignored the unknown field %s of a request to %s (--lenient); "
                    "ricorda_ignored_fields_total counts all",
                    *(name, request.scope["path"]),
                )

    async def begin(self, request: CompletionRequest, client: str) -> CompletionTask:
        """Check a request for texts and let them wait for their turn. Raises Problem."""
        return await self._begin(
            request.model,
            request.prompt,
            lambda served: CompletionTask(request, served, self.settings, self.turns),
            client,
        )

    async def begin_embedding(self, request: EmbeddingRequest, client: str) -> EmbeddingTask:
        """Check a request for vectors and let it wait for its turn. Raises Problem."""
        return await self._begin(
            request.model,
            request.input,
            lambda served: EmbeddingTask(request, served, self.settings),
            client,
        )

    async def _begin(
        self, model: str, text: object, make: Callable[[ServedModel], AnyTask], client: str
    ) -> AnyTask:
        self.refuse_while_draining()
        served = self.catalogue.get(model)
        served.hold()
        try:
            task = await self.read_text(text, lambda: make(served))
            self.refuse_while_draining()
            task.begin(self.admission, self.answers, client, self.settings.request_seconds)
        finally:
            served.release()
        self._tasks.add(task)
        return task

    async def read_text(self, text: object, read: Callable[[], Result]) -> Result:
        """Return what `read` returns; where it reads a long text, call it in a thread.

        One long text at a time is read, so that threads do not slow the event loop down.
        """
        texts = text if isinstance(text, list) else [text]
        if sum(len(each) for each in texts if isinstance(each, str)) <= READ_AT_ONCE:
            return read()
        async with self.bodies.one_at_a_time:
            return await asyncio.to_thread(read)

    def end(self, task: Task, record: dict[str, Any]) -> None:
        """Release everything that a request holds, and log the request."""
        if record.get("left"):
            self.metrics.disconnects.inc()
        task.close()
        self._tasks.discard(task)
        name = task.served.name
        record.update(
            model=name,
            prompt_symbols=task.prompt_symbols,
            written_symbols=task.written_symbols,
            stream=task.is_streamed,
        )
        if task.user:
            record["user"] = task.user
        self.metrics.prompt_symbols.labels(name).inc(task.prompt_symbols)
        self.metrics.written_symbols.labels(name).inc(task.written_symbols)
        if task.first_symbol_seconds is not None:
            record["first_symbol_seconds"] = round(task.first_symbol_seconds, 6)
            self.metrics.first_symbol_seconds.labels(name).observe(task.first_symbol_seconds)

    def refuse_while_draining(self) -> None:
        """Raise Problem (503) if the server is about to end."""
        if self.draining:
            raise Problem(
                503, "the server is shutting down", code="draining", headers={"retry-after": "5"}
            )

    def drain(self) -> None:
        """Take no more requests; what is not done in time is cut."""
        self.draining = True
        if self._watching is not None:
            self._watching.cancel()
        log.info("shutting down: %d requests are in progress", len(self._tasks))
        asyncio.get_running_loop().call_later(self.settings.drain_seconds, self._cut)

    def reload(self, names: Sequence[str] | None = None) -> None:
        """Read keys and models again; all models, or those named."""
        if names is None:
            try:
                self.guard.authenticator = authenticator(self.settings)
            except ConfigurationError as error:
                log.error("cannot reload the API keys, the old ones remain in use: %s", error)
        task = asyncio.ensure_future(self._reload(names))
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    def stop(self) -> None:
        """End the engines, after the event loop."""
        self.catalogue.stop()
        self.access_log.close()

    def _cut(self) -> None:
        for task in list(self._tasks):
            task.cut()

    async def _reload(self, names: Sequence[str] | None) -> None:
        results = await asyncio.to_thread(self.catalogue.reload, names)
        for name, problem in results.items():
            result = "failed" if problem else "done"
            self.metrics.reloads.labels(name, result).inc()
            if problem:
                log.error(
                    "cannot reload the model %s, the old one remains in use: %s", name, problem
                )
            else:
                log.info("reloaded the model %s", name)

    async def _watch(self) -> None:
        """Read a model again soon after its file was replaced."""
        while True:
            await asyncio.sleep(self.settings.watch_seconds)
            if names := self.catalogue.changed():
                await self._reload(names)


def rules(settings: ServerSettings) -> GuardSettings:
    """What the guard lets pass. Raises ConfigurationError for what no browser would ever send."""
    for origin in settings.allow_origin:
        if not ORIGIN.fullmatch(origin):
            raise ConfigurationError(
                f"--allow-origin: expected a site such as https://example.org, got {origin!r}"
            )
    return GuardSettings(
        loopback_only=is_loopback(settings.host),
        hosts=allowed_hosts(settings.allow_host),
        origins=frozenset(origin.lower().rstrip("/") for origin in settings.allow_origin),
        largest_body=settings.max_body,
    )


def authenticator(settings: ServerSettings) -> Authenticator:
    """Which requests are admitted. Raises ConfigurationError if anybody of any machine could."""
    keys = read_keys(settings.api_key_file)
    if keys:
        return BearerKeys(keys)
    if not is_loopback(settings.host):
        raise ConfigurationError(
            f"listening on {settings.host} is open to other machines, which needs an API key: give "
            "--api-key-file, or set RICORDA_API_KEY, or listen on 127.0.0.1"
        )
    return Anyone()


def make_host(service: Service, on_ready: Callable[[str], None] = lambda address: None) -> Host:
    """Bind a service to its address; raises ConfigurationError if that is taken."""
    settings = service.settings
    listening = bind(settings.host, settings.port)
    limits = ConnectionLimits(
        connections=settings.max_connections,
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        idle_seconds=settings.idle_seconds,
        stalled_seconds=settings.stalled_seconds,
    )
    host: Host

    def ready() -> None:
        on_ready(host.address)

    host = Host(
        service.application,
        listening,
        limits=limits,
        drain_seconds=settings.drain_seconds,
        on_start=service.start,
        on_ready=ready,
        on_drain=service.drain,
        on_reload=service.reload,
        on_refusal=service.account.refused,
    )
    return host
