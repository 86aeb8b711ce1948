"""Pictures of every panel, wide and narrow, into docs/pictures/.

    python -m tests.studio.screenshots

--text FILE      the text that is learned (by default Python's own library)
--minutes M      for how long (by default half a minute)
--out FOLDER     where the pictures go
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.studio.conftest import (
    ARGUMENTS,
    CHROMIUM,
    PANELS,
    in_sight,
    let_in,
    studio_in,
)

SIZES = {"wide": (1200, 900), "narrow": (390, 844)}
VARIANTS = [("en", "light", "wide"), ("it", "dark", "narrow"), ("en", "dark", "wide")]
MARGIN = 20  # pixels around a panel


def main() -> None:
    """Learn a text, look at every panel, keep pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        studio_in(Path(folder)) as place,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(locale="en-GB", viewport={"width": 1200, "height": 900})
        let_in(page.context, place)
        page.goto(place.url)
        page.wait_for_selector("html[data-ready]")
        learn(page, arguments.text, arguments.minutes)
        for language, theme, size in VARIANTS:
            take(page, language, theme, size, out)
        browser.close()
    print(f"{len(list(out.glob('studio-*.png')))} pictures in {out}")


def learn(page: Page, text: Path | None, minutes: float) -> None:
    """Bring a text and wait until it is learned, with the simple methods' figures."""
    if text is None:
        page.click("[data-sample=library]")
    else:
        page.set_input_files("#file", text)
    page.wait_for_selector("#facts:not([hidden])")
    page.fill("#minutes", str(minutes))
    page.click("#start")
    in_sight(page, "learning")
    page.wait_for_selector("#state:text-is('complete')", timeout=minutes * 60_000 + 120_000)
    page.wait_for_selector("#baselines-state[hidden]", state="attached", timeout=120_000)


def take(page: Page, language: str, theme: str, size: str, out: Path) -> None:
    """One picture of each panel."""
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.select_option("#language", language)
    page.select_option("#theme", theme)
    for panel in PANELS:
        in_sight(page, panel)
        prepare(page, panel)
        page.wait_for_timeout(2500)  # what comes into sight is drawn at most every other second
        box = page.evaluate(
            """(id) => {
              document.querySelector(".bar").style.position = "static";
              const box = document.getElementById(id).getBoundingClientRect();
              return { y: box.y + scrollY, height: box.height };
            }""",
            panel,
        )
        page.screenshot(
            path=out / f"studio-{panel}-{size}-{theme}-{language}.png",
            full_page=True,
            clip={
                "x": 0,
                "y": max(0, box["y"] - MARGIN),
                "width": width,
                "height": box["height"] + 2 * MARGIN,
            },
        )


def prepare(page: Page, panel: str) -> None:
    """Wait for what a panel shows, and choose something in it."""
    if panel == "writes":
        for temperature in ("0.5", "0.9"):
            page.fill("#write-prompt", "def ")
            page.locator("#write-temperature").fill(temperature)
            page.click("#write-start")
            page.wait_for_selector("#written-copying:visible")
    elif panel == "inside":
        page.locator("#units tbody tr").first.wait_for(timeout=60_000)
        page.locator("#step tbody tr").first.wait_for()
        page.click("#clamp button")
        page.wait_for_selector("#clamped:not([hidden])")
    elif panel == "surprise":
        page.locator("#inspector .past li").first.wait_for()
    elif panel == "choose":
        page.wait_for_selector("#chances button")
        page.locator("#top_k").fill("8")
    elif panel == "runs":
        page.locator("#runs-table tbody input").first.check()


if __name__ == "__main__":
    if shutil.which("chromium") is None and CHROMIUM is None:
        raise SystemExit("the pictures need chromium: on Debian, sudo apt install chromium")
    main()
