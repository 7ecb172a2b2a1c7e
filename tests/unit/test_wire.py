"""Messages between agents: what is sent is what is heard; anything else is PeerError."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoestring.core.errors import PeerError, RefusedError
from shoestring.core.site import Deployed, SiteReport
from shoestring.peer.wire import (
    HEADS_MAX,
    LISTED_MAX,
    MESSAGE_MAX,
    REPORT_MAX,
    AskMessage,
    ReportMessage,
    decode,
    encode,
    failure,
    success,
    within,
)
from tests.unit.test_decide import PEER


@pytest.mark.parametrize(
    "message",
    [
        ReportMessage("report", PEER),
        AskMessage("ask", 7, "plan", {"pair_toml": "[pair]\n"}),
        success(7, {"done": True}),
        failure(7, RefusedError("no", hint="ask again")),
    ],
)
def test_round_trip(message: object):
    assert decode(encode(message)) == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=1_000, deadline=None)
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_refused_and_nothing_else(data: bytes):
    with pytest.raises(PeerError):
        decode(data)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_damaged_message_is_refused_or_still_a_message(data: st.DataObject):
    whole = bytearray(encode(ReportMessage("report", PEER)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(whole))
    except PeerError:
        return
    assert isinstance(decoded, ReportMessage)


def test_a_message_that_is_too_large_is_not_even_read():
    with pytest.raises(PeerError, match="are allowed"):
        decode(b" " * (MESSAGE_MAX + 1))


def test_not_a_number_is_no_number():
    text = encode(ReportMessage("report", PEER)).replace(b'"score":0', b'"score":NaN')
    with pytest.raises(PeerError):
        decode(text)


def test_tens_of_thousands_of_random_messages():
    dice = random.Random(7)
    whole = encode(ReportMessage("report", PEER))
    for _ in range(30_000):
        data = dice.randbytes(dice.randrange(200))
        if dice.random() < 0.3:
            data = whole[: dice.randrange(len(whole))] + data
        with pytest.raises(PeerError):
            decode(data)


@pytest.mark.parametrize("branches", [0, 20_000, 60_000])
def test_a_flood_of_branches_does_not_make_a_message_that_ends_the_link(branches: int):
    heads = {f"b{n}/{'x' * 60}": "0" * 40 for n in range(branches)} | {"live": "1" * 40}
    site = SiteReport(heads=heads, deployed={"live": Deployed()}, drift=("y" * 200,) * branches)
    sent = within(replace(PEER, site=site))
    assert len(encode(ReportMessage("report", sent))) <= REPORT_MAX
    assert sent.site is not None
    assert sent.site.heads["live"] == "1" * 40
    if branches:
        assert sent.left_off == len(heads) - HEADS_MAX + branches - LISTED_MAX


def test_a_node_before_this_one_reads_a_report_with_a_field_that_it_does_not_know():
    data = json.loads(encode(ReportMessage("report", PEER)))
    data["report"]["something"] = 1
    assert decode(json.dumps(data)) == ReportMessage("report", PEER)


def test_one_sentence_of_a_megabyte_goes_without_its_slice():
    site = SiteReport(corrupt="x" * 2_000_000)
    assert within(replace(PEER, site=site)).site is None


def test_a_peers_words_do_not_reach_a_terminal_as_controls():
    problem = ("VIP-101", "\x1b]0;owned\x07\x1b[2J\u202e\u009b31m line\nnext")
    said = decode(encode(ReportMessage("report", replace(PEER, problems=(problem,)))))
    assert isinstance(said, ReportMessage)
    text = said.report.problems[0][1]
    assert not any((ord(c) < 32 and c != "\n") or c in "\u202e\u009b" for c in text)
    assert text.endswith("31m line\nnext")
