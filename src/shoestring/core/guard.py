"""What the guard knows, as both nodes and people see it. No I/O; times are of the wall clock.

Blocks outlive reboots and are the same on both nodes, so their ends are points in time that both
nodes agree on, unlike what an agent decides by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

# Epoch seconds, so that no date has to be read; what a client writes comes last, and Apache escapes
# a tab in it (mod_log_config, "Security Considerations"): a line cannot be forged.
OWN_FORMAT = (
    r"%a\t%{c}a\t%{%s}t\t%>s\t%O\t%D\t%v\t%m\t%{Sec-Fetch-Site}i"
    r"\t%r\t%{User-Agent}i\t%{Referer}i\t%u\t%{HTTPS}e\t%{Origin}i\t%{Host}i"
)
GUARD_DENIED = "/run/shoestring-guard/denied"
GUARD_FORMS = "/run/shoestring-guard/forms"
# A form that a page of another origin sends (Fetch, 3.2: browsers name the origin of each POST).
# req_novary: what the guard asks for is no reason for caches to keep pages apart.
_FOREIGN_FORM = (
    "%{REQUEST_METHOD} == 'POST' && -n req_novary('Origin')"
    " && !(req_novary('Origin') in {'http://%{req_novary:Host}', 'https://%{req_novary:Host}'})"
    " && req_novary('Sec-Fetch-Site') != 'same-origin'"
)
REMOTEIP_MODULE = "/usr/lib/apache2/modules/mod_remoteip.so"


def apache_lines(log: str, proxies: Sequence[str]) -> str:
    """Return what has an Apache write the guard's log, for all its virtual hosts.

    Whom the guard names as a sender of other pages' forms, too many of them, is refused these.
    Behind proxies, the visitor is whom a trusted one names (mod_remoteip), and Apache itself
    refuses who is blocked: the kernel sees connections of the proxy alone. <If> comes after every
    other section, so no virtual host lets in whom it refuses (sections.html, "How the sections are
    merged").
    """
    lines = [
        f'LogFormat "{OWN_FORMAT}" shoestring_guard',
        f'GlobalLog "{log}" shoestring_guard',
        f"<If \"{_FOREIGN_FORM} && -e '{GUARD_FORMS}/%{{REMOTE_ADDR}}'\">",
        "  Require all denied",
        "</If>",
    ]
    if proxies:
        lines += [
            "<IfModule !remoteip_module>",
            f"  LoadModule remoteip_module {REMOTEIP_MODULE}",
            "</IfModule>",
            "RemoteIPHeader X-Forwarded-For",
            *(f"RemoteIPInternalProxy {network}" for network in proxies),
            f"<If \"-e '{GUARD_DENIED}/%{{REMOTE_ADDR}}'\">",
            "  Require all denied",
            "</If>",
        ]
    return "".join(f"{line}\n" for line in lines)


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
class Held:
    """What one node holds against a source that is not blocked yet, as it tells the other.

    foreign: the part of score that a page of another site can have caused.
    """

    source: str
    score: float
    slow: float
    families: Mapping[str, float] = field(default_factory=dict)
    foreign: float = 0.0


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


@dataclass(slots=True)
class Counts:
    """What has been read: lines, those that no format reads, those of sources blocked already."""

    lines: int = 0
    unread: int = 0
    without_address: int = 0
    after_block: int = 0
    rules: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Replayed:
    """What a replay came to: blocks in the order of their time, and what else stood out."""

    counts: Counts
    blocks: list[Block] = field(default_factory=list)
    watched: list[tuple[str, float, dict[str, float]]] = field(default_factory=list)
    spared: dict[str, str] = field(default_factory=dict)
    formats: dict[str, str] = field(default_factory=dict)
