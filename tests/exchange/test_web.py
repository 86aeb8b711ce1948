"""The engine of the web page against ricorda: in Node for every model, in Chromium for the page."""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ricorda.engine import Model
from ricorda.engine.loading import open_model
from ricorda.engine.sampling import SamplingSettings, distribution, uniforms
from ricorda.errors import UnseenCharactersWarning
from ricorda.exchange import export_model
from ricorda.exchange.web_export import description, export
from ricorda.model import ModelFile, read_model_file, write_model_file
from ricorda.pages import json_text
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.pieces import PieceVocabulary
from ricorda.text.prompts import read_prompt
from ricorda.text.unseen import Unseen
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary
from ricorda.text.words import WordVocabulary
from tests.exchange.models import CASES, Case, greedy, log_probabilities, make_model, random_ids

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ENGINE = Path(export_model.__code__.co_filename).parent / "web" / "engine.mjs"
JOBS = Path(__file__).with_name("web_jobs.mjs")
WRITTEN = 300  # symbols
GREEDY = 1000 if os.environ.get("FAULTS") == "all" else 200
"""Symbols that each model writes greedily."""

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")

Job = dict[str, Any]


def run_jobs(jobs: list[Job], engine: Path = ENGINE) -> list[Any]:
    """What the engine answers, all in one process."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, JOBS, engine], input=json_text(jobs), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    results: list[Any] = json.loads(done.stdout)
    return results


def described(file: ModelFile) -> dict[str, Any]:
    return description(file, "float32")


def reference(file: ModelFile) -> Model:
    return open_model(file, backend="numpy")


def array(text: str, columns: int) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text), "<f8").reshape(-1, columns)


def with_vocabulary(vocabulary: Vocabulary, reading: dict[str, Any] | None = None) -> ModelFile:
    """A model without recurrence worth the name, for what vocabularies do."""
    file = make_model(Case("rnn", vocabulary="bytes", hidden_size=1), np.random.default_rng(1))
    configuration = replace(
        file.configuration,
        vocabulary_size=vocabulary.size,
        documents=vocabulary.boundary is not None,
    )
    shapes = configuration.tensor_shapes()
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return ModelFile(configuration, vocabulary, tensors, {"reading": reading} if reading else {})


@needs_node
def test_every_model_predicts_and_writes_the_same(random: np.random.Generator) -> None:
    files = [make_model(case, random) for case in CASES]
    ids = [random_ids(file, random) for file in files]
    labels = [len(file.vocabulary.labels) for file in files]
    jobs: list[Job] = []
    for file, symbols, label in zip(files, ids, labels, strict=True):
        model = described(file)
        jobs.append({"kind": "predict", "model": model, "ids": symbols.tolist(), "label": label})
        jobs.append({"kind": "greedy", "model": model, "first": 1, "count": GREEDY, "label": label})
    results = iter(run_jobs(jobs))
    for case, file, symbols, label in zip(CASES, files, ids, labels, strict=True):
        predicted = array(next(results), file.vocabulary.size)
        expected = log_probabilities(file, symbols, label)
        np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-4, err_msg=str(case))
        assert next(results) == greedy(file, 1, GREEDY, label), case


@needs_node
def test_int8_is_what_its_integers_and_scales_are(random: np.random.Generator) -> None:
    file = make_model(Case("lstm", 2, 5, "labels"), random)
    model = description(file, "int8")
    rounded = {name: _rounded(tensor) for name, tensor in file.tensors.items()}
    ids = random_ids(file, random)
    job = {"kind": "predict", "model": model, "ids": ids.tolist(), "label": 2}
    expected = log_probabilities(replace(file, tensors=rounded), ids, 2)
    found = array(run_jobs([job])[0], file.vocabulary.size)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert len(json_text(model)) < len(json_text(described(file)))


def _rounded(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix in 255 steps for each row."""
    if tensor.ndim == 1:
        return tensor
    steps = np.abs(tensor).max(axis=1, keepdims=True) / np.float32(127)
    rounded: NDArray[np.float32] = np.rint(tensor / steps) * steps
    return rounded


SAMPLINGS: list[dict[str, Any]] = [
    {},
    {"temperature": 1.3, "topK": 5},
    {"temperature": 1.0, "topP": 0.7, "minP": 0.05},
    {"repetitionPenalty": 1.4, "repetitionWindow": 10},
    {"greedy": True},
    {"temperature": 0},
]


def snake(settings: dict[str, Any]) -> dict[str, Any]:
    """The engine's settings under ricorda's names."""
    names = {name: re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name) for name in settings}
    return {names[name]: value for name, value in settings.items()}


@needs_node
@pytest.mark.parametrize("vocabulary", ["characters", "bytes", "pieces", "documents", "labels"])
def test_the_same_seed_writes_the_same_text(vocabulary: str) -> None:
    # Always the same network: in some random ones rounding grows from symbol to symbol.
    file = make_model(Case("gru", 2, 5, vocabulary), np.random.default_rng(1))
    model, labels = reference(file), [None, *file.vocabulary.labels]
    cases: list[tuple[str, dict[str, Any]]] = [
        (prompt, {**sampling, "label": labels[seed % len(labels)], "seed": seed, "length": WRITTEN})
        for seed, sampling in enumerate(SAMPLINGS)
        for prompt in ("", "abè")
    ]
    jobs = [
        {"kind": "write", "model": described(file), "prompt": prompt, "settings": settings}
        for prompt, settings in cases
    ]
    for (prompt, settings), text in zip(cases, run_jobs(jobs), strict=True):
        assert text == model.generate(prompt, **snake(settings)), settings


@needs_node
def test_random_numbers_are_those_of_ricorda() -> None:
    keys = [(0, 0), (1, 0), (2**32, 7), (2**64 - 1, 2**64 - 1)]
    jobs: list[Job] = [
        {"kind": "uniforms", "seed": str(seed), "streamIndex": str(stream), "count": 9}
        for seed, stream in keys
    ]
    for (seed, stream), found in zip(keys, run_jobs(jobs), strict=True):
        drawn = uniforms(seed, stream)
        assert found == [next(drawn) for _ in range(9)]


@needs_node
def test_probabilities_are_those_of_ricorda(random: np.random.Generator) -> None:
    jobs: list[Job] = []
    for sampling in SAMPLINGS:
        logits = random.normal(0, 3, 40).round(1)  # some are equal
        recent = random.integers(0, 40, 6).tolist()
        jobs.append(
            {"kind": "distribution", "logits": logits.tolist(), "settings": sampling}
            | {"recent": recent, "forbidden": [int(logits.argmax())]}
        )
    for job, found in zip(jobs, run_jobs(jobs), strict=True):
        permitted = np.ones(40, np.bool_)
        permitted[job["forbidden"]] = False
        settings = SamplingSettings(**snake(job["settings"]))
        expected = distribution(np.array(job["logits"]), settings, job["recent"], permitted)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


PIECES = PieceVocabulary(
    "\n !,.09_abcdeèн", [(8, 9), (10, 11), (15, 16), (1, 8), (18, 9), (0, 0)], start="\n"
)
TEXT_VOCABULARIES: dict[str, Vocabulary] = {
    "characters": CharacterVocabulary("\n abcdeè😀", start="\n"),
    "rare characters": CharacterVocabulary("\n abcdeè", start="\n", has_rare=True),
    "bytes": ByteVocabulary(start=10, has_boundary=True),
    "pieces": PIECES,
    "rare pieces": PieceVocabulary("\n abc", [(2, 3), (5, 4)], start="\n", has_rare=True),
    "words": WordVocabulary("\n !,9_abcdeè", ["abc", "ab", "dè", "99"], start="\n"),
    "rare words": WordVocabulary(
        "\n abc", ["abc"], start="\n", has_rare=True, has_boundary=True, labels=("x",)
    ),
}
LETTERS = "\n\n  abcdeeè😀!,.099_нßàe\u0300\u0301\t\r\xa0\x1f\x85²½一\ufeff"


@needs_node
@pytest.mark.parametrize("newlines", ["normalise", "keep"])
def test_texts_are_read_and_encoded_as_by_ricorda(
    newlines: str, random: np.random.Generator
) -> None:
    texts = ["", "\ufeffabc", "ab\r\nc\rd\n", "ae\u0300b", "c\u0301", *_random_texts(random)]
    reading = {"encoding": None, "newlines": newlines, "decompress": "auto"}
    files = [with_vocabulary(each, reading) for each in TEXT_VOCABULARIES.values()]
    jobs: list[Job] = [
        {"kind": "encode", "model": described(file), "texts": texts} for file in files
    ]
    for file, results in zip(files, run_jobs(jobs), strict=True):
        for text, found in zip(texts, results, strict=True):
            vocabulary, unseen = file.vocabulary, Unseen()
            read = read_prompt(text, vocabulary, file.reading)
            ids = unseen.encode(vocabulary, read, "skip").tolist()
            gaps = [each.as_json() for each in unseen.gaps]
            assert found == {"ids": ids, "gaps": gaps}, (vocabulary.kind, text)


def _random_texts(random: np.random.Generator) -> list[str]:
    return ["".join(random.choice(list(LETTERS), 60)) for _ in range(60)]


@needs_node
def test_bytes_become_characters_as_they_are_completed(random: np.random.Generator) -> None:
    vocabulary = TEXT_VOCABULARIES["bytes"]
    sequences = [
        list("è€😀\ufeff".encode())[: 3 + cut] + random.integers(0, 257, 40).tolist()
        for cut in range(9)
    ]
    model = described(with_vocabulary(vocabulary))
    jobs: list[Job] = [{"kind": "decode", "model": model, "ids": ids} for ids in sequences]
    for ids, found in zip(sequences, run_jobs(jobs), strict=True):
        decoder = vocabulary.decoder()
        whole = [*(decoder.decode([each]) for each in ids), decoder.finish()]
        assert "".join(found) == "".join(whole)
        assert found[:3] == whole[:3]  # an invalid byte may come with the next


@needs_node
@pytest.mark.parametrize("vocabulary", ["characters", "pieces", "labels"])
def test_what_one_types_is_scored_as_by_ricorda(
    vocabulary: str, random: np.random.Generator
) -> None:
    file = make_model(Case("lstm", 1, 5, vocabulary), random)
    label = file.vocabulary.labels[0] if file.vocabulary.labels else None
    begin = "ab cd è\nabc" * 9
    texts = ["e" * 50, begin, begin + "ß", begin[:60] + "dxc", begin[:60] + "dß" + begin]
    with pytest.warns(UnseenCharactersWarning):
        scores = reference(file).score(texts[-1], 3, label=label, on_unknown="skip")
    job: Job = {"kind": "read", "model": described(file), "texts": texts, "label": label}
    (found,) = run_jobs([job | {"alternatives": 3, "most": 40}])
    is_document = file.vocabulary.boundary is not None
    thoughts = found["scores"][is_document:]  # nothing tells of the boundary before a document
    nats = [np.nan if each is None else each["nats"] for each in thoughts]
    count = len(nats)
    np.testing.assert_allclose(nats, scores.nats[:count], rtol=0, atol=1e-5)
    assert count == len(scores.nats) - is_document
    for place, each in enumerate(thoughts):
        if each is not None:
            ids, chances = zip(*each["alternatives"], strict=True)
            assert list(ids) == scores.alternative_ids[place].tolist()
            expected = scores.alternative_probabilities[place]
            np.testing.assert_allclose(chances, expected, rtol=1e-4)


@needs_node
def test_a_network_that_overflows_says_so(random: np.random.Generator) -> None:
    file = make_model(Case("rnn", nonlinearity="relu"), random)
    tensors = file.tensors | {
        "layers.0.weight_hh": np.full_like(file.tensors["layers.0.weight_hh"], 1e30),
        "layers.0.bias_hh": np.ones_like(file.tensors["layers.0.bias_hh"]),
    }
    job: Job = {"kind": "write", "model": described(replace(file, tensors=tensors))}
    assert "overflows" in run_jobs([job | {"prompt": "ab", "settings": {}}])[0]["error"]


@needs_node
def test_a_label_that_the_model_lacks_is_refused(random: np.random.Generator) -> None:
    model = described(make_model(Case("gru", vocabulary="labels"), random))
    job: Job = {"kind": "write", "model": model, "prompt": "a", "settings": {"label": "Latin"}}
    assert "Latin" in run_jobs([job])[0]["error"]


@needs_node
def test_the_folder_runs_in_node(tmp_path: Path, random: np.random.Generator) -> None:
    file = make_model(Case("gru"), random)
    export_model(file, "web", tmp_path / "page")
    assert NODE is not None
    command = [NODE, str(tmp_path / "page" / "example.mjs"), "abc", "50"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == reference(file).generate("abc", length=50, seed=1)
    assert len(done.stderr.split()) == 3


# The page.


class Tags(HTMLParser):
    """The elements of a page, and what stands in its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.scripts and self.found[-1] == "script":
            self.scripts[-1] += data


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--"


def hostile_model(random: np.random.Generator) -> ModelFile:
    """A model whose names and symbols would be a script if they were not text."""
    file = make_model(Case("lstm", 1, 5, "labels"), random)
    symbols = "".join(sorted(set(HOSTILE + "\n&\"'\u2028")))
    vocabulary = CharacterVocabulary(
        symbols, start="\n", has_boundary=True, labels=(HOSTILE, "\u202ex")
    )
    configuration = replace(file.configuration, vocabulary_size=vocabulary.size)
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    training = {"texts": [HOSTILE], "validation": {"bits_per_character": 1.25}}
    return ModelFile(configuration, vocabulary, tensors, training, name=HOSTILE)


def test_the_page_holds_the_model_and_its_names_as_text_alone(random: np.random.Generator) -> None:
    file = hostile_model(random)
    files = export(file, "float32").files
    page = files["index.html"].decode()
    tags = Tags(page)
    assert tags.found.count("script") == 3
    assert "img" not in tags.found
    assert json.loads(tags.scripts[1]) == json.loads(files["model.json"]) == described(file)
    assert not re.search(
        r"https?://(?!www\.w3\.org/2000/svg)|\bsrc\s*=\s*[\"']|@import|url\(", page
    )


def test_both_languages_say_the_same_things() -> None:
    words = json.loads((ENGINE.parent / "words.json").read_text("utf-8"))
    page = (ENGINE.parent / "page.html").read_text("utf-8")
    script = (ENGINE.parent / "page.js").read_text("utf-8")
    for key, texts in words.items():
        english, italian = (set(re.findall(r"\{(\w+)\}", text)) for text in texts)
        assert english == italian, key
        assert f'"{key}"' in script + page or key.endswith("_hint"), key
    for key in re.findall(r'data-words="(\w+)"', page):
        assert key in words


def test_a_model_is_called_by_its_run_or_its_file(
    tmp_path: Path, random: np.random.Generator
) -> None:
    file = make_model(Case("gru"), random)
    for path, name in (("runs/dante/model.safetensors", "dante"), ("poems.safetensors", "poems")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        write_model_file(tmp_path / path, file)
        assert read_model_file(tmp_path / path).name == name


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One headless Chromium; tests that need it are skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


class Opened:
    """A page of an exported model; whatever it complains of or asks for is kept."""

    def __init__(self, browser: "Browser", folder: Path, file: ModelFile, **options: Any) -> None:
        export_model(file, "web", folder)
        given: dict[str, Any] = {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}}
        self.context = browser.new_context(reduced_motion="reduce", **given | options)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = (folder / "index.html").as_uri()
        self.page.goto(self.url)
        self.page.wait_for_selector("html[data-ready]")

    def type(self, text: str) -> None:
        """Type a beginning and wait until it is read."""
        self.page.fill("#prompt", text)
        self.page.wait_for_function("() => reading.done === reading.ids.length")

    def set(self, **settings: float) -> None:
        """Move sliders."""
        for name, value in settings.items():
            self.page.fill(f"#{name}", str(value))

    def written(self) -> str:
        """Press the button, wait for the end and return what was written."""
        self.page.click("#write")
        self.page.wait_for_function("() => writer !== null && !isWriting")
        return self.shown(".written")

    def shown(self, selector: str = "") -> str:
        """The text of symbols."""
        return "".join(self.page.locator(f"#text > span{selector}").all_text_contents())


@pytest.fixture
def opened(browser: "Browser", tmp_path: Path) -> "Iterator[Any]":
    """Open pages; at the end each must have been silent and have loaded nothing."""
    pages: list[Opened] = []

    def open_it(file: ModelFile, **options: Any) -> Opened:
        pages.append(Opened(browser, tmp_path / str(len(pages)), file, **options))
        return pages[-1]

    yield open_it
    for each in pages:
        each.context.close()
        assert each.complaints == []
        assert each.requests == [each.url]


def test_the_page_writes_what_ricorda_writes(opened: Any) -> None:
    file = make_model(Case("lstm", 2, 5), np.random.default_rng(1))
    found: Opened = opened(file)
    found.set(temperature=0, length=1000)
    assert found.written() == reference(file).generate("", length=1000, greedy=True)
    found.type("abc è")
    found.set(temperature=0.9, topK=7, topP=0.9, minP=0.02, repetitionPenalty=1.1, length=400)
    found.page.fill("#seed", "18446744073709551615")
    options: dict[str, Any] = {"temperature": 0.9, "top_k": 7, "top_p": 0.9, "min_p": 0.02}
    expected = reference(file).generate(
        "abc è", length=800, seed=2**64 - 1, repetition_penalty=1.1, **options
    )
    assert found.written() == expected[:400]
    found.page.click("#continue")
    found.page.wait_for_function("() => writer.written === 800 && !isWriting")
    assert found.shown(".written") == expected
    assert found.shown(":not(.written)") == "abc è"


def test_typing_shows_surprise_and_what_was_expected(
    opened: Any, random: np.random.Generator
) -> None:
    file = make_model(Case("gru", 1, 5, "labels"), random)
    found: Opened = opened(file)
    page = found.page
    for label in ("Italian", ""):
        page.select_option("#label", label)
        found.type("ab cdß è\n")
        with pytest.warns(UnseenCharactersWarning):
            scores = reference(file).score("ab cdß è\n", 1, label=label or None, on_unknown="skip")
        bits = (scores.nats[:8] / np.log(2)).tolist()
        levels = [min(9, int(each)) for each in bits if not np.isnan(each)]
        classes = " ".join(
            each.get_attribute("class") or "" for each in page.locator("#text > span").all()
        )
        assert list(map(int, re.findall(r"\bs(\d)\b", classes))) == levels
    assert page.inner_text("#left-out").endswith("ß")
    assert page.inner_text("#text .gap") == "ß"
    page.hover("#text > span >> nth=1")
    assert page.inner_text("#inspector .bits") == f"{bits[1]:.2f} bits"
    likeliest = file.vocabulary.label(int(scores.alternative_ids[1][0]))
    shown = {" ": "␣", "\\n": "↵"}.get(likeliest, likeliest)
    assert page.inner_text("#inspector .expected bdi >> nth=0") == shown
    page.hover("h1")
    assert page.inner_text("#inspector-name") == "What comes next"
    chances = page.locator("#inspector .chances button")
    added = chances.first.locator("bdi").inner_text().replace("␣", " ").replace("↵", "\n")
    chances.first.click()
    assert page.input_value("#prompt") == "ab cdß è\n" + added


def test_bytes_of_a_character_are_one_element(opened: Any, random: np.random.Generator) -> None:
    file = make_model(Case("lstm", 1, 5, "bytes"), random)
    found: Opened = opened(file)
    found.type("aè€😀")
    assert found.page.locator("#text > span").all_text_contents() == ["a", "è", "€", "😀"]
    scores = reference(file).score("aè€😀")
    found.page.hover("#text > span >> nth=1")
    bits = scores.nats[1:3].sum() / np.log(2)
    assert found.page.inner_text("#inspector .bits") == f"{bits:.2f} bits"


def test_the_keyboard_is_enough(opened: Any, random: np.random.Generator) -> None:
    page = opened(make_model(Case("gru"), random)).page
    page.fill("#length", "5000")
    page.focus("#prompt")
    page.keyboard.type("ab c")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => writer !== null && writer.written > 0")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !isWriting")
    page.focus("#text")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#text .held") == "b"
    assert "b: " in page.inner_text("#notice")
    page.focus("#temperature")
    page.keyboard.press("End")
    assert page.inner_text("output[for=temperature]") == "2.00"
    page.click("#reset")
    assert page.inner_text("output[for=temperature]") == "0.80"


def test_a_seed_that_is_none_is_reported(opened: Any, random: np.random.Generator) -> None:
    page = opened(make_model(Case("gru"), random)).page
    page.fill("#seed", "18446744073709551616")
    page.click("#write")
    assert "seed" in page.inner_text("#problem")
    page.fill("#seed", "1")
    page.click("#write")
    page.wait_for_function("() => writer !== null && !isWriting")
    assert page.is_hidden("#problem")


def test_nothing_of_a_model_is_run(opened: Any, random: np.random.Generator) -> None:
    found: Opened = opened(hostile_model(random))
    assert found.page.inner_text("h1") == HOSTILE
    assert HOSTILE in found.page.inner_text("#about")
    assert "1.250" in found.page.inner_text("#figures")
    found.type(HOSTILE + "\u2028")
    found.page.select_option("#label", HOSTILE)
    found.written()
    assert found.page.locator("img").count() == 0


def test_everybody_can_use_it(opened: Any, random: np.random.Generator) -> None:
    pytest.importorskip("axe_playwright_python")
    from tests.studio.test_page_accessibility import axe_violations

    file = make_model(Case("lstm", 1, 5, "labels"), random)
    found: Opened = opened(file, viewport={"width": 400, "height": 800}, locale="it-IT")
    page = found.page
    assert page.get_attribute("html", "lang") == "it"
    found.type("ab cdß è\n" * 3)
    page.check("#colours")
    found.written()
    for language, heading in (("it", "Impostazioni"), ("en", "Settings")):
        page.select_option("#language", language)
        assert page.inner_text("#settings-name") == heading
        for theme in ("light", "dark"):
            page.select_option("#theme", theme)
            page.focus("#text")
            page.keyboard.press("Home")
            assert axe_violations(page) == [], (language, theme)
    widths = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert widths[0] <= widths[1]
