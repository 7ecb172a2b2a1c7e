"""The role of crash recovery: SLAVE drops the end of the binlog, MASTER keeps it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoestring.core.database import DatabaseReport, DatabaseState
from shoestring.database.role import boot_role

MINE = DatabaseState(epoch=4, writer="alpha", opened=True, history="h")
THEIRS = DatabaseReport(
    state=DatabaseState(epoch=5, writer="beta", alone=True, opened=True, history="h"),
    role="writer",
    alive=True,
    writable=True,
    in_sync=False,
    fit=True,
)


def role(state=MINE, peer=THEIRS, waited: float = 0.0, **theirs: object) -> str:
    if peer is not None:
        peer = replace(peer, state=replace(peer.state, **theirs))
    return boot_role(state, "alpha", peer, waited).role


def test_a_crashed_writer_whose_successor_has_everything_drops_what_was_never_answered():
    assert role() == "SLAVE"


@pytest.mark.parametrize(
    ("state", "theirs", "why"),
    [
        (replace(MINE, history=""), {}, "two databases that were never one"),
        (replace(MINE, alone=True), {}, "it may be the only copy"),
        (MINE, {"complete": False}, "the successor was promoted without everything"),
        (MINE, {"epoch": 4, "writer": "alpha"}, "nobody has taken over"),
        (replace(MINE, epoch=5, writer="beta"), {"declined": 5}, "the successor could not begin"),
    ],
)
def test_everything_is_kept_where_it_may_be_needed(state, theirs, why):
    assert role(state, **theirs) == "MASTER", why


def test_it_waits_for_a_node_that_is_taking_over_and_not_for_ever():
    taking = replace(THEIRS, writable=False)
    given = replace(MINE, epoch=5, writer="beta")
    assert role(given, taking, 1.0) == "wait"
    assert role(given, taking, 61.0) == "MASTER"
    not_yet = replace(taking.state, epoch=4)
    assert role(given, replace(taking, state=not_yet), 1.0) == "wait"
    assert role(replace(MINE, epoch=6), replace(taking, state=not_yet), 1.0) == "MASTER"


def test_silence_is_waited_for_shortly_and_by_a_fenced_node_for_ever():
    assert role(peer=None, waited=1.0) == "wait"
    assert role(peer=None, waited=6.0) == "MASTER"
    assert role(replace(MINE, fenced=True), None, 3000.0) == "wait"
    assert role(replace(MINE, fenced=True), THEIRS) == "SLAVE"


def test_a_replica_is_recovered_as_one():
    assert role(replace(MINE, epoch=5, writer="beta")) == "SLAVE"
