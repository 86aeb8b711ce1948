"""`ricorda sample`: continue a prompt."""

import itertools
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ricorda.cli.models import load_model, prompt_option, read_prompt
from ricorda.cli.options import PathName, options_from, whole_number
from ricorda.cli.output import emphasized, for_stream, print_json, say
from ricorda.cli.tables import visible
from ricorda.engine.generation import GenerationSettings
from ricorda.text.vocabulary import readable

if TYPE_CHECKING:
    from ricorda.engine import Generation, Model

SETTINGS = [
    "length", "temperature", "top_k", "top_p", "min_p", "greedy", "stop", "seed",
    "repetition_penalty", "repetition_window", "presence_penalty", "frequency_penalty",
    "allowed", "banned", "banned_word", "on_unknown",
]  # fmt: skip

MOST_CONFIRMED = 40
"""Characters that are listed on standard error."""


@click.command()
@click.argument("model", type=PathName(), required=False)
@prompt_option
@options_from(GenerationSettings, SETTINGS)
@click.option(
    "--count",
    type=whole_number(at_least=1),
    default=1,
    help="How many texts to write.  [default: 1]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "int8"]),
    default="float32",
    help="How the engine keeps the weights; auto is the fastest that loses almost nothing."
    "  [default: float32]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the text.")
def command(
    model: Path | None,
    prompt: str,
    count: int,
    precision: Literal["auto", "float32", "bfloat16", "int8"],
    as_json: bool,
    **options: Any,
) -> None:
    """Continue a prompt with MODEL, a model file or a run's folder; by default the newest run.

    The text appears as it is written: the prompt, then its continuation. The prompt is read as
    training read the text: line ends, Unicode form and byte order mark are adapted. In --stop,
    --allowed, --banned and --banned-word, \\n is a line end, \\t a tab, \\r a carriage return,
    \\\\ a backslash and \\uXXXX the character with this code.

    \b
    ricorda sample --prompt "Once upon a time" --length 500
    ricorda sample runs/poems --temperature 0.5 --stop Amen
    ricorda sample runs/poems --stop '\\n\\n' --banned-word love
    """
    trained = load_model(model, precision=precision)
    prompt = read_prompt(prompt, trained)
    given = {name: value for name, value in options.items() if value not in (None, ())}
    first = trained.begin(prompt, stream_index=0, **given)
    _confirm_characters(given)
    if first.start is not None:
        say(_where_it_starts(trained, prompt), err=True)
    given["seed"] = first.seed
    others = (trained.begin(prompt, stream_index=index, **given) for index in range(1, count))
    texts = itertools.chain([first], others)
    if as_json:
        print_json(_as_json(prompt, first.seed, texts))
        return
    for index, generation in enumerate(texts):
        if count > 1:
            say(f"--- {index + 1} of {count} ---", err=True)
        _print_as_written(prompt, generation)


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
    symbol = model.vocabulary.label(model.vocabulary.start)
    start = "on a new line" if symbol == "\\n" else f"after the text's first symbol, {symbol}"
    what = "No character of the prompt is known" if prompt else "No prompt"
    return f"{what}: starting {start}"


def _print_as_written(prompt: str, generation: "Generation") -> None:
    """Write each piece as soon as it is ready, after the prompt if the text continues it."""
    if generation.start is None:
        sys.stdout.write(emphasized(prompt, sys.stdout))
    for piece in generation:
        sys.stdout.write(for_stream(piece.text, sys.stdout))
        sys.stdout.flush()
    sys.stdout.write("\n")


def _as_json(prompt: str, seed: int, texts: "Iterable[Generation]") -> dict[str, Any]:
    """What was written, and what writes it again."""
    samples = [{"text": each.text(), "ended": each.ended} for each in texts]
    return {"prompt": prompt, "seed": seed, "samples": samples}
