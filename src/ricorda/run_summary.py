"""A run's figures in one row, as `ricorda runs` and the studio list them."""

from typing import Any

from ricorda.errors import RunError
from ricorda.runs import RunFolder, read_rows


def summary(run: RunFolder) -> dict[str, Any]:
    """A run's figures as they stand now, ended or not."""
    row: dict[str, Any] = {"state": "not ended"}
    try:
        for metrics in read_rows(run.metrics):
            row |= _news(metrics, row.get("validation"))
    except (RunError, KeyError, TypeError):  # the other runs are still listed
        row["state"] = "damaged"
    places = {"run": str(run.path), "model": str(run.model)}  # it may have been moved
    figures = {name: value for name, value in row.items() if name not in (*places, "event", "step")}
    return places | figures


def _news(metrics: dict[str, Any], validation: dict[str, Any] | None) -> dict[str, Any]:
    """What one row of metrics.jsonl tells; an interrupted run keeps its last evaluation."""
    if metrics["event"] == "ended":
        interrupted = metrics["stopped_because"] == "interrupted"
        return {
            **metrics,
            "state": "interrupted" if interrupted else "ended",
            "validation": metrics["validation"] or (validation if interrupted else None),
        }
    if metrics["event"] == "evaluation":
        return {
            "state": "not ended",
            "steps": metrics["step"],
            "characters_seen": metrics["characters_seen"],
            "train_seconds": metrics["seconds"],
            "validation": {"nats_per_character": metrics["nats_per_character"]},
        }
    return {}
