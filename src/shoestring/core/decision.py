"""What a decision is made of, and all that the agent remembers between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shoestring.core.action import Action
from shoestring.core.database import DatabaseMemory
from shoestring.core.event import Event
from shoestring.core.site import SiteMemory
from shoestring.core.snapshot import HandMethod, HandPhase


@dataclass(frozen=True, slots=True)
class CheckMemory:
    """A check's verdict, which rise and fall keep steady."""

    failing: bool = False
    known: bool = False
    since: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Hand:
    """A planned move under way on the node that gives."""

    phase: HandPhase
    method: HandMethod
    began: float
    phase_began: float
    reason: str
    request: str = ""


@dataclass(frozen=True, slots=True)
class VipMemory:
    """What is remembered of one VIP."""

    held: bool = False
    held_since: float | None = None
    yielding_since: float | None = None
    refused_until: float = 0.0
    moves: tuple[float, ...] = ()
    hand: Hand | None = None
    announce_until: float = 0.0
    announced_at: float = 0.0
    advert_at: float = 0.0
    budget_spent: bool = False


@dataclass(frozen=True, slots=True)
class Maintenance:
    """An operator's word that this node must not serve; `until` is None for open end."""

    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered; small, serialisable, journaled with each decision."""

    checks: Mapping[str, CheckMemory] = field(default_factory=dict)
    vips: Mapping[str, VipMemory] = field(default_factory=dict)
    maintenance: Maintenance | None = None
    proven: bool = False
    healthy_since: float | None = None
    peer_silent_since: float | None = None
    peer_seen: bool = False
    raised: tuple[str, ...] = ()
    database: DatabaseMemory = field(default_factory=DatabaseMemory)
    database_raised: tuple[str, ...] = ()
    site: SiteMemory = field(default_factory=SiteMemory)
    site_raised: tuple[str, ...] = ()
    guard_raised: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The memory to keep, the actions to carry out, the events to tell."""

    memory: Memory
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
