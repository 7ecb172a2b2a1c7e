"""Start to replicate from the other node."""

from __future__ import annotations

import time

from shoestring.database.gtid import lower
from shoestring.system.mariadb import Mariadb

WORD_SECONDS = 5.0


def follow(sql: Mariadb, theirs: str) -> None:
    """Start to replicate from the last transaction that both nodes have; raises SqlError.

    Only for a node whose threads are both stopped and whose received transactions are applied:
    the first thread that starts deletes the relay log.
    """
    began = time.monotonic()
    sql.do("STOP SLAVE")
    position = str(sql.value("SELECT @@global.gtid_binlog_pos") or "")
    if position:
        sql.do("SET GLOBAL gtid_slave_pos = %s", (lower(position, theirs),))
    sql.do("SET GLOBAL rpl_semi_sync_slave_enabled = 1")
    sql.do("START SLAVE")
    while time.monotonic() - began < WORD_SECONDS:
        row = sql.row("SHOW SLAVE STATUS")
        if row.get("Slave_IO_Running") != "Preparing":
            return
        time.sleep(0.02)
