"""The kernel's attributes, as bytes: what is torn ends them, and nothing is read beyond."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from shoestring.system.nfnetlink import _uncounted, attributes

NESTED = 0x8000


def attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def rule(*expressions: bytes) -> bytes:
    elements = b"".join(attribute(1 | NESTED, each) for each in expressions)
    return attribute(3, bytes(8)) + attribute(4 | NESTED, elements)


def counter(packets: int) -> bytes:
    return attribute(1, b"counter\0") + attribute(2 | NESTED, struct.pack(">QQ", packets, packets))


def verdict(code: int) -> bytes:
    return attribute(1, b"immediate\0") + attribute(2 | NESTED, struct.pack(">i", code))


def test_what_a_counter_has_counted_makes_no_difference():
    assert list(_uncounted(rule(counter(0), verdict(0)))) == list(
        _uncounted(rule(counter(9), verdict(0)))
    )
    assert list(_uncounted(rule(counter(0), verdict(0)))) != list(
        _uncounted(rule(counter(0), verdict(1)))
    )
    assert list(_uncounted(rule(verdict(0)))) != list(_uncounted(rule(counter(0), verdict(0))))


@given(st.binary(max_size=64))
def test_whatever_comes_is_read_to_its_end_and_no_further(data: bytes):
    read = list(attributes(data))
    assert sum(4 + len(body) for _, body in read) <= len(data)
