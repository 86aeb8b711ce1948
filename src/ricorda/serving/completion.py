"""One request for completion: from its fields to texts being written, and to the answer.

Each prompt is continued by as many texts as asked for, each a job of the model's engine. Symbol i
of text j of a seed is the same whatever else the server does, so a text does not depend on the
other prompts of its request either.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ricorda.engine import GenerationSettings, Model, Symbols
from ricorda.engine.backend import Ids
from ricorda.engine.constraints import check_stops
from ricorda.engine.sampling import bias_of
from ricorda.errors import InputError, RicordaError, VocabularyError
from ricorda.serving.admission import Admission, Ticket
from ricorda.serving.catalogue import ServedModel
from ricorda.serving.problems import Problem
from ricorda.serving.requests import CompletionRequest
from ricorda.serving.settings import ServerSettings
from ricorda.serving.symbols import Passage, Reader
from ricorda.serving.turns import Turns
from ricorda.serving.worker import Job, ScoringJob, WritingJob
from ricorda.text.unseen import Unseen, after_gaps, quoted
from ricorda.text.vocabulary import OnUnknown, Vocabulary

SMALLEST_TOP_P = 1e-9  # 0 stands for the likeliest symbol alone, which any small number is


@dataclass(frozen=True)
class Prompt:
    """What is continued."""

    ids: Ids
    """Its symbols, (n,); none for an empty prompt."""

    lead: Ids
    """What the network reads: the symbols, or the vocabulary's start in place of none."""

    unseen: Unseen = field(default_factory=Unseen)
    """The characters that were left out."""


class Text:
    """One continuation of one prompt, and how far it was told."""

    def __init__(self, prompt: Prompt, job: WritingJob | None, reader: Reader) -> None:
        self.prompt = prompt
        self.job = job
        """None if nothing is to be written."""
        self.reader = reader
        self.echoed = False
        self.told_begin = False
        self.told_end = False

    @property
    def over(self) -> bool:
        """Whether nothing more will be written."""
        return self.job is None or self.job.over

    @property
    def finish_reason(self) -> str:
        """Why it ended, or that it was cut."""
        return (self.job.ending if self.job else None) or "length"


class CompletionTask:
    """Everything of one request, from its checks to its end; lives in the event loop."""

    def __init__(
        self,
        request: CompletionRequest,
        served: ServedModel,
        settings: ServerSettings,
        turns: Turns,
    ) -> None:
        """Check the request and prepare its texts. Raises Problem (400) for what cannot be."""
        self.request = request
        self.served = served
        self._turns = turns
        self.id = f"cmpl-{secrets.token_hex(12)}"
        self.created = int(time.time())
        self.n = request.n or 1
        self.best_of = request.best_of or self.n
        self.max_tokens = 16 if request.max_tokens is None else request.max_tokens
        self._check(settings)
        on_unknown = request.on_unknown or settings.on_unknown
        self.prompts = read_prompts(request.prompt, served.model, on_unknown, settings)
        self.texts: list[list[Text]] = []
        self.scores: list[ScoringJob | None] = []
        self.first_symbol_seconds: float | None = None
        """From the request to the first symbol; None while there is none."""
        self._began = time.perf_counter()
        self._something_new = asyncio.Event()
        self._cut = False
        self._tickets: dict[Job, Ticket] = {}
        self._scored: list[list[Symbols]] = [[] for _ in self.prompts]
        self._admission: Admission | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._prepare()

    @property
    def prompt_symbols(self) -> int:
        """How many symbols all prompts have."""
        return sum(len(prompt.ids) for prompt in self.prompts)

    @property
    def written_symbols(self) -> int:
        """How many symbols were written so far, in all texts, given back or not."""
        return sum(text.job.written for text in self._all_texts() if text.job)

    def begin(self, admission: Admission, client: str, seconds: float) -> None:
        """Let all texts wait for their turn; after so many seconds what there is must do.

        Raises Problem (429, 503) if the queue is full.
        """
        tickets = {job: Ticket(client, self._starter(job)) for job in self._jobs()}
        for job in tickets:
            job.changed = self._changer(job)
        self._tickets = tickets
        admission.enter(list(tickets.values()))
        self._admission = admission
        self.served.hold()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.cut)
        self._something_new.set()

    def cut(self) -> None:
        """Wait for nothing more: the deadline has passed, or the server ends."""
        self._cut = True
        self._something_new.set()

    def close(self) -> None:
        """Leave off what is still under way; twice is once."""
        if self._admission is None:
            return
        for job, ticket in self._tickets.items():
            if ticket.running and not ticket.over and not job.over:
                self.served.worker.cancel(job)
            self._admission.leave(ticket)
        self._admission = None
        if self._deadline is not None:
            self._deadline.cancel()
        self.served.release()

    async def answer(self) -> dict[str, Any]:
        """Wait for all texts and put the answer together.

        Raises Problem: 503 if it was cut, 500 if the model failed.
        """
        while not all(job.over for job in self._jobs()):
            await self._something_new.wait()
            self._something_new.clear()
            self._raise_if_failed()
            if self._cut and not all(job.over for job in self._jobs()):
                raise Problem(
                    503,
                    "the time for this request is over: ask for less, or try again",
                    code="cut_off",
                    headers={"retry-after": "1"},
                )
        await self._turns.wait()
        self._raise_if_failed()
        choices = []
        for number, texts in enumerate(self.texts):
            found = [self._whole(number, text) for text in texts]
            if self.best_of > self.n:
                found.sort(key=lambda pair: -_mean(pair[1]))
            choices += [
                self._choice(number * self.n + rank, texts[0].prompt, passage, reason, count)
                for rank, ((passage, reason, count), _) in enumerate(found[: self.n])
            ]
        return {**self._frame(), "choices": choices, "usage": self.usage()}

    async def events(self) -> AsyncIterator[bytes]:
        """Yield server-sent events as texts grow, the last one `[DONE]`; closes the task."""
        options = self.request.stream_options
        with_usage = options is not None and options.include_usage
        frame = self._frame() | ({"usage": None} if with_usage else {})
        try:
            while not all(text.told_end for text in self._all_texts()):
                await self._something_new.wait()
                await self._turns.wait()
                self._something_new.clear()
                self._raise_if_failed()
                chunks = [frame | {"choices": [choice]} for choice in self._news()]
                if chunks:
                    yield b"".join(map(_event, chunks))
            if with_usage:
                yield _event(frame | {"choices": [], "usage": self.usage()})
        except Problem as problem:
            yield _event(problem.as_json())
        finally:
            self.close()
        yield b"data: [DONE]\n\n"

    def usage(self) -> dict[str, int]:
        """Count symbols."""
        read, written = self.prompt_symbols, self.written_symbols
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }

    def _check(self, settings: ServerSettings) -> None:
        """What no single field tells."""
        request = self.request
        if self.max_tokens > settings.max_tokens:
            raise _wrong("max_tokens", f"at most {settings.max_tokens}", self.max_tokens)
        for name in ("n", "best_of"):
            if getattr(self, name) > settings.max_n:
                raise _wrong(name, f"at most {settings.max_n}", getattr(self, name))
        if self.best_of < self.n:
            raise _wrong("best_of", f"at least n, which is {self.n}", self.best_of)
        if request.stream and self.best_of > self.n:
            raise Problem(
                400, "best_of cannot be streamed: leave out stream or best_of", param="best_of"
            )
        if request.stream_options is not None and not request.stream:
            raise Problem(400, "stream_options is only for stream: true", param="stream_options")

    def _prepare(self) -> None:
        """Make the jobs."""
        request, vocabulary = self.request, self.served.model.vocabulary
        for prompt in self.prompts:
            options = self._options()  # a seed of its own for each prompt, unless one was given
            scored = request.echo and request.logprobs is not None and len(prompt.ids) > 1
            self.scores.append(ScoringJob(prompt.ids, request.logprobs or 0) if scored else None)
            texts = []
            for number in range(self.best_of):
                job = None
                if self.max_tokens:
                    settings = GenerationSettings(**options, stream_index=number)
                    job = WritingJob(prompt.lead, settings)
                reader = Reader(vocabulary, self.served.names, logprobs=request.logprobs)
                texts.append(Text(prompt, job, reader))
            self.texts.append(texts)

    def _options(self) -> dict[str, Any]:
        """The fields of GenerationSettings."""
        request = self.request
        alternatives = request.logprobs
        if alternatives is None and self.best_of > self.n:
            alternatives = 0
        given = [request.stop] if isinstance(request.stop, str) else request.stop or []
        stop = [self.served.model.read_prompt(each, drop_mark=False) for each in given]
        seed = secrets.randbits(32) if request.seed is None else request.seed % 2**64
        top_p = 1.0 if request.top_p is None else request.top_p
        options: dict[str, Any] = {
            "length": self.max_tokens,
            "temperature": 1.0 if request.temperature is None else request.temperature,
            "top_p": max(top_p, SMALLEST_TOP_P),
            "top_k": request.top_k or None,
            "min_p": request.min_p,
            "stop": tuple(stop),
            "seed": seed,
            "alternatives": alternatives,
            "presence_penalty": request.presence_penalty or 0.0,
            "frequency_penalty": request.frequency_penalty or 0.0,
            "logit_bias": tuple(
                (int(symbol), amount) for symbol, amount in (request.logit_bias or {}).items()
            ),
        }
        self._check_symbols(GenerationSettings(**options))
        return options

    def _check_symbols(self, settings: GenerationSettings) -> None:
        """Check the options that name symbols. Raises Problem (400) if the model lacks one."""
        vocabulary, param = self.served.model.vocabulary, "logit_bias"
        try:
            bias_of(settings, vocabulary)
            param = "stop"
            check_stops(settings.stop, settings, vocabulary)
        except VocabularyError as error:
            raise Problem(400, str(error), param=param) from None

    def _starter(self, job: Job) -> Any:
        return lambda: self.served.worker.begin(job)

    def _changer(self, job: Job) -> Any:
        def changed() -> None:
            if self.first_symbol_seconds is None and isinstance(job, WritingJob) and job.new:
                self.first_symbol_seconds = time.perf_counter() - self._began
            if job.over and self._admission is not None:
                self._admission.leave(self._tickets[job])
            self._something_new.set()

        return changed

    def _jobs(self) -> Iterator[Job]:
        for text in self._all_texts():
            if text.job is not None:
                yield text.job
        yield from (score for score in self.scores if score is not None)

    def _all_texts(self) -> Iterator[Text]:
        return (text for texts in self.texts for text in texts)

    def _raise_if_failed(self) -> None:
        for job in self._jobs():
            if isinstance(job.error, InputError) and isinstance(job.error, VocabularyError):
                raise Problem(400, str(job.error))
            if isinstance(job.error, RicordaError):
                raise Problem(500, str(job.error), code="model_failed")
            if job.error is not None:
                raise Problem(500, "the engine failed: see the server's log", code="engine_failed")

    def _news(self) -> Iterator[dict[str, Any]]:
        """What is new in each text, as choices of a stream's event."""
        for number, texts in enumerate(self.texts):
            for rank, text in enumerate(texts):
                if text.told_end:
                    continue
                passage = Passage()
                if not (text.echoed or self._echo(number, text, passage) or self._cut):
                    continue
                new = _continue(text, passage, cut=self._cut)
                if not (passage.ids or passage.text or text.told_end):
                    continue
                reason = text.finish_reason if text.told_end else None
                index, first = number * self.n + rank, not text.told_begin
                text.told_begin = True
                yield self._choice(index, text.prompt, passage, reason, new, first=first)

    def _echo(self, number: int, text: Text, passage: Passage) -> bool:
        """Begin with the prompt if that was asked for; False while it is not scored yet."""
        score = self.scores[number]
        if score is not None:
            self._scored[number] += score.take()
            if not score.over:
                return False
        text.echoed = True
        ids = text.prompt.ids
        if not self.request.echo or len(ids) == 0:
            return True
        if self.request.logprobs is None:
            _extend(passage, text.reader.read(_plain(ids)))
            return True
        _extend(passage, text.reader.read_first(int(ids[0])))
        for symbols in self._scored[number]:
            _extend(passage, text.reader.read(symbols))
        artefacts = after_gaps(ids, text.prompt.unseen.gaps, self.served.model.vocabulary)
        for place in np.flatnonzero(artefacts).tolist():
            passage.log_probabilities[place] = passage.alternatives[place] = None
        return True

    def _whole(
        self, number: int, text: Text
    ) -> tuple[tuple[Passage, str, int], Sequence[np.floating[Any]]]:
        """A text from its beginning to its end, and its symbols' log-probabilities."""
        passage = Passage()
        self._echo(number, text, passage)
        chances: list[Any] = []
        if text.job is not None:
            for symbols in text.job.new:
                chances += symbols.log_probabilities.tolist()
        new = _continue(text, passage, cut=False)
        return (passage, text.finish_reason, new), chances

    def _frame(self) -> dict[str, Any]:
        """What is the same in every event."""
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.served.name,
            "system_fingerprint": self.served.fingerprint,
            **self._skipped(),
        }

    def _skipped(self) -> dict[str, Any]:
        """What was left out of the prompts, if anything was."""
        found = [
            {"prompt": number, **gap.as_json()}
            for number, prompt in enumerate(self.prompts)
            for gap in prompt.unseen.gaps
        ]
        return {"skipped": found} if found else {}

    def _choice(
        self,
        index: int,
        prompt: Prompt,
        passage: Passage,
        reason: str | None,
        new: int,
        *,
        first: bool = True,
    ) -> dict[str, Any]:
        """A choice as JSON; its last `new` symbols are no part of the prompt."""
        choice: dict[str, Any] = {
            "text": passage.text,
            "index": index,
            "logprobs": None,
            "finish_reason": reason,
        }
        if self.request.logprobs is not None:
            choice["logprobs"] = {
                "tokens": passage.tokens,
                "token_logprobs": passage.log_probabilities,
                "top_logprobs": passage.alternatives,
                "text_offset": passage.offsets,
            }
        if self.request.return_token_ids:
            choice["token_ids"] = passage.ids[len(passage.ids) - new :]
            if first:
                choice["prompt_token_ids"] = prompt.ids.tolist()
        return choice


def read_prompts(
    given: str | Sequence[Any] | None,
    model: Model,
    on_unknown: OnUnknown,
    settings: ServerSettings,
) -> list[Prompt]:
    """Turn whatever a prompt may be into symbols. Raises Problem (400)."""
    if given is None or isinstance(given, str):
        several: list[Any] = [given or ""]
    else:
        several = [given] if isinstance(given[0], int) else list(given)
    if len(several) > settings.max_prompts:
        raise _wrong("prompt", f"at most {settings.max_prompts} texts", len(several))
    return [_read_prompt(each, model, on_unknown, settings.max_prompt) for each in several]


def _read_prompt(
    given: str | list[int], model: Model, on_unknown: OnUnknown, longest: int
) -> Prompt:
    ids: Ids
    unseen = Unseen()
    if isinstance(given, str):
        ids = encode(given, model, on_unknown, unseen)
    else:
        ids = check_ids(given, model.vocabulary, "prompt")
    if len(ids) > longest:
        raise _wrong("prompt", f"of at most {longest} symbols", len(ids))
    return Prompt(ids, ids if len(ids) else np.array([model.vocabulary.start]), unseen)


def encode(text: str, model: Model, on_unknown: OnUnknown, unseen: Unseen) -> Ids:
    """Turn a prompt, read as training read its text, into ids; note what is left out.

    Raises Problem (400) naming characters that have none.
    """
    text, vocabulary = model.read_prompt(text), model.vocabulary
    try:
        return unseen.encode(vocabulary, text, on_unknown)
    except VocabularyError:
        unknown = quoted(vocabulary.unknown(text))
        raise Problem(
            400,
            f"prompt has characters that the model never saw: {unknown}; leave them out, or "
            'send "on_unknown": "skip"',
            param="prompt",
            code="unknown_characters",
        ) from None


def check_ids(given: Sequence[int], vocabulary: Vocabulary, param: str) -> Ids:
    """Turn a list of ids into an array. Raises Problem (400) if one is none of the model's."""
    ids = np.array(given, np.int64)
    if len(ids) and ids.max() >= vocabulary.size:
        raise _wrong(param, f"ids from 0 to {vocabulary.size - 1}", int(ids.max()))
    return ids


def _continue(text: Text, passage: Passage, *, cut: bool) -> int:
    """Add what was written since the last time; say how many symbols it was."""
    before = len(passage.ids)
    if text.job is not None:
        over = text.job.over
        for symbols in text.job.take():
            _extend(passage, text.reader.read(symbols))
    else:
        over = True
    if over or cut:
        passage.text += text.reader.finish()
        text.told_end = True
    return len(passage.ids) - before


def _extend(passage: Passage, more: Passage) -> None:
    passage.text += more.text
    passage.ids += more.ids
    passage.tokens += more.tokens
    passage.log_probabilities += more.log_probabilities
    passage.alternatives += more.alternatives
    passage.offsets += more.offsets


def _plain(ids: Ids) -> Symbols:
    """Symbols of which no log-probabilities are asked for."""
    none = np.empty(0)
    return Symbols(ids, none, np.empty((len(ids), 0), np.int64), np.empty((len(ids), 0)))


def _mean(chances: Sequence[Any]) -> float:
    """The mean log-probability of a symbol; that of no symbols is the best."""
    return float(np.mean(chances)) if len(chances) else 0.0


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {as_json(value)}\n\n".encode()


def as_json(value: Any) -> str:
    """Write JSON compactly."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _wrong(name: str, expected: str, got: int) -> Problem:
    return Problem(400, f"{name} must be {expected}, got {got}", param=name)
