"""What every benchmark hands back: one figure, what it is held against, what is wanted of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.timing import Ratio


@dataclass(frozen=True)
class Result:
    """One comparison."""

    what: str
    peer: str
    ratio: Ratio
    wanted: float | None = None
    """What ricorda means to reach, at least; None where nothing is promised."""

    at_most: bool = False
    """Whether `wanted` is the most instead, as of a slowdown or of memory."""

    unit: str = "times"
    """What the figure counts."""

    details: Mapping[str, float] = field(default_factory=dict)
    """Further figures by name, the unit in the name."""

    def as_json(self) -> dict[str, object]:
        """Every figure by name."""
        figures: dict[str, object] = {
            "what": self.what,
            "against": self.peer,
            "wanted": self.wanted,
            "at_most": self.at_most,
            self.unit: {name: getattr(self.ratio, name) for name in ("median", "least", "most")},
        }
        if self.ratio.ours is not None:
            figures["seconds"] = {"ours": self.ratio.ours, "theirs": self.ratio.peer}
        return figures | ({"details": dict(self.details)} if self.details else {})
