"""Objects that nothing needs are removed: of pushes that were refused late, of deleted branches.

Each push leaves one pack. They become one when there are many, or when they fill the repository's
room. What came within the last quarter of an hour stays, as its branch may be about to move.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from shoestring.config.slices import Site
from shoestring.site.repository import PACK_SECONDS, Repository

PACKS_MAX = 40
YOUNG_SECONDS = 900.0


def size_mb(repository: Path) -> float:
    """Return how much the repository's packs and loose objects take."""
    total = 0
    for folder, _, names in os.walk(repository / "objects"):
        for name in names:
            try:
                total += os.lstat(f"{folder}/{name}").st_size
            except OSError:
                continue  # moved or removed while we look
    return total / 2**20


def collect(repository: Repository, path: Path, site: Site) -> bool:
    """Make one pack of what is needed, where that is due; tell whether it was done.

    Raises CommandError.
    """
    packs = {each: each.stat().st_mtime for each in (path / "objects/pack").glob("pack-*.pack")}
    young = [each.name for each, at in packs.items() if time.time() - at < YOUNG_SECONDS]
    old = len(packs) - len(young)
    full = size_mb(path) > site.repository_size_max_mb / 2
    if old < 2 or (old <= PACKS_MAX and not full):
        return False
    kept = [f"--keep-pack={name}" for name in young[:PACKS_MAX]]
    if len(kept) < len(young):
        return False  # a flood: when it is over
    repository.git("repack", "-a", "-d", "-n", "-q", *kept, timeout_seconds=PACK_SECONDS)
    repository.git(
        "prune", f"--expire={YOUNG_SECONDS:.0f}.seconds.ago", timeout_seconds=PACK_SECONDS
    )
    return True
