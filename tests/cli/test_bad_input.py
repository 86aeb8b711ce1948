"""Wrong input of every kind: exit code 2, one line, nothing written, nothing lost."""

import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ricorda.model import read_model_file

Call = Callable[..., tuple[int, str, str]]

TRAIN = ["train", "my.txt"]
SAMPLE = ["sample", "runs/tiny"]


def snapshot(folder: Path) -> dict[str, Any]:
    """Every name below a folder, and the content of the files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if is_file(path) else None
        for path in sorted(folder.rglob("*"))
    }


def is_file(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)


@pytest.fixture
def place(here: Path) -> Iterator[Path]:
    """A folder full of what is no good."""
    files = {
        "empty.txt": b"",
        "one.txt": b"a",
        "mark.txt": b"\xef\xbb\xbf",
        "two.txt": b"ab",
        "wrong.txt": b"abc\xffdef",
        "late.txt": "è così\n".encode() * 50_000 + b"\xe8 tardi",
        "utf16.txt": "some text\n".encode("utf-16"),
        "utf16le.txt": "some text\n".encode("utf-16-le"),
        "new\nline.txt": b"\xff",
        "hidden/.letter": b"dear",
        "binary/picture": b"PNG\0\0",
        "full/letter.txt": b"dear",
    }
    for name, content in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    Path("broken").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        models()
        before = snapshot(here)
        yield here
        after = snapshot(here)
    assert after == before


def models() -> None:
    """Files that are no models, each for another reason."""
    whole = Path("runs/tiny/model.safetensors").read_bytes()
    Path("half.st").write_bytes(whole[: len(whole) // 2])
    Path("short.st").write_bytes(whole[:-1])
    Path("long.st").write_bytes(whole + b"\0")
    Path("newer.st").write_bytes(whole.replace(b'"ricorda.format":"2"', b'"ricorda.format":"9"'))
    tensors = read_model_file(Path("runs/tiny/model.safetensors")).tensors
    save_file(tensors, "other.st")
    length = int.from_bytes(whole[:8], "little")
    metadata = json.loads(whole[8 : 8 + length])["__metadata__"]
    bias = tensors["output.bias"]
    for name, tensor, wrong in (
        ("nan.st", "output.bias", np.full_like(bias, np.nan)),
        ("shape.st", "output.bias", bias[:-1]),
        ("half-precision.st", "output.bias", bias.astype(np.float16)),
        ("more.st", "output.more", bias),
    ):
        save_file({**tensors, tensor: wrong}, name, metadata)


TEXTS = {
    "missing.txt": "missing.txt: no such file or folder; check the name",
    "empty.txt": "empty.txt: empty; a text of at least 2 characters is needed",
    "one.txt": "a text of one character: at least 2 are needed",
    "mark.txt": "mark.txt: empty",
    "folder": "folder: a folder without text",
    "hidden": "hidden: a folder without text: only hidden/.letter (hidden)",
    "binary": "1 file looks binary, such as binary/picture",
    "wrong.txt": "wrong.txt: expected UTF-8 text, but byte 3 (0xff) is not valid",
    "late.txt": "late.txt: expected UTF-8 text, but byte 450000 (0xe8) is not valid",
    "utf16.txt": "it looks like UTF-16, give --encoding utf-16",
    "utf16le.txt": "it looks like UTF-16-LE",
    "new\nline.txt": r"new\nline.txt: expected UTF-8 text, but byte 0",
    "no\x1b31m": r"no\x1b31m: no such file or folder",
    "*.tex": "*.tex: no text matches this pattern",
    "": "an empty name given as text",
    "/dev/null": "/dev/null: a device or socket, not a text",
    "/dev/zero": "/dev/zero: a device or socket, not a text",
    "socket": "socket: a device or socket, not a text",
    "loop": "loop: symbolic links that form a loop",
    "broken": "broken: no such file or folder",
    "my.txt/x": "my.txt/x: cannot be read: Not a directory",
    "x" * 300: "File name too long",
}


@pytest.mark.parametrize("text", TEXTS, ids=lambda name: repr(name)[:20])
def test_texts(place: Path, call: Call, text: str) -> None:
    refused(call("train", text), TEXTS[text])
    if text != "one.txt":
        refused(call("train", "my.txt", "--validation", text or "empty.txt"), "")
        refused(call("evaluate", "runs/tiny", text), TEXTS[text])
        refused(call("score", "runs/tiny", text), TEXTS[text])


def refused(result: tuple[int, str, str], message: str) -> None:
    code, out, err = result
    assert code == 2
    assert out == ""
    assert err.startswith("ricorda: ")
    assert message in err
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "\x1b" not in err


def test_validation_must_be_read_again(place: Path, call: Call) -> None:
    os.mkfifo("pipe")
    for name in ("-", "pipe"):
        refused(call("train", "my.txt", "--validation", name), "got a pipe: save it first")
    Path("pipe").unlink()


MODELS = {
    "no\x1b31m": r"no model file at no\x1b31m",
    "nothing.st": "no model file at nothing.st: give a model.safetensors or a run's folder",
    "my.txt": "my.txt is not a ricorda model file, or it is truncated or damaged",
    "empty.txt": "empty.txt is not a ricorda model file, or it is truncated or damaged",
    "folder": "no model file at folder/model.safetensors",
    "runs": "no model file at runs/model.safetensors",
    "/dev/null": "expected a model file, found something else at /dev/null",
    "socket": "expected a model file, found something else at socket",
    "half.st": "half.st is not a ricorda model file, or it is truncated or damaged",
    "short.st": "short.st is not a ricorda model file, or it is truncated or damaged",
    "long.st": "long.st is not a ricorda model file, or it is truncated or damaged",
    "newer.st": "newer.st has format 9, newer than this ricorda reads (2): upgrade ricorda",
    "other.st": "other.st is a safetensors file but not a ricorda model",
    "nan.st": "'output.bias' holds numbers that are not finite",
    "shape.st": "'output.bias' should have shape (24,), has (23,)",
    "half-precision.st": "'output.bias' should be float32 (F32), is F16",
    "more.st": "'output.more' does not belong to this model",
    "runs/tiny/config.json": "is not a ricorda model file",
    "runs/tiny/checkpoints/40/tensors.safetensors": "a safetensors file but not a ricorda model",
}


@pytest.mark.parametrize("model", MODELS)
def test_models(place: Path, call: Call, model: str) -> None:
    for words in (["sample"], ["info"], ["evaluate"], ["score"]):
        text = ["my.txt"] if words[0] in ("evaluate", "score") else []
        refused(call(*words, model, *text), MODELS[model])


EMPTY = "expected the name of a file or a folder, got an empty one"

OPTIONS: list[tuple[list[str], str]] = [
    (["sample", ""], EMPTY),
    (["evaluate", "", "my.txt"], EMPTY),
    (["resume", ""], EMPTY),
    (["runs", ""], EMPTY),
    ([*TRAIN, "--out", ""], EMPTY),
    (["studio", "--runs", ""], EMPTY),
    (["units", "runs/tiny", "my.txt", "--shifts", "9" * 30], "at least 1 and at most 1000000"),
    (["studio", "--port", "65536"], "expected a port from 0 to 65535, got 65536"),
    (["serve", "runs/tiny", "--check", "--allow-origin", "foo"], "such as https://example.org"),
    (["serve", "runs/tiny", "--check", "--allow-host", ""], "--allow-host: expected a name"),
    ([*TRAIN, "--nonsense"], "No such option"),
    ([*TRAIN, "--dropout", "1.5"], "'--dropout': expected a number, at least 0 and at most 0.99"),
    ([*TRAIN, "--dropout", "-0.1"], "at least 0 and at most 0.99, got '-0.1'"),
    ([*TRAIN, "--dropout", "nan"], "at least 0 and at most 0.99, got 'nan'"),
    ([*TRAIN, "--input-dropout", "1"], "at least 0 and at most 0.99, got '1'"),
    ([*TRAIN, "--recurrent-dropout", "-1"], "at least 0 and at most 0.99, got '-1'"),
    (
        [*TRAIN, "--averaging", "1"],
        "'--averaging': expected a number, at least 0 and at most 0.999999",
    ),
    ([*TRAIN, "--forget-bias", "inf"], "at least -100 and at most 100, got 'inf'"),
    ([*TRAIN, "--forget-bias", "1", "--cell", "rnn"], "is for --cell lstm or minlstm, not for rnn"),
    ([*TRAIN, "--initialisation", "zero"], "'zero' is not one of 'orthogonal', 'uniform'"),
    ([*TRAIN, "--hidden-size", "0"], "at least 1 and at most 65536, got '0'"),
    ([*TRAIN, "--hidden-size", "999999999"], "at most 65536, got '999999999'"),
    ([*TRAIN, "--hidden-size", "1.5"], "expected a whole number"),
    ([*TRAIN, "--hidden-size", ""], "expected a whole number"),
    ([*TRAIN, "--hidden-size"], "Option '--hidden-size' requires an argument"),
    ([*TRAIN, "--num-layers", "65"], "at most 64, got '65'"),
    ([*TRAIN, "--embedding-size", "one-hot"], "or onehot, got 'one-hot'"),
    ([*TRAIN, "--batch-size", "65537"], "at most 65536"),
    ([*TRAIN, "--window", "9" * 400], "at most 1048576"),
    ([*TRAIN, "--learning-rate", "0"], "at least 1e-09 and at most 10, got '0'"),
    ([*TRAIN, "--learning-rate", "inf"], "at least 1e-09 and at most 10, got 'inf'"),
    ([*TRAIN, "--weight-decay", "-1"], "at least 0 and at most 100, got '-1'"),
    ([*TRAIN, "--clip-norm", "nan"], "at least 1e-06 and at most 1000000000, got 'nan'"),
    ([*TRAIN, "--minutes", "0"], "'--minutes': expected a number, at least 0.001"),
    ([*TRAIN, "--minutes", "1e-300"], "'--minutes': expected a number, at least 0.001"),
    ([*TRAIN, "--minutes", "inf"], "'--minutes': expected a number"),
    ([*TRAIN, "--minutes", "3m"], "'--minutes': expected a number"),
    ([*TRAIN, "--epochs", "1e300"], "at most 1000000000, got '1e300'"),
    ([*TRAIN, "--steps", "0"], "at least 1"),
    ([*TRAIN, "--steps", "1" * 30], "at most 1000000000000"),
    ([*TRAIN, "--minutes", "1", "--steps", "2"], "expected one budget, got --minutes and --steps"),
    ([*TRAIN, "--minutes", "1", "--epochs", "2", "--steps", "3"], "give only one of"),
    ([*TRAIN, "--seed", "-1"], "at least 0"),
    ([*TRAIN, "--seed", str(2**63)], f"below {2**63}"),
    ([*TRAIN, "--threads", "100000"], "at most 1024"),
    ([*TRAIN, "--patience", "0"], "at least 1"),
    ([*TRAIN, "--cell", "transformer"], "'transformer' is not one of 'rnn', 'gru', 'lstm'"),
    ([*TRAIN, "--nonlinearity", "relu"], "--nonlinearity relu is for --cell rnn"),
    ([*TRAIN, "--device", "tpu"], "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
    ([*TRAIN, "--precision", "int8"], "'int8' is not one of"),
    ([*TRAIN, "--vocabulary", "letters"], "expected characters, bytes, words or pieces:N"),
    ([*TRAIN, "--vocabulary", "pieces:x"], "expected characters, bytes, words or pieces:N"),
    ([*TRAIN, "--encoding", "klingon"], "--encoding 'klingon': not a text encoding"),
    ([*TRAIN, "--encoding", "base64"], "--encoding 'base64': not a text encoding"),
    ([*TRAIN, "--encoding", "utf-16"], "not utf-16 text"),
    ([*TRAIN, "--validation-fraction", "1"], "at least 0 and at most 0.99"),
    ([*TRAIN, "--validation-fraction", "1e-9"], "it leaves 3091 for training and 1 for validation"),
    ([*TRAIN, "--validation-fraction", "0.99999"], "at least 0 and at most 0.99, got '0.99999'"),
    ([*TRAIN, "--validation", "two.txt", "--validation-fraction", "0.1"], "give only one"),
    ([*TRAIN, "--validation", "one.txt"], "--validation one.txt: expected at least 2 symbols"),
    (
        [*TRAIN, "--out", "runs/tiny"],
        "runs/tiny already holds a run, which has ended (steps): give another",
    ),
    ([*TRAIN, "--out", "full"], "expected a new or an empty folder for the run, full holds other"),
    (
        [*TRAIN, "--out", "my.txt"],
        "expected a new or an empty folder for the run, my.txt is a file",
    ),
    ([*TRAIN, "--out", "my.txt/run"], "cannot make the run's folder my.txt/run: Not a directory"),
    ([*TRAIN, "--out", "/proc/run"], "cannot make the run's folder /proc/run"),
    ([*TRAIN, "--out", "/dev/null"], "/dev/null is a file"),
    ([*TRAIN, "--out", "x" * 300], "File name too long"),
    ([*TRAIN, "--config", "missing.toml"], "cannot read the configuration missing.toml"),
    (["train"], "Missing argument 'TEXT...'"),
    ([*SAMPLE, "--length", "-1"], "at least 0 and at most 1000000000000, or inf, got '-1'"),
    ([*SAMPLE, "--temperature", "nan"], "at least 0, got 'nan'"),
    ([*SAMPLE, "--temperature", "-1"], "at least 0, got '-1'"),
    ([*SAMPLE, "--top-k", "0"], "at least 1"),
    ([*SAMPLE, "--top-p", "1.1"], "above 0 and at most 1, got '1.1'"),
    ([*SAMPLE, "--min-p", "-0.1"], "at least 0 and at most 1, got '-0.1'"),
    ([*SAMPLE, "--seed", str(2**64)], f"at most {2**64 - 1}"),
    ([*SAMPLE, "--count", "0"], "at least 1"),
    ([*SAMPLE, "--stop", ""], "'--stop': expected at least one character, got an empty text"),
    ([*SAMPLE, "--allowed", ""], "'--allowed': expected at least one character"),
    ([*SAMPLE, "--banned", ""], "'--banned': expected at least one character"),
    ([*SAMPLE, "--banned-word", ""], "'--banned-word': expected at least one character"),
    ([*SAMPLE, "--allowed", "Z"], "must leave a symbol that the model knows"),
    ([*SAMPLE, "--repetition-penalty", "0"], "above 0, got '0'"),
    ([*SAMPLE, "--repetition-window", "0"], "at least 1"),
    ([*SAMPLE, "--precision", "float64"], "'float64' is not one of"),
    ([*SAMPLE, "--on-unknown", "guess"], "'guess' is not one of 'error', 'skip'"),
    (["evaluate", "runs/tiny", "my.txt", "--window", "0"], "at least 1"),
    (["evaluate", "runs/tiny", "my.txt", "--encoding", "nope"], "--encoding 'nope'"),
    (["score", "runs/tiny", "two.txt", "my.txt"], "Got unexpected extra argument (my.txt)"),
    (["resume", "folder"], "expected a run's folder with a config.json, found none at folder"),
    (["info", "folder"], "no model file at folder/model.safetensors"),
]


@pytest.mark.parametrize("words, message", OPTIONS, ids=lambda each: str(each)[:60])
def test_options(place: Path, call: Call, words: list[str], message: str) -> None:
    refused(call(*words), message)


def test_invalid_utf8_of_every_kind(data: Path, here: Path, call: Call) -> None:
    path = data / "malformed" / "kuhn-baddata.txt"
    offset = 0
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError as error:
        offset = error.start
    before = snapshot(here)
    refused(call("train", path), f"byte {offset} (0x{path.read_bytes()[offset]:02x}) is not valid")
    assert snapshot(here) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is permitted to root")
def test_what_is_not_permitted(here: Path, call: Call) -> None:
    secret, locked = Path("secret.txt"), Path("locked")
    secret.write_text("psst, a text")
    locked.mkdir()
    secret.chmod(0)
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    refused(call("train", secret), "secret.txt: no permission to read it; allow it (chmod +r)")
    refused(call("train", "my.txt", "--out", "locked/run"), "Permission denied")
    refused(call("train", "my.txt", "--config", secret), "is not readable")
    refused(call("sample", secret), "is not readable")
    refused(call("score", "runs/tiny", "my.txt", "--html", "locked/a.html"), "Permission denied")
    assert list(locked.iterdir()) == []
