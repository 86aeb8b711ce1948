"""Sizes as people write them: "20GB"."""

import re

from ricorda.arguments import checked
from ricorda.errors import ConfigurationError

_UNITS = {"": 1, "b": 1} | {
    prefix + ending: base**power
    for power, prefix in enumerate("kmgt", 1)
    for ending, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]{0,3})\s*", re.IGNORECASE | re.ASCII)


@checked
def parse_size(option: str, text: str) -> int:
    """Return the bytes of a size such as 500MB, 20GB, 1.5TB or 64MiB.

    Raises ConfigurationError, naming the option, if it is none.
    """
    found = _SIZE.fullmatch(text)
    factor = _UNITS.get(found[2].lower()) if found else None
    size = round(float(found[1]) * factor) if found and factor else 0
    if size < 1:
        raise ConfigurationError(
            f"{option}: expected a size of at least a byte, such as 500MB or 20GB, got {text!r}"
        )
    return size


def readable_size(size: float) -> str:
    """Return a number of bytes as a person reads it: "3.2 GB"."""
    for factor, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (1000, "kB")):
        if size >= 0.9995 * factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} bytes"
