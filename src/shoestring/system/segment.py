"""Raw frames on the segment: announcing an address, asking for one, hearing VRRP.

Gratuitous ARP: RFC 5227, section 3. Unsolicited neighbour advertisement: RFC 4861, 4.4 and 7.2.6.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address, ip_address

ETH_P_IP = 0x0800
ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86DD
BROADCAST = b"\xff" * 6
ALL_NODES_MAC = b"\x33\x33\x00\x00\x00\x01"
ALL_NODES = IPv6Address("ff02::1")
NEIGHBOUR_SOLICITATION = 135
NEIGHBOUR_ADVERTISEMENT = 136
OVERRIDE = 0x20000000
SO_ATTACH_FILTER = 26
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_MR_ALLMULTI = 2
VRRP_PROTOCOL = 112
UDP_PROTOCOL = 17
HOPS = 64
FRAME_MAX = 2048


def written(hardware: bytes) -> str:
    """Return a MAC address as it is written: 52:54:00:12:34:56."""
    return ":".join(f"{byte:02x}" for byte in hardware)


def announcement(hardware: bytes, address: IPv4Address | IPv6Address) -> bytes:
    """Return the frame that tells everybody where an address is."""
    if isinstance(address, IPv4Address):
        arp = _arp(1, hardware, address.packed, b"\0" * 6, address.packed)
        return BROADCAST + hardware + struct.pack("!H", ETH_P_ARP) + arp
    body = struct.pack("!BBHI", NEIGHBOUR_ADVERTISEMENT, 0, 0, OVERRIDE) + address.packed
    body += b"\x02\x01" + hardware
    packet = _icmp6(address, ALL_NODES, body)
    return ALL_NODES_MAC + hardware + struct.pack("!H", ETH_P_IPV6) + packet


def _arp(operation: int, source: bytes, source_ip: bytes, target: bytes, target_ip: bytes) -> bytes:
    head = struct.pack("!HHBBH", 1, ETH_P_IP, 6, 4, operation)
    return head + source + source_ip + target + target_ip


def _icmp6(source: IPv6Address, target: IPv6Address, body: bytes) -> bytes:
    pseudo = source.packed + target.packed + struct.pack("!II", len(body), 58)
    checksum = _internet_checksum(pseudo + body)
    body = body[:2] + struct.pack("!H", checksum) + body[4:]
    head = struct.pack("!IHBB", 6 << 28, len(body), 58, 255)
    return head + source.packed + target.packed + body


def _internet_checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def announce(interface: str, hardware: bytes, addresses: list[str]) -> None:
    """Announce addresses on an interface; raises OSError."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        for address in addresses:
            sock.send(announcement(hardware, ip_address(address)))


def send(interface: str, frame: bytes) -> None:
    """Send one frame on an interface; raises OSError."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        sock.send(frame)


def ip_frame(source: bytes, target: bytes, packet: bytes) -> bytes:
    """Return the frame that carries an IPv4 packet from one MAC address to another."""
    return target + source + struct.pack("!H", ETH_P_IP) + packet


def udp_packet(source: IPv4Address, target: IPv4Address, port: int, data: bytes) -> bytes:
    """Return an IPv4 packet with one UDP datagram, from and to one port (RFC 791, RFC 768).

    The datagram has no checksum of its own, which UDP over IPv4 allows.
    """
    length = 8 + len(data)
    datagram = struct.pack("!HHHH", port, port, length, 0) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, HOPS, UDP_PROTOCOL, 0)
    checksum = _internet_checksum(head + source.packed + target.packed)
    head = head[:10] + struct.pack("!H", checksum) + source.packed + target.packed
    return head + datagram


def question(hardware: bytes, source: str | None, target: str) -> bytes:
    """Return the frame that asks who has an address; without a source it is a probe (RFC 5227)."""
    asked = ip_address(target)
    if isinstance(asked, IPv4Address):
        sender = b"\0" * 4 if source is None else ip_address(source).packed
        arp = _arp(1, hardware, sender, b"\0" * 6, asked.packed)
        return BROADCAST + hardware + struct.pack("!H", ETH_P_ARP) + arp
    group = IPv6Address(b"\xff\x02" + b"\0" * 9 + b"\x01\xff" + asked.packed[-3:])
    sender6 = IPv6Address(0) if source is None else IPv6Address(source)
    body = struct.pack("!BBHI", NEIGHBOUR_SOLICITATION, 0, 0, 0) + asked.packed
    if source is not None:
        body += b"\x01\x01" + hardware
    mac = b"\x33\x33" + group.packed[-4:]
    return mac + hardware + struct.pack("!H", ETH_P_IPV6) + _icmp6(sender6, group, body)


def answer_to(frame: bytes, target: str) -> bytes | None:
    """Return the MAC address that a frame names for an address, or None if it is no answer."""
    asked = ip_address(target)
    kind = frame[12:14]
    if isinstance(asked, IPv4Address):
        is_arp = kind == struct.pack("!H", ETH_P_ARP) and len(frame) >= 42
        return frame[22:28] if is_arp and frame[28:32] == asked.packed else None
    is_advertisement = (
        kind == struct.pack("!H", ETH_P_IPV6)
        and len(frame) >= 78
        and frame[20] == 58
        and frame[54] == NEIGHBOUR_ADVERTISEMENT
    )
    return frame[6:12] if is_advertisement and frame[62:78] == asked.packed else None


def ask(
    interface: str,
    hardware: bytes,
    source: str | None,
    target: str,
    timeout_seconds: float,
    *,
    to_us: bool = False,
) -> bytes | None:
    """Ask the segment who has an address; return the MAC address, or None if nobody answers.

    to_us: only an answer that was sent to us counts, and nothing that its owner says to everybody.
    Blocking; raises OSError.
    """
    kind = ETH_P_ARP if ip_address(target).version == 4 else ETH_P_IPV6
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind)) as sock:
        sock.bind((interface, kind))
        sock.send(question(hardware, source, target))
        until = time.monotonic() + timeout_seconds
        while (left := until - time.monotonic()) > 0:  # others speak meanwhile
            sock.settimeout(left)
            try:
                frame = sock.recv(FRAME_MAX)
            except TimeoutError:
                return None
            mac = answer_to(frame, target)
            meant = not to_us or frame[:6] == hardware
            if mac is not None and mac != hardware and meant:
                return mac
    return None


# Classic BPF on a packet socket that starts at the IP header: `ip proto 112`, `ip6 proto 112`.
_FILTERS = {
    ETH_P_IP: ((0x30, 0, 0, 9), (0x15, 0, 1, VRRP_PROTOCOL), (0x6, 0, 0, 0xFFFF), (0x6, 0, 0, 0)),
    ETH_P_IPV6: ((0x30, 0, 0, 6), (0x15, 0, 1, VRRP_PROTOCOL), (0x6, 0, 0, 0xFFFF), (0x6, 0, 0, 0)),
}


def vrrp_socket(interface: str, version: int) -> socket.socket:
    """Return a non-blocking packet socket that gets the VRRP packets which reach an interface.

    It sees them before nftables does, so "arrives but is dropped here" can be told from "does not
    arrive". Packets start at the IP header. Raises OSError.
    """
    kind = ETH_P_IP if version == 4 else ETH_P_IPV6
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    program = b"".join(struct.pack("HBBI", *step) for step in _FILTERS[kind])
    buffer = ctypes.create_string_buffer(program)
    pointer = struct.pack("HL", len(_FILTERS[kind]), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)
    sock.bind((interface, kind))
    everything = struct.pack("iHH8s", socket.if_nametoindex(interface), PACKET_MR_ALLMULTI, 0, b"")
    sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, everything)
    sock.setblocking(False)
    return sock
