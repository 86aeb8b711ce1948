"""A served model whose symbols are several characters: stops, offsets, streams, and names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ricorda.engine import load
from ricorda.text.pieces import PieceVocabulary

from .conftest import Server, running, write_model

VOCABULARY = PieceVocabulary("\n abcd", [(2, 3), (4, 5), (6, 7), (2, 2), (1, 2)], "\n")
FIELDS: dict[str, Any] = {"model": "tokens", "prompt": "ab", "max_tokens": 40, "seed": 3}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tokens") / "model.safetensors", VOCABULARY)


@pytest.fixture(scope="module")
def own_server(tokens: Path) -> Iterator[Server]:
    with running({"tokens": tokens}) as server:
        yield server


def test_stops_inside_a_symbol_and_offsets(own_server: Server, tokens: Path) -> None:
    server, model = own_server, load(tokens)
    plain = server.text(**FIELDS)
    assert plain == model.generate("ab", length=40, seed=3, temperature=1)
    for stop in ("bc", "da", " a", "cda", "b"):
        expected = plain.partition(stop)[0]
        answer = server.complete(**FIELDS, stop=stop, logprobs=1, echo=True)
        (choice,) = answer["choices"]
        assert choice["text"] == "ab" + expected
        assert choice["finish_reason"] == ("stop" if stop in plain else "length")
        logprobs = choice["logprobs"]
        begins = [0]
        for token in logprobs["tokens"]:
            begins.append(begins[-1] + len(token))
        assert logprobs["text_offset"] == begins[:-1]
        assert "".join(logprobs["tokens"]).startswith("ab" + expected)
        events = server.events(**FIELDS, stop=stop, stream=True)
        assert "".join(each["choices"][0]["text"] for each in events) == expected
