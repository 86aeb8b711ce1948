"""What ricorda's own exports say of themselves: the strings of the model file's header."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ricorda.model import ModelConfiguration
from ricorda.model.model_file import read_metadata
from ricorda.text.vocabulary import Vocabulary

PREFIX = "ricorda."


@dataclass(frozen=True)
class Description:
    """A model without its tensors."""

    configuration: ModelConfiguration
    vocabulary: Vocabulary
    training: dict[str, Any]


def read_description(path: Path, metadata: Mapping[str, str]) -> Description | None:
    """Read it from another format's metadata; None where another tool wrote the file.

    Raises ModelFileError where it is damaged.
    """
    strings = {key: value for key, value in metadata.items() if key.startswith(PREFIX)}
    return Description(*read_metadata(path, strings)) if strings else None
