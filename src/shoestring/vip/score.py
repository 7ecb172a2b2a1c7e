"""From checks to one number: how fit this node is. Pure.

The scheme, with base priorities 230 (preferred node) and 229:

    0            healthy                          -200 .. -1   graded sum of failing checks
    +20          sticky: holds the address        +4           took it while the peer was silent
    -10          agent dead (ExecStopPost)        -60          unproven since boot (init_file)
    -254         fault: give it up at once, written only when the peer is known to be fitter

So the highest priority is 254, an agent's death on the holder (230 + 20 - 10) moves nothing, and
with the agents' link down VRRP alone still prefers the fitter node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shoestring.config.model import Check, Config, GatewayCheck
from shoestring.core.decision import CheckMemory, Memory
from shoestring.core.event import Event
from shoestring.core.priority import BASE_OTHER, BASE_PREFERRED, SCORE_MIN, score
from shoestring.core.seen import Seen
from shoestring.core.snapshot import CheckReport, CheckSeen, NodeReport, Snapshot

AGENT_DEAD = -10
UNPROVEN = -60
MAINTENANCE = -150
FAULT = -254


def base_priority(config: Config, vip: str, node: str) -> int:
    """Return the priority that keepalived starts from for this VIP on this node."""
    return BASE_PREFERRED if config.vips[vip].prefer == node else BASE_OTHER


def fresh_peer(snapshot: Snapshot) -> NodeReport | None:
    """Return the peer's report unless it is too old to decide by."""
    return snapshot.fresh_peer()


def cannot_take(peer: NodeReport, vip: str) -> str:
    """Return why the peer could not take a VIP even if it were asked to, or nothing."""
    if not peer.proven:
        return f"{peer.node} has not finished its first checks"
    if peer.keepalived is False:
        return f"keepalived does not run on {peer.node}"
    theirs = peer.vips.get(vip)
    if theirs is None:
        return f"{peer.node} does not know {vip}"
    if theirs.vrrp in {"FAULT", "STOP"}:
        return f"keepalived on {peer.node} cannot serve {vip} (state {theirs.vrrp})"
    return ""


def judge(
    config: Config, memory: Memory, snapshot: Snapshot
) -> tuple[dict[str, CheckMemory], list[Event]]:
    """Return each check's verdict after rise and fall, and the events of its changes."""
    verdicts = {
        name: _verdict(check, memory.checks.get(name, CheckMemory()), name, snapshot)
        for name, check in config.checks.items()
    }
    events = [
        Event(
            "CHK-201" if now.failing else "CHK-202",
            {"check": name, "node": snapshot.node, "detail": now.detail},
        )
        for name, now in verdicts.items()
        if now.failing != memory.checks.get(name, CheckMemory()).failing
    ]
    return verdicts, events


def _verdict(check: Check, old: CheckMemory, name: str, snapshot: Snapshot) -> CheckMemory:
    if isinstance(check, GatewayCheck) and fresh_peer(snapshot) is not None:
        since = old.since if not old.failing else snapshot.now
        return CheckMemory(False, known=True, since=since, detail="not asked: the peer answers")
    seen = snapshot.checks.get(name)
    if not isinstance(seen, Seen):
        return old
    return _counted(check, old, seen)


def _counted(check: Check, old: CheckMemory, seen: Seen[CheckSeen]) -> CheckMemory:
    """Apply rise and fall; the first result counts at once, good or bad."""
    ok, streak = seen.value.ok, seen.value.streak
    needed = 1 if not old.known and ok else (check.rise if ok else check.fall)
    if streak < needed:
        return old
    changed = not old.known or old.failing == ok
    return CheckMemory(
        failing=not ok,
        known=True,
        since=seen.at if changed else old.since,
        detail=seen.value.detail,
    )


def fault_score(config: Config, memory: Memory) -> int:
    """Return 0 for a healthy node, down to -200: failing checks, and what the database lacks."""
    failing = [name for name, now in memory.checks.items() if now.failing]
    return score((*(config.checks[name].weight for name in failing), memory.database.penalty))


def full_score(config: Config, memory: Memory) -> int:
    """Return the score that the peer compares with: failing checks and maintenance."""
    lost = MAINTENANCE if memory.maintenance else 0
    return max(SCORE_MIN, fault_score(config, memory) + lost)


def is_proven(checks: Mapping[str, CheckMemory]) -> bool:
    """Tell whether each check has said something since the node booted."""
    return all(now.known for now in checks.values())


def check_reports(
    config: Config, memory: Memory, snapshot: Snapshot
) -> Iterator[tuple[str, CheckReport]]:
    """Yield each check as status and the peer see it."""
    for name, check in config.checks.items():
        now = memory.checks.get(name, CheckMemory())
        seen = snapshot.checks.get(name)
        if now.failing:
            yield name, CheckReport("failing", check.weight, now.detail, now.since)
        elif not now.known:
            yield name, CheckReport("waiting", check.weight, "no result yet", now.since)
        elif isinstance(seen, Seen) or isinstance(check, GatewayCheck):
            yield name, CheckReport("ok", check.weight, now.detail, now.since)
        else:
            why = seen.why if seen else "never looked"
            yield name, CheckReport("unseen", check.weight, why, now.since)
