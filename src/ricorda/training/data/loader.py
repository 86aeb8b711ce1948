"""The windows of a run, brought to where they are learned."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import torch

from ricorda.text import Ids, WindowStream
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.negatives import CandidateSampler
from ricorda.training.learner import to_batch
from ricorda.training.step import Batch


def make_loader(
    configuration: TrainingConfiguration,
    training: Ids,
    device: torch.device,
    rows: slice = slice(None),
) -> "DataLoader":
    """The batches in which a run learns training (N,); rows: those that are read here."""
    stream = WindowStream(
        training,
        batch_size=configuration.batch_size,
        window=configuration.window,
        seed=configuration.seed,
        reset_probability=configuration.reset_probability,
        rows=rows,
    )
    sampler = None
    if configuration.softmax_candidates:
        sampler = CandidateSampler(
            training,
            configuration.model.vocabulary_size,
            configuration.softmax_candidates,
            configuration.seed,
        )
    return DataLoader(stream, device, sampler)


class DataLoader:
    """Batches by the number of the step; to be closed, or used in a `with` block.

    sampler: what draws candidates for them, where the softmax is sampled.
    ahead: a thread prepares the next one while this one is learned; by default where a GPU learns,
    whose processor would otherwise wait. The batches are the same.
    device: that of the learner, with its number where there are several GPUs: a new thread would
    take the first.
    """

    def __init__(
        self,
        stream: WindowStream,
        device: torch.device,
        sampler: CandidateSampler | None = None,
        *,
        ahead: bool | None = None,
    ) -> None:
        self.stream = stream
        """The windows."""
        self._sampler = sampler
        self._device = device
        self._thread: ThreadPoolExecutor | None = None
        if device.type == "cuda" if ahead is None else ahead:
            self._thread = ThreadPoolExecutor(
                1, thread_name_prefix="feed", initializer=self._take_device
            )
        self._next: tuple[int, Future[Batch]] | None = None

    def batch_at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
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
        """Let the thread go."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _take_device(self) -> None:
        """Let the thread pin memory for the learner's GPU, not for the first."""
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)

    def _prepare(self, step: int) -> Batch:
        window = self.stream.window_at(step)
        candidates = None if self._sampler is None else self._sampler.at(step)
        return to_batch(window, self._device, candidates)
