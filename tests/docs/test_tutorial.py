"""Both tutorials are run block by block, and each block prints the output that follows it.

A block fenced with ```python or ```sh is run; the ```text block that follows it is its output.
Under ```text varies, numbers and passages of the pattern may differ from machine to machine.
The code is the same in both languages but for its comments, so it is run once.
"""

import ast
import contextlib
import importlib.util
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "rnn_from_scratch.py"
LANGUAGES = ["en", "it"]
EPOCH_LINE = r"Epoch: \d+, Loss: \d\.\d{4}"


@dataclass(frozen=True)
class Block:
    """A block that is run, and the output that the tutorial shows for it."""

    kind: str  # python or sh
    code: str
    line: int
    shown: str = ""
    varies: bool = False


@dataclass(frozen=True)
class Reading:
    """A tutorial read to its end: what each block printed, and the names that are left."""

    printed: list[str]
    names: dict[str, Any]


def tutorial(language: str) -> Path:
    return REPOSITORY / "docs" / f"tutorial.{language}.md"


def fences(text: str) -> list[tuple[str, str, int]]:
    """Return the fenced blocks of a Markdown text as (kind, content, first line's number)."""
    found = re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [(one[1], one[2], text[: one.start(2)].count("\n") + 1) for one in found]


def blocks_of(language: str) -> list[Block]:
    blocks: list[Block] = []
    for kind, content, line in fences(tutorial(language).read_text(encoding="utf-8")):
        if kind in ("python", "sh"):
            blocks.append(Block(kind, content, line))
        elif kind.startswith("text"):
            last = blocks.pop()
            assert not last.shown, f"two outputs for one block, line {line}"
            blocks.append(replace(last, shown=content, varies=kind == "text varies"))
    return blocks


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return read("en", tmp_path_factory.mktemp("tutorial"))


def read(language: str, folder: Path) -> Reading:
    """Run a tutorial's blocks in order, in one namespace, in a folder of their own."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    with contextlib.chdir(folder), torch_as_before():
        printed = [
            printed_by_commands(block.code)
            if block.kind == "sh"
            else printed_by_python(block, tutorial(language), names)
            for block in blocks_of(language)
        ]
    return Reading(printed, names)


@contextlib.contextmanager
def torch_as_before() -> Iterator[None]:
    """Give torch its random state and number of threads back."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


def printed_by_python(block: Block, path: Path, names: dict[str, Any]) -> str:
    # Empty lines before the code, so that a traceback names the line of the tutorial.
    source = "\n" * (block.line - 1) + block.code
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, str(path), "exec"), names)
    return output.getvalue()


def printed_by_commands(commands: str) -> str:
    printed = ""
    for line in commands.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "ricorda", line
        command = [sys.executable, "-m", "ricorda", *arguments]
        printed += subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return printed


def without_what_varies(text: str) -> str:
    """Replace each number by # and each character of a stretch of the pattern by @."""
    text = re.sub(r"\b[abcd]{8,}", lambda stretch: "@" * len(stretch[0]), text)
    return re.sub(r"\d+(\.\d+)?", "#", text)


def syntax(block: Block) -> str:
    """Return the code's meaning alone: no comments, no layout."""
    return block.code if block.kind == "sh" else ast.dump(ast.parse(block.code))


def test_both_languages_have_the_same_code_and_outputs() -> None:
    english, italian = blocks_of("en"), blocks_of("it")
    assert [syntax(block) for block in english] == [syntax(block) for block in italian]
    assert [block.shown for block in english] == [block.shown for block in italian]
    assert [block.varies for block in english] == [block.varies for block in italian]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_block_prints_what_is_shown(reading: Reading, language: str) -> None:
    for block, printed in zip(blocks_of(language), reading.printed, strict=True):
        place = f"{tutorial(language).name}, line {block.line}"
        if block.varies:
            assert without_what_varies(printed) == without_what_varies(block.shown), place
        else:
            assert printed == block.shown, place


def test_both_languages_have_the_same_sections() -> None:
    structures = []
    for language in LANGUAGES:
        text = tutorial(language).read_text(encoding="utf-8")
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        structures.append(re.findall(r"^(#+ (?:\d+\.)?)", prose, flags=re.MULTILINE))
    assert structures[0] == structures[1]


def test_the_first_network_knows_the_sequence_and_nothing_else(reading: Reading) -> None:
    names = reading.names
    generate, right = names["generate_seq"], names["right_characters"]
    assert generate(names["model"], "a", 25) == "aaaaabbbbbccccacdddddaaaa"
    assert right(generate(names["model"], "b", 25)) < 25
    assert right(generate(names["model"], "c", 25)) < 25


def test_the_general_network_continues_any_character(reading: Reading) -> None:
    names = reading.names
    for char in "abcd":
        text = names["generate_seq"](names["general"], char, 210)
        assert len(text) == 210
        assert text[0] == char
        assert text in "aaaaabbbbbccccacddddd" * 12


def test_the_general_network_is_as_unsure_as_it_must_be(reading: Reading) -> None:
    names = reading.names
    after_c = names["first_logits"][0, 0].softmax(dim=0)
    torch.testing.assert_close(after_c, torch.tensor([0.2, 0.0, 0.6, 0.2]), rtol=0, atol=0.08)

    inputs, targets = names["window_inputs"], names["window_targets"]
    with torch.no_grad():
        logits, _ = names["general"](inputs, names["general"].zero_state(len(inputs)))
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
    assert names["floor"] < loss < names["floor"] + 0.02


@pytest.mark.parametrize(
    "text, count",
    [("a", 1), ("aaaaab", 6), ("aaaaaab", 5), ("cc", 2), ("cb", 1), ("cacda", 4), ("bd", 1)],
)
def test_right_characters_counts_to_the_first_error(
    reading: Reading, text: str, count: int
) -> None:
    assert reading.names["right_characters"](text) == count


def test_what_varies_is_compared_by_its_shape() -> None:
    shape = without_what_varies("a: right for 110 characters, aaaaabbbbb...\nLoss: 0.0082")
    assert shape == "a: right for # characters, @@@@@@@@@@...\nLoss: #"


def definitions(code: str) -> dict[str, str]:
    """Return the syntax of each function and class by name, docstrings left out."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return {
        node.name: ast.dump(node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def test_the_example_is_the_program_of_the_tutorial() -> None:
    taught = definitions("\n".join(one.code for one in blocks_of("en") if one.kind == "python"))
    example = definitions(EXAMPLE.read_text(encoding="utf-8"))
    assert example.pop("main")
    assert example == {name: taught[name] for name in example}


def load_example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("rnn_from_scratch", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_example_can_be_imported_without_running(capsys: pytest.CaptureFixture[str]) -> None:
    example = load_example()
    assert capsys.readouterr().out == ""
    assert example.char_to_index == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert example.one_hot("bd").tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
    untrained = example.generate_seq(example.CharacterRNN(4, hidden_size=3), "c", 7)
    assert re.fullmatch("c[abcd]{6}", untrained)


def test_the_example_learns_the_sequence() -> None:
    command = [sys.executable, str(EXAMPLE), "--seed", "5"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    *epochs, generated, verdict = result.stdout.splitlines()
    assert len(epochs) == 10
    assert all(re.fullmatch(EPOCH_LINE, line) for line in epochs)
    losses = [float(line.split()[-1]) for line in epochs]
    assert losses[0] == pytest.approx(1.386, abs=0.1)  # ln 4: it knows nothing yet
    assert losses[-1] < 0.01
    assert generated == "aaaaabbbbbccccacdddddaaaa"
    assert verdict == "This is the sequence."


def test_the_seed_changes_the_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load_example()
    drawn = []

    def untrained(model: torch.nn.Module, *_: object, **__: object) -> None:
        drawn.append(next(model.parameters()).detach().clone())

    monkeypatch.setattr(example, "train", untrained)
    with torch_as_before():
        for seed in ("3", "3", "4"):
            monkeypatch.setattr(sys, "argv", ["rnn_from_scratch.py", "--seed", seed])
            example.main()
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert capsys.readouterr().out.count("This is not the sequence.") == 3
