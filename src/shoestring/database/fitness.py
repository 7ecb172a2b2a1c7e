"""How fit a node's database is: what the VIP's score loses, and why. Pure."""

from __future__ import annotations

from shoestring.core.database import DatabaseHealth
from shoestring.core.seen import Seen
from shoestring.database.look import Look

UNFIT = 100
DISK = 30
FULL_PERCENT = 0.1
PROBE_FRESH_SECONDS = 10.0
UNFIT_SECONDS = 5.0


def fitness(look: Look) -> tuple[int, str]:
    """Return what is taken off this node's score, and the reason.

    Not being able to look keeps the last verdict. Many connections are no reason at all.
    """
    if look.seen is None:
        return look.memory.penalty, look.memory.why
    if look.snapshot.database_busy:
        return UNFIT, look.snapshot.database_busy
    if look.state.writer == "":
        return 0, ""
    if not look.seen.alive:
        return UNFIT, look.seen.detail
    if look.mine or look.state.writer == "both":
        return _writer(look)
    if look.peer is None:
        return (0, "") if look.synced else (look.memory.penalty, look.memory.why)
    since = look.memory.unfit_since
    steady = since is not None and look.snapshot.now - since >= UNFIT_SECONDS
    return (UNFIT, unfit(look)) if steady else (0, "")


def _writer(look: Look) -> tuple[int, str]:
    health = fresh_health(look)
    if health is None:
        return 0, ""
    if health.probe:
        return UNFIT, f"a row cannot be written: {health.probe}"
    if health.disk_free_percent < look.settings.disk_free_percent:
        return DISK, f"{health.disk_free_percent:.1f} % of the disk is free"
    return 0, ""


def fresh_health(look: Look) -> DatabaseHealth | None:
    """Return the slower observations if they are new enough to judge by."""
    found = look.snapshot.database_health
    if isinstance(found, Seen) and look.snapshot.now - found.at < PROBE_FRESH_SECONDS:
        return found.value
    return None


def unfit(look: Look) -> str:
    """Return why this node could not begin to write with everything, or nothing."""
    seen, state, peer = look.seen, look.state, look.peer
    if seen is None:
        return "it could not be looked at"
    if not seen.alive:
        return seen.detail
    if look.mine:
        return ""
    if not state.history or (peer is not None and peer.state.history != state.history):
        return f"it is no copy of {look.other}'s yet"
    if look.ghosts:
        return f"it has transactions that {look.other} lacks"
    if why := _link(look):
        return why
    health = fresh_health(look)
    if health is not None and health.disk_free_percent < look.settings.disk_free_percent:
        return f"{health.disk_free_percent:.1f} % of its disk is free"
    return "" if look.synced else "it is not known to have everything"


def _link(look: Look) -> str:
    assert look.seen is not None
    link = look.seen.replica
    if not link.set_up:
        return "its replication is not set up"
    if link.sql_errno:
        return f"its applier stopped: {link.sql_errno} {link.sql_error}"
    if link.sql != "Yes":
        return "its applier does not run"
    if link.io == "Yes" or look.peer is None or look.peer.alive is not True:
        return ""
    if link.io_errno:
        return f"it cannot follow: {link.io_errno} {link.io_error}"
    return "its receiver does not run"
