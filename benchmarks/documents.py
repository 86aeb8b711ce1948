"""Documents: names as lines against one stream, labels against scikit-learn, prompts side by side.

Every text is given: `--names FILE` with a name on each line, `--languages FOLDER` with a file of
names for each language. A tenth of the lines, drawn by a seed, is held back and never trained on.
"""

import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ricorda
from benchmarks.encoding import encoded
from benchmarks.figures import Result, ratio_of, report, spread
from benchmarks.runs import MEGABYTE, measured, train
from ricorda.engine.classification import Prior
from ricorda.errors import MissingExtra

LEAST_GAIN = 0.05  # bits per character
NAMES = 50
PROMPTS = 32
LINES = 1_000_000
LINE_BYTES = 1000
SEED = 1
NGRAMS = (1, 5)
LEAST_MEAN = 0.56  # over languages


def measure_names(*, names: Path | None, minutes: float, **_: Any) -> Iterator[Result]:
    """Train on names as documents and as one stream; compare bits per character of held-back names.

    Both figures count a name's first character and its end, per character of the names.
    """
    if names is None:
        report("without --names: documents against one stream is left out")
        return
    with tempfile.TemporaryDirectory(prefix="ricorda-") as place:
        training, held_back = divided(read_lines(names), Path(place))
        budget = ("--minutes", f"{minutes:g}", "--seed", str(SEED), "--validation", str(held_back))
        as_documents, as_stream = Path(place, "documents"), Path(place, "stream")
        train(training, as_documents, *budget, "--documents", "lines")
        train(training, as_stream, *budget, "--documents", "text")
        ours = bits_of_documents(as_documents, held_back)
        theirs = bits_of_stream(as_stream, held_back)
        yield Result(
            f"{names.name}, {minutes:g} minutes: bits per character saved by documents",
            "one stream",
            spread([theirs - ours]),
            LEAST_GAIN,
            unit="bits",
            details={"documents_bits": ours, "stream_bits": theirs},
        )
        yield from _new_names(as_documents, training)


def _new_names(run: Path, training: Path) -> Iterator[Result]:
    """Write names that are new and differ."""
    words = ("sample", str(run), "--count", str(NAMES), "--unique", "--novel", "--seed", str(SEED))
    printed, _ = measured([sys.executable, "-m", "ricorda", *words])
    written = printed.splitlines()
    known = set(read_lines(training))
    new = [name for name in dict.fromkeys(written) if name not in known]
    report("some of them: " + ", ".join(new[:8]))
    yield Result(
        f"sample --count {NAMES} --unique --novel: names that are new and differ",
        f"{len(written)} lines written",
        spread([float(len(new))]),
        NAMES,
        unit="names",
    )


def measure_languages(*, languages: Path | None, minutes: float, **_: Any) -> Iterator[Result]:
    """Classify held-back names by language, against scikit-learn on character n-grams."""
    if languages is None:
        report("without --languages: classification is left out")
        return
    peers = list(_peers())  # before the training, in case they are not installed
    with tempfile.TemporaryDirectory(prefix="ricorda-") as place:
        known, held_back = divided_by_file(languages, Path(place))
        run = Path(place, "run")
        options = ("--documents", "lines", "--label-from", "file", "--validation-fraction", "0.05")
        budget = ("--minutes", f"{minutes:g}", "--seed", str(SEED))
        train(Path(place, "training"), run, *options, *budget)
        model = ricorda.load(run)
        texts, labels = zip(*held_back, strict=True)
        what = f"names of {len(set(labels))} languages, {len(texts):,} held back"
        accuracy, mean = _accuracies_of(model, texts, labels, "training")
        for name, peer in peers:
            peer.fit(*map(list, zip(*known, strict=True)))
            their_accuracy, their_mean = accuracies(labels, peer.predict(list(texts)))
            for figure, ours, theirs in (
                ("accuracy", accuracy, their_accuracy),
                ("mean over languages", mean, their_mean),
            ):
                yield Result(
                    f"{what}: {figure}", name, spread([ours - theirs]), 0.0,
                    unit="difference", details={"ours": ours, "theirs": theirs},
                )  # fmt: skip
        accuracy, mean = _accuracies_of(model, texts, labels, "uniform")
        yield Result(
            f"{what}, uniform prior: mean over languages", "", spread([mean]), LEAST_MEAN,
            unit="share", details={"accuracy": accuracy},
        )  # fmt: skip


def _accuracies_of(
    model: ricorda.Model, texts: Sequence[str], labels: Sequence[str], prior: Prior
) -> tuple[float, float]:
    found = model.classify_documents(list(texts), prior=prior, on_unknown="skip")
    return accuracies(labels, [each.label for each in found])


def _peers() -> Iterator[tuple[str, Any]]:
    """scikit-learn's classifiers on character n-grams, through its public API."""
    try:
        from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.naive_bayes import MultinomialNB
        from sklearn.pipeline import make_pipeline
    except ImportError as error:
        raise MissingExtra("scikit-learn is not installed: pip install scikit-learn") from error
    ngrams = {"analyzer": "char_wb", "ngram_range": NGRAMS, "lowercase": False}
    yield (
        "naive Bayes, 1- to 5-grams",
        make_pipeline(CountVectorizer(**ngrams), MultinomialNB(alpha=0.1)),
    )
    yield (
        "logistic regression, 1- to 5-grams",
        make_pipeline(TfidfVectorizer(**ngrams), LogisticRegression(C=10, max_iter=2000)),
    )


def measure_prompts(*, names: Path | None, rounds: int, **_: Any) -> Iterator[Result]:
    """Continue prompts side by side, against one after the other: the same texts."""
    if names is None:
        report("without --names: prompts side by side are left out")
        return
    with tempfile.TemporaryDirectory(prefix="ricorda-") as place:
        run = Path(place, "run")
        train(names, run, "--documents", "lines", "--steps", "20", "--hidden-size", "512")
        model = ricorda.load(run, threads=1)
        prompts = [name[:2] for name in read_lines(names)[:PROMPTS]]
        options: dict[str, Any] = {"length": 200, "seed": SEED}

        def together() -> list[str]:
            return list(model.generate_many(prompts, **options))

        def one_by_one() -> list[str]:
            return [model.generate(prompt, **options) for prompt in prompts]

        if together() != one_by_one():
            raise RuntimeError("prompts side by side have other texts than one after the other")
        pairs = [(seconds(together), seconds(one_by_one)) for _ in range(rounds)]
    yield Result(f"{PROMPTS} prompts side by side", "one by one", ratio_of(pairs), 4.0)


def measure_lines(*, folder: Path | None, largest: int, **_: Any) -> Iterator[Result]:
    """Encode a million documents, against the same text undivided; the share of shuffling."""
    size = min(largest, LINES * LINE_BYTES)
    with tempfile.TemporaryDirectory(prefix="ricorda-", dir=folder) as name:
        text = Path(name, "lines.txt")
        report(f"writing {LINES:,} lines of {size / MEGABYTE:,.0f} MB")
        write_lines(text, LINES, size)
        undivided, divided_ = (encoded(text, Path(name), each) for each in ("text", "lines"))
        what = f"encoding {LINES:,} documents"
        pair = (divided_["seconds"], undivided["seconds"])
        yield Result(f"{what}: speed", "undivided", ratio_of([pair]))
        memory = divided_["megabytes"] / undivided["megabytes"]
        yield Result(f"{what}: peak memory", "undivided", spread([memory]), unit="times")
        yield from _shuffling(text, Path(name))


def _shuffling(text: Path, place: Path) -> Iterator[Result]:
    """The time that windows of shuffled documents take, as a share of a training step's."""
    options = ("--hidden-size", "256", "--steps", "60", "--documents", "lines")
    trained = train(text, place / "run", *options, "--cache", str(place / "cache"))
    step = 1 / trained.speed()
    from ricorda.text import Cache, ReadingSettings, WindowStream, encode_sources, find_sources

    encoded_text = encode_sources(
        find_sources([text]),
        vocabulary="characters",
        folder=place,
        reading=ReadingSettings(documents="lines"),
        cache=Cache(place / "cache"),
    )
    stream = WindowStream(encoded_text.part, batch_size=16, window=64, seed=SEED)
    stream.window_at(0)  # draws the order of the epoch
    began = time.perf_counter()
    for number in range(1, 201):
        stream.window_at(number)
    window = (time.perf_counter() - began) / 200 / (16 * 64)
    share = window / step
    yield Result(
        "windows of a million shuffled documents: share of a step of LSTM 256",
        "the step", spread([share]), 0.05, at_most=True, unit="share",
    )  # fmt: skip


def read_lines(path: Path) -> list[str]:
    """The lines of a file that are not empty."""
    return [line for line in path.read_text("utf-8").splitlines() if line]


def held_back_lines(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Draw a tenth of the lines; return those that train and those that are held back."""
    drawn = random.Random(SEED).sample(range(len(lines)), len(lines) // 10)
    chosen = set(drawn)
    kept = [line for number, line in enumerate(lines) if number not in chosen]
    return kept, [lines[number] for number in sorted(chosen)]


def divided(lines: Sequence[str], place: Path) -> tuple[Path, Path]:
    """Write lines to a file that trains and one that is held back, in an order drawn by a seed.

    A stream would learn from an order by the alphabet which line follows.
    """
    shuffled = random.Random(SEED).sample(lines, len(lines))
    files = place / "training.txt", place / "held-back.txt"
    for file, part in zip(files, held_back_lines(shuffled), strict=True):
        file.write_text("".join(line + "\n" for line in part), "utf-8")
    return files


Labelled = list[tuple[str, str]]


def divided_by_file(folder: Path, place: Path) -> tuple[Labelled, Labelled]:
    """Draw a tenth of all names; write the others to files of the same names in `training`.

    Returns the names and their labels of both parts.
    """
    pairs = [
        f"{line}\t{file.stem}" for file in sorted(folder.glob("*.txt")) for line in read_lines(file)
    ]
    parts = held_back_lines(pairs)
    known, held_back = ([_pair(each) for each in part] for part in parts)
    (place / "training").mkdir()
    for label in sorted({label for _, label in known}):
        content = "".join(name + "\n" for name, other in known if other == label)
        Path(place, "training", f"{label}.txt").write_text(content, "utf-8")
    return known, held_back


def _pair(row: str) -> tuple[str, str]:
    name, label = row.split("\t")
    return name, label


def accuracies(labels: Sequence[str], found: Sequence[str]) -> tuple[float, float]:
    """The share that was found right, and the mean of the labels' own shares."""
    right = np.array([label == other for label, other in zip(labels, found, strict=True)])
    of_label = [right[np.array([each == label for each in labels])].mean() for label in set(labels)]
    return float(right.mean()), float(np.mean(of_label))


def bits_of_documents(run: Path, held_back: Path) -> float:
    """Bits per character of held-back lines as documents, ends included."""
    printed, _ = measured(
        [sys.executable, "-m", "ricorda", "evaluate", str(run), str(held_back), "--json"]
    )
    return float(json.loads(printed.splitlines()[-1])["bits_per_character"])


def bits_of_stream(run: Path, held_back: Path) -> float:
    """The same of lines read as one stream: line ends are their ends, and no characters of them."""
    model = ricorda.load(run)
    lines = read_lines(held_back)
    scores = model.score("\n" + "\n".join(lines) + "\n")
    return float(np.nansum(scores.nats)) / math.log(2) / sum(map(len, lines))


def seconds(work: Any) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write_lines(path: Path, count: int, size: int) -> None:
    """Write so many different lines of different lengths, about `size` bytes in all."""
    draws = random.Random(SEED)
    words = ["".join(draws.choices("etaoinshrdlu", k=draws.randint(1, 9))) for _ in range(5000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            line = " ".join(draws.choices(words, k=draws.randint(1, 2 * size // count // 6)))
            file.write(f"{number} {line}\n")
