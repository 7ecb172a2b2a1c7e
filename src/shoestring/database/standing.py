"""How the other node stands, as the node sees it that writes. Pure."""

from __future__ import annotations

from shoestring.core.database import DatabaseReport, DatabaseSeen
from shoestring.database.gtid import behind, covers, own_writes
from shoestring.database.look import Look
from shoestring.database.render import server_id

ATTACHED_BEHIND_MAX = 2000


def goes_by(look: Look, peer: DatabaseReport) -> bool:
    """Tell whether the other node has reported that it knows of this lease.

    A writer that was replaced while it stood still reports its old one for a moment: it looks fit
    and attached, and may have transactions that nobody else has.
    """
    theirs, mine = peer.state, look.state
    return (theirs.epoch, theirs.writer) == (mine.epoch, mine.writer)


def is_attached(look: Look, seen: DatabaseSeen, peer: DatabaseReport) -> bool:
    """Tell whether the other node follows this writer, and is close behind."""
    same = peer.state.history == look.state.history != "" and goes_by(look, peer)
    close = behind(seen.position, f"{peer.received},{peer.applied}") <= ATTACHED_BEHIND_MAX
    return same and peer.io == "Yes" and peer.sql == "Yes" and close and peer.alive is True


def has_acknowledged(look: Look, seen: DatabaseSeen, peer: DatabaseReport) -> bool:
    """Tell whether the other node has all that was acknowledged, whatever it can know itself.

    A writer whose disk is full reports a position that it cannot send: the replica then goes by it
    that it lacks something, which nobody was answered.
    """
    waits = seen.semi_sync_on and seen.semi_sync_clients > 0 and not look.state.alone
    runs = peer.alive is True and peer.io == peer.sql == "Yes" and not peer.ghosts and not peer.busy
    return goes_by(look, peer) and (peer.fit or (waits and runs))


def is_in_sync(look: Look, seen: DatabaseSeen, peer: DatabaseReport) -> bool:
    """Tell whether the other node has all since commits began to wait for it."""
    on = seen.semi_sync_on and seen.semi_sync_clients > 0
    start = look.memory.sync_position
    return on and start != "" and covers(f"{peer.received},{peer.applied}", start)


def ring_is_open(look: Look, seen: DatabaseSeen, peer: DatabaseReport) -> bool:
    """Tell whether the link back must be started again, and the peer has nothing new in it."""
    broken = seen.replica.io == "No" or seen.replica.sql == "No"
    number = server_id(look.config, look.other)
    theirs = own_writes(peer.binlog_state, seen.binlog_state, number)
    return broken and theirs == 0 and peer.behind <= ATTACHED_BEHIND_MAX
