"""What a node says of itself after a decision: to its peer, and to status. Pure."""

from __future__ import annotations

from shoestring.config.model import Config
from shoestring.core.decision import Memory, VipMemory
from shoestring.core.seen import Seen
from shoestring.core.snapshot import HandPhase, NodeReport, Snapshot, VipReport, VipSeen
from shoestring.vip.problems import problems
from shoestring.vip.score import check_reports, full_score


def report(config: Config, memory: Memory, snapshot: Snapshot) -> NodeReport:
    """Return this node's report."""
    until = memory.maintenance.until if memory.maintenance else None
    return NodeReport(
        node=snapshot.node,
        version=snapshot.version,
        config_hash=snapshot.config_hash,
        score=full_score(config, memory),
        proven=memory.proven,
        healthy_since=memory.healthy_since,
        maintenance=memory.maintenance is not None,
        maintenance_left_seconds=None if until is None else max(0.0, until - snapshot.now),
        vips={vip: _vip(memory, snapshot, vip) for vip in config.vips},
        checks=dict(check_reports(config, memory, snapshot)),
        problems=tuple((e.code, e.sentence()) for e in problems(config, memory, snapshot)),
        keepalived=_keepalived(snapshot),
        link_local=snapshot.link_local,
        hardware=snapshot.hardware,
        now=snapshot.now,
        wall=snapshot.wall,
    )


def _keepalived(snapshot: Snapshot) -> bool | None:
    seen = snapshot.keepalived
    return seen.value if isinstance(seen, Seen) else None


def _vip(memory: Memory, snapshot: Snapshot, vip: str) -> VipReport:
    now = memory.vips.get(vip, VipMemory())
    seen = snapshot.vips.get(vip)
    here = seen.value if isinstance(seen, Seen) else VipSeen(held=now.held)
    phase: HandPhase = now.hand.phase if now.hand else ""
    return VipReport(
        held=here.held,
        value=here.track_value or 0,
        yielding=now.yielding_since is not None,
        hand=phase,
        receiving=here.receiving,
        vrrp=here.vrrp,
        reason=_reason(memory, now),
        held_since=now.held_since,
    )


def _reason(memory: Memory, now: VipMemory) -> str:
    if now.hand is not None:
        return now.hand.reason
    failing = [f"{name}: {check.detail}" for name, check in memory.checks.items() if check.failing]
    if memory.database.penalty:
        failing.append(f"database: {memory.database.why}")
    if now.yielding_since is not None:
        return f"checks failed ({'; '.join(failing)})"
    return "the move budget is spent" if now.budget_spent else ""
