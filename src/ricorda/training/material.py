"""The text of a run, read, encoded and split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ricorda.durable import PARTIAL, flush_folder, write_new
from ricorda.errors import RunError, TextError
from ricorda.text import EncodedText, Ids, encode_sources, find_sources, read_bytes, split
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


def locate(
    texts: Sequence[str], options: TrainingOptions, say: Callable[[str], None]
) -> list[Source]:
    """Find the files that the arguments name, and tell what a folder holds besides."""
    left_out: list[LeftOut] = []
    sources = find_sources(texts, encoding=options.encoding, on_left_out=left_out.append)
    if left_out:
        say(
            f"left out {len(left_out)} of the folder's files: "
            f"{left_out[0].name} {left_out[0].reason}"
            + (" and others" if len(left_out) > 1 else "")
        )
    if options.validation is not None:
        for source in find_sources([options.validation], encoding=options.encoding):
            if source.size is None:
                raise TextError(
                    f"--validation {source.name}: expected a file, which a resumed run can read "
                    "again, got a pipe: save it first"
                )
    return sources


def keep_passing(sources: list[Source], folder: Path) -> list[Source]:
    """Copy what can be read only once into the run's folder, so that a resumed run has it."""
    return [
        source if source.size is not None else _copied(source, folder / f"input-{number}.txt")
        for number, source in enumerate(sources, 1)
    ]


def _copied(source: Source, place: Path) -> Source:
    """The same bytes in a file."""
    partial = place.with_name(f".{place.name}{PARTIAL}")
    write_new(partial, read_bytes([source]))
    partial.rename(place)
    flush_folder(place.parent)
    (copy,) = find_sources([place])
    return copy


def read_material(
    sources: Sequence[Source],
    folder: Path,
    options: TrainingOptions | TextRecord,
    say: Callable[[str], None],
) -> Material:
    """Encode the sources into a file of the folder and split them.

    Raises TextError where the text cannot be read, decoded or used.
    """
    text = encode_sources(
        sources,
        vocabulary=options.vocabulary,
        folder=folder,
        encoding=options.encoding,
        newlines=options.newlines,
    )
    if options.validation is None:
        parts = split(text.ids, options.validation_fraction)
        if parts.reason:
            say(parts.reason)
        return Material(text, None, parts.training, parts.validation)
    if len(text.ids) < 2:
        raise TextError(f"expected a text of at least 2 symbols, it has {len(text.ids)}")
    validation = encode_sources(
        find_sources([options.validation], encoding=options.encoding),
        vocabulary=text.vocabulary,
        folder=folder,
        encoding=options.encoding,
        newlines=options.newlines,
        on_unknown="skip",
    )
    if validation.skipped:
        say(
            f"{sum(validation.skipped.values())} characters of {options.validation} that the "
            f"training text lacks are left out: {''.join(list(validation.skipped)[:20])!r}"
        )
    if len(validation.ids) < 2:
        raise TextError(f"{options.validation} is too short to judge by: 2 symbols at least")
    return Material(text, validation, text.ids, validation.ids)


def read_material_again(record: TextRecord, folder: Path) -> Material:
    """Read a run's text once more. Raises RunError if it is gone or no longer the same."""
    try:
        sources = find_sources(record.texts, encoding=record.encoding)
        material = read_material(sources, folder, record, lambda _: None)
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
