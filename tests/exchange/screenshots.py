"""Pictures of the page of an exported model, wide and narrow, into docs/pictures/.

    python -m tests.exchange.screenshots TEXT

TEXT           the text that is learned; its first lines are the beginning that the page continues
--minutes M    for how long (by default one)
--model FILE   a model that has learned it already
--out FOLDER   where the pictures go
"""

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import ricorda
from ricorda.exchange import export_model
from ricorda.model import read_model_file
from ricorda.runs import RunFolder
from tests.studio.conftest import ARGUMENTS, CHROMIUM

VARIANTS = [("en", "light", "wide", 1200), ("it", "dark", "narrow", 390)]
LONGEST_BEGINNING = 60  # characters
SEED = "3"


def main() -> None:
    """Learn a text, export the model, keep pictures of its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        model = arguments.model or learned(arguments.text, Path(place), arguments.minutes)
        export_model(read_model_file(model), "web", Path(place, "page"))
        beginning = arguments.text.read_text("utf-8")[:LONGEST_BEGINNING].rpartition(" ")[0]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(locale="en-GB")
        page.goto(Path(place, "page", "index.html").as_uri())
        for language, theme, size, width in VARIANTS:
            page.set_viewport_size({"width": width, "height": 900})
            page.select_option("#language", language)
            page.select_option("#theme", theme)
            write(page, beginning)
            out = arguments.out / f"page-{size}-{theme}-{language}.png"
            top = "header" if size == "wide" else "#prompt-name"  # the narrow one is a window
            page.evaluate("(top) => document.querySelector(top).scrollIntoView()", top)
            page.screenshot(path=out, full_page=size == "wide")
            print(out)
        browser.close()


def learned(text: Path, place: Path, minutes: float) -> Path:
    """Train on a text; return the model's file."""
    run = place / "runs" / text.stem
    ricorda.train(text, out=run, minutes=minutes, quiet=True)
    return RunFolder(run).model


def write(page: Page, beginning: str) -> None:
    """Let the page continue a beginning, and choose a symbol of it."""
    page.fill("#prompt", beginning)
    page.fill("#seed", SEED)
    page.click("#write")
    page.wait_for_function("() => writer !== null && !isWriting")
    page.focus("#text")
    page.keyboard.press("Home")
    for _ in range(15):
        page.keyboard.press("ArrowRight")


if __name__ == "__main__":
    main()
