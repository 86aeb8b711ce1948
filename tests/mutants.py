"""Measure what the tests detect: change the source at random places and run the tests.

    make mutants MUTANTS="--sample 100 --seed 1 --module text"

The changes are those of cosmic-ray's operators. Each is made in a copy of the repository, and the
tests of the changed module run there until one fails: that mutant is killed. A mutant that no test
notices survived; it is printed as a diff, unless `mutants_equivalent.txt` says why it cannot be
noticed. Annotations and docstrings are not changed.
"""

import argparse
import ast
import difflib
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

REPOSITORY = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.txt")
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "runs", "__pycache__", ".*_cache", ".hypothesis", "pictures"
)

TESTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text": (("text/*.py",), ("text",)),
    "model": (("model/*.py",), ("model",)),
    "engine": (("engine/*.py",), ("engine", "kernels")),
    "training": (
        ("training/*.py",),
        ("training", "cli/test_train.py", "kernels/learning"),
    ),
    "requests": (
        ("serving/requests*.py",),
        ("serving/test_bad_requests.py", "serving/test_completions.py", "serving/test_openai.py"),
    ),
    "completion": (
        ("serving/completion*.py",),
        ("serving/test_completions.py", "serving/test_openai.py", "serving/test_bad_requests.py"),
    ),
}
"""By module: its source files below src/ricorda, and the tests that belong to them below tests."""

LEFT_OUT = ("torch/test_processes.py", "torch/test_two_machines.py")
"""Tests of several processes, which take minutes and are run by `make processes`."""

Verdict = Literal["killed", "survived", "timed out", "equivalent"]
LEAST_SECONDS = 60.0  # that the tests of a mutant may take; else three times as long as without


@dataclass(frozen=True)
class Place:
    """Somewhere that at least one operator can change."""

    path: Path
    position: tuple[int, int]
    """Line and column."""
    changes: tuple[tuple[str, int], ...]
    """Operators, each with the number of its occurrence in the file."""


@dataclass(frozen=True)
class Mutant:
    """A changed file."""

    module: str
    path: Path
    before: str
    after: str

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        name = self.path.relative_to(REPOSITORY).as_posix()
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), name, name, lineterm="", n=2
        )
        return "\n".join(lines)

    @property
    def key(self) -> tuple[str, ...]:
        """The file and the changed lines without indentation, as `mutants_equivalent.txt` has."""
        changed = [
            line[0] + " " + line[1:].strip()
            for line in self.diff.splitlines()[2:]
            if line[0] in "+-"
        ]
        return (self.path.relative_to(REPOSITORY).as_posix(), *changed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw mutants, run the tests of each, print the counts and the survivors."""
    options = _options(arguments)
    os.nice(options.nice)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the tests, removes the copy
    modules = options.module or list(TESTS)
    mutants = draw(modules, options.sample, options.seed)
    known = equivalents(EQUIVALENT.read_text("utf-8"))
    counts: Counter[tuple[str, Verdict]] = Counter()
    with tempfile.TemporaryDirectory(prefix="ricorda-mutants-") as folder:
        copy = Path(folder, "copy")
        shutil.copytree(REPOSITORY, copy, ignore=NOT_COPIED)
        place_kernels(copy)
        limits = {module: time_limit(copy, module, options) for module in modules}
        for number, mutant in enumerate(mutants, 1):
            verdict: Verdict = "equivalent"
            if mutant.key not in known:
                verdict = evaluate(copy, mutant, limits[mutant.module], options.seed)
            counts[mutant.module, verdict] += 1
            print(f"{number}/{len(mutants)} {mutant.key[0]}: {verdict}", flush=True)
            if verdict == "survived":
                print(mutant.diff, flush=True)
    report(modules, counts)


def report(modules: Sequence[str], counts: Counter[tuple[str, Verdict]]) -> None:
    """Print what became of the mutants of each module, and the share that was noticed."""
    verdicts: tuple[Verdict, ...] = ("killed", "timed out", "survived", "equivalent")
    print("\n" + f"{'module':<12}" + "".join(f"{each:>12}" for each in verdicts) + "     noticed")
    rows = {module: {each: counts[module, each] for each in verdicts} for module in modules}
    rows["all"] = {each: sum(row[each] for row in rows.values()) for each in verdicts}
    for module, row in rows.items():
        noticed, missed = row["killed"] + row["timed out"], row["survived"]
        share = f"{noticed / (noticed + missed):11.0%}" if noticed + missed else f"{'-':>11}"
        print(f"{module:<12}" + "".join(f"{row[each]:>12}" for each in verdicts) + " " + share)


def draw(modules: Sequence[str], sample: int | None, seed: int) -> list[Mutant]:
    """Draw places without repetition and one change at each; all places if there is no sample.

    The same seed and source give the same mutants.
    """
    generator = random.Random(seed)
    places = [
        (module, place)
        for module in modules
        for path in sources(module)
        for place in places_in(path)
    ]
    generator.shuffle(places)
    mutants: list[Mutant] = []
    for module, place in places:
        if sample is not None and len(mutants) == sample:
            break
        mutant = make(module, place, generator)
        if mutant is not None:
            mutants.append(mutant)
    return mutants


def sources(module: str) -> list[Path]:
    """The files of a module that have something to change."""
    package = REPOSITORY / "src" / "ricorda"
    return sorted(path for pattern in TESTS[module][0] for path in package.glob(pattern))


def places_in(path: Path) -> Iterator[Place]:
    """Find every place of a file that an operator can change."""
    from cosmic_ray.ast import Visitor, get_ast

    found: dict[tuple[int, int], list[tuple[str, int]]] = {}
    seen: Counter[str] = Counter()
    known = operators()

    class Finder(Visitor):  # type: ignore[misc]
        def visit(self, node: Any) -> Any:
            for name, operator in known.items():
                for start, _ in operator.mutation_positions(node):
                    found.setdefault(tuple(start), []).append((name, seen[name]))
                    seen[name] += 1
            return node

    Finder().walk(get_ast(path.read_text("utf-8")))
    for position, changes in sorted(found.items()):
        yield Place(path, position, tuple(changes))


def operators() -> dict[str, Any]:
    """The operators of cosmic-ray that need no arguments."""
    import cosmic_ray.plugins

    found = {}
    for name in sorted(cosmic_ray.plugins.operator_names()):
        try:
            found[name] = cosmic_ray.plugins.get_operator(name)()
        except TypeError:
            continue
    return found


def make(module: str, place: Place, generator: random.Random) -> Mutant | None:
    """Change a file at a place by one operator; None if what the file does is the same."""
    from cosmic_ray.mutating import mutate_code

    name, occurrence = generator.choice(place.changes)
    before = place.path.read_text("utf-8")
    after = mutate_code(before, operators()[name], occurrence)
    if after is None:
        return None
    try:
        if meaning(before) == meaning(after):
            return None
    except SyntaxError:
        return None
    return Mutant(module, place.path, before, after)


def meaning(source: str) -> str:
    """What a file does: its tree without annotations, docstrings and blocks for type checkers."""
    return ast.dump(_Bare().visit(ast.parse(source)))


FOR_READERS = ("abstractmethod", "overload", "override", "final")
"""Decorators that change nothing for a program that is right."""


class _Bare(ast.NodeTransformer):
    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call):  # slots save memory, and change nothing else
                decorator.keywords = [each for each in decorator.keywords if each.arg != "slots"]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        node.decorator_list = [
            each for each in node.decorator_list if ast.unparse(each) not in FOR_READERS
        ]
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None or not isinstance(node.target, ast.Name):
            return self.generic_visit(node)  # a field, whose type may be checked
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if typing else self.generic_visit(node)


def equivalents(text: str) -> set[tuple[str, ...]]:
    """Read the changes that no test can notice: blocks of a file, -lines, +lines and a reason."""
    found: set[tuple[str, ...]] = set()
    for block in text.split("\n\n"):
        lines = [line.strip() for line in block.splitlines() if not line.startswith("#")]
        if lines:
            changes = tuple(line for line in lines[1:] if line.startswith(("- ", "+ ")))
            assert len(changes) < len(lines) - 1, f"{lines[0]}: a block without a reason"
            found.add((lines[0], *changes))
    return found


def place_kernels(copy: Path) -> None:
    """Bring the compiled kernels, where they are installed and not built in place."""
    package = copy / "src" / "ricorda"
    spec = importlib.util.find_spec("ricorda._kernels")
    if spec is not None and spec.origin and not list(package.glob("_kernels*.so")):
        shutil.copy(spec.origin, package)


def time_limit(copy: Path, module: str, options: argparse.Namespace) -> float:
    """Time a module's tests on the unchanged copy, which must pass; allow three times that."""
    if options.timeout is not None:
        return float(options.timeout)
    began = time.monotonic()
    if run_tests(copy, module, None, None, options.seed) != 0:
        raise SystemExit(f"the tests of {module} fail without any mutation")
    return max(LEAST_SECONDS, 3 * (time.monotonic() - began))


def evaluate(copy: Path, mutant: Mutant, limit: float, seed: int) -> Verdict:
    """Run a mutant's tests in the copy, and put the file back."""
    place = copy / mutant.path.relative_to(REPOSITORY)
    place.write_text(mutant.after, "utf-8")
    try:
        status = run_tests(copy, mutant.module, mutant.path, limit, seed)
    finally:
        place.write_text(mutant.before, "utf-8")
    if status is None:
        return "timed out"
    return "survived" if status == 0 else "killed"


def run_tests(
    copy: Path, module: str, changed: Path | None, limit: float | None, seed: int
) -> int | None:
    """Run a module's tests until one fails, the changed file's own first; None if out of time."""
    tests = copy / "tests"
    chosen = [name for name in TESTS[module][1] if (tests / name).exists()]
    if changed is not None:
        own = f"{chosen[0].split('/')[0]}/test_{changed.stem}.py"
        chosen = [name for name in (own,) if (tests / name).exists()] + chosen
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
    command += [f"--ignore=tests/{name}" for name in LEFT_OUT]
    command += [f"tests/{name}" for name in chosen]
    environment = os.environ | {
        "PYTHONPATH": str(copy / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "RICORDA_TEST_SEED": str(seed),
    }
    with subprocess.Popen(
        command,
        cwd=copy,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--module", action="append", choices=list(TESTS), help="may be repeated")
    parser.add_argument("--sample", type=int, help="how many mutants; all if not given")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--timeout", type=float, help="seconds that a mutant's tests may take")
    parser.add_argument("--nice", type=int, default=10, help="how much lower the priority is")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
