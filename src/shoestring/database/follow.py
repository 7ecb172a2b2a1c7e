"""Start to replicate from the other node."""

from __future__ import annotations

import time
from pathlib import Path

from shoestring.database.gtid import lower
from shoestring.system.mariadb import Mariadb, SqlError
from shoestring.system.sync import sync_filesystem

WORD_SECONDS = 5.0
BEFORE_OWN_ERRNOS = (1947, 1948)
BROKEN_FILES_ERRNOS = (1201, 1871, 1872)


def follow(sql: Mariadb, theirs: str) -> None:
    """Start to replicate from the last transaction that both have; raises SqlError, CommandError.

    Only for a node whose threads are both stopped and whose received transactions are applied:
    the first thread that starts deletes the relay log.
    """
    try:
        _start(sql, theirs)
    except SqlError as error:
        if error.errno not in BROKEN_FILES_ERRNOS:
            raise
        # A server that is killed while it writes them leaves files of replication which it cannot
        # read. They hold nothing that is needed: what was received is fetched again by GTID.
        sql.do("RESET SLAVE")
        _start(sql, theirs)
        # MariaDB has written these files again and does not sync them. After a second power cut
        # this node would not know which server to follow.
        sync_filesystem(Path(str(sql.value("SELECT @@global.datadir"))))


def _start(sql: Mariadb, theirs: str) -> None:
    began = time.monotonic()
    sql.do("STOP SLAVE")
    row = sql.row("SELECT @@global.gtid_binlog_pos AS position, @@global.server_id AS own")
    position = str(row["position"] or "")
    if position:
        _set_position(sql, lower(position, theirs, int(row["own"])))
    sql.do("SET GLOBAL rpl_semi_sync_slave_enabled = 1")
    sql.do("START SLAVE")
    while time.monotonic() - began < WORD_SECONDS:
        row = sql.row("SHOW SLAVE STATUS")
        if row.get("Slave_IO_Running") != "Preparing":
            return
        time.sleep(0.02)


def _set_position(sql: Mariadb, position: str) -> None:
    """Set where the receiver begins.

    In strict mode MariaDB refuses a position before this node's own last transaction (1947, 1948),
    which a link back to a node that is a moment behind needs: its own events are skipped anyway.
    """
    try:
        sql.do("SET GLOBAL gtid_slave_pos = %s", (position,))
    except SqlError as error:
        if error.errno not in BEFORE_OWN_ERRNOS:
            raise
        sql.do("SET GLOBAL gtid_strict_mode = 0")
        try:
            sql.do("SET GLOBAL gtid_slave_pos = %s", (position,))
        finally:
            sql.do("SET GLOBAL gtid_strict_mode = 1")
