"""The headings under which `ricorda train --help` lists the options of the settings classes.

A settings class names the group of its fields with `@options_of(Group.TEXT)`. A field that belongs
elsewhere says so in its type: `seed: Annotated[int, Group.ESSENTIAL] = 1`.
"""

import enum
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Settings = TypeVar("Settings", bound=type[Any])


class Group(enum.Enum):
    """The groups in the order of the help; the value is the heading."""

    ESSENTIAL = "Most used"
    TEXT = "Text"
    NETWORK = "Network"
    REGULARIZATION = "Regularization"
    OPTIMIZATION = "Optimization"
    BUDGET = "Budget"
    MACHINE = "Machine"
    OUTPUT = "Output"


_OF_CLASS: dict[type[Any], Group] = {}


def options_of(group: Group) -> Callable[[Settings], Settings]:
    """Put the fields that a settings class declares into a group."""

    def decorate(settings: Settings) -> Settings:
        _OF_CLASS[settings] = group
        return settings

    return decorate


def group_of(settings: type[Any], name: str) -> Group | None:
    """Return the group of a field: its own, else its class's; None if neither names one."""
    for owner in settings.__mro__:
        if name in inspect.get_annotations(owner):
            metadata = vars(owner)["__pydantic_fields__"][name].metadata
            own = [each for each in metadata if isinstance(each, Group)]
            return own[0] if own else _OF_CLASS.get(owner)
    return None
