"""The join line: whole or refused; once, and for 15 minutes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoestring.core.errors import PairingError
from shoestring.peer.invitation import (
    LIFETIME_SECONDS,
    SOURCES_MAX,
    JoinLine,
    Tries,
    current,
    decode_line,
    encode_line,
    open_invitation,
    redeem,
)

LINE = JoinLine("192.0.2.11", 7433, bytes(range(16)), bytes(range(32)))


@pytest.mark.parametrize("address", ["192.0.2.11", "2001:db8::11"])
def test_round_trip(address: str):
    line = JoinLine(address, 7433, LINE.token, LINE.fingerprint)
    assert decode_line(encode_line(line)) == line
    assert decode_line(f"  {encode_line(line).upper()}\n") == line


@settings(max_examples=300)
@given(st.data())
def test_an_altered_line_is_refused(data: st.DataObject):
    word = list(encode_line(LINE))
    at = data.draw(st.integers(0, len(word) - 1))
    other = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
    if word[at] == other:
        return
    word[at] = other
    with pytest.raises(PairingError, match="not whole"):
        decode_line("".join(word))


@given(st.text(max_size=200))
def test_any_text_is_refused(text: str):
    with pytest.raises(PairingError):
        decode_line(text)


def test_it_works_once(tmp_path):
    path = tmp_path / "invitation.json"
    token = open_invitation(path)
    assert token.hex() not in path.read_text()
    redeem(token, path)
    with pytest.raises(PairingError, match="used already"):
        redeem(token, path)


def test_it_ends_after_fifteen_minutes_and_when_the_clock_jumps_back(tmp_path):
    path = tmp_path / "invitation.json"
    for shift in (-LIFETIME_SECONDS, +3600):
        token = open_invitation(path)
        kept = json.loads(path.read_text())
        path.write_text(json.dumps({**kept, "until": kept["until"] + shift}))
        assert current(path) is None
        with pytest.raises(PairingError):
            redeem(token, path)


def test_wrong_tokens_shut_out_their_source_and_nobody_else(tmp_path):
    path, tries = tmp_path / "invitation.json", Tries()
    token = open_invitation(path)
    for _ in range(5):
        tries.check("192.0.2.66")
        with pytest.raises(PairingError, match="not the newest"):
            redeem(b"x" * 16, path)
        tries.wrong("192.0.2.66")
    with pytest.raises(PairingError, match="may try no more"):
        tries.check("192.0.2.66")
    tries.check("192.0.2.12")
    redeem(token, path)


def test_many_sources_take_no_memory():
    tries = Tries()
    for number in range(10_000):
        tries.wrong(f"source {number}")
    assert len(tries._wrong) == SOURCES_MAX
