"""The engine of the exported page: `python -m benchmarks export --part web`."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.engine import VOCABULARY, network
from benchmarks.figures import ROUNDS, Result, report, spread
from ricorda.exchange import export_model
from ricorda.model import ModelFile

SYMBOLS = 2000
WANTED = 300  # symbols a second
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PROGRAM = """
import { readFileSync } from "node:fs";
import { Model, write } from "./engine.mjs";
const model = new Model(JSON.parse(readFileSync("model.json", "utf8")));
const [length, rounds] = process.argv.slice(2).map(Number);
const speeds = [];
for (let round = 0; round < rounds; round++) {
  const began = performance.now();
  for (const text of write(model, "", { length, seed: round }));
  speeds.push((1000 * length) / (performance.now() - began));
}
console.log(JSON.stringify(speeds));
"""
ON_THE_PAGE = "() => !isWriting && writer !== null && writer.ended"


def measure_web(*, rounds: int = ROUNDS, **_: Any) -> Iterator[Result]:
    """Symbols a second of LSTM 512 in Node and on the page in Chromium, one core each."""
    configuration, tensors = network("lstm", 512)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        export_model(ModelFile(configuration, VOCABULARY, dict(tensors)), "web", folder, force=True)
        for name, speeds in (("Node", _node), ("the page in Chromium", _chromium)):
            if found := speeds(folder, rounds):
                yield Result(
                    "lstm 512 float32, web engine", name, spread(found), WANTED, unit="per_second"
                )


def _node(folder: Path, rounds: int) -> list[float]:
    """The symbols a second of each round; none where there is no Node."""
    node = shutil.which("node")
    if node is None:
        report("node is not installed: its figure is left out")
        return []
    (folder / "speed.mjs").write_text(PROGRAM)
    command = [node, "speed.mjs", str(SYMBOLS), str(rounds)]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return [float(each) for each in json.loads(done.stdout)]


def _chromium(folder: Path, rounds: int) -> list[float]:
    """The same as a person sees it, with everything that the page draws."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        report("playwright is not installed: Chromium's figure is left out")
        return []
    if CHROMIUM is None:
        report("chromium is not installed: its figure is left out")
        return []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto((folder / "index.html").as_uri())
        page.fill("#length", str(SYMBOLS))
        found = []
        for _ in range(rounds):
            page.click("#write")
            page.wait_for_function(ON_THE_PAGE, timeout=120_000)
            found.append(float(page.evaluate("() => speed")))
        browser.close()
    return found
