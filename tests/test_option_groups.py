"""Each option of `ricorda train` stands under one heading of its help."""

import re
from collections import Counter
from dataclasses import fields
from typing import Annotated

import click
from pydantic import Field
from pydantic.dataclasses import dataclass

from ricorda.cli.train import command
from ricorda.option_groups import Group, group_of, options_of
from ricorda.training.options import TrainingOptions


def sections() -> dict[str, list[str]]:
    """The options under each heading, as the help of `train` lists them."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in command.get_help(click.Context(command, info_name="train")).splitlines():
        if title := re.fullmatch(r"(\w[\w ]*):", line):
            heading = title[1]
            found[heading] = []
        elif option := re.match(r"  (?:-\w, )?(--[a-z-]+)", line):
            found[heading].append(option[1])
    return found


def test_each_option_is_listed_once() -> None:
    listed = Counter(name for names in sections().values() for name in names)
    options = {each.opts[-1] for each in command.params if isinstance(each, click.Option)}
    assert listed == Counter(options | {"--help"})


def test_the_groups_stand_in_order_and_the_most_used_ten_first() -> None:
    found = sections()
    assert list(found) == [
        *("Most used", "Text", "Network", "Regularization", "Optimization", "Budget"),
        *("Machine", "Output", "Other"),
    ]
    assert len(found["Most used"]) == 10
    assert {"--minutes", "--out", "--hidden-size", "--dry-run"} <= {*found["Most used"]}
    assert "--recurrent-dropout" in found["Regularization"]
    assert "--threads" in found["Machine"]
    assert found["Other"] == ["--help"]


def test_each_field_has_a_group() -> None:
    names = [field.name for field in fields(TrainingOptions)]
    assert [name for name in names if group_of(TrainingOptions, name) is None] == []


def test_a_field_overrides_the_group_of_its_class() -> None:
    @options_of(Group.TEXT)
    @dataclass
    class Base:
        size: int = 1
        speed: Annotated[int, Field(ge=1), Group.MACHINE] = 1

    @dataclass
    class Derived(Base):
        loose: int = 1

    assert group_of(Derived, "size") is Group.TEXT
    assert group_of(Derived, "speed") is Group.MACHINE
    assert group_of(Derived, "loose") is None
    assert group_of(Derived, "missing") is None
