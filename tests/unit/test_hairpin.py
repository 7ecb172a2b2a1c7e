"""The question by way of the gateway: what goes over the wire, and what is believed."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from shoestring.peer.hairpin import ANSWER, CLAIM, QUESTION, Word, packed, unpacked
from shoestring.peer.identity import Identity
from shoestring.system.segment import ip_frame, udp_packet

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
NONCE = b"n" * 16


@pytest.mark.parametrize("kind", [QUESTION, CLAIM, ANSWER])
def test_a_word_arrives_as_it_was_sent(kind: bytes):
    word = Word(kind, NONCE, 7)
    assert unpacked(packed(word, KEY, "alpha"), KEY, "alpha") == word


def test_a_word_is_believed_from_whoever_has_the_key_and_under_its_own_name_alone():
    data = packed(Word(ANSWER, NONCE, 7), KEY, "alpha")
    assert unpacked(data, OTHER_KEY, "alpha") is None
    assert unpacked(data, KEY, "beta") is None, "one's own word, sent back, is no answer"


@pytest.mark.parametrize("at", range(0, 61, 4))
def test_a_changed_word_is_dropped(at: int):
    data = bytearray(packed(Word(CLAIM, NONCE, 7), KEY, "alpha"))
    data[at] ^= 1
    assert unpacked(bytes(data), KEY, "alpha") is None


@pytest.mark.parametrize("data", [b"", b"SHG2", b"x" * 61, b"SHG2" + b"?" * 100])
def test_anything_else_is_no_word(data: bytes):
    assert unpacked(data, KEY, "alpha") is None


def test_an_unknown_kind_is_dropped_even_signed():
    assert unpacked(packed(Word(b"x", NONCE, 1), KEY, "alpha"), KEY, "alpha") is None


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
