"""report.html: that every run has a page, and what it says."""

import math
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ricorda.model.configuration import ModelConfiguration
from ricorda.runs import RunFolder
from ricorda.training.checkpoint.record import RunRecord, TextRecord, new_record
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.report.page import write_report
from tests.pages.test_chart import described
from tests.rows import append_row

LOADS = r"https?://(?!www\.w3\.org/2000/svg)"  # an address, but for the name of SVG
CONFIGURATION = TrainingConfiguration(
    model=ModelConfiguration(cell="lstm", vocabulary_size=79, hidden_size=512, num_layers=2),
    budget=Budget(minutes=3),
    batch_size=64,
    window=128,
    learning_rate=0.004,
)
TEXT = TextRecord(
    texts=["/home/someone/divina commedia.txt"],
    validation=None,
    validation_fraction=None,
    vocabulary="characters",
    encoding=None,
    newlines="auto",
    digest="9f" * 32,
)
VALIDATION = {
    "nats_per_character": 1.37426,
    "bits_per_character": 1.98264,
    "bits_per_byte": 1.93617,
    "perplexity": 3.95216,
}


class Page(HTMLParser):
    """The elements of a page, which must be nested properly."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def training_row(step: int, nats: float, **figures: float) -> dict[str, Any]:
    return {
        "step": step,
        "seconds": step / 10,
        "characters_seen": step * 8192,
        "event": "training",
        "nats_per_character": nats,
        "learning_rate": 0.004,
        "gradient_norm": 0.5,
        "characters_per_second": 81920.0,
        **figures,
    }


def evaluation_row(step: int, nats: float | None) -> dict[str, Any]:
    return {
        "step": step,
        "seconds": step / 10,
        "characters_seen": step * 8192,
        "event": "evaluation",
        "nats_per_character": nats,
    }


def metrics_of(folder: RunFolder, **changed: Any) -> dict[str, Any]:
    return {
        "run": str(folder.path),
        "model": str(folder.model),
        "parameters": 3466703,
        "vocabulary_size": 79,
        "training_characters": 511234,
        "validation_characters": 56803,
        "steps": 40,
        "characters_seen": 40 * 8192,
        "train_seconds": 178.9,
        "validation": VALIDATION,
        "validation_warning": None,
        "baselines": None,
        "best_step": 30,
        "stopped_because": "minutes",
        **changed,
    }


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "divina").mkdir()
    return RunFolder(tmp_path / "divina")


@pytest.fixture
def record() -> RunRecord:
    return new_record(TEXT, CONFIGURATION)


def learn(folder: RunFolder, validation: list[float | None], text: str = "nel mezzo") -> None:
    """Write the rows of a run of 10 steps an evaluation."""
    for number, nats in enumerate(validation, start=1):
        append_row(folder.metrics, training_row(10 * number - 5, 4 / number))
        append_row(folder.metrics, training_row(10 * number, 3.5 / number))
        append_row(folder.metrics, evaluation_row(10 * number, nats))
        append_row(folder.samples, {"step": 10 * number, "text": f"{text} {number}"})


def report(folder: RunFolder, record: RunRecord, **changed: Any) -> str:
    write_report(folder, record, metrics_of(folder, **changed))
    return folder.report.read_bytes().decode()


def test_it_is_one_whole_page_that_loads_nothing(folder: RunFolder, record: RunRecord) -> None:
    learn(folder, [2.0, 1.6, 1.4, 1.5])
    page = report(folder, record)
    assert not re.search(rf"{LOADS}|\bsrc\s*=|@import|url\(|<link|<base|<iframe", page)
    tags = Page(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {attributes.get("for") for tag, attributes in tags if tag == "label"}
    assert "moment" in labels
    assert [tag for tag, _ in tags].count("h1") == 1
    assert "<title>divina: a run of ricorda</title>" in page


def test_the_final_figures_stand_at_its_head(folder: RunFolder, record: RunRecord) -> None:
    learn(folder, [2.0, 1.6, 1.4, 1.5])
    head = report(folder, record).split("<header>")[1].split("</header>")[0]
    assert "<h1>divina</h1>" in head
    assert re.findall("<dd>(.*?)</dd>", head) == ["1.983", "1.374", "1.936", "3.95"]
    assert "LSTM of 2 layers with 512 units, 3,466,703 parameters" in head
    assert "40 steps, which took 2:59" in head


def test_the_loss_curve_shows_all_and_marks_the_best(folder: RunFolder, record: RunRecord) -> None:
    learn(folder, [2.0, 1.6, 1.4, 1.5])
    chart = described(report(folder, record).split("<h2>Loss</h2>")[1])
    training, validation = chart["series"]
    assert (training["name"], training["kind"]) == ("training", "line")
    assert (validation["name"], validation["kind"]) == ("validation", "dotted")
    assert len(validation["points"]) == 4
    assert chart["mark"] == [30, pytest.approx(2.0198, abs=1e-3), "best: 2.020 at step 30"]
    assert chart["words"].startswith("bits per character over steps: training from ")
    readings = [text for _, text in chart["readings"]]
    assert any(
        "step 30 · 3 s · 246 k characters · training 1.683 · validation 2.020 bits (1.400 nats)"
        in text
        for text in readings
    )
    assert [axis["name"] for axis in chart["axes"]] == ["steps", "time", "read"]


def test_the_figures_are_a_table_too(folder: RunFolder, record: RunRecord) -> None:
    learn(folder, [2.0, 1.6])
    table = report(folder, record).split("<tbody>")[1].split("</tbody>")[0]
    cells = [re.findall(">([^<]+)</t[hd]>", row) for row in table.split("</tr>") if row]
    assert cells == [
        ["10", "1 s", "81,920", "5.049", "2.885", "2.000", "0.004", "0.5", "81,920"],
        ["20", "2 s", "163,840", "2.525", "2.308", "1.600", "0.004", "0.5", "81,920"],
    ]


def test_samples_are_escaped_newest_first(folder: RunFolder, record: RunRecord) -> None:
    learn(folder, [2.0, 1.6, 1.4], text="</pre><script>alert('x')</script>\x1b[31m\n ciao")
    page = report(folder, record)
    samples = re.findall(r"<article.*?</article>", page, re.DOTALL)
    assert [re.findall("<h3>(.*?)</h3>", sample)[0] for sample in samples] == [
        "Step 30",
        "Step 20",
        "Step 10",
    ]
    assert "validation 2.308 bits (1.600 nats)" in samples[1]
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;\\x1b[31m\n ciao 2</pre>" in samples[1]
    assert 'min="0" max="2" value="2"' in page
    assert [tag for tag, _ in Page(page).tags].count("script") == 1


def test_every_setting_is_there_but_no_path(folder: RunFolder, record: RunRecord) -> None:
    page = report(folder, record)
    fields = [
        *asdict(record.text),
        *asdict(record.training),
        *asdict(record.training.model),
        *record.made_with,
    ]
    missing = [field for field in fields if f"<code>{field}</code>" not in page]
    assert missing == ["model"]  # its own settings are there instead
    assert "3 minutes" in page
    assert "Number of symbols in a step of truncated backpropagation through time (T)." in page
    assert "divina commedia.txt" in page
    assert "/home/someone" not in page


def test_it_says_how_to_continue(folder: RunFolder, record: RunRecord) -> None:
    page = report(folder, record, run="runs/la divina")
    assert "ricorda sample &#x27;runs/la divina&#x27; --prompt" in page
    assert "ricorda evaluate &#x27;runs/la divina&#x27; &#x27;divina commedia.txt&#x27;" in page
    assert "ricorda resume" not in page
    interrupted = report(folder, record, stopped_because="interrupted", validation=None)
    assert f"ricorda resume {folder.path}" in interrupted
    assert "the run was interrupted before its end" in interrupted


@pytest.mark.parametrize("reason", ["minutes", "epochs", "steps", "patience", "interrupted"])
def test_every_ending_is_reported(folder: RunFolder, record: RunRecord, reason: str) -> None:
    assert re.search("It (ended|was interrupted)", report(folder, record, stopped_because=reason))


def test_a_run_without_validation_text(folder: RunFolder, record: RunRecord) -> None:
    learn(folder, [None, None])
    page = report(folder, record, validation=None, validation_characters=0, best_step=20)
    assert "no part of the text was held back for validation" in page
    chart = described(page)
    assert [each["name"] for each in chart["series"]] == ["training"]
    assert chart["mark"] is None
    Page(page)


@pytest.mark.parametrize("rows", [[], [training_row(1, 4.2)], [evaluation_row(1, 4.2)]])
def test_a_run_that_has_hardly_begun(
    folder: RunFolder, record: RunRecord, rows: list[dict[str, Any]]
) -> None:
    for row in rows:
        append_row(folder.metrics, row)
    page = report(
        folder, record, validation=None, best_step=None, steps=1, stopped_because="interrupted"
    )
    Page(page)
    assert ("nothing was measured" in page.split("<h2>Loss</h2>")[1].split("</section>")[0]) == (
        not rows
    )


def test_a_row_of_an_unknown_kind_is_left_out(folder: RunFolder, record: RunRecord) -> None:
    learn(folder, [2.0, 1.5])
    page = report(folder, record)
    for row in ({"step": 7}, {"step": 8, "event": "of a later version"}, {"step": 9, "event": [1]}):
        append_row(folder.metrics, row)
    assert report(folder, record) == page


def test_numbers_that_are_not_finite(folder: RunFolder, record: RunRecord) -> None:
    for step, nats in enumerate([3.0, math.nan, math.inf, 2.0], start=1):
        append_row(folder.metrics, training_row(step, nats, gradient_norm=math.inf))
        append_row(folder.metrics, evaluation_row(step, nats))
    page = report(folder, record, validation=dict.fromkeys(VALIDATION), best_step=2)
    assert re.findall("<dd>(.*?)</dd>", page) == ["–"] * 4
    assert "length, before clipping: nothing was measured." in page
    assert not re.search(
        r"\b(nan|inf|None)\b", page.split("<h2>All settings")[0].split("<body>")[1]
    )


def test_bytes_are_called_bytes(folder: RunFolder, record: RunRecord) -> None:
    of_bytes = replace(record, text=replace(TEXT, vocabulary="bytes"))
    assert "56,803 bytes of validation text" in report(folder, of_bytes)


def test_it_replaces_the_page_before_it_whole(folder: RunFolder, record: RunRecord) -> None:
    first = report(folder, record)
    learn(folder, [2.0])
    assert report(folder, record) != first
    left = sorted(path.name for path in folder.path.iterdir())
    assert left == ["metrics.jsonl", "report.html", "samples.jsonl"]


def test_averaged_weights_are_reported_beside_the_raw_ones(
    folder: RunFolder, record: RunRecord
) -> None:
    both = {"raw_nats_per_character": 1.52, "averaged_nats_per_character": 1.46}
    append_row(folder.metrics, evaluation_row(10, 1.46) | both)
    assert "raw weights 2.193, averaged 2.106" in report(folder, record)
    folder.metrics.unlink()
    append_row(folder.metrics, evaluation_row(10, 1.46))
    assert "averaged 1" not in report(folder, record)
