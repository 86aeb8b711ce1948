"""A studio in a process of its own, with a run that has ended, and a browser to look at it."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import ricorda
from ricorda.model import write_model_file
from ricorda.runs import RunFolder
from tests.insight.planted import planted_file, planted_text
from tests.rows import append_row

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
TEXT = "".join(
    f'{number} bottles of beer on the wall, "so many", {number} bottles (of beer)!\n'
    for number in range(150, 0, -1)
)
PATIENCE = 200.0  # seconds that anything here may take on a busy machine
PANELS = ["text", "learning", "writes", "inside", "surprise", "choose", "runs"]


@dataclass
class Place:
    """A folder with runs and texts, and the studio that serves them."""

    folder: Path
    url: str
    cookie: str
    """What a browser that was let in sends."""

    process: "subprocess.Popen[str]"

    @property
    def port(self) -> int:
        """Where the studio listens."""
        return urlsplit(self.url).port or 0

    def next_address(self) -> str:
        """The address with a ticket that the studio has printed since the last one was used."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()[-1]


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a studio in the test's own process keeps goes into a folder of the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


def make_place(folder: Path) -> None:
    """A text, a run that learned it, and a run whose model has a unit that tracks quotes."""
    texts, runs = folder / "texts", folder / "runs"
    texts.mkdir()
    (texts / "bottles.txt").write_text(TEXT)
    ricorda.train(
        texts / "bottles.txt",
        out=runs / "bottles",
        steps=60,
        hidden_size=12,
        early_samples=True,
        threads=1,
        quiet=True,
    )
    plant(runs / "planted", folder / "planted.txt")


def plant(folder: Path, text: Path) -> None:
    """A run's folder around a model that was made by hand."""
    folder.mkdir(parents=True)
    text.write_text(planted_text())
    record = json.loads((folder.parent / "bottles" / "config.json").read_text())
    record["text"]["texts"] = [str(text)]
    file = planted_file("lstm")
    record["training"]["model"] |= {
        "hidden_size": file.configuration.hidden_size,
        "vocabulary_size": file.configuration.vocabulary_size,
    }
    run = RunFolder(folder)
    write_model_file(run.model, file)
    append_row(run.metrics, {"step": 1, "event": "evaluation", **PLANTED_ROW})
    append_row(run.metrics, {"step": 1, "event": "ended", "stopped_because": "steps", **ENDED_ROW})
    run.config.write_text(json.dumps(record))


PLANTED_ROW: dict[str, Any] = {"seconds": 1.0, "characters_seen": 64, "nats_per_character": 2.0}
ENDED_ROW: dict[str, Any] = {
    "steps": 1,
    "train_seconds": 1.0,
    "parameters": 1,
    "validation": {"nats_per_character": 2.0, "bits_per_character": 2.885, "bits_per_byte": 2.885},
}


def environment(folder: Path) -> dict[str, str]:
    """What lets another process import the same ricorda, and keep its state in a folder."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        "XDG_STATE_HOME": str(folder / ".state"),
    }


@contextlib.contextmanager
def launched(folder: Path, *options: str) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """`ricorda studio` in a folder, and its address, which nobody has used yet.

    With the block it ends, and so do its trainings, which otherwise outlive it.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "ricorda", "studio", "--no-browser", "--port", "0", *options],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ricorda studio: http://127.0.0.1:"):
            process.kill()
            raise AssertionError((line, *process.communicate()))
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()
        end_trainings(folder)


@contextlib.contextmanager
def studio_in(folder: Path, *options: str) -> Iterator[Place]:
    """The same, entered by its first address; it ends as by Ctrl-C."""
    with launched(folder, *options) as (process, address):
        parts = urlsplit(address)
        connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
        connection.request("GET", f"/?{parts.query}")
        given = connection.getresponse().headers["set-cookie"]
        connection.close()
        place = Place(folder, f"http://{parts.netloc}/", given.split(";")[0], process)
        yield place
        end_studio(place)


def end_studio(place: Place) -> str:
    """End it as Ctrl-C does; what it said is handed back."""
    place.process.send_signal(signal.SIGINT)
    _, said = place.process.communicate(timeout=PATIENCE)
    return said


def end_trainings(folder: Path) -> None:
    """End what a studio began in a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").resolve() == folder.resolve():
                os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One studio for all tests that change nothing of what others look at."""
    folder = tmp_path_factory.mktemp("studio")
    make_place(folder)
    with studio_in(folder) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One headless Chromium; tests that need it are skipped where there is none.

    It ends with the module, since Playwright's event loop keeps other tests from running their own.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", place: Place) -> Iterator[Open]:
    """Open the page as a person does; whatever a script throws fails the test."""
    with opening(browser, place) as open_it:
        yield open_it


@contextlib.contextmanager
def opening(browser: "Browser", place: Place) -> Iterator[Open]:
    """The same, for the pages that the tests of a module share."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_it(run: str | None = "bottles", at: Place = place, **options: Any) -> "Page":
        options = {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}} | options
        context = browser.new_context(reduced_motion="reduce", **options)
        context.set_default_timeout(int(os.environ.get("PAGE_TIMEOUT", "120000")))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: _note(errors, message))
        let_in(context, at)
        page.goto(at.url)
        page.wait_for_selector("html[data-ready]")
        if run is not None:
            page.select_option("#run-picker", run)
            page.wait_for_selector(f"#run-name:text-is('{run}')", state="attached")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not errors


def let_in(context: "BrowserContext", place: Place) -> None:
    """Give a browser the cookie that a ticket is exchanged for."""
    name, _, value = place.cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": place.url}])


def _note(errors: list[str], message: Any) -> None:
    """Keep what the page's policy or a script complained of; lost connections are no fault."""
    if message.type == "error" and "Failed to load resource" not in message.text:
        errors.append(message.text)


def in_sight(page: "Page", panel: str) -> None:
    """Scroll a panel into sight, as its link does."""
    page.click(f'nav a[href="#{panel}"]')


@pytest.fixture
def own_place(tmp_path: Path) -> Iterator[Place]:
    """A studio of one test's own, with nothing in it."""
    with studio_in(tmp_path) as found:
        yield found


@pytest.fixture
def with_pytorch(place: Place) -> None:
    """The studio has imported PyTorch, which on a busy machine takes longer than a page waits."""
    from tests.studio.test_server import Client

    asked = {"text": TEXT[:50], "position": 20, "gradient": True}
    Client(place, timeout=500).json("POST", "/api/runs/bottles/influence", asked)
