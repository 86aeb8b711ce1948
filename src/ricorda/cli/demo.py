"""`ricorda demo`: the tutorial's pattern, end to end."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ricorda.cli.options import whole_number
from ricorda.cli.output import say
from ricorda.cli.tables import print_paragraph, terminal_width

if TYPE_CHECKING:
    from ricorda.training.demonstration import Moment

CHECK_EVERY = 20
"""Steps between two checks of the four continuations."""

SHOWN = 40
"""Characters of a continuation that are printed, as the tutorial prints them."""

NEXT_STEP = (
    "Next: train on a text of your own with `ricorda train my.txt`, then continue it with "
    "`ricorda sample`. docs/tutorial.en.md and docs/tutorial.it.md explain what happened here, "
    "line by line."
)


@click.command()
@click.option(
    "--seed",
    type=whole_number(at_least=0, at_most=2**63 - 1),
    default=1,
    help="Random seed.  [default: 1]",
)
def command(seed: int) -> int:
    """Train the tutorial's networks and print the results.

    The demo first reproduces the tutorial. It then trains a network that continues the tutorial's
    pattern from any of its characters: a, b, c and d.
    """
    console = Console(highlight=False, soft_wrap=True)
    exact = _tutorial(console, seed)
    right = _any_character(console, seed)
    say()
    print_paragraph(NEXT_STEP)
    return 0 if exact and right else 1


def _tutorial(console: Console, seed: int) -> bool:
    """The tutorial's training, and what it can and cannot continue."""
    from ricorda.training import demonstration as demo

    console.print("[bold]1. The tutorial[/bold]")
    print_paragraph(
        f"One sequence, {demo.SEQUENCE}, is read {demo.EPOCHS:,} times from beginning to end: "
        "one-hot input, 128 tanh units, Adam at 0.005."
    )
    say()
    moments = demo.learn_as_the_tutorial(seed)
    for moment in _with_bar(console, moments, demo.EPOCHS):
        if moment.count % 100 == 0:
            console.print(f"Epoch: {moment.count}, Loss: {moment.loss:.4f}")
    model = moment.model
    written = demo.generate_seq(model, "a", len(demo.SEQUENCE))
    exact = written == demo.SEQUENCE
    say()
    console.print(f"{written}  {_verdict(exact, 'exactly the sequence')}")
    say()
    print_paragraph(f"Asked for {demo.ASKED} characters from each of the four:")
    for start in demo.VOCABULARY.symbols:
        text = demo.generate_seq(model, start, demo.ASKED)
        _print_right(start, demo.right_length(text), text)
    print_paragraph(
        "b and c fail at once, because in training the zero state was always followed by a: the "
        "network has not learned what to do with another first character."
    )
    return exact


def _print_right(start: str, right: int, text: str) -> None:
    """How many characters are right, the given one included, and the text's beginning."""
    line = f"{start}: {right} right, {text[:SHOWN]}..."
    say(line if len(line) <= terminal_width() else line.partition(",")[0])


def _any_character(console: Console, seed: int) -> bool:
    """ricorda's training, until all four continuations are right."""
    from ricorda.training import demonstration as demo

    say()
    console.print("[bold]2. Its full task[/bold]")
    print_paragraph(
        f"The sequence is a period, {demo.PERIOD}, and the beginning of the next. The same network "
        "now reads the endless pattern in windows that begin anywhere."
    )
    say()
    learned_at = ""
    for moment in _with_bar(console, demo.learn_as_ricorda(seed), demo.STEPS):
        if moment.count % CHECK_EVERY == 0 and not learned_at and _all_right(moment):
            learned_at = f"all four continuations are right from step {moment.count} on; "
    print_paragraph(
        f"{demo.STEPS} steps: {learned_at}the loss is {moment.loss:.4f}, and no network can get "
        f"below {demo.floor():.4f}"
    )
    results = []
    for start, text in _continuations(moment).items():
        right = demo.right_length(text)
        results.append(right == len(text))
        verdict = _verdict(results[-1], f"{right} right of {len(text)}")
        console.print(f"{start}: {verdict}")
        say(text[: min(len(text), terminal_width())])
    return all(results)


def _all_right(moment: "Moment") -> bool:
    from ricorda.training import demonstration as demo

    return all(demo.right_length(text) == len(text) for text in _continuations(moment).values())


def _continuations(moment: "Moment") -> dict[str, str]:
    """Each character with what follows it, 210 characters in all."""
    from ricorda.training import demonstration as demo

    model = moment.model
    return {
        start: demo.generate_seq(model, start, demo.LENGTH) for start in demo.VOCABULARY.symbols
    }


def _verdict(right: bool, what: str) -> str:
    """Return a mark whose meaning does not depend on its colour."""
    return f"[green]✓ {what}[/green]" if right else f"[red]✗ not {what}[/red]"


def _with_bar(console: Console, moments: Iterable["Moment"], total: int) -> Iterator["Moment"]:
    """The moments, with a bar below what is printed where there is a terminal."""
    if not console.is_terminal:
        yield from moments
        return
    progress = Progress(
        BarColumn(bar_width=max(5, min(30, console.width - 40))),
        TextColumn("{task.percentage:3.0f}%  loss {task.fields[loss]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with progress:
        task = progress.add_task("", total=total, loss="")
        for moment in moments:
            progress.update(task, completed=moment.count + 1, loss=f"{moment.loss:.4f}")
            yield moment
