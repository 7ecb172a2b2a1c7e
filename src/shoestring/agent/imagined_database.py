"""What becomes of an action on MariaDB that is only imagined. Pure; all succeed at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from shoestring.core.action import (
    Action,
    AnswerClaim,
    AskSegment,
    ClaimAlone,
    CloseWrites,
    EndOldDumps,
    Fence,
    Follow,
    KeepState,
    Open,
    Release,
    SemiSync,
)
from shoestring.core.database import DatabaseSeen
from shoestring.core.seen import Seen
from shoestring.core.snapshot import ClaimSeen, Silence, Snapshot


def after(action: Action, here: Snapshot, *, by_gateway: bool) -> Snapshot:
    """Return what a node sees once an action of its own is done.

    by_gateway: the other node lives, and can be reached by way of the gateway.
    """
    work = _WORK.get(type(action))
    return here if work is None else work(here, action, by_gateway)


def answered(there: Snapshot, epoch: int) -> Snapshot:
    """Return what the node sees whose claim was answered."""
    return replace(there, claim=Seen(ClaimSeen(True, epoch), there.now))


def dead(here: Snapshot, *, hangs: bool) -> Snapshot:
    """Return what a node sees whose MariaDB stops or hangs."""
    gone = DatabaseSeen(alive=False, detail="imagined", process=hangs)
    return replace(here, database=Seen(gone, here.now))


def alone(here: Snapshot) -> Snapshot:
    """Return what a node sees of MariaDB while the other one's cannot be reached."""
    if not isinstance(here.database, Seen):
        return here
    replica = here.database.value.replica
    waits = replace(replica, io="Connecting" if replica.io == "Yes" else replica.io)
    return _changed(here, replica=waits, semi_sync_clients=0)


def _changed(here: Snapshot, **change: Any) -> Snapshot:
    if not isinstance(here.database, Seen):
        return here
    return replace(here, database=Seen(replace(here.database.value, **change), here.now))


def _keep(here: Snapshot, action: Any, _by_gateway: bool) -> Snapshot:
    return replace(here, database_state=action.state)


def _release(here: Snapshot, action: Any, _by_gateway: bool) -> Snapshot:
    position = here.database.value.position if isinstance(here.database, Seen) else ""
    closed = _changed(here, read_only=True, semi_sync=False, semi_sync_on=False)
    return replace(closed, database_state=replace(action.state, released=position))


def _open(here: Snapshot, action: Any, _by_gateway: bool) -> Snapshot:
    return replace(_changed(here, read_only=False), database_state=action.state)


def _close(here: Snapshot, _action: Any, _by_gateway: bool) -> Snapshot:
    return _changed(here, read_only=True)


def _semi_sync(here: Snapshot, action: Any, _by_gateway: bool) -> Snapshot:
    return _changed(here, semi_sync=action.on, semi_sync_on=action.on)


def _follow(here: Snapshot, _action: Any, _by_gateway: bool) -> Snapshot:
    if not isinstance(here.database, Seen):
        return here
    return _changed(here, replica=replace(here.database.value.replica, io="Yes", sql="Yes"))


def _fence(here: Snapshot, action: Any, _by_gateway: bool) -> Snapshot:
    return dead(replace(here, database_state=action.state), hangs=False)


def _ask(here: Snapshot, _action: Any, by_gateway: bool) -> Snapshot:
    silence = Silence(False, by_gateway, gateway=here.gateway_at == here.now)
    return replace(here, silence=Seen(silence, here.now))


def _claim(here: Snapshot, _action: Any, by_gateway: bool) -> Snapshot:
    unanswered = ClaimSeen(gateway=here.gateway_at == here.now)
    return here if by_gateway else replace(here, claim=Seen(unanswered, here.now))


def _answer(here: Snapshot, _action: Any, _by_gateway: bool) -> Snapshot:
    return replace(here, claim_answered_at=here.now)


def _end_old_dumps(here: Snapshot, _action: Any, _by_gateway: bool) -> Snapshot:
    health = here.database_health
    if not isinstance(health, Seen):
        return here
    return replace(here, database_health=replace(health, value=replace(health.value, old_dumps=())))


_WORK: Mapping[type[Action], Callable[[Snapshot, Any, bool], Snapshot]] = {
    KeepState: _keep,
    Release: _release,
    Open: _open,
    CloseWrites: _close,
    SemiSync: _semi_sync,
    Follow: _follow,
    Fence: _fence,
    AskSegment: _ask,
    ClaimAlone: _claim,
    AnswerClaim: _answer,
    EndOldDumps: _end_old_dumps,
}
