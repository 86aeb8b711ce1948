"""The text of a run, read, encoded and split."""

import filecmp
import functools
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ricorda.durable import flush_folder, partial_name, write_new
from ricorda.errors import RunError, TextError
from ricorda.pages import plural
from ricorda.text import (
    Cache,
    CharacterVocabulary,
    Decompression,
    EncodedText,
    Part,
    Split,
    Vocabulary,
    document_hint,
    encode_sources,
    read_bytes,
    split,
)
from ricorda.text.file_names import displayed
from ricorda.text.kinds import wanted
from ricorda.text.oddities import oddities
from ricorda.text.part_difference import describe_difference, part_difference
from ricorda.text.second_pass import in_known_symbols, in_symbols, note_on_rare
from ricorda.text.sources import LeftOut, Reason, Source
from ricorda.text.splits import SplitName
from ricorda.training.checkpoint.record import TextRecord
from ricorda.training.options import TrainingOptions
from ricorda.training.process_group import ProcessGroup

SHOWN_NAMES = 3
"""Files that a message names."""


@dataclass(frozen=True)
class Dataset:
    """What a run learns from and what it is evaluated on."""

    text: EncodedText
    validation_text: EncodedText | None
    """The text of --validation, if there is one."""

    training: Part
    validation: Part | None
    test: Part | None = None

    how: SplitName | None = None
    """How the validation part was held back; None if it is a text of its own."""

    @property
    def symbols_per_character(self) -> float:
        """1 for characters of an undivided text; more for bytes and where boundaries are read, less
        for pieces and words."""
        return len(self.text.ids) / max(1, self.text.characters)

    def warning(self) -> str | None:
        """Report whether the validation part is of another kind than the training part."""
        if self.validation is None:
            return None
        difference = part_difference(self.training, self.validation)
        if difference is None:
            return None
        return describe_difference(difference, self.how)


def locate(
    texts: Sequence[str], options: TrainingOptions, say: Callable[[str], None]
) -> Sequence[Source]:
    """Find the files that the arguments name, and report what is skipped in folders.

    A validation file that is also among them is reported too. Raises TextError if no file is found,
    or if the validation file is a pipe.
    """
    left_out = _LeftOut()
    sources = options.reading.find(texts, left_out.add)
    if left_out.count:
        say(left_out.summary())
    if options.validation is not None:
        validation = options.reading.find([options.validation])
        for source in validation:
            if source.size is None:
                raise TextError(
                    f"--validation {source.name}: expected a file, which a resumed run can read "
                    "again, got a pipe: save it first"
                )
        _report_shared(sources, validation, say)
    return sources


def _report_shared(
    sources: Sequence[Source], validation: Sequence[Source], say: Callable[[str], None]
) -> None:
    """Report validation files that are also trained on, the same files or copies of them."""
    by_size: dict[int, list[Path]] = {}
    for source in validation:
        if source.path is not None and source.size:
            by_size.setdefault(source.size, []).append(source.path)
    shared = {
        path
        for source in sources
        if source.path is not None
        for path in by_size.get(source.size or 0, [])
        if _is_same_text(source.path, path)
    }
    if shared:
        more = f" and {len(shared) - 1:,} more" if len(shared) > 1 else ""
        say(
            f"warning: --validation {displayed(min(shared))}{more} is also trained on: the "
            "validation figures do not say how well the model predicts a new text"
        )


def _is_same_text(one: Path, other: Path) -> bool:
    """Whether two files of one size are the same file or hold the same bytes."""
    try:
        return one.samefile(other) or filecmp.cmp(one, other, shallow=False)
    except OSError:  # reading it for the training says what is wrong
        return False


class _LeftOut:
    """What was left out of folders: for each reason the first, and how many."""

    def __init__(self) -> None:
        self._first: dict[Reason, LeftOut] = {}
        self._counts: Counter[Reason] = Counter()

    @property
    def count(self) -> int:
        return self._counts.total()

    def add(self, item: LeftOut) -> None:
        self._first.setdefault(item.reason, item)
        self._counts[item.reason] += 1

    def summary(self) -> str:
        """One line: "left out 3 files and folders: runs/my (a run of ricorda, 2 in all)..."."""
        reasons = [
            f"{self._first[reason].name} ({reason}{f', {count:,} in all' if count > 1 else ''})"
            for reason, count in self._counts.items()
        ]
        noun = "file or folder" if self.count == 1 else "files and folders"
        return f"left out {self.count:,} {noun}: {', '.join(reasons)}"


def keep_passing(
    sources: Sequence[Source], folder: Path, on_copy: Callable[[Path], None] = lambda _: None
) -> Sequence[Source]:
    """Copy texts that can be read only once into the run's folder, for a resumed run.

    `on_copy` is called with each file that was made.
    """
    if all(source.size is not None for source in sources):
        return sources
    kept = []
    for number, source in enumerate(sources, 1):
        if source.size is not None:
            kept.append(source)
            continue
        path = folder / f"input-{number}.txt"
        kept.append(_copied(source, path))
        on_copy(path)
    return kept


def _copied(source: Source, path: Path) -> Source:
    """The same bytes in a file."""
    partial = path.with_name(partial_name(path.name))
    write_new(partial, read_bytes([source], decompression=Decompression(enabled=False)))
    partial.rename(path)
    flush_folder(path.parent)
    return Source(source.name, path)  # messages keep the name that the user gave


def read_dataset(
    sources: Sequence[Source],
    folder: Path,
    options: TrainingOptions,
    say: Callable[[str], None],
    *,
    known: Vocabulary | None = None,
    cache: Cache | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Dataset:
    """Encode the sources, into the cache or a file of the folder, and split them.

    known: the vocabulary of a model, to which the new symbols of the text are added. `say` is
    called with a line for each unusual thing in the text. Raises TextError where the text cannot
    be read, decoded or used.
    """

    def report(text: EncodedText) -> None:
        for line in oddities(text.part, text.vocabulary):
            say(line)
        if options.documents == "auto" and (hint := document_hint(text)) is not None:
            say(hint)

    return _read(
        sources,
        folder,
        options,
        say,
        known=known,
        cache=cache,
        progress=progress,
        on_text=report,
    )


def _read(
    sources: Sequence[Source],
    folder: Path,
    options: TrainingOptions | TextRecord,
    say: Callable[[str], None],
    *,
    known: Vocabulary | None,
    cache: Cache | None,
    progress: Callable[[int, int | None], None] | None,
    on_text: Callable[[EncodedText], None] = lambda _: None,
) -> Dataset:
    """Encode and split; `on_text` is called with the text in characters, or bytes."""
    encode = functools.partial(
        encode_sources,
        folder=folder,
        reading=options.reading.resolved(sources),
        cache=cache,
        say=say,
        progress=progress,
    )
    kind = wanted(options.vocabulary).encoded_as
    text = encode(sources, vocabulary=kind, on_unknown="error")
    on_text(text)
    fraction = options.validation_fraction if options.validation is None else 0.0
    parts = split(text.part, fraction, options.test_fraction, options.split)
    if parts.reason:
        say(parts.reason)
    if known is not None:
        text, parts = in_known_symbols(text, parts, known, options.min_count, folder)
    else:
        text, parts = _in_symbols(text, parts, folder, options, say)
    if options.validation is None:
        return Dataset(text, None, parts.training, parts.validation, parts.test, parts.how)
    validation_sources = options.reading.find([options.validation])
    validation = encode(validation_sources, vocabulary=text.vocabulary, on_unknown="skip")
    _check_validation(validation, options.validation, say)
    return Dataset(text, validation, parts.training, validation.part, parts.test)


def _check_validation(
    validation: EncodedText, name: str | Path, say: Callable[[str], None]
) -> None:
    """Report what the training text lacks. Raises TextError if fewer than 2 symbols are left."""
    if validation.skipped:
        say(
            f"left out {plural(sum(validation.skipped.values()), 'character')} of --validation "
            f"{name} that the training text lacks: "
            f"{''.join(list(validation.skipped)[:20])!r}"
        )
    if (numbers := validation.part.label_numbers) is not None or validation.vocabulary.labels:
        unknown = validation.part.segments if numbers is None else int((numbers == 0).sum())
        if unknown:
            say(
                f"{plural(unknown, 'document')} of --validation {name} without a "
                "label that the training text has: read without one"
            )
    size = validation.part.symbols
    if size < 2:
        raise TextError(
            f"--validation {name}: expected at least 2 symbols that the training "
            f"text has, got {size}: name a longer text"
        )


def _in_symbols(
    text: EncodedText,
    parts: Split,
    folder: Path,
    options: TrainingOptions | TextRecord,
    say: Callable[[str], None],
) -> tuple[EncodedText, Split]:
    """Give a text the symbols that the options want, learned from its training part."""
    characters, want = text.vocabulary, wanted(options.vocabulary)
    if not isinstance(characters, CharacterVocabulary):
        return text, parts
    if want.kind == "characters" and options.min_count == 1:
        if note := note_on_rare(characters, parts.training):
            say(note)
        return text, parts
    return in_symbols(text, parts, want, options.min_count, folder)


def read_dataset_again(
    record: TextRecord,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
    *,
    known: Vocabulary | None = None,
    cache: Cache | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Dataset:
    """Read a run's text once more. Raises RunError if it is gone or no longer the same.

    known: the vocabulary that the run began with, if it started from a model.
    """
    try:
        sources = record.reading.find(record.texts)
        dataset = _read(sources, folder, record, say, known=known, cache=cache, progress=progress)
    except TextError as error:
        raise RunError(f"the run's text cannot be read again: {error}") from error
    _compare(record.texts, "text", dataset.text, record.digest, record.bytes)
    if dataset.validation_text is not None and record.validation_digest is not None:
        _compare(
            [str(record.validation)],
            "validation",
            dataset.validation_text,
            record.validation_digest,
            record.validation_bytes,
        )
    return dataset


def _compare(
    names: Sequence[str], option: str, found: EncodedText, digest: str, size: int | None
) -> None:
    """Raise RunError, saying what differs, unless a text is the one that the run began with."""
    if found.digest == digest:
        return
    had = "" if size is None or size == found.bytes else f"{size:,} bytes and "
    has = f"{found.bytes:,} bytes and " if had else ""
    raise RunError(
        f"the {option} {_shortened(names)} changed since this run began: it has {has}digest "
        f"{found.digest[:12]}, the run's had {had}digest {digest[:12]}: restore it, "
        f"name an unchanged copy with --{option}, or start a new run"
    )


def _shortened(names: Sequence[str]) -> str:
    """Name a few of what may be a thousand files."""
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return f"{', '.join(map(displayed, names[:SHOWN_NAMES]))}{more}"


def read_in_every_process(
    group: ProcessGroup, folder: Path, read: Callable[[Path], Dataset]
) -> Dataset:
    """Read the text in every process, first in one of each machine, which fills the cache.

    read: reads and encodes into a folder; that of the run in rank 0, a temporary one in the others.
    Raises TextError if the text differs between machines.
    """
    if group.size == 1:
        return read(folder)
    with tempfile.TemporaryDirectory(prefix="ricorda-") as own:
        path = folder if group.is_first else Path(own)
        dataset = group.machine_by_machine(lambda: read(path))
    validation = dataset.validation_text
    digests = group.gather((dataset.text.digest, validation and validation.digest))
    if len(set(digests)) > 1:
        differs = digests[group.rank] != digests[0]
        error = TextError(
            "expected the same text on every machine, but the text differs between machines: this "
            f"one's has digest {digests[group.rank][0][:12]}, the first one's "
            f"{digests[0][0][:12]}: copy it from there"
        )
        error.reported_elsewhere = not (group.is_first or (differs and group.is_first_of_machine))
        raise error
    return dataset
