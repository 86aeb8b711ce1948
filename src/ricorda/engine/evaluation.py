"""How well a model predicts files: what `ricorda evaluate` measures, for programs."""

import os
from collections.abc import Iterable, Iterator
from typing import Annotated

from ricorda.arguments import checked, text_names
from ricorda.engine.loading import InFolder, load
from ricorda.engine.model import Model
from ricorda.engine.scoring import Figures
from ricorda.errors import TextError
from ricorda.text import TextReader, read_documents
from ricorda.text.vocabulary import OnUnknown

Name = str | bytes | os.PathLike[str]


@checked
def evaluate(
    model: Model | Name | Annotated[InFolder, "a run"],
    *texts: Name | Iterable[Name],
    window: int | None = None,
    adaptive: bool = False,
    on_unknown: OnUnknown = "skip",
) -> Figures:
    """Measure how well a model predicts texts: files, folders, patterns or "-", or lists of them.

    They are read, and divided into documents, as training read its text. `model` is a Model, a Run,
    or the path of one. `window`: reset the state every so many symbols. `adaptive`: let a copy of
    the model learn from the texts while it reads. For a text in memory there is `Model.evaluate`.

    Raises TextError for a text that cannot be read, ConfigurationError for a window in a model of
    documents, VocabularyError for an unknown character if `on_unknown` is "error".
    """
    trained = model if isinstance(model, Model) else load(model)
    names = [name for each in texts for name in text_names("texts", each)]
    if not names:
        raise TextError("expected a text to evaluate: a file, a folder, a pattern or -, got none")
    if trained.vocabulary.boundary is not None:
        documents = _documents(trained, names)
        return trained.evaluate(documents, window, on_unknown=on_unknown, adaptive=adaptive)
    pieces = TextReader(trained.reading).symbols(names, trained.vocabulary)
    return trained.evaluate(pieces, window, on_unknown=on_unknown, adaptive=adaptive)


def _documents(model: Model, names: list[str]) -> Iterator[tuple[str, str | None]]:
    """Read the documents of files, each with its label if the model has it."""
    settings, labels = model.reading, set(model.vocabulary.labels)
    sources = settings.find(names)
    for document in read_documents(sources, settings, vocabulary=model.vocabulary):
        yield document.text, document.label if document.label in labels else None
