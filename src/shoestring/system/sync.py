"""Have what other programs have written survive a power cut."""

from __future__ import annotations

from pathlib import Path

from shoestring.system.run import run

SYNC_SECONDS = 300.0


def sync_filesystem(path: Path) -> None:
    """Sync all that was written to a path's filesystem (syncfs(2)); raises CommandError."""
    run(["sync", "--file-system", str(path)], timeout_seconds=SYNC_SECONDS)
