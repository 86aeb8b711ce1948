"""`python -m benchmarks.vocabularies TEXT`: characters, pieces and words at equal budgets.

Each vocabulary trains from the same text for the same minutes, with what the planner chooses for
it, and is evaluated on the same validation part: bits per character are comparable.
"""

import tempfile
from pathlib import Path

import click
from annotated_types import Ge

from benchmarks.runs import train
from ricorda.cli.options import PathName, number
from ricorda.cli.output import print_json, say

VOCABULARIES = ("characters", "pieces:256", "pieces:512", "pieces:1024", "words")


@click.command()
@click.argument("text", type=PathName())
@click.option("--minutes", type=number(Ge(0.001)), default=5.0, help="Of each training.")
@click.option("--vocabulary", "vocabularies", multiple=True, help="One to measure; repeatable.")
@click.option("--rounds", type=int, default=3, help="Trainings of each, with seeds 1, 2, ...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    text: str, minutes: float, vocabularies: tuple[str, ...], rounds: int, as_json: bool
) -> None:
    """Measure which vocabulary predicts TEXT best after the same minutes."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        for seed in range(1, rounds + 1):
            for vocabulary in vocabularies or VOCABULARIES:
                out = Path(folder) / f"{vocabulary.replace(':', '-')}-{seed}"
                options = ("--vocabulary", vocabulary, "--minutes", str(minutes))
                result = train(Path(text), out, *options, "--seed", str(seed)).result
                nats = float(result["validation"]["nats_per_character"])
                found.setdefault(vocabulary, []).append(nats)
                say(f"{vocabulary}, seed {seed}: {nats:.4f} nats per character", err=True)
    if as_json:
        print_json({"minutes": minutes, "nats_per_character": found})
    else:
        for vocabulary, figures in found.items():
            shown = ", ".join(f"{each:.4f}" for each in figures)
            say(f"{vocabulary:12} {sum(figures) / len(figures):.4f}  ({shown})")


if __name__ == "__main__":
    main()
