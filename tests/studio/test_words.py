"""Both languages have every word that the page uses, and no other; the page is plain."""

import dataclasses
import json
import re
from pathlib import Path
from typing import get_args

import pytest

import ricorda.pages
import ricorda.studio
from ricorda.insight.features import BINARY, NUMERIC
from ricorda.model.cells import CELLS
from ricorda.studio.settings import TrainingRequest
from ricorda.text.splits import SplitName
from ricorda.training.checkpoint.comparison import SETTINGS
from ricorda.training.configuration import Budget

PAGE = Path(ricorda.studio.__file__).parent / "page"
SHARED = Path(ricorda.pages.__file__).parent
LANGUAGES = ["en", "it"]
FAMILIES = {
    "feature": {*BINARY, *NUMERIC},
    "gate": {gate.name for cell in CELLS.values() for gate in cell.gates},
    "baseline": {"uniform", "frequencies", "five_grams", "xz"},
    "health": {"dead", "saturated"},
    "state": {
        *("queued", "starting", "learning", "pausing", "paused", "stopped", "ended", "failed"),
        "gone",
    },
    "setting": {
        name
        for name, schema in TrainingRequest.model_json_schema()["properties"].items()
        if name not in {"minutes", "cell", "vocabulary", "documents", "text"} and "anyOf" in schema
    },
    "choice": {"folder", "file", *get_args(SplitName)},
    "problem": {
        *("text_error", "vocabulary_error", "configuration_error", "model_file_error"),
        *("run_error", "training_error", "missing_extra", "invalid_request", "body_too_large"),
        "training_failed",
    },
    "sampling": {"temperature", "top_k", "top_p", "min_p"},
    "ending": {"length", "stop", "stopped", "failed"},
    "connection": {"connecting", "connected", "lost", "refused"},
    "differs": set(SETTINGS),
    "budget": {field.name for field in dataclasses.fields(Budget)},
    "step": {"gate", "from_input", "from_past", "bias", "sum", "value"},
}
"""Keys that a script puts together, and what may follow the dot."""


def catalogue(language: str) -> dict[str, str]:
    content = (PAGE / "words.json").read_text("utf-8")
    pairs = json.loads(content, object_pairs_hook=list)
    assert len(dict(pairs)) == len(pairs), "a key stands twice"
    assert all(len(texts) == len(LANGUAGES) for _, texts in pairs)
    return {key: texts[LANGUAGES.index(language)] for key, texts in pairs}


def sources() -> str:
    files = [*PAGE.glob("*.js"), *SHARED.glob("*.js"), PAGE / "index.html"]
    return "\n".join(path.read_text("utf-8") for path in files)


def used() -> set[str]:
    text = sources()
    found = set(re.findall(r'data-words(?:-label)?="([\w.]+)"', text))
    found |= set(re.findall(r'"([a-z]+\.[a-z_]+)"', text))
    for family in re.findall(r"`([a-z]+)\.\$\{", text):
        found |= {f"{family}.{name}" for name in FAMILIES[family]}
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_that_is_used_is_there_and_no_other(language: str) -> None:
    assert set(catalogue(language)) == used()


def test_both_languages_fill_the_same_places() -> None:
    english, italian = map(catalogue, LANGUAGES)
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", italian[key]))


def test_the_scripts_fill_every_place() -> None:
    text, english = sources(), catalogue("en")
    for key, words in english.items():
        for name in re.findall(r"\{(\w+)\}", words):
            if f'"{key}"' in text:
                assert re.search(rf"\b{name}\b", text), (key, name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_empty(language: str) -> None:
    assert all(text.strip() == text and text for text in catalogue(language).values())


def test_text_is_only_ever_inserted_as_text() -> None:
    text = sources()
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert way not in text
    page = (PAGE / "index.html").read_text("utf-8")
    assert not re.findall(r'\son\w+="|\sstyle="|<style|<script>', page)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
