"""Tables for pandas or polars, made on request."""

from collections.abc import Mapping
from typing import Any, Literal

from ricorda.extras import require_frames

Library = Literal["pandas", "polars"]
"""The library of a table."""


def frame(columns: Mapping[str, Any], library: Library) -> Any:
    """Make a DataFrame from columns, each an array or a list.

    Raises MissingExtra if the library is not installed.
    """
    require_frames(library)
    if library == "polars":
        import polars

        return polars.DataFrame(dict(columns))
    import pandas

    return pandas.DataFrame(dict(columns))
