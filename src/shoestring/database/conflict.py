"""The transaction at which this node's applier stopped, as the other node meant it. Blocking."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from shoestring.database.relay import relay_files
from shoestring.system.mariadb import Mariadb

ROW_MAX = 500
_PLACE = re.compile(r"end_log_pos (\d+)")


def stopped_at(sql: Mariadb) -> dict[str, object]:
    """Return the error and the event behind it, decoded; errno 0 where the applier runs.

    `event` is the other node's version, with the row as it was there (WHERE) and as it became
    (SET); `missing` tells that this node has no such row.
    """
    row = sql.row("SHOW SLAVE STATUS")
    errno = int(row.get("Last_SQL_Errno") or 0)
    if not errno:
        return {"errno": 0, "error": "", "event": [], "missing": False}
    place = _PLACE.search(str(row["Last_SQL_Error"]))
    folder = Path(str(sql.value("SELECT @@global.datadir")))
    return {
        "errno": errno,
        "error": str(row["Last_SQL_Error"]),
        "event": _decoded(relay_files(folder), place.group(1)) if place else [],
        "missing": errno == 1032,
    }


def _decoded(files: list[str], end_position: str) -> list[str]:
    """Return the decoded rows of the event that ends there in the writer's binlog."""
    words = ["mariadb-binlog", "--verbose", "--base64-output=decode-rows", *files]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        found = list(_event(process.stdout, f"end_log_pos {end_position} ".encode()))
        process.kill()
    return found


def _event(lines: Iterable[bytes], mark: bytes) -> Iterator[str]:
    inside = False
    for line in lines:
        if line.startswith(b"# at") and inside:
            return
        inside = inside or mark in line
        if inside and line.startswith(b"###"):
            yield line.decode(errors="replace").rstrip()[:ROW_MAX]
