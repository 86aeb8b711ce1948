"""The guide's lines for each client, run as they stand there against a server."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clients.conftest import REPOSITORY, node_with, python_with, run
from tests.docs.documents import fences
from tests.serving.conftest import Server, running

GUIDE = REPOSITORY / "docs" / "guides" / "serving.md"
BEGIN, END = "## Use it from other programs", "## Behind a proxy or a tunnel"
ADDRESS = "http://127.0.0.1:8000"
PROMPT = "Nel mezzo"


class Client(NamedTuple):
    """How a section of the guide is run, and what it prints."""

    name: str
    """Its environment."""

    module: str
    temperature: float = 1.0
    """Its own, unless the program gives another."""

    has_vectors: bool = False


CLIENTS = {
    "curl": Client("", ""),
    "OpenAI's package for Python": Client("openai", "openai", has_vectors=True),
    "OpenAI's package for Node": Client("node", "openai"),
    "LangChain": Client("langchain", "langchain_openai", 0.7, has_vectors=True),
    "LlamaIndex": Client("llama-index", "llama_index.llms.openai_like", 0.1, has_vectors=True),
    "llm": Client("llm", "llm"),
    "lm-eval": Client("lm-eval", "lm_eval"),
}


def sections() -> dict[str, str]:
    """Return the part of the guide about clients, by headings."""
    text = GUIDE.read_text("utf-8")
    part = text[text.index(BEGIN) : text.index(END)]
    _, *rest = re.split(r"^### (.+)\n", part, flags=re.MULTILINE)
    return dict(zip(rest[::2], rest[1::2], strict=True))


def test_every_section_is_run() -> None:
    assert [*sections()] == [*CLIENTS]


@pytest.mark.parametrize("title", CLIENTS)
def test_the_lines_of_the_guide(
    title: str, served: Server, places: dict[str, Path], tmp_path: Path
) -> None:
    if title == "lm-eval":  # it does not name the model whose symbols it asks for
        with running({"plays": places["plays"]}) as alone:
            run_section(title, alone, tmp_path)
    else:
        run_section(title, served, tmp_path)


def run_section(title: str, served: Server, tmp_path: Path) -> None:
    """Run the blocks of a section in order, and check what they print."""
    client = CLIENTS[title]
    page = tmp_path / "section.md"
    page.write_text(sections()[title].replace(ADDRESS, served.url))
    printed = ""
    for mark, content in fences(page):
        printed += RUNNERS[mark](content, client, tmp_path)
    check(title, printed, served, tmp_path)


def python(content: str, client: Client, folder: Path) -> str:
    return run([python_with(client.name, client.module), "-c", content], folder)


def shell(content: str, client: Client, folder: Path) -> str:
    """Run commands with those of the client's environment first."""
    bash = shutil.which("bash") or pytest.skip("bash is not installed")
    if not client.name:
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        return run([bash, "-ec", content], folder)
    scripts = python_with(client.name, client.module).parent
    return run([bash, "-ec", f"PATH={scripts}:$PATH\n{content}"], folder)


def node(content: str, client: Client, folder: Path) -> str:
    program = folder / "program.mjs"
    program.write_text(content)
    return run([node_with(client.module, folder), program], folder)


def write(content: str, client: Client, folder: Path) -> str:
    """Write a file, whose name is in its first line."""
    place = folder / content.splitlines()[0].removeprefix("# ")
    place.parent.mkdir(exist_ok=True)
    place.write_text(content)
    return ""


RUNNERS: dict[str, Callable[[str, Client, Path], str]] = {
    "python not-run": python,
    "sh not-run": shell,
    "js not-run": node,
    "yaml not-run": write,
}


def check(title: str, printed: str, served: Server, folder: Path) -> None:
    """Compare what a client printed with the server's own answer."""
    client = CLIENTS[title]
    if title == "lm-eval":
        return check_samples(folder, served)
    asked = {"model": "my", "prompt": PROMPT, "max_tokens": 50, "seed": 1}
    text = served.text(**asked, temperature=client.temperature)
    if title == "curl":
        assert json.loads(printed)["choices"][0]["text"] == text
        return None
    assert text.strip() in printed
    assert not client.has_vectors or printed.rstrip().endswith("\n16")  # the size of the vectors
    return None


def check_samples(folder: Path, served: Server) -> None:
    """Check that each answer in lm-eval's log is one that the server gives."""
    asked = {"model": "plays", "temperature": 0.8, "seed": 1234, "max_tokens": 300}
    stops = ["THE END", "ACT II", "\n\n"]
    (log,) = (folder / "out").rglob("samples_speech_*.jsonl")
    samples = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(samples) == 1
    for sample in samples:
        before = sample["doc"]["prompt"]
        (answers,) = sample["resps"]
        assert answers == [served.text(**asked, prompt=before, stop=stops)]
