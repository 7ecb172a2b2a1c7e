"""How the guard's program tells of blocks and of what they rest on."""

from __future__ import annotations

import re
from datetime import datetime

from shoestring.core.guard import Block, EvidenceSeen
from shoestring.guard.sources import Evidence

PATH_KEPT = 120
_TARGET = re.compile(r"(?:GET|POST|HEAD|PUT) (/[^ ?]*)")


def day_of(at: float) -> str:
    """Return the local day of a point in time, as 2026-11-22."""
    return datetime.fromtimestamp(at).date().isoformat()


def path_of(line: str) -> str:
    """Return the path that a line of a log asks for, or nothing."""
    found = _TARGET.search(line)
    return found[1][:PATH_KEPT] if found is not None else ""


def length_of(block: Block) -> str:
    """Return how long a block lasts, for people."""
    minutes = (block.until - block.began) / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def shown(each: Evidence) -> EvidenceSeen:
    """Return evidence as both nodes and people see it."""
    return EvidenceSeen(each.rule, each.reason, each.points, each.at, each.place, each.line)
