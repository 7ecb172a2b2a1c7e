"""All that one node knows at one instant, and what it tells its peer.

Times named `at`, `now` and `since` are seconds of the boot clock (CLOCK_BOOTTIME): no jump of
the wall clock can reach a decision. `wall` is kept beside it for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shoestring.core.seen import Seen, Unseen

VrrpState = Literal["MASTER", "BACKUP", "FAULT", "STOP", "UNKNOWN"]
HandPhase = Literal["", "asked", "draining", "yielding", "lingering"]
HandMethod = Literal["hook", "drain"]


@dataclass(frozen=True, slots=True)
class CheckSeen:
    """What a check's last run said, and how often in a row it has said so."""

    ok: bool
    streak: int
    detail: str


@dataclass(frozen=True, slots=True)
class VipSeen:
    """One VIP as the kernel and keepalived show it on this node."""

    held: bool
    receiving: bool = False
    handing: bool = False
    connections: int = 0
    vrrp: VrrpState = "UNKNOWN"
    track_value: int | None = None


@dataclass(frozen=True, slots=True)
class Advert:
    """The newest VRRP advertisement of one VRID that reached this node from its peer."""

    source: str
    priority: int
    vrid: int = 0
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class VipReport:
    """What a node tells its peer about one VIP."""

    held: bool
    value: int
    yielding: bool
    hand: HandPhase
    receiving: bool
    vrrp: VrrpState = "UNKNOWN"
    reason: str = ""
    held_since: float | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A check's verdict after rise and fall, for status and for the peer."""

    verdict: Literal["ok", "failing", "unseen", "waiting"]
    weight: int
    detail: str
    since: float


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node's own judgement: what its peer decides by, and what status shows."""

    node: str
    version: str
    config_hash: str
    score: int
    proven: bool
    healthy_since: float | None
    maintenance: bool
    maintenance_left_seconds: float | None
    vips: Mapping[str, VipReport]
    checks: Mapping[str, CheckReport]
    problems: tuple[tuple[str, str], ...] = ()
    keepalived: bool | None = None
    link_local: str = ""
    now: float = 0.0
    wall: float = 0.0


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """An operator's word: give this VIP to that node."""

    id: str
    vip: str
    node: str


@dataclass(frozen=True, slots=True)
class MaintenanceRequest:
    """An operator's word: this node goes into maintenance, or comes out of it."""

    id: str
    on: bool
    seconds: float | None = None


Request = MoveRequest | MaintenanceRequest


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the observers saw last; the only thing that `decide` learns of the world."""

    now: float
    wall: float
    node: str
    config_hash: str
    version: str = ""
    link_local: str = ""
    checks: Mapping[str, Seen[CheckSeen] | Unseen] = field(default_factory=dict)
    vips: Mapping[str, Seen[VipSeen] | Unseen] = field(default_factory=dict)
    adverts: Mapping[str, Seen[Advert] | Unseen] = field(default_factory=dict)
    peer: Seen[NodeReport] | Unseen = field(default_factory=lambda: Unseen("not asked yet", 0.0))
    hook: Seen[bool] | Unseen = field(default_factory=lambda: Unseen("not tried yet", 0.0))
    keepalived: Seen[bool] | Unseen = field(default_factory=lambda: Unseen("not asked yet", 0.0))
    plumbing: Seen[bool] | Unseen = field(default_factory=lambda: Unseen("not looked yet", 0.0))
    drift: Seen[tuple[str, ...]] | Unseen = field(
        default_factory=lambda: Unseen("not compared yet", 0.0)
    )
    requests: tuple[Request, ...] = ()
