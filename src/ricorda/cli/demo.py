"""`ricorda demo`: the tutorial's pattern, end to end."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ricorda.cli.options import whole_number
from ricorda.cli.output import say
from ricorda.cli.tables import print_paragraph

if TYPE_CHECKING:
    from ricorda.training.demonstration import Moment

CHECK_EVERY = 20  # steps between two looks at the four continuations


@click.command()
@click.option(
    "--seed",
    type=whole_number(at_least=0),
    default=1,
    help="Seed of all random numbers.  [default: 1]",
)
def command(seed: int) -> int:
    """Show a recurrent network learn the tutorial's pattern and continue it.

    First it reproduces the tutorial, then it trains a network that continues from any of a, b, c
    and d.
    """
    console = Console(highlight=False, soft_wrap=True)
    exact = _tutorial(console, seed)
    right = _any_character(console, seed)
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
            console.print(f"Epoch: {moment.count}, Loss: {moment.loss:.6f}")
    model = moment.model
    written = demo.generate_seq(model, "a", len(demo.SEQUENCE))
    exact = written == demo.SEQUENCE
    console.print(
        f"\ngenerate_seq('a', 25): {written}  {_verdict(exact, 'exactly the sequence')}\n"
    )
    print_paragraph(f"Asked for {demo.LENGTH} characters from each of the four, it continues")
    for start in demo.VOCABULARY.symbols:
        text = demo.generate_seq(model, start, demo.LENGTH + 1)
        console.print(
            f"  {start}  by the pattern for {demo.right_length(text) - 1} of {demo.LENGTH}"
        )
    return exact


def _any_character(console: Console, seed: int) -> bool:
    """ricorda's training, until all four continuations are right."""
    from ricorda.training import demonstration as demo

    console.print("\n[bold]2. Its full task[/bold]")
    print_paragraph(f"The sequence is a period, {demo.PERIOD}, and the beginning of the next.")
    print_paragraph(
        "The same network now reads the endless pattern in windows that begin anywhere."
    )
    say()
    console.print("step    loss   right from a   b   c   d")
    for moment in _with_bar(console, demo.learn_as_ricorda(seed), demo.STEPS):
        if moment.count % CHECK_EVERY == 0:
            texts = _continuations(moment)
            right = [demo.right_length(text) - 1 for text in texts.values()]
            counts = " ".join(f"{each:3d}" for each in right)
            console.print(f"{moment.count:4d}  {moment.loss:.4f}          {counts}")
    console.print()
    results = []
    for start, text in _continuations(moment).items():
        results.append(demo.right_length(text) == len(text))
        console.print(f"{start} -> {text[1:]}")
        verdict = _verdict(results[-1], f"{demo.LENGTH} characters, all by the pattern")
        console.print(f"     {verdict}")
    return all(results)


def _continuations(moment: "Moment") -> dict[str, str]:
    """Each character with what follows it, 210 characters long."""
    from ricorda.training import demonstration as demo

    model = moment.model
    return {
        start: demo.generate_seq(model, start, demo.LENGTH + 1) for start in demo.VOCABULARY.symbols
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
        BarColumn(bar_width=30),
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
