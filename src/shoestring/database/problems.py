"""What is wrong with the database right now, as events of the catalogue. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shoestring.config.model import Config
from shoestring.core.database import DatabaseHealth, DatabaseSeen, ReplicaSeen
from shoestring.core.decision import Memory
from shoestring.core.event import Event
from shoestring.core.seen import Seen
from shoestring.core.snapshot import Snapshot
from shoestring.database.gtid import behind
from shoestring.database.look import Look
from shoestring.database.report import silent_refusal

PURGED_ERRNO = 1236
DENIED_ERRNOS = (1045, 1044, 1698, 1130, 2026)
HUNG_UP_ERRNO = 2013
HUNG_UP_AT = ("authorization packet", "authentication information")
CONFLICT_ERRNOS = (1062, 1032, 1060, 1050, 1146, 1054, 1091)
ERRANT_ERRNO = 1950
CONNECTIONS_PERCENT = 90
BEHIND_TRANSACTIONS = 1000
STEADY_SECONDS = 2.0
LINK_SECONDS = 3.0


def problems(config: Config, memory: Memory, snapshot: Snapshot) -> list[Event]:
    """Return everything that is wrong now."""
    if config.database is None:
        return []
    look = Look(config, config.database, memory, memory.database, snapshot)
    if snapshot.database_busy:
        return [Event("DB-723", {"node": look.node, "what": snapshot.database_busy})]
    found = [*_right(look)]
    if look.seen is not None:
        found += [*_server(look, look.seen)]
    if isinstance(snapshot.database_health, Seen):
        found += [*_health(look, snapshot.database_health.value)]
    return found


def _right(look: Look) -> Iterator[Event]:
    """Yield what is wrong with the right to write."""
    state, seen, peer = look.state, look.seen, look.peer
    if state.fenced:
        yield Event("DB-711", {"node": look.node, "other": look.other})
    if state.writer == "":
        return
    if not state.history:
        yield Event("DB-717", {"node": look.node, "other": look.other})
        return
    closed = seen is not None and seen.alive and seen.read_only
    if look.mine and closed and peer is None and not state.alone:
        facts = {"node": look.node, "why": f"{look.other} may have taken over since"}
        yield Event("DB-704", facts)
    elif look.mine and closed and state.declined == state.epoch:
        yield Event("DB-704", {"node": look.node, "why": "it could not apply what it received"})
    elif _holds_in_vain(look) and (why := silent_refusal(look)):
        yield Event("DB-704", {"node": look.node, "why": why})
    elif not look.mine and peer is not None and look.held and not peer.alive and look.memory.why:
        yield Event("DB-704", {"node": look.node, "why": look.memory.why})
    if look.mine and state.alone and seen is not None and seen.alive and not seen.read_only:
        yield Event("DB-705", {"node": look.node, "other": look.other, "why": _alone(look)})


def _holds_in_vain(look: Look) -> bool:
    """Tell whether this replica holds the address for a while, with nobody else heard."""
    since = look.vip.held_since
    waited = since is not None and look.snapshot.now - since > STEADY_SECONDS
    return not look.mine and look.peer is None and look.held and waited


def _alone(look: Look) -> str:
    peer = look.peer
    if peer is None:
        return f"{look.other} is silent"
    return peer.why or "it is catching up"


def _server(look: Look, seen: DatabaseSeen) -> Iterator[Event]:
    node = look.node
    if seen.just_ended:
        return
    if not seen.alive:
        code = "DB-722" if seen.starting else "DB-724"
        yield Event(code, {"node": node, "why": seen.detail})
        return
    if (
        seen.connections_max
        and 100 * seen.connections >= CONNECTIONS_PERCENT * seen.connections_max
    ):
        facts = {"node": node, "now": str(seen.connections), "most": str(seen.connections_max)}
        yield Event("DB-714", dict(facts))
    if look.state.history:
        yield from _link(look, seen)


def _link(look: Look, seen: DatabaseSeen) -> Iterator[Event]:
    link, peer, node = seen.replica, look.peer, look.node
    if link.strangers:
        yield Event("DB-721", {"node": node, "what": f"connections {', '.join(link.strangers)}"})
    if not link.set_up and peer is not None and peer.busy:
        return
    if not link.set_up:
        yield Event("DB-721", {"node": node, "what": "no replication is set up"})
        return
    there = str(look.config.nodes[look.other].address[0])
    for wrong, what in (
        (link.host != there, f"it follows {link.host}, not {there}"),
        (not link.tls, "it follows without TLS"),
        (not link.gtid, "it follows without GTID"),
        (link.filters, "replication filters are set"),
    ):
        if wrong:
            yield Event("DB-721", {"node": node, "what": what})
    yield from _stopped(look, seen)
    if look.mine or peer is None:
        return
    lacking = behind(peer.position, f"{seen.applied},{seen.position}")
    if lacking > BEHIND_TRANSACTIONS:
        yield Event("DB-708", {"node": node, "count": str(lacking), "doing": link.doing or "-"})
    since, count = look.memory.ghosts_since, look.ghosts
    if count and since is not None and look.snapshot.now - since > STEADY_SECONDS:
        yield Event("DB-709", {"node": node, "other": look.other, "count": str(count)})


def _stopped(look: Look, seen: DatabaseSeen) -> Iterator[Event]:
    link, node = seen.replica, look.node
    since = look.memory.link_since
    if since is None or look.snapshot.now - since < LINK_SECONDS:
        return
    if link.sql_errno == ERRANT_ERRNO and look.ghosts:
        return  # it stopped at a transaction of its own: DB-709 says so, and what to do
    if link.sql_errno:
        facts = {"node": node, "errno": str(link.sql_errno), "error": link.sql_error[:300]}
        conflict = link.sql_errno in CONFLICT_ERRNOS
        yield Event("DB-719" if conflict else "DB-707", dict(facts))
    elif link.io_errno == PURGED_ERRNO and look.mine:
        return  # the link back asks for what the replica has not yet: it is tried again
    elif link.io_errno == PURGED_ERRNO:
        yield Event("DB-720", {"node": node, "other": look.other, "error": link.io_error[:300]})
    elif _is_denied(look, link) and link.io != "Yes":
        yield Event("DB-725", {"node": node, "other": look.other, "error": link.io_error[:300]})
    elif link.io_errno and link.io != "Yes" and look.peer is not None and look.peer.alive:
        facts = {"node": node, "errno": str(link.io_errno), "error": link.io_error[:300]}
        yield Event("DB-707", dict(facts))
    elif (link.io == "No") != (link.sql == "No"):
        half = "receiver" if link.io == "No" else "applier"
        facts = {"node": node, "errno": "0", "error": f"its {half} was stopped by hand"}
        yield Event("DB-707", dict(facts))


def _is_denied(look: Look, link: ReplicaSeen) -> bool:
    """Tell whether the other server refuses this one: a wrong certificate is hung up on."""
    alive = look.peer is not None and look.peer.alive is True
    at_login = any(words in link.io_error for words in HUNG_UP_AT)
    hung_up = link.io_errno == HUNG_UP_ERRNO and at_login
    return link.io_errno in DENIED_ERRNOS or (hung_up and alive)


def _health(look: Look, health: DatabaseHealth) -> Iterator[Event]:
    node, settings = look.node, look.settings
    if health.probe:
        yield Event("DB-712", {"node": node, "why": health.probe})
    if health.disk_free_percent < 3 * settings.disk_free_percent:
        yield Event("DB-713", {"node": node, "free": f"{health.disk_free_percent:.1f}"})
    if health.bypass:
        yield Event("DB-715", {"node": node, "accounts": ", ".join(health.bypass[:5])})
    if health.unsafe:
        yield Event("DB-716", {"node": node, "tables": ", ".join(health.unsafe[:5])})
    if health.settings:
        yield Event("DB-718", {"node": node, "settings": "; ".join(health.settings[:5])})
    if health.grants and look.state.history:
        yield Event("DB-725", {"node": look.other, "other": node, "error": health.grants})
    if health.differences:
        facts = {"node": node, "what": "; ".join(health.differences[:3])}
        yield Event("DB-726", dict(facts))
    late = health.behind_seconds
    if not look.mine and late is not None and late > settings.behind_seconds:
        yield Event("DB-727", {"node": node, "seconds": late})
