"""What the guard knows, as both nodes and people see it. No I/O; times are of the wall clock.

Blocks outlive reboots and are the same on both nodes, so their ends are points in time that both
nodes agree on, unlike what an agent decides by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# Epoch seconds, so that no date has to be read; what a client writes comes last, and Apache escapes
# a tab in it (mod_log_config, "Security Considerations"): a line cannot be forged.
OWN_FORMAT = (
    r"%a\t%{c}a\t%{%s}t\t%>s\t%O\t%D\t%v\t%m\t%{Sec-Fetch-Site}i"
    r"\t%r\t%{User-Agent}i\t%{Referer}i\t%u"
)
GuardMode = Literal["off", "observe", "block"]


@dataclass(frozen=True, slots=True)
class EvidenceSeen:
    """One line that counted against a source."""

    rule: str
    reason: str
    points: float
    at: float
    place: str
    line: str


@dataclass(frozen=True, slots=True)
class Block:
    """One source that is (or was, or by `lifted` must not be) blocked.

    source: IPv4 address, IPv6 network, or any network that an operator blocks.
    changed: when this was last decided, by the deciding node's clock; the newer word wins.
    times: how often it has been blocked; each time is longer.
    """

    source: str
    began: float
    until: float
    changed: float
    reason: str
    node: str
    score: float = 0.0
    times: int = 1
    by: str = "guard"
    lifted: bool = False
    evidence: tuple[EvidenceSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class GuardSeen:
    """The guard's program as the agent last heard of it."""

    mode: GuardMode
    blocked: int
    would_block: int
    sources: int
    lines: int
    unread: int
    behind_bytes: int
    logs: Mapping[str, str] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    observe_left_seconds: float = 0.0
    capped: bool = False


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What a node tells its peer, and status, of its guard."""

    mode: GuardMode
    blocked: int
    would_block: int
    lines: int
    troubles: tuple[str, ...] = ()
