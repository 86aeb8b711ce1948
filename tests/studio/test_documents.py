"""What the studio shows of texts that are divided into documents."""

import math
from pathlib import Path

import numpy as np
import pytest

import ricorda
from ricorda.runs import RunFolder
from ricorda.studio import settings as ask
from ricorda.studio.looking import Looking
from ricorda.studio.reading import Reading, reading_of
from ricorda.studio.texts import Texts
from ricorda.studio.workspace import Workspace

NAMES = [f"{first}{second}" for first in ("an", "ber", "clo") for second in ("a", "to", "ra", "ne")]
BOUNDARY = "\N{WHITE DIAMOND}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run of documents, the lines of a text."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "texts").mkdir()
    text = folder / "texts" / "names.txt"
    text.write_text("".join(f"{name}\n" for name in NAMES * 20))
    ricorda.train(
        text,
        out=folder / "runs" / "names",
        documents="lines",
        steps=20,
        hidden_size=8,
        threads=1,
        quiet=True,
    )
    return folder


@pytest.fixture
def run(place: Path) -> RunFolder:
    return RunFolder(place / "runs" / "names")


@pytest.fixture
def texts(place: Path) -> Texts:
    return Texts(Workspace(place / "runs", place / "texts"), largest=10**6)


def test_a_text_of_ones_own_is_a_whole_document(run: RunFolder, texts: Texts) -> None:
    found = Looking(texts).surprise(run, ask.SurpriseRequest(text="anto"))
    assert found["symbols"] == ["", "a", "n", "t", "o", ""]
    assert found["labels"] == {0: BOUNDARY, 5: BOUNDARY}
    assert found["boundaries"] == [0, 5]
    scores = ricorda.load(run.path).score("anto")
    bits = (scores.nats / math.log(2)).tolist()
    assert found["bits"][0] is None
    assert found["bits"][1:] == pytest.approx(bits, abs=1e-3)
    assert found["alternatives"][0] == []
    assert len(found["alternatives"]) == 6
    assert found["characters"] == 4
    assert found["mean_bits"] == pytest.approx(sum(bits) / 4, abs=1e-3)


def test_each_document_of_a_stretch_is_read_by_itself(run: RunFolder, texts: Texts) -> None:
    found = Looking(texts).surprise(run, ask.SurpriseRequest(begin=2, length=40))
    first, second, *others = found["boundaries"]
    assert first == 0
    assert others
    name = "".join(found["symbols"][:second])
    assert name in NAMES
    bits = ricorda.load(run.path).score(name).nats / math.log(2)
    assert found["bits"][1 : second + 1] == pytest.approx(bits.tolist(), abs=1e-3)
    last = "".join(found["symbols"][others[-1] :])
    assert any(each.startswith(last) for each in NAMES)  # it is cut off, so that it has no end
    assert len(found["bits"]) == len(found["symbols"]) == len(found["alternatives"])


def test_an_adaptive_reader_reads_the_documents_of_a_stretch_in_order(
    run: RunFolder, texts: Texts
) -> None:
    asked = {"begin": 0, "length": 900}
    plain = Looking(texts).surprise(run, ask.SurpriseRequest(**asked))
    found = Looking(texts).surprise(run, ask.SurpriseRequest(**asked, adaptive=True))
    assert found["frozen"]["bits"] == plain["bits"]
    assert (found["symbols"], found["boundaries"]) == (plain["symbols"], plain["boundaries"])
    assert [bits is None for bits in found["bits"]] == [bits is None for bits in plain["bits"]]
    assert found["mean_bits"] < plain["mean_bits"]


def test_all_that_is_shown_counts_places_alike(run: RunFolder, texts: Texts) -> None:
    looking, asked = Looking(texts), {"text": "a☃nto", "unit": 3}
    shown = looking.surprise(run, ask.SurpriseRequest(text="a☃nto"))
    assert shown["unseen"] == [[2, "☃"]]
    assert shown["bits"][2] is None
    activity = looking.activity(run, ask.UnitRequest(**asked))
    assert activity["symbols"] == shown["symbols"]
    assert activity["unseen"] == shown["unseen"]
    assert len(activity["values"]) == len(shown["symbols"])
    heat = looking.heat(run, ask.HeatRequest(text="a☃nto", units=[(0, 3)]))
    levels = np.frombuffer(heat, np.int8) / 127
    assert activity["values"] == pytest.approx(levels.tolist(), abs=1e-2)
    step = looking.step(run, ask.PlaceRequest(**asked, position=2))
    assert step["symbol"] == "n"
    assert step["hidden"] == pytest.approx(activity["values"][2], abs=1e-3)
    past = looking.influence(run, ask.PositionRequest(text="a☃nto", position=3))["past"]
    assert [(place, symbol) for place, symbol, _ in past] == [(2, "n"), (1, "a"), (0, BOUNDARY)]


def test_what_was_kept_back_comes_after_what_is_learned(run: RunFolder, texts: Texts) -> None:
    reading = reading_of(run)
    facts = texts.facts(reading)
    assert facts["documents"] == len(NAMES) * 20
    assert not facts["in_order"]
    assert "\n" in facts["beginning"]
    assert facts["different"] == len(set("".join(NAMES)))
    assert [symbol for symbol, _ in facts["frequent"] if symbol == BOUNDARY] == []
    _, parts = texts.parts(reading)
    assert parts.validation is not None
    assert facts["places"] == len(parts.training) + len(parts.validation)
    held_back = texts.stretch(reading, facts["kept_back_from"], 10**6)
    assert len(held_back) == parts.validation.segments + 1  # "" at the end: the last one is whole
    assert held_back[-1] == ""
    both = texts.stretch(reading, 0, 10**6)
    assert sorted(filter(None, both)) == sorted(NAMES * 20)


def test_an_undivided_text_stays_in_order(texts: Texts, place: Path) -> None:
    reading = Reading((str(place / "texts" / "names.txt"),))
    facts = texts.facts(reading)
    assert facts["in_order"]
    assert facts["documents"] is None
    text = (place / "texts" / "names.txt").read_text()
    border = facts["kept_back_from"]
    assert texts.stretch(reading, border - 5, 20) == (text[border - 5 : border + 15],)


def test_copied_passages_lie_within_a_document(run: RunFolder, texts: Texts) -> None:
    found = Looking(texts).memorised(run, ask.MemorisedRequest(length=60))
    assert any(found["text"] in name for name in NAMES)
    assert found["longest"] == len(found["text"]) <= max(map(len, NAMES))
    assert found["kept_back"] <= max(map(len, NAMES))
