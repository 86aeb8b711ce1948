"""One request for vectors: the texts of a request are one job, which reads them side by side."""

import base64
from collections.abc import Iterator

import numpy as np

from ricorda.engine.embedding import Vector, VectorKind, as_list, vector_size
from ricorda.serving.answers import as_json
from ricorda.serving.catalogue import ServedModel
from ricorda.serving.requests import read_prompts, wrong
from ricorda.serving.schema import EmbeddingRequest
from ricorda.serving.settings import ServerSettings
from ricorda.serving.task import Task, check_answer, label_of
from ricorda.serving.worker import EmbeddingJob, Job

TEXT_BYTES = 60
NUMBER_BYTES = {"float": 17, "base64": 6}
"""Bytes of a number of a vector in an answer, about the most."""


class EmbeddingTask(Task):
    """A request for the vectors of texts; see `Task`."""

    def __init__(
        self, request: EmbeddingRequest, served: ServedModel, settings: ServerSettings
    ) -> None:
        """Check the request and read its texts. Raises Problem (400) for an invalid one."""
        super().__init__(served)
        self.request = request
        self.user = request.user
        model = served.model
        self._kind: VectorKind = request.vector or "hidden"
        self._format = request.encoding_format or "float"
        size = vector_size(model.configuration, self._kind)
        if request.dimensions not in (None, size):
            raise wrong("dimensions", f"{size}, the size of the vectors", request.dimensions)
        label = label_of(model.vocabulary, request.label)
        self.texts = read_prompts(
            request.input,
            model,
            request.on_unknown or settings.on_unknown,
            settings,
            param="input",
        )
        self.answer_bytes = self.prompt_symbols + len(self.texts) * (
            TEXT_BYTES + size * NUMBER_BYTES[self._format]
        )
        check_answer(self.answer_bytes, settings, "send fewer texts, or ask for base64")
        self._job = EmbeddingJob([text.ids for text in self.texts], self._kind, label)

    @property
    def prompt_symbols(self) -> int:
        """How many symbols all texts have."""
        return sum(len(text.ids) for text in self.texts)

    def pieces(self) -> Iterator[str]:
        """Write the whole answer in pieces of JSON, once all vectors are known."""
        yield '{"object":"list","data":['
        reader = self._job.reader
        assert reader is not None, "the job is over"
        for index, vector in enumerate(reader.vectors):
            entry = {"object": "embedding", "index": index, "embedding": self._written(vector)}
            yield ("," if index else "") + as_json(entry)
        symbols = self.prompt_symbols
        usage = {"prompt_tokens": symbols, "total_tokens": symbols}
        skipped = [
            {"prompt": number, **gap.as_json()}
            for number, text in enumerate(self.texts)
            for gap in text.unseen.gaps
        ]
        rest = {
            "model": self.served.name,
            "usage": usage,
            **({"skipped": skipped} if skipped else {}),
        }
        yield "]," + as_json(rest)[1:]

    def _written(self, vector: Vector) -> list[float] | str:
        if self._format == "float":
            return as_list(vector)
        return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()

    def _jobs_to_come(self) -> int:
        return 1

    def _prepare(self) -> None:
        """The job was made with the request."""

    def _jobs(self) -> Iterator[Job]:
        yield self._job
