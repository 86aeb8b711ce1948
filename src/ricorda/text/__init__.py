"""Texts and symbols: reading, vocabularies, encoding, splitting and windows. Without torch.

A text goes through these, in order:

    find_sources      arguments -> the files that they name
    encode_sources    files -> EncodedText: ids on disk, and their vocabulary
    split             ids -> the part that trains and the part that validates
    WindowStream      ids -> the windows of truncated backpropagation through time
"""

from ricorda.text.encoding import EncodedText, VocabularyKind, encode_sources
from ricorda.text.reading import Newlines, Progress, read_bytes, read_text
from ricorda.text.sources import LeftOut, Source, find_sources
from ricorda.text.splits import Split, split
from ricorda.text.vocabulary import (
    ByteVocabulary,
    CharacterVocabulary,
    Decoder,
    Ids,
    OnUnknown,
    Vocabulary,
    id_type,
)
from ricorda.text.windows import Window, WindowStream

__all__ = [
    "ByteVocabulary",
    "CharacterVocabulary",
    "Decoder",
    "EncodedText",
    "Ids",
    "LeftOut",
    "Newlines",
    "OnUnknown",
    "Progress",
    "Source",
    "Split",
    "Vocabulary",
    "VocabularyKind",
    "Window",
    "WindowStream",
    "encode_sources",
    "find_sources",
    "id_type",
    "read_bytes",
    "read_text",
    "split",
]
