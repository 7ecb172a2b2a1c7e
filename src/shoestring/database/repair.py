"""Replace a few rows on one node by the other node's, at one GTID, and keep what they were.

On a replica the change stays out of the binlog: it only becomes what it should have been. On the
writer it is an ordinary change, which replication carries. Blocking.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence

from shoestring.core.errors import EngineError
from shoestring.database import tables
from shoestring.database.tables import Table
from shoestring.database.verify import Ask
from shoestring.system.clock import stamp
from shoestring.system.files import write_atomic
from shoestring.system.mariadb import Mariadb, quoted_name
from shoestring.system.places import REPAIRS

ROWS_MAX = 200


def repair(
    sql: Mariadb, ask: Ask, nodes: tuple[str, str], name: str, keys: Sequence[Sequence[str]]
) -> dict[str, object]:
    """Take rows with keys from..to from the first of these nodes to the second, which is this one.

    Returns what was done. Raises EngineError, with nothing changed, where that cannot be.
    """
    source, here = nodes
    table = tables.known(sql).get(name)
    if table is None or not table.key:
        raise EngineError(f"there is no table {name!r} with a primary key on {here}")
    if any(len(key) != len(table.key) for key in keys):
        raise EngineError(f"the key of {name} is {', '.join(table.key)}")
    theirs = _rows_of(ask, source, name, keys)
    mine = tables.rows_within(sql, table, keys[0], keys[1], ROWS_MAX)
    if max(len(theirs), len(mine)) >= ROWS_MAX:
        raise EngineError(f"these are {ROWS_MAX} rows or more", hint="take a smaller range")
    kept = _keep(table, keys, mine)
    _replace(sql, table, keys, theirs)
    sentence = (
        f"{name} on {here}: {len(mine)} rows replaced by {len(theirs)} of {source}; kept in {kept}"
    )
    return {"sentence": sentence, "replaced": len(mine), "by": len(theirs), "kept": kept}


def _rows_of(
    ask: Ask, node: str, name: str, keys: Sequence[Sequence[str]]
) -> list[list[str | None]]:
    identity = secrets.token_hex(8)
    try:
        ask(node, "compare-open", {"id": identity, "position": ""})
        ask(node, "compare-tables", {"id": identity})
        body = {"id": identity, "table": name, "span": [list(key) for key in keys], "full": True}
        answer: Mapping[str, object] = ask(node, "compare-rows", body)
        found = answer["rows"]
        assert isinstance(found, list)
        return found
    finally:
        ask(node, "compare-end", {"id": identity})


def _keep(table: Table, keys: Sequence[Sequence[str]], rows: list[list[str | None]]) -> str:
    REPAIRS.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = REPAIRS / f"{stamp()}-{secrets.token_hex(2)}.json"
    about = {
        "table": f"{table.schema}.{table.name}",
        "keys": [list(key) for key in keys],
        "columns": list(table.columns),
        "rows_hex": rows,
    }
    write_atomic(path, json.dumps(about, indent=1) + "\n", mode=0o600)
    return str(path)


def _replace(
    sql: Mariadb, table: Table, keys: Sequence[Sequence[str]], rows: list[list[str | None]]
) -> None:
    replica = bool(sql.value("SELECT @@global.read_only"))
    where, values = tables.within(table, keys[0], keys[1])
    names = ", ".join(quoted_name(name) for name in table.columns)
    marks = ", ".join(["UNHEX(%s)"] * len(table.columns))
    sql.do(f"SET SESSION sql_log_bin = {int(not replica)}, foreign_key_checks = 0")
    try:
        sql.do("START TRANSACTION")
        sql.do(f"DELETE FROM {table.quoted} WHERE {where}", values)  # noqa: S608  quoted names
        for row in rows:
            statement = f"INSERT INTO {table.quoted} ({names}) VALUES ({marks})"  # noqa: S608
            sql.do(statement, row)
        sql.do("COMMIT")
    finally:
        sql.close()
