"""TCP connections to an address of this host, from /proc/net/tcp and tcp6 (proc_net_tcp.txt)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

# Anything that still owes or awaits data: established, SYN received, FIN wait 1, close wait,
# closing, last ACK. TIME_WAIT, FIN_WAIT_2 and LISTEN owe nothing.
UNFINISHED = frozenset({"01", "03", "04", "08", "09", "0B"})


def count(addresses: Iterable[str]) -> int:
    """Return how many connections to these local addresses are unfinished."""
    parsed = [ip_address(address) for address in addresses]
    wanted = {_as_kernel_writes(address) for address in parsed}
    wanted |= {_mapped(address) for address in parsed if address.version == 4}
    return sum(1 for local, state in _rows() if local in wanted and state in UNFINISHED)


def _rows() -> Iterator[tuple[str, str]]:
    for name in ("tcp", "tcp6"):
        path = Path("/proc/net") / name
        if path.exists():
            for line in path.read_text().splitlines()[1:]:
                fields = line.split(maxsplit=4)
                yield fields[1].rsplit(":", 1)[0], fields[3]


def _as_kernel_writes(address: IPv4Address | IPv6Address) -> str:
    words = struct.unpack(f"={len(address.packed) // 4}I", address.packed)
    return "".join(f"{word:08X}" for word in words)


def _mapped(address: IPv4Address | IPv6Address) -> str:
    packed = socket.inet_pton(socket.AF_INET6, f"::ffff:{address}")
    return _as_kernel_writes(IPv6Address(packed))
