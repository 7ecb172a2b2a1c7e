"""pair.toml as one frozen, validated model; every field carries its reason.

The `description` of a field is its documentation: `shoestring config show`, the JSON Schema and
docs/reference/configuration.md are made from it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shoestring.config.slices import Database, Guard, Site
from shoestring.config.table import InterfaceName, Name, Seconds, Table, UserName

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _node_address(value: str) -> IPAddress:
    address = ipaddress.ip_address(value)
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise ValueError("an address of this node that its peer can reach")
    return address


def _vip_address(value: str) -> IPInterface:
    if "/" not in value:
        raise ValueError('an address with its prefix length, such as "192.0.2.100/24"')
    interface = ipaddress.ip_interface(value)
    if interface.ip.is_loopback or interface.ip.is_multicast or interface.ip.is_unspecified:
        raise ValueError("a unicast address that visitors can reach")
    return interface


NodeAddress = Annotated[
    IPAddress, BeforeValidator(lambda v: _node_address(v) if isinstance(v, str) else v)
]
VipAddress = Annotated[
    IPInterface, BeforeValidator(lambda v: _vip_address(v) if isinstance(v, str) else v)
]


class Pair(Table):
    """Who the pair is."""

    name: Name = Field(description="Name of the pair, shown everywhere.")


class Node(Table):
    """One of the two servers."""

    address: Annotated[tuple[NodeAddress, ...], BeforeValidator(_as_list)] = Field(
        min_length=1,
        max_length=2,
        description="The node's own address, which never moves; the nodes talk over it. "
        "A list of an IPv4 and an IPv6 address where a VIP is IPv6 alone.",
    )
    interface: InterfaceName = Field(description="The interface that carries the VIPs.")

    def address_of(self, version: int) -> IPAddress | None:
        """Return the node's address of this IP version (4 or 6), if it has one."""
        return next((a for a in self.address if a.version == version), None)


class Vip(Table):
    """One floating address, or an IPv4 and an IPv6 address which move as one."""

    address: Annotated[tuple[VipAddress, ...], BeforeValidator(_as_list)] = Field(
        min_length=1,
        max_length=8,
        description="Address with prefix length, or a list of them which move as one.",
    )
    prefer: Name = Field(description="The node that holds it when both are equally fit.")
    vrid: int | None = Field(
        default=None,
        ge=1,
        le=255,
        description="VRRP's virtual router id; unique on the segment. Without it: derived from "
        "the names of pair and VIP, so that two pairs seldom meet.",
    )

    @property
    def version(self) -> int:
        """Return the IP version of the first address, which is the one that VRRP advertises."""
        return self.address[0].version


class Check(Table):
    """What all checks have in common."""

    interval_seconds: Seconds = Field(default=0.5, description="Time between two runs.")
    timeout_seconds: Seconds = Field(
        default=0.7, description="A run that takes longer has failed; the agent never hangs."
    )
    rise: int = Field(default=2, ge=1, le=100, description="Good runs in a row until healthy.")
    fall: int = Field(default=2, ge=1, le=100, description="Bad runs in a row until failing.")
    weight: int = Field(
        default=100,
        ge=0,
        le=200,
        description="Taken off the node's score while failing. Above 20 an address moves to a "
        "node without the fault; at 20 or less it only warns.",
    )

    @property
    def kind(self) -> str:
        """Return the key that makes the check what it is."""
        return _kind_of(self.model_dump(exclude_none=True)) or "?"

    def subject(self) -> str:
        """Return what is looked at, for people."""
        value = getattr(self, self.kind)
        return " ".join(value) if isinstance(value, tuple) else str(value)


class HttpCheck(Check):
    """GET against the node's own Apache."""

    http: str = Field(pattern=r"^/[^\s\x00-\x1f]*$", description="Path to ask for.")
    port: int = Field(default=80, ge=1, le=65535, description="Port of the node's own Apache.")
    host: str = Field(
        default="localhost",
        pattern=r"^[A-Za-z0-9.:-]{1,253}$",
        description="Host header, which chooses the vhost.",
    )
    status: tuple[int, int] = Field(
        default=(200, 399), description="Lowest and highest status code that counts as healthy."
    )
    body: str = Field(default="", max_length=1000, description="Text that the answer must hold.")


class TcpCheck(Check):
    """A connection to a port of this node."""

    tcp: int = Field(ge=1, le=65535, description="Port of this node that must accept.")


class UnitCheck(Check):
    """A systemd unit that must be active; its death is seen at once."""

    unit: str = Field(
        pattern=r"^[A-Za-z0-9@:_.\\-]{1,200}\.(service|socket|mount|target|timer)$",
        description='A systemd unit, such as "php8.2-fpm.service".',
    )
    interval_seconds: Seconds = Field(default=2.0, description="Time between two runs.")
    timeout_seconds: Seconds = Field(default=2.0, description="Time limit of one run.")


class ProcessCheck(Check):
    """A process that must exist, by its name."""

    process: str = Field(pattern=r"^[^\s/]{1,15}$", description="Name as in /proc/PID/comm.")
    interval_seconds: Seconds = Field(default=1.0, description="Time between two runs.")


class MariadbCheck(Check):
    """SELECT 1 on a connection that is kept."""

    mariadb: str = Field(
        pattern=r"^/[^\s]{1,100}$",
        description='Socket of MariaDB, such as "/run/mysqld/mysqld.sock".',
    )
    user: UserName = Field(
        default="root", description="Account, which must log in by unix_socket (no password)."
    )
    timeout_seconds: Seconds = Field(default=0.8, description="Time limit of one run.")


class GatewayCheck(Check):
    """ARP or neighbour discovery of the gateway; asked only while the peer is silent."""

    gateway: str = Field(
        pattern=r"^(auto|none|[0-9A-Fa-f:.]{2,45})$",
        description='"auto" for the default route\'s gateway, an address, or "none".',
    )
    interval_seconds: Seconds = Field(default=0.3, description="Time between two runs.")
    timeout_seconds: Seconds = Field(default=0.3, description="Time limit of one run.")
    weight: int = Field(
        default=40,
        ge=0,
        le=200,
        description="A penalty, never a fault: of two nodes that cannot hear each other, the one "
        "that still reaches the gateway wins when the cable is back.",
    )


class DiskCheck(Check):
    """Space that must be free on a filesystem."""

    disk: str = Field(pattern=r"^/", description="Any path on the filesystem.")
    free_percent: float = Field(default=3.0, ge=0, le=100, description="Least free space.")
    interval_seconds: Seconds = Field(default=10.0, description="Time between two runs.")
    timeout_seconds: Seconds = Field(default=2.0, description="Time limit of one run.")
    weight: int = Field(default=30, ge=0, le=200, description="Taken off while too full.")


class CommandCheck(Check):
    """The user's own command."""

    command: tuple[str, ...] = Field(
        min_length=1,
        max_length=64,
        description="Program and arguments; no shell is involved. Exit code 0 is healthy.",
    )
    codes: Literal["exit", "nagios"] = Field(
        default="exit",
        description='"exit": 0 is healthy. "nagios": 0 healthy, 1 healthy with a warning, '
        "2 failing, 3 could not look.",
    )
    user: UserName = Field(
        default="nobody",
        description="The account that it runs as. Another one than nobody "
        "needs the consent of root on each node: shoestring consent, or an apply typed there.",
    )
    interval_seconds: Seconds = Field(default=2.0, description="Time between two runs.")
    timeout_seconds: Seconds = Field(default=5.0, description="It is killed after this time.")
    weight: int = Field(default=50, ge=0, le=200, description="Taken off while failing.")

    @field_validator("command")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value[0].startswith("/"):
            raise ValueError("a program named by its absolute path")
        if any("\0" in word for word in value):
            raise ValueError("words without NUL")
        return value


CHECK_KINDS: Mapping[str, type[Check]] = {
    "http": HttpCheck,
    "tcp": TcpCheck,
    "unit": UnitCheck,
    "process": ProcessCheck,
    "mariadb": MariadbCheck,
    "gateway": GatewayCheck,
    "disk": DiskCheck,
    "command": CommandCheck,
}


def _kind_of(value: object) -> str | None:
    if isinstance(value, Check):
        value = value.model_dump(exclude_none=True)
    kinds = [kind for kind in CHECK_KINDS if isinstance(value, Mapping) and kind in value]
    return kinds[0] if len(kinds) == 1 else None


AnyCheck = Annotated[
    Annotated[HttpCheck, Tag("http")]
    | Annotated[TcpCheck, Tag("tcp")]
    | Annotated[UnitCheck, Tag("unit")]
    | Annotated[ProcessCheck, Tag("process")]
    | Annotated[MariadbCheck, Tag("mariadb")]
    | Annotated[GatewayCheck, Tag("gateway")]
    | Annotated[DiskCheck, Tag("disk")]
    | Annotated[CommandCheck, Tag("command")],
    Discriminator(
        _kind_of,
        custom_error_type="check_kind",
        custom_error_message="exactly one of " + ", ".join(CHECK_KINDS),
    ),
]


class Failover(Table):
    """When addresses move, and how fast."""

    advert_interval_seconds: float = Field(
        default=0.1,
        ge=0.05,
        le=10,
        description="VRRP advert interval. A dead node is noticed after three of them; 0.1 was "
        "measured to stand 8 busy processes on 2 cores, 0.02 was not.",
    )
    failback: Literal["manual", "auto"] = Field(
        default="manual",
        description='"manual": an address stays where it is until something fails or you move '
        'it. "auto": it returns to its preferred node by a planned move.',
    )
    failback_after_seconds: float = Field(
        default=60,
        ge=1,
        le=86400,
        description="How long the preferred node must have been healthy before it returns.",
    )
    moves_max: int = Field(
        default=6, ge=1, le=1000, description="Moves of one VIP that health may cause in a window."
    )
    moves_window_seconds: float = Field(
        default=3600, ge=10, le=86400, description="The window of the move budget."
    )
    startup_delay_seconds: float = Field(
        default=2,
        ge=0,
        le=120,
        description="How long keepalived listens after its start before it may take an address; "
        "more where switch ports take long to forward.",
    )
    handover: Literal["auto", "drain"] = Field(
        default="auto",
        description='How a planned move treats connections. "auto": new ones are handed over at '
        'the network card where the kernel can do that. "drain": they are held back for an '
        "instant, which costs some visitors a second; for switches that dislike the other way.",
    )
    drain_timeout_seconds: float = Field(
        default=30,
        ge=0.1,
        le=3600,
        description="How long a planned move waits for running answers before it cuts them.",
    )


class Peer(Table):
    """The link between the two agents."""

    port: int = Field(
        default=7432,
        ge=1024,
        le=65534,
        description="TCP port of the agents' link; the next one is used while an invitation is "
        "open.",
    )


def _default_checks() -> dict[str, AnyCheck]:
    return {"web": HttpCheck(http="/")}


def _with_gateway(checks: dict[str, AnyCheck]) -> dict[str, AnyCheck]:
    if any(isinstance(check, GatewayCheck) for check in checks.values()):
        return checks
    return {**checks, "gateway": GatewayCheck(gateway="auto")}


class Config(Table):
    """The whole of pair.toml."""

    pair: Pair
    nodes: dict[Name, Node] = Field(description="The two servers, by name.")
    vips: dict[Name, Vip] = Field(min_length=1, max_length=16, description="Floating addresses.")
    checks: Annotated[dict[Name, AnyCheck], AfterValidator(_with_gateway)] = Field(
        default_factory=_default_checks,
        validate_default=True,
        max_length=64,
        description="What makes a node fit. Without any: HTTP / on port 80. The gateway is "
        "watched in any case.",
    )
    failover: Failover = Field(default_factory=Failover)
    peer: Peer = Field(default_factory=Peer)
    database: Database | None = Field(
        default=None, description="Turns MariaDB's replication on; [database] alone is enough."
    )
    site: Site | None = Field(
        default=None, description="Turns the site's repository on; [site] alone is enough."
    )
    guard: Guard | None = Field(
        default=None, description="Turns the guard on; [guard] alone is enough."
    )

    @field_validator("nodes")
    @classmethod
    def _two_nodes(cls, nodes: dict[str, Node]) -> dict[str, Node]:
        if len(nodes) != 2:
            raise ValueError("exactly two nodes")
        first, second = nodes.values()
        if set(first.address) & set(second.address):
            raise ValueError("two nodes with addresses of their own")
        if {a.version for a in first.address} != {a.version for a in second.address}:
            raise ValueError("addresses of the same IP versions on both nodes")
        return nodes

    @field_validator("vips")
    @classmethod
    def _vips_fit_nodes(cls, vips: dict[str, Vip], info: ValidationInfo) -> dict[str, Vip]:
        nodes: dict[str, Node] = info.data.get("nodes", {})
        for name, vip in vips.items():
            _check_vip(name, vip, nodes)
        _no_address_twice(vips, nodes)
        return vips

    @model_validator(mode="after")
    def _vrids_differ(self) -> Config:
        given = [vip.vrid for vip in self.vips.values() if vip.vrid is not None]
        if len(given) != len(set(given)):
            raise ValueError("a vrid of its own for each VIP")
        return self

    @field_validator("database")
    @classmethod
    def _database_vip(cls, database: Database | None, info: ValidationInfo) -> Database | None:
        vips = info.data.get("vips", {})
        if database is not None and vips and (database.vip or next(iter(vips))) not in vips:
            raise ValueError(f"vip to be one of {', '.join(vips)}; found {database.vip!r}")
        return database

    @field_validator("site")
    @classmethod
    def _site_fits(cls, site: Site | None, info: ValidationInfo) -> Site | None:
        vips = info.data.get("vips", {})
        for named in (site.live_vip, site.staging_vip) if site is not None and vips else ():
            if named is not None and named not in vips:
                raise ValueError(f"VIPs out of {', '.join(vips)}; found {named!r}")
        if site is not None and site.live_branch == site.staging_branch:
            raise ValueError("two different branches")
        if site is not None and set(site.live_ports) & set(site.staging_ports):
            raise ValueError("live_ports and staging_ports without a common port")
        return site

    def site_vip(self, environment: str) -> str:
        """Return the name of the VIP of "live" or "staging"; raises LookupError without [site]."""
        if self.site is None:
            raise LookupError("pair.toml has no [site]")
        names = list(self.vips)
        if environment == "live":
            return self.site.live_vip or names[0]
        return self.site.staging_vip or names[min(1, len(names) - 1)]

    @property
    def writer_vip(self) -> str:
        """Return the name of the VIP whose holder writes to the database."""
        named = self.database.vip if self.database is not None else None
        return named or next(iter(self.vips))

    def other(self, node: str) -> str:
        """Return the name of the other node."""
        return next(name for name in self.nodes if name != node)


def _check_vip(name: str, vip: Vip, nodes: Mapping[str, Node]) -> None:
    if nodes and vip.prefer not in nodes:
        raise ValueError(f"{name}.prefer to be one of {', '.join(nodes)}; found {vip.prefer!r}")
    if any(node.address_of(vip.version) is None for node in nodes.values()):
        raise ValueError(
            f"{name}: nodes with an IPv{vip.version} address, or a VIP whose first address is "
            f"of the nodes' own IP version"
        )


def _no_address_twice(vips: Mapping[str, Vip], nodes: Mapping[str, Node]) -> None:
    taken: dict[Any, str] = {a: f"nodes.{n}" for n, node in nodes.items() for a in node.address}
    for name, vip in vips.items():
        for interface in vip.address:
            owner = taken.setdefault(interface.ip, f"vips.{name}")
            if owner != f"vips.{name}":
                raise ValueError(f"addresses used once; {interface.ip} is also that of {owner}")
