"""The two clocks: one that never jumps, for decisions; one for people."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path


def boot_seconds() -> float:
    """Return seconds since boot, suspension included (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_seconds() -> float:
    """Return seconds of the wall clock since the epoch."""
    return time.time()


def boot_id() -> str:
    """Return what names this boot (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def stamp(wall: float | None = None) -> str:
    """Return a time as people and file names can read it, in UTC."""
    when = datetime.fromtimestamp(wall_seconds() if wall is None else wall, UTC)
    return when.strftime("%Y%m%dT%H%M%SZ")
