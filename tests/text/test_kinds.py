"""How the option names a vocabulary."""

import pytest

from ricorda.errors import ConfigurationError
from ricorda.text.kinds import KINDS, wanted


def test_the_kinds_and_a_number_of_pieces() -> None:
    assert wanted("characters") == ("characters", None)
    assert wanted("bytes") == ("bytes", None)
    assert wanted("words") == ("words", None)
    assert wanted("pieces:512") == ("pieces", 512)
    found = {name: wanted(name).encoded_as for name in ("characters", "bytes", "words", "pieces:9")}
    assert found == {"characters": "characters", "bytes": "bytes", "words": "characters",
                     "pieces:9": "characters"}  # fmt: skip
    assert all(kind.kind == name for name, kind in KINDS.items())


@pytest.mark.parametrize(
    "name",
    ["", "pieces", "pieces:", "pieces:1", "pieces:65536", "pieces:-5", "pieces:x", "pieces:1e3",
     "pieces:²", "words:5", "bytes:", "letters", "Pieces:512", "pieces:512 "],
)  # fmt: skip
def test_others_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"such as pieces:512"):
        wanted(name)
