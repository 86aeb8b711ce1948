"""`ricorda sample`: begin texts, or continue prompts."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ricorda.cli.documents import DocumentOptions, read_documents, read_whole
from ricorda.cli.models import load_model, model_path, prompt_option, read_prompt
from ricorda.cli.options import PathName, length_option, options_from, whole_number
from ricorda.cli.output import emphasized, for_stream, print_json, say
from ricorda.cli.prompts import GivenPrompt, read_prompt_file, read_prompts
from ricorda.cli.tables import visible
from ricorda.cli.texts import GivenReading
from ricorda.engine.generation import GenerationSettings
from ricorda.errors import ConfigurationError
from ricorda.runs import RunFolder
from ricorda.text.vocabulary import readable

if TYPE_CHECKING:
    from ricorda.engine import Generation, Model
    from ricorda.engine.texts import Selection, WrittenText
    from ricorda.text.document_index import DocumentIndex

SETTINGS = [
    "label", "temperature", "top_k", "top_p", "min_p", "greedy", "stop", "seed",
    "repetition_penalty", "repetition_window", "presence_penalty", "frequency_penalty",
    "allowed", "banned", "banned_word", "on_unknown",
]  # fmt: skip

BYTES = 256
CONTEXT_TAIL = 1000
"""Characters at the end of a context from which the text continues."""

MOST_CONFIRMED = 40
"""Characters that are listed on standard error."""


@dataclass(frozen=True)
class _Wishes:
    """What is asked for besides the settings of a text."""

    count: int
    unique: bool
    novel: bool
    raw: bool
    as_json: bool


@click.command()
@click.argument("model", type=PathName(), required=False)
@prompt_option
@click.option("--prompt-file", help="Read the prompt from a file, or from standard input (-).")
@click.option(
    "--prompts",
    "prompts_file",
    help="Continue each line of a file, or of standard input (-). A line is a prompt or a JSON "
    "object with a prompt and an id.",
)
@click.option(
    "--context",
    type=PathName(),
    help="Read a text first and learn from it, so that what is written resembles it.",
)
@length_option("inf")
@options_from(GenerationSettings, SETTINGS)
@click.option(
    "--count",
    type=whole_number(at_least=1),
    default=1,
    help="Number of texts to write.  [default: 1]",
)
@click.option("--unique", is_flag=True, help="Write only texts that differ from each other.")
@click.option(
    "--novel", is_flag=True, help="Write only documents that are not in the training text."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "int8"]),
    default="float32",
    help="Precision of the weights; auto uses the fastest one with almost no loss of accuracy.  "
    "[default: float32]",
)
@click.option("--raw", is_flag=True, help="Write only the exact bytes of the text.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per text, each on a line."
)
def command(
    model: Path | None,
    prompt: str,
    prompt_file: str | None,
    prompts_file: str | None,
    context: Path | None,
    count: int,
    unique: bool,
    novel: bool,
    precision: Literal["auto", "float32", "bfloat16", "int8"],
    raw: bool,
    as_json: bool,
    **options: Any,
) -> int | None:
    """Write with MODEL, a model file or a run's folder; by default the newest run.

    A model of documents writes a document from its beginning to its end. Other models start on a
    new line and write --length symbols. A prompt is printed before its continuation. Its line ends,
    Unicode form and byte order mark are converted as in training.

    The seed is printed on standard error. With the same seed, text number n is the same for any
    --count and any number of --prompts.

    In --stop, --allowed, --banned and --banned-word, \\n is a line end, \\t a tab, \\r a carriage
    return, \\\\ a backslash and \\uXXXX the character with this code.

    \b
    ricorda sample --prompt "Once upon a time" --length 500
    ricorda sample runs/names --count 50 --unique --novel
    ricorda sample runs/names --label Italian --prompt Ro
    ricorda sample runs/poems --context letter.txt
    ricorda sample runs/poems --prompts openings.txt --json
    ricorda sample runs/poems --stop '\\n\\n' --banned-word love
    """
    wishes = _Wishes(count, unique, novel, raw, as_json)
    _check(wishes, prompt, prompt_file, prompts_file)
    trained = load_model(model, precision=precision)
    known = _known_documents(trained, model_path(model)) if novel else None
    tail = ""
    if context is not None:
        trained, tail = _adapted(trained, context)
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if given.get("length") == "inf":
        _check_endless(trained, wishes, prompts_file)
    if prompts_file is not None:
        _continue_each(trained, read_prompts(prompts_file, trained), given, wishes, tail)
        return None
    if prompt_file is None:
        prompt = read_prompt(prompt, trained)
    else:
        prompt = read_prompt_file(prompt_file, trained)
    first = trained.begin(tail + prompt, **given)
    _announce(trained, tail + prompt, first, given)
    if count == 1 and not (unique or novel):
        _write_one(trained, prompt, first, wishes)
        return None
    return _write_several(trained, prompt, first, wishes, known, tail)


def _adapted(model: "Model", context: Path) -> "tuple[Model, str]":
    """Let a model learn from a text; return it and the end of the text, from which it continues.

    A model of documents begins another document: the end is empty.
    """
    reading = GivenReading({})
    if model.vocabulary.boundary is None:
        text = read_whole(model, str(context), reading)
        return model.adapt(text, on_unknown="skip"), text[-CONTEXT_TAIL:]
    documents = read_documents(model, (str(context),), reading, DocumentOptions())
    return model.adapt((each.text for _, each in documents), on_unknown="skip"), ""


def _check(wishes: _Wishes, prompt: str, prompt_file: str | None, prompts_file: str | None) -> None:
    """Refuse options that contradict each other."""
    sources = {"--prompt": prompt, "--prompt-file": prompt_file, "--prompts": prompts_file}
    given = [name for name, value in sources.items() if value]
    if len(given) > 1:
        raise ConfigurationError(f"expected one of {' and '.join(given)}: leave out the others")
    if prompts_file is not None and (wishes.unique or wishes.novel):
        raise ConfigurationError("--unique and --novel are for one prompt: leave out --prompts")
    if wishes.raw and (wishes.as_json or prompts_file is not None or wishes.count > 1):
        raise ConfigurationError(
            "--raw writes the bytes of one text: leave out --json, --prompts and --count"
        )
    if wishes.raw and (wishes.unique or wishes.novel):
        raise ConfigurationError("--raw writes the bytes of one text: leave out --unique, --novel")


def _check_endless(model: "Model", wishes: _Wishes, prompts_file: str | None) -> None:
    """Refuse several endless texts: an undivided text without a limit never ends."""
    several = wishes.count > 1 or wishes.unique or wishes.novel or prompts_file is not None
    if model.vocabulary.boundary is None and (several or wishes.as_json):
        raise ConfigurationError(
            "--length inf is for one text that is printed as it is written: give a number for "
            "several texts and for --json"
        )


def _known_documents(model: "Model", path: Path) -> "DocumentIndex":
    """Open the index of the documents that a model learned."""
    from ricorda.text.document_index import DocumentIndex

    if model.vocabulary.boundary is None:
        raise ConfigurationError(
            "--novel is for a model of documents, but this one learned an undivided text: "
            "`ricorda memorised` finds the passages that it copies"
        )
    index = RunFolder(path if path.is_dir() else path.parent).documents
    if not index.is_file():
        raise ConfigurationError(
            f"--novel needs {index}, the index of the documents that the model learned, which "
            "training writes beside the model: name the run's folder"
        )
    return DocumentIndex(index)


def _announce(model: "Model", prompt: str, first: "Generation", given: Mapping[str, Any]) -> None:
    """Say on standard error what a person should know before the text."""
    _confirm_characters(given)
    if first.start is not None and (prompt or model.vocabulary.boundary is None):
        say(_where_it_starts(model, prompt), err=True)
    say(f"seed {first.seed}", err=True)


def _confirm_characters(options: Mapping[str, Any]) -> None:
    """List on standard error which characters are allowed or banned, if there are several.

    This shows that `--banned cat` is not a banned word.
    """
    for name in ("allowed", "banned"):
        characters = list(dict.fromkeys(options.get(name) or ""))
        if len(characters) > 1:
            shown = ", ".join(visible(readable(each)) for each in characters[:MOST_CONFIRMED])
            more = f" and {len(characters) - MOST_CONFIRMED} more"
            rest = more if len(characters) > MOST_CONFIRMED else ""
            say(f"{name}: {len(characters)} characters: {shown}{rest}", err=True)


def _where_it_starts(model: "Model", prompt: str) -> str:
    """What stands for a prompt where there is none, or none that the model knows."""
    what = "No character of the prompt is known" if prompt else "No prompt"
    if model.vocabulary.boundary is not None:
        return f"{what}: beginning a document"
    symbol = model.vocabulary.label(model.vocabulary.start)
    start = "on a new line" if symbol == "\\n" else f"after the text's first symbol, {symbol}"
    return f"{what}: starting {start}"


def _write_one(model: "Model", prompt: str, text: "Generation", wishes: _Wishes) -> None:
    """Write one text, as it comes unless as JSON."""
    if wishes.as_json:
        whole = text.text()
        print_json({"prompt": prompt, "seed": text.seed, "text": whole, "ended": text.ended})
    elif wishes.raw:
        _write_bytes(model, prompt, text)
    else:
        if text.start is None:
            sys.stdout.write(emphasized(prompt, sys.stdout))
        for piece in text:
            sys.stdout.write(for_stream(piece.text, sys.stdout))
            sys.stdout.flush()
        sys.stdout.write("\n")


def _write_bytes(model: "Model", prompt: str, text: "Generation") -> None:
    """Write the bytes of the prompt and of the text: UTF-8, or those of a model of bytes."""
    output = sys.stdout.buffer
    if text.start is None:
        output.write(prompt.encode("utf-8", "surrogateescape"))
    in_bytes = model.vocabulary.kind == "bytes"
    for piece in text:
        output.write(_bytes_of(piece.ids) if in_bytes else piece.text.encode())
        output.flush()


def _bytes_of(ids: Iterable[int]) -> bytes:
    """The bytes of symbols; a boundary has none."""
    return bytes(symbol for symbol in ids if symbol < BYTES)


def _write_several(
    model: "Model",
    prompt: str,
    first: "Generation",
    wishes: _Wishes,
    known: "DocumentIndex | None",
    tail: str,
) -> int | None:
    """Write several texts after one prompt, or as many as are found; 1 if they are too few.

    tail: what is read before the prompt and not printed.
    """
    from ricorda.engine.texts import Selection

    selects = wishes.unique or known is not None
    settings = {each.name: getattr(first.settings, each.name) for each in fields(first.settings)}
    settings["seed"] = first.seed
    count = None if selects else wishes.count
    texts: Iterator[WrittenText] = iter(model.begin_many([tail + prompt], count=count, **settings))
    selection = Selection(wishes.count, unique=wishes.unique, known=known)
    if selects:
        texts = selection.pick(texts)
    printer = _Printer(model, wishes, first.seed, wishes.count)
    for text in texts:
        printer.print(text, {"prompt": prompt})
    if selects and selection.picked < wishes.count:
        say(_too_few(selection, wishes), err=True)
        return 1
    return None


def _too_few(selection: "Selection", wishes: _Wishes) -> str:
    """Say how many texts were found, and why there are no more."""
    from ricorda.engine.texts import MOST_MISSES

    kinds = [
        *(["written before"] if wishes.unique else []),
        *(["in the training text"] if wishes.novel else []),
    ]
    return (
        f"found {selection.picked:,} of {wishes.count:,} texts: the last {MOST_MISSES:,} that "
        f"were written were all {' or '.join(kinds)}; raise --temperature to find more"
    )


def _continue_each(
    model: "Model",
    prompts: Iterable[GivenPrompt],
    options: dict[str, Any],
    wishes: _Wishes,
    tail: str,
) -> None:
    """Continue each prompt, all side by side, and print the texts in the order of the prompts.

    tail: what is read before each prompt and not printed.
    """
    waiting: deque[GivenPrompt] = deque()

    def texts_of_prompts() -> Iterator[str]:
        for each in prompts:
            waiting.append(each)
            yield tail + each.text

    texts = model.begin_many(texts_of_prompts(), count=wishes.count, **options)
    _confirm_characters(options)
    say(f"seed {texts.seed}", err=True)
    printer = _Printer(model, wishes, texts.seed, None)
    done = 0
    for text in texts:
        for _ in range(text.number - done):
            waiting.popleft()
        done = text.number
        printer.print(text, waiting[0].as_json())


class _Printer:
    """Prints texts one after the other: JSON lines, lines, or texts under numbered headings."""

    def __init__(self, model: "Model", wishes: _Wishes, seed: int, count: int | None) -> None:
        self._as_json = wishes.as_json
        self._in_lines = writes_lines(model)
        self._seed = seed
        self._count = "" if count is None else f" of {count}"
        self._printed = 0

    def print(self, text: "WrittenText", described: dict[str, Any]) -> None:
        """Print a text after its prompt, or as JSON with what describes the prompt."""
        self._printed += 1
        if self._as_json:
            print_json({**described, "seed": self._seed, "text": text.text, "ended": text.ended})
            return
        if not self._in_lines:
            say(f"--- {self._printed}{self._count} ---", err=True)
        if text.prompt:  # else the model knows none of it
            sys.stdout.write(emphasized(described["prompt"], sys.stdout))
        sys.stdout.write(for_stream(f"{text.text}\n", sys.stdout))
        sys.stdout.flush()


def writes_lines(model: "Model") -> bool:
    """Whether each text of a model is a line: its documents are lines, or have no line end."""
    if model.vocabulary.boundary is None:
        return False
    return (
        bool(model.vocabulary.unknown("\n")) or getattr(model.reading, "documents", None) == "lines"
    )
