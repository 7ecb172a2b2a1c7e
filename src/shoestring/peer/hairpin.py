"""A question to the silent peer by way of the gateway: one datagram there, one back.

A switch may carry frames between each node and the gateway and none between the nodes. Then the
peer is silent, nobody answers ARP for it, and it is well. A router sends a packet on to a node of
the segment that it came from, so a datagram for the peer that is framed for the gateway arrives.
The answer takes the same way. It is believed by a key that the peer gave over the pinned link
while that was there; a question needs no key, since the answer tells nothing but that a node lives.

    question  "SHQ1" nonce(16)
    answer    "SHA1" nonce(16) HMAC-SHA256(key, nonce)
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
from ipaddress import IPv4Address

from shoestring.config.model import Config
from shoestring.system import segment
from shoestring.system.clock import boot_seconds
from shoestring.system.gateway import gateway_of
from shoestring.system.netlink import Netlink

LOG = logging.getLogger("shoestring")
QUESTION, ANSWER = b"SHQ1", b"SHA1"
NONCE_BYTES = 16
KEY_BYTES = 32
TRIES = 3
TRY_SECONDS = 0.08
MAC_SECONDS = 0.1
MAC_KEPT_SECONDS = 10.0


def question(nonce: bytes) -> bytes:
    """Return the datagram that asks."""
    return QUESTION + nonce


def asked(data: bytes) -> bytes | None:
    """Return the nonce of a question, or None for anything else."""
    is_one = len(data) == len(QUESTION) + NONCE_BYTES and data.startswith(QUESTION)
    return data[len(QUESTION) :] if is_one else None


def answer(key: bytes, nonce: bytes) -> bytes:
    """Return the datagram that answers a question."""
    return ANSWER + nonce + hmac.digest(key, nonce, "sha256")


def is_answer(data: bytes, key: bytes, nonce: bytes) -> bool:
    """Tell whether this is the answer of whoever has the key to the question with this nonce."""
    return hmac.compare_digest(data, answer(key, nonce))


class Hairpin(asyncio.DatagramProtocol):
    """Asks and answers by way of the gateway, over IPv4, on the UDP port of the agents' link."""

    def __init__(self, config: Config, node: str, netlink: Netlink) -> None:
        self._config = config
        self._netlink = netlink
        self._interface = config.nodes[node].interface
        self._own = config.nodes[node].address_of(4)
        self._peer = config.nodes[config.other(node)].address_of(4)
        self.key = secrets.token_bytes(KEY_BYTES)
        self.peer_key: bytes | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._gateway_mac: tuple[float, bytes] | None = None
        self._waiting: tuple[bytes, asyncio.Event] | None = None
        self._answering: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen; a port that is taken is told, and the way by the gateway stays shut."""
        if self._own is None or self._peer is None:
            return
        where = (str(self._own), self._config.peer.port)
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, where)
        except OSError as error:
            LOG.warning("the peer cannot be asked by way of the gateway: %s", error)

    def close(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a question or an answer from the peer's address; anything else is dropped."""
        if addr[0] != str(self._peer):
            return
        nonce = asked(data)
        if nonce is not None:
            if self._answering is None or self._answering.done():
                self._answering = asyncio.create_task(self._send(answer(self.key, nonce)))
        elif self._waiting is not None and self.peer_key is not None:
            expected, came = self._waiting
            if is_answer(data, self.peer_key, expected):
                came.set()

    async def answers(self) -> bool:
        """Ask the peer by way of the gateway; tell whether it, and nobody else, has answered."""
        if self._transport is None or self.peer_key is None:
            return False
        came = asyncio.Event()
        nonce = secrets.token_bytes(NONCE_BYTES)
        self._waiting = (nonce, came)
        try:
            for _ in range(TRIES):
                await self._send(question(nonce))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TRY_SECONDS):
                        await came.wait()
                        return True
            return False
        finally:
            self._waiting = None

    async def _send(self, data: bytes) -> None:
        """Send a datagram to the peer, framed for the gateway; nothing where there is none."""
        try:
            own_mac = await self._netlink.hardware_address(self._interface)
            gateway_mac = await self._mac_of_gateway(own_mac)
            if gateway_mac is None or self._own is None or self._peer is None:
                return
            assert isinstance(self._own, IPv4Address) and isinstance(self._peer, IPv4Address)
            packet = segment.udp_packet(self._own, self._peer, self._config.peer.port, data)
            segment.send(self._interface, segment.ip_frame(own_mac, gateway_mac, packet))
        except (OSError, LookupError) as error:
            LOG.debug("nothing could be sent by way of the gateway: %s", error)

    async def _mac_of_gateway(self, own_mac: bytes) -> bytes | None:
        now = boot_seconds()
        if self._gateway_mac is not None and now - self._gateway_mac[0] < MAC_KEPT_SECONDS:
            return self._gateway_mac[1]
        gateway = await gateway_of(self._config, self._netlink, self._interface)
        if gateway is None or ":" in gateway:
            return None
        words = (self._interface, own_mac, str(self._own), gateway, MAC_SECONDS)
        found = await asyncio.to_thread(segment.ask, *words)
        self._gateway_mac = (now, found) if found is not None else None
        return found
