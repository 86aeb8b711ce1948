"""One request that a model's engine works on: its place in the queue, its time limit, its end."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from ricorda.engine.labels import label_number
from ricorda.errors import ConfigurationError, RicordaError, VocabularyError
from ricorda.serving.catalogue import ServedModel
from ricorda.serving.guard import Problem
from ricorda.serving.limits import RETRY, Admission, Budget, Ticket
from ricorda.serving.settings import ServerSettings
from ricorda.serving.worker import Job, WritingJob
from ricorda.text.vocabulary import Vocabulary


class Task(ABC):
    """Everything of one request, from its checks to its end; lives in the event loop."""

    answer_bytes: int
    """How large the answer may become."""

    is_streamed = False
    """Whether the answer is sent while it grows."""

    user: str | None = None
    """Who is behind the request."""

    first_symbol_seconds: float | None = None
    """From the request to the first symbol; None while there is none."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        self._something_new = asyncio.Event()
        self._cut = False
        self._began = time.perf_counter()
        self._tickets: dict[Job, Ticket] = {}
        self._held = ExitStack()

    @property
    @abstractmethod
    def prompt_symbols(self) -> int:
        """How many symbols are read."""

    @property
    def written_symbols(self) -> int:
        """How many symbols were written so far."""
        return 0

    @abstractmethod
    def pieces(self) -> Iterator[str]:
        """Write the whole answer in pieces of JSON, once all is finished."""

    def begin(self, admission: Admission, answers: Budget, client: str, seconds: float) -> None:
        """Let all jobs wait for their turn; cut the request after its time limit.

        Raises Problem (429, 503), before anything is prepared, if the queue or the budget of
        answers is full.
        """
        admission.check(client, self._jobs_to_come())
        with ExitStack() as held:
            self.served.hold()
            held.callback(self.served.release)
            held.enter_context(answers.charged(client, self.answer_bytes))
            self._prepare()
            for job in self._jobs():
                self._tickets[job] = Ticket(client, self._starter(job))
                job.changed = self._changer(job, admission)
            admission.enter(list(self._tickets.values()))
            held.callback(self._leave, admission)
            held.callback(asyncio.get_running_loop().call_later(seconds, self.cut).cancel)
            self._held = held.pop_all()
        self._something_new.set()

    def cut(self) -> None:
        """Stop waiting for results: the deadline has passed, or the server is shutting down."""
        self._cut = True
        self._something_new.set()

    def close(self) -> None:
        """Stop what is still under way and release its resources; may be called again."""
        self._held.close()

    async def finish(self) -> bool:
        """Wait for all jobs.

        Raises Problem: 503 if the request was cut, 500 if the model failed.
        """
        while not self._is_over():
            await self._something_new.wait()
            self._something_new.clear()
            self._raise_if_failed()
            if self._cut and not self._is_over():
                raise Problem(
                    503,
                    "the request took too long (--request-seconds) or the server is shutting "
                    "down: ask for less, or try again",
                    code="cut_off",
                    headers=RETRY,
                )
        self._raise_if_failed()
        return True

    @abstractmethod
    def _jobs_to_come(self) -> int:
        """How many jobs there will be."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make the jobs."""

    @abstractmethod
    def _jobs(self) -> Iterator[Job]:
        """All jobs."""

    def _is_over(self) -> bool:
        return all(job.over for job in self._jobs())

    def _starter(self, job: Job) -> Callable[[], None]:
        return lambda: self.served.worker.begin(job)

    def _changer(self, job: Job, admission: Admission) -> Callable[[], None]:
        def changed() -> None:
            if self.first_symbol_seconds is None and isinstance(job, WritingJob) and job.new:
                self.first_symbol_seconds = time.perf_counter() - self._began
            if job.over:
                admission.leave(self._tickets[job])
            self._something_new.set()

        return changed

    def _leave(self, admission: Admission) -> None:
        for job, ticket in self._tickets.items():
            if ticket.running and not ticket.over and not job.over:
                self.served.worker.cancel(job)
            admission.leave(ticket)

    def _raise_if_failed(self) -> None:
        for job in self._jobs():
            if isinstance(job.error, VocabularyError):
                raise Problem(400, str(job.error))
            if isinstance(job.error, RicordaError):
                raise Problem(500, str(job.error), code="model_failed")
            if job.error is not None:
                message = "the engine failed: the server's log has the reason"
                raise Problem(500, message, code="engine_failed")


def check_answer(size: int, settings: ServerSettings, remedy: str) -> None:
    """Raise Problem (400) if an answer may become larger than is allowed."""
    if size > settings.max_answer:
        raise Problem(
            400,
            f"the answer may take {size} bytes, more than {settings.max_answer} "
            f"(--max-answer): {remedy}",
            code="answer_too_large",
        )


def label_of(vocabulary: Vocabulary, label: str | None) -> int:
    """Return the number of the label that is asked for; 0 for none. Raises Problem (400)."""
    try:
        return label_number(vocabulary, label)
    except ConfigurationError as error:
        raise Problem(400, str(error), param="label") from None
