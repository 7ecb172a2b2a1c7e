"""All that one node knows at one instant, and what it tells its peer.

PEER_FRESH_SECONDS is how old the peer's word may be and still be decided by.

Times named `at`, `now` and `since` are seconds of the boot clock (CLOCK_BOOTTIME): no jump of
the wall clock can reach a decision. `wall` is kept beside it for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shoestring.core.database import (
    DatabaseHealth,
    DatabaseReport,
    DatabaseSeen,
    DatabaseState,
)
from shoestring.core.guard import GuardReport, GuardSeen
from shoestring.core.seen import Seen, Unseen
from shoestring.core.site import SiteReport, SiteSeen

PEER_FRESH_SECONDS = 1.5

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
    """One node's own judgement: what its peer decides by, and what status shows.

    left_off: how many entries of lists the peer did not get, because the report was too large.
    """

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
    hardware: str = ""
    now: float = 0.0
    wall: float = 0.0
    database: DatabaseReport | None = None
    site: SiteReport | None = None
    guard: GuardReport | None = None
    left_off: int = 0


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


@dataclass(frozen=True, slots=True)
class PromoteRequest:
    """An operator's word: this node's copy counts from now on, whatever the other one has."""

    id: str
    accept_loss: bool = False


@dataclass(frozen=True, slots=True)
class RejoinRequest:
    """An operator's word: undo what this replica has too much, and follow the writer."""

    id: str


Request = MoveRequest | MaintenanceRequest | PromoteRequest | RejoinRequest


@dataclass(frozen=True, slots=True)
class Silence:
    """Who answers, when the peer is silent: on the segment (ARP), or itself by the gateway.

    gateway: the gateway answered just before the others were asked and just after, so that their
    silence is not this node's own. closed_epoch: by the gateway, the peer answered that it answers
    no commit any more in the epochs up to this one; 0 if it did not.
    """

    somebody_answers: bool = False
    peer_answers_by_gateway: bool = False
    gateway: bool = False
    closed_epoch: int = 0


@dataclass(frozen=True, slots=True)
class ClaimSeen:
    """What became of a claim to go on alone: answered by the silent peer or not, in which epoch.

    gateway: the gateway answered while it was made; without it nobody can have heard the claim.
    """

    answered: bool = False
    epoch: int = 0
    gateway: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the observers saw last; the only thing that `decide` learns of the world."""

    now: float
    wall: float
    node: str
    config_hash: str
    version: str = ""
    link_local: str = ""
    hardware: str = ""
    checks: Mapping[str, Seen[CheckSeen] | Unseen] = field(default_factory=dict)
    vips: Mapping[str, Seen[VipSeen] | Unseen] = field(default_factory=dict)
    adverts: Mapping[str, Seen[Advert] | Unseen] = field(default_factory=dict)
    forged: Mapping[str, Seen[str]] = field(default_factory=dict)
    peer: Seen[NodeReport] | Unseen = field(default_factory=lambda: Unseen("not asked yet", 0.0))
    hook: Seen[bool] | Unseen = field(default_factory=lambda: Unseen("not tried yet", 0.0))
    keepalived: Seen[bool] | Unseen = field(default_factory=lambda: Unseen("not asked yet", 0.0))
    plumbing: Seen[bool] | Unseen = field(default_factory=lambda: Unseen("not looked yet", 0.0))
    drift: Seen[tuple[str, ...]] | Unseen = field(
        default_factory=lambda: Unseen("not compared yet", 0.0)
    )
    database: Seen[DatabaseSeen] | Unseen = field(
        default_factory=lambda: Unseen("not asked yet", 0.0)
    )
    database_health: Seen[DatabaseHealth] | Unseen = field(
        default_factory=lambda: Unseen("not looked yet", 0.0)
    )
    database_state: DatabaseState = field(default_factory=DatabaseState)
    database_busy: str = ""
    writes_kept: Seen[str] | Unseen = field(default_factory=lambda: Unseen("not tried", 0.0))
    gateway_at: float | None = None
    silence: Seen[Silence] | Unseen = field(default_factory=lambda: Unseen("not asked", 0.0))
    claim: Seen[ClaimSeen] | Unseen = field(default_factory=lambda: Unseen("not made", 0.0))
    claimed_at: float | None = None
    claim_answered_at: float | None = None
    site: Seen[SiteSeen] | Unseen = field(default_factory=lambda: Unseen("not asked yet", 0.0))
    guard: Seen[GuardSeen] | Unseen = field(default_factory=lambda: Unseen("not asked yet", 0.0))
    requests: tuple[Request, ...] = ()

    def fresh_peer(self) -> NodeReport | None:
        """Return the peer's report unless it is too old to decide by."""
        peer = self.peer
        if isinstance(peer, Seen) and self.now - peer.at <= PEER_FRESH_SECONDS:
            return peer.value
        return None
