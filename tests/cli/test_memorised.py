"""`ricorda memorised`: passages of a text, or of a model's text, copied from the training text."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import ricorda
from ricorda.text import ReadingSettings, encode_sources, split

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def texts(here: Path) -> Path:
    Path("training.txt").write_text(
        "once upon a time there was a fox " * 3 + "and a very old hen\n" * 9
    )
    Path("written.txt").write_text("I wrote: there was a fox and no hen")
    Path("other.txt").write_text("nothing of that is here, or is it")
    return here


def test_a_text(texts: Path, call: Call) -> None:
    code, out, err = call("memorised", "written.txt", "training.txt")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split() == ["longest", "passage,", "characters", "21"]
    assert (
        "The longest passage, at position 8 of the compared text and 82 of the training text:\n"
        " there was a fox and " in out
    )


def test_json(texts: Path, call: Call) -> None:
    found = json.loads(call("memorised", "written.txt", "training.txt", "--json")[1])
    assert found["seed"] is None
    assert found["never_seen"] is None
    assert found["written"]["longest"] == {
        "length": 21,
        "position": 8,
        "training_position": 82,
        "text": " there was a fox and ",
    }
    assert set(found["written"]["shares"]) == {"10", "20", "40", "80"}
    assert found["written"]["shares"]["40"] is None


def test_a_model_writes(texts: Path, call: Call) -> None:
    words = ["memorised", "runs/tiny", "my.txt", "--length", "200", "--json", "--seed", "4"]
    found = json.loads(call(*words)[1])
    assert found["seed"] == 4
    assert found["written"]["characters"] == 200
    text = ricorda.load("runs/tiny", precision="auto").generate("", length=200, seed=4)
    longest = found["written"]["longest"]
    begin = longest["position"]
    assert text[begin : begin + longest["length"]] == longest["text"]
    assert longest["text"] in Path("my.txt").read_text()
    other = json.loads(call(*words, "--temperature", "0.2")[1])
    assert other["written"]["longest"] != longest
    file = json.loads(call("memorised", "runs/tiny/model.safetensors", *words[2:])[1])
    assert file == found


def test_a_text_that_the_model_never_saw_is_evaluated_too(texts: Path, call: Call) -> None:
    words = ["memorised", "written.txt", "training.txt", "--json"]
    found = json.loads(call(*words, "--control", "other.txt")[1])
    assert found["never_seen"]["characters"] == len("nothing of that is here, or is it")
    whole = Path("training.txt").read_text()
    split = json.loads(call(*words, "--length", "20", "--validation-fraction", "0.1")[1])
    border = int(len(whole) * 0.9)
    assert split["written"]["training_characters"] == border
    held_back = split["never_seen"]["longest"]
    assert held_back["text"] in whole[:border]
    assert held_back["text"] in whole[border : border + 20]


@pytest.fixture
def names(here: Path) -> Path:
    """Sixty documents of a kind: a run that learned nine tenths of them, and one more file."""
    names = [f"{a}{b}{c}" for a in "abcde" for b in ("nn", "ss", "rr") for c in "aeio"]
    Path("names.txt").write_text("".join(f"{name}\n" for name in names))
    ricorda.train(
        "names.txt",
        out="runs/of-names",
        documents="lines",
        test_fraction=0.1,
        validation_fraction=0.2,
        steps=30,
        hidden_size=8,
        threads=1,
        quiet=True,
    )
    return here


@pytest.mark.usefixtures("names")
def test_documents_are_held_back_as_in_training(call: Call) -> None:
    reading = ReadingSettings(documents="lines")
    with encode_sources(
        reading.find(["names.txt"]), vocabulary="characters", folder=Path(), reading=reading
    ) as text:
        parts = split(text.part, 0.2, 0.1)
        learned = [text.vocabulary.decode(each) for each in parts.training.documents()]
        assert parts.validation is not None
        held_back = [text.vocabulary.decode(each) for each in parts.validation.documents()]
    words = ["memorised", "runs/of-names", "names.txt", "--json", "--seed", "1", "--length", "30"]
    code, out, _ = call(*words, "--validation-fraction", "0.2")
    found = json.loads(out)
    assert code == 0
    assert found["written"]["training_characters"] == sum(map(len, learned))
    assert found["never_seen"]["characters"] == found["written"]["characters"]
    assert any(found["never_seen"]["longest"]["text"] in name for name in held_back)
    longest = found["written"]["longest"]["text"]
    assert any(longest in name for name in learned)
    whole = json.loads(call(*words)[1])
    assert whole["never_seen"] is None
    assert whole["written"]["training_characters"] == 60 * 4
    code, _, err = call(*words[:4], "--length", "10000", "--validation-fraction", "0.2")
    assert (code, err.count("\n")) == (2, 1)
    assert "held-back part of the training text" in err


def test_bytes(texts: Path, call: Call) -> None:
    ricorda.train(
        "my.txt",
        out="runs/bytes",
        vocabulary="bytes",
        steps=2,
        hidden_size=4,
        threads=1,
        quiet=True,
    )
    found = json.loads(call("memorised", "runs/bytes", "my.txt", "--length", "50", "--json")[1])
    assert found["written"]["characters"] == 50
    assert found["written"]["training_characters"] == len(Path("my.txt").read_bytes())


@pytest.mark.parametrize(
    "words, message",
    [
        (["written.txt", "missing.txt"], "missing.txt: no such file or folder"),
        (["missing.txt", "training.txt"], "missing.txt: no such file or folder"),
        (["runs", "training.txt"], "no model file at"),
        (["written.txt", "training.txt", "--seed", "1"], "--seed is for a model that writes"),
        (["written.txt", "training.txt", "--validation-fraction", "1"], "above 0 and below 1"),
        (
            ["written.txt", "training.txt", "--validation-fraction", "0.01"],
            "expected at least 35 characters in the held-back part",
        ),
        (
            ["written.txt", "my.txt", "--control", "other.txt", "--validation-fraction", "0.1"],
            "give one of the two",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_reported(texts: Path, call: Call, words: list[str], message: str) -> None:
    code, out, err = call("memorised", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
