"""Stop strings: where a text that is being written ends."""

from collections import deque
from collections.abc import Sequence

from ricorda.text.tokens import TokenVocabulary


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
        """Take more text; return what certainly comes before any stop string."""
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


class TextStops:
    """Finds stop strings in a text whose symbols are several characters long.

    A stop string may begin and end inside symbols, so it is found in the text. A symbol is held
    back as long as any of its characters is.
    """

    def __init__(self, stops: Sequence[str], vocabulary: TokenVocabulary) -> None:
        self._detector = StopDetector(stops)
        self._texts = vocabulary.texts
        self._held: deque[int] = deque()  # the characters of each symbol that is held back
        self._certain = 0  # how many of the first one's are certain
        self.cut = 0
        """How many characters at the end of the last symbol belong to the stop string."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string is complete."""
        return self._detector.stopped

    def feed(self, symbol: int) -> int:
        """Take the next symbol; return how many more of all symbols are certain."""
        text = self._texts[symbol]
        self._held.append(len(text))
        return self._release(len(self._detector.feed(text)))

    def finish(self) -> int:
        """Return how many symbols were still held back: no more will come."""
        return self._release(len(self._detector.finish()))

    def _release(self, characters: int) -> int:
        """Count the symbols that further certain characters complete, or that a stop cuts."""
        self._certain += characters
        count = 0
        while self._held and self._certain >= self._held[0]:
            self._certain -= self._held.popleft()
            count += 1
        if self._certain and self.stopped:
            self.cut = self._held[0] - self._certain
            count += 1
        return count
