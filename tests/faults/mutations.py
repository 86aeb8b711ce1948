"""Each safeguard switched off: with any of these applied, the named test must fail."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One safeguard less."""

    apply: Callable[[], None]
    caught_by: str
    """The test that must fail, as pytest names it."""


MUTATIONS: dict[str, Mutation] = {}
