"""The files of examples/operations: each is read by its own program where that is installed."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import REPOSITORY
from tests.docs.test_pages import options_of
from tests.serving.conftest import Server

FILES = REPOSITORY / "examples" / "operations"
OF_PROMETHEUS = {"up"}
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}


def run(*words: str | Path, folder: Path = FILES) -> str:
    """Run a program, or skip the test where it is missing; return all that it printed."""
    if shutil.which(str(words[0])) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# The systemd unit.


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there."""
    program = tmp_path / "ricorda"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    content = (FILES / "ricorda.service").read_text()
    assert content.count("/opt/ricorda/bin/ricorda") == 1
    path = tmp_path / "ricorda.service"
    path.write_text(content.replace("/opt/ricorda/bin/ricorda", str(program)))
    return path


def test_systemd_accepts_the_unit(unit: Path) -> None:
    printed = run("systemd-analyze", "verify", unit)
    assert [line for line in printed.splitlines() if unit.name in line] == []


def test_systemd_calls_the_unit_sandboxed(unit: Path) -> None:
    printed = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", printed)
    assert level is not None, printed
    assert float(level[1]) < 3.0  # of 10; systemd calls up to 4.9 OK


def test_the_unit_starts_a_command_that_exists() -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", (FILES / "ricorda.service").read_text(), re.MULTILINE)
    check(shlex.split(line)[1:])


def check(words: list[str]) -> None:
    """Check that a command line is `serve` with options that it has."""
    assert words[0] == "serve"
    assert {word for word in words if word.startswith("--")} <= options_of("serve")


# The container.


def instructions() -> list[list[str]]:
    """The instructions of the Containerfile, each with its words."""
    text = (FILES / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.split() for line in lines]


def test_the_container_passes_the_linter() -> None:
    assert run(Path(sys.executable).with_name("hadolint"), "Containerfile") == ""


def test_the_container_has_all_that_the_build_reads() -> None:
    known = {"FROM", "RUN", "COPY", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}
    assert {words[0] for words in instructions()} == known
    copied: set[str] = set()
    for words in instructions():
        if words[0] == "COPY" and not words[1].startswith("--from"):
            for source in words[1:-1]:
                assert (REPOSITORY / source).exists(), source
                copied.add(source)
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert {"pyproject.toml", "CMakeLists.txt", "src", "kernels"} <= copied
    for named in re.findall(r'^(?:readme|license-files) = \[?"([^"]+)"', project, re.MULTILINE):
        assert named in copied


def test_the_container_starts_a_command_that_exists() -> None:
    words = {each[0]: json.loads(" ".join(each[1:])) for each in instructions()[-2:]}
    program, *rest = words["ENTRYPOINT"]
    assert program == "ricorda"
    check([*rest, *words["CMD"]])
    assert ["USER", "10001"] in instructions()  # not root


# Prometheus and Grafana.


@pytest.fixture(scope="module")
def exposed(server: Server) -> dict[str, set[str]]:
    """The labels of each metric that a server exposes after a request."""
    server.text(seed=1)
    _, _, content = server.ask("GET", "/metrics")
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? ", content.decode(), re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def rules() -> Iterator[str]:
    """The expressions of the rules."""
    text = (FILES / "ricorda.rules.yml").read_text()
    for first, rest in re.findall(r"^ +expr: (.*)\n((?: {10}.*\n)*)", text, re.MULTILINE):
        yield rest if first == "|" else first


def dashboard() -> dict[str, Any]:
    return dict(json.loads((FILES / "grafana.json").read_text()))


def expressions() -> list[str]:
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    variables = [each.get("definition", "") for each in dashboard()["templating"]["list"]]
    return [*rules(), *panels, *filter(None, variables)]


def test_each_metric_is_exposed_with_its_labels(exposed: dict[str, set[str]]) -> None:
    recorded = re.findall(r"- record: (\S+)", (FILES / "ricorda.rules.yml").read_text())
    labels = set().union(*exposed.values()) | LABELS_OF_PROMETHEUS
    used: set[str] = set()
    assert len(expressions()) > 20
    for expression in expressions():
        bare = re.sub(r"\{\{.*?\}\}|\"[^\"]*\"", "", expression)
        names = set(re.findall(r"\b(?:ricorda[_:]\w[\w:]*|process_\w+|up)\b", bare))
        assert names, expression
        for name in names:
            assert name in {*exposed, *recorded, *OF_PROMETHEUS}, expression
        used |= names
        grouped = ",".join(re.findall(r"by \(([^)]*)\)", bare))
        selected = re.findall(r"[{,] *(\w+)(?:=~|=|!=)", bare)
        assert {each.strip() for each in grouped.split(",") if each} | {*selected} <= labels
        for name, inside in re.findall(r"\b(ricorda_\w+)\{([^}]*)\}", expression):
            own = exposed[name] | LABELS_OF_PROMETHEUS
            assert {*re.findall(r"(\w+)(?:=~|=)", inside)} <= own, expression
    ours = {name for name in exposed if name.startswith("ricorda_")}
    unused = {name for name in ours - used if not name.endswith(("_sum", "_count", "_created"))}
    assert unused == set()


def test_prometheus_accepts_the_rules_and_they_fire() -> None:
    run("promtool", "check", "rules", "ricorda.rules.yml")
    run("promtool", "check", "config", "--syntax-only", "prometheus.yml")
    assert "SUCCESS" in run("promtool", "test", "rules", "ricorda.rules.test.yml")


def test_the_tests_of_the_rules_name_each_alert() -> None:
    alerts = re.findall(r"- alert: (\w+)", (FILES / "ricorda.rules.yml").read_text())
    tested = re.findall(r"alertname: (\w+)", (FILES / "ricorda.rules.test.yml").read_text())
    assert set(alerts) == set(tested)


def test_the_dashboard_has_the_fields_that_grafana_documents() -> None:
    board = dashboard()
    for name, kind in {
        **{"title": str, "uid": str, "schemaVersion": int, "version": int, "refresh": str},
        **{"time": dict, "templating": dict, "annotations": dict, "panels": list, "tags": list},
    }.items():
        assert isinstance(board[name], kind), name
    variables = {each["name"]: each["type"] for each in board["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_guide_names_each_file() -> None:
    guide = (REPOSITORY / "docs" / "guides" / "serving.md").read_text()
    for path in FILES.iterdir():
        if path.name not in ("README.md", "ricorda.rules.test.yml"):
            assert path.name in guide
