"""Which venue a kept payload belongs to, by the name of its file."""

import re

_GLOBAL_VENUE = re.compile(r"^(http|rpc|ws|req)_", re.ASCII)


def of_global_venue(stem: str) -> bool:
    """True when a payload of this name belongs to the global venue."""
    return _GLOBAL_VENUE.match(stem) is not None


def without_mark(stem: str) -> str:
    """The name without the mark of the global venue."""
    return _GLOBAL_VENUE.sub("", stem, count=1)
