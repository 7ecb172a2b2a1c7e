"""Apply what was received before writes are opened, in the order that loses nothing.

MariaDB deletes the relay log when a slave thread is started while none runs. So a stopped applier
is started while the receiver still runs, and where neither runs the relay log is replayed by hand.
"""

from __future__ import annotations

import time
from pathlib import Path

from shoestring.core.errors import EngineError
from shoestring.database.gtid import behind
from shoestring.system.mariadb import Mariadb, Row
from shoestring.system.run import pipe

APPLY_SECONDS_MAX = 3500.0
WAIT_SECONDS = 1
REPLAY_SECONDS = 3000.0


def apply_received(sql: Mariadb, *, until: str, cut: bool, seconds: float) -> None:
    """Apply everything up to a position, or all that was received; raises EngineError."""
    if until:
        _wait(sql, until, seconds)
    elif cut:
        row = sql.row("SHOW SLAVE STATUS")
        if row:
            _drain(sql, row)


def _drain(sql: Mariadb, row: Row) -> None:
    receives = row["Slave_IO_Running"] != "No"
    if row["Slave_SQL_Running"] == "No" and receives and not row["Last_SQL_Errno"]:
        sql.do("START SLAVE SQL_THREAD")
    elif row["Slave_SQL_Running"] == "No":
        _replay(sql, row)
        return
    sql.do("STOP SLAVE IO_THREAD")
    received = str(sql.row("SHOW SLAVE STATUS")["Gtid_IO_Pos"] or "")
    if received:
        _wait(sql, received, APPLY_SECONDS_MAX)
    sql.do("STOP SLAVE")


def _wait(sql: Mariadb, position: str, seconds: float) -> None:
    """Wait until the applier has come to a position; raises EngineError if it stops or is late."""
    until = time.monotonic() + seconds
    while True:
        left = min(WAIT_SECONDS, max(0.05, until - time.monotonic()))
        if sql.value("SELECT MASTER_GTID_WAIT(%s, %s)", (position, left)) == 0:
            return
        row = sql.row("SHOW SLAVE STATUS")
        applied = str(sql.value("SELECT @@global.gtid_slave_pos") or "")
        if row.get("Slave_SQL_Running") == "No" and behind(position, applied):
            raise EngineError(f"the applier stopped: {row.get('Last_SQL_Error') or 'by hand'}")
        if time.monotonic() > until:
            lacking = behind(position, applied)
            raise EngineError(f"{lacking} transactions were not applied within {seconds:g} s")


def _replay(sql: Mariadb, row: Row) -> None:
    """Replay the relay log through a client, from where the applier had come to.

    The GTIDs stay as they were. Source: the reference table of measured salvage ways; a slave
    thread would delete the relay log.
    """
    if row["Last_SQL_Errno"]:
        raise EngineError(f"the applier stopped: {row['Last_SQL_Error']}")
    folder = Path(str(sql.value("SELECT @@global.datadir")))
    applied = str(sql.value("SELECT @@global.gtid_binlog_pos") or "")
    files = relay_files(folder)
    if not files:
        return
    argv = ["mariadb-binlog", "--skip-gtid-strict-mode"]
    argv += [f"--start-position={applied}"] if applied else []
    pipe([*argv, *files], ["mariadb", "--batch", "--binary-mode"], timeout_seconds=REPLAY_SECONDS)


def relay_files(folder: Path) -> list[str]:
    """Return the paths of the relay logs, oldest first."""
    return [str(path) for path in sorted(folder.glob("mariadb-relay.[0-9]*")) if path.is_file()]
