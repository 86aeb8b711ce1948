"""The studio below a proxy's prefix: a training and a sample in Chromium; who is still refused."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.docs.documents import DOCS, blocks, commands
from tests.studio.conftest import (
    ARGUMENTS,
    CHROMIUM,
    PATIENCE,
    TEXT,
    Place,
    in_sight,
    launched,
)
from tests.studio.proxy import Proxy, proxied
from tests.studio.test_page import drop
from tests.studio.test_trainings import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAME = "hub.example.org"
PREFIX = "/user/me/proxy/8321"
RESOLVES = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"

ABSOLUTE = re.compile(
    r"""(href|src)=["']?/|url\(["']?/|\b(fetch|import|EventSource|WebSocket|Worker)\(["'`]/"""
    r"""|\bfrom ["']/"""
)


@pytest.fixture(scope="module")
def hub(browser: "Browser") -> "Iterator[Browser]":
    """A browser for which the proxy has a name."""
    assert CHROMIUM is not None
    named = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, RESOLVES])
    yield named
    named.close()


@pytest.mark.parametrize(
    "strips, keeps_host", [(True, False), (False, True)], ids=["strips", "passes on"]
)
def test_a_training_and_a_sample_below_a_prefix(
    hub: "Browser", tmp_path: Path, strips: bool, keeps_host: bool
) -> None:
    with proxied(PREFIX, strips=strips, keeps_host=keeps_host) as proxy:
        name = NAME if keeps_host else f"{NAME}:{proxy.server_port}"
        options = ["--allow-host", name] + ([] if strips else ["--root-path", PREFIX])
        with launched(tmp_path, *options) as (process, address):
            proxy.target = urlsplit(address).port or 0
            shown = "/" if strips else f"{PREFIX}/"
            printed = Place(tmp_path, address, "", process).next_address()
            assert printed == f"https://{name}{shown}?{urlsplit(address).query}"
            page = hub.new_page()
            page.set_default_timeout(int(os.environ.get("PAGE_TIMEOUT", "120000")))
            go_through(page, proxy, urlsplit(address).query)
            (cookie,) = page.context.cookies()
            assert cookie["path"] == PREFIX
            page.context.close()
        assert proxy.astray == []


def go_through(page: "Page", proxy: Proxy, ticket: str) -> None:
    """Come in by a ticket, train, and look at the sample, the curve and the report."""
    page.goto(f"http://{NAME}:{proxy.server_port}{PREFIX}/?{ticket}")
    page.wait_for_selector("html[data-ready]")
    assert urlsplit(page.url).path == f"{PREFIX}/"
    drop(page, "beer.txt", TEXT)
    page.wait_for_selector("#facts-name:text-is('beer.txt')")
    page.select_option("#size", "64")
    page.click("#settings summary")
    for field, value in {"steps": "30", "hidden_size": "12", "threads": "1"}.items():
        page.fill(f"#{field}", value)
    page.click("#start")
    in_sight(page, "writes")
    page.wait_for_selector("#writes-full:not([hidden])")
    page.wait_for_selector("#state:text-is('complete')")
    assert len(page.text_content("#sample") or "") > 100
    in_sight(page, "choose")
    page.wait_for_selector("#chances button")
    in_sight(page, "runs")
    with page.expect_download() as download:
        page.click("#run-report")
    report = Path(download.value.path()).read_text("utf-8")
    assert "A run of ricorda" in report
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector("#run-name:text-is('beer')", state="attached")


@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_other_names_and_pages_are_still_refused(tmp_path: Path, prefix: str) -> None:
    table = [
        ({"Host": "evil.example"}, 403),
        ({"Host": f"evil.{NAME}"}, 403),
        ({"Host": NAME}, 401),
        ({"Host": "192.0.2.7"}, 403),
        ({"Host": NAME, "Origin": "https://evil.example"}, 403),
        ({"Origin": f"https://{NAME}:9999"}, 403),
        ({"Origin": f"https://{NAME}"}, 401),
    ]
    with launched(tmp_path, "--allow-host", NAME, "--root-path", PREFIX) as (_, address):
        port = urlsplit(address).port or 0
        for headers, status in table:
            assert ask(port, f"{prefix}/api/studio", headers)[0] == status, headers


def ask(port: int, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of an answer, their names in lower case."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection) as asked:
        asked.request("GET", path, headers=headers)
        response = asked.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}


def is_open(port: int) -> bool:
    """Return whether something listens at a port."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


CONFIGURATION = """
daemon off; pid pid; error_log stderr;
events {{}}
http {{
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{ listen 127.0.0.1:{port}; {location} }}
}}
"""


def test_nginx_as_the_guide_configures_it(tmp_path: Path) -> None:
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed")
    guide = DOCS / "guides" / "serving.md"
    (location,) = blocks(guide, "nginx not-run")
    (words,) = [each for block in blocks(guide, "sh not-run") for each in commands(block) if
                "/ricorda" in each]  # fmt: skip
    with launched(tmp_path, *words[words.index("--allow-host") :]) as (_, address):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        location = location.replace(":8321/", f":{urlsplit(address).port}/")
        (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(port=port, location=location))
        proxy = subprocess.Popen([nginx, "-p", tmp_path, "-c", "nginx.conf", "-e", "stderr"])
        try:
            wait_for(lambda: is_open(port))
            there = {"Host": "www.example.org", "Origin": "https://www.example.org"}
            status, entered = ask(port, f"/ricorda/?{urlsplit(address).query}", there)
            assert (status, entered["location"]) == (303, "./")
            cookie = {"Cookie": entered["set-cookie"].split(";")[0]}
            assert ask(port, "/ricorda/api/studio", there | cookie)[0] == 200
            evil = {"Host": "evil.example"}
            assert ask(port, "/ricorda/api/studio", evil | cookie)[0] == 403
        finally:
            proxy.terminate()
            proxy.wait()


@pytest.mark.parametrize("words", [["--allow-host", "https://x"], ["--root-path", "x"]], ids=str)
def test_what_is_no_name_or_prefix_is_refused(words: list[str]) -> None:
    from ricorda.cli.main import main

    assert main(["studio", "--no-browser", *words]) == 2


def test_the_page_names_no_file_absolutely() -> None:
    for folder in ("ricorda.studio", "ricorda.pages"):
        root = files(folder)
        places = [*root.iterdir(), *(root.joinpath("page").iterdir() if "studio" in folder else ())]
        for file in places:
            if file.name.endswith((".html", ".js", ".css", ".mjs")):
                assert not ABSOLUTE.search(file.read_text("utf-8")), file.name
