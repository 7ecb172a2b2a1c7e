"""Raw frames: what is built is what the protocols say, and answers are told from noise."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from shoestring.system.segment import announcement, answer_to, question

MAC = bytes.fromhex("020000000001")
OTHER = bytes.fromhex("020000000002")


def test_gratuitous_arp_is_a_broadcast_request_for_itself():
    frame = announcement(MAC, ip_address("192.0.2.100"))
    assert frame[:6] == b"\xff" * 6
    assert frame[12:22] == bytes.fromhex("08060001080006040001")
    assert frame[28:32] == frame[38:42] == ip_address("192.0.2.100").packed


def test_neighbour_advertisement_overrides_and_its_checksum_is_right():
    frame = announcement(MAC, ip_address("2001:db8::100"))
    assert frame[54] == 136
    assert frame[58] & 0x20
    body = frame[54:]
    pseudo = frame[22:54] + len(body).to_bytes(4, "big") + (58).to_bytes(4, "big")
    words = pseudo + body + b"\0" * (len(body) % 2)
    total = sum(int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_an_answer_names_the_mac():
    reply = bytearray(question(OTHER, "192.0.2.100", "192.0.2.11"))
    reply[21] = 2
    assert answer_to(bytes(reply), "192.0.2.100") == OTHER
    assert answer_to(bytes(reply), "192.0.2.101") is None
    advertised = announcement(OTHER, ip_address("2001:db8::100"))
    assert answer_to(advertised, "2001:db8::100") == OTHER


def test_a_probe_claims_nothing():
    probe = question(MAC, None, "192.0.2.100")
    assert probe[28:32] == b"\0" * 4


@given(st.binary(max_size=120))
def test_noise_is_no_answer_or_a_mac(frame: bytes):
    for target in ("192.0.2.100", "2001:db8::100"):
        answer = answer_to(frame, target)
        assert answer is None or len(answer) == 6
