"""Coverage-guided fuzzing of all that reads what strangers wrote: `make fuzz`.

    PYTHONPATH=. python tests/fuzz/fuzz.py TARGET [-runs=N] [CORPUS]

Every target feeds bytes to one reader. An error of ricorda's own tree is right; anything else, a
crash, a hang or more memory than libFuzzer's limit ends the fuzzing and leaves the bytes behind.
"""

import atexit
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ricorda"]):
    import ricorda.cli.train
    from ricorda.errors import RicordaError
    from ricorda.exchange import onnx_export, torch_export
    from ricorda.exchange.importing import import_model
    from ricorda.model import ModelConfiguration, ModelFile, read_model_file, write_model_file
    from ricorda.model.tensor_file import TensorFileError, read_entry, read_header
    from ricorda.text import CharacterVocabulary, read_text
    from ricorda.text.decoding import StrictDecoder
    from ricorda.text.sources import Source
    from ricorda.text.vocabulary import Vocabulary
    from ricorda.validation import parse_json

import numpy as np

from tests.exchange.char_rnn_files import cell_name
from tests.exchange.keras_files import keras_layers, write_h5, write_keras

PARTS = ("kernel", "bias")
TEMPORARY = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
PLACE = TEMPORARY / f"ricorda-fuzz-{os.getpid()}"
ENCODINGS = ["utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "shift_jis", "gb18030"]


def model(data: bytes) -> None:
    """A whole model file; every third time under the header alone, which gets deeper."""
    try:
        with io.BytesIO(data) as file:
            header = read_header(file, len(data))
            for entry in header.entries.values():
                read_entry(file, entry)
    except TensorFileError:
        return
    path = PLACE / "model.safetensors"
    path.write_bytes(data)
    read_model_file(path)


def vocabulary(data: bytes) -> None:
    """The JSON of a vocabulary, and what it then does to a text."""
    try:
        description = parse_json(data, longest=1 << 20)
    except ValueError:
        return
    found = Vocabulary.from_json(description)
    text = data.decode("utf-8", "replace")
    ids = found.encode(text, "skip")
    found.decode(ids)
    found.count(ids)
    assert Vocabulary.from_json(found.to_json()) == found


def configuration(data: bytes) -> None:
    """A file for --config: TOML, JSON or a run's config.json, by the first byte."""
    kind = "toml" if data[:1] < b"U" else "json"
    path = PLACE / f"options.{kind}"
    path.write_bytes(data[1:])
    ricorda.cli.train.with_options_of(path, {})


def text(data: bytes) -> None:
    """A text in an encoding chosen by the first byte, decoded whole and in pieces alike."""
    if len(data) < 3:
        return
    encoding, cut = ENCODINGS[data[0] % len(ENCODINGS)], data[1]
    content = data[2:]
    path = PLACE / "text.txt"
    path.write_bytes(content)
    whole = "".join(read_text([Source("text.txt", path)], encoding, "keep"))
    decoder = StrictDecoder("text.txt", encoding)
    place = min(cut, len(content))
    pieces = decoder.decode(content[:place]) + decoder.decode(content[place:])
    assert whole == pieces + decoder.decode(b"", final=True)


def keras(data: bytes) -> None:
    """A Keras model: HDF5, or an archive of it."""
    path = PLACE / ("model.keras" if data[:2] == b"PK" else "model.h5")
    path.write_bytes(data)
    symbols = PLACE / "symbols.json"
    symbols.write_text(json.dumps(list("\nabcdefghij")))
    import_model(path, symbols=symbols)


def manifest(data: bytes) -> None:
    """The manifest of a model for TensorFlow.js, whose files all have 64 bytes."""
    folder = PLACE / "model"
    folder.mkdir(exist_ok=True)
    for name in "abcdefg":
        (folder / name).write_bytes(bytes(64))
    (folder / "manifest.json").write_bytes(data)
    import_model(folder)


def onnx(data: bytes) -> None:
    """An ONNX graph, of ricorda or of another tool."""
    path = PLACE / "model.onnx"
    path.write_bytes(data)
    symbols = PLACE / "symbols.json"
    symbols.write_text(json.dumps(list("\nabcé")))
    import_model(path, symbols=symbols if len(data) % 2 else None)


def tensors(data: bytes) -> None:
    """A state dict of PyTorch as safetensors, of ricorda or of another tool."""
    path = PLACE / "state_dict.safetensors"
    path.write_bytes(data)
    symbols = PLACE / "symbols.json"
    symbols.write_text(json.dumps(list("\nabcé")))
    import_model(path, symbols=symbols)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "model": model,
    "vocabulary": vocabulary,
    "configuration": configuration,
    "text": text,
    "keras": keras,
    "manifest": manifest,
    "onnx": onnx,
    "tensors": tensors,
}


def seeds(folder: Path) -> None:
    """Good inputs to begin from."""
    shape = ModelConfiguration(
        cell="gru", vocabulary_size=5, hidden_size=3, num_layers=2, embedding_size=2
    )
    tensors = {name: np.ones(size, np.float32) for name, size in shape.tensor_shapes().items()}
    known = CharacterVocabulary("\nabcé", "\n")
    small = ModelFile(shape, known, tensors)
    write_model_file(folder / "model.safetensors", small)
    for name, part in torch_export.export(small, "float32").files.items():
        if name.endswith(".safetensors"):
            (folder / name).write_bytes(part)
            (folder / f"foreign-{name}").write_bytes(part.replace(b"ricorda.", b"foreign."))
    graph = onnx_export.export(small, "float32").files["step.onnx"]
    (folder / "step.onnx").write_bytes(graph)
    (folder / "foreign.onnx").write_bytes(graph.replace(b"ricorda.", b"foreign."))
    contents = {
        "characters.json": '{"kind": "characters", "symbols": "\\nabcé", "start": "\\n"}',
        "bytes.json": '{"kind": "bytes", "start": 10}',
        "options.toml": '!cell = "gru"\nhidden-size = 6\nsteps = 2\ndropout = 0.1\n',
        "options.json": 'x{"cell": "gru", "hidden_size": 6, "steps": 2}',
        "text.txt": "\0\5A text, è così\r\nof two lines\r",
    }
    layers = keras_layers(np.random.default_rng(1))
    write_h5(folder / "model.h5", layers)
    write_keras(folder / "model.keras", layers)
    names = ["embedding", "rnnlm/softmax_w", "rnnlm/softmax_b", *map(cell_name, (0, 0), PARTS)]
    entries = {
        name: {"filename": file, "shape": [4, 4]} for name, file in zip(names, "abcde", strict=True)
    }
    contents["manifest.json"] = json.dumps(entries)
    for name, content in contents.items():
        (folder / name).write_text(content, "utf-8")


def make_place() -> None:
    """Make the folder of this process, and remove those that killed ones left behind."""
    for left in TEMPORARY.glob("ricorda-fuzz-*"):
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    PLACE.mkdir()
    atexit.register(shutil.rmtree, PLACE, ignore_errors=True)


def main() -> None:
    """Fuzz one target."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"expected one of {', '.join(TARGETS)}, got {' '.join(sys.argv[1:]) or 'nothing'}")
    target = TARGETS[sys.argv.pop(1)]

    def once(data: bytes) -> None:
        try:
            target(data)
        except RicordaError as error:
            if not str(error):
                raise RuntimeError("an error without a message") from error

    make_place()
    corpus = PLACE / "corpus"
    corpus.mkdir()
    seeds(corpus)
    atheris.Setup([*sys.argv, "-rss_limit_mb=1024", "-timeout=10", str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
