"""The READMEs are short, say the same in both languages, and their commands run."""

import ast
import subprocess
import tomllib
from itertools import product
from pathlib import Path

import pytest

from ricorda.cli.main import main
from tests.docs.documents import (
    REPOSITORY,
    blocks,
    check_links,
    commands,
    fences,
    with_a_small_budget,
)

READMES = [REPOSITORY / "README.md", REPOSITORY / "README.it.md"]
TEXT = "Once upon a time there was a small network that read a text.\n" * 40
NAMES = [first + middle + last for first, middle, last in product("BKMR", "aeiou", "lnrs")]
DOCUMENT_COMMANDS = ["train", "sample", "score", "train", "classify"]

both = pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)


def shell_commands(readme: Path) -> list[list[str]]:
    return [words for block in blocks(readme, "sh") for words in commands(block)]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my.txt").write_text(TEXT)
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    (tmp_path / "languages").mkdir()
    for name in ("Italian", "Russian"):
        (tmp_path / "languages" / f"{name}.txt").write_text("\n".join(NAMES))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@both
def test_it_is_short(readme: Path) -> None:
    assert len(readme.read_text("utf-8").splitlines()) < 160


def test_both_languages_show_the_same_commands_and_output() -> None:
    english, italian = READMES
    assert shell_commands(english) == shell_commands(italian)
    assert blocks(english, "text example") == blocks(italian, "text example")
    programs = (blocks(readme, "python") for readme in READMES)
    first, second = ([ast.dump(ast.parse(one)) for one in given] for given in programs)
    assert first == second


def test_what_it_says_of_requirements_is_what_is_declared() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    assert declared["requires-python"] == ">=3.11"
    assert len([one for one in declared["dependencies"] if not one.startswith("numpy")]) == 5
    text = READMES[0].read_text("utf-8")
    assert "Python 3.11 or newer" in text
    assert "NumPy and five small packages" in text


@both
def test_each_block_is_run_or_marked(readme: Path) -> None:
    marks = {"sh", "sh not-run", "python", "text example"}
    assert {fence.mark for fence in fences(readme)} <= marks


def test_every_make_target_exists() -> None:
    targets = [words[1] for words in shell_commands(READMES[0]) if words[0] == "make"]
    assert targets == ["demo", "test"]
    command = ["make", "-n", *targets, "docs", "bench"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)


@pytest.mark.filterwarnings("ignore::ricorda.errors.UnseenCharactersWarning")
def test_every_command_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme, _ = READMES  # the other has the same commands
    given = [words for words in shell_commands(readme) if words[0] == "ricorda"]
    assert [words[1] for words in given] == ["train", "sample", "studio", *DOCUMENT_COMMANDS]
    for words in given:
        if words[1] == "studio":  # it serves until it is ended: its own tests open it
            words.append("--help")
        assert main(with_a_small_budget(words[1:])) == 0, capsys.readouterr().err
    assert (workplace / "runs" / "my" / "report.html").is_file()


@pytest.mark.filterwarnings("ignore::ricorda.errors.UnseenCharactersWarning")
def test_the_python_program_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks(READMES[0], "python")
    exec(compile(program.replace("minutes=1", "steps=20"), "README.md", "exec"), {})
    assert len(capsys.readouterr().out.strip()) > 100


@both
def test_every_link_leads_somewhere(readme: Path) -> None:
    check_links(readme)
