"""The pair with a database: a model of MariaDB's binlog, relay log, semi-sync and crash recovery.

A transaction is (sequence, server, id). A commit that waits for the other node is in the binlog and
not in the engine: crash recovery as SLAVE drops it, as MASTER keeps it (and so does a release).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from shoestring.core.action import (
    AnswerClaim,
    AskSegment,
    ClaimAlone,
    CloseWrites,
    Fence,
    Follow,
    KeepState,
    Open,
    Release,
    SemiSync,
    UndoGhosts,
)
from shoestring.core.database import DatabaseSeen, DatabaseState, ReplicaSeen
from shoestring.core.seen import Seen
from shoestring.core.snapshot import PEER_FRESH_SECONDS, ClaimSeen, Silence, Snapshot
from shoestring.database.gtid import covers
from shoestring.database.lease import closed_epoch
from shoestring.database.render import SEMI_SYNC_TIMEOUT_MAX
from shoestring.database.role import boot_role
from tests.simulation.world import STEP, SimNode, World

SEMI_SYNC_SECONDS = SEMI_SYNC_TIMEOUT_MAX / 1000
DIAL_SECONDS_MAX = 1.5
ROUTE_SECONDS_MAX = 0.6
RESTART_SECONDS = 1.0
AGENT_SECONDS = 1.0
CLAIM_SECONDS = 0.6
Transaction = tuple[int, int, int]
HISTORY = "0123456789abcdef"


@dataclass
class SimDatabase:
    """One MariaDB."""

    number: int
    alive: bool = True
    hung: bool = False
    read_only: bool = True
    log: list[Transaction] = field(default_factory=list)
    relay: list[Transaction] = field(default_factory=list)
    waiting: list[Transaction] = field(default_factory=list)
    waiting_since: float = 0.0
    io: bool = False
    sql: bool = False
    sql_stopped: bool = False
    semi_sync: bool = False
    semi_sync_on: bool = False
    starting_since: float | None = None
    dead_since: float = 0.0
    state: DatabaseState = field(default_factory=DatabaseState)
    silence: tuple[Silence, float] | None = None
    gateway_at: float | None = None
    claim: tuple[ClaimSeen, float] | None = None
    claiming_until: float | None = None
    claimed_at: float | None = None
    claim_answered_at: float | None = None

    def die(self, now: float) -> None:
        """Die at once: what waits is in the binlog alone, what was received is on disk."""
        if self.alive:
            self.alive, self.hung, self.dead_since = False, False, now
            self.starting_since = None
            self.io = self.sql = self.semi_sync = self.semi_sync_on = False

    def boot(self, role: str) -> None:
        """Recover from a crash."""
        if role == "SLAVE":
            dropped = set(self.waiting)
            self.log = [t for t in self.log if t not in dropped]
        self.waiting = []
        self.alive, self.read_only, self.starting_since = True, True, None
        self.sql_stopped = False

    def settle_waiting(self) -> list[Transaction]:
        """Commit what waits; return it."""
        done, self.waiting = self.waiting, []
        return done


def gtid(log: list[Transaction]) -> str:
    return f"0-{log[-1][1]}-{log[-1][0]}" if log else ""


def gtid_state(log: list[Transaction]) -> str:
    last = {server: sequence for sequence, server, _ in log}
    return ",".join(f"0-{server}-{sequence}" for server, sequence in last.items())


def common(left: list[Transaction], right: list[Transaction]) -> int:
    """Return how many transactions both logs begin with."""
    count = 0
    for mine, theirs in zip(left, right, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


class DatabaseWorld(World):
    """Two nodes, two databases, one client that writes through the address."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, "[database]\n")
        self.databases = {name: SimDatabase(number) for number, name in enumerate(self.nodes, 1)}
        started = DatabaseState(epoch=1, writer="alpha", alone=True, opened=True, history=HISTORY)
        for database in self.databases.values():
            database.state = started
        self.acknowledged: set[int] = set()
        self.answers = dict.fromkeys(self.nodes, 0)
        self.next_id = 1
        self.writes = True
        self.agents_back: dict[str, float] = {}
        self.frozen_until: dict[str, float] = {}
        self._talked = True
        self._dialed_at = self._replicates_at = 0.0

    def freeze(self, node: SimNode, seconds: float) -> None:
        """Pause a whole machine; its clock goes on, as that of a virtual machine does."""
        node.frozen = True
        self.frozen_until[node.name] = self.now + seconds

    def hears_report(self, node: SimNode) -> bool:
        """A link that was cut is dialed again: reports come later than the cable is back."""
        return super().hears_report(node) and self.now >= self._dialed_at

    def _reconnect(self) -> None:
        """Have replication and the agents' link dial, each in its time, once the cable is back."""
        talks = self.talks(self.nodes["alpha"])
        if talks and not self._talked:
            self._dialed_at = self.now + self.dice.uniform(0, DIAL_SECONDS_MAX)
            self._replicates_at = self.now + self.dice.uniform(0, DIAL_SECONDS_MAX)
        self._talked = talks

    def _replicates(self, node: SimNode) -> bool:
        theirs = self._peer_of(self.database(node))
        up = self.talks(node) and self.now >= self._replicates_at
        return up and theirs.alive and not theirs.hung

    def kill_agent(self, node: SimNode, seconds: float = AGENT_SECONDS) -> None:
        """Kill an agent: its penalty is left; systemd starts it again soon, or a person later."""
        if node.agent:
            node.agent = False
            mine = self.database(node)
            mine.silence = mine.claim = mine.claiming_until = None
            mine.claimed_at = mine.claim_answered_at = None
            self.agents_back[node.name] = self.now + seconds
            node.handing.clear()
            for instance in node.vrrp.values():
                instance.track = -10 if instance.track <= -254 else max(-200, instance.track) - 10

    def database(self, node: SimNode) -> SimDatabase:
        return self.databases[node.name]

    def _peer_of(self, database: SimDatabase) -> SimDatabase:
        return next(d for d in self.databases.values() if d is not database)

    def step(self) -> bool:
        self._reconnect()
        for node in self.nodes.values():
            if node.frozen and self.now >= self.frozen_until[node.name]:
                node.frozen = False
            self._mariadb(node)
            if not node.agent and self.now >= self.agents_back.get(node.name, 0.0):
                node.agent = True
        before = [(d.alive, d.read_only, d.state, d.io, d.semi_sync) for d in self.all()]
        changed = super().step()
        after = [(d.alive, d.read_only, d.state, d.io, d.semi_sync) for d in self.all()]
        return changed or before != after

    def all(self) -> list[SimDatabase]:
        return list(self.databases.values())

    def _mariadb(self, node: SimNode) -> None:
        mine = self.database(node)
        if not node.powered or node.frozen:
            return
        if not mine.alive:
            self._start(node, mine)
            return
        if mine.hung:
            return
        self._receive(node, mine)
        self._clients(node, mine)

    def _start(self, node: SimNode, mine: SimDatabase) -> None:
        if self.now - mine.dead_since < RESTART_SECONDS:
            return
        if mine.starting_since is None:
            mine.starting_since = self.now
        other = self.other(node)
        fresh = self.hears_report(node) and self.now - other.said_at <= PEER_FRESH_SECONDS
        peer = other.said.database if fresh and other.said is not None else None
        found = boot_role(mine.state, node.name, peer, self.now - mine.starting_since)
        if found.role != "wait" and node.agent:
            mine.boot(found.role)

    def _receive(self, node: SimNode, mine: SimDatabase) -> None:
        theirs = self._peer_of(mine)
        if mine.io and self._replicates(node):
            have = mine.log + mine.relay
            shared = common(have, theirs.log)
            if shared < len(have) and shared < len(theirs.log):
                mine.io, mine.sql_stopped = False, True  # both went on: fail-stop
                return
            mine.relay += theirs.log[len(have) :] if shared == len(have) else []
            got = set(mine.log + mine.relay)
            for transaction in [t for t in theirs.waiting if t in got]:
                theirs.waiting.remove(transaction)
                self._answered(theirs, [transaction])
        if mine.sql and self.dice.random() < 0.9:
            mine.log += mine.relay
            mine.relay = []

    def _clients(self, node: SimNode, mine: SimDatabase) -> None:
        if mine.waiting and self.now - mine.waiting_since > SEMI_SYNC_SECONDS:
            mine.semi_sync_on = False
            self._answered(mine, mine.settle_waiting())
        held = node.vrrp["live"].master
        if not self.writes or not held or mine.read_only or len(mine.waiting) > 4:
            return
        transaction = ((mine.log[-1][0] if mine.log else 0) + 1, mine.number, self.next_id)
        self.next_id += 1
        mine.log.append(transaction)
        if mine.semi_sync and mine.semi_sync_on:
            if not mine.waiting:
                mine.waiting_since = self.now
            mine.waiting.append(transaction)
        else:
            self._answered(mine, [transaction])

    def _answered(self, database: SimDatabase, transactions: Iterable[Transaction]) -> None:
        """Note that a server has told clients that their commits are kept."""
        rows = {row for _, _, row in transactions}
        self.acknowledged |= rows
        name = next(name for name, each in self.databases.items() if each is database)
        self.answers[name] += len(rows)

    def mend(self) -> None:
        """Mend everything, as a person would, and nothing more: no word about the database."""
        self.link = True
        self.deaf.clear()
        for node in self.nodes.values():
            node.frozen = False
            if not node.powered:
                self.cut_power(node)
            node.agent, node.gateway = True, True
            node.unhealthy.clear()
            self.database(node).hung = False

    def is_one(self) -> bool:
        """Tell whether one server writes and the other one follows it."""
        open_now = [d for d in self.all() if d.alive and not d.read_only]
        return len(open_now) == 1 and all(
            d.io and d.sql and not d.waiting for d in self.all() if d.read_only
        )

    def _snapshot(self, node: SimNode) -> Snapshot:
        mine = self.database(node)
        if node.gateway and int(self.now * 10) % 50 == 0:
            mine.gateway_at = self.now
        silent = self.now - node.heard_at > PEER_FRESH_SECONDS
        if silent and node.gateway:
            mine.gateway_at = self.now
        found = super()._snapshot(node)
        if mine.silence is not None:
            found = replace(found, silence=Seen(*mine.silence))
        self._give_up_claim(node, mine)
        if mine.claim is not None:
            found = replace(found, claim=Seen(*mine.claim))
        return replace(
            found,
            claimed_at=mine.claimed_at,
            claim_answered_at=mine.claim_answered_at,
            database=Seen(self._seen(node, mine), self.now),
            database_state=mine.state,
            gateway_at=mine.gateway_at,
        )

    def _seen(self, node: SimNode, mine: SimDatabase) -> DatabaseSeen:
        if not mine.alive or mine.hung:
            starting = mine.starting_since is not None
            return DatabaseSeen(False, "dead", process=mine.hung, starting=starting)
        theirs, other = self._peer_of(mine), self.other(node)
        reachable = self._replicates(node)
        return DatabaseSeen(
            alive=True,
            read_only=mine.read_only,
            position=gtid(mine.log),
            binlog_state=gtid_state(mine.log),
            applied=gtid(mine.log),
            semi_sync=mine.semi_sync,
            semi_sync_on=mine.semi_sync and mine.semi_sync_on,
            semi_sync_clients=int(theirs.io and reachable),
            semi_sync_waits=len(mine.waiting),
            replica=ReplicaSeen(
                set_up=True,
                host=str(self.config.nodes[other.name].address[0]),
                io=("Yes" if reachable else "Connecting") if mine.io else "No",
                sql="Yes" if mine.sql and not mine.sql_stopped else "No",
                received=gtid(mine.log + mine.relay) if mine.io else "",
                sql_errno=1950 if mine.sql_stopped else 0,
            ),
        )

    def _act(self, node: SimNode, action: object) -> None:
        mine = self.database(node)
        match action:
            case KeepState():
                mine.state = action.state
            case Fence():
                mine.state = action.state
                mine.die(self.now)
            case ClaimAlone():
                self._claim(node, mine)
            case AnswerClaim():
                self._answer(node, mine)
            case AskSegment():
                mine.silence = (self._silence(node, mine), self.now)
            case Release() | Open() | CloseWrites() | SemiSync() | Follow() | UndoGhosts():
                if mine.alive and not mine.hung:
                    self._to_mariadb(mine, action)
            case _:
                super()._act(node, action)

    def _way_by_gateway(self, node: SimNode) -> bool:
        other = self.other(node)
        up = node.powered and other.powered and not node.frozen and not other.frozen
        return node.gateway and other.gateway and up

    def _claim(self, node: SimNode, mine: SimDatabase) -> None:
        if mine.claiming_until is None:
            mine.claiming_until = self.now + CLAIM_SECONDS
        if self._way_by_gateway(node) and self.other(node).agent:
            self._peer_of(mine).claimed_at = self.now

    def _answer(self, node: SimNode, mine: SimDatabase) -> None:
        mine.claim_answered_at = self.now
        theirs = self._peer_of(mine)
        if self._way_by_gateway(node) and self.other(node).agent and theirs.claiming_until:
            theirs.claim = (ClaimSeen(True, mine.state.epoch, gateway=True), self.now)
            theirs.claiming_until = None

    def _give_up_claim(self, node: SimNode, mine: SimDatabase) -> None:
        if mine.claiming_until is not None and self.now >= mine.claiming_until:
            mine.claim, mine.claiming_until = (ClaimSeen(gateway=node.gateway), self.now), None

    def _silence(self, node: SimNode, mine: SimDatabase) -> Silence:
        other, theirs = self.other(node), self._peer_of(mine).state
        before, at = mine.silence or (Silence(), 0.0)
        again = before.peer_answers_by_gateway and at > node.heard_at
        if not (self._way_by_gateway(node) and other.agent):
            return Silence(self.talks(node), again, gateway=node.gateway)
        closed = closed_epoch(theirs, other.name, node.name)
        return Silence(self.talks(node), True, gateway=node.gateway, closed_epoch=closed)

    def _to_mariadb(self, mine: SimDatabase, action: object) -> None:
        match action:
            case Release():
                if mine.waiting:
                    return  # read_only waits for commits that wait
                mine.read_only, mine.semi_sync = True, False
                mine.state = replace(action.state, released=gtid(mine.log))
            case Open():
                self._open(mine, action)
            case CloseWrites():
                mine.settle_waiting()  # their clients are cut: committed, and not answered
                mine.read_only = True
            case SemiSync():
                mine.semi_sync = mine.semi_sync_on = action.on
                if not action.on:
                    self._answered(mine, mine.settle_waiting())
            case Follow():
                mine.relay, mine.io, mine.sql, mine.sql_stopped = [], True, True, False
            case UndoGhosts():
                theirs = self._peer_of(mine)
                mine.log = mine.log[: common(mine.log, theirs.log)]
                mine.relay, mine.io, mine.sql, mine.sql_stopped = [], True, True, False

    @staticmethod
    def _open(mine: SimDatabase, action: Open) -> None:
        if action.until and not covers(gtid(mine.log + mine.relay), action.until):
            mine.state = replace(mine.state, declined=action.state.epoch)
            return
        if action.until or action.cut_link:
            mine.log += mine.relay
            mine.relay = []
        if action.cut_link:
            mine.io = mine.sql = False
        mine.state = action.state
        mine.read_only = False

    def kill_database(self, node: SimNode) -> None:
        self.database(node).die(self.now)

    def cut_power(self, node: SimNode) -> None:
        node.powered = not node.powered
        node.reboot()
        mine = self.database(node)
        mine.die(self.now)
        mine.dead_since = self.now
        mine.silence = mine.gateway_at = mine.claim = mine.claiming_until = None
        mine.claimed_at = mine.claim_answered_at = None

    def steps(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.step()
