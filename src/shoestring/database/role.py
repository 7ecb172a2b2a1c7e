"""In which role MariaDB's crash recovery runs, decided at each boot. Pure.

As MASTER it keeps every transaction of its binlog; as SLAVE it drops those at the end that the
engine had not committed. With AFTER_SYNC nothing that was not acknowledged by the other node is
committed in the engine. So SLAVE is right for a crashed writer whose successor has everything,
and wrong (it would drop acknowledged commits) for a node that may have been the only copy.
Source: MariaDB manual, init_rpl_role; MDEV-33465.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shoestring.core.database import DatabaseReport, DatabaseState

Role = Literal["MASTER", "SLAVE", "wait"]
SILENT_SECONDS_MAX = 5.0
TAKING_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class BootRole:
    """The role, or that it must be waited for, and why."""

    role: Role
    why: str


def boot_role(
    state: DatabaseState, node: str, peer: DatabaseReport | None, waited_seconds: float
) -> BootRole:
    """Return the role for this node's MariaDB.

    state: this node's own, from its disk. peer: what the other agent says now, None if nothing.
    """
    if not state.history:
        return BootRole("MASTER", "the two databases have no common history yet")
    if state.alone and state.writer == node:
        return BootRole("MASTER", "this node may be the only one with its last transactions")
    if peer is None:
        return _without_peer(state, waited_seconds)
    return _with_peer(state, node, peer, waited_seconds)


def _with_peer(
    state: DatabaseState, node: str, peer: DatabaseReport, waited_seconds: float
) -> BootRole:
    theirs = peer.state
    declined = theirs.declined != 0 and theirs.declined >= state.epoch
    not_taken = theirs.writer == node or (theirs.epoch < state.epoch and state.writer == node)
    if declined or not_taken:
        return BootRole("MASTER", "the other node has not taken over")
    if theirs.epoch < state.epoch or not peer.writable:
        if waited_seconds < TAKING_SECONDS_MAX:
            return BootRole("wait", "the other node is taking over")
        return BootRole("MASTER", "the other node did not take over in time")
    if not theirs.complete:
        return BootRole("MASTER", "the other node took over without all transactions")
    return BootRole("SLAVE", "the other node writes, and has everything that was acknowledged")


def _without_peer(state: DatabaseState, waited_seconds: float) -> BootRole:
    if state.fenced:
        return BootRole("wait", "it was cut off, and the other node may have taken over")
    if waited_seconds < SILENT_SECONDS_MAX:
        return BootRole("wait", "the other node has not answered yet")
    return BootRole("MASTER", "the other node does not answer")
