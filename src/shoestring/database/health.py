"""The slower observations: the write probe, space, accounts, tables, settings."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from shoestring.config.slices import Database
from shoestring.core.database import DatabaseHealth
from shoestring.database import dumps, reserve
from shoestring.database.fitness import FULL_PERCENT
from shoestring.database.render import REPLICATION_USER, fixed_settings
from shoestring.system.clock import boot_seconds, wall_seconds
from shoestring.system.files import free_percent, read_bounded
from shoestring.system.mariadb import TOO_MANY_CONNECTIONS, Mariadb, SqlError
from shoestring.system.places import VERIFIED_FILE

PROBE_SECONDS = 2
PROBE_FAILS = 2
DEEP_SECONDS = 60.0
DEEP_AGAIN_SECONDS = 3.0
LISTED_MAX = 20

_HEARTBEAT = (
    "SET STATEMENT max_statement_time=%s, lock_wait_timeout=%s FOR "
    "REPLACE INTO shoestring.heartbeat (id, at) VALUES (@@global.server_id, %s)"
)
_BYPASS = """
SELECT DISTINCT GRANTEE AS account FROM information_schema.USER_PRIVILEGES
WHERE PRIVILEGE_TYPE IN ('READ_ONLY ADMIN', 'READ ONLY ADMIN', 'SUPER')
"""
_UNSAFE = """
SELECT CONCAT(t.TABLE_SCHEMA, '.', t.TABLE_NAME) AS name, t.ENGINE AS engine,
  EXISTS (SELECT 1 FROM information_schema.TABLE_CONSTRAINTS c WHERE c.TABLE_SCHEMA =
  t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME AND c.CONSTRAINT_TYPE IN ('PRIMARY KEY','UNIQUE'))
  AS keyed
FROM information_schema.TABLES t
WHERE t.TABLE_TYPE = 'BASE TABLE' AND t.TABLE_SCHEMA NOT IN
  ('mysql', 'information_schema', 'performance_schema', 'sys', 'shoestring')
"""
_OURS = ("'root'@", "'mysql'@", "'mariadb.sys'@", f"'{reserve.USER}'@")


class HealthLooker:
    """Keeps a connection of its own: a probe that hangs must not hide what the glance sees."""

    def __init__(self, settings: Database, peers: Sequence[str]) -> None:
        self._settings = settings
        self._peers = peers
        self._grants = ""
        self._sql = Mariadb(
            settings.socket, timeout_seconds=PROBE_SECONDS + 1, reserve=reserve.way(settings)
        )
        self._deep_at = -DEEP_SECONDS
        self._deep: dict[str, tuple[str, ...]] = {}
        self._data = Path("/var/lib/mysql")
        self._failed = 0
        self._version = ""

    def look(self, *, writes: bool) -> DatabaseHealth:
        """Return the node's health; what cannot be looked at stays as it was. Blocking."""
        probe = self._probe() if writes else ""
        with contextlib.suppress(SqlError):
            wrong = self._grants or self._deep.get("settings")
            pause = DEEP_AGAIN_SECONDS if wrong else DEEP_SECONDS
            if boot_seconds() - self._deep_at >= pause:
                self._look_deep()
        verified = _verified()
        return DatabaseHealth(
            disk_free_percent=self._free(),
            probe=probe,
            bypass=self._deep.get("bypass", ()),
            unsafe=self._deep.get("unsafe", ()),
            settings=self._deep.get("settings", ()),
            behind_seconds=None if writes else self._behind(),
            version=self._version,
            grants=self._grants,
            verified_wall=verified[0],
            differences=verified[1],
            old_dumps=self._old_dumps(),
        )

    def _free(self) -> float:
        try:
            return free_percent(self._data)
        except OSError:
            return 100.0

    def _probe(self) -> str:
        """Write the heartbeat row; two failures in a row count, on a full disk the first one does.

        Being full of guests never counts.

        A commit that waits for the other node is no fault either: the agent decides how long. No
        probe is added to those that wait, or each would keep one more connection.
        """
        if self._is_waiting():
            return ""
        try:
            self._sql.do(_HEARTBEAT, (PROBE_SECONDS, 1, f"{wall_seconds():.3f}"))
        except SqlError as error:
            if error.errno in (TOO_MANY_CONNECTIONS, 1290) or self._is_waiting():
                return ""
            if error.errno in (1146, 1049):
                self._make_table()
                return ""
            self._failed += 1
            # A full disk explains the first failure; what else there is may pass.
            enough = self._failed >= PROBE_FAILS or self._free() < FULL_PERCENT
            return str(error) if enough else ""
        self._failed = 0
        return ""

    def _is_waiting(self) -> bool:
        with contextlib.suppress(SqlError):
            row = self._sql.row("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_wait_sessions'")
            return int(row.get("Value", 0)) > 0
        return False

    def _make_table(self) -> None:
        with contextlib.suppress(SqlError):
            self._sql.do("CREATE DATABASE IF NOT EXISTS shoestring")
            self._sql.do(
                "CREATE TABLE IF NOT EXISTS shoestring.heartbeat (id INT UNSIGNED PRIMARY KEY, "
                "at DECIMAL(16,3) NOT NULL) ENGINE=InnoDB"
            )

    def _behind(self) -> float | None:
        with contextlib.suppress(SqlError):
            at = self._sql.value("SELECT MAX(at) FROM shoestring.heartbeat")
            return None if at is None else max(0.0, wall_seconds() - float(at))
        return None

    def _old_dumps(self) -> tuple[str, ...]:
        with contextlib.suppress(SqlError):
            return dumps.left(self._sql, self._peers)
        return ()

    def _look_deep(self) -> None:
        sql = self._sql
        reserve.keep(sql)
        accounts = [str(row["account"]) for row in sql.rows(_BYPASS)]
        self._deep["bypass"] = tuple(a for a in accounts if not a.startswith(_OURS))[:LISTED_MAX]
        self._deep["unsafe"] = unsafe_tables(sql)[:LISTED_MAX]
        self._deep["settings"] = differing_settings(sql)
        self._version = str(sql.value("SELECT VERSION()"))
        self._grants = lacking_grant(sql, self._peers)
        self._data = Path(str(sql.value("SELECT @@global.datadir")))
        self._deep_at = boot_seconds()


def lacking_grant(sql: Mariadb, peers: Sequence[str]) -> str:
    """Return what the peer's replication account lacks, or nothing."""
    for peer in peers:
        account = f"{REPLICATION_USER}@{peer}"
        try:
            rows = sql.rows("SHOW GRANTS FOR %s@%s", (REPLICATION_USER, peer))
        except SqlError:
            return f"there is no account {account}"
        text = " ".join(str(value) for row in rows for value in row.values())
        for word in ("REPLICATION SLAVE", "REQUIRE X509"):
            if word not in text:
                return f"{account} lacks {word}"
    return ""


def unsafe_tables(sql: Mariadb) -> tuple[str, ...]:
    """Return tables that row-based replication cannot carry safely, each with the reason."""
    found = []
    for row in sql.rows(_UNSAFE):
        if str(row["engine"]).lower() != "innodb":
            found.append(f"{row['name']} ({row['engine']})")
        elif not row["keyed"]:
            found.append(f"{row['name']} (no primary key)")
    return tuple(found)


def differing_settings(sql: Mariadb) -> tuple[str, ...]:
    """Return variables which are not as rendered, each with both values."""
    rows = sql.rows("SHOW GLOBAL VARIABLES")
    now: Mapping[str, str] = {row["Variable_name"]: str(row["Value"]) for row in rows}
    return tuple(
        f"{name} = {now.get(name)}, not {value}"
        for name, value in fixed_settings().items()
        if now.get(name, "").lower() not in _spellings(value)
    )


def _spellings(value: str) -> tuple[str, ...]:
    on_off = {"1": ("1", "on"), "0": ("0", "off")}
    return on_off.get(value, (value.lower(),))


def _verified() -> tuple[float | None, tuple[str, ...]]:
    """Return when both nodes were last compared, and what differed."""
    try:
        data = json.loads(read_bounded(VERIFIED_FILE) or "{}")
        return float(data["wall"]), tuple(str(line) for line in data["differences"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, ()
