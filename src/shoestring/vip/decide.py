"""Who should hold each VIP, and what this node does about it. Pure: no clock, no I/O.

What a VIP's track value becomes, first row that fits:

    | when                                              | value                         |
    |---------------------------------------------------|-------------------------------|
    | the node is unproven, or cannot see the VIP       | left as it is                 |
    | a planned move has come to its last step          | -254                          |
    | held; the peer is known to be fitter              | -254 until the peer holds it  |
    | held; the move budget is spent                    | +20, whatever the checks say  |
    | held                                              | score + 20 (+ 4 if fresh)     |
    | not held                                          | score, maintenance included   |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from shoestring.config.model import Config
from shoestring.core.action import Action, Announce, ReloadKeepalived, SetTrackValue
from shoestring.core.decision import Decision, Maintenance, Memory, VipMemory
from shoestring.core.event import Event
from shoestring.core.priority import FRESH, STICKY, effective, is_fitter
from shoestring.core.seen import Seen
from shoestring.core.snapshot import (
    MaintenanceRequest,
    MoveRequest,
    NodeReport,
    Snapshot,
    VipSeen,
)
from shoestring.vip import handover
from shoestring.vip.handover import Move, Step
from shoestring.vip.problems import problem_key, problems
from shoestring.vip.score import (
    FAULT,
    base_priority,
    cannot_take,
    fault_score,
    fresh_peer,
    full_score,
    is_proven,
    judge,
)

YIELD_SECONDS_MAX = 3.0
YIELD_AGAIN_SECONDS = 10.0
ANNOUNCE_SECONDS = 1.0
ANNOUNCE_EVERY_SECONDS = 0.1
OWN_TAKEOVER_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Target:
    """The number to write for a VIP, and why."""

    value: int
    reason: str
    memory: VipMemory


def decide(config: Config, memory: Memory, snapshot: Snapshot) -> Decision:
    """Return what to remember, do and tell, from what is seen now."""
    checks, events = judge(config, memory, snapshot)
    memory = _standing(config, replace(memory, checks=checks), snapshot)
    memory, told = _maintenance(memory, snapshot)
    events += told
    memory, told = _peer(memory, snapshot)
    events += told
    actions: list[Action] = list(_plumbing(snapshot))
    for vip in config.vips:
        step = _decide_vip(config, memory, snapshot, vip)
        memory = replace(memory, vips={**memory.vips, vip: step.memory})
        actions += step.actions
        events += step.events
    memory, told = _raise_problems(config, memory, snapshot)
    return Decision(memory, tuple(actions), (*events, *told))


def _plumbing(snapshot: Snapshot) -> Iterator[Action]:
    """Have keepalived watch the track files that are there, not those of a folder that is gone."""
    seen = snapshot.plumbing
    if isinstance(seen, Seen) and not seen.value:
        yield ReloadKeepalived("its track files or its FIFO were removed")


def _standing(config: Config, memory: Memory, snapshot: Snapshot) -> Memory:
    healthy = fault_score(config, memory) == 0
    since = memory.healthy_since if memory.healthy_since is not None else snapshot.now
    return replace(
        memory,
        proven=memory.proven or is_proven(memory.checks),
        healthy_since=since if healthy else None,
    )


def _maintenance(memory: Memory, snapshot: Snapshot) -> tuple[Memory, list[Event]]:
    now, node = snapshot.now, snapshot.node
    for request in snapshot.requests:
        if isinstance(request, MaintenanceRequest):
            memory, event = _asked_maintenance(memory, snapshot, request)
            return memory, [event]
    current = memory.maintenance
    if current is not None and current.until is not None and now >= current.until:
        event = Event("MNT-402", {"node": node, "cause": "its time is over"})
        return replace(memory, maintenance=None), [event]
    return memory, []


def _asked_maintenance(
    memory: Memory, snapshot: Snapshot, request: MaintenanceRequest
) -> tuple[Memory, Event]:
    node = snapshot.node
    if not request.on:
        facts = {"node": node, "cause": "asked by the operator", "request": request.id}
        return replace(memory, maintenance=None), Event("MNT-402", facts)
    until = None if request.seconds is None else snapshot.now + request.seconds
    for_how_long = "" if request.seconds is None else f" for {request.seconds:.0f} s"
    facts = {"node": node, "until": for_how_long, "request": request.id}
    maintenance = Maintenance(since=snapshot.now, until=until)
    return replace(memory, maintenance=maintenance), Event("MNT-401", facts)


def _peer(memory: Memory, snapshot: Snapshot) -> tuple[Memory, list[Event]]:
    """Notice the peer falling silent and coming back; a holder announces itself after a heal."""
    silent = fresh_peer(snapshot) is None
    since = memory.peer_silent_since
    if silent:
        return replace(memory, peer_silent_since=snapshot.now if since is None else since), []
    if since is None:
        return memory, []
    until = snapshot.now + ANNOUNCE_SECONDS
    vips = {n: replace(v, announce_until=until) for n, v in memory.vips.items()}
    seconds = snapshot.now - since
    peer = fresh_peer(snapshot)
    event = Event("PEER-302", {"peer": peer.node if peer else None, "seconds": seconds})
    memory = replace(memory, peer_silent_since=None, peer_seen=True, vips=vips)
    return memory, [event]


def _raise_problems(
    config: Config, memory: Memory, snapshot: Snapshot
) -> tuple[Memory, list[Event]]:
    now = problems(config, memory, snapshot)
    raised = tuple(problem_key(event) for event in now)
    new = [event for event in now if problem_key(event) not in memory.raised]
    return replace(memory, raised=raised), new


def _decide_vip(config: Config, memory: Memory, snapshot: Snapshot, vip: str) -> Step:
    old = memory.vips.get(vip, VipMemory())
    seen = snapshot.vips.get(vip)
    if not isinstance(seen, Seen):
        return _blind(config, memory, snapshot, vip, old)
    step = _holding(memory, snapshot, vip, old, seen.value)
    for work in (_moves_asked, _moves_due):
        step = _then(step, work(config, memory, snapshot, vip, step.memory))
    step = _then(step, handover.give(config, memory, snapshot, vip, step.memory))
    taking = handover.take(snapshot, vip, step.memory, seen.value)
    step = _then(step, Step(step.memory, taking))
    step = _then(step, _track(config, memory, snapshot, vip, step.memory))
    return _then(step, _announce(config, snapshot, vip, step.memory, seen.value))


def _blind(config: Config, memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory) -> Step:
    """Do nothing about a VIP that cannot be seen, but for one thing: a fault must not stay.

    It was written for a peer that was there to take the address, and for three seconds.
    """
    since = old.yielding_since
    if old.hand is not None and old.hand.phase == "yielding":
        since = old.hand.phase_began
    if since is None:
        return Step(old)
    if fresh_peer(snapshot) is not None and snapshot.now - since <= YIELD_SECONDS_MAX:
        return Step(old)
    hand = None if old.hand and old.hand.phase == "yielding" else old.hand
    value = full_score(config, memory)
    lift = SetTrackValue(vip, value, "a fault must not outlive its reason")
    return Step(replace(old, yielding_since=None, hand=hand), (lift,))


def _then(first: Step, second: Step) -> Step:
    return Step(second.memory, (*first.actions, *second.actions), (*first.events, *second.events))


def _holding(memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory, seen: VipSeen) -> Step:
    """Notice that the address came or went."""
    if seen.held == old.held:
        return Step(old)
    if seen.held:
        facts = {"vip": vip, "node": snapshot.node, **_gained(memory, snapshot, vip)}
        new = replace(old, held=True, held_since=snapshot.now, yielding_since=None)
        return Step(new, events=(Event("VIP-101", facts),))
    facts = {"vip": vip, "node": snapshot.node, "cause": _lost(memory, snapshot, old, seen)}
    return Step(replace(old, held=False, held_since=None), events=(Event("VIP-102", facts),))


def _gained(memory: Memory, snapshot: Snapshot, vip: str) -> dict[str, str | float | None]:
    peer = snapshot.peer
    theirs = peer.value.vips.get(vip) if isinstance(peer, Seen) else None
    advert = snapshot.adverts.get(vip)
    outage = snapshot.now - advert.at if isinstance(advert, Seen) else None
    came_from = peer.value.node if isinstance(peer, Seen) else None
    if theirs is not None and theirs.hand:
        return {"cause": "planned move", "from": came_from, "outage_seconds": 0.0}
    if theirs is not None and theirs.yielding and memory.peer_silent_since is None:
        return {"cause": theirs.reason, "from": came_from, "outage_seconds": outage}
    if isinstance(advert, Seen):
        cause = "the other node fell silent or is less fit"
        return {"cause": cause, "from": came_from, "outage_seconds": outage}
    return {"cause": "nobody else held it", "from": None, "outage_seconds": None}


def _lost(memory: Memory, snapshot: Snapshot, old: VipMemory, seen: VipSeen) -> str:
    if old.hand is not None:
        return f"planned move ({old.hand.reason})"
    if old.yielding_since is not None:
        return "the other node is fitter"
    if isinstance(snapshot.keepalived, Seen) and not snapshot.keepalived.value:
        return "keepalived stopped"
    return f"VRRP says {seen.vrrp}"


def _moves_asked(
    config: Config, memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory
) -> Step:
    for request in snapshot.requests:
        if isinstance(request, MoveRequest) and request.vip == vip:
            why = handover.refusal(config, memory, snapshot, request)
            if why:
                facts = {"vip": vip, "node": request.node, "cause": why, "request": request.id}
                return Step(old, events=(Event("VIP-108", facts),))
            return handover.begin(
                config, snapshot, vip, old, Move("asked by the operator", request.id)
            )
    return Step(old)


def _moves_due(
    config: Config, memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory
) -> Step:
    """Begin the planned moves that nobody has to ask for: maintenance and failback."""
    seen = snapshot.vips[vip]
    idle = isinstance(seen, Seen) and seen.value.held and old.hand is None
    if (
        not idle
        or snapshot.now < old.refused_until
        or handover.unfit(config, memory, snapshot, vip)
    ):
        return Step(old)
    if memory.maintenance is not None:
        move = Move(f"{snapshot.node} is in maintenance")
        return handover.begin(config, snapshot, vip, old, move)
    peer = fresh_peer(snapshot)
    if peer is not None and _failback_due(config, snapshot, vip, old, peer):
        old = replace(old, moves=(*_recent_moves(config, snapshot, old), snapshot.now))
        move = Move(f"{peer.node} is preferred and healthy again")
        return handover.begin(config, snapshot, vip, old, move)
    return Step(old)


def _failback_due(
    config: Config, snapshot: Snapshot, vip: str, old: VipMemory, peer: NodeReport
) -> bool:
    policy = config.failover
    if policy.failback != "auto" or config.vips[vip].prefer != peer.node:
        return False
    if _budget_is_spent(config, snapshot, old) or peer.healthy_since is None:
        return False
    return peer.now - peer.healthy_since >= policy.failback_after_seconds


def _recent_moves(config: Config, snapshot: Snapshot, old: VipMemory) -> tuple[float, ...]:
    oldest = snapshot.now - config.failover.moves_window_seconds
    return tuple(at for at in old.moves if at > oldest)[-config.failover.moves_max :]


def _budget_is_spent(config: Config, snapshot: Snapshot, old: VipMemory) -> bool:
    return len(_recent_moves(config, snapshot, old)) >= config.failover.moves_max


def _track(config: Config, memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory) -> Step:
    """Write the VIP's track value where the file does not hold it already."""
    if not memory.proven:
        return Step(old)
    seen = snapshot.vips[vip]
    assert isinstance(seen, Seen)
    target = _target(config, memory, snapshot, vip, old)
    spent = target.reason == _SPENT
    events: tuple[Event, ...] = ()
    if spent and not old.budget_spent:
        moves = str(config.failover.moves_max)
        facts = {"vip": vip, "node": snapshot.node, "moves": moves}
        events = (Event("VIP-103", facts),)
    new = replace(target.memory, budget_spent=spent)
    if seen.value.track_value == target.value:
        return Step(new, events=events)
    return Step(new, (SetTrackValue(vip, target.value, target.reason),), events)


_SPENT = "the move budget is spent"


def _target(config: Config, memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory) -> Target:
    seen = snapshot.vips[vip]
    assert isinstance(seen, Seen)
    if old.hand is not None and old.hand.phase == "yielding":
        return Target(FAULT, f"planned move: {old.hand.reason}", old)
    if old.yielding_since is not None:
        if _still_yielding(snapshot, vip, old):
            return Target(FAULT, "the other node is fitter", old)
        old = _yielded(snapshot, old, seen.value)
    if not seen.value.held:
        return Target(full_score(config, memory), "score of this node", old)
    score = fault_score(config, memory)
    if not _peer_is_fitter(config, memory, snapshot, vip, old):
        return Target(*_held_value(memory, snapshot, score, old), old)
    if _budget_is_spent(config, snapshot, old):
        return Target(STICKY, _SPENT, old)
    moves = (*_recent_moves(config, snapshot, old), snapshot.now)
    old = replace(old, yielding_since=snapshot.now, moves=moves)
    return Target(FAULT, "the other node is fitter", old)


def _held_value(memory: Memory, snapshot: Snapshot, score: int, old: VipMemory) -> tuple[int, str]:
    """Return the holder's value; a little more if the peer has not said a word since it took over.

    Such a holder announced itself last, so visitors know the address here. If the peer is only cut
    off and believes that it still holds, this one must win the moment the cable is back.
    """
    last_word = snapshot.peer.at if memory.peer_seen else 0.0
    if old.held_since is not None and 0 < last_word < old.held_since:
        return score + STICKY + FRESH, "score of the holder, taken while the peer was silent"
    return score + STICKY, "score of the holder"


def _peer_is_fitter(
    config: Config, memory: Memory, snapshot: Snapshot, vip: str, old: VipMemory
) -> bool:
    peer = fresh_peer(snapshot)
    if peer is None or snapshot.now < old.refused_until or cannot_take(peer, vip):
        return False
    theirs = peer.vips[vip]
    if theirs.yielding or theirs.hand in {"asked", "draining", "yielding"}:
        return False
    return is_fitter(peer.score, fault_score(config, memory))


def _still_yielding(snapshot: Snapshot, vip: str, old: VipMemory) -> bool:
    peer = fresh_peer(snapshot)
    assert old.yielding_since is not None
    if peer is None or snapshot.now - old.yielding_since > YIELD_SECONDS_MAX:
        return False
    theirs = peer.vips.get(vip)
    return theirs is None or not theirs.held


def _yielded(snapshot: Snapshot, old: VipMemory, seen: VipSeen) -> VipMemory:
    """End a yield; one that nobody took is not tried again for a while."""
    peer = fresh_peer(snapshot)
    untaken = (
        peer is not None
        and old.yielding_since is not None
        and (snapshot.now - old.yielding_since > YIELD_SECONDS_MAX)
    )
    again = snapshot.now + YIELD_AGAIN_SECONDS if untaken or seen.held else old.refused_until
    return replace(old, yielding_since=None, refused_until=again)


def _announce(config: Config, snapshot: Snapshot, vip: str, old: VipMemory, seen: VipSeen) -> Step:
    """Tell the segment where the VIP is, when visitors may have learnt otherwise."""
    advert = snapshot.adverts.get(vip)
    rival = isinstance(advert, Seen) and _is_rival(config, snapshot, vip, old, seen, advert.at)
    events: tuple[Event, ...] = ()
    if rival:
        assert isinstance(advert, Seen)
        if snapshot.now >= old.announce_until:
            events = (Event("VIP-104", {"vip": vip, "node": snapshot.node}),)
        old = replace(old, advert_at=advert.at, announce_until=snapshot.now + ANNOUNCE_SECONDS)
    due = seen.held and snapshot.now < old.announce_until
    if not due or snapshot.now - old.announced_at < ANNOUNCE_EVERY_SECONDS:
        return Step(old, events=events)
    announce = Announce(vip, "visitors may have learnt the other node's address")
    return Step(replace(old, announced_at=snapshot.now), (announce,), events)


def _is_rival(
    config: Config, snapshot: Snapshot, vip: str, old: VipMemory, seen: VipSeen, at: float
) -> bool:
    """Tell whether the peer announced a VIP that is held here and is going to stay here."""
    advert = snapshot.adverts[vip]
    assert isinstance(advert, Seen)
    leaving = old.yielding_since is not None or old.hand is not None
    if not seen.held or old.held_since is None or leaving:
        return False
    if advert.value.foreign or at <= old.advert_at:
        return False
    own = effective(base_priority(config, vip, snapshot.node), seen.track_value or 0)
    late = at > old.held_since + OWN_TAKEOVER_SECONDS
    return late and 0 < advert.value.priority <= own


def next_tick_seconds(decision: Decision, snapshot: Snapshot) -> float:
    """Return how soon to look again when nothing nudges: sooner while something is under way."""
    return min(_paces(decision.memory, snapshot), default=0.5)


def _paces(memory: Memory, snapshot: Snapshot) -> Iterator[float]:
    for vip in memory.vips.values():
        if vip.hand is not None or vip.yielding_since is not None:
            yield 0.02
        if snapshot.now < vip.announce_until and vip.held:
            yield ANNOUNCE_EVERY_SECONDS
