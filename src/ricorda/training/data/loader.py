"""The batches of a run: windows of the text, and the negatives drawn for them."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import numpy as np

from ricorda.text import Part, WindowStream
from ricorda.training.data.negatives import NegativeSampler
from ricorda.training.learner import Batch, Learner


def make_loader(learner: Learner, training: Part) -> "DataLoader":
    """Make the batches in which a learner learns a part, of the streams that it reads."""
    configuration = learner.configuration
    stream = WindowStream(
        training,
        batch_size=configuration.batch_size,
        window=configuration.window,
        seed=configuration.seed,
        reset_probability=configuration.reset_probability,
        rows=learner.share.rows,
    )
    sampler = None
    if configuration.softmax_candidates:
        sampler = NegativeSampler(
            training,
            configuration.model.vocabulary_size,
            configuration.softmax_candidates,
            configuration.seed,
        )
    return DataLoader(stream, sampler, prefetches=learner.prefetches)


class DataLoader:
    """Batches by the number of the step; close it, or use it in a `with` block.

    sampler: draws their negatives where the softmax is sampled.
    prefetches: whether a thread prepares the next batch in advance. The batches are the same.
    """

    def __init__(
        self,
        stream: WindowStream,
        sampler: NegativeSampler | None = None,
        *,
        prefetches: bool = False,
    ) -> None:
        self.stream = stream
        """The windows."""
        self._sampler = sampler
        self._thread = ThreadPoolExecutor(1, "data-loader") if prefetches else None
        self._next: tuple[int, Future[Batch]] | None = None

    def batch_at(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        if self._thread is None:
            return self._prepare(step)
        if self._next is not None and self._next[0] == step:
            batch = self._next[1].result()
        else:  # the first one, or the run went back
            batch = self._prepare(step)
        self._next = step + 1, self._thread.submit(self._prepare, step + 1)
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _prepare(self, step: int) -> Batch:
        inputs, targets, restart, labels = self.stream.window_at(step)
        return Batch(
            inputs,
            targets,
            restart.astype(np.float32) if restart.any() else None,
            None if self._sampler is None else self._sampler.at(step),
            labels,
        )
