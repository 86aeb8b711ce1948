"""Each promise of the documents has a test that exists, and its words are in the document."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.documents import DOCS, REPOSITORY

PAGE = DOCS / "explanations" / "promises.md"
DOCUMENTS = [
    *("README.md", "SECURITY.md", "docs/guides/serving.md"),
    *("docs/explanations/reliability.md", "docs/explanations/scale.md"),
]


class Promise(NamedTuple):
    """Words of a document, and the test that holds them."""

    document: str
    words: str
    file: str
    test: str


def promises() -> list[Promise]:
    """Read the tables of promises.md, one for each document."""
    found, document = [], ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            document = line[3:]
        elif row := re.fullmatch(r"\| (.+) \| `(.+)::(\w+)` \|", line):
            found.append(Promise(document, *row.groups()))
        else:
            assert not line.startswith("|") or line in {"| promise | test |", "|---|---|"}, line
    return found


def plain(text: str) -> str:
    """Return a text with single spaces in place of line ends."""
    return " ".join(text.split())


@cache
def names_of_tests(path: Path) -> frozenset[str]:
    """Return the names of the tests of a file."""
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def test_every_document_has_its_promises() -> None:
    assert list(dict.fromkeys(promise.document for promise in promises())) == DOCUMENTS
    assert len(promises()) > 150
    assert len(set(promises())) == len(promises())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_promise_stands_in_its_document(document: str) -> None:
    text = plain((REPOSITORY / document).read_text("utf-8"))
    quoted = [promise.words for promise in promises() if promise.document == document]
    assert [words for words in quoted if words not in text] == []


def test_every_promise_is_held_by_a_test() -> None:
    missing = [
        f"{promise.file}::{promise.test}"
        for promise in promises()
        if not (REPOSITORY / promise.file).is_file()
        or promise.test not in names_of_tests(REPOSITORY / promise.file)
    ]
    assert missing == []
