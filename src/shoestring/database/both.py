"""`writer = "both"`: each node writes, in a GTID domain of its own. Pure.

There is no right to hand over. A node opens when it follows its peer, or is alone and surely on
the side that visitors reach; it closes before a commit could be answered on the losing side of a
cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shoestring.core.action import Action, CloseWrites, Fence, Follow, KeepState, Open, SemiSync
from shoestring.core.database import DatabaseReport, DatabaseSeen, DatabaseState
from shoestring.database.look import Look

SILENT_SECONDS = 2.0
ALONE_SECONDS = 3.0


def due(look: Look) -> Iterator[Action]:
    """Yield what is due, most urgent first."""
    seen, state, peer = look.seen, look.state, look.peer
    if seen is None or not seen.alive:
        return
    if state.writer != "both":
        if peer is not None and peer.mode == "both":
            both = DatabaseState(epoch=state.epoch + 1, writer="both", history=state.history)
            yield KeepState(replace(both, alone=state.alone), 'writer = "both"')
    elif seen.read_only:
        yield from _closed(look, seen, peer)
    elif _must_stop(look):
        yield from _stop(look, seen)
    else:
        yield from _semi_sync(look, seen, peer)
        yield from _follow(look, seen, peer)


def _must_stop(look: Look) -> bool:
    if look.state.alone or look.silent_seconds < SILENT_SECONDS:
        return False
    return look.gateway_lost or not look.held


def _stop(look: Look, seen: DatabaseSeen) -> Iterator[Action]:
    """Stop answering commits: those that wait for the other node die with the server."""
    if seen.semi_sync_on:
        yield Fence(replace(look.state, fenced=True), "cut off: no peer, no gateway or no address")
    else:
        yield CloseWrites("cut off: no peer, no gateway or no address")


def _closed(look: Look, seen: DatabaseSeen, peer: DatabaseReport | None) -> Iterator[Action]:
    link = seen.replica
    if peer is not None and look.state.history and "No" in (link.io, link.sql):
        if not link.sql_errno:
            yield Follow(peer.binlog_state, "both write")
        return
    if seen.domain == 0:
        return  # it has started with the settings of one writer, before this agent has
    follows = link.io == "Yes" and link.sql == "Yes"
    free = peer is not None and (follows or not look.state.history or peer.alive is False)
    if free or (peer is None and look.held and not look.gateway_lost):
        opened = replace(look.state, opened=True, fenced=False)
        yield Open("", cut_link=False, seconds=1.0, state=opened, reason="both write")


def _semi_sync(look: Look, seen: DatabaseSeen, peer: DatabaseReport | None) -> Iterator[Action]:
    attached = peer is not None and peer.io == "Yes" and peer.alive is True
    silent = peer is None and look.silent_seconds > ALONE_SECONDS
    lost = silent or (peer is not None and not attached)
    on = seen.semi_sync_on and seen.semi_sync_clients > 0
    if attached and not seen.semi_sync:
        yield SemiSync(on=True, reason=f"{look.other} follows")
    elif attached and look.state.alone and on:
        yield KeepState(replace(look.state, alone=False), f"{look.other} follows")
    elif lost and not look.state.alone:
        yield KeepState(replace(look.state, alone=True), f"{look.other} does not follow")
    elif lost and seen.semi_sync:
        yield SemiSync(on=False, reason=f"{look.other} does not follow")


def _follow(look: Look, seen: DatabaseSeen, peer: DatabaseReport | None) -> Iterator[Action]:
    link = seen.replica
    stopped = link.io == "No" and not link.sql_errno
    if stopped and peer is not None and peer.alive and look.state.history:
        yield Follow(peer.binlog_state, "both write")
