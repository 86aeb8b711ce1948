"""What the tests of the documentation read from Markdown, and how they run its commands."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"


class Fence(NamedTuple):
    """A fenced block: its mark, such as `sh` or `text example`, and its lines."""

    mark: str
    content: str


def fences(path: Path) -> list[Fence]:
    """Return the fenced blocks of a Markdown file in order."""
    found = re.finditer(
        r"^```([^\n]*)\n(.*?)^```$", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    return [Fence(one[1].strip(), one[2]) for one in found]


def blocks(path: Path, mark: str) -> list[str]:
    """Return the content of the blocks with this mark."""
    return [fence.content for fence in fences(path) if fence.mark == mark]


def commands(shell: str) -> list[list[str]]:
    """Return the words of each line of a shell block, comments left out."""
    lines = shell.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def prose(path: Path) -> str:
    """Return a Markdown file without its fenced blocks and comments."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def links(path: Path) -> list[str]:
    """Return the targets of links and pictures, those of other sites left out."""
    return [
        target
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(path))
        if not target.startswith("http")
    ]


def check_links(path: Path) -> None:
    """Check that each link leads to a file, and to a heading of it. Raises AssertionError."""
    for target in links(path):
        name, _, heading = target.partition("#")
        file = path.parent / name if name else path
        if file.name == "commands.md":  # generated with the documentation
            continue
        assert file.exists(), target
        if heading and file.suffix == ".md":
            assert heading in headings(file), target


def headings(path: Path) -> set[str]:
    """Return the headings of a Markdown file as links name them."""
    found = re.findall(r"^#+ (.+)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def with_a_small_budget(words: list[str]) -> list[str]:
    """Return a command that takes a few steps where the documentation's takes minutes."""
    words = list(words)
    if "--minutes" in words and "--dry-run" not in words:
        place = words.index("--minutes")
        words[place : place + 2] = ["--steps", "9" if words[0] == "resume" else "6"]
    elif "--steps" in words:
        place = words.index("--steps") + 1
        words[place] = str(int(words[place]) // 50)
    if words[0] in {"compare", "tune"} and "--steps" not in words:
        words += ["--steps", "6"]
    sized = any(word.startswith("hidden_size=") for word in words)
    if words[0] in {"compare", "tune"} and "--hidden-size" not in words and not sized:
        words += ["--hidden-size", "8"]
    if words[:1] == ["train"] and not {"--hidden-size", "--config", "--from"} & set(words):
        words += ["--hidden-size", "8"]
    if words[:1] == ["memorised"]:
        words += ["--length", "400"]  # the texts of the tests are short
    return words


def interrupt_a_run(folder: Path) -> None:
    """Leave a run behind that a signal ended after some steps."""
    program = (
        "import os, signal, ricorda\n"
        "from ricorda.training.report.progress import Silent\n"
        "class Stop(Silent):\n"
        "    def stepped(self, step, *more):\n"
        "        if step == 3: os.kill(os.getpid(), signal.SIGTERM)\n"
        "ricorda.train('my.txt', steps=6, hidden_size=8, reporter=Stop(), out='runs/stopped')\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, check=False)
    assert done.returncode == -signal.SIGTERM
