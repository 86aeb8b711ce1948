"""Runs described for a list, renamed, noted, deleted and restored."""

import contextlib
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI

from ricorda.runs import RunFolder, read_note, write_note
from ricorda.studio import settings as ask
from ricorda.studio.trainings import Trainings
from ricorda.studio.trash import Trash
from ricorda.studio.workspace import Workspace
from ricorda.training.checkpoint.comparison import origins_of, record_of, settings_of


def described(run: RunFolder) -> dict[str, Any]:
    """A run's settings and origins; nothing of a run whose config.json cannot be read."""
    record = record_of(run)
    if record is None:
        return {}
    settings = settings_of(record) | {"budget": asdict(record.training.budget)}
    return {"settings": settings, **origins_of(record)}


def dated(run: RunFolder) -> dict[str, Any]:
    """What may change without a new row: the note; and when the run last changed."""
    seconds = []
    for path in (run.config, run.metrics):
        with contextlib.suppress(OSError):
            seconds.append(path.lstat().st_mtime)
    return {"note": read_note(run), "changed": max(seconds, default=None)}


def add_management(
    application: FastAPI, workspace: Workspace, trainings: Trainings, trash: Trash
) -> None:
    """Add the addresses that change what lies in the folder of runs."""

    @application.post("/api/runs/{name}/rename")
    def rename(name: str, request: ask.NameRequest) -> dict[str, str]:
        trainings.rename(name, request.name)
        return {"name": request.name}

    @application.post("/api/runs/{name}/note")
    def note(name: str, request: ask.NoteRequest) -> dict[str, Any]:
        run = workspace.run(name)
        write_note(run, request.note.strip())
        return {"note": read_note(run)}

    @application.post("/api/runs/{name}/delete")
    def delete(name: str) -> dict[str, int]:
        return {"number": trash.put(name).number}

    @application.post("/api/deleted/{number}/restore")
    def restore(number: int) -> dict[str, str]:
        return {"name": trash.restore(number)}

    @application.post("/api/deleted/{number}/delete")
    def delete_for_good(number: int) -> dict[str, list[str]]:
        return {"left": trash.delete(number)}
