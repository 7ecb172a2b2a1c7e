"""A planned move, as a state machine that each node reads off the other's report. Pure.

The node that gives (A) and the node that takes (B) never call each other. A says in its report
how far it is; B answers by what it does, and says so in its own report:

    A asked      ->  B receives: the VIP on its lo, silent to ARP
    A draining       new connections go to B at A's network card, running ones end on A
    A yielding       track value -254: B announces the VIP
    A lingering      late packets are still forwarded for a moment; then nothing is left

Any agent may die at any step: its peer's report goes stale, and each side clears up what the
kernel shows of a move that nobody is making (law 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shoestring.config.model import Config
from shoestring.core.action import Action, HandOver, Receive
from shoestring.core.decision import Hand, Memory, VipMemory
from shoestring.core.event import Event
from shoestring.core.seen import Seen
from shoestring.core.snapshot import (
    HandMethod,
    HandPhase,
    MoveRequest,
    NodeReport,
    Snapshot,
    VipSeen,
)
from shoestring.vip.score import cannot_take, fault_score, fresh_peer

ASKED_SECONDS_MAX = 3.0
YIELD_SECONDS_MAX = 3.0
SETTLE_SECONDS = 0.03
LINGER_SECONDS = 0.5
HOLD_BACK_SECONDS_MAX = 0.8
RECEIVE_UNHEARD_SECONDS = 10.0
WRITER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Move:
    """Why a planned move is begun, and whose word it was."""

    cause: str
    request: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What one look at a planned move came to."""

    memory: VipMemory
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()


def refusal(config: Config, memory: Memory, snapshot: Snapshot, request: MoveRequest) -> str:
    """Return why this move must not be begun, or nothing if it may."""
    seen = snapshot.vips.get(request.vip)
    if not isinstance(seen, Seen):
        return f"this node cannot see {request.vip}: {seen.why if seen else 'no such VIP'}"
    if not seen.value.held:
        return f"{snapshot.node} does not hold {request.vip}"
    if request.node == snapshot.node:
        return f"{snapshot.node} holds it already"
    vip = memory.vips.get(request.vip, VipMemory())
    if vip.hand is not None and (vip.hand.request or vip.hand.phase == "lingering"):
        return "a move of it is under way"
    return unfit(config, memory, snapshot, request.vip)


def unfit(config: Config, memory: Memory, snapshot: Snapshot, vip: str) -> str:
    """Return why the peer must not be given an address, or nothing if it may."""
    peer = fresh_peer(snapshot)
    if peer is None:
        return f"{config.other(snapshot.node)} does not answer"
    if why := cannot_take(peer, vip):
        return why
    if peer.maintenance:
        return f"{peer.node} is in maintenance"
    if peer.database and config.database and peer.database.mode != config.database.writer:
        return f'{peer.node} goes by writer = "{peer.database.mode}"'
    if peer.score < fault_score(config, memory):
        failing = [name for name, check in peer.checks.items() if check.verdict == "failing"]
        if peer.database is not None and peer.database.why:
            failing.append(f"database: {peer.database.why}")
        return f"{peer.node} is less fit ({', '.join(failing) or peer.score})"
    return ""


def begin(config: Config, snapshot: Snapshot, vip: str, memory: VipMemory, move: Move) -> Step:
    """Begin to give a VIP to the peer; a move that nobody asked for becomes that of who asks."""
    if memory.hand is not None:
        return Step(replace(memory, hand=replace(memory.hand, request=move.request)))
    peer = fresh_peer(snapshot)
    cause, request = move.cause, move.request
    able = isinstance(snapshot.hook, Seen) and snapshot.hook.value
    method: HandMethod = "hook" if able and config.failover.handover == "auto" else "drain"
    hand = Hand("asked", method, snapshot.now, snapshot.now, cause, request)
    facts = {"vip": vip, "node": peer.node if peer else None, "cause": cause, "request": request}
    return Step(replace(memory, hand=hand), events=(Event("VIP-105", facts),))


def give(config: Config, memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory) -> Step:
    """Take the next step of a move on the node that gives, or undo it."""
    seen = snapshot.vips.get(vip)
    if old.hand is None or not isinstance(seen, Seen):
        return _nothing_left_behind(vip, old, seen.value if isinstance(seen, Seen) else None)
    peer = fresh_peer(snapshot)
    if old.hand.phase == "asked":
        return _asked(config, memory, snapshot, vip, old)
    if old.hand.phase == "draining":
        return _draining(config, memory, snapshot, vip, old)
    if old.hand.phase == "yielding":
        return _yielding(snapshot, vip, old, seen.value, peer)
    return _lingering(snapshot, vip, old, seen.value)


def _nothing_left_behind(vip: str, old: VipMemory, seen: VipSeen | None) -> Step:
    if old.hand is None and seen is not None and seen.handing:
        return Step(old, (HandOver(vip, on=False, method="hook", reason="no move is under way"),))
    return Step(old)


def _asked(config: Config, memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory) -> Step:
    if why := unfit(config, memory, snapshot, vip):
        return _undo(snapshot, vip, old, why)
    peer = fresh_peer(snapshot)
    if peer is not None and vip in peer.vips and peer.vips[vip].receiving:
        return _next(snapshot, vip, old, "draining")
    if _phase_seconds(snapshot, old) > ASKED_SECONDS_MAX:
        return _undo(snapshot, vip, old, "the other node did not get ready in time")
    return Step(old)


def _draining(config: Config, memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory) -> Step:
    if why := unfit(config, memory, snapshot, vip):
        return _undo(snapshot, vip, old, why)
    seen = snapshot.vips[vip]
    assert isinstance(seen, Seen) and old.hand is not None
    waited = _phase_seconds(snapshot, old)
    if not seen.value.handing:
        if waited > ASKED_SECONDS_MAX:
            return _undo(snapshot, vip, old, "connections could not be handed over")
        return _next_same(snapshot, vip, old)
    if why := _writer_stays(config, memory, snapshot, vip, old.hand):
        return _undo(snapshot, vip, old, why)
    if _writer_is_awaited(config, memory, vip):
        return Step(old)
    limit = config.failover.drain_timeout_seconds
    if old.hand.method == "drain":
        limit = min(limit, HOLD_BACK_SECONDS_MAX)
    if waited >= SETTLE_SECONDS and seen.value.connections == 0:
        return _next(snapshot, vip, old, "yielding")
    if waited < limit:
        return Step(old)
    cut = Event(
        "VIP-109", {"vip": vip, "connections": seen.value.connections, "seconds": float(limit)}
    )
    step = _next(snapshot, vip, old, "yielding")
    return replace(step, events=(cut,))


def _writer_is_awaited(config: Config, memory: Memory, vip: str) -> bool:
    """Tell whether the address must wait: the right to write to the database goes before it."""
    settings = config.database
    follows = settings is not None and settings.writer == "holder" and vip == config.writer_vip
    return follows and not memory.database.moved


def _writer_stays(config: Config, memory: Memory, snapshot: Snapshot, vip: str, hand: Hand) -> str:
    """Return why the right to write does not go with this move, or nothing while it may."""
    if config.database is None or not _writer_is_awaited(config, memory, vip):
        return ""
    kept = snapshot.writes_kept
    if isinstance(kept, Seen) and kept.at > hand.began:
        return kept.value
    waited = snapshot.now - hand.phase_began
    if waited <= 2 * config.database.move_wait_seconds + WRITER_SECONDS:
        return ""
    return "the database was not handed over in time; shoestring log says what held it up"


def _yielding(
    snapshot: Snapshot, vip: str, old: VipMemory, seen: VipSeen, peer: NodeReport | None
) -> Step:
    assert old.hand is not None
    taken = peer is not None and vip in peer.vips and peer.vips[vip].held
    if taken and not seen.held:
        facts = {
            "vip": vip,
            "node": peer.node if peer else None,
            "method": old.hand.method,
            "seconds": snapshot.now - old.hand.began,
            "request": old.hand.request,
        }
        return Step(_at(snapshot, old, "lingering"), events=(Event("VIP-106", facts),))
    if peer is None or _phase_seconds(snapshot, old) > YIELD_SECONDS_MAX:
        return _undo(snapshot, vip, old, "the other node did not take the address")
    return Step(old)


def _lingering(snapshot: Snapshot, vip: str, old: VipMemory, seen: VipSeen) -> Step:
    """Forward late packets for a moment; a node that holds the address again has no such ones."""
    assert old.hand is not None
    if _phase_seconds(snapshot, old) < LINGER_SECONDS and not seen.held:
        return Step(old)
    off = HandOver(vip, on=False, method=old.hand.method, reason="the move is done")
    return Step(replace(old, hand=None), (off,))


def _phase_seconds(snapshot: Snapshot, old: VipMemory) -> float:
    assert old.hand is not None
    return snapshot.now - old.hand.phase_began


def _at(snapshot: Snapshot, old: VipMemory, phase: HandPhase) -> VipMemory:
    assert old.hand is not None
    return replace(old, hand=replace(old.hand, phase=phase, phase_began=snapshot.now))


def _next(snapshot: Snapshot, vip: str, old: VipMemory, phase: HandPhase) -> Step:
    return _next_same(snapshot, vip, _at(snapshot, old, phase))


def _next_same(snapshot: Snapshot, vip: str, old: VipMemory) -> Step:
    assert old.hand is not None
    if old.hand.phase != "draining":
        return Step(old)
    peer = fresh_peer(snapshot)
    hop = peer.link_local if peer else ""
    on = HandOver(vip, on=True, method=old.hand.method, reason=old.hand.reason, link_local=hop)
    return Step(old, (on,))


def _undo(snapshot: Snapshot, vip: str, old: VipMemory, cause: str) -> Step:
    assert old.hand is not None
    peer = fresh_peer(snapshot)
    facts = {
        "vip": vip,
        "node": peer.node if peer else "the other node",
        "cause": cause,
        "request": old.hand.request,
    }
    off = HandOver(vip, on=False, method=old.hand.method, reason=cause)
    memory = replace(old, hand=None, refused_until=snapshot.now + RECEIVE_UNHEARD_SECONDS)
    return Step(memory, (off,), (Event("VIP-107", facts),))


def take(snapshot: Snapshot, vip: str, old: VipMemory, seen: VipSeen) -> tuple[Action, ...]:
    """Accept a VIP's packets while the peer hands it over; stop once it is held or called off."""
    peer = fresh_peer(snapshot)
    phase = peer.vips[vip].hand if peer is not None and vip in peer.vips else ""
    handing = phase in {"asked", "draining", "yielding"}
    if handing and not seen.held and not seen.receiving:
        return (Receive(vip, on=True, reason="the peer hands it over"),)
    if not seen.receiving:
        return ()
    settled = seen.held and snapshot.now - (old.held_since or snapshot.now) > SETTLE_SECONDS * 10
    called_off = peer is not None and not handing and not seen.held
    unheard = peer is None and snapshot.now - snapshot.peer.at > RECEIVE_UNHEARD_SECONDS
    if settled or called_off or (unheard and not seen.held):
        return (Receive(vip, on=False, reason="the move is over"),)
    return ()
