"""Messages to a silent peer by way of the gateway: one datagram there, one back.

A switch may carry frames between each node and the gateway and none between the nodes. Then the
peer is silent, nobody answers ARP for it, and it is well. A router sends a packet on to a node of
the segment that it came from, so a datagram for the peer that is framed for the gateway arrives.
The answer takes the same way. Both are signed with a key that the two pinned identities have in
common, and with the sender's name, so that no node's own datagram can be sent back to it.

    "SHG3" kind(1) nonce(16) epoch(8) session(16) counter(8) HMAC-SHA256(key, sender, all before)

kind "?" asks whether the peer lives; kind "!" claims that the sender, the writer of this epoch,
goes on alone; kind "=" answers either: a claim with the epoch that the sender goes by, a question
with the newest epoch in which the sender answers no commit any more (0: it may). A claim is
answered by the loop, between two decisions; a question at once.

A claim that was recorded is worth nothing later: it counts only in a session that its receiver has
drawn at random within the last seconds, and only with a counter above the last one of that session.
A claim of another session is answered by kind "#", which names the session to claim in. Nothing of
this is kept on disk or taken from a clock that people can set, so a node that was restarted,
reinstalled or whose clock has jumped is never left out.

"SHG2" is the form before: without session and counter. It is sent and believed only as long as the
peer is not known, by the authenticated link, to speak the newer form (`Speaks`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from shoestring.config.model import Config
from shoestring.system import segment
from shoestring.system.clock import boot_seconds
from shoestring.system.gateway import gateway_of
from shoestring.system.netlink import Netlink

LOG = logging.getLogger("shoestring")
QUESTION, CLAIM, ANSWER, CHALLENGE = b"?", b"!", b"=", b"#"
MAGIC, MAGIC_BEFORE = b"SHG3", b"SHG2"
FORM, FORM_BEFORE = 3, 2
_HEAD = struct.Struct("!4sc16sQ16sQ")
_HEAD_BEFORE = struct.Struct("!4sc16sQ")
NONCE_BYTES = 16
MAC_BYTES = 32
NO_SESSION = bytes(16)
SESSION_SECONDS = 5.0
QUESTION_TRIES = 3
CLAIM_TRIES = 7
TRY_SECONDS = 0.08
MAC_SECONDS = 0.1
MAC_KEPT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram: its kind, the question it belongs to, and the epoch that its sender goes by.

    session, counter: what makes a claim count once; form: which layout it has on the wire.
    """

    kind: bytes
    nonce: bytes
    epoch: int
    session: bytes = NO_SESSION
    counter: int = 0
    form: int = FORM


def packed(datagram: Datagram, key: bytes, sender: str) -> bytes:
    """Return a datagram's bytes."""
    common = (datagram.kind, datagram.nonce, datagram.epoch)
    if datagram.form == FORM:
        head = _HEAD.pack(MAGIC, *common, datagram.session, datagram.counter)
    else:
        head = _HEAD_BEFORE.pack(MAGIC_BEFORE, *common)
    return head + hmac.digest(key, sender.encode() + head, "sha256")


def unpacked(data: bytes, key: bytes, sender: str) -> Datagram | None:
    """Return the datagram that this sender has signed, or None for anything else."""
    if len(data) == _HEAD.size + MAC_BYTES and data.startswith(MAGIC):
        found = Datagram(*_HEAD.unpack(data[: _HEAD.size])[1:])
    elif len(data) == _HEAD_BEFORE.size + MAC_BYTES and data.startswith(MAGIC_BEFORE):
        kind, nonce, epoch = _HEAD_BEFORE.unpack(data[: _HEAD_BEFORE.size])[1:]
        found = Datagram(kind, nonce, epoch, form=FORM_BEFORE)
    else:
        return None
    good = hmac.compare_digest(data, packed(found, key, sender))
    return found if good and found.kind in {QUESTION, CLAIM, ANSWER, CHALLENGE} else None


class ClaimGate:
    """Which claims count: those of a session drawn here a moment ago, each counter once.

    Pure but for the random session; time is an argument.
    """

    def __init__(self) -> None:
        self._session = NO_SESSION
        self._until = float("-inf")
        self._counter = 0

    def admits(self, claim: Datagram, now: float) -> bool:
        """Tell whether a claim counts, and let none with its counter or a lower one count again."""
        current = claim.session == self._session and now < self._until
        if not current or claim.counter <= self._counter:
            return False
        self._counter = claim.counter
        return True

    def is_known(self, claim: Datagram, now: float) -> bool:
        """Tell whether a claim is of the present session: then a challenge would say nothing."""
        return claim.session == self._session and now < self._until

    def session(self, now: float) -> bytes:
        """Return the session to claim in."""
        if now >= self._until:
            self._session = secrets.token_bytes(len(NO_SESSION))
            self._until = now + SESSION_SECONDS
            self._counter = 0
        return self._session


class Hairpin(asyncio.DatagramProtocol):
    """Asks and answers by way of the gateway, over IPv4, on the UDP port of the agents' link."""

    def __init__(
        self, config: Config, node: str, netlink: Netlink, peer_is_newer: Callable[[], bool]
    ) -> None:
        """peer_is_newer: whether the peer is known to speak the present form."""
        self._config = config
        self._netlink = netlink
        self._node = node
        self._other = config.other(node)
        self._interface = config.nodes[node].interface
        self._own = config.nodes[node].address_of(4)
        self._peer = config.nodes[self._other].address_of(4)
        self._peer_is_newer = peer_is_newer
        self._keys: tuple[bytes, ...] = ()
        self._transport: asyncio.DatagramTransport | None = None
        self._gateway_mac: tuple[float, bytes] | None = None
        self._waiting: dict[bytes, asyncio.Future[Datagram]] = {}
        self._answering: asyncio.Task[bool] | None = None
        self._gate = ClaimGate()
        self._claim: Datagram | None = None
        self._claimed: Callable[[int], None] = lambda _epoch: None
        self._closed: Callable[[], int] = lambda: 0
        self._session = NO_SESSION
        self._counter = 0

    async def open(
        self, keys: Sequence[bytes], claimed: Callable[[int], None], closed: Callable[[], int]
    ) -> None:
        """Listen; a port that is taken is logged, and the way by the gateway stays shut.

        claimed: called with its epoch when the peer claims that it goes on alone; `answer_claim`
        answers. closed: returns the newest epoch in which this node surely answers no commit any
        more, 0 for none; it goes with each answer to a question.
        """
        if self._own is None or self._peer is None:
            return
        self._claimed, self._closed = claimed, closed
        self.use(keys)
        where = (str(self._own), self._config.peer.port)
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, where)
        except OSError as error:
            LOG.warning("the peer cannot be asked by way of the gateway: %s", error)

    def use(self, keys: Sequence[bytes]) -> None:
        """Sign with each of these keys, and believe each: more than one while keys are renewed."""
        self._keys = tuple(dict.fromkeys(keys))

    def close(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a datagram that the peer has signed; anything else is dropped."""
        found = (unpacked(data, key, self._other) for key in self._keys)
        datagram = next((each for each in found if each is not None), None)
        if datagram is None or addr[0] != str(self._peer):
            return
        if datagram.kind == QUESTION:
            self._answer(replace(datagram, kind=ANSWER, epoch=self._closed()))
        elif datagram.kind == CLAIM:
            self._take_claim(datagram)
        else:
            self._came(datagram)

    def _take_claim(self, claim: Datagram) -> None:
        """Take a claim that is of now; have one of another session made again in the present one.

        A claim in the older form counts until the peer is known to speak this one: to drop it
        would make two writers while one node is upgraded before the other.
        """
        now = boot_seconds()
        older = claim.form != FORM
        if (older and not self._peer_is_newer()) or (not older and self._gate.admits(claim, now)):
            self._claim = claim
            self._claimed(claim.epoch)
        elif not older and not self._gate.is_known(claim, now):
            session = self._gate.session(now)
            self._answer(Datagram(CHALLENGE, claim.nonce, 0, session))

    def _answer(self, datagram: Datagram) -> None:
        """Send one answer after the other: a flood of questions makes no flood of answers."""
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._send(datagram))

    def _came(self, datagram: Datagram) -> None:
        answer = self._waiting.get(datagram.nonce)
        if answer is not None and not answer.done():
            answer.set_result(datagram)

    async def answers(self) -> int | None:
        """Ask the peer by way of the gateway; return in which epoch it is closed, None if silent.

        0 is the answer of a peer that may still answer commits.
        """
        answer = await self._ask(QUESTION, 0, QUESTION_TRIES)
        return None if answer is None else answer.epoch

    async def claim(self, epoch: int) -> int | None:
        """Claim to go on alone as the writer of an epoch; return the peer's, None if unanswered."""
        answer = await self._ask(CLAIM, epoch, CLAIM_TRIES)
        return None if answer is None else answer.epoch

    async def answer_claim(self, epoch: int) -> None:
        """Answer the peer's last claim with the epoch that this node goes by."""
        if self._claim is not None:
            await self._send(replace(self._claim, kind=ANSWER, epoch=epoch))

    async def _ask(self, kind: bytes, epoch: int, tries: int) -> Datagram | None:
        if self._transport is None:
            return None
        nonce = secrets.token_bytes(NONCE_BYTES)
        try:
            for _ in range(tries):
                answer = self._waiting[nonce] = asyncio.get_running_loop().create_future()
                # Rises over a restart of this agent too; a reboot takes longer than a session.
                self._counter = max(self._counter + 1, int(boot_seconds() * 1e9))
                asked = Datagram(kind, nonce, epoch, self._session, self._counter)
                if not await self._send(asked):
                    return None  # at once: an answer that comes late counts for nothing
                if not self._peer_is_newer():
                    await self._send(replace(asked, form=FORM_BEFORE))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TRY_SECONDS):
                        found: Datagram = await answer
                    if found.kind == ANSWER:
                        return found
                    self._session = found.session
            return None
        finally:
            self._waiting.pop(nonce, None)

    async def _send(self, datagram: Datagram) -> bool:
        """Send to the peer, framed for the gateway; tell whether there was one to send it to."""
        try:
            own_mac = await self._netlink.hardware_address(self._interface)
            gateway_mac = await self._mac_of_gateway(own_mac)
            if gateway_mac is None:
                return False
            assert isinstance(self._own, IPv4Address) and isinstance(self._peer, IPv4Address)
            for key in self._keys:
                data = packed(datagram, key, self._node)
                packet = segment.udp_packet(self._own, self._peer, self._config.peer.port, data)
                segment.send(self._interface, segment.ip_frame(own_mac, gateway_mac, packet))
        except (OSError, LookupError) as error:
            LOG.debug("nothing could be sent by way of the gateway: %s", error)
            return False
        return True

    async def _mac_of_gateway(self, own_mac: bytes) -> bytes | None:
        now = boot_seconds()
        if self._gateway_mac is not None and now - self._gateway_mac[0] < MAC_KEPT_SECONDS:
            return self._gateway_mac[1]
        gateway = await gateway_of(self._config, self._netlink, self._interface)
        if gateway is None or ":" in gateway:
            return None
        found = await asyncio.to_thread(
            segment.ask, self._interface, own_mac, str(self._own), gateway, MAC_SECONDS
        )
        self._gateway_mac = (now, found) if found is not None else None
        return found
