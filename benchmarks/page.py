"""What the studio's page costs a training: `python -m benchmarks page`, on an idle machine.

One training runs on all cores. In turns, the page is open on its curves and closed. The speeds are
those of the run's own rows, from which evaluations are left out. The processor time of the browser
and of the studio is counted too: other work on the machine disturbs it less than it does speeds.
"""

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Result, report, spread
from benchmarks.processes import descendants, ended_afterwards, processor_seconds
from benchmarks.web import CHROMIUM
from ricorda.cores import usable_cores
from ricorda.errors import MissingExtra, TrainingError
from ricorda.runs import RunFolder, read_rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

WANTED = 0.97  # of the speed with the page closed
MOST_PROCESSOR_TIME = 3.0  # per cent of all cores, of the page and the studio
FIRST_SAMPLE = 5.0  # seconds
WAIT = 60_000  # milliseconds, for what the page is to show
SPARE_MINUTES = 5.0  # that the training would still have after the last turn
LEAST_ROWS = 2  # of a turn
GET = "async (path) => (await fetch(path)).json()"
POST = """async ([path, asked]) => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(asked) });
    return answer.json();
}"""


def measure(*, minutes: float, rounds: int, hidden_size: int) -> Iterator[Result]:
    """Measure the time until the first sample is shown, then speed and processor time in turns.

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
            studio.wait_for_simple_methods()
            seconds = minutes * 60 / (2 * rounds)
            pairs = [_pair(studio, seconds, watched_first=not each % 2) for each in range(rounds)]
        finally:
            studio.stop()
    ratios = [watched.speed / alone.speed for watched, alone in pairs]
    yield Result("training with the page open", "the page closed", spread(ratios), WANTED)
    totals = [watched.total - alone.total for watched, alone in pairs]
    kinds = sorted({kind for watched, _ in pairs for kind in watched.processor})
    yield Result(
        "processor time of the open page, per cent of all cores",
        "the page closed",
        spread(totals),
        MOST_PROCESSOR_TIME,
        at_most=True,
        unit="percent",
        details={
            f"{kind}_percent": statistics.median(
                watched.processor[kind] - alone.processor.get(kind, 0) for watched, alone in pairs
            )
            for kind in kinds
        },
    )


@dataclass(frozen=True)
class Turn:
    """What was measured while the page was open, or closed."""

    speed: float
    """Characters per second of the training."""

    processor: Mapping[str, float]
    """Per cent of all cores that the studio and each kind of the browser's processes took."""

    @property
    def total(self) -> float:
        """Per cent of all cores that they took together."""
        return sum(self.processor.values())


def _pair(studio: "Studio", seconds: float, *, watched_first: bool) -> tuple[Turn, Turn]:
    """A turn with the page open and one with it closed, in either order: a drift touches both."""
    if watched_first:
        return studio.watched(seconds), studio.alone(seconds)
    alone = studio.alone(seconds)
    return studio.watched(seconds), alone


@dataclass
class Studio:
    """A studio with a page in a browser, and the run that it has begun."""

    page: "Page"
    home: str
    folder: Path
    process: int
    """The number of the studio's process."""

    run: RunFolder | None = None
    text: str | None = None

    def begin(self, asked: dict[str, Any]) -> float:
        """Begin a training of Python's library; return the seconds until its first sample."""
        self.page.click("[data-sample=library]")
        self.page.wait_for_selector("#facts:not([hidden])", timeout=WAIT)
        self.text = self.page.inner_text("#facts-name")
        self.page.click('nav a[href="#writes"]')
        began = time.monotonic()
        name = self._post("/api/runs", {"text": self.text, **asked})["name"]
        self.run = RunFolder(self.folder / "runs" / name)
        self._show()
        self.page.click('nav a[href="#writes"]')
        self.page.wait_for_selector("#writes-full:not([hidden])", timeout=WAIT)
        return time.monotonic() - began

    def wait_for_simple_methods(self) -> None:
        """Wait until the text's baselines are known, which are computed once, on the same cores."""
        self._show()
        deadline = time.monotonic() + WAIT / 1000
        path = f"/api/texts/{self.text}/baselines"
        while not self.page.evaluate(GET, path)["done"]:
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"expected the simple methods' figures within {WAIT // 1000} s, they are not "
                    "computed yet: measure on an idle machine"
                )
            time.sleep(1)

    def watched(self, seconds: float) -> Turn:
        """A turn with the page open on its curves."""
        self._show()
        self.page.click('nav a[href="#learning"]')
        self.page.wait_for_selector("#loss .curve", state="attached", timeout=WAIT)
        return self._turn(seconds)

    def alone(self, seconds: float) -> Turn:
        """The same with the page closed."""
        self.page.goto("about:blank")
        return self._turn(seconds)

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

    def _turn(self, seconds: float) -> Turn:
        """Measure for so many seconds, from the next row on: the page has been opened by then.

        The speed is that of all rows which begin and end within: each has the same steps.
        """
        begin = len(self._rows()) + 1
        self._wait_for_row(begin)
        began, before = time.monotonic(), self._processor_seconds()
        time.sleep(seconds)
        elapsed, after = time.monotonic() - began, self._processor_seconds()
        rows = self._rows()[begin:]
        if len(rows) < LEAST_ROWS:
            raise TrainingError(
                f"expected at least {LEAST_ROWS} rows in a turn of {seconds:.0f} s, got "
                f"{len(rows)}: give more --minutes or fewer --rounds"
            )
        speed = statistics.harmonic_mean([float(row["characters_per_second"]) for row in rows])
        share = 100 / (elapsed * usable_cores())
        taken = {kind: (after[kind] - before.get(kind, 0)) * share for kind in after}
        turn = Turn(speed, taken)
        report(
            f"{speed:,.0f} characters per second ({len(rows)} rows), {turn.total:.2f} % of all "
            "cores for the page and the studio"
        )
        return turn

    def _wait_for_row(self, number: int) -> None:
        """Wait until there are so many rows. Raises TrainingError if that takes too long."""
        deadline = time.monotonic() + WAIT / 1000
        while len(self._rows()) < number:
            if time.monotonic() > deadline:
                raise TrainingError(f"expected a row within {WAIT // 1000} s: give fewer --minutes")
            time.sleep(0.1)

    def _processor_seconds(self) -> dict[str, float]:
        """The processor time so far of the studio and of each kind of the browser's processes."""
        found = defaultdict(float, {"studio": processor_seconds(self.process)})
        for process in descendants(os.getpid()):
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                if kind := _kind_in_browser(process):
                    found[kind] += processor_seconds(process)
        return found

    def _rows(self) -> list[dict[str, Any]]:
        """The rows of the training so far, without evaluations."""
        assert self.run is not None
        return [row for row in read_rows(self.run.metrics) if row["event"] == "training"]


def _kind_in_browser(process: int) -> str | None:
    """What a process of Chromium is for: its `--type`, or browser; None for other programs."""
    place = Path(f"/proc/{process}")
    if not (place / "exe").readlink().name.startswith("chrom"):
        return None
    kind = re.search(rb"--type=([a-z]+)", (place / "cmdline").read_bytes())
    return kind[1].decode() if kind else "browser"


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
            yield Studio(page, address.partition("?")[0], folder, process.pid)
            browser.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
