"""What one text needs besides the network: choosing symbols, finding stops, returning text."""

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
from ricorda.engine.stops import StopDetector, TextStops
from ricorda.text.tokens import TokenVocabulary
from ricorda.text.vocabulary import Vocabulary


class Writer(InProgress):
    """Everything of one stream but the network: takes logits, chooses symbols, returns text.

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
        self._tokens = None
        if isinstance(vocabulary, TokenVocabulary):
            self._tokens = TextStops(settings.stop, vocabulary)
        self._described: deque[WrittenSymbol] = deque()  # of tokens, not returned yet

    def write(self, logits: Array) -> tuple[int, Piece | None]:
        """Choose the next symbol from its logits, (V,); return it with the text now certain.

        A boundary ends the text; it is the last symbol and stands for no characters. Call it no
        more once `ended` is set.
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
        if self._tokens is not None:
            return chosen, self._write_token(self._tokens, chosen, logits, is_end)
        if is_end:
            self.ended = "stop"
            released = self._finish()
            symbols = [*self._held.release(len(released)), self._describe(chosen, logits)]
            return chosen, Piece(released, as_arrays(symbols))
        released = self._take(chosen, logits)
        if self.written == self._settings.length:
            released += self._finish()
            self.ended = "length"
        if self._stops.stopped:
            self.ended = "stop"
        if not released:
            return chosen, None
        return chosen, Piece(released, as_arrays(self._held.release(len(released))))

    @property
    def cut(self) -> int:
        """How many characters of the last symbol's text belong to a stop string."""
        return self._tokens.cut if self._tokens else 0

    def _write_token(
        self, stops: TextStops, chosen: int, logits: Array, is_end: bool
    ) -> Piece | None:
        """Hand back the symbols that are now certain; a stop string may cut the last one's text."""
        self._described.append(self._describe(chosen, logits))
        count = stops.feed(chosen)
        if is_end or stops.stopped:
            self.ended = "stop"
        elif self.written == self._settings.length:
            self.ended = "length"
        if self.ended and not stops.stopped:
            count += stops.finish()
        if count == 0:
            return None
        released = [self._described.popleft() for _ in range(count)]
        text = self._decoder.decode([symbol.id for symbol in released])
        return Piece(text[: len(text) - stops.cut], as_arrays(released))

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
    """The symbols whose characters were not returned yet.

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
