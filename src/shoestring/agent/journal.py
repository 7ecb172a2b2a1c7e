"""The journal: every decision that did or told something, with all that it was made from.

Written by a thread of its own through a bounded queue, so that a hanging disk delays the record
and never the failover; what does not fit is counted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shoestring.core.decision import Decision, Memory
from shoestring.core.errors import ShoestringError
from shoestring.core.event import CATALOGUE, Event
from shoestring.core.snapshot import Snapshot
from shoestring.system.places import JOURNAL

LOG = logging.getLogger("shoestring")
BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
ROWS_MAX = 20_000
QUEUE_MAX = 1000
PRUNE_EVERY = 500

_SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
  id INTEGER PRIMARY KEY, wall REAL NOT NULL, snapshot TEXT NOT NULL, memory TEXT NOT NULL,
  decision TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS decisions_wall ON decisions (wall);
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY, wall REAL NOT NULL, node TEXT NOT NULL, code TEXT NOT NULL,
  facts TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_wall ON events (wall);
"""

SNAPSHOT: TypeAdapter[Snapshot] = TypeAdapter(Snapshot)
MEMORY: TypeAdapter[Memory] = TypeAdapter(Memory)
DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)


@dataclass(frozen=True, slots=True)
class Told:
    """One event as the journal keeps it."""

    wall: float
    node: str
    event: Event


class JournalWriter:
    """Takes entries without ever blocking, and writes them beside the loop."""

    def __init__(self, path: Path = JOURNAL) -> None:
        self._path = path
        self._queue: queue.Queue[tuple[str, tuple[object, ...]] | None] = queue.Queue(QUEUE_MAX)
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self.lost = 0
        self.trouble = ""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, for two seconds at the most."""
        self._put(None)
        self._thread.join(2)

    def record(self, snapshot: Snapshot, memory: Memory, decision: Decision) -> None:
        """Keep a decision and what it was made from: the snapshot and the memory before it."""
        if not decision.actions and not decision.events:
            return
        row = (snapshot.wall, _json(SNAPSHOT, snapshot), _json(MEMORY, memory))
        sql = "INSERT INTO decisions (wall, snapshot, memory, decision) VALUES (?, ?, ?, ?)"
        self._put((sql, (*row, _json(DECISION, decision))))
        for event in decision.events:
            self.tell(snapshot.wall, snapshot.node, event)

    def tell(self, wall: float, node: str, event: Event) -> None:
        """Keep an event."""
        sql = "INSERT INTO events (wall, node, code, facts) VALUES (?, ?, ?, ?)"
        self._put((sql, (wall, node, event.code, json.dumps(dict(event.facts)))))

    def _put(self, item: tuple[str, tuple[object, ...]] | None) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.lost += 1

    def _work(self) -> None:
        written = 0
        while (item := self._queue.get()) is not None:
            batch = [*self._batch(item)]
            written += 1
            try:
                try:
                    self._write(batch, prune=written % PRUNE_EVERY == 1)
                except sqlite3.DatabaseError as error:
                    if not _is_broken(error):
                        raise
                    self._set_aside(error)
                    self._write(batch, prune=False)
                self.trouble = ""
            except (sqlite3.Error, OSError) as error:
                self.lost += 1
                self.trouble = str(error)

    def _write(self, batch: list[tuple[str, tuple[object, ...]]], *, prune: bool) -> None:
        with closing(_open(self._path)) as database, database:
            for sql, row in batch:
                database.execute(sql, row)
            if prune:
                _prune(database)

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Keep a file that is no sound database beside a new one: an agent's past is no reason to
        have no journal from now on.
        """
        LOG.warning("%s is broken (%s): kept as %s.broken, a new one begins",
                    self._path, error, self._path.name)  # fmt: skip
        self._path.replace(f"{self._path}.broken")
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(f"{self._path.name}{suffix}").unlink()

    def _batch(
        self, first: tuple[str, tuple[object, ...]]
    ) -> Iterator[tuple[str, tuple[object, ...]]]:
        yield first
        for _ in range(self._queue.qsize()):
            item = self._queue.get_nowait()
            if item is None:
                self._put(None)
                return
            yield item


def _json(adapter: TypeAdapter[Any], value: object) -> str:
    return adapter.dump_json(value).decode()


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _is_broken(error: sqlite3.Error) -> bool:
    """Tell whether the file is no sound database (the low byte of an extended code is the kind)."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in BROKEN


def _prune(database: sqlite3.Connection) -> None:
    for sql in (
        "DELETE FROM decisions WHERE id <= (SELECT max(id) FROM decisions) - ?",
        "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?",
    ):
        database.execute(sql, (ROWS_MAX,))


def _read_only(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise ShoestringError(
            f"there is no journal at {path}", hint="the agent writes it once it has run"
        )
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)


def events(limit: int, path: Path = JOURNAL, codes: tuple[str, ...] = ()) -> list[Told]:
    """Return the newest events, oldest first."""
    chosen = codes or tuple(CATALOGUE)
    marks = ", ".join("?" * len(chosen))
    sql = (
        f"SELECT wall, node, code, facts FROM events WHERE code IN ({marks}) "  # noqa: S608  marks
        "ORDER BY id DESC LIMIT ?"
    )
    with closing(_read_only(path)) as database:
        rows = database.execute(sql, (*chosen, limit)).fetchall()
    return [
        Told(wall, node, Event(code, json.loads(facts)))
        for wall, node, code, facts in reversed(rows)
        if code in CATALOGUE
    ]


def decision_at(wall: float, path: Path = JOURNAL) -> tuple[Snapshot, Memory, Decision] | None:
    """Return the last decision at or before a time, with what it was made from."""
    sql = (
        "SELECT snapshot, memory, decision FROM decisions WHERE wall <= ? "
        "ORDER BY wall DESC, id DESC LIMIT 1"
    )
    with closing(_read_only(path)) as database:
        row = database.execute(sql, (wall,)).fetchone()
    if row is None:
        return None
    snapshot, memory, decision = row
    return (
        SNAPSHOT.validate_json(snapshot),
        MEMORY.validate_json(memory),
        DECISION.validate_json(decision),
    )


def as_json(told: Told) -> dict[str, object]:
    """Return an event for --json."""
    kind = told.event.kind()
    return {
        "wall": told.wall,
        "node": told.node,
        "code": kind.code,
        "level": kind.level.name,
        "sentence": told.event.sentence(),
        **asdict(told.event),
    }
