"""`ricorda baselines`."""

import json
from collections.abc import Callable
from pathlib import Path

Call = Callable[..., tuple[int, str, str]]


def test_the_table_names_every_method(here: Path, call: Call) -> None:
    code, out, err = call("baselines", "my.txt")
    assert (code, err) == (0, "")
    assert "24 different symbols" in out
    for name in ("equally likely", "frequencies", "5-grams", "xz"):
        assert name in out


def test_json_and_the_options(here: Path, call: Call) -> None:
    found = [
        json.loads(call("baselines", "my.txt", "--json", *words)[1])
        for words in ([], ["--vocabulary", "bytes"], ["--validation-fraction", "0.3"])
    ]
    plain, by_bytes, more = found
    assert plain["training"] + plain["validation"] == plain["characters"]
    assert plain["bits_per_character"]["five_grams"] < plain["bits_per_character"]["frequencies"]
    assert by_bytes["vocabulary_size"] == 256
    assert more["validation"] > plain["validation"]


def test_a_text_too_short_to_evaluate(here: Path, call: Call) -> None:
    Path("short.txt").write_text("abcabc")
    assert json.loads(call("baselines", "short.txt", "--json")[1])["bits_per_character"] is None
    assert "no part of the text is held back for validation" in call("baselines", "short.txt")[1]


def test_a_text_that_is_not_there(here: Path, call: Call) -> None:
    code, out, err = call("baselines", "none.txt")
    assert (code, out) == (2, "")
    assert "none.txt" in err
