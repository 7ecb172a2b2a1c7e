"""What a node says of its database: to its peer, and to status. Pure."""

from __future__ import annotations

from shoestring.config.model import Config
from shoestring.core.database import DatabaseReport, DatabaseRole
from shoestring.core.decision import Memory
from shoestring.core.seen import Seen
from shoestring.core.snapshot import Snapshot
from shoestring.database.fitness import unfit
from shoestring.database.gtid import behind
from shoestring.database.look import Look


def role(look: Look) -> DatabaseRole:
    """Return in one word what this node's database does now."""
    seen, state = look.seen, look.state
    if state.writer == "" or seen is None:
        return "none"
    if state.fenced:
        return "fenced"
    if state.writer == "both":
        return "writer" if seen.alive and not seen.read_only else "taking"
    if look.mine:
        return "writer" if seen.alive and not seen.read_only and state.opened else "taking"
    return "replica" if seen.read_only or not seen.alive else "handing"


def report(config: Config, memory: Memory, snapshot: Snapshot) -> DatabaseReport | None:
    """Return this node's report, or None where the slice is not turned on."""
    if config.database is None:
        return None
    look = Look(config, config.database, memory, memory.database, snapshot)
    seen, state, now = look.seen, look.state, role(look)
    health = snapshot.database_health
    lag = health.value.behind_seconds if isinstance(health, Seen) else None
    if seen is None:
        blind = "it could not be looked at"
        mode = config.database.writer
        return DatabaseReport(state, now, None, False, False, False, blind, mode=mode)
    open_now = seen.alive and not seen.read_only
    on = open_now and seen.semi_sync_on and seen.semi_sync_clients > 0 and not state.alone
    why = unfit(look)
    return DatabaseReport(
        state=state,
        role=now,
        alive=seen.alive,
        writable=open_now and (look.mine or state.writer == "both"),
        in_sync=on,
        fit=not why,
        why=memory.database.why or why,
        position=seen.position,
        binlog_state=seen.binlog_state,
        applied=seen.applied,
        received=seen.replica.received,
        io=seen.replica.io,
        sql=seen.replica.sql,
        behind=_behind(look),
        behind_seconds=None if open_now else lag,
        ghosts=look.ghosts,
        busy=snapshot.database_busy,
        mode=config.database.writer,
        synced=not look.mine and look.synced,
    )


def _behind(look: Look) -> int:
    if look.seen is None or look.peer is None or look.mine:
        return 0
    return behind(look.peer.position, f"{look.seen.applied},{look.seen.position}")


def silent_refusal(look: Look) -> str:
    """Return why a silent writer is not replaced by this node, or nothing."""
    if not look.held:
        return "this node does not hold the address"
    if not look.synced:
        return _lost_sync(look)
    question = look.hearing.question
    if question is not None and question.value.closed_epoch >= look.state.epoch > 0:
        return ""  # it says itself that it answers nothing any more
    if question is not None and question.value.peer_answers_by_gateway:
        return (
            f"{look.other} answers by way of the gateway: the nodes alone are cut from each other"
        )
    if question is not None and question.value.somebody_answers:
        return f"somebody answers for {look.other} or for the address"
    if not look.hearing.gateway_answers:
        return "no gateway answers here, so it may be this node that is cut off"
    return ""


def rejoin_refusal(look: Look) -> str:
    """Return why this node must not undo what the other one lacks, or nothing.

    Only a replica may lose transactions to its writer, which has what was acknowledged.
    """
    if look.settings.writer == "both" or look.state.writer == "both":
        return "both nodes write, so neither is the other's replica"
    if look.state.writer == "":
        return "no node has had the right to write yet"
    if look.mine:
        return f"{look.node} is the writer: its transactions are the acknowledged ones"
    if look.peer is None:
        return f"{look.other} is silent, so it is not known what {look.node} has too much"
    if look.peer.state.writer != look.other or not look.peer.writable:
        return f"{look.other} does not write now, so there is no writer to follow"
    return ""


def _lost_sync(look: Look) -> str:
    if look.hearing.claimed:
        return f"{look.other} has said by way of the gateway that it goes on alone"
    if look.hearing.missed:
        return f"this node heard nobody for a while, and {look.other} may have gone on alone"
    return f"this node was not in sync with {look.other} when it was last heard"
