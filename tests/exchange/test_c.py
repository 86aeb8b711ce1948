"""The C program computes what the model computes, with each compiler and on a microcontroller."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.engine import Model
from ricorda.engine.reference import ReferenceBackend
from ricorda.engine.sampling import log_softmax
from ricorda.exchange import Weights
from ricorda.exchange.c_export import CODE, STACK, state_bytes
from ricorda.exchange.c_export import export as make_export
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.text.pieces import learn_pieces
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary
from ricorda.text.words import WordVocabulary, learn_words
from tests.exchange.c_programs import (
    ENCODER,
    SAMPLER,
    WRITER,
    Network,
    as_computed,
    asked,
    compiled,
    export,
    output,
    stated_state_bytes,
)
from tests.exchange.models import (
    CASES,
    VOCABULARIES,
    Case,
    greedy,
    log_probabilities,
    make_model,
    random_ids,
)

WEIGHTS: tuple[Weights, ...] = ("float32", "int8")
KINDS = [
    pytest.param(case, weights, id=f"{case} {weights}")
    for weights in WEIGHTS
    for case in (CASES if weights == "float32" or os.environ.get("FAULTS") == "all" else CASES[::3])
]
"""Every kind of model; in eight bits a third of them, unless FAULTS=all."""

BOARD = Path(__file__).with_name("cortex_m")
CORTEX = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def need(*programs: str) -> None:
    """Skip a test whose tools are not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def settled() -> np.random.Generator:
    """Numbers that are the same in each run: whole texts are compared, and two symbols of fresh
    networks may be so nearly alike that rounding decides."""
    return np.random.default_rng(1)


def model_of(
    vocabulary: Vocabulary, random: np.random.Generator, scale: float = 1.0, **shape: Any
) -> ModelFile:
    """A small model of random weights for a vocabulary."""
    options: dict[str, Any] = {"cell": "lstm", "hidden_size": 16} | shape
    configuration = ModelConfiguration(
        **options,
        vocabulary_size=vocabulary.size,
        documents=vocabulary.boundary is not None,
        num_labels=len(vocabulary.labels) + 1 if vocabulary.labels else 0,
    )
    tensors = {
        name: (scale * random.standard_normal(size)).astype(np.float32)
        for name, size in configuration.tensor_shapes().items()
    }
    return ModelFile(configuration, vocabulary, tensors)


def greedy_text(model: ModelFile, prompt: str, length: int, label: str | None = None) -> str:
    """What ricorda writes, computed in float64."""
    backend = ReferenceBackend(model.configuration, model.tensors, np.float64)
    whole = Model(model.configuration, model.vocabulary, backend, model.training)
    return whole.generate(prompt, length=length, greedy=True, label=label)


@pytest.mark.parametrize("case, weights", KINDS)
def test_the_step_computes_what_the_model_computes(
    case: Case, weights: Weights, random: np.random.Generator, tmp_path: Path
) -> None:
    model = make_model(case, random)
    network = Network(export(model, tmp_path, weights), model)
    exact = as_computed(model, weights)
    labels = range(max(1, model.configuration.num_labels))
    ids = random_ids(model, random, 1000 // len(labels))
    for label in labels:
        found = log_softmax(network.logits(ids, label))
        assert np.abs(found - log_probabilities(exact, ids, label)).max() < 1e-4
        start = model.vocabulary.start
        check_written(exact, start, network.greedy(start, 100, label), label)


def check_written(model: ModelFile, first: int, written: list[int], label: int) -> None:
    """The most likely symbols were written; of two within 1e-5, either may come."""
    expected = greedy(model, first, len(written), label)
    if written == expected:
        return
    place = next(
        k for k, pair in enumerate(zip(written, expected, strict=True)) if len({*pair}) > 1
    )
    nats = log_probabilities(model, np.array([first, *expected[:place]]), label)[-1]
    assert abs(nats[written[place]] - nats[expected[place]]) < 1e-5


PROMPTS = {
    "characters": ("", "abè€😀'\"\\%d"),
    "bytes": ("", "è€ x"),
    "pieces": ("", "abc èab  d"),
    "documents": ("", "abè"),
    "labels": ("", "abè"),
    "words": ("", "ab cab abèd ba"),
    "rare": ("", "abxè"),
}


@pytest.mark.parametrize(
    "kind, weights, compiler",
    [
        *product(PROMPTS, ["float32"], ["gcc"]),
        *product(("pieces", "words", "labels", "rare"), ["int8"], ["clang"]),
    ],
)
def test_the_program_writes_what_the_model_writes(
    kind: str, weights: Weights, compiler: str, settled: np.random.Generator, tmp_path: Path
) -> None:
    need(compiler)
    vocabulary = VOCABULARIES.get(kind) or {
        "words": WordVocabulary("\n abcdeè", ["ab", "cab", "bèd"], start="\n"),
        "rare": CharacterVocabulary("\n abcdeè", start="\n", has_rare=True),
    }[kind]  # fmt: skip
    model = model_of(vocabulary, settled, num_layers=2, embedding_size=5)
    if vocabulary.rare is not None:  # the most likely symbol, which must not be written
        model.tensors["output.bias"][vocabulary.rare] = 100
    program = compiled(
        export(model, tmp_path, weights), "main.c", "model.c", options=("-O3",), compiler=compiler
    )
    label = vocabulary.labels[-1] if vocabulary.labels else None
    for prompt in PROMPTS[kind]:
        arguments = [prompt, "60", "0", "1", *([label] if label else [])]
        written = output(program, *arguments).decode("utf-8", "replace")
        expected = greedy_text(as_computed(model, weights), prompt, 60, label)
        assert written == expected + "\n"


def test_a_document_ends_at_its_boundary(random: np.random.Generator, tmp_path: Path) -> None:
    vocabulary = VOCABULARIES["documents"]
    assert vocabulary.boundary is not None
    model = model_of(vocabulary, random)
    model.tensors["output.bias"][vocabulary.boundary] = 100
    program = compiled(export(model, tmp_path), "main.c", "model.c")
    assert output(program, "ab", "50", "1") == b"\n"


ODD = "".join(
    sorted(
        "\0\t\n !\"#%&'()*+,-./019:;<=>?@AZ[\\]^_`az{|}~\x7f"
        "\xa0²ÀàŁ\u0301\u200bЖ中\ufffd😀\U0010ffff"
    )
)
"""Quotes, a backslash, trigraphs, a NUL, marks, and characters of one to four bytes."""


def odd_texts(random: np.random.Generator, count: int) -> list[str]:
    """Draw texts of odd characters, some of them unknown to the vocabularies below."""
    letters = [*ODD.replace("\0", ""), *"aZ01   \n\n__??/xyŻ\u3000\U0001f600é"]
    weights = random.dirichlet(np.full(len(letters), 0.3), size=count)
    texts = ["".join(random.choice(letters, 40, p=each)) for each in weights]
    return [*texts, "a" * 100, "1" * 30, "?" * 30 + "\n" * 30, " " * 40 + "x", "_" * 70 + "a"]


@pytest.mark.parametrize("has_rare", [False, True])
@pytest.mark.parametrize("kind", ["characters", "pieces", "words"])
def test_prompts_become_the_same_symbols(
    kind: str, has_rare: bool, random: np.random.Generator, tmp_path: Path
) -> None:
    texts = odd_texts(random, 200)
    characters = CharacterVocabulary(ODD, start="\n", has_rare=has_rare)
    vocabulary: Vocabulary = characters
    if kind == "pieces":
        vocabulary = learn_pieces(texts * 2, len(ODD) + 150, characters)
    elif kind == "words":
        vocabulary = learn_words(texts * 2, characters)
    assert vocabulary.size > len(ODD) + 20 or kind == "characters"
    model = model_of(vocabulary, random, hidden_size=1, embedding_size=1)
    found = asked(export(model, tmp_path), ENCODER, *texts).decode().splitlines()
    for text, line in zip(texts, found, strict=True):
        assert list(map(int, line.split())) == vocabulary.encode(text, "skip").tolist(), text
    written = asked(tmp_path, WRITER)
    everything = np.array([each for each in range(vocabulary.size) if each != vocabulary.rare])
    assert written.decode() == vocabulary.decode(everything)


def test_bytes_are_read_and_written_as_they_are(
    random: np.random.Generator, tmp_path: Path
) -> None:
    model = model_of(VOCABULARIES["bytes"], random, hidden_size=1)
    found = asked(export(model, tmp_path), ENCODER, "\udcff\udc80è\udce2")
    assert found == b"255 128 195 168 226 \n"
    assert asked(tmp_path, WRITER) == bytes(range(256))


def test_bytes_that_are_no_utf_8_are_left_out(random: np.random.Generator, tmp_path: Path) -> None:
    model = model_of(CharacterVocabulary("aè€\ufffd😀", start="a"), random, hidden_size=1)
    # Lone, truncated, overlong, surrogates, beyond Unicode.
    parts = [b"\xff", b"\x80", b"\xe2\x82", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
    text = b"a" + b"a".join(parts) + "è€😀".encode()
    found = asked(export(model, tmp_path), ENCODER, text.decode("utf-8", "surrogateescape"))
    assert found == b"0 0 0 0 0 0 1 2 4 \n"


def test_the_numbers_are_exact(random: np.random.Generator, tmp_path: Path) -> None:
    model = model_of(CharacterVocabulary("ab", start="a"), random, cell="rnn", hidden_size=32)
    odd = np.array([0.0, -0.0, 1.0, 1e-45, -1e-40, 3.4028235e38, 1.17549435e-38, 0.1], np.float32)
    patterns = random.integers(0, 2**32, 24, np.uint32).view(np.float32)
    model.tensors["output.weight"] = np.where(
        np.isfinite(both := np.concatenate([odd, patterns, odd, patterns])), both, 1
    ).reshape(2, 32).astype(np.float32)  # fmt: skip
    program = """
        #include "model.c"
        #include <stdio.h>
        int main(void) { return fwrite(output_weights, sizeof output_weights, 1, stdout) != 1; }
    """
    (export(model, tmp_path) / "numbers.c").write_text(program)
    assert output(compiled(tmp_path, "numbers.c")) == model.tensors["output.weight"].tobytes()


def test_sums_of_long_vectors_do_not_overflow(random: np.random.Generator, tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary("ab", start="a")
    size = 20_000
    model = model_of(vocabulary, random, cell="rnn", hidden_size=1, embedding_size=size)
    model.tensors["embedding.weight"][:] = 1
    model.tensors["layers.0.weight_ih"][:] = 1 / size
    network = Network(export(model, tmp_path, "int8"), model)
    ids = np.array([0, 1, 0])
    found = log_softmax(network.logits(ids))
    assert np.abs(found - log_probabilities(as_computed(model, "int8"), ids)).max() < 1e-4


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_symbols_are_drawn_with_their_probabilities(
    temperature: float, random: np.random.Generator, tmp_path: Path
) -> None:
    vocabulary = CharacterVocabulary("abcdefgh", start="a", has_rare=True)
    export(model_of(vocabulary, random, hidden_size=1), tmp_path)
    logits = np.log(np.arange(1, vocabulary.size + 1))
    draws = 100_000
    source = SAMPLER.replace("LOGARITHMS", ", ".join(f"{each:.9f}f" for each in logits))
    source = source.replace("DRAWS", str(draws)).replace("TEMPERATURE", f"{temperature}f")
    seed = str(random.integers(2**52))
    counts = np.array(asked(tmp_path, source, seed).split(), np.int64)
    weights = np.exp(logits / temperature)
    assert vocabulary.rare is not None
    weights[vocabulary.rare] = 0
    expected = draws * weights / weights.sum()
    drawn = expected > 0
    assert counts[~drawn].sum() == 0
    chi_square = ((counts - expected)[drawn] ** 2 / expected[drawn]).sum()
    assert chi_square < 50  # 7 degrees of freedom: once in 70 million


def test_no_undefined_behaviour(random: np.random.Generator, tmp_path: Path) -> None:
    weights = WEIGHTS[int(random.integers(2))]
    model = model_of(VOCABULARIES["pieces"], random, cell="gru", num_layers=2, embedding_size=17)
    export(model, tmp_path, weights)
    program = compiled(
        tmp_path, "main.c", "model.c",
        options=("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    )  # fmt: skip
    output(program, "abcè d\xff  ab\n\n", "100", "1.5", "7")


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_state_that_overflows_is_reported(
    weights: Weights, random: np.random.Generator, tmp_path: Path
) -> None:
    vocabulary = CharacterVocabulary("ab", start="a")
    model = model_of(vocabulary, random, 1e30, cell="rnn", nonlinearity="relu")
    for tensor in model.tensors.values():
        np.abs(tensor, out=tensor)
    program = compiled(export(model, tmp_path, weights), "main.c", "model.c")
    run = subprocess.run([program], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "overflows" in run.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("a", "x"), "not a number in range: x"),
        (("a", "1", "nan"), "not a number in range: nan"),
        (("a", "1", "1", "-1"), "not a number in range: -1"),
        (("a", "1", "1", "1", "Latin"), "the model has no label Latin"),
        (("a", "1", "1", "1", "Greek", "b"), "usage: main [PROMPT"),
    ],
)
def test_wrong_arguments_are_reported(
    arguments: tuple[str, ...], message: str, labelled: Path
) -> None:
    run = subprocess.run([labelled, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert message in run.stderr


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = model_of(VOCABULARIES["labels"], np.random.default_rng(1))
    folder = tmp_path_factory.mktemp("labelled")
    return compiled(export(model, folder), "main.c", "model.c")


def test_what_was_left_out_of_the_prompt_is_reported(labelled: Path) -> None:
    run = subprocess.run([labelled, "axbx", "1"], capture_output=True, text=True, check=True)
    assert "left out 2 characters" in run.stderr


def test_make_builds_the_program(settled: np.random.Generator, tmp_path: Path) -> None:
    need("make")
    model = model_of(VOCABULARIES["characters"], settled)
    subprocess.run(["make", "-C", export(model, tmp_path)], check=True, capture_output=True)
    assert output(tmp_path / "main", "", "50", "0").decode() == greedy_text(model, "", 50) + "\n"


@dataclass(frozen=True)
class Target:
    """What programs are compiled for."""

    prefix: str = ""
    options: tuple[str, ...] = ()

    def compiled(self, folder: Path, source: str) -> Path:
        options = ("-Os", "-c", "-fstack-usage", *self.options)
        return compiled(folder, source, options=options, compiler=f"{self.prefix}gcc")

    def sizes(self, file: Path) -> dict[str, int]:
        """Bytes of code, constants and variables in an object file."""
        lines = output(Path(f"{self.prefix}size"), "-A", str(file)).decode().splitlines()
        found = dict.fromkeys((".text", ".rodata", ".bss"), 0)
        for name, size, *_ in (line.split() for line in lines if line.startswith(".")):
            kind = "." + name.split(".")[1]
            found[kind] = found.get(kind, 0) + int(size)
        return found


TARGETS = {"host": Target(), "cortex-m4": Target("arm-none-eabi-", CORTEX)}

NOTES = re.compile(
    r"constants: ([\d,]+) bytes of weights, ([\d,]+) of symbols for main\n"
    r"RAM: ([\d,]+) bytes of struct model_state, ([\d,]+) of logits"
)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("cell, layers", [("lstm", 1), ("gru", 3)])
def test_sizes_are_as_stated(
    cell: str,
    layers: int,
    weights: Weights,
    target: str,
    random: np.random.Generator,
    tmp_path: Path,
) -> None:
    tools = TARGETS[target]
    need(f"{tools.prefix}gcc")
    model = model_of(VOCABULARIES["labels"], random, cell=cell, num_layers=layers, embedding_size=5)
    found = NOTES.match("\n".join(make_export(model, weights).notes))
    assert found
    constants, symbols, state, logits = (int(each.replace(",", "")) for each in found.groups())
    folder = export(model, tmp_path, weights)
    step = tools.sizes(tools.compiled(folder, "model.c"))
    assert step[".text"] < CODE
    assert constants <= step[".rodata"] < constants + 500  # alignment, pointers, numbers of tanh
    assert step[".bss"] == 0
    program = tools.sizes(tools.compiled(folder, "main.c"))
    assert symbols <= program[".rodata"] < symbols + 1000  # messages
    assert state + logits <= program[".bss"] < state + logits + 100
    frames = (folder / "model.su").read_text().splitlines()
    assert 0 < sum(int(line.split("\t")[1]) for line in frames) < STACK


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", CASES[::5], ids=str)
def test_the_state_has_the_stated_size(
    case: Case, weights: Weights, random: np.random.Generator, tmp_path: Path
) -> None:
    folder = export(make_model(case, random), tmp_path, weights)
    size = stated_state_bytes(folder)
    line = f"typedef char as_stated[sizeof(struct model_state) == {size} ? 1 : -1];\n"
    (folder / "size.c").write_text(f'#include "model.h"\n{line}extern as_stated *pointer;\n')
    compiled(folder, "size.c", options=("-c",))


def test_an_lstm_of_256_units_needs_less_than_20_kilobytes_of_ram() -> None:
    shape = ModelConfiguration(cell="lstm", vocabulary_size=100, hidden_size=256, embedding_size=64)
    assert state_bytes(shape, is_int8=True) + 4 * shape.vocabulary_size + STACK < 20_000


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_cortex_m4_writes_the_same_text(
    weights: Weights, settled: np.random.Generator, tmp_path: Path
) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    model = model_of(
        VOCABULARIES["characters"], settled, num_layers=2, embedding_size=5, hidden_size=32
    )
    folder = export(model, tmp_path, weights)
    for file in BOARD.iterdir():
        shutil.copy(file, folder)
    options = ("-O3", *CORTEX, "--specs=rdimon.specs", "-T", "board.ld")
    program = compiled(
        folder, "main.c", "model.c", "startup.c",
        options=options, compiler="arm-none-eabi-gcc",
    )  # fmt: skip
    arguments = ",".join(f"arg={each}" for each in ("main", "abèab", "100", "0"))
    run = subprocess.run(
        [
            *("qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none"),
            *("-serial", "none", "-semihosting-config", f"enable=on,target=native,{arguments}"),
            *("-kernel", program),
        ],
        capture_output=True,
        timeout=120,
        check=False,
    )
    expected = greedy_text(as_computed(model, weights), "abèab", 100) + "\n"
    assert run.stdout.decode() == expected, run.stderr.decode()


def test_only_the_code_of_the_model_is_written(random: np.random.Generator) -> None:
    files = make_export(make_model(Case("gru"), random), "float32").files
    text = b"".join(files.values()).decode()
    assert "#if " not in text
    assert "@" not in text.replace("Makefile", "").replace("$@", "")
    assert "cell" not in files["model.h"].decode()
