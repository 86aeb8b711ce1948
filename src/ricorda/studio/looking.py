"""What a trained model shows of itself, as the page asks for it."""

import functools
import math
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.engine import Generation, Model, Scores, open_model, score
from ricorda.engine.backend import Ids, ScoringBackend
from ricorda.engine.sampling import most_likely_first
from ricorda.errors import RunError, TextError
from ricorda.insight.clamping import clamped
from ricorda.insight.deletion import Influence, agreement, influence
from ricorda.insight.health import Health, unit_health
from ricorda.insight.memorisation import (
    Written,
    characters_of,
    first_characters,
    shared_stretches,
    written_by,
)
from ricorda.insight.step_equation import step_equation
from ricorda.insight.tracking import Tracked, track_units, within_one
from ricorda.insight.units import Unit, read_activations, unit_activity
from ricorda.model import ModelFile
from ricorda.model.model_file import read_model_file
from ricorda.runs import RunFolder
from ricorda.studio import settings as ask
from ricorda.studio.reading import reading_of
from ricorda.studio.texts import Passage, Texts
from ricorda.text import ByteVocabulary
from ricorda.text.unseen import KnownText, Unseen, no_symbols_error
from ricorda.text.vocabulary import readable

KEPT = 2  # models in memory
ALTERNATIVES = 8
MOST_SHOWN = 60  # symbols of a distribution
TRACKED_SYMBOLS = 20_000
TRACKED_VALUES = 40_000_000  # units times symbols
LONGEST_QUOTED = 1_000  # characters of a stretch that is shown
DISTANCE = 50  # symbols that are looked back
MOST_RANKED = 4_096  # units sent
MOST_LABELS = 500  # offered
NO_MODEL = "this run has no model yet: the first evaluation writes it"

Stamp = tuple[Path, int]
"""A model file and when it was written."""


class Looking:
    """The models of a workspace's runs and what they show; from any thread, one at a time."""

    def __init__(self, texts: Texts) -> None:
        """Take the texts that the runs learn."""
        self._texts = texts
        self._lock = threading.Lock()
        self._opened = functools.lru_cache(KEPT)(_open)
        self._ranked = functools.lru_cache(2 * KEPT)(self._rank)
        self._levels = functools.lru_cache(1)(self._read_levels)

    def surprise(self, run: RunFolder, request: ask.SurpriseRequest) -> dict[str, Any]:
        """Each symbol of a text, its surprisal in bits and what was likelier.

        If the reader is adaptive, `frozen` holds the same figures of the network as it is.
        """
        passage = self._passage(run, request)
        with self._lock:
            _, model = self._load(run)
            known = _known(model, passage)
            frozen = _surprise(model, model.backend, known)
            if not request.adaptive:
                return {**_symbols(model, known), **frozen}
            adaptive = _surprise(model, model.adaptive_backend(), known)
        del frozen["alternatives"]
        return {**_symbols(model, known), **adaptive, "frozen": frozen}

    def units(self, run: RunFolder) -> dict[str, Any]:
        """All units, ranked by what they track in the text."""
        with self._lock:
            return self._ranked(run, _stamp(run))

    def activity(self, run: RunFolder, request: ask.UnitRequest) -> dict[str, Any]:
        """What one unit did at each symbol of a text."""
        passage, unit = self._passage(run, request), Unit(request.layer, request.unit)
        with self._lock:
            _, model = self._load(run)
            known = _known(model, passage)
            values = unit_activity(model, known, [unit])[:, 0]
        return {**_symbols(model, known), "values": [round(each, 4) for each in values.tolist()]}

    def heat(self, run: RunFolder, request: ask.HeatRequest) -> bytes:
        """What some units did: a signed byte for each unit and symbol, -127 to 127, by unit."""
        passage = self._passage(run, request)
        with self._lock:
            _, model = self._load(run)
            shape = model.configuration
            units = [Unit(*each).checked(shape) for each in request.units]
            levels = self._levels(_stamp(run), passage)
        columns = [unit.layer * shape.hidden_size + unit.number for unit in units]
        return np.ascontiguousarray(levels[:, columns].T).tobytes()

    def step(self, run: RunFolder, request: ask.PlaceRequest) -> dict[str, Any]:
        """One unit's equation with its numbers, at one symbol of a text."""
        passage, unit = self._passage(run, request), Unit(request.layer, request.unit)
        with self._lock:
            file, model = self._load(run)
            step = step_equation(file, _known(model, passage), request.position, unit)
        return step.as_json()

    def influence(self, run: RunFolder, request: ask.PositionRequest) -> dict[str, Any]:
        """How far the chances at one place move, in bits, without each symbol before it."""
        passage = self._passage(run, request)
        with self._lock:
            file, model = self._load(run)
            known = _known(model, passage)
            found = influence(model, known, [request.position], distance=DISTANCE)
            more = _by_gradient(file, known.ids, found) if request.gradient else {}
        past = [
            [place, symbol, round(divergence / math.log(2), 4)]
            for place, symbol, _, divergence in found.at(0)
        ]
        return {"past": past, **more}

    def clamp(self, run: RunFolder, request: ask.ClampRequest) -> dict[str, Any]:
        """Two continuations from the same seed: as the model is, and with a unit held."""
        unit = Unit(request.layer, request.unit)
        with self._lock:
            file, model = self._load(run)
            held = open_model(clamped(file, {unit: request.value}))
            seed = 1 if request.seed is None else request.seed
            prompt, unknown = _readable_prompt(model, request.text)
            both = [
                each.generate(
                    prompt,
                    length=request.length,
                    seed=seed,
                    label=request.label,
                    **request.sampling,
                )
                for each in (model, held)
            ]
        return {"as_it_is": both[0], "held": both[1], "unknown": unknown}

    def next(self, run: RunFolder, request: ask.NextRequest) -> dict[str, Any]:
        """The chances of the symbol after a text: the model's own, and as the settings shape them.

        The symbols are those that are most likely in either way.
        """
        with self._lock:
            _, model = self._load(run)
            prompt, unknown = _readable_prompt(model, request.text)
            label = request.label
            own = model.distribution(prompt, label=label, temperature=1.0).probabilities
            shaped = model.distribution(prompt, label=label, **request.sampling).probabilities
        order = most_likely_first(own)[:MOST_SHOWN].tolist()
        extra = [
            each for each in most_likely_first(shaped)[:MOST_SHOWN].tolist() if each not in order
        ]
        shown = [*order, *(each for each in extra if shaped[each] > 0)]
        return {
            "symbols": [
                {
                    "label": model.vocabulary.label(each),
                    "text": _alone(model, each),
                    "own": float(own[each]),
                    "shaped": float(shaped[each]),
                }
                for each in shown
            ],
            "possible": int((shaped > 0).sum()),
            "different": model.vocabulary.size,
            "labels": model.vocabulary.labels[:MOST_LABELS],
            "unknown": unknown,
            "own_bits": _entropy(own),
            "shaped_bits": _entropy(shaped),
        }

    def write(self, run: RunFolder, request: ask.WriteRequest) -> dict[str, Any]:
        """Continue a text."""
        with self._lock:
            generation, _, unknown = self._begin(run, request)
            return {"text": generation.text(), "seed": generation.seed, "unknown": unknown}

    def stream(self, run: RunFolder, request: ask.StreamRequest) -> Iterator[dict[str, Any]]:
        """Continue a text: yields what is known before, pieces of text, then how it ended.

        `ended` is "length" or "stop", the end of a document. Other looks take their turn between
        two pieces.
        """
        with self._lock:
            generation, prompt, unknown = self._begin(run, request)
        yield {"seed": generation.seed, "unknown": unknown, "prompt": prompt}
        while True:
            with self._lock:
                piece = next(generation, None)
            if piece is None:
                break
            yield {"text": piece.text}
        yield {"ended": generation.ended}

    def memorised(self, run: RunFolder, request: ask.MemorisedRequest) -> dict[str, Any]:
        """Find the longest passage that the model copies verbatim from its training text.

        As many characters of the validation text are searched too. If it has fewer, the model
        writes fewer.
        """
        vocabulary, parts = self._texts.parts(reading_of(run))
        kept_back = parts.validation
        length = min(request.length, parts.training.symbols)
        if kept_back is not None:
            length = min(length, kept_back.symbols)
        with self._lock:
            file, _ = self._load(run)
            model = open_model(file, precision="auto")  # as the command does
            text, _ = written_by(model, length, seed=request.seed)
        written: list[Written] = [text]
        if kept_back is not None:
            size = length if isinstance(text, str | bytes) else sum(map(len, text))
            written.append(first_characters(characters_of(vocabulary, kept_back), size))
        learned = characters_of(vocabulary, parts.training)
        divided = vocabulary.boundary is not None
        own, *usual = shared_stretches(written, learned, documents=divided)
        return {
            "length": length,
            "longest": own.longest.length,
            "text": own.longest.text[:LONGEST_QUOTED],
            "chance": round(own.chance, 1) if math.isfinite(own.chance) else None,
            "kept_back": usual[0].longest.length if usual else None,
            "shares": [
                [each, share, usual[0].shares[each] if usual else None]
                for each, share in own.shares.items()
                if share is not None
            ],
        }

    def model_file(self, run: RunFolder) -> ModelFile:
        """A run's best model so far, for an export. Raises RunError if there is none yet."""
        with self._lock:
            return self._load(run)[0]

    def _begin(self, run: RunFolder, request: ask.WriteRequest) -> tuple[Generation, str, str]:
        """Begin a text; return it, its prompt, and what of the prompt the model never saw."""
        _, model = self._load(run)
        prompt, unknown = _readable_prompt(model, request.text)
        generation = model.begin(
            prompt,
            length=request.length,
            seed=request.seed,
            label=request.label,
            **request.sampling,
        )
        return generation, prompt, unknown

    def _load(self, run: RunFolder) -> tuple[ModelFile, Model]:
        """A run's best model so far. Raises RunError if there is none yet."""
        return self._opened(_stamp(run))

    def _passage(self, run: RunFolder, request: ask.ReadRequest) -> Passage:
        """What is to be read: the text sent, a whole document, or a stretch of the run's own."""
        if request.text is not None:
            if not request.text:
                raise TextError("expected a text of at least one character, got none")
            return (request.text, "")
        return self._texts.stretch(reading_of(run), request.begin, request.length)

    def _rank(self, run: RunFolder, stamp: Stamp) -> dict[str, Any]:
        """Rank units on the beginning of the text, as `ricorda units` does."""
        _, model = self._opened(stamp)
        units = model.configuration.num_layers * model.configuration.hidden_size
        most = max(1_000, min(TRACKED_SYMBOLS, TRACKED_VALUES // units))
        known = _known(model, self._texts.stretch(reading_of(run), 0, most))
        ranking = _ranking(track_units(model, known, symbols=most), unit_health(model, known))
        return {"bounded": model.configuration.is_bounded, **ranking}

    def _read_levels(self, stamp: Stamp, passage: Passage) -> NDArray[np.int8]:
        """Every unit's output at every symbol, (T, L * H), in 127ths of its range.

        Outputs without bounds are mapped by x / (1 + |x|) first.
        """
        _, model = self._opened(stamp)
        bounded = model.configuration.is_bounded
        blocks = [
            np.rint(np.clip(within_one(block.arrays["hidden"], bounded), -1, 1) * 127).astype(
                np.int8
            )
            for block in read_activations(model, _known(model, passage).ids)
        ]
        found = np.concatenate(blocks)  # (T, L, H)
        return found.reshape(len(found), -1)


def _open(stamp: Stamp) -> tuple[ModelFile, Model]:
    """A model that may be kept until its file is written again."""
    file = read_model_file(stamp[0])
    return file, open_model(file)


def _stamp(run: RunFolder) -> Stamp:
    """The state of a run's model file. Raises RunError if there is none."""
    try:
        status = run.model.lstat()
    except OSError:
        raise RunError(NO_MODEL) from None
    if not stat.S_ISREG(status.st_mode):
        raise RunError("expected a file as this run's model, found a link or something else")
    return run.model, status.st_mtime_ns


def _known(model: Model, passage: Passage) -> KnownText:
    """What a model reads and leaves out of a passage. Raises TextError if it reads nothing.

    Of a model of documents, a boundary stands before each and after the last, if that is whole.
    """
    unseen = Unseen()
    boundary = model.vocabulary.boundary
    blocks: list[Ids] = []
    for document in passage:
        if boundary is not None:
            blocks.append(np.array([boundary], np.uint32))
            unseen.symbols += 1
        blocks.append(unseen.encode(model.vocabulary, model.read_prompt(document), "skip"))
    ids = np.concatenate(blocks)
    if not model.vocabulary.count(ids)[0]:
        raise no_symbols_error()
    return KnownText(ids, tuple(unseen.gaps))


def _surprise(model: Model, backend: ScoringBackend, known: KnownText) -> dict[str, Any]:
    """The surprisal of each symbol to a reader, the likelier ones, and the mean."""
    scores, skipped = _scored(model, backend, known)
    places = range(len(known.ids) - skipped)  # of the scores; the symbols skipped have none
    nats = scores.nats[: len(places)]
    counted = ~np.isnan(nats)
    characters = model.vocabulary.count(scores.ids[: len(places)][counted])[0]
    total = float(nats[counted].sum()) / math.log(2)
    return {
        "bits": [None] * skipped
        + [None if math.isnan(each) else round(each / math.log(2), 3) for each in nats],
        "alternatives": [[] for _ in range(skipped)]
        + [
            [[symbol, round(chance, 5)] for symbol, chance in scores.alternatives(place)]
            for place in places
        ],
        "characters": characters,
        "mean_bits": round(total / characters, 4) if characters else None,
    }


def _scored(model: Model, backend: ScoringBackend, known: KnownText) -> tuple[Scores, int]:
    """The scores of a text, and the number of its first symbols that have none.

    Of documents that is the boundary at the beginning. A boundary after the last symbol is scored
    too, whether the text has it or not.
    """
    vocabulary, ids, gaps = model.vocabulary, known.ids, known.gaps
    if vocabulary.boundary is None:
        return score(backend, vocabulary, ids, ALTERNATIVES, gaps), 0
    inner = ids[1:-1] if ids[-1] == vocabulary.boundary else ids[1:]
    gaps = tuple(replace(gap, before=gap.before - 1) for gap in gaps)
    return score(backend, vocabulary, inner, ALTERNATIVES, gaps), 1


def _readable_prompt(model: Model, text: str) -> tuple[str, str]:
    """What a model reads of a prompt, and the characters that it never saw, each once."""
    text = model.read_prompt(text)
    unknown = model.vocabulary.unknown(text)
    return "".join(each for each in text if each not in unknown), unknown


def _symbols(model: Model, known: KnownText) -> dict[str, Any]:
    """The symbols of a text, and the names of those that cannot be shown.

    `unseen` are the characters that the model never saw, each before the symbol of its number,
    `boundaries` the places between documents.
    """
    numbers = known.ids.tolist()
    return {
        "unseen": [[gap.before, readable(each)] for gap in known.gaps for each in gap.characters],
        "symbols": [_alone(model, each) for each in numbers],
        "boundaries": np.flatnonzero(known.ids == model.vocabulary.boundary).tolist(),
        "labels": {
            place: model.vocabulary.label(each)
            for place, each in enumerate(numbers)
            if model.vocabulary.label(each) != _alone(model, each)
        },
    }


def _alone(model: Model, symbol: int) -> str:
    """A symbol's own text; a byte that is no character by itself has its name."""
    if isinstance(model.vocabulary, ByteVocabulary) and symbol >= 0x80:
        return model.vocabulary.label(symbol)
    return model.vocabulary.decode([symbol])


def _ranking(tracked: Tracked, health: Health) -> dict[str, Any]:
    """What the page shows of the ranking."""
    return {
        "symbols": tracked.symbols,
        "shifts": tracked.shifts,
        "features": {feature.key: feature.description for feature in tracked.features},
        "units": [
            {
                "layer": entry.unit.layer,
                "unit": entry.unit.number,
                "feature": entry.feature.key,
                "direction": entry.direction,
                "effect": round(entry.effect, 4),
                "control": round(entry.control, 4),
                "p_value": round(entry.p_value, 4),
                "health": health.state_of(entry.unit),
            }
            for entry in tracked.ranking[:MOST_RANKED]
        ],
        "dead": len(health.dead),
        "saturated": len(health.saturated),
        "control_best": round(max(tracked.control_best), 4),
    }


def _by_gradient(file: ModelFile, ids: Ids, found: Influence) -> dict[str, Any]:
    """How steep the chance of what followed is at each past symbol, and how the ways agree."""
    from ricorda.insight import gradient_influence

    distance = len(found.distances)
    _, slopes = gradient_influence(file, ids, found.positions.tolist(), distance=distance)
    agreed = agreement(found.nats, slopes).at_a_place
    return {
        "gradient": [
            [place, symbol, round(float(slope), 4)]
            for (place, symbol, *_), slope in zip(found.at(0), slopes[0], strict=False)
        ],
        "agreement": None if agreed is None else round(agreed, 4),
    }


def _entropy(probabilities: NDArray[np.float64]) -> float:
    """How undecided a distribution is, in bits."""
    positive = probabilities[probabilities > 0]
    return max(0.0, float(-(positive * np.log2(positive)).sum()))
