"""Compare both nodes at the same GTID, without writing anything.

The writer's commits are held for the moment in which both nodes open a consistent snapshot
(BACKUP STAGE, manual); then chunks of every table are summed up on both and compared. Each node
does this for the other through the agents' link: `begin`, `open`, `release`, sums, `end`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from shoestring.config.model import Config
from shoestring.core.errors import EngineError, PeerError
from shoestring.database import tables
from shoestring.database.tables import Table
from shoestring.system.mariadb import Mariadb

OLD_SECONDS = 120.0
SESSIONS_MAX = 4
SUM_SECONDS = 600.0
HOLD_SECONDS = 3.0
HOLD_LOCK_SECONDS = 2
ROWS_MAX = 200
STEPS = ("begin", "open", "release", "tables", "chunks", "sums", "rows", "end")


@dataclass
class Session:
    """One comparison on this node: a snapshot, and on the writer a hold on its commits."""

    sql: Mariadb
    used: float = 0.0
    hold: Mariadb | None = None
    timer: threading.Timer | None = None
    held_seconds: float = 0.0
    held_since: float = 0.0
    known: dict[str, Table] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Comparer:
    """Keeps the comparisons that are under way on this node."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._sessions: dict[str, Session] = {}

    def forget_old(self) -> None:
        """End comparisons that nobody has asked anything of for a while."""
        now = time.monotonic()
        for name, session in list(self._sessions.items()):
            if now - session.used > OLD_SECONDS:
                self._end(name)

    def do(self, verb: str, body: Mapping[str, object]) -> Mapping[str, object]:
        """Do one step of a comparison; raises EngineError, PeerError. Blocking."""
        name = str(body.get("id", ""))
        match verb.removeprefix("database-compare-"):
            case "begin":
                return self._begin(name)
            case "open":
                return self._open(name, str(body.get("position", "")))
            case "release":
                return self._release(self._session(name))
            case "tables":
                return self._tables(self._session(name))
            case "chunks":
                return self._chunks(self._session(name), body)
            case "sums":
                return self._sums(self._session(name), body)
            case "rows":
                return self._rows(self._session(name), body)
            case "end":
                self._end(name)
                return {"ended": True}
        raise PeerError(f"there is nothing like {verb!r} to do here")

    def _session(self, name: str) -> Session:
        session = self._sessions.get(name)
        if session is None:
            raise EngineError("the comparison has ended", hint="run it again")
        session.used = time.monotonic()
        return session

    def _new(self, name: str) -> Session:
        assert self._config.database is not None
        if len(self._sessions) >= SESSIONS_MAX or not name.isalnum() or len(name) > 40:
            raise EngineError("too many comparisons at once", hint="wait for the others to end")
        sql = Mariadb(self._config.database.socket, timeout_seconds=SUM_SECONDS)
        session = Session(sql, used=time.monotonic())
        self._sessions[name] = session
        return session

    def _begin(self, name: str) -> Mapping[str, object]:
        """Hold the commits of this node, and open its snapshot; it lets go by itself."""
        assert self._config.database is not None
        session = self._new(name)
        hold = Mariadb(self._config.database.socket, timeout_seconds=HOLD_SECONDS + 2)
        session.sql.do("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        try:
            hold.do(f"SET SESSION lock_wait_timeout = {HOLD_LOCK_SECONDS}")
            hold.do("BACKUP STAGE START")
            session.held_since = time.monotonic()
            hold.do("BACKUP STAGE BLOCK_COMMIT")
            session.hold = hold
            session.timer = threading.Timer(HOLD_SECONDS, self._release, (session,))
            session.timer.start()
            position = str(session.sql.value("SELECT @@global.gtid_binlog_pos") or "")
            session.sql.do("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        except EngineError:
            hold.close()
            self._end(name)
            raise
        return {"position": position}

    def _open(self, name: str, position: str) -> Mapping[str, object]:
        """Open this node's snapshot at a position that it waits for, as exactly as it can be."""
        session = self._new(name)
        at = True
        session.sql.do("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if position:
            at = session.sql.value("SELECT MASTER_GTID_WAIT(%s, 2)", (position,)) == 0
        session.sql.do("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        return {"same_position": at}

    @staticmethod
    def _release(session: Session) -> Mapping[str, object]:
        with session.lock:
            if session.timer is not None:
                session.timer.cancel()
            if session.hold is not None:
                hold, session.hold = session.hold, None
                hold.close()  # ends the stage: the server releases it with its connection
                session.held_seconds = time.monotonic() - session.held_since
        return {"held_seconds": session.held_seconds}

    def _end(self, name: str) -> None:
        session = self._sessions.pop(name, None)
        if session is not None:
            self._release(session)
            session.sql.close()

    @staticmethod
    def _tables(session: Session) -> Mapping[str, object]:
        session.known = tables.known(session.sql)
        return {
            "tables": {
                name: [table.definition, list(table.key), list(table.columns)]
                for name, table in session.known.items()
            }
        }

    @staticmethod
    def _table(session: Session, body: Mapping[str, object]) -> Table:
        table = session.known.get(str(body.get("table", "")))
        if table is None:
            raise EngineError(f"there is no table {body.get('table')!r} here")
        return table

    def _chunks(self, session: Session, body: Mapping[str, object]) -> Mapping[str, object]:
        found = tables.chunk_ends(session.sql, self._table(session, body))
        return {"ends": found}

    def _sums(self, session: Session, body: Mapping[str, object]) -> Mapping[str, object]:
        table, spans = self._table(session, body), body.get("spans")
        if not isinstance(spans, list):
            raise PeerError("no spans to sum up")
        return {"sums": [tables.checksum(session.sql, table, span[0], span[1]) for span in spans]}

    def _rows(self, session: Session, body: Mapping[str, object]) -> Mapping[str, object]:
        table, span = self._table(session, body), body.get("span")
        if not isinstance(span, list) or len(span) != 2:
            raise PeerError("no span to list")
        if body.get("full"):
            return {"rows": tables.rows_within(session.sql, table, span[0], span[1], ROWS_MAX)}
        return {"rows": tables.row_sums(session.sql, table, span[0], span[1])}
