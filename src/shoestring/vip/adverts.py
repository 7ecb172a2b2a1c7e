"""VRRP packets on the wire: a decoder for versions 2 and 3. Pure.

Sources: RFC 9568 section 5 (version 3), RFC 3768 section 5 (version 2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

VRRP_PROTOCOL = 112
ADVERTISEMENT = 1
HEADER = 8


@dataclass(frozen=True, slots=True)
class Advertisement:
    """One VRRP advertisement; interval in seconds; auth: type and data of version 2, else ""."""

    source: str
    target: str
    ttl: int
    version: int
    vrid: int
    priority: int
    interval_seconds: float
    addresses: tuple[str, ...]
    auth: str = ""


def decode(packet: bytes) -> Advertisement | None:
    """Return the advertisement in an IP packet, or None for anything else or anything broken."""
    if not packet:
        return None
    version = packet[0] >> 4
    if version == 4:
        return _decode4(packet)
    return _decode6(packet) if version == 6 else None


def _decode4(packet: bytes) -> Advertisement | None:
    if len(packet) < 20:
        return None
    header = (packet[0] & 0x0F) * 4
    total: int = struct.unpack_from("!H", packet, 2)[0]
    fragmented = struct.unpack_from("!H", packet, 6)[0] & 0x3FFF
    if header < 20 or total > len(packet) or packet[9] != VRRP_PROTOCOL or fragmented:
        return None
    source, target = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    return _decode_vrrp(packet[header:total], source, target, packet[8])


def _decode6(packet: bytes) -> Advertisement | None:
    if len(packet) < 40 or packet[6] != VRRP_PROTOCOL:
        return None
    length: int = struct.unpack_from("!H", packet, 4)[0]
    if 40 + length > len(packet):
        return None
    source, target = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    return _decode_vrrp(packet[40 : 40 + length], source, target, packet[7])


def _decode_vrrp(
    body: bytes, source: IPv4Address | IPv6Address, target: IPv4Address | IPv6Address, ttl: int
) -> Advertisement | None:
    if len(body) < HEADER:
        return None
    version, kind = body[0] >> 4, body[0] & 0x0F
    vrid, priority, count = body[1], body[2], body[3]
    size = 4 if source.version == 4 else 16
    if version not in (2, 3) or kind != ADVERTISEMENT or vrid == 0:
        return None
    if len(body) < HEADER + count * size or (version == 2 and source.version == 6):
        return None
    if version == 3:
        interval = (struct.unpack_from("!H", body, 4)[0] & 0x0FFF) / 100
    else:
        interval = float(body[5])
    parts = (body[HEADER + i * size : HEADER + (i + 1) * size] for i in range(count))
    addresses = tuple(str(ip_address(part)) for part in parts)
    auth = _auth(body, HEADER + count * size) if version == 2 else ""
    return Advertisement(
        str(source), str(target), ttl, version, vrid, priority, interval, addresses, auth
    )


def _auth(body: bytes, at: int) -> str:
    """Return type and data of version 2's authentication (RFC 2338 section 5.3.6): "1:secret"."""
    if body[4] == 0:
        return ""
    return f"{body[4]}:{body[at : at + 8].rstrip(bytes(1)).decode('latin-1')}"
