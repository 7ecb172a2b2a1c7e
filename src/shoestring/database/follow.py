"""Start to replicate from the other node."""

from __future__ import annotations

import time

from shoestring.database.gtid import lower
from shoestring.system.mariadb import Mariadb, SqlError

WORD_SECONDS = 5.0
BEFORE_OWN_ERRNOS = (1947, 1948)


def follow(sql: Mariadb, theirs: str) -> None:
    """Start to replicate from the last transaction that both nodes have; raises SqlError.

    Only for a node whose threads are both stopped and whose received transactions are applied:
    the first thread that starts deletes the relay log.
    """
    began = time.monotonic()
    sql.do("STOP SLAVE")
    position = str(sql.value("SELECT @@global.gtid_binlog_pos") or "")
    if position:
        _set_position(sql, lower(position, theirs))
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
