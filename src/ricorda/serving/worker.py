"""The one thread that runs a model: all texts advance together, and join and leave between steps.

Orders come from the event loop and wake the thread within one step; results go back to the loop,
one call for all texts. Texts to be scored, or turned into vectors, are read a bounded part at a
time between the steps, many side by side.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from ricorda.engine import Ending, GenerationSettings, Model, Session, State, Stream, Symbols
from ricorda.engine.backend import Ids, Surprisals
from ricorda.engine.embedding import VectorKind, VectorReader
from ricorda.engine.sampling import not_finite_error
from ricorda.errors import InputError, ModelFileError

ROUND_SECONDS = 0.01
"""Seconds that the engine runs without interruption before it delivers results."""

MOST_STEPS = 256
MOST_POSITIONS = 1 << 14
MOST_ROWS = 64

log = logging.getLogger("ricorda.serving")


class Job:
    """Texts to write, to score or to turn into vectors. Only the event loop reads its results."""

    def __init__(self) -> None:
        self.new: list[Symbols] = []
        """Results that have not been taken yet."""
        self.over = False
        """Whether nothing more will come."""
        self.error: Exception | None = None
        """Why it failed."""
        self.changed: Callable[[], None] = lambda: None
        """Called whenever something came."""

    def add(self, symbols: Symbols) -> None:
        """Add results; small blocks are joined, because each has an overhead in memory."""
        self.new.append(symbols)
        while len(self.new) > 1 and len(self.new[-2].ids) <= len(self.new[-1].ids):
            self.new[-2:] = [self.new[-2].then(self.new[-1])]

    def take(self) -> list[Symbols]:
        """Return what has come since the last call."""
        new, self.new = self.new, []
        return new


class WritingJob(Job):
    """Continue the symbols `ids`, at least one, under the label of a number, 0 for none."""

    def __init__(self, ids: Ids, settings: GenerationSettings, label: int = 0) -> None:
        super().__init__()
        self.ids = ids
        self.settings = settings
        self.label = label
        self.ending: Ending | None = None
        """Why the text ended."""
        self.written = 0
        """How many symbols were chosen, those of a stop string included."""
        self.counted = 0  # the same, as the engine's thread knows it
        self.cut = 0
        """How many characters of the last symbol belong to a stop string; final once `over`."""


class ScoringJob(Job):
    """Say how well each of the symbols `ids`, at least two, but the first was expected."""

    def __init__(self, ids: Ids, alternatives: int, label: int = 0) -> None:
        super().__init__()
        self.ids = ids
        self.alternatives = alternatives
        self.label = label
        # Only the engine's thread looks at these.
        self.position = 0
        self.state: State | None = None


class EmbeddingJob(Job):
    """Give the vectors of the texts `texts`, each the ids (n,), under a label's number."""

    def __init__(self, texts: Sequence[Ids], kind: VectorKind, label: int = 0) -> None:
        super().__init__()
        self.texts = texts
        self.kind = kind
        self.label = label
        # Only the engine's thread looks at it before the job is over.
        self.reader: VectorReader | None = None


Delivery = tuple[Job, Symbols | None, int, Ending | None, bool, Exception | None]


class Worker:
    """Runs one model in a thread of its own until it is retired and idle."""

    def __init__(self, model: Model, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._model = model
        self._loop = loop
        self._session: Session = model.backend.session(model.vocabulary)
        self._condition = threading.Condition()
        self._orders: list[Callable[[], None]] = []
        self._retired = False
        self._writing: dict[Stream, WritingJob] = {}
        self._scoring: list[ScoringJob] = []
        self._embedding: list[EmbeddingJob] = []
        self._workload = Workload()
        self._thread = threading.Thread(target=self._run, name=f"engine {name}", daemon=True)
        self._thread.start()

    def begin(self, job: Job) -> None:
        """Let a job join at the next step; from any thread."""
        self._order(lambda: self._add(job))

    def cancel(self, job: Job) -> None:
        """Let a job leave at the next step, if it is still there; from any thread."""
        self._order(lambda: self._drop(job))

    def retire(self) -> None:
        """Let the thread end once its jobs are over; from any thread."""
        with self._condition:
            self._retired = True
            self._condition.notify()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end."""
        self._thread.join(seconds)

    def _order(self, order: Callable[[], None]) -> None:
        with self._condition:
            self._orders.append(order)
            self._condition.notify()
        self._session.interrupt()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not (self._orders or self._has_jobs or self._retired):
                    self._condition.wait()
                orders, self._orders = self._orders, []
                if self._retired and not (orders or self._has_jobs):
                    return
            for order in orders:
                order()
            deliveries: list[Delivery] = []
            try:
                for advance in (self._write, self._score, self._embed):
                    deliveries += advance()
            except Exception as error:
                log.exception("the engine failed")
                deliveries += self._give_up(error)
            self._deliver(deliveries)

    @property
    def _has_jobs(self) -> bool:
        return bool(self._writing or self._scoring or self._embedding)

    def _add(self, job: Job) -> None:
        """In the engine's thread: begin, or fail alone."""
        try:
            self._begin(job)
        except Exception as error:
            if not isinstance(error, InputError):
                log.exception("the engine failed")
            self._deliver([(job, None, 0, None, True, error)])

    def _begin(self, job: Job) -> None:
        if isinstance(job, WritingJob):
            self._writing[self._session.add(job.ids, job.settings, label=job.label)] = job
        elif isinstance(job, ScoringJob):
            job.state = self._model.backend.zero_state(1)
            self._scoring.append(job)
        elif isinstance(job, EmbeddingJob):
            labels = [job.label] * len(job.texts)
            job.reader = VectorReader(
                self._model.backend, job.texts, job.kind, labels, normalize=True
            )
            self._embedding.append(job)

    def _drop(self, job: Job) -> None:
        """In the engine's thread: leave off."""
        for stream, other in self._writing.items():
            if other is job:
                self._session.remove(stream)
                del self._writing[stream]
                return
        if isinstance(job, ScoringJob) and job in self._scoring:
            self._scoring.remove(job)
        elif isinstance(job, EmbeddingJob) and job in self._embedding:
            self._embedding.remove(job)

    def _write(self) -> list[Delivery]:
        """Advance all texts for a while."""
        if not self._writing:
            return []
        began = time.perf_counter()
        steps = self._workload.steps
        found = self._session.advance_symbols(steps)
        seconds = time.perf_counter() - began
        deliveries: list[Delivery] = []
        taken = 0
        for stream, symbols in found:
            job = self._writing[stream]
            taken = max(taken, stream.written - job.counted)
            job.counted = stream.written
            if stream.failed:
                del self._writing[stream]
                deliveries.append((job, None, stream.written, None, True, not_finite_error()))
                continue
            over = stream.ended is not None
            if over:
                job.cut = stream.cut
                self._session.remove(stream)
                del self._writing[stream]
            if over or len(symbols.ids):
                deliveries.append((job, symbols, stream.written, stream.ended, over, None))
        self._workload.took(taken or steps, seconds)  # fewer than asked for if interrupted
        return deliveries

    def _score(self) -> list[Delivery]:
        """Read on in some texts, side by side: each row a bounded part of one."""
        jobs = self._scoring[:MOST_ROWS]
        if not jobs:
            return []
        self._scoring = [*self._scoring[len(jobs) :], *jobs]  # take turns where there are many
        longest = max(len(job.ids) - 1 - job.position for job in jobs)
        alternatives = max(job.alternatives for job in jobs)
        # The memory of the results is bounded too.
        positions = self._workload.positions // (1 + alternatives // 32)
        steps = max(1, min(longest, positions // len(jobs)))
        inputs = np.zeros((len(jobs), steps), np.int64)
        targets = np.zeros((len(jobs), steps), np.int64)
        for row, job in enumerate(jobs):
            part = job.ids[job.position : job.position + steps + 1]
            inputs[row, : len(part) - 1], targets[row, : len(part) - 1] = part[:-1], part[1:]
        began = time.perf_counter()
        state = np.concatenate([job.state for job in jobs if job.state is not None], axis=2)
        labels = np.array([job.label for job in jobs])[:, np.newaxis]
        found, state = self._model.backend.score(
            inputs,
            targets,
            state,
            alternatives,
            labels=np.broadcast_to(labels, inputs.shape) if labels.any() else None,
        )
        self._workload.read(inputs.size, time.perf_counter() - began)
        for row, job in enumerate(jobs):
            job.state = state[:, :, row : row + 1]
        return [self._scored(job, found, row) for row, job in enumerate(jobs)]

    def _scored(self, job: ScoringJob, found: Surprisals, row: int) -> Delivery:
        """Take a text's part out of what was read side by side."""
        count = min(found.nats.shape[1], len(job.ids) - 1 - job.position)
        nats = found.nats[row, :count]
        symbols = Symbols(
            job.ids[job.position + 1 : job.position + 1 + count],
            -nats,
            found.alternative_ids[row, :count, : job.alternatives],
            -found.alternative_nats[row, :count, : job.alternatives],
        )
        job.position += count
        failed = bool(np.isnan(nats).any())  # infinity: a symbol that the model excludes
        over = failed or job.position == len(job.ids) - 1
        if over:
            self._scoring.remove(job)
        return (job, symbols, 0, None, over, not_finite_error() if failed else None)

    def _embed(self) -> list[Delivery]:
        """Read on in the texts of one job; jobs take turns."""
        if not self._embedding:
            return []
        job = self._embedding[0]
        began = time.perf_counter()
        failure: ModelFileError | None = None
        symbols = 0
        try:
            assert job.reader is not None, "it was made when the job began"
            symbols = job.reader.advance(self._workload.positions)
        except ModelFileError as error:
            failure = error
        del self._embedding[0]
        if symbols == 0:
            return [(job, None, 0, None, True, failure)]
        self._embedding.append(job)
        self._workload.read(symbols, time.perf_counter() - began)
        return []

    def _give_up(self, error: Exception) -> list[Delivery]:
        """After an unforeseen error, end every job and start a new session."""
        jobs: list[Job] = [*self._writing.values(), *self._scoring, *self._embedding]
        self._writing, self._scoring, self._embedding = {}, [], []
        self._session = self._model.backend.session(self._model.vocabulary)
        return [(job, None, 0, None, True, error) for job in jobs]

    def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Hand everything to the event loop by one call."""
        if deliveries:
            try:
                self._loop.call_soon_threadsafe(_receive, deliveries)
            except RuntimeError:  # the loop has closed: nobody waits for it any more
                log.debug("results came after the event loop had closed")


class Workload:
    """Amounts of work that take about ROUND_SECONDS, from the throughput of recent work."""

    def __init__(self) -> None:
        self.steps = 4
        """Steps of all texts."""
        self.positions = 256
        """Symbols to score."""

    def took(self, steps: int, seconds: float) -> None:
        """Learn from some steps."""
        self.steps = _towards(self.steps, steps, seconds, MOST_STEPS)

    def read(self, positions: int, seconds: float) -> None:
        """Learn from some symbols."""
        self.positions = _towards(self.positions, positions, seconds, MOST_POSITIONS)


def _towards(now: int, done: int, seconds: float, most: int) -> int:
    wanted = done * ROUND_SECONDS / max(seconds, 1e-6)
    return int(min(max(1, now // 2, min(wanted, 2 * now)), most))


def _receive(deliveries: Sequence[Delivery]) -> None:
    """In the event loop: put results where their requests look."""
    for job, symbols, written, ending, over, error in deliveries:
        if symbols is not None:
            job.add(symbols)
        if isinstance(job, WritingJob):
            job.written, job.ending = written, ending
        job.over, job.error = over, error
    for job, *_ in deliveries:
        job.changed()
