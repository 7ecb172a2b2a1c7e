"""How far a replica is known to have everything that was acknowledged. Pure.

The writer answers a commit without this replica only after one of two things: this replica has
reported that it does not count as in sync (it stops to count so before it reports why), or the
writer has claimed to go on alone. So what is known here stays true until either.
"""

from __future__ import annotations

from dataclasses import replace

from shoestring.config.model import Config
from shoestring.core.database import DatabaseMemory
from shoestring.core.decision import Memory
from shoestring.core.snapshot import Snapshot
from shoestring.database.gtid import covers
from shoestring.database.hearing import followed
from shoestring.database.look import Look

UNCONFIRMED_SECONDS = 2.5


def tracked(config: Config, memory: Memory, snapshot: Snapshot) -> DatabaseMemory:
    """Follow how far this node is known to have everything, and how long trouble lasts."""
    assert config.database is not None
    old = memory.database
    look = Look(config, config.database, memory, old, snapshot)
    seen, now = look.seen, snapshot.now
    dead = seen is not None and not seen.alive
    link = seen.replica if seen is not None and seen.alive else None
    stopped = link is not None and (link.io != "Yes" or link.sql != "Yes")
    old = replace(
        old,
        link_since=(old.link_since or now) if stopped else None,
        failing_since=(old.failing_since or now) if dead else None,
        alive_since=None if dead else old.alive_since or (now if seen is not None else None),
        gateway_at=snapshot.gateway_at or old.gateway_at,
        unconfirmed=_unconfirmed(look, old),
        heard=followed(old.heard, snapshot),
    )
    look = replace(look, memory=old)
    if look.mine or dead:
        return replace(old, pending=None, synced_at=None)  # what a dead one received is uncertain
    if look.hearing.claimed or look.hearing.missed:
        return replace(old, pending=None, synced_at=None)  # the writer goes on without this node
    if seen is None:
        return replace(old, pending=None)
    if _cannot_confirm(look, old):
        return replace(old, pending=None, synced_at=None)
    return _synced(look, old)


def _unconfirmed(look: Look, old: DatabaseMemory) -> tuple[float, str] | None:
    """Return since when, and up to where, the replica that is heard has not received.

    Only while commits wait for it: a writer whose disk is full sends nothing either, and would
    answer nothing without it.
    """
    seen, peer = look.seen, look.peer
    if not look.mine or seen is None or peer is None or not seen.semi_sync_waits:
        return None
    waits = old.unconfirmed or (look.snapshot.now, seen.position)
    return None if covers(f"{peer.received},{peer.applied}", waits[1]) else waits


def _cannot_confirm(look: Look, old: DatabaseMemory) -> bool:
    """Tell whether the writer may answer commits without this replica, by what it reports itself.

    It stops to count as in sync before the writer learns of the reason: so the two never overlap.
    """
    seen, peer = look.seen, look.peer
    if seen is None or "No" in (seen.replica.io, seen.replica.sql):
        return True
    if peer is None or peer.alive is not True:
        return False
    now = look.snapshot.now
    dials = old.link_since is not None and now - old.link_since > UNCONFIRMED_SECONDS
    return dials or (old.pending is not None and now - old.pending[0] > UNCONFIRMED_SECONDS)


def _synced(look: Look, old: DatabaseMemory) -> DatabaseMemory:
    peer, at = look.peer, look.snapshot.peer.at
    if peer is not None and peer.alive is False and not peer.state.alone:
        return replace(old, pending=None)  # it answers no commit: what was known stays so, and ages
    if peer is not None and not peer.in_sync:
        return replace(old, pending=None, synced_at=None)
    if old.pending is not None and look.has(old.pending[1]):
        old = replace(old, synced_at=old.pending[0], pending=None)
    if peer is not None and old.pending is None:
        old = replace(old, pending=(at, peer.position))
    return old
