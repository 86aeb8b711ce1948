"""The pages under docs/: their commands and options exist, and with DOCS=all every block is run."""

import contextlib
import gzip
import importlib
import importlib.util
import os
import re
import shutil
import zipfile
from itertools import product
from pathlib import Path

import click
import pytest

from ricorda.cli.main import COMMANDS, main
from tests.docs.documents import (
    DOCS,
    blocks,
    check_links,
    commands,
    fences,
    interrupt_a_run,
    links,
    prose,
    with_a_small_budget,
)

PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if path.name != "commands.md"  # generated
    and not path.name.startswith("tutorial.")  # test_tutorial.py runs it
)
TRANSLATED = [path for path in PAGES if path.with_suffix(".it.md").exists()]
MARKS = {"sh", "python", "text example"}
"""A block with another mark is a directive, `{...}`, or ends with `not-run`."""

TEXT = "“Once upon a time,” said Marie (aged 7), “there was a NETWORK.”\n\nIt read: a text!\n" * 60
FILES = [
    *("my.txt", "other.txt", "page.txt", "old-poems.txt", "other.py"),
    *(
        "war_and_peace.txt",
        "divina_commedia.txt",
        "war_end.txt",
        "quote.txt",
        "system.log",
        "today.log",
    ),
    *("poems/one.txt", "poems/two.txt", "src/one.py", "src/deeper/two.py"),
]
NOT_OURS = {
    *(
        "--no-browser",
        "--host",
        "--only",
        "--part",
        "--text",
        "--nanogpt",
        "--kernels",
        "--long=28",
    ),
    *("--model", "--model_args", "--rdzv-id", "--rdzv-conf", "--local-addr", "--signal"),
}
"""Options in the prose that belong to other programs, or to commands outside `ricorda`."""


def pages_with(mark: str) -> list[str]:
    """Return the pages with such blocks; a translation has the same blocks and is left out."""
    english = [path for path in PAGES if not path.name.endswith(".it.md")]
    return [str(path.relative_to(DOCS)) for path in english if blocks(path, mark)]


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
slow = pytest.mark.skipif(
    os.environ.get("DOCS") != "all", reason="`make docs` runs the commands of the pages"
)


def options_of(name: str) -> set[str]:
    command: click.Command = importlib.import_module(COMMANDS[name].module).command
    options = (each for each in command.params if isinstance(each, click.Option))
    return {name for option in options for name in option.opts} | {"--help"}


def check(words: list[str]) -> None:
    """Check that a command line names a command and options that exist."""
    given = words[words.index("ricorda") + 1 :]
    assert given[0] in COMMANDS, words
    options = {word.partition("=")[0] for word in given if word.startswith("--")}
    assert options <= options_of(given[0]), words


@every_page
def test_each_block_is_run_or_marked(page: Path) -> None:
    for fence in fences(page):
        directive = fence.mark.startswith("{")
        assert directive or fence.mark in MARKS or fence.mark.endswith(" not-run"), fence


@every_page
def test_every_command_exists(page: Path) -> None:
    shell = [fence.content for fence in fences(page) if fence.mark.split()[:1] == ["sh"]]
    for block in shell:
        for words in commands(block):
            if "ricorda" in words:
                check(words)


@every_page
def test_every_option_in_the_prose_exists(page: Path) -> None:
    known = set().union(*(options_of(name) for name in COMMANDS)) | NOT_OURS
    for code in re.findall(r"`([^`]+)`", prose(page)):
        if re.match(r"ricorda [a-z]+($| )", code):
            check(code.split())
        if code.startswith("--"):
            assert code.split()[0] in known, code


@every_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    check_links(page)


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda path: path.stem)
def test_both_languages_have_the_same_sections_code_and_links(page: Path) -> None:
    italian = page.with_suffix(".it.md")
    if page.name == "index.md":
        return
    assert [fence.mark for fence in fences(page)] == [fence.mark for fence in fences(italian)]
    for english, other in zip(fences(page), fences(italian), strict=True):
        if english.mark.split()[0] == "sh":
            assert without_prompts(english.content) == without_prompts(other.content)
        else:
            assert english.content == other.content
    headings = [re.findall(r"^#+", prose(path), flags=re.MULTILINE) for path in (page, italian)]
    assert headings[0] == headings[1]
    assert pages_linked(page) == pages_linked(italian)


def without_prompts(shell: str) -> list[list[str]]:
    """Return the commands of a block without the text of their prompts, which is translated."""
    lines = [line for line in commands(shell) if line]
    for words in lines:
        if "--prompt" in words:
            words[words.index("--prompt") + 1] = ""
    return lines


def pages_linked(page: Path) -> list[str]:
    """Return the pages and pictures that a page leads to, by their English names, sorted."""
    own = {page.name, page.name.replace(".it.md", ".md"), page.stem + ".it.md"}
    targets = [re.sub(r"\.(it|en)\.md", ".md", target) for target in links(page)]
    return sorted(target for target in targets if target not in own)


def test_the_reference_has_every_command_and_option(tmp_path: Path) -> None:
    source = DOCS / "command_reference.py"
    specification = importlib.util.spec_from_file_location("command_reference", source)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    path = tmp_path / "commands.md"
    module.write(path)
    text = path.read_text("utf-8")
    assert re.findall(r"^## ([\w-]+)$", text, flags=re.MULTILINE) == list(COMMANDS)
    sections = text.split("\n## ")[1:]
    for name, section in zip(COMMANDS, sections, strict=True):
        described = re.findall(r"^`([^`]+)`$", section, flags=re.MULTILINE)
        shown = {word for line in described for word in re.split(r"[ ,]+", line)}
        assert options_of(name) <= shown, name


def write_documents(folder: Path) -> None:
    """Write the lists, the table and the archive that the guides to documents name."""
    names = [first + middle + last for first, middle, last in product("BKMR", "aeiou", "lnrs")]
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    (folder / "openings.txt").write_text("Ma\nRo\n")
    for place in ("languages", "others"):
        (folder / place).mkdir()
        (folder / place / "Italian.txt").write_text("\n".join(name + "o" for name in names))
        (folder / place / "Russian.txt").write_text("\n".join(name + "in" for name in names))
    rows = [f"{name} reads,{number % 5 + 1}" for number, name in enumerate(names)]
    (folder / "reviews.csv").write_text("\n".join(["text,stars", *rows]) + "\n")
    with zipfile.ZipFile(folder / "poems.zip", "w") as archive:
        archive.writestr("one.txt", TEXT)
        archive.writestr("two.txt", TEXT)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the texts and the models that the pages name."""
    folder = tmp_path_factory.mktemp("prepared")
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        encoding = "latin-1" if name.startswith("old") else "utf-8"
        (folder / name).write_text(TEXT, encoding, "replace")
    (folder / "system.log.1.gz").write_bytes(gzip.compress(TEXT.encode()))
    write_documents(folder)
    with contextlib.chdir(folder):
        assert main(["train", "my.txt", "--hidden-size", "150", "--steps", "4", "--quiet"]) == 0
        shutil.copytree("runs/my", "runs/war_and_peace")
    return folder


@pytest.fixture
def workplace(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workplace"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return folder


@slow
@pytest.mark.filterwarnings("ignore::ricorda.errors.UnseenCharactersWarning")
@pytest.mark.parametrize("page", pages_with("sh"), ids=str)
def test_every_command_runs(page: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(DOCS / page, "sh"):
        for words in commands(block):
            assert words[0] == "ricorda", f"{words}: mark the block as not-run"
            if words[1] == "studio":  # it serves until it is ended: its own tests open it
                words.append("--help")
            if words[1:] == ["resume"]:
                interrupt_a_run(workplace)
            assert main(with_a_small_budget(words[1:])) == 0, (words, capsys.readouterr().err)


@slow
@pytest.mark.parametrize("page", pages_with("python"), ids=str)
def test_every_program_runs(page: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for program in blocks(DOCS / page, "python"):
        shutil.rmtree("runs/my")  # which a program may make, or else use
        shutil.copytree("runs/war_and_peace", "runs/my")
        exec(compile(program.replace('"my.txt"', '"other.txt"'), page, "exec"), {})
        assert capsys.readouterr().out.strip()


def test_each_decision_has_context_decision_and_consequence() -> None:
    entries = re.split(r"^### ", (DOCS / "decisions.md").read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    for entry in entries:
        parts = re.findall(r"^- \*\*(\w+)\.\*\*", entry, flags=re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequence"], entry.splitlines()[0]
