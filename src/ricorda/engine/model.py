"""A trained model with everything it can do."""

import itertools
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Unpack, overload

import numpy as np

from ricorda.arguments import checked
from ricorda.arguments import path as argument_path
from ricorda.engine.choice import make_backend
from ricorda.engine.chunks import read
from ricorda.engine.constraints import constraint_of
from ricorda.engine.display.cards import model_card, model_words
from ricorda.engine.encoding import TextOrDocuments
from ricorda.engine.generation import (
    ENDLESS,
    LONGEST_DOCUMENT,
    LONGEST_TEXT,
    Generation,
    GenerationSettings,
    Length,
    Prompt,
)
from ricorda.engine.keywords import GenerationKeywords, SamplingKeywords
from ricorda.engine.reading_model import ReadingModel
from ricorda.engine.results import Distribution
from ricorda.engine.sampling import SamplingSettings, bias_of, distribution, drawn_seed
from ricorda.engine.texts import Order, Texts
from ricorda.errors import (
    ConfigurationError,
    NothingLearnedWarning,
    UnseenCharactersWarning,
)
from ricorda.model.model_file import ModelFile, write_model_file
from ricorda.signatures import names_of, shows_options
from ricorda.text.unseen import Unseen
from ricorda.text.vocabulary import OnUnknown
from ricorda.validation import validated

SAMPLING, GENERATION = names_of(SamplingSettings), names_of(GenerationSettings)


class Model(ReadingModel):
    """A trained model: writes, scores and shows its inside.

    >>> model = ricorda.load("runs/my")
    >>> model.generate("Nel mezzo", length=200, temperature=0.8, seed=1)
    """

    def __repr__(self) -> str:
        return f"<ricorda.Model: {model_words(self)}>"

    def _repr_html_(self) -> str:
        return model_card(self)

    @overload
    def generate(
        self,
        prompt: str | bytes = "",
        *,
        length: Length | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        label: str | None = None,
        count: None = None,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> str: ...

    @overload
    def generate(
        self,
        prompt: str | bytes = "",
        *,
        length: Length | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        label: str | None = None,
        count: int,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> list[str]: ...

    @shows_options(SamplingSettings, SAMPLING)
    @checked
    def generate(
        self,
        prompt: str | bytes = "",
        *,
        length: Length | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        label: str | None = None,
        count: int | None = None,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> str | list[str]:
        """Continue a prompt; the result is the continuation alone, or a list of `count` of them.

        Without a prompt a document begins, or, in a model of an undivided text, a line. A document
        ends by itself, or at `length` symbols, by default 4000; an undivided text has 200. It also
        ends before the first `stop` string. `label` is the label of the document. The same `seed`
        writes the same text.

        Raises ConfigurationError for an option that is unknown or out of range, VocabularyError for
        an unknown character if `on_unknown` is "error". With "skip" the network does not read such
        a character, and UnseenCharactersWarning names it.
        """
        options: dict[str, Any] = {
            **sampling,
            "length": length,
            "seed": seed,
            "stop": stop,
            "label": label,
            "on_unknown": on_unknown,
        }
        if count is None:
            return self.begin(prompt, **options).text()
        return [written.text for written in self.begin_many([prompt], count=count, **options)]

    @shows_options(GenerationSettings, GENERATION)
    @checked
    def generate_many(
        self,
        prompts: Iterable[str | bytes],
        *,
        count: int | None = 1,
        **options: Unpack[GenerationKeywords],
    ) -> list[str]:
        """Continue many prompts side by side; each result is what `generate` gives for the prompt.

        The options are those of `generate`. With a `count`, that many texts follow each other for
        each prompt. Without a seed one is drawn, which all prompts share.
        """
        return [written.text for written in self.begin_many(prompts, count=count, **options)]

    @shows_options(GenerationSettings, GENERATION)
    @checked
    def begin_many(
        self,
        prompts: Iterable[str | bytes],
        *,
        count: int | None = 1,
        **options: Unpack[GenerationKeywords],
    ) -> Texts:
        """Check the options, fields of GenerationSettings, and begin `count` texts for each prompt.

        Iterate over the object for the texts, in order. Text n of a prompt has the `stream_index`
        n; with None for `count` they are endless. Prompts are read while texts are written, and
        unknown characters in them are reported then.
        """
        if count is not None and count < 0:
            raise ConfigurationError(f"count must be at least 0, got {count}")
        settings = self._generation_settings(options)
        settings = replace(settings, seed=drawn_seed(settings.seed))
        assert settings.seed is not None
        orders = self._orders(prompts, count, settings)
        return Texts(self.backend, self.vocabulary, orders, settings.seed)

    def _orders(
        self, prompts: Iterable[str | bytes], count: int | None, settings: GenerationSettings
    ) -> Iterator[Order]:
        first = settings.stream_index
        for number, given in enumerate(prompts):
            text = self.read_prompt(self._encoder.text(given))
            prompt = self._prompt(text, settings, stacklevel=3)
            shown = "" if prompt.start is not None else text
            indices = itertools.count(first) if count is None else range(first, first + count)
            for index in indices:
                own = settings if index == first else replace(settings, stream_index=index)
                yield Order(number, shown, prompt, own)

    @shows_options(SamplingSettings, SAMPLING)
    @checked
    def stream(
        self,
        prompt: str | bytes = "",
        *,
        length: Length | None = None,
        seed: int | None = None,
        stop: str | Iterable[str] = (),
        label: str | None = None,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> Iterator[str]:
        """Continue a prompt piece by piece, as it is written; otherwise as `generate`."""
        generation = self.begin(
            prompt,
            length=length,
            seed=seed,
            stop=stop,
            label=label,
            on_unknown=on_unknown,
            **sampling,
        )
        return (piece.text for piece in generation)

    @shows_options(GenerationSettings, GENERATION)
    @checked
    def begin(self, prompt: str | bytes = "", **options: Unpack[GenerationKeywords]) -> Generation:
        """Check the options, fields of GenerationSettings, and begin to continue a prompt.

        The object yields pieces with their symbols, and has the seed that was drawn, the characters
        of the prompt that were left out, and why the text ended.
        """
        settings = self._generation_settings(options)
        read_as_trained = self.read_prompt(self._encoder.text(prompt))
        generation = Generation(self.backend, self.vocabulary, read_as_trained, settings)
        for note in generation.notes:
            warnings.warn(note, UnseenCharactersWarning, stacklevel=3)
        return generation

    def _generation_settings(self, options: Mapping[str, Any]) -> GenerationSettings:
        """Check options; a length that is not given is that of the model's kind of text."""
        given = dict(options)
        if given.get("length") is None:
            divided = self.vocabulary.boundary is not None
            given["length"] = LONGEST_DOCUMENT if divided else LONGEST_TEXT
        elif given["length"] == "inf":
            given["length"] = ENDLESS
        settings = validated(GenerationSettings, **given)
        if not settings.stop:
            return settings
        stops = tuple(self.read_prompt(stop, drop_mark=False) for stop in settings.stop)
        return replace(settings, stop=stops)

    def _prompt(self, text: str, settings: GenerationSettings, *, stacklevel: int) -> Prompt:
        """Encode a prompt, read as training read its text, and warn of what is left out of it."""
        found = Prompt.of(self.vocabulary, text, settings)
        for note in found.notes:
            warnings.warn(note, UnseenCharactersWarning, stacklevel=stacklevel + 1)
        return found

    @shows_options(SamplingSettings, SAMPLING)
    @checked
    def distribution(
        self,
        prompt: str | bytes = "",
        *,
        label: str | None = None,
        on_unknown: OnUnknown = "skip",
        **sampling: Unpack[SamplingKeywords],
    ) -> Distribution:
        """Return the probabilities from which `generate`, with the same options, draws the next
        symbol.

        The model's own probabilities are those at `temperature=1`.
        """
        settings = validated(SamplingSettings, **sampling)
        given = GenerationSettings(label=label, on_unknown=on_unknown)
        found = self._prompt(self.read_prompt(self._encoder.text(prompt)), given, stacklevel=3)
        ids = found.ids
        constraint = constraint_of(settings, self.vocabulary, ids.tolist())
        permitted = None
        if constraint is not None:
            permitted = constraint.permitted(constraint.start, self.vocabulary.size)
        labels = np.full(len(ids), found.label) if found.label else None
        logits, _ = read(self.backend, ids, labels=labels)
        symbols = (symbol for symbol in ids.tolist() if symbol != self.vocabulary.boundary)
        recent = deque(symbols, maxlen=settings.repetition_window)
        bias = bias_of(settings, self.vocabulary)
        probabilities = distribution(logits, settings, recent, permitted, bias)
        return Distribution(self._labels(range(self.vocabulary.size)), probabilities)

    @checked
    def adapt(
        self,
        text: TextOrDocuments,
        *,
        on_unknown: OnUnknown = "error",
    ) -> "Model":
        """Read a text as `evaluate` does, learning from it, and return a model that has learned.

        This model is not changed. The other may be saved, used as any model, and adapted again. The
        weights change after every 32 symbols; NothingLearnedWarning reports a text that is shorter.

        Raises as `evaluate` does, and ConfigurationError for a model without `gradient_sizes` or an
        engine without the compiled kernels.
        """
        from ricorda.engine.adaptive import SEGMENT

        backend = self.adaptive_backend(counts=False)
        unseen = Unseen()
        figures = self._evaluated(backend, text, None, on_unknown, unseen)
        unseen.warn("the text", stacklevel=2)
        if figures.predictions < SEGMENT:
            warnings.warn(
                f"nothing was learned: expected a text of more than {SEGMENT} symbols, got "
                f"{figures.predictions + 1}",
                NothingLearnedWarning,
                stacklevel=2,
            )
        engine = make_backend(
            self.configuration, backend.weights(), backend.precision, threads=backend.threads
        )
        training = self.training | {"adapted": True}
        return Model(self.configuration, self.vocabulary, engine, training, self.gradient_sizes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, whole or not at all; `load` reads it.

        Raises OSError if the disk refuses, ConfigurationError for an engine that keeps no tensors.
        """
        tensors = {
            name: np.asarray(tensor, np.float32) for name, tensor in self.backend.tensors.items()
        }
        write_model_file(
            argument_path("path", path),
            ModelFile(
                self.configuration, self.vocabulary, tensors, self.training, self.gradient_sizes
            ),
        )
