"""What the studio's page costs a training: `python -m benchmarks page`, on an idle machine.

One training runs on all cores. In turns, the page is open on its curves and closed. The speeds are
those of the run's own rows, from which evaluations are left out.
"""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Result, report, spread
from benchmarks.processes import ended_afterwards
from benchmarks.web import CHROMIUM
from ricorda.errors import MissingExtra, TrainingError
from ricorda.runs import RunFolder, read_rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

WANTED = 0.97  # of the speed with the page closed
FIRST_SAMPLE = 5.0  # seconds
WAIT = 60_000  # milliseconds, for what the page is to show
SPARE_MINUTES = 5.0  # that the training would still have after the last turn
LEAST_ROWS = 2  # of a turn
POST = """async ([path, asked]) => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(asked) });
    return answer.json();
}"""


def measure(*, minutes: float, rounds: int, hidden_size: int) -> Iterator[Result]:
    """Measure the time until the first sample is shown, then the speed in pairs of turns.

    minutes: of all turns together. Raises MissingExtra without Playwright or Chromium,
    TrainingError if a turn is too short for a measurement.
    """
    with (
        tempfile.TemporaryDirectory() as place,
        ended_afterwards(),
        _studio(Path(place)) as studio,
    ):
        asked = {"minutes": minutes + SPARE_MINUTES, "hidden_size": hidden_size}
        first = studio.begin(asked)
        yield Result(
            "from the start to the first sample on the page",
            "",
            spread([first]),
            FIRST_SAMPLE,
            at_most=True,
            unit="seconds",
        )
        try:
            turn = minutes * 60 / (2 * rounds)
            pairs = [(studio.watched(turn), studio.alone(turn)) for _ in range(rounds)]
        finally:
            studio.stop()
    ratios = [watched / alone for watched, alone in pairs]
    yield Result("training with the page open", "the page closed", spread(ratios), WANTED)


@dataclass
class Studio:
    """A studio with a page in a browser, and the run that it has begun."""

    page: "Page"
    home: str
    folder: Path
    run: RunFolder | None = None

    def begin(self, asked: dict[str, Any]) -> float:
        """Begin a training of Python's library; return the seconds until its first sample."""
        self.page.click("[data-sample=library]")
        self.page.wait_for_selector("#facts:not([hidden])", timeout=WAIT)
        text = self.page.inner_text("#facts-name")
        self.page.click('nav a[href="#writes"]')
        began = time.monotonic()
        name = self._post("/api/runs", {"text": text, **asked})["name"]
        self.run = RunFolder(self.folder / "runs" / name)
        self._show()
        self.page.click('nav a[href="#writes"]')
        self.page.wait_for_selector("#writes-full:not([hidden])", timeout=WAIT)
        return time.monotonic() - began

    def watched(self, seconds: float) -> float:
        """The characters per second of a turn with the page open on its curves."""
        self._show()
        self.page.click('nav a[href="#learning"]')
        self.page.wait_for_selector("#loss .curve", state="attached", timeout=WAIT)
        return self._speed(seconds)

    def alone(self, seconds: float) -> float:
        """The same with the page closed."""
        self.page.goto("about:blank")
        return self._speed(seconds)

    def stop(self) -> None:
        """Stop the training."""
        self._show()
        assert self.run is not None
        self._post(f"/api/runs/{self.run.path.name}/stop", {})
        self.page.wait_for_selector("#run-state.stopped", timeout=WAIT)

    def _show(self) -> None:
        """Open the page, which shows the run that is trained."""
        self.page.goto(self.home)
        self.page.wait_for_selector("html[data-ready]", timeout=WAIT)

    def _post(self, path: str, asked: dict[str, Any]) -> Any:
        return self.page.evaluate(POST, [path, asked])

    def _speed(self, seconds: float) -> float:
        """The median of the rows that begin and end within so many seconds."""
        assert self.run is not None
        begin = len(self._rows()) + 1  # the first row began before
        time.sleep(seconds)
        rows = [row for row in self._rows()[begin:] if row["event"] == "training"]
        if len(rows) < LEAST_ROWS:
            raise TrainingError(
                f"expected at least {LEAST_ROWS} rows in a turn of {seconds:.0f} s, got "
                f"{len(rows)}: give more --minutes or fewer --rounds"
            )
        speed = statistics.median(float(row["characters_per_second"]) for row in rows)
        report(f"{speed:,.0f} characters per second ({len(rows)} rows)")
        return speed

    def _rows(self) -> list[dict[str, Any]]:
        assert self.run is not None
        return list(read_rows(self.run.metrics))


@contextlib.contextmanager
def _studio(folder: Path) -> Iterator[Studio]:
    """Open the page of a studio that works in a folder. Raises MissingExtra."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingExtra("the page is opened by playwright, which is not installed") from error
    if CHROMIUM is None:
        raise MissingExtra("the page is opened in Chromium, which is not installed")
    environment = os.environ | {"XDG_STATE_HOME": str(folder / ".state")}
    process = subprocess.Popen(
        [sys.executable, "-m", "ricorda", "studio", "--no-browser", "--port", "0"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[-1]
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(locale="en-GB", viewport={"width": 1280, "height": 900})
            page.goto(address)
            page.wait_for_selector("html[data-ready]", timeout=WAIT)
            yield Studio(page, address.partition("?")[0], folder)
            browser.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
