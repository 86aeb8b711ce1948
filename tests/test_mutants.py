"""The tool that changes the source and runs the tests: what it draws, and what it leaves out."""

import random
from pathlib import Path

import pytest

from tests import mutants


def test_what_only_readers_and_type_checkers_see_is_no_change() -> None:
    before = 'def f(a: int | None) -> int:\n    """Say."""\n    return a + 1\n'
    assert mutants.meaning(before) == mutants.meaning(
        'def f(a: int + None) -> str:\n    """Tell."""\n    return a + 1\n'
    )
    assert mutants.meaning(before) != mutants.meaning(before.replace("+ 1", "- 1"))
    slots = "@dataclass(slots=True, eq=False)\nclass A:\n    size: int = 1\n"
    assert mutants.meaning(slots) == mutants.meaning(slots.replace("slots=True", "slots=False"))
    assert mutants.meaning(slots) != mutants.meaning(slots.replace("eq=False", "eq=True"))
    field = "class A:\n    size: int | None = 1\n"
    assert mutants.meaning(field) != mutants.meaning(field.replace("= 1", "= 2"))


def test_equivalent_changes_are_known_by_file_and_lines() -> None:
    text = "# a comment\n\nsrc/a.py\n- x = 1\n+ x = 2\nno one reads x\n\n# the end\n"
    assert mutants.equivalents(text) == {("src/a.py", "- x = 1", "+ x = 2")}
    with pytest.raises(AssertionError, match=r"src/a.py: a block without a reason"):
        mutants.equivalents("src/a.py\n- x = 1\n+ x = 2\n")
    path = mutants.REPOSITORY / "src" / "a.py"
    mutant = mutants.Mutant("text", path, "if y:\n    x = 1\n", "if y:\n    x = 2\n")
    assert mutant.key in mutants.equivalents(text)
    mutants.equivalents(mutants.EQUIVALENT.read_text("utf-8"))


def test_every_module_has_sources_and_tests() -> None:
    for module, (_, tests) in mutants.TESTS.items():
        assert mutants.sources(module)
        assert [name for name in tests if not (mutants.REPOSITORY / "tests" / name).exists()] == []


def test_a_place_is_changed_by_one_operator(tmp_path: Path) -> None:
    pytest.importorskip("cosmic_ray")
    path = tmp_path / "a.py"
    path.write_text("def f(x: int | None) -> bool:\n    return x < 5\n")
    places = list(mutants.places_in(path))
    found = {
        mutant.after
        for place in places
        for seed in range(40)
        if (mutant := mutants.make("text", place, random.Random(seed))) is not None
    }
    changed = {after.splitlines()[1].strip() for after in found}
    assert {"return x <= 5", "return x >= 5", "return x < 6", "return x < 4"} <= changed
    assert "return x < 5" not in changed  # only the annotation differs


def test_the_verdict_follows_from_the_tests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    (copy / "src").mkdir(parents=True)
    (copy / "tests" / "text").mkdir(parents=True)
    monkeypatch.setattr(mutants, "REPOSITORY", tmp_path)
    monkeypatch.setattr(mutants, "TESTS", {"text": (("a.py",), ("text",))})
    (copy / "src" / "a.py").write_text("x = 1\ny = 1\n")
    (copy / "tests" / "text" / "test_a.py").write_text(
        "import a\ndef test_x():\n    while a.x == 3:\n        pass\n    assert a.x == 1\n"
    )
    before = "x = 1\ny = 1\n"
    for after, verdict in (
        ("x = 2\ny = 1\n", "killed"),
        ("x = 1\ny = 2\n", "survived"),
        ("x = 3\ny = 1\n", "timed out"),
    ):
        mutant = mutants.Mutant("text", tmp_path / "src" / "a.py", before, after)
        limit = 1.0 if verdict == "timed out" else 300.0
        assert mutants.evaluate(copy, mutant, limit, 1) == verdict
        assert (copy / "src" / "a.py").read_text() == before
