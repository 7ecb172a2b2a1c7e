"""Tables as a comparison sees them: definition, key, columns, chunks and sums. Blocking.

Spans are (after, to]: lists of key values, None for the ends of the table. Values travel as text:
what MariaDB prints of a value is the same on both nodes, whatever its type.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shoestring.system.mariadb import Mariadb, quoted_name

CHUNK_ROWS = 10_000
CHUNKS_MAX = 100_000
Span = Sequence[str | None] | None
_COLUMNS = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, COLUMN_NAME AS c, GENERATION_EXPRESSION AS g
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys', 'shoestring')
ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
"""
_KEYS = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, COLUMN_NAME AS c
FROM information_schema.KEY_COLUMN_USAGE WHERE CONSTRAINT_NAME = 'PRIMARY'
ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
"""
_TABLES = """
SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t FROM information_schema.TABLES
WHERE TABLE_TYPE = 'BASE TABLE'
AND TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys', 'shoestring')
ORDER BY TABLE_SCHEMA, TABLE_NAME
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `definition` is a hash of SHOW CREATE TABLE without its counter."""

    schema: str
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    definition: str

    @property
    def quoted(self) -> str:
        """Return the name for a statement."""
        return f"{quoted_name(self.schema)}.{quoted_name(self.name)}"


def known(sql: Mariadb) -> dict[str, Table]:
    """Return every table of the applications by its name; raises SqlError."""
    columns: dict[tuple[str, str], list[str]] = {}
    keys: dict[tuple[str, str], list[str]] = {}
    for row in sql.rows(_COLUMNS):
        if not row["g"]:
            columns.setdefault((row["s"], row["t"]), []).append(str(row["c"]))
    for row in sql.rows(_KEYS):
        keys.setdefault((row["s"], row["t"]), []).append(str(row["c"]))
    found = {}
    for row in sql.rows(_TABLES):
        place = (str(row["s"]), str(row["t"]))
        found[".".join(place)] = Table(
            *place,
            tuple(columns.get(place, ())),
            tuple(keys.get(place, ())),
            definition(sql, *place),
        )
    return found


def definition(sql: Mariadb, schema: str, name: str) -> str:
    """Return a short hash of a table's definition; AUTO_INCREMENT may differ between nodes."""
    quoted = f"{quoted_name(schema)}.{quoted_name(name)}"
    text = str(list(sql.row(f"SHOW CREATE TABLE {quoted}").values())[1])
    text = re.sub(r" AUTO_INCREMENT=\d+", "", text)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def chunk_ends(sql: Mariadb, table: Table) -> list[list[str]]:
    """Return the last key of each chunk but the last; none for a table without a primary key."""
    ends: list[list[str]] = []
    after: list[str] | None = None
    names = ", ".join(quoted_name(name) for name in table.key)
    while table.key and len(ends) < CHUNKS_MAX:
        where, values = _between(table, after, None)
        statement = (
            f"SELECT {names} FROM {table.quoted} WHERE {where} "  # noqa: S608  quoted names
            f"ORDER BY {names} LIMIT 1 OFFSET {CHUNK_ROWS - 1}"
        )
        row = sql.row(statement, values)
        if not row:
            break
        after = [str(value) for value in row.values()]
        ends.append(after)
    return ends


def _between(table: Table, after: Span, to: Span) -> tuple[str, list[object]]:
    """Return the condition for keys in (after, to], and its values."""
    parts, values = ["1"], []
    for span, above in ((after, True), (to, False)):
        if span is not None:
            text, given = _beyond(table.key, span, above=above)
            parts.append(text)
            values += given
    return " AND ".join(parts), values


def _beyond(
    key: Sequence[str], span: Sequence[str | None], *, above: bool
) -> tuple[str, list[object]]:
    """Return `key > span` (or `key <= span`) written out, so that an index serves it."""
    ors, values = [], []
    for i, name in enumerate(key):
        same = [f"{quoted_name(k)} = %s" for k in key[:i]]
        last = i == len(key) - 1
        sign = ">" if above else ("<=" if last else "<")
        ors.append("(" + " AND ".join([*same, f"{quoted_name(name)} {sign} %s"]) + ")")
        values += [*span[:i], span[i]]
    return "(" + " OR ".join(ors) + ")", list(values)


def _hex(column: str) -> str:
    """Return an expression for a value's bytes; HEX alone would round numbers."""
    return f"HEX(CAST({quoted_name(column)} AS BINARY))"


def _row_md5(table: Table) -> str:
    parts = ", ".join(f"COALESCE({_hex(name)}, '-')" for name in table.columns)
    return f"MD5(CONCAT_WS('#', {parts}))"


def checksum(sql: Mariadb, table: Table, after: Span, to: Span) -> str:
    """Return count and sums of a span's rows as one word; raises SqlError."""
    where, values = _between(table, after, to)
    md5 = _row_md5(table)
    half = "BIT_XOR(CAST(CONV(SUBSTRING(h, {}, 16), 16, 10) AS UNSIGNED))"
    statement = (
        f"SELECT COUNT(*) AS n, {half.format(1)} AS a, {half.format(17)} AS b "  # noqa: S608
        f"FROM (SELECT {md5} AS h FROM {table.quoted} WHERE {where}) AS hashed"
    )
    row = sql.row(statement, values)
    return f"{row['n']} {row['a']} {row['b']}"


def row_sums(sql: Mariadb, table: Table, after: Span, to: Span) -> list[list[object]]:
    """Return key and hash of each row of a span, at most a chunk and a half of them."""
    where, values = _between(table, after, to)
    names = ", ".join(quoted_name(name) for name in table.key)
    statement = (
        f"SELECT {names}, {_row_md5(table)} FROM {table.quoted} "  # noqa: S608  quoted names
        f"WHERE {where} LIMIT {CHUNK_ROWS * 3 // 2}"
    )
    return [
        [[str(value) for value in row[:-1]], str(row[-1])] for row in sql.stream(statement, values)
    ]


def within(table: Table, first: Sequence[str], last: Sequence[str]) -> tuple[str, list[object]]:
    """Return the condition for keys from..to, both included, and its values."""
    if list(first) == list(last):
        where = " AND ".join(f"{quoted_name(name)} = %s" for name in table.key)
        return where, list(first)
    low, low_values = _beyond(table.key, first, above=True)
    same = " AND ".join(f"{quoted_name(name)} = %s" for name in table.key)
    high, high_values = _beyond(table.key, last, above=False)
    return f"({low} OR ({same})) AND {high}", [*low_values, *first, *high_values]


def rows_within(
    sql: Mariadb, table: Table, first: Sequence[str], last: Sequence[str], most: int
) -> list[list[str | None]]:
    """Return whole rows with keys from..to, both included, as `rows` does."""
    where, values = within(table, first, last)
    names = ", ".join(_hex(name) for name in table.columns)
    statement = f"SELECT {names} FROM {table.quoted} WHERE {where} LIMIT {most}"  # noqa: S608
    return [[None if v is None else str(v) for v in row] for row in sql.stream(statement, values)]
