"""Who may write, and what this node does about it. Pure: no clock, no I/O.

The right to write is an epoch with a writer's name, on each node's disk. It changes hands in four
ways: the writer stops in order (planned move), the writer's agent sees its MariaDB dead, the other
node finds the writer silent and knows that it has everything, or an operator says so. Every way
adds one to the epoch, and the higher epoch wins; a node boots read-only and opens only by right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shoestring.config.model import Config
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
    UndoGhosts,
)
from shoestring.core.database import DatabaseMemory, DatabaseReport, DatabaseSeen, DatabaseState
from shoestring.core.decision import Decision, Memory
from shoestring.core.event import Event
from shoestring.core.snapshot import PromoteRequest, RejoinRequest, Snapshot
from shoestring.database import both
from shoestring.database.fitness import FULL_PERCENT, fitness, fresh_health, unfit
from shoestring.database.look import Look
from shoestring.database.report import rejoin_refusal, role, silent_refusal
from shoestring.database.standing import (
    goes_by,
    has_acknowledged,
    is_attached,
    is_in_sync,
    ring_is_open,
)
from shoestring.database.sync import tracked

SILENT_SECONDS = 2.0
CLAIM_SECONDS = 2.4
CLAIM_AGAIN_SECONDS = 2.0
ALONE_SECONDS = 3.0
DEAD_SECONDS = 1.0
GHOSTS_STEADY_SECONDS = 1.0
ASK_AGAIN_SECONDS = 0.5
AGAIN_SECONDS = 5.0
HOME_SECONDS = 25.0
WAITED_SECONDS = 3.5
FATAL_IO = (1236, 1593)


def decide(config: Config, memory: Memory, snapshot: Snapshot) -> Decision:
    """Return what to remember, do and tell of the database; nothing where it is not turned on."""
    if config.database is None:
        return Decision(memory)
    look = Look(config, config.database, memory, tracked(config, memory, snapshot), snapshot)
    since = (look.memory.unfit_since or snapshot.now) if unfit(look) else None
    look = replace(look, memory=replace(look.memory, unfit_since=since))
    penalty, why = fitness(look)
    remembered = replace(look.memory, penalty=penalty, why=why, moved=_moved(look))
    look = replace(look, memory=remembered)
    actions, remembered = _limited(look, tuple(_due(look)))
    told, remembered = _told(replace(look, memory=remembered))
    return Decision(replace(memory, database=remembered), actions, told)


def _moved(look: Look) -> bool:
    """Tell whether the address may follow: the other node writes already, or nobody ever did."""
    peer = look.peer
    if look.state.writer == "":
        return True
    return peer is not None and not look.mine and peer.writable and peer.state.opened


def _due(look: Look) -> Iterator[Action]:
    """Yield what is due, most urgent first; a job that is under way is left alone."""
    if look.snapshot.database_busy:
        return
    health = fresh_health(look)
    if health is not None and health.old_dumps:
        yield EndOldDumps(health.old_dumps, f"{look.other} has dialled again")
    if look.settings.writer == "both":
        yield from both.due(look)
        return
    yield from _asked(look)
    if look.hearing.claim_waits:
        yield AnswerClaim(f"{look.other} asks whether it may go on alone")
    peer = look.peer
    if look.state.writer == "both" or (peer is not None and peer.state.writer == "both"):
        yield from _one_again(look)
    elif peer is not None and peer.state.epoch > look.state.epoch:
        yield from _superseded(look, peer)
    elif peer is not None and _knows_more(look.state, peer.state):
        news = replace(look.state, opened=peer.state.opened, complete=peer.state.complete)
        yield KeepState(news, "the writer has begun")
    elif look.state.writer == "":
        yield from _first(look)
    elif look.mine:
        yield from _writer(look)
    else:
        yield from _replica(look)


def _knows_more(mine: DatabaseState, theirs: DatabaseState) -> bool:
    same = mine.epoch == theirs.epoch and mine.writer == theirs.writer
    news = (mine.opened, mine.complete) != (theirs.opened, theirs.complete)
    return same and news and theirs.opened


def _asked(look: Look) -> Iterator[Action]:
    for request in look.snapshot.requests:
        if isinstance(request, PromoteRequest) and not look.mine:
            epoch = max(look.state.epoch, look.peer.state.epoch if look.peer else 0) + 1
            state = replace(
                look.state,
                epoch=epoch,
                writer=look.node,
                alone=True,
                complete=look.synced,
                opened=False,
                released="",
                fenced=False,
            )
            yield KeepState(state, "asked by the operator")
        elif isinstance(request, PromoteRequest):
            kept = replace(look.state, alone=True, fenced=False)
            if kept.declined == kept.epoch:  # it could not begin without what is lost
                kept = replace(kept, declined=0, complete=False)
            yield KeepState(kept, "asked by the operator")
        if (
            isinstance(request, RejoinRequest)
            and not rejoin_refusal(look)
            and look.peer is not None
        ):
            yield UndoGhosts(look.peer.binlog_state, "asked by the operator")


def _superseded(look: Look, peer: DatabaseReport) -> Iterator[Action]:
    """Learn that the right to write is somewhere else; stop before it is believed."""
    seen = look.seen
    if seen is not None and seen.alive and not seen.read_only:
        if look.mine and not look.state.alone:
            yield Fence(look.state, f"{peer.state.writer} writes since epoch {peer.state.epoch}")
        else:
            yield CloseWrites(f"{peer.state.writer} writes since epoch {peer.state.epoch}")
        return
    hung = seen is not None and not seen.alive and seen.process and not seen.starting
    if hung and look.mine:
        if _long_dead(look):
            yield Fence(look.state, "it hangs, and the other node writes")
        return  # not believed before: what its commits wait with is dropped only with its death
    state = replace(
        peer.state,
        alone=peer.state.writer == look.node,
        fenced=False,
        declined=0,
        answered=look.state.answered or (look.mine and look.state.alone),
        history=look.state.history,
    )
    yield KeepState(state, f"{peer.state.writer} writes since epoch {peer.state.epoch}")


def _first(look: Look) -> Iterator[Action]:
    """Let the holder write when nobody ever had the right: what it has is what counts.

    Another node than the preferred one only when it has held the address for a while: a pair that
    is being set up brings its addresses home first.
    """
    peer, seen, since = look.peer, look.seen, look.vip.held_since
    if not look.held or since is None or peer is None or peer.state.epoch:
        return
    home = look.config.vips[look.config.writer_vip].prefer == look.node
    if seen is not None and seen.alive and (home or look.snapshot.now - since > HOME_SECONDS):
        state = DatabaseState(epoch=1, writer=look.node, alone=True)
        yield KeepState(state, "it holds the address, and nobody has written before")


def _one_again(look: Look) -> Iterator[Action]:
    """Go from two writers to one, the holder, once both nodes go by that."""
    peer = look.peer
    if peer is None or peer.mode != "holder":
        return
    if look.held and look.state.writer == "both":
        state = DatabaseState(
            epoch=max(look.state.epoch, peer.state.epoch) + 1,
            writer=look.node,
            alone=True,
            opened=True,
            history=look.state.history,
        )
        yield KeepState(state, 'writer = "holder"')
    elif peer.state.epoch > look.state.epoch and peer.state.writer != "both":
        yield from _superseded(look, peer)


def _writer(look: Look) -> Iterator[Action]:
    seen, peer = look.seen, look.peer
    if seen is None:
        return
    hung = not seen.alive and seen.process and not seen.starting
    if (hung or (seen.alive and not seen.read_only)) and _is_isolated(look):
        fenced = replace(look.state, fenced=True)
        yield Fence(fenced, "cut off: no peer, and no gateway or no address")
    elif not seen.alive:
        yield from _writer_dead(look, seen, peer)
    elif seen.read_only:
        yield from _writer_closed(look, seen, peer)
    elif look.replaced_in > look.state.epoch and not look.state.alone:
        fenced = replace(look.state, fenced=True)
        yield Fence(fenced, f"{look.other} has taken over: it says so by way of the gateway")
    elif peer is not None and _is_stuck(look, seen, peer):
        yield Fence(_given(look), f"rows cannot be written here, and {look.other} has everything")
    elif peer is not None and _may_release(look, seen, peer):
        yield Release(_given(look), look.settings.move_wait_seconds, "the address goes")
    else:
        yield from _open_writer(look, seen, peer)


def _may_release(look: Look, seen: DatabaseSeen, peer: DatabaseReport) -> bool:
    goes = look.handing or (not look.held and look.peer_keeps)
    same = peer.mode == look.settings.writer
    return goes and same and peer.fit and is_attached(look, seen, peer)


def _is_stuck(look: Look, seen: DatabaseSeen, peer: DatabaseReport) -> bool:
    """Tell whether this writer can neither write nor stop in order: a full disk holds its lock.

    To stop in order was tried, or cannot be: nothing more fits on the disk, or the other node goes
    by it that it lacks something, which it can never get.
    """
    health = fresh_health(look)
    if health is None or not health.probe or look.held or not look.peer_holds:
        return False
    tried = "Release" in look.memory.tried or not peer.fit
    return (
        (tried or health.disk_free_percent < FULL_PERCENT)
        and not look.state.alone
        and has_acknowledged(look, seen, peer)
    )


def _given(look: Look) -> DatabaseState:
    return DatabaseState(
        epoch=look.state.epoch + 1,
        writer=look.other,
        alone=True,
        history=look.state.history,
    )


def _long_dead(look: Look) -> bool:
    since = look.memory.failing_since
    return since is not None and look.snapshot.now - since >= DEAD_SECONDS


def _writer_dead(look: Look, seen: DatabaseSeen, peer: DatabaseReport | None) -> Iterator[Action]:
    """Give the right away when MariaDB died in sync; kill one that hangs before that."""
    if look.state.alone or peer is None or not peer.fit or not goes_by(look, peer):
        return
    if not seen.process or seen.starting:
        yield KeepState(_given(look), f"MariaDB does not run on {look.node}")
    elif _long_dead(look):
        yield Fence(_given(look), "MariaDB hangs")


def _writer_closed(look: Look, seen: DatabaseSeen, peer: DatabaseReport | None) -> Iterator[Action]:
    state = look.state
    if state.declined == state.epoch:
        return
    keeps = state.opened and not look.held and look.peer_keeps
    if peer is not None and keeps and peer.fit and goes_by(look, peer):
        given = replace(_given(look), released=seen.position)
        yield KeepState(given, "the other node holds the address")
        return
    if peer is None and not state.alone:
        return
    if peer is None and not look.held:
        return
    # Once it was open in this epoch it has applied all that it had received, and since then nobody
    # else has written: what a power cut has torn in its relay log is not needed.
    cut = not state.opened and (peer is None or peer.alive is not True)
    yield Open(
        state.released,
        cut_link=cut,
        seconds=look.settings.move_wait_seconds,
        state=replace(state, opened=True, released="", fenced=False),
        reason="it has the right to write",
        loss_accepted=state.alone and not state.complete,
    )


def _is_isolated(look: Look) -> bool:
    """Tell whether the other node may have taken over and this one must not answer commits."""
    if look.state.alone or look.silent_seconds < SILENT_SECONDS:
        return False
    return look.gateway_lost or not look.held


def _open_writer(look: Look, seen: DatabaseSeen, peer: DatabaseReport | None) -> Iterator[Action]:
    """Keep commits waiting for the other node while it follows, and no longer."""
    state = look.state
    attached = peer is not None and is_attached(look, seen, peer)
    lost = _lost(look, seen)
    if not state.opened:
        yield KeepState(replace(state, opened=True), "it writes")
    elif attached and not seen.semi_sync:
        yield SemiSync(on=True, reason=f"{look.other} follows")
    elif attached and peer and state.alone and not lost and is_in_sync(look, seen, peer):
        yield KeepState(replace(state, alone=False), f"{look.other} has everything")
    elif _must_claim(look):
        yield ClaimAlone(state.epoch, f"{look.other} is silent")
    elif lost and not state.alone:
        yield KeepState(replace(state, alone=True), lost)
    elif lost and seen.semi_sync:
        yield SemiSync(on=False, reason=lost)
    elif attached and peer is not None and ring_is_open(look, seen, peer):
        yield Follow(peer.position, "the ring: an address that moves finds its link in place")


def _must_claim(look: Look) -> bool:
    """Tell whether the silent node must be told first, in case that it lives and could take over.

    A node that has answered a claim does not take over in this silence (`sync.tracked`), and one
    that has taken over before answers with its higher epoch.
    """
    claim, now = look.hearing.claim, look.snapshot.now
    if claim is not None and look.hearing.stood_still and now - claim.at < CLAIM_AGAIN_SECONDS:
        return False  # asked now and then: this may last until a person comes
    return not look.state.alone and look.silent_seconds > CLAIM_SECONDS and not look.has_claimed


def _lost(look: Look, seen: DatabaseSeen) -> str:
    """Return why commits must not wait for the other node any longer, or nothing.

    MariaDB never stops waiting by itself. Only this decision ends a wait: either the other node
    says itself that it does not count as in sync, or it is silent and was sent a claim.
    """
    peer = look.peer
    if peer is None:
        told = look.has_claimed or look.state.alone
        silent = look.silent_seconds > ALONE_SECONDS and told
        return f"{look.other} is silent" if silent else ""
    if seen.semi_sync and not seen.semi_sync_on:
        return "MariaDB gave up waiting"
    if peer.synced:
        return ""  # it might take over, should it hear nothing more
    if peer.alive is False:
        return f"MariaDB does not run on {look.other}"
    if peer.io == "No" or peer.sql == "No":
        return f"{look.other} does not follow"
    waits = look.memory.unconfirmed
    late = waits is not None and look.snapshot.now - waits[0] > WAITED_SECONDS
    return f"{look.other} does not receive what is written" if late else ""


def _replica(look: Look) -> Iterator[Action]:
    seen, peer = look.seen, look.peer
    if seen is None:
        return
    if peer is not None and look.state.epoch == peer.state.declined != 0:
        taken = replace(
            look.state, epoch=look.state.epoch + 1, writer=look.node, alone=True, released=""
        )
        yield KeepState(taken, f"{look.other} could not take over")
    elif not seen.alive:
        return
    elif not seen.read_only:
        yield CloseWrites(f"{look.other} writes")
    elif seen.semi_sync:
        yield SemiSync(on=False, reason="a replica's applier would wait for itself")
    elif peer is not None:
        yield from _following(look, seen, peer)
    else:
        yield from _silent_writer(look)


def _following(look: Look, seen: DatabaseSeen, peer: DatabaseReport) -> Iterator[Action]:
    """Follow a writer that writes; what this node has too much is undone before."""
    link = seen.replica
    if look.state.answered and link.io == "Yes" and link.sql == "Yes":
        yield KeepState(replace(look.state, answered=False), "it follows again")
    stopped = link.io == "No" and link.sql == "No"
    same = peer.state.history == look.state.history != ""
    if not (stopped and same and peer.writable) or link.sql_errno or link.io_errno in FATAL_IO:
        return
    if not _has_spoken_since(look):
        return
    if not look.ghosts:
        yield Follow(peer.binlog_state, f"{look.other} writes")
    elif _ghosts_are_steady(look) and not look.state.answered:
        yield UndoGhosts(peer.binlog_state, f"{look.other} lacks them, and they were not answered")


def _has_spoken_since(look: Look) -> bool:
    """Tell whether the writer has said a word since this MariaDB is back.

    To follow deletes what was received and not applied. Where the writer has died meanwhile, that
    is all there is left of it.
    """
    since = look.memory.alive_since
    return since is not None and look.snapshot.peer.at >= since


def _ghosts_are_steady(look: Look) -> bool:
    since = look.memory.ghosts_since
    return since is not None and look.snapshot.now - since >= GHOSTS_STEADY_SECONDS


def _silent_writer(look: Look) -> Iterator[Action]:
    """Take over from a writer that is gone: in sync, with a gateway, and nobody answers for it."""
    if not look.held or not look.synced:
        return
    question = look.hearing.question
    if question is None:
        yield AskSegment(f"{look.other} is silent")
    elif silent_refusal(look):
        if look.snapshot.now - question.at > ASK_AGAIN_SECONDS:
            yield AskSegment(f"{look.other} is silent")
    else:
        taken = DatabaseState(
            epoch=look.state.epoch + 1,
            writer=look.node,
            alone=True,
            history=look.state.history,
        )
        yield KeepState(taken, f"{look.other} is gone, and this node has everything")


def _limited(look: Look, due: tuple[Action, ...]) -> tuple[tuple[Action, ...], DatabaseMemory]:
    """Hold back what was tried a moment ago and did not help."""
    now, memory = look.snapshot.now, look.memory
    memory = _since(look, memory)
    allowed: list[Action] = []
    tried = {k: at for k, at in memory.tried.items() if now - at < AGAIN_SECONDS}
    for action in due:
        name = type(action).__name__
        slow = isinstance(action, Follow | UndoGhosts | Fence | Release | EndOldDumps)
        if slow and name in tried:
            continue
        if slow:
            tried[name] = now
        allowed.append(action)
    return tuple(allowed), replace(memory, tried=tried)


def _since(look: Look, memory: DatabaseMemory) -> DatabaseMemory:
    """Note where commits began to wait for the other node, and since when ghosts are seen."""
    seen, now = look.seen, look.snapshot.now
    on = seen is not None and seen.semi_sync_on and seen.semi_sync_clients > 0
    start = (memory.sync_position or (seen.position if seen else "")) if on else ""
    since = (memory.ghosts_since or now) if look.ghosts else None
    return replace(memory, sync_position=start, ghosts_since=since)


def _told(look: Look) -> tuple[tuple[Event, ...], DatabaseMemory]:
    """Tell a change of role; standing problems are told by the loop's raise."""
    if look.seen is None and look.snapshot.database.at == 0.0:
        return (), look.memory  # an agent that has just started has not looked yet
    now = role(look)
    before = look.memory.told_role
    memory = replace(look.memory, told_role=now)
    if now == before:
        return (), memory
    facts: dict[str, str | float | None] = {"node": look.node, "epoch": str(look.state.epoch)}
    if now == "writer":
        return (Event("DB-701", facts),), memory
    if before == "writer":
        return (Event("DB-702", facts),), memory
    return (), memory
