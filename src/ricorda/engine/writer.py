"""What one text needs besides the network: choosing symbols, finding stops, handing out text."""

from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from ricorda.engine.backend import Array, InProgress, Symbols
from ricorda.engine.constraints import check_stops, constraint_of
from ricorda.engine.generation import Ending, GenerationSettings, Piece, WrittenSymbol
from ricorda.engine.sampling import (
    Mask,
    bias_of,
    choose,
    distribution,
    drawn_seed,
    log_softmax,
    most_likely_first,
    uniforms,
)
from ricorda.text.vocabulary import Vocabulary


class Writer(InProgress):
    """Everything of one stream but the network: takes logits, chooses symbols, hands back text.

    Knows no backend, so that any number of writers may share one batched step.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        settings: GenerationSettings,
        prompt: Sequence[int],
    ) -> None:
        """Begin after the symbols of a prompt; raises ConfigurationError if none may be written."""
        self.ended: Ending | None = None if settings.length else "length"
        self.written = 0
        """How many symbols were chosen, a boundary or those of a stop string included."""
        self.seed = drawn_seed(settings.seed)
        self._settings = settings
        check_stops(settings.stop, settings, vocabulary)
        self._constraint = constraint_of(settings, vocabulary, prompt)
        self._constraint_state = self._constraint.start if self._constraint else 0
        self._size = vocabulary.size
        self._boundary = vocabulary.boundary
        self._bias = bias_of(settings, vocabulary)
        self._counts: Counter[int] = Counter()
        self._recent = deque(
            (symbol for symbol in prompt if symbol != self._boundary),
            maxlen=settings.repetition_window,
        )
        self._uniforms = uniforms(self.seed, settings.stream_index)
        self._decoder = vocabulary.decoder()
        self._stops = StopDetector(settings.stop)
        self._held = HeldSymbols()

    def write(self, logits: Array) -> tuple[int, Piece | None]:
        """Choose the next symbol from its logits, (V,); hand it back with the text now certain.

        A boundary ends the text and is no part of it. Call it no more once `ended` is set.
        """
        probabilities = distribution(
            logits, self._settings, self._recent, self._permitted(), self._bias, self._counts
        )
        chosen = choose(probabilities, next(self._uniforms))
        if self._constraint:
            self._constraint_state = self._constraint.after(self._constraint_state, chosen)
        self._recent.append(chosen)
        self._counts[chosen] += 1
        self.written += 1
        is_end = chosen == self._boundary
        released = "" if is_end else self._take(chosen, logits)
        if is_end or self.written == self._settings.length:
            released += self._finish()
            self.ended = "length"
        if is_end or self._stops.stopped:
            self.ended = "stop"
        if not released:
            return chosen, None
        return chosen, Piece(released, as_arrays(self._held.release(len(released))))

    def _take(self, chosen: int, logits: Array) -> str:
        """Decode a symbol and return the text that is now certain."""
        text = self._decoder.decode([chosen])
        self._held.add(self._describe(chosen, logits), len(text))
        return self._stops.feed(text)

    def _permitted(self) -> Mask | None:
        """Which symbols may be written now, (V,)."""
        if self._constraint is None:
            return None
        return self._constraint.permitted(self._constraint_state, self._size)

    def _finish(self) -> str:
        """Return what the decoder and the stop strings still hold back.

        A character that the length cuts off is not valid, so a constrained text ends before it.
        """
        cut = self._stops.stopped or self._constraint is not None
        rest = "" if cut else self._decoder.finish()
        if rest:
            self._held.extend(len(rest))
        return self._stops.feed(rest) + self._stops.finish()

    def _describe(self, chosen: int, logits: Array) -> WrittenSymbol:
        count = self._settings.alternatives
        if count is None:
            return WrittenSymbol(chosen)
        log_probabilities = log_softmax(logits)
        best = most_likely_first(log_probabilities)[:count]
        return WrittenSymbol(
            chosen,
            float(log_probabilities[chosen]),
            tuple((int(symbol), float(log_probabilities[symbol])) for symbol in best),
        )


class HeldSymbols:
    """The symbols whose characters were not handed out yet.

    A symbol without a character of its own (the first bytes of one) goes out with the next.
    """

    def __init__(self) -> None:
        # Each with the number of characters that it completed and that are still held.
        self._symbols: deque[tuple[WrittenSymbol, int]] = deque()

    def add(self, symbol: WrittenSymbol, characters: int) -> None:
        """Hold a symbol that completed this many characters."""
        self._symbols.append((symbol, characters))

    def extend(self, characters: int) -> None:
        """Count more characters, made of bytes left over at the end, to the last symbol.

        A byte that itself showed the one before it to be no part of a character is already out.
        """
        if self._symbols:
            symbol, already = self._symbols.pop()
            self._symbols.append((symbol, already + characters))

    def release(self, characters: int) -> tuple[WrittenSymbol, ...]:
        """Hand out the symbols of the next characters."""
        released: list[WrittenSymbol] = []
        while characters > 0 and self._symbols:
            symbol, count = self._symbols.popleft()
            if count > characters:  # the symbol goes out with the last of its characters
                self._symbols.appendleft((symbol, count - characters))
                break
            released.append(symbol)
            characters -= count
        return tuple(released)


def as_arrays(symbols: Sequence[WrittenSymbol]) -> Symbols:
    """Turn symbols into arrays."""
    described = [symbol for symbol in symbols if symbol.log_probability is not None]
    width = len(described[0].alternatives) if described else 0
    best = np.array([symbol.alternatives for symbol in described])
    best = best.reshape(len(described), width, 2)
    return Symbols(
        np.array([symbol.id for symbol in symbols], np.uint32),
        np.array([symbol.log_probability for symbol in described], np.float64),
        best[:, :, 0].astype(np.uint32),
        best[:, :, 1],
    )


class StopString:
    """Follows one text character by character and knows how much of a string it ends with.

    The algorithm of Knuth, Morris and Pratt (1977): each character costs constant time on average,
    however long the string.
    """

    def __init__(self, characters: str) -> None:
        self._characters = characters
        self._fallback = [0, 0]  # for the first n characters: the next shorter start they end with
        for end in range(1, len(characters)):
            self._fallback.append(self._extend(self._fallback[end], characters[end]))
        self.matched = 0

    def feed(self, character: str) -> bool:
        """Take one character; say whether the text now ends with the whole string."""
        if self.matched == len(self._characters):
            self.matched = self._fallback[self.matched]
        self.matched = self._extend(self.matched, character)
        return self.matched == len(self._characters)

    def _extend(self, matched: int, character: str) -> int:
        while matched and self._characters[matched] != character:
            matched = self._fallback[matched]
        return matched + 1 if self._characters[matched] == character else 0


class StopDetector:
    """Passes a text on until one of several strings is complete in it.

    What might be the beginning of a stop string is held back until it is known not to be one. If
    two strings are complete at the same character, the text ends before the longer.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [StopString(stop) for stop in stops]
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Take more text; hand back what certainly comes before any stop string."""
        released = ""
        for character in text:
            self._held += character
            complete = [stop.matched for stop in self._stops if stop.feed(character)]
            begun = complete or [stop.matched for stop in self._stops]
            certain = len(self._held) - max(begun, default=0)
            released += self._held[:certain]
            self._held = self._held[certain:]
            if complete:
                self._held = ""
                self.stopped = True
                break
        return released

    def finish(self) -> str:
        """Hand back what was still held: no more text will come."""
        released, self._held = self._held, ""
        return released
