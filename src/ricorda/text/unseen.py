"""Characters that a model never saw: where they stood in a text, and how they are reported.

A model has no probability for a character that it never saw, and the network cannot read it: its
state goes from the character before to the character after. What the model predicts for the
character after is therefore an artefact, and is left out of figures together with the unseen ones.
"""

from collections.abc import Iterable

MOST_QUOTED = 10


def quoted(characters: Iterable[str], most: int = MOST_QUOTED) -> str:
    """List distinct characters for a message: `'a', 'b' and '\\n'`."""
    found = [repr(each) for each in dict.fromkeys(characters)]
    if len(found) > most:
        return f"{', '.join(found[:most])} and {len(found) - most} more"
    return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]])) if found else "nothing"
