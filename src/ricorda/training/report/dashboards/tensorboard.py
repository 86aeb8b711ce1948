"""An event file for TensorBoard, in the run's folder: `tensorboard --logdir runs`.

A killed run repeats the steps after its last checkpoint. Not every reader of event files obeys the
mark of a session's start, so a resume copies the events up to the checkpoint into a new file, which
takes the old one's place in a rename and then a name of its own, by which a TensorBoard that is
open sees that it is new. There is always one file, with each step once.
"""

import os
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ricorda.durable import open_untrusting, replacing
from ricorda.runs import RunFolder
from ricorda.training.report.dashboards.figures import (
    Row,
    figures_of,
    rows_of,
    shown_settings,
)
from ricorda.training.report.progress import Silent

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import HistogramProto
    from tensorboard.summary.writer.record_writer import RecordWriter

FORMAT = "brain.Event:2"
"""The version of event files, which their first event names."""

BUCKETS = 30
"""Of a histogram."""

HEADER = struct.Struct("<QI")  # of a record: the event's length, a checksum
FOOTER = 4  # bytes after it: a checksum
LONGEST_EVENT = 1 << 26  # bytes


class TensorBoard(Silent):
    """Writes losses, rates, norms, speed, samples, settings and histograms of the weights."""

    _file: "RecordWriter | None" = None

    def began(self, run: Path, settings: Mapping[str, Any], step: int) -> None:
        """Begin an event file, or continue that of the run after a step."""
        self._run = run
        if step > 0 and RunFolder(run).events:
            self._continue_after(step)
            return
        self._continue_after(-1)
        self._write(0, file_version=FORMAT)
        self._write_settings(settings)
        rows = rows_of(run)
        for row in rows.metrics:
            self.logged(row)
        for row in rows.samples:
            self.sampled(row["step"], row["text"])

    def logged(self, row: Row) -> None:
        """Write the figures of a row; a return to a checkpoint drops the steps after it."""
        if row.get("event") == "returned":
            self._continue_after(row["step"])
        for name, value in figures_of(row).items():
            self._write_value(row["step"], tag=name, simple_value=value)

    def sampled(self, step: int, text: str) -> None:
        """Write a sample as it is: indented lines are code in the page's Markdown."""
        from tensorboard.plugins.text.summary_v2 import text_pb

        indented = "\n".join(f"    {line}" for line in text.split("\n"))
        self._write(step, summary=text_pb("sample", indented))

    def weighed(self, step: int, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Write a histogram and the norm of each tensor."""
        for name, tensor in weights.items():
            self._write_value(step, tag=f"weights/{name}", histo=_histogram(tensor))
            norm = float(np.linalg.norm(tensor.ravel()))
            self._write_value(step, tag=f"weight_norm/{name}", simple_value=norm)

    def finished(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _continue_after(self, step: int) -> None:
        """Open a new file, with the events up to a step of the last one, which it replaces."""
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.finished()
        earlier = RunFolder(self._run).events
        number = 1 + int(earlier[-1].name.split(".")[3]) if earlier else 1
        path = self._run / f"events.out.tfevents.{number:010}.ricorda"
        last = earlier[-1] if earlier else path
        with replacing(last) as file:
            if earlier and step >= 0:
                file.writelines(record for at, record in _records(last) if at <= step)
        last.rename(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._file = RecordWriter(os.fdopen(descriptor, "ab"))

    def _write_settings(self, settings: Mapping[str, Any]) -> None:
        """Write the settings for the page of hyperparameters, and as a table of text."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.plugins.text.summary_v2 import text_pb

        shown = shown_settings(settings)
        self._write(0, summary=hparams_pb(shown))
        rows = "\n".join(f"| {name} | {value} |" for name, value in shown.items())
        self._write(0, summary=text_pb("settings", f"| setting | value |\n| --- | --- |\n{rows}"))

    def _write_value(self, step: int, **value: Any) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._write(step, summary=Summary(value=[Summary.Value(**value)]))

    def _write(self, step: int, **content: Any) -> None:
        """Write an event, and hand it to the system: a kill loses none."""
        from tensorboard.compat.proto.event_pb2 import Event

        if self._file is not None:
            event = Event(wall_time=time.time(), step=step, **content)
            self._file.write(event.SerializeToString())
            self._file.flush()


def _histogram(values: NDArray[np.float32]) -> "HistogramProto":
    """Count the values in buckets of one width."""
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    counts, edges = np.histogram(values, BUCKETS)
    return HistogramProto(
        min=edges[0],
        max=edges[-1],
        num=values.size,
        sum=float(values.sum(dtype=np.float64)),
        sum_squares=float(np.square(values, dtype=np.float64).sum()),
        bucket_limit=edges[1:].tolist(),
        bucket=counts.tolist(),
    )


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the step and the bytes of each whole record of an event file."""
    from tensorboard.compat.proto.event_pb2 import Event

    with open_untrusting(path) as file:
        while len(header := file.read(HEADER.size)) == HEADER.size:
            length, _ = HEADER.unpack(header)
            if length > LONGEST_EVENT:
                return
            content = file.read(length + FOOTER)
            if len(content) < length + FOOTER:
                return
            try:
                event = Event.FromString(content[:length])
            except Exception:  # protobuf's DecodeError: what comes after it is lost
                return
            yield event.step, header + content
