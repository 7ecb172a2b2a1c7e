"""What there is to know of MariaDB on one node. No I/O; seconds are of the boot clock.

A GTID position is MariaDB's text, such as "0-1-120": domain, server, sequence number; several are
joined by commas. An empty one is "".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DatabaseRole = Literal["writer", "replica", "handing", "taking", "fenced", "none"]


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """Who may write, as each node keeps it on disk: it outlives the agent and the machine.

    epoch: grows by one whenever the right to write changes hands.
    writer: the node that has the right in this epoch.
    alone: the writer may have acknowledged what the other node has not got.
    complete: the writer had everything that was acknowledged when its epoch began.
    opened: the writer of this epoch has begun to write, as far as this node knows.
    released: where the writer before it stopped, if it stopped in order.
    declined: the epoch that this node was given and could not begin.
    fenced: this node killed its MariaDB because it was cut off.
    answered: this node may have acknowledged alone what it has too much; a person must decide.
    history: names the common history that a seed began; empty before the first one.
    """

    epoch: int = 0
    writer: str = ""
    alone: bool = False
    complete: bool = True
    opened: bool = False
    released: str = ""
    declined: int = 0
    fenced: bool = False
    answered: bool = False
    history: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaSeen:
    """SHOW ALL SLAVES STATUS, the connection without a name; `set_up` is false without one."""

    set_up: bool = False
    host: str = ""
    io: str = "No"
    sql: str = "No"
    received: str = ""
    io_errno: int = 0
    io_error: str = ""
    sql_errno: int = 0
    sql_error: str = ""
    doing: str = ""
    filters: bool = False
    tls: bool = True
    gtid: bool = True
    strangers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatabaseSeen:
    """MariaDB as one look finds it; if not alive, nothing but `detail` and the three after it.

    just_ended: its process has ended; systemd has not been asked yet whether it starts again.
    semi_sync_waits: how many commits wait for the replica now. domain: the domain of the GTIDs that
    this server gives its own transactions; 0 where one node writes (render.py).
    """

    alive: bool
    detail: str = ""
    process: bool = True
    starting: bool = False
    just_ended: bool = False
    read_only: bool = True
    position: str = ""
    binlog_state: str = ""
    applied: str = ""
    semi_sync: bool = False
    semi_sync_on: bool = False
    semi_sync_clients: int = 0
    semi_sync_waits: int = 0
    domain: int | None = None
    connections: int = 0
    connections_max: int = 0
    replica: ReplicaSeen = field(default_factory=ReplicaSeen)


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """What is looked at less often: space, the write probe, accounts, tables, settings.

    probe: "" if the heartbeat row could be written (or this node does not write), else why not.
    bypass: accounts that write through read_only. unsafe: tables that replication cannot carry.
    settings: variables that are not as rendered, as "name = value, not value".
    grants: what the peer's replication account here lacks.
    behind_seconds: age of the writer's heartbeat row as this node has applied it.
    old_dumps: "address:port" of connections on which this server sends to the peer although the
    peer has dialled again since.
    """

    disk_free_percent: float = 100.0
    probe: str = ""
    bypass: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    behind_seconds: float | None = None
    version: str = ""
    grants: str = ""
    verified_wall: float | None = None
    differences: tuple[str, ...] = ()
    old_dumps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatabaseReport:
    """What a node tells its peer of its MariaDB.

    fit: it could begin to write now, having everything. why: why not, or what it does.
    synced: this replica goes by it that it has everything, and might take over from a silent
    writer. As long as it says so, no writer that hears it may answer commits without it.
    """

    state: DatabaseState
    role: DatabaseRole
    alive: bool | None
    writable: bool
    in_sync: bool
    fit: bool
    why: str = ""
    position: str = ""
    binlog_state: str = ""
    applied: str = ""
    received: str = ""
    io: str = "No"
    sql: str = "No"
    behind: int = 0
    behind_seconds: float | None = None
    ghosts: int = 0
    busy: str = ""
    mode: str = "holder"
    synced: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What is remembered of hearing between two ticks.

    ticked_at: when this node decided last. paused_at: when it found that it had stood still;
    paused_from: when it had decided last before that.
    deaf_since: the first of the newest questions that the gateway did not answer either.
    missed_at: when a claim of the other node's may have gone past this node, in this silence.
    """

    ticked_at: float | None = None
    paused_at: float | None = None
    paused_from: float | None = None
    deaf_since: float | None = None
    missed_at: float | None = None


@dataclass(frozen=True, slots=True)
class DatabaseMemory:
    """What the agent remembers of the slice between two ticks.

    pending: the writer's word at that time, with a position this node has not yet received.
    link_since: since when the receiver or the applier has not run.
    alive_since: since when this node's MariaDB has answered.
    gateway_at: when the gateway answered last, in this or an earlier life of the agent.
    synced_at: the newest time for which this node is known to have everything acknowledged.
    unconfirmed: this writer's position at that time, which the other node has not received yet.
    """

    penalty: int = 0
    why: str = ""
    moved: bool = False
    pending: tuple[float, str] | None = None
    synced_at: float | None = None
    sync_position: str = ""
    unfit_since: float | None = None
    ghosts_since: float | None = None
    failing_since: float | None = None
    alive_since: float | None = None
    link_since: float | None = None
    tried: Mapping[str, float] = field(default_factory=dict)
    told_role: str = ""
    gateway_at: float | None = None
    unconfirmed: tuple[float, str] | None = None
    heard: Heard = field(default_factory=Heard)
