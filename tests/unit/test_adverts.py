"""VRRP on the wire: known packets, and nothing but None from anything else."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from shoestring.vip.adverts import decode


def vrrp3(vrid: int, priority: int, centiseconds: int, addresses: list[str]) -> bytes:
    head = struct.pack("!BBBBHH", 0x31, vrid, priority, len(addresses), centiseconds, 0)
    return head + b"".join(ip_address(a).packed for a in addresses)


def ip4(body: bytes, source: str = "192.0.2.11", ttl: int = 255) -> bytes:
    total = 20 + len(body)
    head = struct.pack("!BBHHHBBH", 0x45, 0xC0, total, 1, 0, ttl, 112, 0)
    return head + ip_address(source).packed + ip_address("192.0.2.12").packed + body


def ip6(body: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(body), 112, 255)
    return head + ip_address("2001:db8::11").packed + ip_address("2001:db8::12").packed + body


def test_version_3_over_ipv4():
    advert = decode(ip4(vrrp3(17, 250, 10, ["192.0.2.100"])))
    assert advert is not None
    assert (advert.source, advert.vrid, advert.priority) == ("192.0.2.11", 17, 250)
    assert advert.interval_seconds == 0.1
    assert advert.addresses == ("192.0.2.100",)
    assert advert.ttl == 255


def test_version_3_over_ipv6():
    advert = decode(ip6(vrrp3(17, 0, 10, ["2001:db8::100"])))
    assert advert is not None
    assert (advert.priority, advert.addresses) == (0, ("2001:db8::100",))


def test_version_2_counts_in_seconds():
    body = struct.pack("!BBBBBBH", 0x21, 51, 101, 1, 0, 1, 0) + ip_address("192.0.2.100").packed
    advert = decode(ip4(body + b"tutorial"))
    assert advert is not None
    assert (advert.version, advert.interval_seconds) == (2, 1.0)


def test_what_a_real_keepalived_sent():
    """Captured with tcpdump from keepalived 2.2.7 on Debian 12."""
    captured = bytes.fromhex(
        "45c00020000100 00ff70cd21c633640bc633640c31 11fa01000a0000c6336464".replace(" ", "")
    )
    advert = decode(captured)
    assert advert is not None
    assert (advert.vrid, advert.priority, advert.addresses) == (17, 250, ("198.51.100.100",))


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes):
    advert = decode(data)
    assert advert is None or 1 <= advert.vrid <= 255


@given(st.binary(max_size=60), st.integers(0, 59))
def test_a_cut_packet_is_none(tail: bytes, cut: int):
    whole = ip4(vrrp3(17, 250, 10, ["192.0.2.100"]))
    short = whole[: min(cut, len(whole) - 1)]
    assert decode(short) is None
    assert decode(whole + tail) is not None


def test_fragments_and_other_protocols_are_none():
    whole = bytearray(ip4(vrrp3(17, 250, 10, ["192.0.2.100"])))
    whole[6] = 0x20
    assert decode(bytes(whole)) is None
    whole[6], whole[9] = 0, 6
    assert decode(bytes(whole)) is None
