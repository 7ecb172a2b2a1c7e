"""The question by way of the gateway: what goes over the wire, and what is believed."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from shoestring.peer.hairpin import KEY_BYTES, NONCE_BYTES, answer, asked, is_answer, question
from shoestring.system.segment import ip_frame, udp_packet

KEY, OTHER_KEY = b"k" * KEY_BYTES, b"o" * KEY_BYTES
NONCE, OTHER_NONCE = b"n" * NONCE_BYTES, b"m" * NONCE_BYTES


def test_a_question_carries_its_nonce():
    assert asked(question(NONCE)) == NONCE


@pytest.mark.parametrize("data", [b"", b"SHQ1", question(NONCE) + b"x", b"SHQ2" + NONCE])
def test_anything_else_is_no_question(data: bytes):
    assert asked(data) is None


def test_an_answer_is_believed_from_whoever_has_the_key_and_for_this_question_alone():
    good = answer(KEY, NONCE)
    assert is_answer(good, KEY, NONCE)
    assert not is_answer(good, OTHER_KEY, NONCE)
    assert not is_answer(good, KEY, OTHER_NONCE)
    assert not is_answer(good[:-1] + bytes([good[-1] ^ 1]), KEY, NONCE)
    assert not is_answer(b"", KEY, NONCE)


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
