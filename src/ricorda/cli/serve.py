"""`ricorda serve`: an HTTP API for models."""

import contextlib
import gc
import logging
import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from ricorda.cli.models import model_path
from ricorda.cli.options import options_from
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_paragraph, print_table
from ricorda.errors import ConfigurationError
from ricorda.extras import require_serving
from ricorda.pages import plural
from ricorda.serving.settings import ServerSettings
from ricorda.validation import validated

if TYPE_CHECKING:
    from ricorda.serving.catalogue import Catalogue
    from ricorda.serving.service import Service

SETTINGS = [field.name for field in fields(ServerSettings)]

SWITCH_SECONDS = 0.001
"""Longest time in seconds that one thread holds the interpreter while another waits."""


@click.command()
@click.argument("models", metavar="[MODEL | NAME=MODEL]...", nargs=-1)
@options_from(ServerSettings, SETTINGS)
@click.option(
    "--check", is_flag=True, help="Load the models, print what would be served, and exit."
)
@click.option("--json", "as_json", is_flag=True, help="With --check: print one JSON object.")
def command(models: tuple[str, ...], check: bool, as_json: bool, **options: Any) -> None:
    """Serve each MODEL, a model file or a run's folder; by default the newest run.

    Clients of OpenAI's completions API can use the server.

    \b
    ricorda serve runs/poems
    curl http://127.0.0.1:8000/v1/completions -H 'Content-Type: application/json' \\
      -d '{"model": "poems", "prompt": "Nel mezzo", "max_tokens": 50}'
    """
    if as_json and not check:
        raise ConfigurationError("--json is for --check: add it, or leave out --json")
    require_serving()
    given = {name: value for name, value in options.items() if value not in (None, ())}
    settings = validated(ServerSettings, **given)
    words = models or (str(model_path(None)),)
    with _logging_to_standard_error():
        _serve(_prepare(words, settings), check, as_json)


def _serve(service: "Service", check: bool, as_json: bool) -> None:
    """Serve until the process is asked to end, or print what would be served."""
    from ricorda.serving.service import make_host

    host = make_host(service, _report_ready(service))
    if check:
        found = _models(service.catalogue)
        if as_json:
            print_json({"address": host.address, "models": found, "ok": True})
        else:
            _print_check(host.address, found)
        host.listening.close()
        service.stop()
        return
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # else a collection looks through all modules, which blocks the loop for 0.1 s
    try:
        host.run()
    finally:
        service.stop()


def _prepare(words: tuple[str, ...], settings: ServerSettings) -> "Service":
    """Read keys and models."""
    from ricorda.serving.catalogue import Catalogue, model_sources
    from ricorda.serving.service import Service, authenticator

    authenticator(settings)  # before models are read, which may take a while
    catalogue = Catalogue(
        model_sources(words), precision=settings.precision, threads=settings.threads
    )
    return Service(catalogue, settings)


def _report_ready(service: "Service") -> Any:
    def report(address: str) -> None:
        names = ", ".join(service.catalogue.models)
        with contextlib.suppress(OSError):  # standard error may be on a full disk
            print(f"ricorda: serving {names} at http://{address}/v1", file=sys.stderr, flush=True)

    return report


def _models(catalogue: "Catalogue") -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "parameters": served.model.parameters,
            "symbols": served.model.vocabulary.size,
            "precision": getattr(served.model.backend, "precision", "float64"),
            "fingerprint": served.fingerprint,
        }
        for name, served in catalogue.models.items()
    ]


def _print_check(address: str, models: list[dict[str, Any]]) -> None:
    """What a person wants to know before serving."""
    rows = [
        [each["id"], f"{each['parameters']:,}", f"{each['symbols']:,}", each["precision"]]
        for each in models
    ]
    print_table(["model", ">parameters", ">symbols", "precision"], rows, spare=("precision",))
    say()
    print_paragraph(
        f"Ready: {plural(len(models), 'model')} can be served at http://{address}/v1. Start the "
        "server with the same command without --check."
    )


@contextlib.contextmanager
def _logging_to_standard_error() -> Iterator[None]:
    """Log events of the server itself meanwhile; requests have a log of their own."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("ricorda: %(message)s"))
    logger = logging.getLogger("ricorda.serving")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
