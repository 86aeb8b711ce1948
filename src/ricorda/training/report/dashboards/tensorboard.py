"""Event files for TensorBoard, in the run's folder: `tensorboard --logdir runs`.

Each session of a run writes a file of its own. A file that continues a run begins with the mark
of a session's start, at which every reader of event files drops what earlier files have from that
step on. So a step that is repeated after a kill is there once.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ricorda.runs import RunFolder
from ricorda.training.report.dashboards.figures import (
    Row,
    figures_of,
    rows_of,
    shown_settings,
)
from ricorda.training.report.progress import Silent

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

FORMAT = "brain.Event:2"
"""The version of event files, which their first event names."""

BUCKETS = 30
"""Of a histogram."""


class TensorBoard(Silent):
    """Writes losses, rates, norms, speed, samples, settings and histograms of the weights."""

    _file: "RecordWriter | None" = None

    def began(self, run: Path, settings: Mapping[str, Any], step: int) -> None:
        """Begin an event file; one that continues others drops their later steps."""
        earlier = RunFolder(run).events
        self._open(run, 1 + max((_number(path) for path in earlier), default=0))
        is_whole = step == 0 or not earlier
        if earlier:
            self._drop_from(0 if is_whole else step + 1)
        if is_whole:
            self._write_settings(settings)
            rows = rows_of(run)
            for row in rows.metrics:
                self.logged(row)
            for row in rows.samples:
                self.sampled(row["step"], row["text"])

    def logged(self, row: Row) -> None:
        """Write the figures of a row; a return to a checkpoint drops the steps after it."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        if row.get("event") == "returned":
            self._drop_from(row["step"] + 1)
        for name, value in figures_of(row).items():
            self._write(row["step"], summary=scalar_pb(name, value))

    def sampled(self, step: int, text: str) -> None:
        """Write a sample as it is: indented lines are code in the page's Markdown."""
        from tensorboard.plugins.text.summary_v2 import text_pb

        indented = "\n".join(f"    {line}" for line in text.split("\n"))
        self._write(step, summary=text_pb("sample", indented))

    def weighed(self, step: int, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Write a histogram and the norm of each tensor."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        for name, tensor in weights.items():
            self._write(step, summary=_histogram(f"weights/{name}", tensor))
            norm = float(np.linalg.norm(tensor.ravel()))
            self._write(step, summary=scalar_pb(f"weight_norm/{name}", norm))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, run: Path, number: int) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        path = run / f"events.out.tfevents.{number:010}.ricorda"
        self._file = RecordWriter(path.open("xb"))
        self._write(0, file_version=FORMAT)

    def _drop_from(self, step: int) -> None:
        """Mark the start of a session: readers drop the earlier events from this step on."""
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self._write(step, session_log=SessionLog(status=SessionLog.START))

    def _write_settings(self, settings: Mapping[str, Any]) -> None:
        """Write the settings for the page of hyperparameters, and as a table of text."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.plugins.text.summary_v2 import text_pb

        shown = shown_settings(settings)
        self._write(0, summary=hparams_pb(shown))
        rows = "\n".join(f"| {name} | {value} |" for name, value in shown.items())
        self._write(0, summary=text_pb("settings", f"| setting | value |\n| --- | --- |\n{rows}"))

    def _write(self, step: int, **content: Any) -> None:
        """Write an event, flushed: a kill loses none."""
        from tensorboard.compat.proto.event_pb2 import Event

        if self._file is not None:
            event = Event(wall_time=time.time(), step=step, **content)
            self._file.write(event.SerializeToString())
            self._file.flush()


def _histogram(name: str, values: NDArray[np.float32]) -> "Summary":
    """A histogram; the library's own needs 30 bytes of memory for each value."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.histogram.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    counts, edges = np.histogram(values, BUCKETS)
    buckets = np.stack([edges[:-1], edges[1:], counts], axis=1)  # (BUCKETS, 3)
    summary = Summary()
    summary.value.add(
        tag=name,
        metadata=create_summary_metadata(display_name=None, description=None),
        tensor=make_tensor_proto(buckets, dtype=np.float64),
    )
    return summary


def _number(path: Path) -> int:
    """The session of an event file, which its name has."""
    return int(path.name.split(".")[3])
