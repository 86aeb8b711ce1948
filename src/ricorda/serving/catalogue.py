"""The models that are served, each under its name, and how they are replaced while in use."""

import asyncio
import hashlib
import logging
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ricorda
from ricorda.engine import Model, load
from ricorda.engine.backend import Precision
from ricorda.errors import ConfigurationError, ModelFileError, RicordaError
from ricorda.model.model_file import MODEL_FILE_NAME, model_file_path
from ricorda.serving.answers import symbol_names
from ricorda.serving.guard import Problem
from ricorda.serving.worker import Worker

NAME = re.compile(r"[^/\s\x00-\x1f\x7f]{1,100}")
log = logging.getLogger("ricorda.serving")

Signature = tuple[int, int, int]


@dataclass(frozen=True)
class ModelSource:
    """The file of a model, and the name under which it is served."""

    name: str
    path: Path


class ServedModel:
    """One model as it was read at some moment; requests that began with it end with it."""

    def __init__(
        self, source: ModelSource, model: Model, signature: Signature, fingerprint: str
    ) -> None:
        self.name = source.name
        self.model = model
        self.signature = signature
        self.fingerprint = fingerprint
        self.created = signature[0] // 10**9
        """When its file was written, in seconds since 1970."""
        self.names = symbol_names(model.vocabulary)
        """The names of its symbols, by id."""
        self._worker: Worker | None = None
        self._users = 0
        self._retired = False

    @property
    def worker(self) -> Worker:
        """Its engine."""
        assert self._worker is not None, "started before it is served"
        return self._worker

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start its engine's thread, whose results go to an event loop."""
        self._worker = Worker(self.model, loop, self.name)

    def hold(self) -> None:
        """Keep its engine for a request; in the event loop, as all that follows."""
        self._users += 1

    def release(self) -> None:
        """The request is over."""
        self._users -= 1
        self._retire_if_unused()

    def retire(self) -> None:
        """Let its engine end when the requests that hold it are over."""
        self._retired = True
        self._retire_if_unused()

    def _retire_if_unused(self) -> None:
        if self._retired and self._users == 0 and self._worker is not None:
            self._worker.retire()

    def join(self, seconds: float) -> None:
        """Wait for its engine's thread."""
        if self._worker is not None:
            self._worker.join(seconds)


class Catalogue:
    """All models, by name."""

    def __init__(
        self,
        sources: Sequence[ModelSource],
        *,
        precision: Precision = "auto",
        threads: int | None = None,
    ) -> None:
        """Read every model. Raises ModelFileError or ConfigurationError if one cannot be."""
        self._precision: Precision = precision
        self._threads = threads
        self._sources = {source.name: source for source in sources}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reloading = threading.Lock()
        self._refused: dict[str, Signature | None] = {}
        self._models = {source.name: self._read(source) for source in sources}

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """What is served now."""
        return self._models

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the engines; called in the event loop that takes their results."""
        self._loop = loop
        for served in self._models.values():
            served.start(loop)

    def stop(self, seconds: float = 5.0) -> None:
        """End the engines and wait for their threads."""
        for served in self._models.values():
            served.retire()
        for served in self._models.values():
            served.join(seconds)

    def get(self, name: str) -> ServedModel:
        """Find a model by its name alone. Raises Problem (404)."""
        try:
            return self._models[name]
        except KeyError:
            raise Problem(
                404,
                f"the model {name[:100]!r} is not served: GET /v1/models lists the models",
                param="model",
                code="model_not_found",
            ) from None

    def only(self, name: str | None) -> ServedModel:
        """Find a model by its name, which may be left out where there is only one."""
        if name is not None:
            return self.get(name)
        if len(self._models) > 1:
            raise Problem(
                400,
                "model must be given, because several are served: GET /v1/models lists them",
                param="model",
            )
        return next(iter(self._models.values()))

    def changed(self) -> list[str]:
        """Name the models whose file is another one than was read, or last refused."""
        found = []
        for name, source in self._sources.items():
            try:
                signature = signature_of(model_file_path(source.path))
            except OSError:
                continue  # between two files; what was read stays in use
            if signature not in (self._models[name].signature, self._refused.get(name)):
                found.append(name)
        return found

    def reload(self, names: Iterable[str] | None = None) -> dict[str, str | None]:
        """Read models again, all or those named, each taking the old one's place at once.

        Texts in progress continue with the old one. One that cannot be read leaves the old one
        where it is. Returns what went wrong with each, None if nothing. May run in any thread.
        """
        results: dict[str, str | None] = {}
        with self._reloading:
            for name in self._sources if names is None else names:
                results[name] = self._reload(self._sources[name])
        return results

    def _reload(self, source: ModelSource) -> str | None:
        try:
            new = self._read(source)
        except (RicordaError, OSError) as error:
            try:
                self._refused[source.name] = signature_of(model_file_path(source.path))
            except OSError:
                self._refused[source.name] = None
            return str(error)
        if self._loop is not None:
            new.start(self._loop)
        old, self._models = self._models[source.name], {**self._models, source.name: new}
        if self._loop is not None:
            self._loop.call_soon_threadsafe(old.retire)
        self._refused.pop(source.name, None)
        return None

    def _read(self, source: ModelSource) -> ServedModel:
        path = model_file_path(source.path)
        try:
            signature = signature_of(path)
            model = load(path, self._precision, threads=self._threads)
            digest = hashlib.sha256(path.read_bytes())
        except OSError as error:
            raise ModelFileError(
                f"no model file at {path}: give a model.safetensors or a run's folder"
            ) from error
        digest.update(f"{getattr(model.backend, 'precision', '')} {ricorda.__version__}".encode())
        return ServedModel(source, model, signature, f"fp_{digest.hexdigest()[:12]}")


def model_sources(words: Sequence[str]) -> list[ModelSource]:
    """Turn `PATH` or `NAME=PATH` into sources; a path's name is that of its run, else of its file.

    Raises ConfigurationError if a name is impossible or twice there.
    """
    sources: list[ModelSource] = []
    for word in words:
        name, separator, path = word.partition("=")
        if not separator or Path(word).exists():
            name, path = _name_of(Path(word)), word
        if not NAME.fullmatch(name):
            raise ConfigurationError(
                f"expected a model's name of at most 100 characters without spaces or slashes, got "
                f"{name!r}: name the model as NAME=PATH"
            )
        if any(source.name == name for source in sources):
            raise ConfigurationError(
                f"two models have the name {name!r}: name one of them as NAME=PATH"
            )
        sources.append(ModelSource(name, Path(path)))
    return sources


def _name_of(path: Path) -> str:
    path = path.absolute()
    return path.parent.name if path.name == MODEL_FILE_NAME else path.name.split(".safetensors")[0]


def signature_of(path: Path) -> Signature:
    """What distinguishes a file from one that replaces it. Raises OSError."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
