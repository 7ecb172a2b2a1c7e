"""Which TCP ports of this host are listened on, asked of the kernel (sock_diag(7)).

Only the few listening sockets are walked, so the question stays cheap on a host with thousands of
connections, and the service is not bothered by it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR = 2
REQUEST_DUMP = 0x301
TCP_LISTEN = 10
HEADER = 16


class Listeners:
    """A kept socket for the question."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
        self._socket.settimeout(0.5)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ports(self) -> frozenset[int]:
        """Return the ports that anybody listens on; raises OSError."""
        return frozenset([*self._of(socket.AF_INET), *self._of(socket.AF_INET6)])

    def _of(self, family: int) -> Iterator[int]:
        self._socket.send(_question(family))
        while True:
            for kind, body in _messages(self._socket.recv(65536)):
                if kind == NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", body)[0], "sock_diag")
                if kind != SOCK_DIAG_BY_FAMILY:
                    return
                yield struct.unpack_from("!H", body, 4)[0]


def _question(family: int) -> bytes:
    request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, 1 << TCP_LISTEN) + b"\0" * 48
    head = struct.pack("=IHHII", HEADER + len(request), SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, 1, 0)
    return head + request


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + HEADER <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        yield kind, data[at + HEADER : at + length]
        at += max(HEADER, (length + 3) & ~3)
