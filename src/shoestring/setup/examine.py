"""Look at this node for doctor: two seconds of the wire, and all else meanwhile. Read-only."""

from __future__ import annotations

import os
import select
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

from shoestring.config.model import CommandCheck, Config
from shoestring.core.errors import ShoestringError
from shoestring.core.examination import DatabaseFacts, Facts, Heard
from shoestring.core.platform import DEBIAN
from shoestring.peer.identity import Identity, fingerprint
from shoestring.setup import desired
from shoestring.system import logins, segment
from shoestring.system.agent_socket import ask
from shoestring.system.files import free_percent, read_bounded
from shoestring.system.mariadb import Mariadb
from shoestring.system.netlink import Address, Netlink, once
from shoestring.system.places import GUARD_SOCKET
from shoestring.system.run import run
from shoestring.vip.adverts import Advertisement, decode
from shoestring.vip.observe import JSON_SIGNAL, parse_dump
from shoestring.vip.render import DUMP

WATCH_SECONDS = 2.2
ASK_SECONDS = 0.3
CONNECT_SECONDS = 1.0
DUMP_TRIES = 40
PACKET_OUTGOING = 4
PROBE, PROBE_SECONDS, TTL, VRRP_PROTOCOL = b"probe", 0.2, 255, 112
ARP_FRAME = 42
CONF_MAX = 1 << 20
DISKS = ("/", "/var/lib/mysql", "/var/lib/shoestring")
TABLES = ("inet shoestring", "inet shoestring_guard")
VERSIONS: Mapping[str, list[str]] = {
    "keepalived": ["keepalived", "--version"],
    "Apache": ["apachectl", "-v"],
    "MariaDB": ["mariadbd", "--version"],
    "git": ["git", "--version"],
}


def examine(config: Config, node: str) -> Facts:
    """Return what is so on this node; what cannot be looked at is named in `unseen`."""
    return _Examiner(config, node).facts()


class _Examiner:
    def __init__(self, config: Config, node: str) -> None:
        self._config, self._node = config, node
        self._interface = config.nodes[node].interface
        self._peer = config.other(node)
        self._unseen: dict[str, str] = {}
        self._heard: dict[tuple[str, int], Advertisement] = {}
        self._speakers: set[str] = set()
        self._theirs = {str(address) for address in config.nodes[self._peer].address}
        self._arrived = self._passed = False

    def facts(self) -> Facts:
        wall = time.time()
        sys_net = Path("/sys/class/net") / self._interface
        with ExitStack() as stack:
            sockets = [stack.enter_context(s) for s in self._sockets()]
            until = time.monotonic() + WATCH_SECONDS
            self._probe(sockets)
            before = dict(self._look("keepalived", _dumped, []))
            base = self._base(wall, sys_net)
            while (left := until - time.monotonic()) > 0:
                self._probe(sockets)
                self._listen(sockets, min(left, PROBE_SECONDS))
            states = dict(self._look("keepalived", _dumped, []))
            still = {
                a.address for a in self._look("addresses", lambda: once(Netlink.addresses), [])
            }
        return replace(
            base,
            speakers=tuple(sorted(self._speakers)),
            heard=tuple(map(_heard, self._heard.values())),
            arrived=self._arrived,
            passed=self._passed,
            # What moves meanwhile is neither here nor there.
            states={name: s for name, s in states.items() if before.get(name) == s},
            addresses=tuple(address for address in base.addresses if address in still),
            unseen=self._unseen,
        )

    def _base(self, wall: float, sys_net: Path) -> Facts:
        look = self._look
        mac = (read_bounded(sys_net / "address") or "").strip()
        here = look("addresses", _addresses, [])
        port, differs = look("the peer's port", self._port, ("", False))
        return Facts(
            node=self._node,
            wall=wall,
            interface=self._interface,
            mtu=int(read_bounded(sys_net / "mtu") or 0),
            addresses=tuple(a.address for a in here if a.interface == self._interface),
            keepalived_conf=read_bounded(Path(DEBIAN.keepalived_conf), CONF_MAX) or "",
            macs=(mac,),
            answers=look("the segment", lambda: dict(self._answers(mac)), {}),
            units=look("units", lambda: dict(self._units()), {}),
            tables=look("nftables", _tables, {}),
            programs=tuple(self._programs()),
            free_percent={p: free_percent(Path(p)) for p in DISKS if Path(p).exists()},
            versions=dict(_versions()),
            host_keys=tuple(_host_keys()),
            peer_port=port,
            peer_certificate_differs=differs,
            database=look("MariaDB", self._database, None),
            not_allowed=tuple(self._not_allowed()),
        )

    def _look(self, what: str, work: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return work()
        except (OSError, ShoestringError, ValueError) as error:
            self._unseen[what] = str(error)[:200]
            return otherwise

    def _sockets(self) -> Iterator[socket.socket]:
        for version in sorted({vip.version for vip in self._config.vips.values()}):
            try:
                yield segment.vrrp_socket(self._interface, version)
            except OSError as error:
                self._unseen["VRRP"] = str(error)
        arp = socket.htons(segment.ETH_P_ARP)
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, arp)
            sock.bind((self._interface, segment.ETH_P_ARP))
            sock.setblocking(False)
        except OSError as error:
            self._unseen["ARP"] = str(error)
        else:
            yield sock
        yield from self._behind_firewall()

    def _behind_firewall(self) -> Iterator[socket.socket]:
        """Yield a socket that gets protocol 112 where keepalived does: after the firewall."""
        address = self._config.nodes[self._node].address[0]
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            sock = socket.socket(family, socket.SOCK_RAW, VRRP_PROTOCOL)
            sock.bind((str(address), 0))
            if address.version == 4:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, TTL)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, TTL)
            sock.setblocking(False)
        except OSError as error:
            self._unseen["the firewall"] = str(error)
        else:
            yield sock

    def _probe(self, sockets: list[socket.socket]) -> None:
        """Send the peer what goes the way of an advert and says nothing (too short for VRRP)."""
        peer = str(self._config.nodes[self._peer].address[0])
        for sock in sockets:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                with suppress(OSError):
                    sock.sendto(PROBE, (peer, 0))

    def _listen(self, sockets: list[socket.socket], seconds: float) -> None:
        ready, _, _ = select.select(sockets, [], [], seconds)
        for sock in ready:
            with suppress(BlockingIOError):
                packet, where = sock.recvfrom(segment.FRAME_MAX)
                if sock.family != socket.AF_PACKET:
                    self._passed = self._passed or where[0].partition("%")[0] in self._theirs
                elif sock.type == socket.SOCK_RAW:
                    self._speaks(packet, sent_here=where[2] == PACKET_OUTGOING)
                else:
                    self._arrives(packet)

    def _arrives(self, packet: bytes) -> None:
        """Note whose packet of protocol 112 this is, and what it says if it is an advert."""
        source = packet[12:16] if packet[:1] < b"\x60" else packet[8:24]
        self._arrived = self._arrived or str(ip_address(source)) in self._theirs
        if (advert := decode(packet)) is not None:
            self._heard[advert.source, advert.vrid] = advert

    def _speaks(self, frame: bytes, *, sent_here: bool) -> None:
        """Note who asks or tells anything by ARP."""
        if not sent_here and len(frame) >= ARP_FRAME:
            self._speakers.add(str(IPv4Address(frame[28:32])))

    def _answers(self, mac: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Ask the segment who has each address of the pair."""
        hardware = bytes.fromhex(mac.replace(":", ""))
        own = str(self._config.nodes[self._node].address[0])
        asked = [str(vip.address[0].ip) for vip in self._config.vips.values()]
        asked.append(str(self._config.nodes[self._peer].address[0]))
        for address in asked:
            source = own if ":" not in address and ":" not in own else None
            answer = segment.ask(
                self._interface, hardware, source, address, ASK_SECONDS, to_us=True
            )
            yield address, (answer.hex(":"),) if answer is not None else ()

    def _units(self) -> Iterator[tuple[str, str]]:
        wanted = desired.units(self._config, DEBIAN)
        if self._config.site is None:
            wanted = (*wanted, DEBIAN.apache_unit)
        argv = ["systemctl", "show", "--property=Id,ActiveState,UnitFileState", "--", *wanted]
        for block in run(argv, timeout_seconds=5).out.strip().split("\n\n"):
            found = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if found.get("ActiveState") != "active":
                yield found.get("Id", "?"), found.get("ActiveState", "unknown")
            elif found.get("UnitFileState") in ("disabled", "masked"):
                yield found["Id"], f"{found['UnitFileState']}: it does not start at boot"

    def _programs(self) -> Iterator[tuple[str, str, str]]:
        for name, check in self._config.checks.items():
            if isinstance(check, CommandCheck):
                path = check.command[0]
                if not Path(path).exists():
                    yield name, path, "is not there"
                elif not os.access(path, os.X_OK) or not Path(path).stat().st_mode & 0o111:
                    yield name, path, "is not executable"
                elif Path(path).stat().st_mode & 0o002:
                    yield name, path, "can be written by everybody"

    def _port(self) -> tuple[str, bool]:
        """Return whether the peer's agent listens, and whether it shows another certificate."""
        address = str(self._config.nodes[self._peer].address[0])
        identity = Identity()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            where = (address, self._config.peer.port)
            with socket.create_connection(where, CONNECT_SECONDS) as plain:
                plain.settimeout(CONNECT_SECONDS)
                with context.wrap_socket(plain) as wrapped:
                    shown = wrapped.getpeercert(binary_form=True) or b""
        except ConnectionRefusedError:
            return "refuses", False
        except ssl.SSLError:
            return "open", False
        except OSError:
            return "does not answer", False
        pinned = read_bounded(identity.peer)
        if pinned is None:
            return "open", False
        return "open", fingerprint(ssl.DER_cert_to_PEM_cert(shown)) != fingerprint(pinned)

    def _not_allowed(self) -> Iterator[str]:
        """Yield from where somebody is logged in whom the guard might block; it must be asked."""
        if self._config.guard is None:
            return
        try:
            said = ask("POST", "/allowed", {}, at=GUARD_SOCKET, unit="shoestring-guard")
        except ShoestringError:
            return  # the agent tells that it does not answer
        networks = [ip_network(network) for network in said]
        for text in sorted(logins.addresses()):
            address = ip_address(text)
            if not any(address in n for n in networks if n.version == address.version):
                yield text

    def _database(self) -> DatabaseFacts | None:
        if self._config.database is None:
            return None
        sql = "SELECT @@server_id AS id, @@rpl_semi_sync_slave_enabled AS semi_sync"
        with Mariadb(self._config.database.socket, timeout_seconds=2) as mariadb:
            row = mariadb.rows(sql)[0]
        return DatabaseFacts(int(row["id"]), bool(int(row["semi_sync"])))


def _addresses() -> list[Address]:
    return once(Netlink.addresses)


def _heard(advert: Advertisement) -> Heard:
    return Heard(
        advert.source,
        advert.vrid,
        advert.version,
        advert.ttl,
        advert.interval_seconds,
        advert.addresses,
        advert.auth,
    )


def _dumped() -> list[tuple[str, str]]:
    """Return name and state of each instance, as keepalived dumps them.

    keepalived(8), "--signum=JSON"; the agent asks it the same way.
    """
    pid = int(run(["systemctl", "show", "-P", "MainPID", DEBIAN.keepalived_unit]).out or 0)
    path = Path(DUMP) / "keepalived.json"
    if not pid:
        return []
    path.unlink(missing_ok=True)
    os.kill(pid, JSON_SIGNAL)
    for _ in range(DUMP_TRIES):
        time.sleep(0.005)
        found = list(parse_dump(read_bounded(path) or ""))
        if found:
            return [(name, str(state)) for name, state in found]
    raise ValueError("keepalived does not say in which state it is")


def _tables() -> dict[str, bool]:
    said = run(["nft", "list", "tables"], timeout_seconds=5).out.splitlines()
    return {name: f"table {name}" in said for name in TABLES}


def _versions() -> Iterator[tuple[str, str]]:
    for engine, argv in VERSIONS.items():
        if shutil.which(argv[0], path="/usr/sbin:/usr/bin") is None:
            continue
        done = run(argv, check=False, timeout_seconds=5)
        line = (done.out or done.err).strip().splitlines()[:1]
        if line:
            yield engine, line[0][:80]


def _host_keys() -> Iterator[str]:
    for path in sorted(Path("/etc/ssh").glob("ssh_host_*_key.pub")):
        words = (read_bounded(path) or "").split()
        if len(words) > 1:
            yield f"{words[0]} {words[1]}"
