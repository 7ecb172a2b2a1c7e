"""Other people's connections, statements and events on this node."""

from __future__ import annotations

import contextlib

from shoestring.system.mariadb import Mariadb, SqlError, quoted_name

CUT_MAX = 10_000
_OTHERS = """
SELECT ID AS id FROM information_schema.PROCESSLIST
WHERE USER NOT IN ('system user', 'event_scheduler', 'shoestring_replication',
  'shoestring_reserve', 'root')
AND COMMAND NOT IN ('Daemon', 'Binlog Dump')
"""
_LONGEST = """
SELECT ID AS id, USER AS user, TIME AS seconds, LEFT(INFO, 80) AS statement
FROM information_schema.PROCESSLIST
WHERE COMMAND = 'Query' AND ID <> CONNECTION_ID() AND USER <> 'system user'
ORDER BY TIME_MS DESC LIMIT 1
"""


def cut(sql: Mariadb) -> None:
    """End the connections of applications, so that they come again where writes are answered."""
    for row in sql.rows(_OTHERS)[:CUT_MAX]:
        with contextlib.suppress(SqlError):
            sql.do(f"KILL CONNECTION {int(row['id'])}")


def longest_statement(sql: Mariadb) -> str:
    """Return what runs longest, as a sentence, or nothing."""
    with contextlib.suppress(SqlError):
        row = sql.row(_LONGEST)
        if row:
            return (
                f"connection {row['id']} ({row['user']}) has run {row['statement']!r} "
                f"for {row['seconds']} s"
            )
    return ""


def run_events(sql: Mariadb) -> None:
    """Have the events of the applications run here: replication had switched them off."""
    rows = sql.rows(
        "SELECT EVENT_SCHEMA AS s, EVENT_NAME AS n FROM information_schema.EVENTS "
        "WHERE STATUS = 'SLAVESIDE_DISABLED'"
    )
    if rows:
        sql.do("SET SESSION sql_log_bin = 0")
        try:
            for row in rows:
                name = f"{quoted_name(row['s'])}.{quoted_name(row['n'])}"
                sql.do(f"ALTER EVENT {name} ENABLE")
        finally:
            sql.do("SET SESSION sql_log_bin = 1")
    sql.do("SET GLOBAL event_scheduler = 1")
