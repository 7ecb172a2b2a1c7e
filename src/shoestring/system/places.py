"""Where Shoestring keeps its own things."""

from __future__ import annotations

from pathlib import Path

RUN = Path("/run/shoestring")
STATE = Path("/var/lib/shoestring")

CONTROL_SOCKET = RUN / "control.sock"
STATUS_FILE = RUN / "status.json"
MEMORY_FILE = RUN / "memory.json"
DEAD_MARK = RUN / "agent-dead"
MAINTENANCE_FILE = STATE / "maintenance.json"
JOURNAL = STATE / "journal.db"
MANIFEST = STATE / "applied.json"
BACKUPS = STATE / "backups"
