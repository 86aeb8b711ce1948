"""A validation part of another kind than the training part is reported."""

import math
import os
import random
from pathlib import Path

import numpy as np
import pytest

from ricorda.text import CharacterVocabulary, Part
from ricorda.text import part_difference as module
from ricorda.text.part_difference import Difference, describe_difference, part_difference
from ricorda.text.splits import split

DATA = os.environ.get("RICORDA_DATA", "")


def compared(text: str) -> Difference | None:
    """The parts of a text as training splits it."""
    parts = split(Part.whole(CharacterVocabulary.from_text(text).encode(text)))
    assert parts.validation is not None
    return part_difference(parts.training, parts.validation)


def prose(characters: int, words: str = "the of and a in cat dog house tree sea sky run") -> str:
    chosen = random.Random(1)
    return " ".join(chosen.choice(words.split()) for _ in range(characters // 4))[:characters]


def test_ten_files_of_one_letter_each_differ() -> None:
    found = compared("".join(letter * 2_000 for letter in "abcdefghij"))
    assert found is not None
    assert found.own == pytest.approx(0, abs=1e-6)
    assert found.even == pytest.approx(math.log2(10))
    assert found.cross == pytest.approx(math.log2(18_010))  # seen never, of 18,000 and 10 more


def test_a_sorted_list_differs_and_a_shuffled_one_does_not() -> None:
    names = [f"{first}{last}" for first in "abcdefghijklmnopqrstuvwxyz" for last in
             ("anna", "eli", "oro", "udi", "ivo") for _ in range(5)]  # fmt: skip
    doubled = [name[0] * 4 + name[1:] + "\n" for name in names]
    assert compared("".join(doubled)) is not None
    random.Random(2).shuffle(doubled)
    assert compared("".join(doubled)) is None


def test_another_language_at_the_end_differs() -> None:
    other = prose(20_000, "però così più qui quando perché zaino quiz vizio")
    assert compared(prose(180_000) + other) is not None


@pytest.mark.parametrize(
    "text", [prose(700), prose(200_000), "ab" * 5_000, "a" * 1_000, "0123456789\n" * 90]
)
def test_parts_of_one_kind_do_not_differ(text: str) -> None:
    assert compared(text) is None


@pytest.mark.parametrize("symbols", [2, 10, 256])
@pytest.mark.parametrize("length", [3_000, 100_000])
def test_random_symbols_do_not_differ(symbols: int, length: int) -> None:
    """There is nothing to gain from their frequencies, so that chance alone must not count."""
    ids = np.random.default_rng(symbols + length).integers(0, symbols, length).astype(np.uint8)
    parts = split(Part.whole(ids))
    assert parts.validation is not None
    assert part_difference(parts.training, parts.validation) is None


def test_blocks_of_a_long_text_stand_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_COUNTED", 4_000)
    monkeypatch.setattr(module, "_BLOCK", 100)
    assert compared(prose(300_000)) is None
    assert compared(prose(270_000) + prose(30_000).upper()) is not None


@pytest.mark.skipif(not DATA, reason="RICORDA_DATA names no folder of texts")
@pytest.mark.parametrize("name", [
    "tinyshakespeare/input.txt", "canterbury/alice29.txt", "canterbury/lcet10.txt",
    "italian/divina_commedia_pg1012.txt", "chinese/wujue-all.txt", "japanese/neko.txt",
    "greek/byz_nt.txt", "dna/phix.fa", "jsonl/gsm8k_train_1200.jsonl", "names/names.txt",
])  # fmt: skip
def test_real_texts_do_not_differ(name: str) -> None:
    assert compared((Path(DATA) / name).read_text("utf-8")) is None


@pytest.mark.skipif(not DATA, reason="RICORDA_DATA names no folder of texts")
def test_real_names_in_alphabetical_order_differ() -> None:
    names = (Path(DATA) / "names/names.txt").read_text("utf-8").splitlines(keepends=True)
    assert compared("".join(sorted(names))) is not None


def test_the_message_says_what_to_do() -> None:
    found = Difference(cross=14.14, own=0.5, even=3.32)
    held_back = describe_difference(found, "end")
    assert "differs from the training part: its characters cost 14.14 bits" in held_back
    assert "0.50 by its own, 3.32 if all were equally likely" in held_back
    assert "may be sorted" in held_back
    assert "--validation" in held_back
    better = describe_difference(Difference(cross=3, own=2, even=4), None)
    assert "sorted" not in better
    assert "equally likely" not in better
    assert "of the same kind with --validation" in better
    assert held_back.count("\n") == better.count("\n") == 0
