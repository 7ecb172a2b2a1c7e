"""docs/reference/lease.md, made by asking the deciding code itself: what a node does when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

from shoestring.config.load import parse
from shoestring.core.action import (
    Action,
    AskSegment,
    ClaimAlone,
    CloseWrites,
    Fence,
    KeepState,
    Open,
    Release,
    SemiSync,
)
from shoestring.core.database import (
    DatabaseMemory,
    DatabaseReport,
    DatabaseSeen,
    DatabaseState,
    ReplicaSeen,
)
from shoestring.core.decision import CheckMemory, Memory, VipMemory
from shoestring.core.seen import Seen, Unseen
from shoestring.core.snapshot import ClaimSeen, NodeReport, Silence, Snapshot, VipReport, VipSeen
from shoestring.database.decide import decide

NOW, VIP, NOTHING = 1000.0, "live", "nothing"
PAIR = """
[pair]
name = "pair"
[nodes.here]
address = "192.0.2.11"
interface = "eth0"
[nodes.there]
address = "192.0.2.12"
interface = "eth0"
[vips.live]
address = "192.0.2.100/24"
prefer = "here"
[database]
"""
HEAD = """# Who may write: what a node does when

Made by docs/make: each cell is what the agents' deciding code answers to that situation, asked
once. What a situation does not name is as in a pair that is well. `epoch + 1` is a transition:
the right to write changes hands. Silence is counted from the last word of the other node;
*gateway* means that the gateway answers this node.

The situations: what this node hears.

"""
ELSE = "all else of the list"
LINK = ReplicaSeen(set_up=True, host="192.0.2.12", io="Yes", sql="Yes", received="0-1-100")
MINE = DatabaseState(epoch=3, writer="here", opened=True, history="h")
WRITES = DatabaseSeen(
    alive=True,
    read_only=False,
    position="0-1-100",
    binlog_state="0-1-100",
    applied="0-1-100",
    semi_sync=True,
    semi_sync_on=True,
    semi_sync_clients=1,
    connections_max=100,
    replica=LINK,
)
CLOSED = replace(WRITES, read_only=True, semi_sync=False, semi_sync_on=False)
DEAD = DatabaseSeen(alive=False, detail="it does not run", process=False)
HANGS = DatabaseSeen(alive=False, detail="it does not answer", process=True)
THEIRS = replace(MINE, writer="there")


@dataclass(frozen=True, slots=True)
class Own:
    """A node's own side of a situation."""

    name: str
    state: DatabaseState
    seen: DatabaseSeen
    memory: DatabaseMemory = field(default_factory=DatabaseMemory)


@dataclass(frozen=True, slots=True)
class Heard:
    """What it hears of the other node; silent_seconds: None where that one's report is fresh."""

    name: str
    silent_seconds: float | None = None
    gateway: bool = True
    fit: bool = True
    epoch: int = 3
    other_writes: bool = False
    silence: Silence | None = None
    claim: ClaimSeen | None = None


OWN = (
    Own("It writes, and commits wait for the other node", MINE, WRITES),
    Own(
        "It writes alone",
        replace(MINE, alone=True),
        replace(WRITES, semi_sync=False, semi_sync_on=False),
    ),
    Own("It has the right to write, and MariaDB has just started (closed)", MINE, CLOSED),
    Own(
        "The same, and it was alone when it stopped",
        replace(MINE, alone=True),
        CLOSED,
    ),
    Own("It has the right to write, and MariaDB does not run", MINE, DEAD),
    Own(
        "It has the right to write, and MariaDB has hung for 2 s",
        MINE,
        HANGS,
        DatabaseMemory(failing_since=NOW - 2),
    ),
    Own("It follows, and has everything", THEIRS, CLOSED, DatabaseMemory(synced_at=NOW - 2)),
    Own("It follows, and may lack something", THEIRS, CLOSED),
)
HEARD = (
    Heard("the other node, well"),
    Heard("the other node, which does not follow, or whose MariaDB is dead", fit=False),
    Heard("the other node writes in a later epoch", epoch=4, other_writes=True),
    Heard("nothing for 1 s", 1.0),
    Heard("nothing for 1 s; nobody answers for it or the address, gateway", 1.0,
          silence=Silence(gateway=True)),
    Heard("nothing for 1 s; it answers by the gateway", 1.0,
          silence=Silence(peer_answers_by_gateway=True, gateway=True)),
    Heard("nothing for 1 s; it answers by the gateway that it is closed in this epoch", 1.0,
          silence=Silence(peer_answers_by_gateway=True, gateway=True, closed_epoch=3)),
    Heard("nothing for 2.5 s, gateway", 2.5),
    Heard("nothing for 2.5 s, no gateway", 2.5, gateway=False),
    Heard("nothing for 3.5 s, its claim to go on alone unanswered, gateway", 3.5,
          claim=ClaimSeen(gateway=True)),
    Heard("nothing for 2.5 s, its claim answered with a later epoch", 2.5,
          claim=ClaimSeen(answered=True, epoch=4)),
)  # fmt: skip


def reference() -> str:
    """Return docs/reference/lease.md."""
    situations = "".join(f"* {heard.name}\n" for heard in HEARD)
    return HEAD + situations + "".join(f"\n{_section(own)}" for own in OWN)


def _section(own: Own) -> str:
    lines = [f"## {own.name}", "", "| it hears | holding the address | not holding it |"]
    lines.append("|---|---|---|")
    rows = {heard.name: [said(own, heard, held=held) for held in (True, False)] for heard in HEARD}
    for name, row in rows.items():
        if set(row) != {NOTHING}:
            lines.append(f"| {name} | {' | '.join(row)} |")
    if any(set(row) == {NOTHING} for row in rows.values()):
        lines.append(f"| {ELSE} | {NOTHING} | {NOTHING} |")
    return "\n".join(lines) + "\n"


def said(own: Own, heard: Heard, *, held: bool) -> str:
    """Return what is done in a situation, as words."""
    memory, snapshot = situation(own, heard, held=held)
    actions = decide(parse(PAIR), memory, snapshot).actions
    return "; ".join(_words(own, heard, action) for action in actions) or NOTHING


def situation(own: Own, heard: Heard, *, held: bool) -> tuple[Memory, Snapshot]:
    """Return what `decide` is asked about."""
    heard_at = NOW - (heard.silent_seconds or 0.0)
    silent = heard.silent_seconds is not None
    memory = Memory(
        checks={"gateway": CheckMemory(failing=not heard.gateway, known=True)},
        vips={VIP: VipMemory(held=held, held_since=heard_at + 0.3)},
        peer_silent_since=heard_at if silent else None,
        database=own.memory,
    )
    asked = Unseen("not asked", 0.0)
    snapshot = Snapshot(
        now=NOW,
        wall=NOW,
        node="here",
        config_hash="",
        vips={VIP: Seen(VipSeen(held=held), NOW)},
        peer=Unseen("silent", heard_at) if silent else Seen(_report(own, heard, held), NOW),
        database=Seen(own.seen, NOW),
        database_state=own.state,
        gateway_at=NOW,
        silence=Seen(heard.silence, NOW) if heard.silence else asked,
        claim=Seen(heard.claim, NOW) if heard.claim else asked,
    )
    return memory, snapshot


def _report(own: Own, heard: Heard, held: bool) -> NodeReport:
    state = replace(own.state, epoch=heard.epoch)
    writes = own.state.writer == "there"
    if heard.other_writes:
        state, writes = replace(THEIRS, epoch=heard.epoch), True
    well = heard.fit
    database = DatabaseReport(
        state,
        "writer" if writes else "replica",
        well,
        writes and well,
        writes and well,
        well,
        position="0-1-100",
        binlog_state="0-1-100",
        applied="0-1-100",
        received="0-1-100",
        io="Yes" if well else "No",
        sql="Yes" if well else "No",
    )
    vips = {VIP: VipReport(not held, 0, False, "", False)}
    return NodeReport(
        "there", "1", "", 0, True, 0.0, False, None, checks={}, database=database, vips=vips
    )


_WORDS: Mapping[type[Action], str] = {
    AskSegment: "asks the segment, and the other node by the gateway",
    ClaimAlone: "claims by the gateway to go on alone",
    CloseWrites: "sets read_only",
    Fence: "**kills its MariaDB**",
    Open: "**opens**, once it has applied what it received",
    Release: "stops writes in order, **gives the right away (epoch + 1)**",
}


def _words(own: Own, heard: Heard, action: Action) -> str:
    if isinstance(action, KeepState):
        return _change(own.state, heard, action.state)
    if isinstance(action, SemiSync):
        return "has commits wait" if action.on else "has commits wait no longer"
    words = _WORDS[type(action)]
    gives = isinstance(action, Fence) and own.state.epoch < action.state.epoch != heard.epoch
    return f"{words}, **gives the right away (epoch + 1)**" if gives else words


def _change(old: DatabaseState, heard: Heard, new: DatabaseState) -> str:
    if new.epoch > old.epoch and new.epoch == heard.epoch:
        return "notes the later epoch"
    if new.epoch > old.epoch:
        takes = new.writer == "here"
        return f"**{'takes the right' if takes else 'gives the right away'} (epoch + 1)**"
    return "notes " + ", ".join(_differences(old, new))


def _differences(old: DatabaseState, new: DatabaseState) -> Iterator[str]:
    for each in fields(DatabaseState):
        before, after = getattr(old, each.name), getattr(new, each.name)
        if before != after:
            yield f"`{each.name} = {str(after).lower()}`"
