"""Before keepalived is first started on a node: is anything of ours taken already?"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from shoestring.config.model import Config
from shoestring.system import segment
from shoestring.system.netlink import Address, Netlink, once
from shoestring.vip.adverts import decode
from shoestring.vip.render import vrids

PROBES = 2
PROBE_SECONDS = 0.25
LISTEN_SECONDS = 1.2


def trouble_on_the_segment(config: Config, node: str) -> tuple[str, ...]:
    """Return what speaks against starting: an address in use, a VRID that is announced.

    An address which the peer holds is where it belongs. Sources: RFC 5227 section 2.1.1 for the
    probe; nothing is sent that claims an address.
    """
    interface = config.nodes[node].interface
    try:
        hardware, here = once(lambda netlink: _own(netlink, interface))
        peer = config.nodes[config.other(node)]
        sources = {a.address for a in here if a.interface == interface}
        own4 = next((str(a) for a in config.nodes[node].address if str(a) in sources), None)
        peer_mac = segment.ask(interface, hardware, own4, str(peer.address[0]), PROBE_SECONDS)
        with ThreadPoolExecutor(1) as beside:
            listening = beside.submit(lambda: list(_announced(config, node, interface)))
            found = [*_taken(config, interface, hardware, peer_mac), *listening.result()]
    except (OSError, LookupError) as error:
        return (f"interface {interface} cannot be used: {error}",)
    return tuple(found)


async def _own(netlink: Netlink, interface: str) -> tuple[bytes, list[Address]]:
    return await netlink.hardware_address(interface), await netlink.addresses()


def _taken(
    config: Config, interface: str, hardware: bytes, peer_mac: bytes | None
) -> Iterator[str]:
    for name, vip in config.vips.items():
        for address in vip.address:
            if address.version == 6:
                continue
            for _ in range(PROBES):
                owner = segment.ask(interface, hardware, None, str(address.ip), PROBE_SECONDS)
                if owner is not None and owner != peer_mac:
                    yield (
                        f"vips.{name}: {address.ip} is in use already, by {owner.hex(':')}; "
                        f"free it, or choose another address"
                    )
                    break


def _announced(config: Config, node: str, interface: str) -> Iterator[str]:
    """Listen for VRRP of strangers that uses one of our VRIDs."""
    names = {vrid: name for name, vrid in vrids(config).items()}
    ours = {str(a) for n in config.nodes.values() for a in n.address}
    versions = {vip.version for vip in config.vips.values()}
    sockets = [segment.vrrp_socket(interface, version) for version in versions]
    heard: dict[int, str] = {}
    until = time.monotonic() + LISTEN_SECONDS
    try:
        while (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select(sockets, [], [], left)
            for sock in ready:
                advert = decode(sock.recv(segment.FRAME_MAX))
                if advert and advert.vrid in names and advert.source not in ours:
                    heard[advert.vrid] = advert.source
    finally:
        for sock in sockets:
            sock.close()
    for vrid, source in heard.items():
        yield (
            f"vips.{names[vrid]}: VRID {vrid} is announced by {source}, which is not of this "
            f"pair; give vips.{names[vrid]}.vrid another number ({node} heard it)"
        )
