"""What the page costs: `python -m tests.studio.cost [--steps N] [--pairs N]`, on an idle machine.

First, how long after the start the first sample is on the page. Then the same training alone and
with the page open on its curves, in turns; what counts is the run's own clock, without its start.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from ricorda.runs import RunFolder, read_rows
from tests.studio.conftest import (
    ARGUMENTS,
    CHROMIUM,
    end_studio,
    environment,
    in_sight,
    let_in,
    start_studio,
)


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        place = start_studio(Path(folder))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            page = browser.new_page(locale="en-GB", viewport={"width": 1200, "height": 900})
            let_in(page.context, place)
            page.goto(place.url)
            page.wait_for_selector("html[data-ready]")
            page.click("[data-sample=library]")
            page.wait_for_selector("#facts:not([hidden])")
            first = first_sample(page)
            print(f"first sample after {first:.2f} s", file=sys.stderr)
            pairs = []
            for _ in range(arguments.pairs):
                watched = with_the_page(page, Path(folder), arguments.steps)
                page.goto("about:blank")
                alone = by_itself(Path(folder), arguments.steps)
                page.goto(place.url)
                page.wait_for_selector("html[data-ready]")
                pairs.append((alone, watched))
        finally:
            browser.close()
            end_studio(place)
    costs = [watched / alone - 1 for alone, watched in pairs]
    figures = {"first_sample_seconds": round(first, 2), "seconds_alone_and_watched": pairs}
    print(json.dumps({**figures, "cost": round(statistics.median(costs), 4)}))


def first_sample(page: Page) -> float:
    """Begin a training as the page proposes it; seconds until a sample is on the page."""
    in_sight(page, "writes")
    began = time.monotonic()
    page.evaluate("() => document.getElementById('start').click()")
    page.wait_for_selector("#writes-full:not([hidden])", timeout=60_000)
    seconds = time.monotonic() - began
    in_sight(page, "learning")
    page.wait_for_selector("#loss .level-name >> nth=3", timeout=120_000)  # computed once
    page.click("#stop")
    page.wait_for_selector("#state:text-is('stopped')", timeout=60_000)
    return seconds


def with_the_page(page: Page, folder: Path, steps: int) -> float:
    """Train so many steps while the page shows the curves."""
    page.evaluate("() => { document.querySelector('#settings details').open = true; }")
    page.select_option("#size", "128")
    page.fill("#steps", str(steps))
    in_sight(page, "learning")
    page.evaluate("() => document.getElementById('start').click()")
    page.wait_for_selector("#state:text-is('training')", timeout=60_000)
    name = page.inner_text("#run-name")
    page.wait_for_selector("#state:text-is('complete')", timeout=300_000)
    return clock(folder / "runs" / name)


def by_itself(folder: Path, steps: int) -> float:
    """Train the same without any page."""
    out = folder / f"alone-{time.monotonic_ns()}"
    words = ["train", "texts/python-library.txt", "--out", str(out), "--steps", str(steps)]
    words += ["--hidden-size", "128", "--early-samples", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "ricorda", *words], cwd=folder, env=environment(folder), check=True
    )
    return clock(out)


def clock(run: Path) -> float:
    """The seconds that a run's steps, evaluations and saves took."""
    rows = [row for row in read_rows(RunFolder(run).metrics) if row["event"] == "ended"]
    return float(rows[-1]["train_seconds"])


if __name__ == "__main__":
    main()
