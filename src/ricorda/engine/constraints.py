"""Which symbols may be written next: allowed and banned characters, banned words.

All of them together are one finite automaton over symbols. Its state changes with each symbol that
is written, and says which symbols may follow:

- In a vocabulary of characters, `allowed` and `banned` need a single state.
- In a vocabulary of bytes, they work on whole characters: the text is restricted to valid UTF-8,
  and the states are the beginnings of characters.
- In a vocabulary of pieces or words, a state has been reached by whole symbols; a symbol may be
  written if each of its characters may.
- Banned words are found by the automaton of Aho and Corasick (1975), whose states are the
  beginnings of words. The symbol that would complete a word is forbidden.

A document may end after any whole character: its boundary is always permitted there. States from
which the text could not continue are removed, so a symbol may always be written. A state
lists only the symbols that it treats specially, so the size does not depend on the vocabulary.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ricorda.engine.sampling import Mask, SamplingSettings
from ricorda.errors import ConfigurationError, VocabularyError
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.tokens import TokenVocabulary
from ricorda.text.unseen import quoted
from ricorda.text.vocabulary import Vocabulary

FORBIDDEN = -1

_UTF8 = (
    # the bytes that may come in each state, and the state after them; 0: a character is complete
    ((0x00, 0x7F, 0), (0xC2, 0xDF, 1), (0xE0, 0xE0, 4), (0xE1, 0xEC, 2), (0xED, 0xED, 5),
     (0xEE, 0xEF, 2), (0xF0, 0xF0, 6), (0xF1, 0xF3, 3), (0xF4, 0xF4, 7)),
    ((0x80, 0xBF, 0),),  # 1: one more byte
    ((0x80, 0xBF, 1),),  # 2: two more
    ((0x80, 0xBF, 2),),  # 3: three more
    ((0xA0, 0xBF, 1),),  # 4: no overlong form
    ((0x80, 0x9F, 1),),  # 5: no surrogate
    ((0x90, 0xBF, 2),),  # 6: no overlong form
    ((0x80, 0x8F, 2),),  # 7: nothing above U+10FFFF
)  # fmt: skip
"""UTF-8 after table 3-7 of the Unicode Standard."""

KernelConstraint: TypeAlias = tuple[int, list[int], list[int], list[int], list[int]]


class _Machine(NamedTuple):
    """An automaton while it is made: the state after a symbol, or FORBIDDEN."""

    special: list[dict[int, int]]
    otherwise: list[int]
    start: int = 0

    def after(self, state: int, symbol: int) -> int:
        return self.special[state].get(symbol, self.otherwise[state])


@dataclass(frozen=True)
class Constraint:
    """Which symbols may follow which, as an automaton that permits a symbol in each state."""

    start: int
    """The state before the first symbol that is written."""

    special: tuple[dict[int, int], ...]
    """For each state the symbols that it treats specially, ascending: the state after each, or
    FORBIDDEN."""

    otherwise: tuple[int, ...]
    """For each state the state after any other symbol, or FORBIDDEN."""

    def after(self, state: int, symbol: int) -> int:
        """Return the state after a symbol that the state permits."""
        return self.special[state].get(symbol, self.otherwise[state])

    def permitted(self, state: int, size: int) -> Mask:
        """Say which of `size` symbols may be written in a state, (V,)."""
        mask: Mask = np.full(size, self.otherwise[state] != FORBIDDEN)
        for symbol, following in self.special[state].items():
            mask[symbol] = following != FORBIDDEN
        return mask

    def for_kernels(self) -> KernelConstraint:
        """Return start, begins (N + 1), symbols (n), next (n) and otherwise (N)."""
        begins: NDArray[np.int64] = np.cumsum([0, *map(len, self.special)])
        symbols = [symbol for state in self.special for symbol in state]
        following = [after for state in self.special for after in state.values()]
        return self.start, begins.tolist(), symbols, following, list(self.otherwise)


def constraint_of(
    settings: SamplingSettings, vocabulary: Vocabulary, read: Iterable[int] = ()
) -> Constraint | None:
    """Make the automaton of `allowed`, `banned` and `banned_word`; None if all may be written.

    The rare symbol never is; the boundary may come wherever a character may begin.

    `read` are the symbols before the text: a banned word may not be completed that began there.
    Characters that the vocabulary lacks are never written and make no difference. Raises
    ConfigurationError if nothing can be written.
    """
    machines = []
    banned_words = [word for word in settings.banned_word if _known(word, vocabulary)]
    is_limited = settings.allowed is not None or bool(settings.banned)
    if isinstance(vocabulary, TokenVocabulary):
        if is_limited or banned_words or vocabulary.forbidden:
            machines.append(_tokens(settings, banned_words, vocabulary, read))
    else:
        if isinstance(vocabulary, ByteVocabulary):
            if is_limited or banned_words:
                machines.append(_whole_characters(settings, vocabulary))
        elif is_limited or vocabulary.forbidden:
            machines.append(_single_symbols(settings, vocabulary))
        if banned_words:
            words = [vocabulary.encode(word).tolist() for word in banned_words]
            machines.append(_without(words, read))
    if not machines:
        return None
    machine = machines[0] if len(machines) == 1 else _both(*machines)
    found = _trimmed(machine, vocabulary)
    if found is None:
        values = {
            "allowed": settings.allowed,
            "banned": settings.banned,
            "banned_word": list(settings.banned_word),
        }
        given = (f"{name} {value!r}" for name, value in values.items() if value)
        raise ConfigurationError(
            "allowed, banned and banned_word must leave a symbol that the model knows, got "
            + ", ".join(given)
        )
    return found


def check_stops(stops: Iterable[str], settings: SamplingSettings, vocabulary: Vocabulary) -> None:
    """Check that each stop string can occur in the text.

    Raises VocabularyError if the model lacks one of its characters, ConfigurationError if the
    other settings never let it be written.
    """
    for stop in stops:
        begin = f"the stop string {stop!r} can never occur:"
        if missing := vocabulary.unwritable(stop):
            raise VocabularyError(f"{begin} the model has no {quoted(missing)}")
        if banned := "".join(each for each in dict.fromkeys(stop) if each in settings.banned):
            raise ConfigurationError(f"{begin} {quoted(banned)} {_is(banned)} banned")
        if settings.allowed is not None:
            allowed = settings.allowed
            if others := "".join(each for each in dict.fromkeys(stop) if each not in allowed):
                raise ConfigurationError(f"{begin} {quoted(others)} {_is(others)} not allowed")
        for word in settings.banned_word:
            if word in stop:
                raise ConfigurationError(f"{begin} it contains the banned word {word!r}")


def notes_on_symbols(settings: SamplingSettings, vocabulary: Vocabulary) -> list[str]:
    """Describe the characters of the settings that the model lacks, which change nothing."""
    notes = []
    for name, characters in (("allowed", settings.allowed or ""), ("banned", settings.banned)):
        if characters and (missing := vocabulary.unwritable(characters)):
            them = "it" if len(missing) == 1 else "them"
            notes.append(f"{name}: the model has no {quoted(missing)}, so it never writes {them}")
    for word in settings.banned_word:
        if missing := vocabulary.unwritable(word):
            notes.append(
                f"the banned word {word!r} can never occur: the model has no {quoted(missing)}"
            )
    return notes


def _is(characters: str) -> str:
    return "is" if len(characters) == 1 else "are"


def _known(text: str, vocabulary: Vocabulary) -> bool:
    return not vocabulary.unwritable(text)


def _single_symbols(settings: SamplingSettings, vocabulary: Vocabulary) -> _Machine:
    """One state: each symbol is a character, and is permitted or not."""
    banned = dict.fromkeys(vocabulary.encode(settings.banned, "skip").tolist(), FORBIDDEN)
    banned |= dict.fromkeys(vocabulary.forbidden, FORBIDDEN)
    if settings.allowed is None:
        return _Machine([banned], [0])
    allowed = dict.fromkeys(vocabulary.encode(settings.allowed, "skip").tolist(), 0)
    return _Machine([_end(vocabulary) | allowed | banned], [FORBIDDEN])


def _end(vocabulary: Vocabulary) -> dict[int, int]:
    """The boundary, at which a text ends."""
    return {} if vocabulary.boundary is None else {vocabulary.boundary: 0}


def _tokens(
    settings: SamplingSettings,
    words: Sequence[str],
    vocabulary: TokenVocabulary,
    read: Iterable[int],
) -> _Machine:
    """Symbols of allowed characters that complete no banned word, after what was read."""
    text = _last_document(read, vocabulary)
    characters = _without([list(map(ord, word)) for word in words], map(ord, text))

    def after(state: int, text: str) -> int:
        for character in text:
            if not _permits(settings, character):
                return FORBIDDEN
            state = characters.after(state, ord(character))
            if state == FORBIDDEN:
                break
        return state

    by_first: dict[int, list[int]] = {}
    from_start: dict[int, int] = {}  # what does not lead back to the start
    for symbol, text in enumerate(vocabulary.texts):
        by_first.setdefault(ord(text[0]) if text else 0, []).append(symbol)
        following = FORBIDDEN if symbol in vocabulary.forbidden else after(0, text)
        if following != 0:
            from_start[symbol] = following
    special = []
    for state, beginnings in enumerate(characters.special):
        found = dict(from_start)
        for character in beginnings:  # after all others it continues as from the start
            for symbol in by_first.get(character, []):
                if symbol not in vocabulary.forbidden:
                    found[symbol] = after(state, vocabulary.texts[symbol])
        special.append(dict(sorted(found.items())))
    return _Machine(special, [0] * len(special), characters.start)


def _last_document(read: Iterable[int], vocabulary: Vocabulary) -> str:
    """The text that was read since the last boundary."""
    ids = list(read)
    if vocabulary.boundary in ids:
        ids = ids[len(ids) - ids[::-1].index(vocabulary.boundary) :]
    return vocabulary.decode(ids)


def _permits(settings: SamplingSettings, character: str) -> bool:
    is_allowed = settings.allowed is None or character in settings.allowed
    return is_allowed and character not in settings.banned


def _whole_characters(settings: SamplingSettings, vocabulary: ByteVocabulary) -> _Machine:
    """Valid UTF-8 of the allowed characters, or of all characters but the banned ones."""
    if settings.allowed is None:
        machine = _Machine([_spread(ranges) for ranges in _UTF8], [FORBIDDEN] * len(_UTF8))
        changed, end = settings.banned, FORBIDDEN
    else:
        machine = _Machine([{}], [FORBIDDEN])
        changed, end = "".join(c for c in settings.allowed if c not in settings.banned), 0
    own: set[int] = {0}  # states that no other character passes through
    for character in changed:
        if not vocabulary.unknown(character):
            _set_end(machine, own, vocabulary.encode(character).tolist(), end)
    machine.special[0].update(_end(vocabulary))
    return machine


def _spread(ranges: Iterable[tuple[int, int, int]]) -> dict[int, int]:
    return {byte: after for low, high, after in ranges for byte in range(low, high + 1)}


def _set_end(machine: _Machine, own: set[int], data: Sequence[int], end: int) -> None:
    """Let the last byte of a character lead to `end`, through states of its beginnings alone."""
    state = 0
    for byte in data[:-1]:
        following = machine.after(state, byte)
        if following not in own or following == 0:
            shared = {} if following in (FORBIDDEN, 0) else dict(machine.special[following])
            following = len(machine.special)
            machine.special.append(shared)
            machine.otherwise.append(FORBIDDEN)
            machine.special[state][byte] = following
            own.add(following)
        state = following
    machine.special[state][data[-1]] = end


def _without(words: Sequence[Sequence[int]], read: Iterable[int]) -> _Machine:
    """All texts in which no word is completed, after what was read (Aho & Corasick, 1975)."""
    children: list[dict[int, int]] = [{}]
    complete = [False]
    for word in words:
        state = 0
        for symbol in word:
            if symbol not in children[state]:
                children[state][symbol] = len(children)
                children.append({})
                complete.append(False)
            state = children[state][symbol]
        complete[state] = True
    going: list[dict[int, int]] = [dict(children[0])] + [{}] * (len(children) - 1)
    fallback = [0] * len(children)
    pending = list(children[0].values())
    for state in pending:  # by length: what a state falls back to is shorter
        complete[state] |= complete[fallback[state]]
        going[state] = going[fallback[state]] | children[state]
        for symbol, child in children[state].items():
            fallback[child] = going[fallback[state]].get(symbol, 0)
            pending.append(child)
    start = 0
    for symbol in read:  # may complete words
        start = going[start].get(symbol, 0)
    special = [
        {symbol: FORBIDDEN if complete[after] else after for symbol, after in state.items()}
        for state in going
    ]
    return _Machine(special, [0] * len(special), start)


def _both(first: _Machine, second: _Machine) -> _Machine:
    """The texts that both permit; the states are the pairs that can be reached."""
    pairs = [(first.start, second.start)]
    numbers = {pairs[0]: 0}
    special: list[dict[int, int]] = []
    otherwise: list[int] = []

    def number(a: int, b: int) -> int:
        if FORBIDDEN in (a, b):
            return FORBIDDEN
        if (a, b) not in numbers:
            numbers[a, b] = len(pairs)
            pairs.append((a, b))
        return numbers[a, b]

    for a, b in pairs:  # grows
        symbols = first.special[a].keys() | second.special[b].keys()
        special.append(
            {each: number(first.after(a, each), second.after(b, each)) for each in sorted(symbols)}
        )
        otherwise.append(number(first.otherwise[a], second.otherwise[b]))
    return _Machine(special, otherwise)


def _trimmed(machine: _Machine, vocabulary: Vocabulary) -> Constraint | None:
    """Remove the states from which a text cannot continue; None if it cannot begin."""
    live = set(range(len(machine.special)))
    while dead := [state for state in live if not _goes_on(machine, state, live, vocabulary)]:
        live.difference_update(dead)
    if machine.start not in live:
        return None
    numbers = {state: number for number, state in enumerate(sorted(live))}

    def renumbered(state: int) -> int:
        return numbers.get(state, FORBIDDEN)

    special, otherwise = [], []
    for state in sorted(live):
        rest = renumbered(machine.otherwise[state])
        found = {each: renumbered(after) for each, after in sorted(machine.special[state].items())}
        special.append({each: after for each, after in found.items() if after != rest})
        otherwise.append(rest)
    return Constraint(numbers[machine.start], tuple(special), tuple(otherwise))


def _goes_on(machine: _Machine, state: int, live: set[int], vocabulary: Vocabulary) -> bool:
    """Whether a symbol may be written, other than the boundary."""
    ends, special = _end(vocabulary), machine.special[state]
    if machine.otherwise[state] in live and len(special.keys() | ends) < vocabulary.size:
        return True
    return any(after in live for symbol, after in special.items() if symbol not in ends)
