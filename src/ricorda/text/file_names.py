"""Names of files in messages, and what the system says of files that cannot be read."""

import errno
from pathlib import Path

from ricorda.errors import TextError


def displayed(path: Path | str) -> str:
    r"""Return a file's name as one printable line; a byte that is not UTF-8 is `\xff`."""
    name = str(path)
    if name.isprintable():
        return name
    return "".join(map(_displayed_character, name))


def is_utf8(name: str) -> bool:
    """Return whether a name is UTF-8; a file system may hold names that are not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _displayed_character(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # how Python stands for a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def unreadable(path: Path | str, error: Exception) -> TextError:
    """Return the error, on one clear line, for a file that the system cannot read."""
    name = displayed(path)
    if isinstance(error, FileNotFoundError):
        return TextError(f"{name}: no such file or folder; check the name")
    if isinstance(error, PermissionError):
        return TextError(f"{name}: no permission to read it; allow it (chmod +r) or name another")
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return TextError(f"{name}: symbolic links that form a loop; name the file itself")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return TextError(f"{name}: cannot be read: {reason}")
