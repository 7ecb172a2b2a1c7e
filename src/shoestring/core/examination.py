"""What doctor sees of one node. No I/O; times are of the wall clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Heard:
    """VRRP of one sender about one VRID, as it came over the wire last."""

    source: str
    vrid: int
    version: int
    ttl: int
    interval_seconds: float
    addresses: tuple[str, ...]
    auth: str


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What MariaDB says of itself."""

    server_id: int
    semi_sync_slave: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """One node, looked at for two seconds.

    arrived: protocol 112 of the peer reached the interface; passed: it passed the firewall, too.
    states: VRRP states of keepalived's instances. speakers: addresses from which ARP arrived.
    answers: MAC addresses other than this node's that answer for an address. units: those that
    are not as they should be. not_allowed: who is logged in by ssh and may be blocked.
    unseen: what could not be looked at, and why.
    """

    node: str
    wall: float
    interface: str
    mtu: int
    addresses: tuple[str, ...]
    keepalived_conf: str
    heard: tuple[Heard, ...] = ()
    arrived: bool = False
    passed: bool = False
    states: Mapping[str, str] = field(default_factory=dict)
    speakers: tuple[str, ...] = ()
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    macs: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, bool] = field(default_factory=dict)
    programs: tuple[tuple[str, str, str], ...] = ()
    free_percent: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    host_keys: tuple[str, ...] = ()
    peer_port: str = ""
    peer_certificate_differs: bool = False
    database: DatabaseFacts | None = None
    not_allowed: tuple[str, ...] = ()
    unseen: Mapping[str, str] = field(default_factory=dict)
