"""The question by way of the gateway: what goes over the wire, and what is believed."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from shoestring.config.document import EXAMPLE
from shoestring.config.load import parse
from shoestring.config.model import Config
from shoestring.peer import hairpin
from shoestring.peer.hairpin import (
    ANSWER,
    CHALLENGE,
    CLAIM,
    FORM_BEFORE,
    QUESTION,
    SESSION_SECONDS,
    ClaimGate,
    Datagram,
    Hairpin,
    packed,
    unpacked,
)
from shoestring.peer.identity import Identity
from shoestring.system.netlink import Netlink
from shoestring.system.segment import ip_frame, udp_packet

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
NONCE = b"n" * 16
SIZES = {3: 85, FORM_BEFORE: 61}


@pytest.mark.parametrize("kind", [QUESTION, CLAIM, ANSWER, CHALLENGE])
def test_a_datagram_arrives_as_it_was_sent(kind: bytes):
    sent = Datagram(kind, NONCE, 7, b"s" * 16, 9)
    assert unpacked(packed(sent, KEY, "alpha"), KEY, "alpha") == sent
    before = Datagram(kind, NONCE, 7, form=FORM_BEFORE)
    assert unpacked(packed(before, KEY, "alpha"), KEY, "alpha") == before


def test_a_datagram_is_believed_with_the_key_and_under_its_own_name_alone():
    data = packed(Datagram(ANSWER, NONCE, 7), KEY, "alpha")
    assert unpacked(data, OTHER_KEY, "alpha") is None
    assert unpacked(data, KEY, "beta") is None, "a node's own datagram, sent back, is no answer"


@pytest.mark.parametrize("form", SIZES)
@pytest.mark.parametrize("at", range(0, 85, 4))
def test_a_changed_datagram_is_dropped(at: int, form: int):
    data = bytearray(packed(Datagram(CLAIM, NONCE, 7, form=form), KEY, "alpha"))
    assert len(data) == SIZES[form]
    data[at % len(data)] ^= 1
    assert unpacked(bytes(data), KEY, "alpha") is None


@pytest.mark.parametrize("data", [b"", b"SHG3", b"x" * 85, b"SHG3" + b"?" * 100, b"SHG2" * 16])
def test_anything_else_is_no_datagram(data: bytes):
    assert unpacked(data, KEY, "alpha") is None


def test_an_unknown_kind_is_dropped_even_signed():
    assert unpacked(packed(Datagram(b"x", NONCE, 1), KEY, "alpha"), KEY, "alpha") is None


def test_a_claim_counts_once_and_in_the_present_session_alone():
    gate = ClaimGate()
    session = gate.session(10.0)
    claim = Datagram(CLAIM, NONCE, 7, session, 5)
    assert not gate.admits(Datagram(CLAIM, NONCE, 7, b"s" * 16, 5), 10.0)
    assert gate.admits(claim, 10.1)
    assert not gate.admits(claim, 10.2), "a replay"
    assert not gate.admits(Datagram(CLAIM, NONCE, 7, session, 4), 10.2), "an older one"
    assert gate.admits(Datagram(CLAIM, NONCE, 7, session, 6), 10.2)
    late = 10.0 + SESSION_SECONDS
    assert not gate.admits(Datagram(CLAIM, NONCE, 7, session, 7), late), "kept back, sent later"
    assert gate.session(late) != session


def test_what_was_before_a_restart_of_the_receiver_does_not_count():
    before, after = ClaimGate(), ClaimGate()
    claim = Datagram(CLAIM, NONCE, 7, before.session(1.0), 5)
    assert not after.admits(claim, 1.1)
    assert not after.admits(Datagram(CLAIM, NONCE, 7, counter=5), 1.1), "none is no session"


class Wire:
    """Both ends of the way by the gateway, and all that went over it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, newer: dict[str, bool]) -> None:
        config: Config = parse(EXAMPLE)
        self.sent: list[tuple[str, bytes]] = []
        self.claims: dict[str, list[int]] = {"alpha": [], "beta": []}
        self.epochs = {"alpha": 7, "beta": 7}
        self.deaf: set[int] = set()
        self.config = config
        self.newer = newer
        self.nodes = {name: self.fresh(name) for name in config.nodes}
        monkeypatch.setattr(hairpin.segment, "udp_packet", lambda own, *rest: (own, rest[2]))
        monkeypatch.setattr(hairpin.segment, "ip_frame", lambda _own, _gateway, packet: packet)
        monkeypatch.setattr(hairpin.segment, "send", self.carry)

    def fresh(self, name: str, *keys: bytes) -> Hairpin:
        """Return a node's side as after a start of its agent."""
        end = Hairpin(self.config, name, Netlink(), lambda: self.newer[name])
        end._transport = object()  # type: ignore[assignment]
        end.use(keys or [KEY])
        end._netlink.hardware_address = self.hardware  # type: ignore[method-assign]
        end._mac_of_gateway = self.hardware  # type: ignore[method-assign,assignment]
        end._claimed = lambda epoch: self.claimed(name, epoch)
        return end

    @staticmethod
    async def hardware(_interface: object) -> bytes:
        return b"\x02" * 6

    def claimed(self, name: str, epoch: int) -> None:
        self.claims[name].append(epoch)
        answer = self.nodes[name].answer_claim(self.epochs[name])
        self.kept = asyncio.get_running_loop().create_task(answer)

    def carry(self, _interface: str, packet: tuple[IPv4Address, bytes]) -> None:
        source, data = packet
        names = {str(self.config.nodes[n].address_of(4)): n for n in self.config.nodes}
        sender = names[str(source)]
        self.sent.append((sender, data))
        if len(data) not in self.deaf:
            end = self.nodes[self.config.other(sender)]
            asyncio.get_running_loop().call_soon(end.datagram_received, data, (str(source), 1))

    def replay(self) -> None:
        for sender, data in list(self.sent):
            source = str(self.config.nodes[sender].address_of(4))
            self.nodes[self.config.other(sender)].datagram_received(data, (source, 1))


BOTH_NEWER = {"alpha": True, "beta": True}


def test_a_claim_is_answered_and_its_recording_is_worth_nothing(monkeypatch):
    async def run() -> None:
        wire = Wire(monkeypatch, dict(BOTH_NEWER))
        assert await wire.nodes["alpha"].answers() == 0
        assert await wire.nodes["alpha"].claim(7) == 7
        assert wire.claims["beta"] == [7]
        for end in (wire.nodes["beta"], wire.fresh("beta")):
            wire.nodes["beta"] = end
            wire.replay()
            await asyncio.sleep(0.05)
        assert wire.claims["beta"] == [7], "the attack: the datagrams again, any number of times"
        wire.nodes["alpha"] = wire.fresh("alpha")
        wire.epochs["beta"] = 8
        assert await wire.nodes["alpha"].claim(7) == 8, "the real one still counts, at once"

    asyncio.run(run())


def test_a_restart_of_the_claiming_node_within_a_session_shuts_nothing(monkeypatch):
    async def run() -> None:
        wire = Wire(monkeypatch, dict(BOTH_NEWER))
        for _ in range(3):
            assert await wire.nodes["alpha"].claim(7) == 7
            wire.nodes["alpha"] = wire.fresh("alpha")

    asyncio.run(run())


@pytest.mark.parametrize("newer", ["alpha", "beta"])
def test_a_claim_counts_between_an_upgraded_node_and_one_that_is_not(monkeypatch, newer: str):
    """The one that is not upgraded neither sends nor understands the newer form."""

    async def run() -> None:
        wire = Wire(monkeypatch, {"alpha": False, "beta": False})
        wire.deaf = {SIZES[3]}
        claimant = wire.nodes["alpha" if newer == "beta" else "beta"]
        assert await claimant.claim(7) == 7
        assert await claimant.answers() is not None

    asyncio.run(run())


def test_the_older_form_is_not_believed_of_a_peer_that_speaks_the_newer(monkeypatch):
    async def run() -> None:
        wire = Wire(monkeypatch, dict(BOTH_NEWER))
        data = packed(Datagram(CLAIM, NONCE, 7, form=FORM_BEFORE), KEY, "alpha")
        source = str(wire.config.nodes["alpha"].address_of(4))
        wire.nodes["beta"].datagram_received(data, (source, 1))
        assert wire.claims["beta"] == []

    asyncio.run(run())


def test_while_keys_are_renewed_one_common_key_is_enough(monkeypatch):
    async def run() -> None:
        wire = Wire(monkeypatch, dict(BOTH_NEWER))
        wire.nodes["beta"].use([OTHER_KEY, KEY])
        assert await wire.nodes["alpha"].claim(7) == 7
        assert await wire.nodes["beta"].claim(7) == 7
        wire.nodes["alpha"].use([OTHER_KEY])
        assert await wire.nodes["alpha"].claim(7) == 7
        assert await wire.nodes["beta"].claim(7) == 7

    asyncio.run(run())


def test_both_nodes_have_one_secret_that_nobody_else_has(tmp_path: Path):
    nodes = [Identity(tmp_path / name) for name in ("alpha", "beta", "stranger")]
    for node in nodes:
        node.make(node.folder.name)
    alpha, beta, stranger = nodes
    alpha.trust(beta.own_pem())
    beta.trust(alpha.own_pem())
    stranger.trust(alpha.own_pem())
    assert alpha.shared_secret() == beta.shared_secret()
    assert alpha.shared_secret() != stranger.shared_secret()
    assert len(alpha.shared_secret()) == 32


def test_the_packet_is_one_that_a_router_sends_on():
    """Bytes checked by hand against RFC 791: version, length, TTL, protocol, header checksum."""
    packet = udp_packet(IPv4Address("192.0.2.11"), IPv4Address("192.0.2.12"), 7432, b"hello")
    assert packet[0] == 0x45
    assert int.from_bytes(packet[2:4], "big") == len(packet) == 33
    assert packet[8:10] == bytes([64, 17])
    words = [int.from_bytes(packet[i : i + 2], "big") for i in range(0, 20, 2)]
    total = sum(words)
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
    assert packet[20:24] == (7432).to_bytes(2, "big") * 2
    assert packet[28:] == b"hello"
    frame = ip_frame(b"\x02" * 6, b"\x04" * 6, packet)
    assert frame[:14] == b"\x04" * 6 + b"\x02" * 6 + b"\x08\x00"
