"""Texts and symbols: reading, vocabularies, encoding, splitting and windows. Without torch.

A text goes through these, in order:

    find_sources      arguments -> the files that they name
    encode_sources    files -> EncodedText: ids on disk, perhaps in the cache, and their vocabulary
    EncodedText.part  ids -> their documents, if the text has them
    split             a text -> the parts that train, validate and test
    WindowStream      a part -> the windows of truncated backpropagation through time

    read_documents    files -> the documents in them, one after another, to score them later
"""

from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.cache import Cache, cache_for
from ricorda.text.cached_encoding import encode_sources
from ricorda.text.compression import Decompression
from ricorda.text.documents import Document, read_documents
from ricorda.text.encoding import EncodedText, VocabularyKind
from ricorda.text.lists import document_hint
from ricorda.text.parts import Part
from ricorda.text.pieces import PieceVocabulary
from ricorda.text.prompts import PromptReader, TextReader, read_prompt
from ricorda.text.reading import Newlines, Progress, read_bytes, read_text
from ricorda.text.reading_settings import ReadingSettings
from ricorda.text.sizes import parse_size
from ricorda.text.source_search import find_sources
from ricorda.text.sources import LeftOut, Source, Sources
from ricorda.text.splits import Split, split
from ricorda.text.vocabulary import (
    CharacterVocabulary,
    Decoder,
    Ids,
    OnUnknown,
    Vocabulary,
    id_type,
)
from ricorda.text.windows import Window, WindowStream
from ricorda.text.words import WordVocabulary

__all__ = [
    "ByteVocabulary",
    "Cache",
    "CharacterVocabulary",
    "Decoder",
    "Decompression",
    "Document",
    "EncodedText",
    "Ids",
    "LeftOut",
    "Newlines",
    "OnUnknown",
    "Part",
    "PieceVocabulary",
    "Progress",
    "PromptReader",
    "ReadingSettings",
    "Source",
    "Sources",
    "Split",
    "TextReader",
    "Vocabulary",
    "VocabularyKind",
    "Window",
    "WindowStream",
    "WordVocabulary",
    "cache_for",
    "document_hint",
    "encode_sources",
    "find_sources",
    "id_type",
    "parse_size",
    "read_bytes",
    "read_documents",
    "read_prompt",
    "read_text",
    "split",
]
