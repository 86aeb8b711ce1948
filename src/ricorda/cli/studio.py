"""`ricorda studio`: the web page."""

import contextlib
import math
import socket
import threading
import webbrowser
from pathlib import Path

import click

from ricorda.cli.options import PathName, whole_number
from ricorda.cli.output import say
from ricorda.errors import ConfigurationError
from ricorda.extras import require_studio
from ricorda.runs import RUNS

PORT = 8321
CONNECTIONS = 64
LARGEST_TEXT = 256  # MB
UPLOAD_SECONDS = 600.0
DRAIN_SECONDS = 0.5


@click.command()
@click.option(
    "--port",
    type=whole_number(at_least=0),
    help=f"Port to listen on; 0 chooses a free port.  [default: {PORT}, or a free port if it is "
    "taken]",
)
@click.option(
    "--runs",
    type=PathName(file_okay=False),
    help="Folder of the runs. It may come from an untrusted source.  [default: runs]",
)
@click.option(
    "--texts",
    type=PathName(file_okay=False),
    default=Path("texts"),
    help="Folder for texts that are added on the page.  [default: texts]",
)
@click.option(
    "--read",
    type=PathName(),
    multiple=True,
    help="File or folder that the page may read to show the texts of runs. May be repeated.  "
    "[default: the current folder, unless --runs is given]",
)
@click.option(
    "--largest-text",
    metavar="MB",
    type=whole_number(at_least=1),
    default=LARGEST_TEXT,
    help=f"Maximum size of a text that the page reads.  [default: {LARGEST_TEXT}]",
)
@click.option(
    "--allow-host",
    metavar="NAME",
    multiple=True,
    help="Name of a proxy or a tunnel through which the page is opened. May be repeated.",
)
@click.option(
    "--root-path",
    metavar="PREFIX",
    default="",
    help="Path under which a proxy publishes the page, such as /user/me/proxy/8321, whether or not "
    "it removes the path from the requests that it forwards.",
)
@click.option("--no-browser", is_flag=True, help="Print the address without opening a browser.")
def command(
    port: int | None,
    runs: Path | None,
    texts: Path,
    read: tuple[Path, ...],
    largest_text: int,
    allow_host: tuple[str, ...],
    root_path: str,
    no_browser: bool,
) -> None:
    """Open a web page to add a text, watch a network learn it, and look inside.

    The page is accessible only from this machine. Its address contains a ticket that admits one
    browser once; after that, a new address is printed. Ctrl-C stops the page. Trainings continue
    and are listed by `ricorda runs`.
    """
    require_studio()
    from ricorda.serving import prefix
    from ricorda.serving.connection import ConnectionLimits
    from ricorda.serving.guard import allowed_hosts
    from ricorda.serving.host import Host
    from ricorda.studio.application import make_application, make_studio
    from ricorda.studio.entrance import BROWSER_SECONDS, Entrance
    from ricorda.studio.workspace import Workspace

    hosts, root = allowed_hosts(allow_host), prefix.root_path(root_path)
    readable = read if runs is not None else (*read, Path())
    listening = _bind(port)
    port = listening.getsockname()[1]
    entrance = Entrance(port)
    studio = make_studio(
        Workspace(runs or RUNS, texts, readable), entrance, largest_text * 1_000_000
    )

    def opened(seconds: float = math.inf) -> str:
        return f"/?ticket={entrance.ticket(seconds)}"

    def print_address(what: str) -> None:
        place = opened()
        _print_address(what, f"http://127.0.0.1:{port}{place}")
        if allow_host or root:
            site = f"https://{allow_host[0]}" if allow_host else ""
            _print_address("through the proxy", f"{site}{root}{place}")

    def ready() -> None:
        print_address("ricorda studio")
        say("Ctrl-C stops the page; trainings continue.", err=True)
        if not no_browser:
            address = f"http://127.0.0.1:{port}{opened(BROWSER_SECONDS)}"
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    entrance.on_entry = lambda: print_address("for another browser")
    host = Host(
        make_application(studio, largest_text * 1_000_000, hosts, root),
        listening,
        limits=ConnectionLimits(connections=CONNECTIONS, body_seconds=UPLOAD_SECONDS),
        drain_seconds=DRAIN_SECONDS,
        on_ready=ready,
    )
    threading.Thread(target=studio.trainings.watch, daemon=True).start()
    try:
        host.run()
    finally:
        running, waiting = studio.trainings.running(), studio.trainings.waiting()
        studio.close()
        _say_goodbye(running, waiting)


def _print_address(what: str, address: str) -> None:
    """Print an address with a ticket, if standard output still takes it."""
    with contextlib.suppress(OSError, ValueError):
        say(f"{what}: {address}")


def _bind(port: int | None) -> socket.socket:
    """The port that was given, else the usual one, else any."""
    from ricorda.serving.host import bind

    if port is not None:
        return bind("127.0.0.1", port)
    try:
        return bind("127.0.0.1", PORT)
    except ConfigurationError:
        return bind("127.0.0.1", 0)


def _say_goodbye(running: list[str], waiting: list[str]) -> None:
    """Print which trainings continue, and which still wait."""
    if running:
        say(
            f"the page is closed; still training: {', '.join(running)} "
            "(see `ricorda runs`; `ricorda studio` shows it again)",
            err=True,
        )
    if waiting:
        say(
            f"waiting for a free core until the studio is opened again: {', '.join(waiting)}",
            err=True,
        )
