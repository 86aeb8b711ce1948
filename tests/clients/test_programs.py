"""Each client, in every way that it asks: it gets what the library gives.

The tests of OpenAI's Python package are in tests/serving, because `make test` has it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from tests.clients.conftest import PROGRAMS, node_with, python_with, run
from tests.serving.conftest import Server, running

ASKED: dict[str, Any] = {"model": "my", "prompt": "abc", "max_tokens": 40, "seed": 1}

Models = dict[str, ricorda.Model]


def near(found: Any, texts: list[str], models: Models) -> None:
    """Check vectors against those of the library."""
    expected = models["my"].embed(texts, normalize=True)
    np.testing.assert_allclose(np.array(found), expected, atol=1e-5)


def test_langchain(served: Server, models: Models, tmp_path: Path) -> None:
    python = python_with("langchain", "langchain_openai")
    found = json.loads(run([python, PROGRAMS / "with_langchain.py", served.url], tmp_path))
    text = served.text(**ASKED)
    for way in ("invoke", "stream", "ainvoke", "astream"):
        assert found[way] == text, way
    both = served.complete(**ASKED | {"prompt": ["abc", "de"]})
    assert found["batch"] == [choice["text"] for choice in both["choices"]]
    assert found["stop"] == served.text(**ASKED, stop=["e", "x"])
    several = served.complete(**ASKED, n=3)
    assert found["several"] == [choice["text"] for choice in several["choices"]]
    assert found["tokens"]["total_tokens"] == 43
    near(found["documents"], ["abc", "de"], models)
    near([found["query"], found["async_query"]], ["abc", "abc"], models)
    assert found["refused"] == "temperature"


def test_llama_index(served: Server, models: Models, tmp_path: Path) -> None:
    python = python_with("llama-index", "llama_index.llms.openai_like")
    found = json.loads(run([python, PROGRAMS / "with_llama_index.py", served.url], tmp_path))
    text = served.text(**ASKED)
    for way in ("complete", "stream", "acomplete", "astream"):
        assert found[way] == text, way
    assert found["stop"] == served.text(**ASKED, stop=["e", "x"])
    near(found["texts"], ["abc", "de"], models)
    near([found["query"], found["async_query"]], ["abc", "abc"], models)
    assert found["refused"] == "top_p"
    assert "POST /v1/completions" in found["chat"]


def test_llm(served: Server, tmp_path: Path) -> None:
    python = python_with("llm", "llm")
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: my\n  model_name: my\n  api_base: {served.url}/v1\n  completion: true\n"
    )
    found = json.loads(run([python, PROGRAMS / "with_llm.py"], tmp_path))
    text = served.text(**ASKED)
    assert found["prompt"] == found["stream"] == text
    assert found["stop"] == served.text(**ASKED, stop="e")
    assert found["cold"] == served.text(**ASKED, temperature=0)
    assert "max_tokens must be at most 4096" in found["refused"]


def test_node(served: Server, models: Models, tmp_path: Path) -> None:
    node = node_with("openai", tmp_path)
    program = tmp_path / "program.mjs"
    program.write_text((PROGRAMS / "with_node.mjs").read_text())
    found = json.loads(run([node, program, served.url], tmp_path))
    assert found["complete"] == found["stream"] == served.text(**ASKED)
    assert found["usage"]["total_tokens"] == 43
    several = served.complete(**ASKED, n=3, echo=True, logprobs=2)
    assert found["several"] == [choice["text"] for choice in several["choices"]]
    near(found["vectors"], ["abc", "de"], models)
    assert (found["models"], found["model"]) == (["my", "plays"], "plays")
    assert found["refused"][:2] == ["BadRequestError", "temperature"]
    assert found["missing"][:2] == ["NotFoundError", "model_not_found"]
    assert found["chat"][:2] == ["NotFoundError", "no_chat"]


# lm-eval counts spaces at the end of a context with the continuation.
CHOICES = [("ab", "c"), ("To be, or", " not to be"), ("A line", "\nand another\n"), ("x", "yz")]
TEXTS = ["To be, or not to be.", "x", "Two\nlines\n"]
CASES: list[tuple[str, dict[str, Any]]] = [
    ("plays", {}),
    ("plays", {"batch_size": 3}),
    ("plays", {"num_concurrent": 4}),
    ("my", {"custom_prefix_token_id": 0}),
]


def nats(model: ricorda.Model, begin: int, text: str) -> list[float]:
    """Return the surprisal of each symbol of a text after the symbol `begin`, by single steps."""
    state = model.backend.zero_state(1)
    found, before = [], begin
    for symbol in model.vocabulary.encode(text).tolist():
        logits, state = model.backend.step(np.array([before]), state)
        found.append(float(np.logaddexp.reduce(logits[0]) - logits[0, symbol]))
        before = symbol
    return found


@pytest.mark.parametrize("name, options", CASES, ids=str)
def test_lm_eval(
    places: dict[str, Path], models: Models, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    python = python_with("lm-eval", "lm_eval")
    with running({name: places[name]}) as server:  # lm-eval does not name it for its symbols
        check_lm_eval(python, server, models, tmp_path, name, options)


def check_lm_eval(
    python: Path,
    server: Server,
    models: Models,
    folder: Path,
    name: str,
    options: dict[str, Any],
) -> None:
    """Compare every kind of request with single steps of the model, and with the server's text."""
    model = models[name]
    settings = {"until": ["e", "x"], "max_gen_toks": 30, "temperature": 0.8, "do_sample": True}
    case = {
        "options": {"model": name, **options},
        "loglikelihood": CHOICES,
        "loglikelihood_rolling": [[text] for text in TEXTS],
        "generate_until": [[before, settings] for before, _ in CHOICES],
    }
    words: list[str | Path] = [python, PROGRAMS / "with_lm_eval.py", server.url]
    found = json.loads(run(words, folder, json.dumps(case)).splitlines()[-1])
    for (before, after), (total, _) in zip(CHOICES, found["loglikelihood"], strict=True):
        # Without documents, the first symbol of a prompt is read and not predicted.
        ids = model.vocabulary.encode(before).tolist()
        begin = model.vocabulary.start if name == "plays" else ids[0]
        whole = before + after if name == "plays" else before[1:] + after
        expected = -sum(nats(model, begin, whole)[-len(after) :])
        assert total == pytest.approx(expected, abs=1e-3)
    for text, total in zip(TEXTS, found["loglikelihood_rolling"], strict=True):
        expected = -sum(nats(model, model.vocabulary.start, text))
        assert total == pytest.approx(expected, abs=1e-3)
    for (before, _), text in zip(CHOICES, found["generate_until"], strict=True):
        asked = {"model": name, "prompt": before, "stop": ["e", "x"], "seed": 1234}
        assert text == server.text(**asked, max_tokens=30, temperature=0.8)
