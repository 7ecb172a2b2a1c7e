"""A TLS listener whose unfinished handshakes and open connections are bounded.

Anybody on the segment can open connections, and so can a program on the other node. A connection
that has not shaken hands costs a descriptor for as long as that may take; when one source, or all
together, have too many of them, the oldest is closed for the newest. So a flood cannot shut the
peer out: its handshake takes milliseconds, and must only outlive the next few dozen connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

HANDSHAKE_SECONDS = 2.0
SOURCE_MAX = 32
TOTAL_MAX = 128
BACKLOG = 64
ACCEPT_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections may be at the same stage, from one source and in all.

    seconds: how long a connection may live after its handshake; None: as long as it likes.
    """

    source: int = SOURCE_MAX
    total: int = TOTAL_MAX
    seconds: float | None = None


@dataclass(eq=False, slots=True)
class _Guest:
    source: str
    socket: socket.socket
    task: asyncio.Task[None] | None = None
    transport: asyncio.Transport | None = None

    def end(self) -> None:
        if self.transport is not None:
            if not self.transport.is_closing():  # asyncio 3.11.2 fails on one that has ended
                self.transport.abort()
        elif self.task is not None:
            self.task.cancel()  # closes the socket when asyncio is rid of it, not before

    def close_unless_in(self, _task: asyncio.Task[None]) -> None:
        """Close the socket of one that has not come in."""
        if self.transport is None:
            self.socket.close()


class Door:
    """Accepts, shakes hands within the bounds, and gives the connection to a protocol."""

    def __init__(
        self,
        factory: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        bounds: Bounds = Bounds(),
    ) -> None:
        self._factory = factory
        self._context = context
        self._bounds = bounds
        self._guests: list[_Guest] = []
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self.closed_early = 0

    def open(self, address: str, port: int) -> None:
        """Listen; raises OSError."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=BACKLOG)
        self._listener.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(self._listener))

    def close(self) -> None:
        """Stop listening, and end all connections."""
        if self._accepting is not None:
            self._accepting.cancel()
        if self._listener is not None:
            self._listener.close()
        for guest in self._guests:
            guest.end()
        self._guests.clear()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError:  # no descriptor left, or the visitor has gone already
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            sock.setblocking(False)
            guest = _Guest(source_of(address[0]), sock)
            self._make_room(guest.source)
            self._guests.append(guest)
            guest.task = loop.create_task(self._shake(guest))
            guest.task.add_done_callback(guest.close_unless_in)

    def _make_room(self, source: str) -> None:
        """Close the oldest connections that stand in the way of one more from this source."""
        self._guests = [
            guest
            for guest in self._guests
            if guest.transport is None or not guest.transport.is_closing()
        ]
        unfinished = [g for g in self._guests if self._counts(g)]
        of_source = [g for g in unfinished if g.source == source]
        oldest = of_source if len(of_source) >= self._bounds.source else []
        if not oldest and len(unfinished) >= self._bounds.total:
            oldest = unfinished
        for guest in oldest[:1]:
            self.closed_early += 1
            self._guests.remove(guest)
            guest.end()

    def _counts(self, guest: _Guest) -> bool:
        """Tell whether a connection is one of those that are bounded.

        After its handshake one is bounded only where strangers can shake hands.
        """
        return guest.transport is None or self._bounds.seconds is not None

    async def _shake(self, guest: _Guest) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(
                self._factory,
                guest.socket,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=HANDSHAKE_SECONDS,
            )
        except (OSError, asyncio.CancelledError):
            with contextlib.suppress(ValueError):
                self._guests.remove(guest)
            return
        guest.transport = transport
        if self._bounds.seconds is not None:
            loop.call_later(self._bounds.seconds, transport.abort)


def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 of an IPv6 one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
