r"""Answers as JSON, written in pieces so that a long one neither blocks the loop nor fills memory.

Symbols are the API's tokens: each has a name of its own and a place in the text. A character is
its own name. A byte that is no character by itself is `bytes:\xNN`, as OpenAI writes such tokens.

A choice holds columns: the text, the symbols' names, their log-probabilities. Each is written from
the arrays that the engine delivered, `PIECE` symbols at a time.
"""

import json
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ricorda.engine import Symbols
from ricorda.engine.backend import Ids
from ricorda.serving.limits import Turns
from ricorda.serving.schema import CompletionRequest
from ricorda.text.vocabulary import Vocabulary

PIECE = 256
"""Symbols that are turned into JSON at once, which takes about a millisecond."""


def piece_size(logprobs: int | None) -> int:
    """Return how many symbols are turned into JSON at once: fewer with many alternatives each."""
    return max(1, PIECE * 8 // max(8, logprobs or 0))


TEXT_BYTES = 8
"""Bytes of a symbol in an answer's text, about the most."""

ID_BYTES = 8
NAME_BYTES = 53
ALTERNATIVE_BYTES = 35
CHOICE_BYTES = 300


BOUNDARY_NAME = "<|boundary|>"
"""The name of the boundary between documents."""

RARE_NAME = "<|rare|>"
"""The name of the symbol for all rare characters, whose text is not known."""


def symbol_names(vocabulary: Vocabulary) -> list[str]:
    """Return the name of each symbol of a vocabulary, by id."""
    size = vocabulary.size - (vocabulary.boundary is not None)
    first_byte = 128 if vocabulary.kind == "bytes" else size
    names = [vocabulary.decode([symbol]) for symbol in range(min(first_byte, size))]
    names += [f"bytes:\\x{symbol:02x}" for symbol in range(first_byte, size)]
    if vocabulary.rare is not None:
        names[vocabulary.rare] = RARE_NAME
    return names + [BOUNDARY_NAME] * (vocabulary.boundary is not None)


LOWEST = -9999.0
"""The log-probability of a symbol that is impossible: JSON has no infinity."""


class Reader:
    """Turns the symbols of a text into columns as they come; counts the text's characters."""

    def __init__(
        self, vocabulary: Vocabulary, names: Sequence[str], *, logprobs: int | None, offset: int = 0
    ) -> None:
        """Begin `offset` characters into a text."""
        self._vocabulary = vocabulary
        self._names = names
        self._one_by_one = vocabulary.kind == "bytes"
        self._boundary = vocabulary.boundary
        self._decoder = vocabulary.decoder()
        self._logprobs = logprobs
        self._offset = offset

    def names(self, ids: Ids) -> list[str]:
        """Return the names of symbols."""
        return [self._names[symbol] for symbol in ids.tolist()]

    def log_probabilities(self, symbols: Symbols) -> list[float | None]:
        """Return each symbol's log-probability; None for the first of a text, which has none."""
        values = np.maximum(symbols.log_probabilities, LOWEST).tolist()
        return [None if math.isnan(value) else value for value in values]

    def alternatives(self, symbols: Symbols) -> list[dict[str, float] | None]:
        """Return the most likely symbols in the place of each, and the symbol itself."""
        best = symbols.alternative_ids[:, : self._logprobs].tolist()
        log_probabilities = symbols.alternative_log_probabilities[:, : self._logprobs]
        best_values = np.maximum(log_probabilities, LOWEST).tolist()
        return [
            None
            if own is None
            else dict(zip((self._names[other] for other in others), values, strict=True))
            | {self._names[symbol]: own}
            for symbol, own, others, values in zip(
                symbols.ids.tolist(),
                self.log_probabilities(symbols),
                best,
                best_values,
                strict=True,
            )
        ]

    def finish(self) -> str:
        """Return what is left: a character that was never completed, as U+FFFD."""
        rest = self._decoder.finish()
        self._offset += len(rest)
        return rest

    def place(self, ids: Ids) -> tuple[str, list[int]]:
        """Decode symbols; return the text and, with `logprobs`, where each symbol begins in it."""
        if self._logprobs is None or not self._one_by_one:
            text, begin = self._decoder.decode(ids), self._offset
            self._offset += len(text)
            if self._logprobs is None:
                return text, []
            widths = self._vocabulary.widths(ids)
            return text, (begin + np.cumsum(widths) - widths).tolist()
        texts, offsets = [], []
        for symbol in ids.tolist():
            text = self._decoder.decode([symbol])
            texts.append(text)
            self._offset += len(text)
            # A byte belongs to the last character, as if the text ended here.
            begins_after = symbol == self._boundary
            offsets.append(self._offset + len(self._decoder.pending) - (not begins_after))
        return "".join(texts), offsets


def as_json(value: Any) -> str:
    """Write JSON compactly."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def estimate(
    request: CompletionRequest, prompts: Sequence[int], texts: int, length: int, widest: int = 1
) -> int:
    """Estimate the bytes of an answer from above, before any work.

    prompts: symbols of each prompt; texts: continuations per prompt; length: symbols of each;
    widest: the most characters of a symbol. A symbol that is only read counts as one byte, so that
    work is bounded too.
    """
    symbol = text = TEXT_BYTES * widest
    if request.logprobs is not None:
        more = text - TEXT_BYTES
        symbol += NAME_BYTES + more + (ALTERNATIVE_BYTES + more) * (1 + request.logprobs)
    ids = ID_BYTES if request.return_token_ids else 0
    of_prompt = 1 + ids + (symbol if request.echo else 0)
    of_texts = len(prompts) * (CHOICE_BYTES + length * (symbol + ids))
    return texts * (of_texts + sum(prompts) * of_prompt)


def choice_pieces(
    index: int,
    reader: Reader,
    blocks: Sequence[Symbols],
    request: CompletionRequest,
    *,
    echoed: int = 0,
    prompt: Ids | None = None,
    reason: str | None = None,
    cut: int = 0,
) -> Iterator[str]:
    """Write a choice, or the part of one that blocks of symbols are.

    The first `echoed` symbols belong to the prompt. The ids of the whole `prompt` are written with
    the first part of a choice. `reason` says why the text ended; None if it continues. The last
    `cut` characters belong to a stop string and are left out.
    """
    size = piece_size(request.logprobs)
    yield '{"text":"'
    offsets: list[int] = []
    text = ""
    for symbols in _split(blocks, size):
        yield as_json(text)[1:-1]
        text, places = reader.place(symbols.ids)
        offsets += places
    yield as_json(text[: len(text) - cut])[1:-1]
    rest = "" if reason is None else as_json(reader.finish())[1:-1]
    yield f'{rest}","index":{index},"finish_reason":{as_json(reason)},"logprobs":'
    if request.logprobs is None:
        yield "null"
    else:
        yield '{"tokens":'
        yield from _column(reader.names(symbols.ids) for symbols in _split(blocks, size))
        yield ',"token_logprobs":'
        yield from _column(reader.log_probabilities(symbols) for symbols in _split(blocks, size))
        yield ',"top_logprobs":'
        yield from _column(reader.alternatives(symbols) for symbols in _split(blocks, size))
        yield ',"text_offset":'
        yield from _column(_parts(offsets))
        yield "}"
    if request.return_token_ids:
        ids = np.concatenate([np.empty(0, np.int64), *(symbols.ids for symbols in blocks)])
        yield ',"token_ids":'
        yield from _column(part.tolist() for part in _parts(ids[echoed:]))
        if prompt is not None:
            yield ',"prompt_token_ids":'
            yield from _column(part.tolist() for part in _parts(prompt))
    yield "}"


def token_pieces(ids: Ids, names: Sequence[str] | None, more: dict[str, Any]) -> Iterator[str]:
    """Write the symbols of a text: their ids, the fields `more`, and their names if given."""
    yield '{"tokens":'
    yield from _column(part.tolist() for part in _parts(ids))
    yield "," + as_json(more)[1:-1]
    if names is not None:
        yield ',"token_strs":'
        yield from _column([names[symbol] for symbol in part] for part in _parts(ids))
    yield "}"


async def in_turns(pieces: Iterable[str], turns: Turns) -> AsyncIterator[bytes]:
    """Yield pieces in UTF-8; other requests are served between them."""
    for piece in pieces:
        await turns.wait()
        yield piece.encode()


def _split(blocks: Iterable[Symbols], size: int) -> Iterator[Symbols]:
    for block in blocks:
        for begin in range(0, len(block.ids), size):
            yield block.part(begin, begin + size)


def _parts(values: Any) -> Iterator[Any]:
    for begin in range(0, len(values), PIECE):
        yield values[begin : begin + PIECE]


def _column(parts: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Write a list that comes in parts."""
    begin = "["
    for part in parts:
        if len(part):
            yield begin + as_json(part)[1:-1]
            begin = ","
    yield "[]" if begin == "[" else "]"
