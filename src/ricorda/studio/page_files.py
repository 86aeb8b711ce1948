"""The page's own files and those that it shares with reports, read once; nothing else is served."""

from importlib.resources import files

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


def read_page_files() -> dict[str, tuple[bytes, str]]:
    """Give each file's content and type by its name."""
    found = {}
    shared = files("ricorda.pages").iterdir()
    for entry in (*shared, *files("ricorda.studio").joinpath("page").iterdir()):
        suffix = f".{entry.name.rsplit('.', 1)[-1]}"
        if entry.is_file() and suffix in TYPES:
            found[entry.name] = (entry.read_bytes(), TYPES[suffix])
    return found
