"""A first copy, as a job on the node that gets it: steps, progress, and the way back."""

from __future__ import annotations

import json
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from shoestring.config.load import in_force, load
from shoestring.config.model import Config
from shoestring.core.errors import EngineError, ShoestringError
from shoestring.core.platform import DEBIAN
from shoestring.database import seed
from shoestring.database.gtid import covers
from shoestring.database.survey import survey
from shoestring.database.verify import record, verify
from shoestring.peer.identity import Identity
from shoestring.peer.stream import Receiver, Sender
from shoestring.system.files import write_atomic
from shoestring.system.mariadb import Mariadb
from shoestring.system.places import JOB_FILE
from shoestring.system.sync import sync_filesystem
from shoestring.system.systemd import systemctl

BUSY_SECONDS = 30.0
RENEW_SECONDS = 8.0
LOAD_SECONDS = 7200.0
CATCH_UP_SECONDS = 3600.0
HELD_TRIES = 5


class AskNode(Protocol):
    """Has a node's agent do a verb."""

    def __call__(self, node: str, verb: str, body: Mapping[str, object]) -> Mapping[str, Any]:
        """Return its answer; raises ShoestringError."""
        ...


class Job:
    """Says how far it is, in a file, and keeps this node's agent from deciding meanwhile."""

    def __init__(self, ask: AskNode, node: str, what: str) -> None:
        self._ask = ask
        self._node = node
        self._what = what
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self.began = time.monotonic()

    def __enter__(self) -> Job:
        self._busy(BUSY_SECONDS)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(RENEW_SECONDS)
        self._busy(0)

    def _busy(self, seconds: float) -> None:
        self._ask(self._node, "busy", {"what": self._what, "seconds": float(seconds)})

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            try:
                self._busy(BUSY_SECONDS)
            except ShoestringError:
                continue

    def tell(self, step: str, done: int = 0, total: int = 0, **more: object) -> None:
        """Note how far the job is."""
        about = {
            "step": step,
            "done": done,
            "total": total,
            "seconds": time.monotonic() - self.began,
            **more,
        }
        write_atomic(JOB_FILE, json.dumps(about), durable=False)


def send(wanted: str) -> None:
    """Send this node's database to the peer, once; the job of the source."""
    config = load(in_force())
    assert config.database is not None
    node = _own(config)
    sender = Sender(Identity(), str(config.nodes[node].address[0]), config.peer.port + 1)
    try:
        with Mariadb(config.database.socket, timeout_seconds=60) as sql:
            size = int(str(survey(sql)["bytes"]))
            method = seed.method_for(wanted, size)
            command = seed.send_command(method, sql)
            head = {"method": method, "bytes": size, "accounts": seed.accounts(sql)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            said: list[bytes] = []
            assert process.stdout is not None and process.stderr is not None
            listening = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
            listening.start()
            sender.send(head, process.stdout)  # type: ignore[arg-type]
            code = process.wait(timeout=60)
        listening.join(5)
        trouble = "" if code == 0 else b"".join(said).decode(errors="replace")[-400:]
        sender.end(trouble)
    finally:
        sender.close()


def _listen(stream: Any, said: list[bytes]) -> None:
    for line in stream:
        said.append(line)
        del said[:-20]


def _own(config: Config) -> str:
    from shoestring.system.netlink import Netlink, once  # noqa: PLC0415  slow to load
    from shoestring.system.who import own_node  # noqa: PLC0415

    return own_node(config, once(Netlink.addresses))


def receive(ask: AskNode, wanted: str) -> None:
    """Replace this node's database by a copy of the peer's, whole and compared, or not at all."""
    config = load(in_force())
    assert config.database is not None
    node = _own(config)
    source = config.other(node)
    with Job(ask, node, f"this node gets a copy of {source}'s database") as job:
        try:
            kept = _replace(config, ask, job, source, wanted)
            _link(config, ask, job, node, source)
            _compare(ask, job, source, node)
        except (ShoestringError, OSError, StopIteration) as error:
            why = error.message if isinstance(error, ShoestringError) else str(error)
            job.tell("failed", failed=why)
            ask(node, "tell", {"code": "DB-728", "facts": _facts(node, source, why)})
            raise
        job.tell("done", kept=str(kept), ended=True)


def _facts(node: str, source: str, why: str) -> dict[str, str]:
    return {"node": node, "what": f"the copy of {source}'s database", "why": why[:300]}


def _replace(config: Config, ask: AskNode, job: Job, source: str, wanted: str) -> Path:
    assert config.database is not None
    job.tell("asking for the copy")
    ask(source, "send", {"method": wanted})
    there = str(config.nodes[source].address[0])
    receiver = Receiver(Identity(), there, config.peer.port + 1)
    with Mariadb(config.database.socket, timeout_seconds=LOAD_SECONDS) as sql:
        data = Path(str(sql.value("SELECT @@global.datadir")))
    job.tell("moving this node's data aside")
    try:
        kept = seed.move_data_aside(data)
    except (ShoestringError, OSError):
        systemctl("start", DEBIAN.mariadb_unit)
        raise
    try:
        position = ""
        frames = _counted(receiver, job)
        if receiver.head["method"] == "backup":
            position = seed.unpack(data, frames)
        else:
            seed.make_empty(data)
            with Mariadb(config.database.socket, timeout_seconds=LOAD_SECONDS) as sql:
                seed.load(sql, frames)
        with Mariadb(config.database.socket, timeout_seconds=60) as sql:
            seed.begin_history(sql, receiver.head, position)
        # What unpacks or loads a copy does not sync it: a power cut would leave half of it.
        sync_filesystem(data)
    except (ShoestringError, OSError):
        job.tell("putting this node's data back")
        seed.put_data_back(data, kept)
        raise
    finally:
        receiver.close()
    return kept


def _counted(receiver: Receiver, job: Job) -> Iterator[bytes]:
    total, done, told = int(str(receiver.head["bytes"])), 0, 0.0
    for frame in receiver.frames():
        done += len(frame)
        if time.monotonic() - told > 0.2:
            told = time.monotonic()
            job.tell("copying", done, max(total, done))
        yield frame


def _link(config: Config, ask: AskNode, job: Job, node: str, source: str) -> None:
    """Link both ways, agree on a common history, and catch up."""
    assert config.database is not None
    job.tell("linking both nodes")
    ask(node, "link", {})
    history = secrets.token_hex(8)
    states = [ask(each, "state", {}) for each in (node, source)]
    epoch = max(int(str(state["epoch"])) for state in states) + 1
    for each in (source, node):
        ask(each, "adopt", {"history": history, "epoch": epoch, "writer": source})
    with Mariadb(config.database.socket, timeout_seconds=60) as sql:
        sql.do("START SLAVE")
        _catch_up(ask, job, sql, source)
    ask(source, "link", {})


def _catch_up(ask: AskNode, job: Job, sql: Mariadb, source: str) -> None:
    goal = str(ask(source, "survey", {})["position"])
    until = time.monotonic() + CATCH_UP_SECONDS
    while True:
        applied = str(sql.value("SELECT @@global.gtid_slave_pos") or "")
        if covers(applied, goal):
            return
        row = sql.row("SHOW SLAVE STATUS")
        if row["Last_SQL_Errno"] or (row["Last_IO_Errno"] and row["Slave_IO_Running"] == "No"):
            raise EngineError(f"it cannot follow: {row['Last_IO_Error'] or row['Last_SQL_Error']}")
        if time.monotonic() > until:
            raise EngineError(f"it did not catch up within {CATCH_UP_SECONDS:g} s")
        job.tell("catching up", position=applied, goal=goal)
        time.sleep(0.1)


def _compare(ask: AskNode, job: Job, source: str, node: str) -> None:
    def progress(table: str, at: int, of: int) -> None:
        job.tell("comparing both nodes", at, of, table=table)

    for _ in range(HELD_TRIES):
        found = verify(ask, source, node, "", progress)
        if found.same_position:
            break
    if not found.same_position or found.differences:
        named = "; ".join(d.sentence() for d in found.differences[:3])
        raise EngineError(f"the copy is not equal: {named or 'it does not keep up'}")
    record(ask, (source, node), found)
    facts = {"position": found.position, "tables": str(found.tables), "rows": str(found.rows)}
    ask(node, "tell", {"code": "DB-730", "facts": facts})
