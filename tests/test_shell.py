"""Commands that a person copies: a shell takes them for what they were, a terminal obeys none."""

import shutil
import subprocess

import pytest

from ricorda.shell import command_line

BASH = shutil.which("bash")
WORDS = [
    "plain.txt",
    "",
    "a'; rm -rf x #.txt",
    "-n",
    '$(id) `id` \\ " * ? ~ !',
    "two\nlines\tand tabs",
    "back\\slash\x1b[201~\n\x03rm -rf x\n'; x",
    "\x7f\x85\u2028\u202etxt.exe",
    "è 日 \U0001f600",
    "\udcff",
]


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.parametrize("word", WORDS, ids=ascii)
def test_a_shell_takes_the_word_as_it_was(word: str) -> None:
    assert BASH is not None
    line = command_line(["printf", "%s", word])
    printed = subprocess.run([BASH, "-c", line], capture_output=True, check=True).stdout
    assert printed == word.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("word", WORDS, ids=ascii)
def test_a_terminal_gets_no_control_sequence_of_it(word: str) -> None:
    assert all(each.isprintable() or each in "\n\t" for each in command_line([word]))
