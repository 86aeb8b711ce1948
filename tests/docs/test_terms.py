"""One term per concept: words that were replaced do not come back, in prose or in names."""

import re
from pathlib import Path

import pytest

from tests.docs.documents import DOCS, REPOSITORY

REPLACED = {
    r"by heart": "overfitting, or memorization (of passages)",
    r"safekeeping|\bsavers?\b|putting away": "checkpoint, checkpoint manager, writer thread",
    r"\bjudg(e|es|ed|ing|ements?)\b": "evaluate, evaluation, validation loss",
    r"\bpace\b": "schedule, throughput",
    r"where weights start": "initialization",
    r"\b(is|are|was|were|be|been|being) told\b": "reported",
    r"ranks? (say|hear|says|hears)\b|\bmeeting\b": "process group, all-reduce, broadcast, barrier",
    r"\bmaterial\b": "dataset, document",
    r"what you do not say|undecided by|has not the text|that did not work": "plain English",
    r"infinity or none|bear a time|\bgoes again\b|\blet(s|ting)? go of\b": "plain English",
}
"""What must not be written any more, and the term in its place."""

IN_PROSE = {r"(?<!softmax.)\bcandidates\b": "negatives, negative samples"}  # a gate in the sources

IN_KERNELS = {r"\brooms?\b": "workspace"}

IN_ITALIAN = {
    r"\bsem[ei]\b": "seed",
    r"\buccis[oaie]\b": "terminato",
    r"righe di registro": "righe di log",
    r"\bporta (dell'oblio|d'ingresso|d'uscita)": "forget gate, input gate, output gate",
}


def prose_files() -> list[Path]:
    named = ["README.md", "README.it.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
    pages = [path for path in DOCS.rglob("*.md") if path.name != "commands.md"]
    return [*(REPOSITORY / name for name in named), *pages]


def source_files() -> list[Path]:
    kinds = {".py", ".cpp", ".hpp", ".js", ".css", ".html", ".json"}
    folders = ("src", "kernels", "tests", "benchmarks", "examples")
    files = [path for name in folders for path in (REPOSITORY / name).rglob("*")]
    found = [path for path in files if path.suffix in kinds and path != Path(__file__)]
    assert len(found) > 400
    return found


def found_in(path: Path) -> list[str]:
    """Return each replaced term in a file, in its name and in its identifiers too."""
    text = f"{path.name}\n{path.read_text('utf-8')}"
    # Words of names, too: JudgedText, judged_text.
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", text).replace("_", " ").lower()
    terms = dict(REPLACED)
    if path.suffix == ".md":
        terms |= IN_PROSE
    if path.suffix in {".cpp", ".hpp"}:
        terms |= IN_KERNELS
    if path.name.endswith(".it.md") or path.name == "words.json":
        terms |= IN_ITALIAN
    return [
        f"{one[0]!r}: {terms[pattern]}" for pattern in terms for one in re.finditer(pattern, split)
    ]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def test_no_file_has_a_replaced_term() -> None:
    found = {name_of(path): found_in(path) for path in [*prose_files(), *source_files()]}
    assert {name: terms for name, terms in found.items() if terms} == {}


@pytest.mark.parametrize("text", ["It learned this by heart.", "class JudgedText:", "x = the_pace"])
def test_a_replaced_term_is_found(text: str, tmp_path: Path) -> None:
    path = tmp_path / "text.py"
    path.write_text(text)
    assert len(found_in(path)) == 1
