"""Where observers pin what they saw last, and ring for the loop to look."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from shoestring.core.database import DatabaseHealth, DatabaseSeen, DatabaseState
from shoestring.core.guard import GuardSeen
from shoestring.core.seen import Seen, Unseen
from shoestring.core.site import SiteSeen
from shoestring.core.snapshot import Advert, CheckSeen, ClaimSeen, NodeReport, Silence, VipSeen


@dataclass
class Board:
    """The newest fact of each observer. Written by observers, copied by the loop.

    `leaving` and `decided_at` go the other way, for actions that take long: the VIPs of which a
    planned move is under way, and when the loop decided last.
    """

    checks: dict[str, Seen[CheckSeen] | Unseen] = field(default_factory=dict)
    vips: dict[str, Seen[VipSeen] | Unseen] = field(default_factory=dict)
    adverts: dict[str, Seen[Advert] | Unseen] = field(default_factory=dict)
    forged: dict[str, Seen[str]] = field(default_factory=dict)
    hardware: str = ""
    peer_hardware: str = ""
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
    leaving: frozenset[str] = frozenset()
    decided_at: float = 0.0
    writes_kept: Seen[str] | Unseen = field(default_factory=lambda: Unseen("not tried", 0.0))
    gateway_at: float | None = None
    silence: Seen[Silence] | Unseen = field(default_factory=lambda: Unseen("not asked", 0.0))
    claim: Seen[ClaimSeen] | Unseen = field(default_factory=lambda: Unseen("not made", 0.0))
    claimed_at: float | None = None
    claim_answered_at: float | None = None
    site: Seen[SiteSeen] | Unseen = field(default_factory=lambda: Unseen("not asked yet", 0.0))
    guard: Seen[GuardSeen] | Unseen = field(default_factory=lambda: Unseen("not asked yet", 0.0))
    nudged: asyncio.Event = field(default_factory=asyncio.Event)

    def nudge(self) -> None:
        """Make the next tick come at once."""
        self.nudged.set()

    def lose_peer(self, why: str) -> None:
        """Note that the peer cannot be heard; the time of its last word is kept."""
        if isinstance(self.peer, Seen):
            self.nudge()
        self.peer = Unseen(why, self.peer.at)
