"""pair.toml -> the files of keepalived, nftables, Apache, sysctl and systemd. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import jinja2

from shoestring.config.model import Config, Vip
from shoestring.core.platform import Platform
from shoestring.core.rendered import Rendered
from shoestring.core.snapshot import HandMethod
from shoestring.vip.score import UNPROVEN, base_priority

PeerHops = Mapping[int, str]

RUN = "/run/shoestring"
FIFO = f"{RUN}/keepalived.fifo"
TRACK = f"{RUN}/track"
DRAINING = f"{RUN}/draining"
DUMP = f"{RUN}/keepalived"
HARDWARE_TABLE = "shoestring_hardware"

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("shoestring.vip"),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701  configuration files, not HTML; values are validated in config/
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Instance:
    """One vrrp_instance, as the template wants it."""

    name: str
    vrid: int
    priority: int
    source: str
    peer: str
    advertised: tuple[str, ...]
    excluded: tuple[str, ...]


def track_file(vip: str) -> str:
    """Return the path of the VIP's track file."""
    return f"{TRACK}/{vip}"


def vrids(config: Config) -> Mapping[str, int]:
    """Return each VIP's VRID: the one given, or one derived from the names, never used twice."""
    taken = {vip.vrid for vip in config.vips.values() if vip.vrid is not None}
    result: dict[str, int] = {}
    for name, vip in config.vips.items():
        vrid = vip.vrid
        if vrid is None:
            vrid = zlib.crc32(f"{config.pair.name}/{name}".encode()) % 255 + 1
            while vrid in taken:
                vrid = vrid % 255 + 1
            taken.add(vrid)
        result[name] = vrid
    return result


def render(config: Config, node: str, platform: Platform) -> tuple[Rendered, ...]:
    """Return all files of the slice for one node."""
    return (
        keepalived_conf(config, node, platform),
        keepalived_unit(config, node, platform),
        firewall(config, node),
        firewall_users(config, node),
        sysctl(),
        *apache(platform),
    )


def keepalived_conf(config: Config, node: str, platform: Platform) -> Rendered:
    """Return keepalived.conf(5) of one node."""
    text = _fill(
        "keepalived.conf.j2",
        pair=config.pair.name,
        node=node,
        interface=config.nodes[node].interface,
        instances=list(_instances(config, node)),
        advert_interval_seconds=f"{config.failover.advert_interval_seconds:g}",
        startup_delay_seconds=f"{config.failover.startup_delay_seconds:g}",
        unproven=UNPROVEN,
        fifo=FIFO,
        track=TRACK,
        run=RUN,
    )
    return Rendered(platform.keepalived_conf, text, "keepalived")


def _instances(config: Config, node: str) -> Iterator[Instance]:
    numbers = vrids(config)
    here, there = config.nodes[node], config.nodes[config.other(node)]
    for name, vip in config.vips.items():
        advertised, excluded = _split(vip)
        yield Instance(
            name=name,
            vrid=numbers[name],
            priority=base_priority(config, name, node),
            source=str(here.address_of(vip.version)),
            peer=str(there.address_of(vip.version)),
            advertised=advertised,
            excluded=excluded,
        )


def _split(vip: Vip) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Advertise one address alone: the advertised list never changes, so edits never mismatch."""
    first, *others = (str(address) for address in vip.address)
    return (first,), tuple(others)


def keepalived_unit(config: Config, node: str, platform: Platform) -> Rendered:
    """Return the drop-in which takes the VIPs off the node when keepalived ends in any way."""
    addresses = [str(a) for vip in config.vips.values() for a in vip.address]
    text = _fill(
        "keepalived-unit.conf.j2",
        addresses=addresses,
        interface=config.nodes[node].interface,
        ip=platform.ip,
        dump=DUMP,
    )
    path = f"/etc/systemd/system/{platform.keepalived_unit}.d/shoestring.conf"
    return Rendered(path, text, "systemd")


def firewall(config: Config, node: str) -> Rendered:
    """Return the nftables rules: VRRP from the peer alone, TTL 255 (RFC 9568, 5.1.1.3)."""
    peers = config.nodes[config.other(node)].address
    own = config.nodes[node].address
    database = config.database
    writer = [a.ip for a in config.vips[config.writer_vip].address] if database else []
    clients = database.clients if database is not None else ()
    text = _fill(
        "firewall.nft.j2",
        peers4=_of(4, peers),
        peers6=_of(6, peers),
        ports=[config.peer.port, config.peer.port + 1],
        own=[str(a) for a in own],
        own4=_of(4, own),
        own6=_of(6, own),
        database=database,
        clients4=_of(4, clients),
        clients6=_of(6, clients),
        writer4=_of(4, writer),
        writer6=_of(6, writer),
    )
    return Rendered("/etc/shoestring/firewall.nft", text, "nftables")


def firewall_users(config: Config, node: str) -> Rendered:
    """Return the rules that name users: MariaDB alone dials the other node's MariaDB."""
    peers = config.nodes[config.other(node)].address
    text = _fill(
        "firewall-users.nft.j2",
        peers4=_of(4, peers),
        peers6=_of(6, peers),
        database_port=config.database.port if config.database is not None else None,
    )
    return Rendered("/etc/shoestring/firewall-users.nft", text, "nftables")


def hardware_table(config: Config, node: str, allowed: Sequence[str]) -> str:
    """Return the table that drops the peer's adverts from other MAC addresses than these."""
    peers = config.nodes[config.other(node)].address
    return _fill(
        "hardware.nft.j2",
        table=HARDWARE_TABLE,
        peers4=_of(4, peers),
        peers6=_of(6, peers),
        allowed=list(allowed),
    )


def _of(version: int, values: Iterable[_Versioned]) -> list[str]:
    return [str(value) for value in values if value.version == version]


def sysctl() -> Rendered:
    """Return the kernel settings that a pair needs."""
    return Rendered("/etc/sysctl.d/60-shoestring.conf", _fill("sysctl.conf.j2"), "sysctl")


def apache(platform: Platform) -> Iterator[Rendered]:
    """Yield Apache's part: kept-alive connections end while a planned move drains the node."""
    text = _fill("apache.conf.j2", draining=DRAINING)
    yield Rendered(platform.apache_conf, text, "apache")
    if platform.apache_conf_enabled:
        yield Rendered(platform.apache_conf_enabled, "", "apache", link_to=platform.apache_conf)


def hand_table_name(vip: str) -> str:
    """Return the name of the nftables table (family netdev) of a planned move."""
    return f"shoestring_hand_{vip}"


def hand_table(name: str, vip: Vip, interface: str, method: HandMethod, peers: PeerHops) -> str:
    """Return the nftables table that hands a VIP's new connections to the peer, or holds them.

    peers: the other node's address for each IP version (4, 6). A family without one is held back.
    Source: nft(8), FWD STATEMENT; the sets keep later packets of a connection on its way.
    """
    families = [(a.version, str(a.ip), peers.get(a.version, "")) for a in vip.address]
    table = hand_table_name(name)
    return _fill("hand.nft.j2", table=table, method=method, interface=interface, families=families)


def _fill(template: str, **values: object) -> str:
    return _TEMPLATES.get_template(template).render(**values)
