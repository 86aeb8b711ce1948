"""The text of a run, read, encoded and split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ricorda.durable import PARTIAL, flush_folder, write_new
from ricorda.errors import RunError, TextError
from ricorda.text import (
    Cache,
    Decompression,
    EncodedText,
    Ids,
    OnUnknown,
    Vocabulary,
    VocabularyKind,
    encode_with_cache,
    find_sources,
    make_request,
    read_bytes,
    split,
)
from ricorda.text.difference import describe_difference, part_difference
from ricorda.text.sources import LeftOut, Source
from ricorda.training.options import TrainingOptions
from ricorda.training.record import TextRecord


@dataclass(frozen=True)
class Material:
    """What a run learns from and is judged by."""

    text: EncodedText
    validation_text: EncodedText | None
    """The text of --validation, if there is one."""

    training: Ids
    validation: Ids | None

    @property
    def symbols_per_character(self) -> float:
        """1 but for bytes."""
        return len(self.text.ids) / max(1, self.text.characters)

    def warning(self) -> str | None:
        """Say that the validation part is of another kind than the training part, if it is."""
        if self.validation is None:
            return None
        difference = part_difference(self.training, self.validation)
        if difference is None:
            return None
        return describe_difference(difference, held_back=self.validation_text is None)


def locate(
    texts: Sequence[str], options: TrainingOptions, say: Callable[[str], None]
) -> Sequence[Source]:
    """Find the files that the arguments name, and tell what a folder holds besides."""
    left_out = _LeftOut()
    sources = _found(texts, options, left_out.add)
    if left_out.first is not None:
        say(
            f"left out {left_out.count:,} of the folder's files: "
            f"{left_out.first.name} {left_out.first.reason}"
            + (" and others" if left_out.count > 1 else "")
        )
    if options.validation is not None:
        for source in _found([options.validation], options):
            if source.size is None:
                raise TextError(
                    f"--validation {source.name}: expected a file, which a resumed run can read "
                    "again, got a pipe: save it first"
                )
    return sources


class _LeftOut:
    """The first of what was left out, and how much was."""

    def __init__(self) -> None:
        self.first: LeftOut | None = None
        self.count = 0

    def add(self, item: LeftOut) -> None:
        self.first = self.first or item
        self.count += 1


def _found(
    texts: Sequence[str | Path],
    options: TrainingOptions | TextRecord,
    on_left_out: Callable[[LeftOut], None] | None = None,
) -> Sequence[Source]:
    return find_sources(
        texts,
        encoding=options.encoding,
        decompress=options.decompress == "auto",
        on_left_out=on_left_out,
    )


def keep_passing(sources: Sequence[Source], folder: Path) -> Sequence[Source]:
    """Copy what can be read only once into the run's folder, so that a resumed run has it."""
    if all(source.size is not None for source in sources):
        return sources
    return [
        source if source.size is not None else _copied(source, folder / f"input-{number}.txt")
        for number, source in enumerate(sources, 1)
    ]


def _copied(source: Source, place: Path) -> Source:
    """The same bytes in a file."""
    partial = place.with_name(f".{place.name}{PARTIAL}")
    write_new(partial, read_bytes([source], decompression=Decompression(enabled=False)))
    partial.rename(place)
    flush_folder(place.parent)
    (copy,) = find_sources([place])
    return copy


def read_material(
    sources: Sequence[Source],
    folder: Path,
    options: TrainingOptions | TextRecord,
    say: Callable[[str], None],
    *,
    cache: Cache | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Material:
    """Encode the sources, into the cache or a file of the folder, and split them.

    Raises TextError where the text cannot be read, decoded or used.
    """

    def encoded(
        sources: Sequence[Source], vocabulary: VocabularyKind | Vocabulary, on_unknown: OnUnknown
    ) -> EncodedText:
        decompression = Decompression.of(options.decompress, options.max_decompressed)
        return encode_with_cache(
            sources,
            make_request(vocabulary, options.encoding, options.newlines, on_unknown, decompression),
            folder=folder,
            cache=cache,
            say=say,
            progress=progress,
        )

    text = encoded(sources, options.vocabulary, "error")
    if options.validation is None:
        parts = split(text.ids, options.validation_fraction)
        if parts.reason:
            say(parts.reason)
        return Material(text, None, parts.training, parts.validation)
    if len(text.ids) < 2:
        raise TextError(f"expected a text of at least 2 symbols, it has {len(text.ids)}")
    validation = encoded(_found([options.validation], options), text.vocabulary, "skip")
    if validation.skipped:
        say(
            f"{sum(validation.skipped.values())} characters of {options.validation} that the "
            f"training text lacks are left out: {''.join(list(validation.skipped)[:20])!r}"
        )
    if len(validation.ids) < 2:
        raise TextError(f"{options.validation} is too short to judge by: 2 symbols at least")
    return Material(text, validation, text.ids, validation.ids)


def read_material_again(
    record: TextRecord,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
    *,
    cache: Cache | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Material:
    """Read a run's text once more. Raises RunError if it is gone or no longer the same."""
    try:
        sources = _found(record.texts, record)
        material = read_material(sources, folder, record, say, cache=cache, progress=progress)
    except TextError as error:
        raise RunError(f"the run's text cannot be read again: {error}") from error
    _compare(", ".join(record.texts), "text", material.text, record.digest, record.bytes)
    if material.validation_text is not None and record.validation_digest is not None:
        _compare(
            str(record.validation),
            "validation",
            material.validation_text,
            record.validation_digest,
            record.validation_bytes,
        )
    return material


def _compare(names: str, option: str, found: EncodedText, digest: str, size: int | None) -> None:
    """Raise RunError, saying what differs, unless a text is the one that the run began with."""
    if found.digest == digest:
        return
    had = "" if size is None or size == found.bytes else f"{size:,} bytes and "
    has = f"{found.bytes:,} bytes and " if had else ""
    raise RunError(
        f"the {option} {names} is no longer the one that this run learns: it has {has}digest "
        f"{found.digest[:12]}, the run's had {had}digest {digest[:12]}: put it back, "
        f"name its copy with --{option}, or begin a new run"
    )
