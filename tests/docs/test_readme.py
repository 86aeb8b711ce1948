"""Every command and program of the two READMEs is run."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ricorda.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]
READMES = ["README.md", "README.it.md"]
TEXT = "Once upon a time there was a small network that read a text.\n" * 40


def blocks(name: str, language: str) -> list[str]:
    text = (REPOSITORY / name).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(name: str) -> list[list[str]]:
    """The words of each line of each shell block, comments left out."""
    lines = "".join(blocks(name, "sh")).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("my.txt", "other.txt", "page.txt"):
        (tmp_path / name).write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_both_languages_show_the_same_commands() -> None:
    in_english, in_italian = (commands(name) for name in READMES)
    prompt = in_english[3].index("--prompt") + 1
    in_english[3][prompt] = in_italian[3][prompt]  # the prompt itself is translated
    assert in_english == in_italian


def test_every_make_target_exists() -> None:
    targets = [words[-1] for words in commands("README.md") if words[-2] == "make"]
    assert targets[:2] == ["demo", "test"]
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=REPOSITORY, check=True, capture_output=True)


@pytest.mark.parametrize("name", READMES)
def test_every_command_runs(name: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = 0
    for words in commands(name):
        if words[0] != "ricorda":
            continue
        if "--minutes" in words:  # a moment is enough to see that it works
            words[words.index("--minutes") + 1] = "0.02"
        if words[1] == "studio":  # it serves until it is told to end: its own tests open it
            words.append("--help")
        if words[1] == "resume":
            interrupt_a_run(workplace)
        if "--help" in words:
            assert main(words[1:]) == 0
        else:
            assert main(words[1:]) == 0, f"{words}: {capsys.readouterr().err}"
        ran += 1
    assert ran == 24
    assert (workplace / "surprise.html").stat().st_size > 1000
    assert (workplace / "runs" / "mine" / "report.html").is_file()


def interrupt_a_run(folder: Path) -> None:
    """Leave a run behind that a signal ended after some steps."""
    program = (
        "import os, signal, ricorda\n"
        "from ricorda.training.report.progress import Silent\n"
        "class Stop(Silent):\n"
        "    def stepped(self, step, *more):\n"
        "        if step == 3: os.kill(os.getpid(), signal.SIGTERM)\n"
        "ricorda.train('my.txt', steps=6, hidden_size=8, reporter=Stop())\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, check=False)
    assert done.returncode == -signal.SIGTERM


@pytest.mark.filterwarnings("ignore::ricorda.errors.UnseenCharactersWarning")
@pytest.mark.parametrize("name", READMES)
def test_the_python_program_runs(
    name: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = blocks(name, "python")
    exec(compile(program.replace("minutes=1", "steps=20"), name, "exec"), {})
    assert len(capsys.readouterr().out.strip()) > 100


@pytest.mark.parametrize("name", READMES)
def test_every_link_leads_somewhere(name: str) -> None:
    text = (REPOSITORY / name).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (REPOSITORY / target).exists(), target
