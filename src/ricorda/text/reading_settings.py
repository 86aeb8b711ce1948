"""How a text is read: one set of choices for training, the model file and every later reading."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ricorda.errors import ConfigurationError, TextError
from ricorda.text.compression import Decompression
from ricorda.text.decoding import canonical_encoding
from ricorda.text.division import Division, check_division
from ricorda.text.reading import Newlines
from ricorda.text.sizes import parse_size
from ricorda.text.source_search import find_sources
from ricorda.text.sources import LeftOut, Source, Sources
from ricorda.text.vocabulary import Vocabulary

READING = "reading"
"""The entry of a model file's `ricorda.training` that holds these settings."""

LONGEST_NAME = 100  # characters of an encoding's name


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class ReadingSettings:
    """How bytes become a text, and its documents."""

    encoding: str | None = None
    """None for UTF-8, or for raw bytes in a vocabulary of bytes."""

    newlines: Literal["auto", "normalise", "keep"] = "auto"
    """Line ends: normalise makes each an LF, keep leaves them, auto keeps them in raw bytes."""

    decompress: Literal["auto", "off"] = "auto"
    """Whether compressed files are decompressed."""

    max_decompressed: str | None = None
    """Largest decompressed size of a file. A limit of this machine, not of the model."""

    documents: str = "auto"
    """What is a document: text (all is one), files, lines, paragraphs, separator:STRING, or rows
    of tables; auto is resolved for the sources."""

    field: str | None = None
    """The column of tables that holds the text, by its name or its position from 1."""

    label_field: str | None = None
    """The column of tables that holds each document's label."""

    label_from: Literal["folder", "file"] | None = None
    """Take the label of a source's documents from the name of its folder or its file."""

    def __post_init__(self) -> None:
        check_division(self.documents, self.field, self.label_field, self.label_from)
        if self.max_decompressed is None:
            return
        parse_size("--max-decompressed", self.max_decompressed)
        if self.decompress == "off":
            raise ConfigurationError(
                "--max-decompressed is for compressed texts: leave it out, or leave out "
                "--decompress off"
            )

    @classmethod
    def of(cls, options: Any) -> Self:
        """Take the settings from an object that has these fields among others.

        Without a field `documents` nothing is divided.
        """
        found = {
            each.name: getattr(options, each.name)
            for each in fields(cls)
            if hasattr(options, each.name)
        }
        return cls(**{"documents": "text"} | found)

    @property
    def decompression(self) -> Decompression:
        """What is done with compressed files."""
        return Decompression.of(self.decompress, self.max_decompressed)

    def resolved(self, sources: Sequence[Source]) -> Self:
        """Replace `documents="auto"` by what it means for these sources.

        A table's rows are documents where its field is named. The files of a folder, a pattern or
        an archive, or of several arguments, are documents, as is each file if its name is a label.
        One file, or standard input, is one text.
        """
        if self.documents != "auto":
            return self
        are_files = len(sources) > 1 or getattr(sources, "is_collection", False) or self.label_from
        documents = "rows" if self.field is not None else "files" if are_files else "text"
        return replace(self, documents=documents)

    @property
    def division(self) -> Division | None:
        """How a text is divided into documents, None if it is not; "auto" must be resolved."""
        return Division.of(self.documents, self.field, self.label_field, self.label_from)

    def find(
        self,
        arguments: Sequence[str | Path],
        on_left_out: Callable[[LeftOut], None] | None = None,
    ) -> Sources:
        """Find the files that arguments name, as these settings read them. Raises TextError."""
        return find_sources(
            arguments,
            encoding=self.encoding,
            decompress=self.decompression.enabled,
            max_decompressed=self.decompression.limit,
            tables=self.field is not None,
            on_left_out=on_left_out,
        )

    def takes_raw_bytes(self, kind: str) -> bool:
        """Return whether a vocabulary of this kind takes the bytes of files without decoding."""
        return kind == "bytes" and self.encoding is None

    def line_ends(self, kind: str) -> Newlines:
        """Say what is done with line ends for a vocabulary of this kind."""
        if self.newlines == "auto":
            return "keep" if self.takes_raw_bytes(kind) else "normalise"
        return self.newlines

    def to_json(self, kind: str) -> dict[str, Any]:
        """Return what a model file records; "auto" is resolved for its vocabulary's kind.

        Of documents, it records what differs from one text.
        """
        documents = {
            "documents": None if self.documents in {"auto", "text"} else self.documents,
            "field": self.field,
            "label_field": self.label_field,
            "label_from": self.label_from,
        }
        return {
            "encoding": self.encoding,
            "newlines": self.line_ends(kind),
            "decompress": self.decompress,
        } | {name: value for name, value in documents.items() if value is not None}

    @classmethod
    def from_training(cls, training: Mapping[str, Any], vocabulary: Vocabulary) -> Self:
        """Read the entry of a model file's `ricorda.training`.

        Without one the defaults hold, but a carriage return among the characters shows that line
        ends were kept. Raises ConfigurationError, naming what is wrong.
        """
        if READING not in training and vocabulary.kind == "characters":
            newlines = "auto" if vocabulary.unknown("\r") else "keep"
            return cls(newlines=newlines, documents="text")
        found = training.get(READING, {})
        if isinstance(found, dict) and "max_decompressed" in found:
            raise ConfigurationError(f"{READING!r} has an unknown entry 'max_decompressed'")
        try:
            if isinstance(found, dict):
                found = {"documents": "text"} | found
            settings = TypeAdapter(cls).validate_json(json.dumps(found))
        except ConfigurationError as error:
            raise ConfigurationError(f"{READING!r} is wrong: {error}") from error
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            name = ".".join(str(part) for part in first["loc"][:1]) or READING
            raise ConfigurationError(f"{READING!r} is wrong at {name!r}: {first['msg']}") from error
        if settings.encoding is not None:
            _check_encoding(settings.encoding)
        return settings


DEFAULTS = ReadingSettings()


def _check_encoding(name: str) -> None:
    try:
        if len(name) <= LONGEST_NAME:
            canonical_encoding(name)
            return
    except TextError:
        pass
    raise ConfigurationError(
        f"{READING!r} names the encoding {name[:LONGEST_NAME]!r}, which this Python does not know"
    )
