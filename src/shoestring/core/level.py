"""The one scale of the house, with the numbers of the Nagios plugin guidelines."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Level(IntEnum):
    """How bad something is: status colour, event level and exit code of `check` alike."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_BADNESS = {Level.OK: 0, Level.WARNING: 1, Level.UNKNOWN: 2, Level.CRITICAL: 3}


def worst(levels: Iterable[Level]) -> Level:
    """Return the worst of the levels, where not knowing is worse than a warning."""
    return max(levels, key=_BADNESS.__getitem__, default=Level.OK)
