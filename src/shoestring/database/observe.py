"""What is so: MariaDB's state at a glance, and more slowly its health."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from shoestring.config.model import Config
from shoestring.config.slices import Database
from shoestring.core.database import DatabaseSeen, ReplicaSeen
from shoestring.core.errors import CommandError
from shoestring.core.platform import DEBIAN
from shoestring.core.seen import Seen, Unseen
from shoestring.database import reserve
from shoestring.database.health import HealthLooker
from shoestring.system.board import Board
from shoestring.system.clock import boot_seconds
from shoestring.system.mariadb import TOO_MANY_CONNECTIONS, Mariadb, Row, SqlError
from shoestring.system.systemd import DeathWatch, unit_state

LOOK_SECONDS = 0.5
SOON_SECONDS = 0.02
ANSWER_SECONDS = 0.8
HEALTH_SECONDS = 1.0
DEAD_LOOK_SECONDS = 0.2
ENDED = "its process has ended"

_LOOK = """
SELECT @@global.read_only AS read_only, @@global.gtid_binlog_pos AS position,
  @@global.gtid_binlog_state AS binlog_state, @@global.gtid_slave_pos AS applied,
  @@global.rpl_semi_sync_master_enabled AS semi_sync,
  @@global.gtid_domain_id AS domain, @@global.max_connections AS connections_max
"""
_STATUS = """
SHOW GLOBAL STATUS WHERE Variable_name IN ('Rpl_semi_sync_master_status',
  'Rpl_semi_sync_master_clients', 'Rpl_semi_sync_master_wait_sessions', 'Threads_connected')
"""


class DatabaseObserver:
    """Looks twice a second, at once when nudged, and all the time while something changes hands."""

    def __init__(self, config: Config, node: str, board: Board, soon: Callable[[], bool]) -> None:
        assert config.database is not None
        self._settings: Database = config.database
        self._board = board
        self._soon = soon
        self._sql = Mariadb(
            config.database.socket,
            timeout_seconds=ANSWER_SECONDS,
            reserve=reserve.way(config.database),
        )
        peers = [str(a) for a in config.nodes[config.other(node)].address]
        self._health = HealthLooker(config.database, peers)
        self._again = asyncio.Event()
        self._death = DeathWatch(self._process_ended)
        self._just_ended = False

    def nudge(self) -> None:
        """Look again at once."""
        self._again.set()

    def _process_ended(self) -> None:
        self._just_ended = True
        self.nudge()

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._run_looks())
                group.create_task(self._run_health())
        finally:
            self._death.close()
            await asyncio.to_thread(self._sql.close)

    async def _run_looks(self) -> None:
        while True:
            self._again.clear()
            await self.look()
            seen = self._board.database
            alive = isinstance(seen, Seen) and seen.value.alive
            pause = LOOK_SECONDS if alive else DEAD_LOOK_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SOON_SECONDS if self._soon() else pause):
                    await self._again.wait()

    async def look(self) -> None:
        """Pin MariaDB as it is now."""
        if self._just_ended:
            # What is to be done does not wait for systemd's word, which takes ten milliseconds.
            self._just_ended = False
            self._pin(DatabaseSeen(False, ENDED, process=False, just_ended=True))
        try:
            seen = await asyncio.to_thread(look, self._sql)
        except SqlError as error:
            if error.errno == TOO_MANY_CONNECTIONS:
                self._board.database = Unseen(str(error), boot_seconds())
                return
            seen = await self._dead(str(error))
        else:
            if not self._death.watching:
                await self._watch()
        self._pin(seen)

    async def _watch(self) -> None:
        with contextlib.suppress(CommandError):
            self._death.watch((await unit_state(DEBIAN.mariadb_unit)).main_pid)

    async def _dead(self, why: str) -> DatabaseSeen:
        """Return how it is dead: gone, starting, or there and not answering."""
        try:
            unit = await unit_state(DEBIAN.mariadb_unit)
        except CommandError:
            return DatabaseSeen(alive=False, detail=why, process=True)
        starting = unit.active in ("activating", "reloading")
        detail = (
            f"{DEBIAN.mariadb_unit} is {unit.active} ({unit.sub})" if not unit.main_pid else why
        )
        if starting:
            detail = "MariaDB is starting"
        return DatabaseSeen(
            alive=False, detail=detail, process=unit.main_pid > 0, starting=starting
        )

    def _pin(self, seen: DatabaseSeen) -> None:
        old = self._board.database
        self._board.database = Seen(seen, boot_seconds())
        if not isinstance(old, Seen) or _weighs(old.value) != _weighs(seen):
            self._board.nudge()

    async def _run_health(self) -> None:
        while True:
            seen = self._board.database
            if isinstance(seen, Seen) and seen.value.alive and not self._board.database_busy:
                writes = not seen.value.read_only
                found = await asyncio.to_thread(self._health.look, writes=writes)
                self._board.database_health = Seen(found, boot_seconds())
            await asyncio.sleep(HEALTH_SECONDS)


def _weighs(seen: DatabaseSeen) -> tuple[object, ...]:
    link = seen.replica
    return (
        seen.alive,
        seen.process,
        seen.read_only,
        seen.semi_sync,
        seen.semi_sync_on,
        seen.semi_sync_clients > 0,
        link.io,
        link.sql,
        link.io_errno,
        link.sql_errno,
        seen.position if seen.read_only else "",
    )


def look(sql: Mariadb) -> DatabaseSeen:
    """Return MariaDB as it is; raises SqlError. Blocking."""
    now = sql.row(_LOOK)
    status = {row["Variable_name"]: row["Value"] for row in sql.rows(_STATUS)}
    return DatabaseSeen(
        alive=True,
        read_only=bool(int(now["read_only"])),
        position=str(now["position"] or ""),
        binlog_state=str(now["binlog_state"] or ""),
        applied=str(now["applied"] or ""),
        semi_sync=bool(int(now["semi_sync"])),
        semi_sync_on=status.get("Rpl_semi_sync_master_status") == "ON",
        semi_sync_clients=int(status.get("Rpl_semi_sync_master_clients", 0)),
        semi_sync_waits=int(status.get("Rpl_semi_sync_master_wait_sessions", 0)),
        domain=int(now["domain"]),
        connections=int(status.get("Threads_connected", 0)),
        connections_max=int(now["connections_max"]),
        replica=_replica(sql.rows("SHOW ALL SLAVES STATUS")),
    )


def _replica(rows: list[Row]) -> ReplicaSeen:
    strangers = tuple(str(row["Connection_name"]) for row in rows if row["Connection_name"])
    row = next((row for row in rows if not row["Connection_name"]), None)
    if row is None:
        return ReplicaSeen(strangers=strangers)
    filters = [row[key] for key in row if key.startswith("Replicate_") and key.count("_") >= 2]
    return ReplicaSeen(
        set_up=True,
        host=str(row["Master_Host"]),
        io=str(row["Slave_IO_Running"]),
        sql=str(row["Slave_SQL_Running"]),
        received=str(row["Gtid_IO_Pos"] or ""),
        io_errno=int(row["Last_IO_Errno"]),
        io_error=str(row["Last_IO_Error"]),
        sql_errno=int(row["Last_SQL_Errno"]),
        sql_error=str(row["Last_SQL_Error"]),
        doing=str(row["Slave_SQL_Running_State"] or ""),
        filters=any(filters),
        tls=row["Master_SSL_Allowed"] == "Yes",
        gtid=row["Using_Gtid"] != "No",
        strangers=strangers,
    )
