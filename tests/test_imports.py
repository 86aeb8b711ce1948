"""Imports point one way, without cycles, and only ricorda.torch imports PyTorch."""

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import ricorda

SOURCE = Path(ricorda.__file__).parent

BELOW: dict[str, set[str]] = {
    "compression": {"_kernels", "durable", "engine", "errors", "model", "text"},
    "cores": set(),
    "draws": set(),
    "durable": {"errors"},
    "errors": set(),
    "extras": {"errors"},
    "frames": {"extras"},
    "interrupts": set(),
    "lazy": set(),
    "pages": set(),
    "runs": {"durable", "errors", "shell", "validation"},
    "shell": set(),
    "signatures": {"option_groups", "validation"},
    "arguments": {"errors", "validation"},
    "text": {"arguments", "draws", "durable", "errors"},
    "validation": {"errors"},
    "option_groups": set(),
    "model": {"_kernels", "durable", "errors", "text", "validation"},
    "engine": {
        *("_kernels", "arguments", "cores", "errors", "frames", "model", "pages", "signatures"),
        *("text", "validation"),
    },
    "exchange": {"durable", "engine", "errors", "extras", "model", "pages", "text", "validation"},
    "experiments": {
        *("arguments", "cores", "durable", "errors", "extras", "interrupts", "lazy", "model"),
        *("option_groups", "pages", "runs", "shell", "signatures", "text", "training"),
        "validation",
    },
    "insight": {"arguments", "engine", "errors", "extras", "lazy", "model", "pages", "text"},
    "serving": {"engine", "errors", "model", "pages", "text", "validation"},
    "studio": {
        *("cores", "durable", "engine", "errors", "exchange", "insight", "model", "runs"),
        *("serving", "shell", "text", "training", "validation"),
    },
    "training": {
        *("_kernels", "cores", "durable", "engine", "errors", "extras", "lazy", "model", "pages"),
        *(
            "arguments",
            "draws",
            "frames",
            "interrupts",
            "option_groups",
            "runs",
            "shell",
            "signatures",
            "text",
            "validation",
        ),
    },
    "torch": {
        *("arguments", "cores", "draws", "durable", "engine", "errors", "extras", "insight"),
        *("interrupts", "lazy", "model", "runs", "shell", "text", "training", "validation"),
    },
}
"""What each part may import besides itself and the version in `ricorda`."""

MAY_IMPORT_TORCH = {"cli", "exchange", "insight", "training"}
"""The parts that may import ricorda.torch inside a function, or for the types."""

ON_TOP = {"__init__", "__main__", "cli"}

MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse((SOURCE / module).read_text("utf-8"))


def part_of(module: str) -> str:
    return module.split("/", maxsplit=1)[0].removesuffix(".py")


def imported(node: ast.AST) -> list[str]:
    """The full names that an import statement may load, `ricorda.text.reading.read_text` too."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [f"{node.module}.{name.name}" for name in node.names]
    return []


def run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that importing a module runs: not those of functions or for the types."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from run_at_import(statement.orelse)
            case _:
                yield statement
                for field in ("body", "orelse", "finalbody"):
                    yield from run_at_import(getattr(statement, field, []))
                for handler in getattr(statement, "handlers", []):
                    yield from run_at_import(handler.body)


def test_every_part_has_its_place() -> None:
    assert {part_of(module) for module in MODULES} == set(BELOW) | ON_TOP


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    part = part_of(module)
    if part in ON_TOP:
        return
    for node in ast.walk(parsed(module)):
        for name in imported(node):
            words = name.split(".")
            if words[0] == "ricorda" and words[1:] not in ([], ["__version__"]):
                torch = {"torch"} if part in MAY_IMPORT_TORCH else set()
                assert words[1] in BELOW[part] | {part} | torch, f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_torch_is_imported_in_its_folder_alone(module: str) -> None:
    if module.startswith("torch/"):
        return
    for node in ast.walk(parsed(module)):
        for name in imported(node):
            assert name.split(".")[0] != "torch", module


@pytest.mark.parametrize("module", MODULES)
def test_the_folder_of_torch_is_imported_inside_functions_alone(module: str) -> None:
    if module.startswith("torch/"):
        return
    for statement in run_at_import(parsed(module).body):
        for name in imported(statement):
            assert not name.startswith("ricorda.torch"), f"{module}:{statement.lineno}"


def test_no_part_imports_itself_through_others() -> None:
    order: list[str] = []
    while len(order) < len(BELOW):
        ready = [
            part
            for part, known in BELOW.items()
            if part not in order and known - {"_kernels"} <= set(order)
        ]
        assert ready, f"a cycle among {set(BELOW) - set(order)}"
        order += ready


def file_of(name: str) -> str | None:
    """The file of a module, or of the module that a name is imported from."""
    path = name.removeprefix("ricorda.").replace(".", "/")
    parent = path.rpartition("/")[0]
    for each in (f"{path}.py", f"{path}/__init__.py", f"{parent}.py", f"{parent}/__init__.py"):
        if each in MODULES:
            return each
    return None


def test_no_file_imports_itself_through_others() -> None:
    """Kahn's algorithm: files whose imports have been removed are removed."""
    imports = {}
    for module in MODULES:
        statements = run_at_import(parsed(module).body)
        names = [name for each in statements for name in imported(each) if "ricorda." in name]
        imports[module] = {file_of(name) for name in names} - {None, module}
    while removable := {module for module, needed in imports.items() if not needed & set(imports)}:
        for module in removable:
            del imports[module]
    assert not imports, "files of a cycle, or that import one"


def run(program: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


WITHOUT_TORCH_IMPORTED = [
    "ricorda",
    "ricorda.cli.main",
    "ricorda.engine",
    "ricorda.experiments.comparison",
    "ricorda.experiments.tuning",
    "ricorda.insight",
    "ricorda.model",
    "ricorda.pages",
    "ricorda.runs",
    "ricorda.serving",
    "ricorda.studio.application",
    "ricorda.text",
    "ricorda.training",
]


def test_importing_does_not_import_torch() -> None:
    lines = [
        f"import sys, {module}; assert 'torch' not in sys.modules, {module!r}"
        for module in WITHOUT_TORCH_IMPORTED
    ]
    done = run("\n".join(lines))
    assert done.returncode == 0, done.stderr


# Runs command lines one after the other; PyTorch must not have been imported after any of them.
IN_TURN = """
import json, sys
from ricorda.cli.main import main
for words in json.loads(sys.argv[1]):
    assert main(words) == 0, words
    assert not sys.modules.get("torch"), words
"""
HELP = [[], ["--help"], ["--version"], *([name, "--help"] for name in ("train", "resume", "demo"))]


def test_help_does_not_import_torch() -> None:
    done = run(IN_TURN, json.dumps(HELP))
    assert done.returncode == 0, done.stderr


def test_the_first_help_imports_next_to_nothing() -> None:
    done = run(IN_TURN + "\nprint(sorted(sys.modules))", json.dumps([["--help"]]))
    assert done.returncode == 0, done.stderr
    imported = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert "ricorda.cli.main" in imported
    assert not imported & {"torch", "numpy", "pydantic", "rich"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and, under runs/, a trained model."""
    place = tmp_path_factory.mktemp("place")
    text = place / "my.txt"
    text.write_text("5 bottles of beer on the wall\n" * 30)
    out = place / "runs" / "tiny"
    ricorda.train(text, out=out, steps=2, hidden_size=8, threads=1, quiet=True)
    return place


SMALL = ["--hidden-size", "8", "--quiet"]
WITHOUT_TORCH = [
    ["train", "my.txt", "--steps", "2", *SMALL, "--out", "runs/new"],
    ["train", "my.txt", "--steps", "2", *SMALL, "--dry-run"],
    ["resume", "runs/new", "--steps", "3", "--quiet"],
    ["demo"],
    ["sample", "--length", "5"],
    ["sample", "runs/tiny", "--prompt", "5 bottles", "--json"],
    ["evaluate", "runs/tiny", "my.txt"],
    ["score", "runs/tiny", "my.txt"],
    ["score", "runs/tiny", "my.txt", "--html", "page.html"],
    ["units", "runs/tiny", "my.txt"],
    ["step", "runs/tiny", "my.txt"],
    ["influence", "runs/tiny", "my.txt"],
    ["clamp", "runs/tiny", "0"],
    ["memorised", "runs/tiny", "my.txt", "--length", "20"],
    ["info"],
    ["info", "runs/tiny/model.safetensors"],
    ["runs"],
]


def test_no_command_on_a_processor_imports_torch(place: Path) -> None:
    done = run(IN_TURN, json.dumps(WITHOUT_TORCH), cwd=place)
    assert done.returncode == 0, done.stderr


# Two ways in which PyTorch may be missing: marked in sys.modules, or not found.
MISSING = {
    "marked": "import sys; sys.modules['torch'] = None\n",
    "not found": """
import importlib.machinery, sys
class Without(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split('.')[0] == 'torch' else super().find_spec(name, path, target)
sys.meta_path = [Without if f is importlib.machinery.PathFinder else f for f in sys.meta_path]
""",
}
COMMANDS = {
    "marked": [
        words for words in WITHOUT_TORCH if words[0] in {"train", "resume", "influence", "info"}
    ],
    "not found": WITHOUT_TORCH,
}


@pytest.mark.parametrize("way", MISSING)
def test_every_command_works_without_torch(way: str, place: Path) -> None:
    shutil.rmtree(place / "runs" / "new", ignore_errors=True)
    done = run(MISSING[way] + IN_TURN, json.dumps([*COMMANDS[way], ["doctor"]]), cwd=place)
    assert done.returncode == 0, done.stderr
    assert "pip install 'ricorda[torch]'" in done.stdout  # the doctor's advice


# Runs command lines one after the other; prints each one's exit status, output and messages.
EACH = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from ricorda.cli.main import main
done = []
for words in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = main(words)
    done.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(done))
"""


def each_refused(program: str, commands: dict[str, list[str]], place: Path) -> list[str]:
    """Run commands that need PyTorch: each says so in one line. Their outputs are handed back."""
    done = run(program + EACH, json.dumps(list(commands.values())), cwd=place)
    assert done.returncode == 0, done.stderr
    advice = "PyTorch, which is not installed: pip install 'ricorda[torch]'\n"
    codes, outputs, messages = zip(*json.loads(done.stdout), strict=True)
    assert set(codes) == {1}
    assert list(messages) == [f"ricorda: {need} {advice}" for need in commands]
    return list(outputs)


@pytest.mark.parametrize("way", MISSING)
def test_what_needs_torch_says_what_to_install(way: str, place: Path) -> None:
    train = ["train", "my.txt", "--steps", "1"]
    commands = {
        "training needs": [*train, "--backend", "torch"],
        "--device cuda needs": [*train, "--device", "cuda"],
        "several processes need": [*train, "--processes", "2"],
        "influence by gradients needs": [
            *("influence", "runs/tiny", "my.txt", "--gradient", "norm"),
        ],
    }
    assert each_refused(MISSING[way], commands, place) == [""] * len(commands)
    assert not (place / "runs" / "my").exists()


NO_KERNELS = "import sys; sys.modules['ricorda._kernels'] = None\n"


@pytest.mark.parametrize("words", [["train", "my.txt"], ["resume", "runs/tiny"], ["demo"]])
def test_without_kernels_and_torch_training_says_what_to_install(
    words: list[str], place: Path
) -> None:
    each_refused(NO_KERNELS + MISSING["not found"], {"training needs": words}, place)
