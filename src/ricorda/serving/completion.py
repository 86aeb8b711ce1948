"""One request for completion: from its fields to texts being written, and to the answer.

Each prompt is continued by as many texts as asked for, each a job of the model's engine. Symbol i
of text j of a seed is the same whatever else the server does, so a text does not depend on the
other prompts of its request either.
"""

import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.engine import GenerationSettings, Symbols
from ricorda.engine.backend import Ids
from ricorda.engine.constraints import check_stops, constraint_of
from ricorda.engine.sampling import bias_of
from ricorda.errors import ConfigurationError, InputError
from ricorda.serving.answers import (
    BOUNDARY_NAME,
    Reader,
    as_json,
    choice_pieces,
    estimate,
    piece_size,
)
from ricorda.serving.catalogue import ServedModel
from ricorda.serving.guard import Problem
from ricorda.serving.limits import Turns
from ricorda.serving.requests import Prompt, read_prompts, wrong
from ricorda.serving.schema import CompletionRequest
from ricorda.serving.settings import ServerSettings
from ricorda.serving.task import Task, check_answer, label_of
from ricorda.serving.worker import Job, ScoringJob, WritingJob
from ricorda.text.unseen import after_gaps
from ricorda.text.vocabulary import OnUnknown

log = logging.getLogger("ricorda.serving")

MOST_ALTERNATIVES = 1 << 16
MOST_BANNED = 128  # characters: each may become several states of every text's automaton
DEFAULT_WINDOW = GenerationSettings().repetition_window
SMALLEST_TOP_P = 1e-9  # 0 means the most likely symbol alone, as any small number does


class Text:
    """One continuation of one prompt, and how much of it has been sent."""

    def __init__(self, prompt: Prompt, job: WritingJob | None, reader: Reader) -> None:
        self.prompt = prompt
        self.job = job
        """None if nothing is to be written."""
        self.reader = reader
        self.unsent: deque[Symbols] = deque()
        """Symbols of a stream that were not sent yet."""
        self.echo_left: int | None = None
        """Symbols of the echoed prompt among them; None until the prompt is scored."""
        self.has_begun = False
        self.has_ended = False

    @property
    def finish_reason(self) -> str:
        """Why it ended, or that it was cut."""
        return (self.job.ending if self.job else None) or "length"

    def take(self, most: int) -> list[Symbols]:
        """Take the next symbols to send, at most `most`, in one block or none."""
        if self.job is not None:
            self.unsent += self.job.take()
        while self.unsent:
            block = self.unsent.popleft()
            if len(block.ids) > most:
                self.unsent.appendleft(block.part(most, len(block.ids)))
            if len(block.ids):
                return [block.part(0, most)]
        return []


class CompletionTask(Task):
    """A request for completion; see `Task`."""

    def __init__(
        self,
        request: CompletionRequest,
        served: ServedModel,
        settings: ServerSettings,
        turns: Turns,
    ) -> None:
        """Check the request and read its prompts. Raises Problem (400) for an invalid one."""
        super().__init__(served)
        self.request = request
        self.user, self.is_streamed = request.user, bool(request.stream)
        self._turns = turns
        self.id = f"cmpl-{secrets.token_hex(12)}"
        self.created = int(time.time())
        self.n = request.n or 1
        self.best_of = request.best_of or self.n
        self.max_tokens = 16 if request.max_tokens is None else request.max_tokens
        self._check(settings)
        self.label = label_of(served.model.vocabulary, request.label)
        on_unknown = request.on_unknown or settings.on_unknown
        self.prompts = read_prompts(request.prompt, served.model, on_unknown, settings)
        self.stops, self.skipped_stops = self._read_stops(on_unknown)
        """The stop strings, and the skipped ones, which can never occur."""
        self.answer_bytes = self._estimate(settings)
        self.texts: list[list[Text]] = []
        self.scores: list[ScoringJob | None] = []
        self._scored: list[list[Symbols]] = [[] for _ in self.prompts]

    @property
    def prompt_symbols(self) -> int:
        """How many symbols all prompts have."""
        return sum(len(prompt.ids) for prompt in self.prompts)

    @property
    def written_symbols(self) -> int:
        """How many symbols were written so far, in all texts, given back or not."""
        return sum(text.job.written for text in self._all_texts() if text.job)

    def _jobs_to_come(self) -> int:
        of_texts = len(self.prompts) * (self.best_of * bool(self.max_tokens))
        return of_texts + sum(map(self._is_scored, self.prompts))

    def pieces(self) -> Iterator[str]:
        """Write the whole answer in pieces of JSON, once all texts are finished."""
        yield as_json(self._frame() | self._skipped())[:-1] + ',"choices":['
        for number, texts in enumerate(self.texts):
            score = self.scores[number]
            self._scored[number] = score.take() if score else []
            for rank, text in enumerate(self._best(texts)):
                index = number * self.n + rank
                if index:
                    yield ","
                echo = self._echo(number, text)
                written = text.job.take() if text.job else []
                yield from choice_pieces(
                    *(index, text.reader, [*echo, *written], self.request),
                    echoed=_count(echo),
                    prompt=text.prompt.ids,
                    reason=text.finish_reason,
                    cut=text.job.cut if text.job else 0,
                )
        yield f'],"usage":{as_json(self.usage())}}}'

    async def events(self) -> AsyncIterator[bytes]:
        """Yield server-sent events as texts grow, the last one `[DONE]`; closes the task."""
        options = self.request.stream_options
        with_usage = options is not None and options.include_usage
        frame = self._frame() | ({"usage": None} if with_usage else {})
        skipped = self._skipped()  # for the first event
        try:
            while not all(text.has_ended for text in self._all_texts()):
                await self._something_new.wait()
                await self._turns.wait()
                self._something_new.clear()
                self._raise_if_failed()
                chunks = []
                for choice in self._news():
                    chunks.append(_event(frame | skipped, choice))
                    skipped = {}
                if chunks:
                    yield b"".join(chunks)
            if with_usage:
                yield _event(frame | {"usage": self.usage()}, "")
        except Problem as problem:
            yield b"data: " + problem.body() + b"\n\n"
        except Exception:
            log.exception("a stream failed")
            failure = Problem(500, "the server failed: its log has the reason")
            yield b"data: " + failure.body() + b"\n\n"
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
        """Check the request against the server's limits."""
        request = self.request
        for name, most, option in (
            ("max_tokens", settings.max_tokens, "--max-tokens"),
            ("n", settings.max_n, "--max-n"),
            ("best_of", settings.max_n, "--max-n"),
        ):
            if getattr(self, name) > most:
                raise wrong(name, f"at most {most} ({option})", getattr(self, name))
        symbols = min(self.served.model.vocabulary.size, MOST_ALTERNATIVES)
        if request.logprobs is not None and request.logprobs > symbols:
            raise wrong("logprobs", f"at most {symbols}", request.logprobs)
        if self.best_of < self.n:
            raise wrong("best_of", f"at least n, which is {self.n}", self.best_of)
        if request.stream and self.best_of > self.n:
            message = "best_of above n cannot be streamed: leave out stream or best_of"
            raise Problem(400, message, param="best_of")
        if request.stream_options is not None and not request.stream:
            raise Problem(400, 'stream_options needs "stream": true', param="stream_options")

    def _estimate(self, settings: ServerSettings) -> int:
        """Estimate the answer's size. Raises Problem (400) if it is beyond the limit."""
        prompts = [len(prompt.ids) for prompt in self.prompts]
        widest = self.served.model.vocabulary.widest
        size = estimate(self.request, prompts, self.best_of, self.max_tokens, widest)
        check_answer(size, settings, "ask for fewer or shorter texts, or for fewer logprobs")
        return size

    def _is_scored(self, prompt: Prompt) -> bool:
        request = self.request
        return bool(request.echo) and request.logprobs is not None and len(prompt.lead) > 1

    def _prepare(self) -> None:
        """Make the jobs."""
        request, vocabulary = self.request, self.served.model.vocabulary
        options = self._options()
        for prompt in self.prompts:
            if request.seed is None:
                options["seed"] = secrets.randbits(32)  # each prompt has its own
            scored = self._is_scored(prompt)
            score = ScoringJob(prompt.lead, request.logprobs or 0, self.label) if scored else None
            self.scores.append(score)
            texts = []
            for number in range(self.best_of):
                job = None
                if self.max_tokens:
                    settings = GenerationSettings(**options, stream_index=number)
                    job = WritingJob(prompt.lead, settings, self.label)
                reader = Reader(vocabulary, self.served.names, logprobs=request.logprobs)
                texts.append(Text(prompt, job, reader))
            self.texts.append(texts)

    def _options(self) -> dict[str, Any]:
        """The fields of GenerationSettings."""
        request = self.request
        alternatives = request.logprobs
        if alternatives is None and self.best_of > self.n:
            alternatives = 0
        bias = (request.logit_bias or {}).items()
        options: dict[str, Any] = {
            "length": self.max_tokens,
            "temperature": 1.0 if request.temperature is None else request.temperature,
            "top_p": max(1.0 if request.top_p is None else request.top_p, SMALLEST_TOP_P),
            "top_k": request.top_k or None,
            "min_p": request.min_p,
            "stop": self.stops,
            "seed": 0 if request.seed is None else request.seed % 2**64,
            "alternatives": alternatives,
            "presence_penalty": request.presence_penalty or 0.0,
            "frequency_penalty": request.frequency_penalty or 0.0,
            "logit_bias": tuple((int(symbol), amount) for symbol, amount in bias),
            "repetition_penalty": request.repetition_penalty or 1.0,
            "repetition_window": request.repetition_window or DEFAULT_WINDOW,
            "allowed": request.allowed,
            "banned": request.banned or "",
            "banned_word": request.banned_word or (),
        }
        self._check_symbols(GenerationSettings(**options), options)
        return options

    def _read_stops(self, on_unknown: OnUnknown) -> tuple[tuple[str, ...], list[str]]:
        """Read the stop strings as training read its text, and separate those to be skipped."""
        model, given = self.served.model, self.request.stop
        several = [given] if isinstance(given, str) else given or []
        if model.vocabulary.boundary is not None:  # a document ends there anyway
            several = [each for each in several if each != BOUNDARY_NAME]
        stops = [model.read_prompt(each, drop_mark=False) for each in several]
        if on_unknown == "error":
            return tuple(stops), []
        skipped = [each for each in stops if model.vocabulary.unwritable(each)]
        return tuple(each for each in stops if each not in skipped), skipped

    def _check_symbols(self, settings: GenerationSettings, options: dict[str, Any]) -> None:
        """Check the options that name symbols. Raises Problem (400) if they cannot hold."""
        vocabulary, param = self.served.model.vocabulary, "logit_bias"
        try:
            bias_of(settings, vocabulary)
            given = [name for name in ("banned_word", "allowed", "banned") if options.get(name)]
            param = given[0] if given else "banned"
            if sum(map(len, settings.banned_word)) > MOST_BANNED:
                raise ConfigurationError(
                    f"banned_word must have at most {MOST_BANNED} characters in all"
                )
            constraint_of(settings, vocabulary)
            param = "stop"
            check_stops(settings.stop, settings, vocabulary)
        except InputError as error:
            raise Problem(400, str(error), param=param) from None

    def _jobs(self) -> Iterator[Job]:
        yield from (text.job for text in self._all_texts() if text.job is not None)
        yield from (score for score in self.scores if score is not None)

    def _all_texts(self) -> Iterator[Text]:
        return (text for texts in self.texts for text in texts)

    def _news(self) -> Iterator[str]:
        """Write what is new in each text as choices of events, about a millisecond's work."""
        left = piece_size(self.request.logprobs)
        for number, texts in enumerate(self.texts):
            for rank, text in enumerate(texts):
                if text.has_ended or not self._begin_echo(number, text):
                    continue
                if left <= 0:
                    self._something_new.set()  # the rest is for the next turn
                    return
                blocks = text.take(left)
                left -= _count(blocks)
                if text.unsent:
                    self._something_new.set()
                else:
                    text.has_ended = self._cut or text.job is None or text.job.over
                if blocks or text.has_ended:
                    yield self._part(number * self.n + rank, text, blocks)

    def _part(self, index: int, text: Text, blocks: list[Symbols]) -> str:
        """Write the next part of a text as a choice."""
        echoed = min(text.echo_left or 0, _count(blocks))
        text.echo_left = (text.echo_left or 0) - echoed
        prompt = None if text.has_begun else text.prompt.ids
        text.has_begun = True
        reason = text.finish_reason if text.has_ended else None
        return "".join(
            choice_pieces(
                *(index, text.reader, blocks, self.request),
                echoed=echoed,
                prompt=prompt,
                reason=reason,
                cut=text.job.cut if text.has_ended and text.job else 0,
            )
        )

    def _begin_echo(self, number: int, text: Text) -> bool:
        """Put the echoed prompt before a text; return False while its score is not known."""
        if text.echo_left is not None:
            return True
        score = self.scores[number]
        if score is not None:
            self._scored[number] += score.take()
            if not score.over:
                return self._cut
        text.unsent += self._echo(number, text)
        text.echo_left = _count(text.unsent)
        return True

    def _echo(self, number: int, text: Text) -> list[Symbols]:
        """Return the symbols of the prompt, if it is to be echoed.

        The first has no probability, unless it begins a document.
        """
        ids = text.prompt.ids
        if not self.request.echo or len(ids) == 0:
            return []
        if self.request.logprobs is None:
            return [_unscored(ids)]
        unscored = len(ids) + 1 - len(text.prompt.lead)  # the first, unless a boundary is before it
        blocks = [_unscored(ids[:unscored]), *self._scored[number]]
        gaps = text.prompt.unseen.gaps
        return _without(blocks, after_gaps(ids, gaps, self.served.model.vocabulary))

    def _best(self, texts: list[Text]) -> list[Text]:
        """Return the `n` texts of a prompt with the highest mean log-probability."""
        if self.best_of == self.n:
            return texts
        return sorted(texts, key=_mean, reverse=True)[: self.n]

    def _frame(self) -> dict[str, Any]:
        """Return what is the same in every event."""
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.served.name,
            "system_fingerprint": self.served.fingerprint,
        }

    def _skipped(self) -> dict[str, Any]:
        """What was left out of the prompts and of the stop strings, if anything was."""
        found: list[dict[str, Any]] = [
            {"prompt": number, **gap.as_json()}
            for number, prompt in enumerate(self.prompts)
            for gap in prompt.unseen.gaps
        ]
        found += [{"stop": each} for each in self.skipped_stops]
        return {"skipped": found} if found else {}


def _event(frame: dict[str, Any], choices: str) -> bytes:
    return f'data: {as_json(frame)[:-1]},"choices":[{choices}]}}\n\n'.encode()


def _count(blocks: "deque[Symbols] | list[Symbols]") -> int:
    return sum(len(block.ids) for block in blocks)


def _unscored(ids: Ids) -> Symbols:
    """Symbols without log-probabilities."""
    none = np.full(len(ids), np.nan)
    return Symbols(ids, none, np.empty((len(ids), 0), np.int64), np.empty((len(ids), 0)))


def _without(blocks: list[Symbols], left_out: NDArray[np.bool_]) -> list[Symbols]:
    """Return blocks of symbols without the log-probabilities of those that are left out, (n,)."""
    found, begin = [], 0
    for block in blocks:
        places = left_out[begin : begin + len(block.ids)]
        values = np.where(places, np.nan, block.log_probabilities)
        found.append(block._replace(log_probabilities=values))
        begin += len(block.ids)
    return found


def _mean(text: Text) -> float:
    """Return the mean log-probability of a symbol; that of an empty text is the highest, 0."""
    blocks = text.job.new if text.job else []
    total = sum(float(np.sum(block.log_probabilities, dtype=np.float64)) for block in blocks)
    return total / max(1, _count(blocks))
