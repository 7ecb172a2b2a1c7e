"""What is in a database: before a seed, both nodes are looked at. Blocking."""

from __future__ import annotations

from shoestring.database.health import unsafe_tables
from shoestring.system.files import free_bytes
from shoestring.system.mariadb import Mariadb

TABLES_MAX = 2000
SYSTEM_SCHEMAS = ("mysql", "information_schema", "performance_schema", "sys")
COMPARED = (
    "sql_mode",
    "lower_case_table_names",
    "character_set_server",
    "collation_server",
    "innodb_page_size",
)
_TABLES = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS n, COALESCE(TABLE_ROWS, 0) AS r,
  COALESCE(DATA_LENGTH + INDEX_LENGTH, 0) AS b
FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE'
AND TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys', 'shoestring')
ORDER BY b DESC
"""


def survey(sql: Mariadb) -> dict[str, object]:
    """Return version, settings, tables with sizes, accounts, free space; raises SqlError."""
    rows = sql.rows(_TABLES)
    accounts = sql.rows("SELECT User AS u, Host AS h FROM mysql.user ORDER BY User, Host")
    filters = [
        value
        for row in sql.rows("SHOW GLOBAL VARIABLES LIKE 'replicate%'")
        if (value := row["Value"])
        and row["Variable_name"] != "replicate_annotate_row_events"
        and row["Variable_name"] != "replicate_events_marked_for_skip"
    ]
    return {
        "version": str(sql.value("SELECT VERSION()")),
        "settings": {name: str(sql.value(f"SELECT @@global.{name}")) for name in COMPARED},
        "tables": [[f"{row['s']}.{row['n']}", int(row["r"]), int(row["b"])] for row in rows][
            :TABLES_MAX
        ],
        "bytes": sum(int(row["b"]) for row in rows),
        "accounts": [f"{row['u']}@{row['h']}" for row in accounts],
        "unsafe": list(unsafe_tables(sql)[:TABLES_MAX]),
        "filters": filters,
        "free_bytes": free_bytes(str(sql.value("SELECT @@global.datadir"))),
        "position": str(sql.value("SELECT @@global.gtid_binlog_pos") or ""),
    }
