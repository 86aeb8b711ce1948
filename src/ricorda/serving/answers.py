"""Answers as JSON, written in pieces so that a long one neither blocks the loop nor fills memory.

A choice holds columns: the text, the symbols' names, their log-probabilities. Each is written from
the arrays that the engine delivered, `PIECE` symbols at a time.
"""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ricorda.engine import Symbols
from ricorda.engine.backend import Ids
from ricorda.serving.requests import CompletionRequest
from ricorda.serving.symbols import Reader
from ricorda.serving.turns import Turns

PIECE = 256
"""Symbols that are turned into JSON at once, which takes about a millisecond."""

TEXT_BYTES = 8
"""Bytes of a symbol in an answer's text, about the most."""

ID_BYTES = 8
NAME_BYTES = 53
ALTERNATIVE_BYTES = 35
CHOICE_BYTES = 300


def as_json(value: Any) -> str:
    """Write JSON compactly."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def estimate(request: CompletionRequest, prompts: Sequence[int], texts: int, length: int) -> int:
    """Estimate the bytes of an answer from above, before any work.

    prompts: symbols of each prompt; texts: continuations per prompt; length: symbols of each. A
    symbol that is only read counts as one byte, so that work is bounded too.
    """
    symbol = TEXT_BYTES
    if request.logprobs is not None:
        symbol += NAME_BYTES + ALTERNATIVE_BYTES * (1 + request.logprobs)
    ids = ID_BYTES if request.return_token_ids else 0
    of_prompt = 1 + ids + (symbol if request.echo else 0)
    of_texts = len(prompts) * (CHOICE_BYTES + length * (symbol + ids))
    return texts * (of_texts + sum(prompts) * of_prompt)


def choice_pieces(
    index: int,
    reader: Reader,
    prompt: Ids,
    blocks: Sequence[Symbols],
    echoed: int,
    reason: str,
    request: CompletionRequest,
) -> Iterator[str]:
    """Write a choice of symbols in blocks, of which the first `echoed` are the prompt."""
    yield '{"text":"'
    offsets: list[int] = []
    for symbols in _split(blocks):
        text, places = reader.place(symbols.ids)
        offsets += places
        yield as_json(text)[1:-1]
    yield as_json(reader.finish())[1:-1]
    yield f'","index":{index},"logprobs":'
    if request.logprobs is None:
        yield "null"
    else:
        yield '{"tokens":'
        yield from _column(reader.names(symbols.ids) for symbols in _split(blocks))
        yield ',"token_logprobs":'
        yield from _column(reader.log_probabilities(symbols) for symbols in _split(blocks))
        yield ',"top_logprobs":'
        yield from _column(reader.alternatives(symbols) for symbols in _split(blocks))
        yield ',"text_offset":'
        yield from _column(_parts(offsets))
        yield "}"
    yield f',"finish_reason":{as_json(reason)}'
    if request.return_token_ids:
        ids = np.concatenate([np.empty(0, np.int64), *(symbols.ids for symbols in blocks)])
        yield ',"token_ids":'
        yield from _column(part.tolist() for part in _parts(ids[echoed:]))
        yield ',"prompt_token_ids":'
        yield from _column(part.tolist() for part in _parts(prompt))
    yield "}"


def split(symbols: Symbols, count: int) -> tuple[Symbols, Symbols]:
    """Split symbols into the first `count` and the rest."""
    return (
        Symbols._make(column[:count] for column in symbols),
        Symbols._make(column[count:] for column in symbols),
    )


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


def _split(blocks: Iterable[Symbols]) -> Iterator[Symbols]:
    for block in blocks:
        for begin in range(0, len(block.ids), PIECE):
            yield Symbols._make(column[begin : begin + PIECE] for column in block)


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
