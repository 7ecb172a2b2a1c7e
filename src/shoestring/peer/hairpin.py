"""Words with the silent peer by way of the gateway: one datagram there, one back.

A switch may carry frames between each node and the gateway and none between the nodes. Then the
peer is silent, nobody answers ARP for it, and it is well. A router sends a packet on to a node of
the segment that it came from, so a datagram for the peer that is framed for the gateway arrives.
The answer takes the same way. Both are signed with a key that the two pinned identities have in
common, and with the sender's name, so that nobody's own word can be sent back to it.

    word   "SHG2" kind(1) nonce(16) epoch(8) HMAC-SHA256(key, sender, all before)

kind "?" asks whether the peer lives; kind "!" claims that the sender, the writer of this epoch,
goes on alone; kind "=" answers either, a claim with the epoch that the sender goes by. A claim is
answered by the loop, between two decisions; a question at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from shoestring.config.model import Config
from shoestring.system import segment
from shoestring.system.clock import boot_seconds
from shoestring.system.gateway import gateway_of
from shoestring.system.netlink import Netlink

LOG = logging.getLogger("shoestring")
QUESTION, CLAIM, ANSWER = b"?", b"!", b"="
MAGIC = b"SHG2"
_HEAD = struct.Struct("!4sc16sQ")
NONCE_BYTES = 16
MAC_BYTES = 32
QUESTION_TRIES = 3
CLAIM_TRIES = 7
TRY_SECONDS = 0.08
MAC_SECONDS = 0.1
MAC_KEPT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Word:
    """One datagram: what it is, which question it belongs to, the epoch that its sender goes by."""

    kind: bytes
    nonce: bytes
    epoch: int


def packed(word: Word, key: bytes, sender: str) -> bytes:
    """Return the datagram that carries a word."""
    head = _HEAD.pack(MAGIC, word.kind, word.nonce, word.epoch)
    return head + hmac.digest(key, sender.encode() + head, "sha256")


def unpacked(data: bytes, key: bytes, sender: str) -> Word | None:
    """Return the word that this sender has signed, or None for anything else."""
    if len(data) != _HEAD.size + MAC_BYTES:
        return None
    magic, kind, nonce, epoch = _HEAD.unpack(data[: _HEAD.size])
    word = Word(kind, nonce, epoch)
    good = magic == MAGIC and hmac.compare_digest(data, packed(word, key, sender))
    return word if good and kind in {QUESTION, CLAIM, ANSWER} else None


class Hairpin(asyncio.DatagramProtocol):
    """Asks and answers by way of the gateway, over IPv4, on the UDP port of the agents' link."""

    def __init__(self, config: Config, node: str, netlink: Netlink) -> None:
        self._config = config
        self._netlink = netlink
        self._node = node
        self._other = config.other(node)
        self._interface = config.nodes[node].interface
        self._own = config.nodes[node].address_of(4)
        self._peer = config.nodes[self._other].address_of(4)
        self._key: bytes | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._gateway_mac: tuple[float, bytes] | None = None
        self._waiting: dict[bytes, asyncio.Future[Word]] = {}
        self._answering: asyncio.Task[None] | None = None
        self._claim: bytes | None = None
        self._claimed: Callable[[], None] = lambda: None

    async def open(self, key: bytes, claimed: Callable[[], None]) -> None:
        """Listen; a port that is taken is told, and the way by the gateway stays shut.

        claimed: called when the peer claims that it goes on alone; `answer_claim` answers.
        """
        if self._own is None or self._peer is None:
            return
        self._key, self._claimed = key, claimed
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
        """Take a word that the peer has signed; anything else is dropped."""
        word = unpacked(data, self._key, self._other) if self._key is not None else None
        if word is None or addr[0] != str(self._peer):
            return
        if word.kind == QUESTION and (self._answering is None or self._answering.done()):
            self._answering = asyncio.create_task(self._send(Word(ANSWER, word.nonce, 0)))
        elif word.kind == CLAIM:
            self._claim = word.nonce
            self._claimed()
        elif word.kind == ANSWER:
            self._came(word)

    def _came(self, word: Word) -> None:
        answer = self._waiting.get(word.nonce)
        if answer is not None and not answer.done():
            answer.set_result(word)

    async def answers(self) -> bool:
        """Ask the peer by way of the gateway; tell whether it, and nobody else, has answered."""
        return await self._ask(QUESTION, 0, QUESTION_TRIES) is not None

    async def claim(self, epoch: int) -> int | None:
        """Claim to go on alone as the writer of an epoch; return the peer's, None if unanswered."""
        answer = await self._ask(CLAIM, epoch, CLAIM_TRIES)
        return None if answer is None else answer.epoch

    async def answer_claim(self, epoch: int) -> None:
        """Answer the peer's last claim with the epoch that this node goes by."""
        if self._claim is not None:
            await self._send(Word(ANSWER, self._claim, epoch))

    async def _ask(self, kind: bytes, epoch: int, tries: int) -> Word | None:
        if self._transport is None:
            return None
        word = Word(kind, secrets.token_bytes(NONCE_BYTES), epoch)
        answer = self._waiting[word.nonce] = asyncio.get_running_loop().create_future()
        try:
            for _ in range(tries):
                await self._send(word)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TRY_SECONDS):
                        return await asyncio.shield(answer)
            return None
        finally:
            del self._waiting[word.nonce]

    async def _send(self, word: Word) -> None:
        """Send a word to the peer, framed for the gateway; nothing where there is none."""
        try:
            own_mac = await self._netlink.hardware_address(self._interface)
            gateway_mac = await self._mac_of_gateway(own_mac)
            if gateway_mac is None or self._key is None:
                return
            assert isinstance(self._own, IPv4Address) and isinstance(self._peer, IPv4Address)
            data = packed(word, self._key, self._node)
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
